"""The engine of those who ask no model: references alone need none loaded."""

from __future__ import annotations

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineUnavailableError
from llm_as_rnn.engines.estimate import estimate_tokens


class IdleEngine:
    """Is never asked anything; opens at once, and is on this machine.

    Parameters
    ----------
    model : str
        The model string that was named and is not needed.
    """

    def __init__(self, model: str = "none") -> None:
        self.info = EngineInfo(model, digest="not loaded", tokenizer="estimate", form="line", host="")

    async def open(self) -> None:
        """Do nothing."""

    async def complete(self, request: Request) -> Completion:
        """Refuse: whoever asks should have opened a model."""
        raise EngineUnavailableError("no model was loaded, because no method that was named asks one", "name one")

    async def count_tokens(self, text: str) -> int:
        """Estimate: nothing is held to a budget here."""
        return estimate_tokens(text)

    async def close(self) -> None:
        """Do nothing."""
