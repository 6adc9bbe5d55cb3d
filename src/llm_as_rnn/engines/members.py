"""Several engines of one model: how each server of a pool is, whether they are the same, and what they are as one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from collections.abc import Sequence as Many
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from llm_as_rnn.core.calls import Completion
from llm_as_rnn.core.engine import Engine, EngineInfo, Tokenizer
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, UsageError
from llm_as_rnn.core.records import Record
from llm_as_rnn.engines.dialects import Server

FIRST_AGAIN, LONGEST_AGAIN = 0.5, 15.0
"""Seconds until an engine that was lost is tried again: twice as long each time."""

T = TypeVar("T")


class ServerEngine(Engine, Protocol):
    """An engine that can be asked how it is."""

    @property
    def where(self) -> str:
        """What messages call it: its address."""
        ...

    @property
    def said(self) -> Server:
        """What it said of itself when it was opened last."""
        ...

    async def check(self) -> None:
        """Ask it something cheap.

        Raises
        ------
        EngineError
            If it does not serve now.
        """
        ...


class ServerHealth(Record, frozen=True):
    """How a server of a pool is, and what it did so far.

    Attributes
    ----------
    address : str
        Where it is, without any password.
    healthy : bool
        Whether calls are sent to it.
    problem : str
        Why not; empty if they are.
    slots, in_flight : int
        Calls that it answers at the same time, and those that it is at.
    calls, failures : int
        Calls that it answered, and attempts that came to nothing by its fault.
    prompt_tokens, cached_tokens : int
        Read by it, and of these those that its cache knew.
    """

    address: str
    healthy: bool
    problem: str
    slots: int
    in_flight: int
    calls: int
    failures: int
    prompt_tokens: int
    cached_tokens: int

    @property
    def cached_share(self) -> float | None:
        """The share of prompt tokens that its cache knew; None before it has read any."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else None


class MovedError(Exception):
    """A call was taken from a server that was lost."""


class Member:
    """A server, and how it is with it.

    Attributes
    ----------
    error : EngineUnavailableError or None
        Why it cannot be asked now; None while it can.
    opened, known : bool
        Whether it is open, and whether it ever was.
    pause : float
        Seconds until it is tried again when it fails next.
    broken : int
        Calls that broke in a row.
    """

    def __init__(self, server: ServerEngine) -> None:
        self.server = server
        self.name = server.where
        self.error: EngineUnavailableError | None = None
        self.opened = self.known = False
        self.pause = FIRST_AGAIN
        self.broken = 0
        self.in_flight = self.calls = self.failures = 0
        self.prompt_tokens = self.cached_tokens = 0
        self._running: set[asyncio.Task[Any]] = set()

    def is_well(self) -> bool:
        """Tell whether it may be sent calls."""
        return self.opened and self.error is None

    @property
    def has_room(self) -> bool:
        """Whether it may be sent a call more; while it is on trial, one at a time."""
        return self.is_well() and self.in_flight < (self.server.info.slots if not self.broken else 1)

    @property
    def health(self) -> ServerHealth:
        """How it is, in figures."""
        return ServerHealth(
            self.name,
            self.is_well(),
            "" if self.is_well() else str(self.error or "it is not open"),
            self.server.info.slots,
            self.in_flight,
            self.calls,
            self.failures,
            self.prompt_tokens,
            self.cached_tokens,
        )

    async def open(self) -> EngineError | None:
        """Open it, and give what stands in the way at its end.

        Raises
        ------
        UsageError
            If something does at this end.
        """
        try:
            await self.server.open()
        except EngineError as error:
            return error
        self.opened = self.known = True
        return None

    async def close(self) -> None:
        """Close it, if it is open."""
        if self.opened:
            self.opened = False
            await self.server.close()

    async def lose(self) -> None:
        """Give it up as it was: the calls that it is at are asked elsewhere, and it is opened anew when it is back."""
        for running in tuple(self._running):
            running.cancel()
        await self.close()

    def served(self, completion: Completion | None = None) -> None:
        """Note an answer, which shows that it is well."""
        self.broken, self.pause = 0, FIRST_AGAIN
        if completion is not None:
            self.calls += 1
            self.prompt_tokens += completion.prompt_tokens
            self.cached_tokens += completion.cached_tokens or 0

    async def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Make a call that can be taken from it.

        Raises
        ------
        MovedError
            If it was.
        """
        running = asyncio.create_task(call)
        self._running.add(running)
        try:
            await asyncio.wait([running])
        finally:
            self._running.discard(running)
            running.cancel()  # where whoever asked was cancelled; else it is done
        if running.cancelled():
            raise MovedError
        return running.result()


def require_same_model(digests: Iterable[tuple[str, str]]) -> None:
    """Refuse engines that do not have the same model, as far as they say which they have.

    Parameters
    ----------
    digests : iterable of tuple of str and str
        What messages call each, and what tells its model from others; empty where it does not say.

    Raises
    ------
    UsageError
        If two of them differ.
    """
    first = ""
    for name, digest in digests:
        first = first or digest
        if digest not in ("", first):
            raise UsageError(f"{name} serves another model than others", "give all of them the same one")


def as_one(infos: Many[EngineInfo], host: str | None, slots: int | None = None) -> EngineInfo:
    """Say what several engines of one model are as one.

    Parameters
    ----------
    infos : sequence of EngineInfo
        What each says of itself; one at least.
    host : str or None
        Where requests go.
    slots : int, optional
        Calls that all of them answer at the same time; by default the sum.

    Returns
    -------
    EngineInfo
        What each of them can do.
    """
    first = next((info for info in infos if info.digest), infos[0])
    tokenizers = {info.tokenizer for info in infos}
    worst: tuple[Tokenizer, ...] = ("lost", "estimate", "exact")
    return replace(
        first,
        host=host,
        slots=sum(info.slots for info in infos) if slots is None else slots,
        context_window=min(info.context_window for info in infos),
        tokenizer=next(kind for kind in worst if kind in tokenizers),
        left_out=tuple(dict.fromkeys(part for info in infos for part in info.left_out)),
        remarks=tuple(dict.fromkeys(remark for info in infos for remark in info.remarks)),
    )
