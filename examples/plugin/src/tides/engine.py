"""An engine: answers requests, counts tokens, and says what it is. This one needs no model: it looks things up."""

from __future__ import annotations

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo, EngineOptions
from llm_as_rnn.core.errors import ModelError
from llm_as_rnn.engines.filling import fill

ALMANACS = {"north-sea": "high water follows low water", "channel": "the tide runs late"}


class Almanac:
    """Answers what fits the form that is asked for, and the almanac's saying wherever any text may stand.

    A real one opens a connection, or loads a model, in `open`, and gives it back in `close`. Where one call gets no
    answer `complete` raises an `EngineError`; where none can get one now an `EngineBusyError`, and a run waits then.
    """

    def __init__(self, saying: str, options: EngineOptions) -> None:
        self._saying = saying
        # host="" is this process; a server's name else, so that data which must not leave this machine does not.
        self.info = EngineInfo(
            options.model,
            digest="1",
            context_window=options.context or 4096,
            slots=options.slots or 4,
            tokenizer="estimate",
            form="line",
            style="completion",
            host="",
            chats=False,
        )

    async def open(self) -> None:
        """Do nothing: it is always ready."""

    async def complete(self, request: Request) -> Completion:
        """Answer a request."""
        text = fill(request.answer, self._saying)
        read, written = await self.count_tokens(request.prompt), await self.count_tokens(text)
        return Completion(text, prompt_tokens=read, completion_tokens=written)

    async def count_tokens(self, text: str) -> int:
        """Count four letters as a token: an estimate, as `info` says."""
        return -(-len(text) // 4)

    async def close(self) -> None:
        """Do nothing."""


def make(name: str, options: EngineOptions) -> Almanac:
    """Make the engine of ``almanac:NAME``; it is not open yet."""
    if name not in ALMANACS:
        raise ModelError(f"there is no almanac {name!r}", f"choose from {', '.join(ALMANACS)}")
    return Almanac(ALMANACS[name], options)
