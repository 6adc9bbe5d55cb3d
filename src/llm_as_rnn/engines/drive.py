"""Drivers: they run a method's generators on an engine. Only here is anything known of async."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from types import CodeType, TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from llm_as_rnn.core.calls import ESTIMATED, Call, Completion, Request
from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError
from llm_as_rnn.core.method import Calls
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.engines.background import Background, Gone

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

Walk = Generator[Request | StepRecord, Completion | None, Any]
"""Yields a Request, and is sent its Completion; or yields a StepRecord, and is sent None."""


class Ended(NamedTuple):
    """What a computation came to."""

    value: Any


CLOSED = "nothing can be asked after close: the model was given back"
FORKED = "nothing can be asked in a forked process: the model stayed in the one that opened it"
_ANEW = "make one in each process, or load what was saved"


async def drive(calls: Calls[T], engine: Engine, log: list[Call] | None = None) -> T:
    """Run a computation to its end.

    Parameters
    ----------
    calls : generator
        What a method's ``predict`` or ``learn`` gave.
    engine : Engine
        Who answers.
    log : list of Call, optional
        Every answered call is appended to it, token counts excepted.

    Raises
    ------
    EngineUnavailableError
        If no call can be answered at all. The failure of a single one is a completion like any other: its
        ``finish_reason`` is ``error``.
    """

    async def answer(request: Request) -> Completion:
        completion = await _answer(request, engine)
        if log is not None and request.role != "count":
            log.append(Call.of(request.role, completion))
        return completion

    return await _run(calls, answer)


async def drive_walk(
    walk: Walk,
    engine: Engine,
    keep: Callable[[StepRecord], Awaitable[None] | None],
    hear: Callable[[Request], None] | None = None,
) -> Any:
    """Run a walk over a sequence (`runs.walk`) to its end.

    Parameters
    ----------
    walk : generator
        Yields requests, and records of steps.
    engine : Engine
        Who answers.
    keep : callable
        Keeps a record, before the next step begins; what it gives is awaited, if it gives anything.
    hear : callable, optional
        Is told of each request to the model, token counts excepted.

    Raises
    ------
    EngineUnavailableError
        If no call can be answered at all.
    """
    try:
        while not isinstance(came := await next_record(walk, engine, hear), Ended):
            if (kept := keep(came)) is not None:
                await kept
            await asyncio.sleep(0)  # where nothing is ever waited for, an interrupt would come in at the end alone
        return came.value
    finally:
        walk.close()


async def next_record(walk: Walk, engine: Engine, hear: Callable[[Request], None] | None = None) -> StepRecord | Ended:
    """Run a walk on until its next record, or its end; the step after that begins when this is called again.

    Parameters and errors are those of `drive_walk`. A walk that is left before its end has to be closed.
    """
    came = await _go_on(walk, None)
    while isinstance(came, Request):
        if hear is not None and came.role != "count":
            hear(came)
        came = await _go_on(walk, await _answer(came, engine))
    return came


SLOW = 0.02
"""Seconds of computing at once from which on other sequences, and a server's replies, should not wait for it."""

_took: dict[CodeType | None, float] = {}
"""Seconds that each kind of computation took when it went on last."""


async def _run(calls: Generator[A, B, T], answer: Callable[[A], Awaitable[B]]) -> T:
    try:
        came = await _go_on(calls, None)
        while not isinstance(came, Ended):
            came = await _go_on(calls, await answer(came))
        value: T = came.value
        return value
    finally:
        calls.close()


async def _go_on(calls: Generator[A, B, Any], answer: B | None) -> A | Ended:
    """Compute until the next request, or the end: beside the loop if this kind of computation was slow the last time.

    To go there and back takes a tenth of a millisecond, which is more than most computations do.
    """
    kind = _kind(calls)
    if _took.get(kind, 0.0) < SLOW:
        return _advance(calls, answer, kind)
    work = asyncio.ensure_future(asyncio.to_thread(_advance, calls, answer, kind))
    try:
        return await asyncio.shield(work)
    finally:
        while not work.done():  # who waits may have been cancelled; a generator cannot be closed while it runs
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])


def _kind(calls: object) -> CodeType | None:
    """Give the code that goes on next: the innermost generator's."""
    while (inner := getattr(calls, "gi_yieldfrom", None)) is not None:
        calls = inner
    return getattr(calls, "gi_code", None)


def _advance(calls: Generator[A, B, Any], answer: B | None, kind: CodeType | None) -> A | Ended:
    begun = time.perf_counter()
    try:
        return next(calls) if answer is None else calls.send(answer)
    except StopIteration as end:
        return Ended(end.value)
    finally:
        _took[kind] = time.perf_counter() - begun


async def _answer(request: Request, engine: Engine) -> Completion:
    if request.role == "count":
        tokens = await engine.count_tokens(request.messages[0].content)
        return Completion("", ESTIMATED if engine.info.tokenizer == "lost" else "stop", prompt_tokens=tokens)
    try:
        return await engine.complete(request)
    except EngineUnavailableError:
        raise
    except EngineError as error:
        return Completion("", finish_reason="error", error=str(error))


class SyncDriver:
    """Runs computations on an engine from code that is not async, inside a running event loop or not.

    Parameters
    ----------
    engine : Engine
        Who answers. It is opened on entry, and closed on exit.

    Raises
    ------
    UsageError
        If it is used after its exit, or in a process that was forked from the one that made it: there is no thread in
        which anything could be answered.

    Examples
    --------
    >>> from llm_as_rnn.engines.scripted import ScriptedEngine
    >>> from llm_as_rnn.core.method import count_tokens
    >>> with SyncDriver(ScriptedEngine(lambda request: "")) as driver:
    ...     driver.run(count_tokens("three short words"))
    4
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._background = Background(Gone(CLOSED, FORKED, "make another, or load what was saved", _ANEW))

    def __enter__(self) -> Self:
        self._background.start()
        try:
            self._background.wait(self.engine.open())
        except BaseException:
            self._background.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A fork has neither thread nor engine: its parent, which has, closes them.
        if not self.usable:
            return
        try:
            self._background.wait(self.engine.close())
        finally:
            self._background.end()

    @property
    def usable(self) -> bool:
        """Whether anything can be asked: not after the exit, and not in a forked process."""
        return self._background.usable

    def require_usable(self) -> None:
        """Refuse what would wait for ever.

        Raises
        ------
        UsageError
            After the exit, and in a forked process.
        """
        self._background.require_usable()

    def run(self, calls: Calls[T], log: list[Call] | None = None) -> T:
        """Run a computation to its end, as `drive` does."""
        self.require_usable()
        return self._background.wait(drive(calls, self.engine, log))
