"""What a model was asked on the way: the prompt that a person may want to see, and what it cost."""

from __future__ import annotations

from llm_as_rnn.core.calls import Completion, Message, Request
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.records import Record


class Asked(Record, frozen=True):
    """The prompt of a prediction.

    Attributes
    ----------
    messages : tuple of Message
        As the model got them.
    answer : str
        What it wrote.
    seconds : float
        How long that took.
    """

    messages: tuple[Message, ...]
    answer: str
    seconds: float


class Hearing:
    """An engine for one computation, which keeps the last prediction that it was asked for.

    Parameters
    ----------
    engine : Engine
        Who answers; opened and closed by its owner.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.last: Asked | None = None

    @property
    def info(self) -> EngineInfo:
        """What the engine is."""
        return self._engine.info

    async def open(self) -> None:
        """Do nothing: its owner has."""

    async def close(self) -> None:
        """Do nothing: its owner will."""

    async def complete(self, request: Request) -> Completion:
        """Have the engine answer."""
        answer = await self._engine.complete(request)
        if request.role == "predict":
            self.last = Asked(request.messages, answer.text, answer.seconds)
        return answer

    async def count_tokens(self, text: str) -> int:
        """Have the engine count."""
        return await self._engine.count_tokens(text)
