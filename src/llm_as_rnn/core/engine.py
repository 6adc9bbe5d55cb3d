"""What every engine offers: answer a request, count a text's tokens, say what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from llm_as_rnn.core.calls import Completion, Message, Request, Sampling
from llm_as_rnn.core.records import Form, Record, Style

Tokenizer = Literal["exact", "estimate", "lost"]


class EngineInfo(Record, frozen=True):
    """What an engine says about itself; the run directory keeps it.

    Attributes
    ----------
    model : str
        The model string that names it (``llamacpp:smollm2-135m``).
    digest : str
        What tells this model from another of the same name: a file's SHA-256, or what a server reports.
    context_window : int
        Tokens that prompt and answer of one call may hold together.
    slots : int
        Calls that it answers at the same time; more steps in flight destroy its prefix cache.
    tokenizer : str
        ``exact`` (the serving model's own), ``estimate`` (no server endpoint for it; errs to the long side), or
        ``lost`` (exact at first, estimates from some point on).
    form, style : str
        How this model is best asked, where that was measured.
    budget : int or None
        A memory budget that suits the model; None for the paper's.
    echo : int
        How often a case of the memory is shown before a question like it, where that was measured.
    host : str or None
        Where requests go: a server's host; empty for an engine inside this process; None where that is not known, which
        counts as elsewhere (see `places.is_here`).
    chats : bool
        Whether it can be asked in chat style: a base model without a chat template cannot.
    left_out : tuple of str
        Fields of requests that the server refused, and that were left out from then on; known while it is used.
    remarks : tuple of str
        What else was noticed of the server while it was used (that it cuts prompts short, say), a line each.
    """

    model: str
    digest: str = ""
    context_window: int = 8192
    slots: int = 4
    tokenizer: Tokenizer = "exact"
    form: Form = "json"
    style: Style = "chat"
    budget: int | None = None
    echo: int = 1
    host: str | None = None
    chats: bool = True
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Engine(Protocol):
    """Answers requests.

    ``complete`` raises `EngineError` when one call got no answer after all retries, and
    `EngineUnavailableError` when none can get one. Engines are used from one event loop.
    """

    @property
    def info(self) -> EngineInfo:
        """What this engine is; complete only after `open`."""
        ...

    async def open(self) -> None:
        """Connect, or load the model. Called once, before anything else."""
        ...

    async def complete(self, request: Request) -> Completion:
        """Answer a request."""
        ...

    async def count_tokens(self, text: str) -> int:
        """Count the tokens of a text by the serving model's tokenizer, without any special ones."""
        ...

    async def close(self) -> None:
        """Give back what `open` took."""
        ...


class EngineOptions(Record, frozen=True):
    """What a user says of an engine, as one of another package is told it; None where nothing is said.

    Attributes
    ----------
    model : str
        The whole model string, ``KIND:NAME``: what the engine's `EngineInfo.model` has to be.
    base_url : str or None
        A server's address; it may hold a login, which must be shown nowhere.
    slots, context : int or None
        Calls at the same time, and tokens that one call may hold.
    timeout : float or None
        Seconds for one attempt of a call.
    """

    model: str
    base_url: str | None = None
    slots: int | None = None
    context: int | None = None
    timeout: float | None = None


EngineFactory = Callable[[str, EngineOptions], Engine]
"""How an engine of another package is made, not open yet: from what stands behind the colon, and what a user says."""


def small_request(style: Style) -> Request:
    """Build a request that every server can answer that serves at all: it tells an outage from other trouble."""
    return Request("predict", (Message("user", "1 + 1 ="),), Sampling(max_tokens=1), style)
