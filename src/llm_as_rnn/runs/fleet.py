"""A fleet: engines in processes elsewhere, of which a run makes one. It hands walks to those that have a slot free.

A sequence stays with the engine that it began with, whose prefix cache knows it. An engine that is lost costs the steps
that it was at: their walks begin again elsewhere from the records that were kept, for which nobody is asked again.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from collections.abc import Sequence as Many
from contextlib import asynccontextmanager
from typing import Any, Protocol

from msgspec.structs import replace

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, LlmAsRnnError
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.engines.drive import Ended
from llm_as_rnn.engines.members import FIRST_AGAIN, LONGEST_AGAIN, as_one, require_same_model
from llm_as_rnn.engines.patience import PATIENCE, OnPause, Pause
from llm_as_rnn.engines.spending import Limits, Meter
from llm_as_rnn.runs.executors import Cast, Hear, Keep, Leg
from llm_as_rnn.runs.seat import Errand, GoneError, LostError, Reply

ELSEWHERE = 20.0
"""Seconds for which one engine's outage is waited out before its sequences go on elsewhere."""

MOST_LOSSES = 3
"""Processes that may be lost at one step: then it is the step that kills them."""


class Remote(Protocol):
    """A seat in another process, as it is reached from here.

    Attributes
    ----------
    name : str
        What messages call it.
    server : int
        Which server it asks, by number: those that ask the same one share its slots.
    """

    name: str
    server: int

    async def call(self, what: str, *given: Any) -> Any:
        """Call a method of the seat.

        Raises
        ------
        LostError
            If its process is gone, and may come back.
        GoneError
            If it does not come back.
        """
        ...


class Cluster(Protocol):
    """Where the processes are."""

    async def launch(self) -> Many[Remote]:
        """Start them."""
        ...

    def send(self, cast: Cast) -> Any:
        """Send a cast as it is now, and give what stands for it in calls."""
        ...

    async def end(self) -> None:
        """End them."""
        ...


class _Berth:
    """A seat, and how it is with it.

    Attributes
    ----------
    slots, used : int
        Walks that it can make at a time, and those that it makes.
    error : LlmAsRnnError or None
        Why it cannot be used now; None while it can.
    awaited : bool
        Whether it may come back.
    """

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.slots = 1
        self.used = 0
        self.error: LlmAsRnnError | None = None
        self.awaited = False
        self.info: EngineInfo | None = None


class Fleet:
    """Several engines as one, and the executor that makes walks on them.

    Parameters
    ----------
    info : EngineInfo
        What is known of the engines before they are opened.
    cluster : Cluster
        Where they are.
    meter : Meter, optional
        Counts what is spent, and stops at its limits.
    patience : float, optional
        Seconds for which engines that were lost are waited for; else 600.
    on_pause : callable, optional
        Told when there is no engine left to go on with, and None when there is again.
    """

    def __init__(
        self,
        info: EngineInfo,
        cluster: Cluster,
        *,
        meter: Meter | None = None,
        patience: float | None = None,
        on_pause: OnPause | None = None,
    ) -> None:
        self.info = info
        self.elsewhere = True
        self._cluster = cluster
        self._meter = meter or Meter(Limits(), {})
        self._patience = PATIENCE if patience is None else patience
        self._on_pause = on_pause or (lambda pause: None)
        self._berths: list[_Berth] = []
        self._freed = asyncio.Event()
        self._awaiting: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()
        self._cast: Cast | None = None
        self._sent: Any = None

    async def open(self) -> None:
        """Start all engines, and wait until they are ready.

        Raises
        ------
        LlmAsRnnError
            If one of them cannot be used, or they are not the same.
        """
        self._meter.require_some_left()
        self._berths = [_Berth(remote) for remote in await self._cluster.launch()]
        try:
            await asyncio.gather(*map(self._first_open, self._berths))
            self.info = self._together()
        except BaseException:
            await self.close()
            raise

    async def complete(self, request: Request) -> Completion:
        """Answer a request that belongs to no walk."""
        async with self._place() as berth:
            completion: Completion = await berth.remote.call("complete", request)
        return completion

    async def count_tokens(self, text: str) -> int:
        """Count the tokens of a text that belongs to no walk."""
        async with self._place() as berth:
            count: int = await berth.remote.call("count_tokens", text)
        return count

    async def close(self) -> None:
        """End all engines."""
        for task in self._awaiting:
            task.cancel()
        await asyncio.gather(*self._awaiting, return_exceptions=True)
        self._berths = []
        await self._cluster.end()

    def lanes(self, concurrency: int | None) -> int:
        """Say how many walks to make at a time: as many as all engines have slots."""
        for berth in self._berths:
            berth.slots = min(concurrency or berth.slots, berth.slots)
        return sum(berth.slots for berth in self._berths)

    def begin(self, cast: Cast) -> None:
        """Hear who takes part, and send it to the engines as it is now."""
        self._cast = cast
        self._sent = self._cluster.send(cast)

    async def go(self, leg: Leg, keep: Keep, hear: Hear) -> Any:
        """Make a walk to its end, if need be on one engine after the other.

        Raises
        ------
        EngineUnavailableError
            If no engine is left, or a limit is reached.
        EngineError
            If one engine after the other was lost at the same step.
        """
        past = list(leg.past)
        losses, since = 0, time.monotonic()

        async def kept(record: StepRecord) -> None:
            nonlocal losses, since
            await keep(record)
            past.append(record)
            losses, since = 0, time.monotonic()

        while True:
            async with self._place() as berth:
                try:
                    return await self._make(berth, leg._replace(past=past), kept, hear)
                except EngineUnavailableError as error:
                    self._meter.require_some_left()
                    self._lose(berth, error)
                    losses += isinstance(error, LostError)
                    if losses == MOST_LOSSES:
                        raise EngineError(
                            f"step {len(past)} was given up after {losses} engines were lost at it: {error.message}",
                            "see what ends them, and go on with --resume",
                        ) from error
                    if time.monotonic() - since > self._patience + ELSEWHERE:
                        raise

    async def _make(self, berth: _Berth, leg: Leg, keep: Keep, hear: Hear) -> Any:
        """Make a walk on one engine, a record at a time: to ask for the next one says that this one is kept."""
        assert self._cast is not None  # noqa: S101 - a run begins before it walks
        number = next(self._numbers)
        errand = Errand(leg.method.name, leg.sequence, leg.past, leg.lessons, self._cast.told(leg))
        reply: Reply = await berth.remote.call("start", number, self._sent, errand)
        while True:
            self._take_in(reply)
            if isinstance(reply.came, LlmAsRnnError):
                raise reply.came
            if isinstance(reply.came, Ended):
                return reply.came.value
            for request in reply.heard:
                hear(request)
            await keep(reply.came)
            self._meter.require_some_left()
            reply = await berth.remote.call("go_on", number)

    def _take_in(self, reply: Reply) -> None:
        """Take notice of what a reply says beside what it is about."""
        self._meter.add(reply.spent.tokens, reply.spent.cost)
        now, known = reply.info, self.info
        if now is not None and not (
            set(now.left_out) <= set(known.left_out) and set(now.remarks) <= set(known.remarks)
        ):
            self.info = replace(
                known,
                left_out=tuple(dict.fromkeys((*known.left_out, *now.left_out))),
                remarks=tuple(dict.fromkeys((*known.remarks, *now.remarks))),
            )

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[_Berth]:
        """Wait for a free slot, at the engine that has most of them, and take it.

        Raises
        ------
        LlmAsRnnError
            If there is no engine left that has any, or may come back.
        """
        while not (free := [one for one in self._berths if one.error is None and one.used < one.slots]):
            errors = [berth.error for berth in self._berths if berth.error is not None and not berth.awaited]
            if len(errors) == len(self._berths):
                raise errors[-1] if errors else EngineUnavailableError("no engine is open")
            self._freed.clear()
            await self._freed.wait()
        berth = max(free, key=lambda one: one.slots - one.used)
        berth.used += 1
        try:
            yield berth
        finally:
            berth.used -= 1
            self._freed.set()

    def _lose(self, berth: _Berth, error: EngineUnavailableError) -> None:
        """Use an engine no longer; one that may come back is waited for beside what the others do."""
        if berth.error is None:
            berth.error = error
            if error.later:
                berth.awaited = True
                task = asyncio.create_task(self._await_back(berth))
                self._awaiting.add(task)
                task.add_done_callback(self._awaiting.discard)

    async def _first_open(self, berth: _Berth) -> None:
        try:
            await self._reopen(berth)
        except EngineUnavailableError as error:
            if not error.later:
                raise
            berth.error = error
            await self._await_back(berth)
            if berth.error is not None:
                raise berth.error from error

    async def _reopen(self, berth: _Berth) -> None:
        """Open an engine, the first time or again.

        Raises
        ------
        LlmAsRnnError
            If it cannot be.
        """
        patience = min(self._patience, ELSEWHERE)
        answer = await berth.remote.call("open", patience, self._meter.left, self._meter.prices)
        if isinstance(answer, LlmAsRnnError):
            raise answer
        berth.info = answer

    async def _await_back(self, berth: _Berth) -> None:
        """Try to open an engine again and again, until it is there or patience ends."""
        berth.awaited = True
        end, pause = time.monotonic() + self._patience, FIRST_AGAIN
        try:
            while time.monotonic() < end and berth.error is not None:
                if all(one.error is not None for one in self._berths):
                    until = time.monotonic() + pause
                    self._on_pause(Pause(berth.error.message, until, max(0.0, end - until)))
                await asyncio.sleep(min(pause, max(0.0, end - time.monotonic())))
                pause = min(2 * pause, LONGEST_AGAIN)
                if not berth.used:  # walks that it may still be making would be cut off
                    try:
                        await self._reopen(berth)
                        berth.error = None
                    except GoneError as error:
                        berth.error = error
                        return
                    except EngineUnavailableError as error:
                        berth.error = error
        finally:
            berth.awaited = False
            self._on_pause(None)
            self._freed.set()

    def _together(self) -> EngineInfo:
        """Say what all engines are as one, and share the slots of a server among those that ask it.

        Raises
        ------
        UsageError
            If they have not the same model.
        """
        infos = [berth.info for berth in self._berths if berth.info is not None]
        require_same_model((one.remote.name, info.digest) for one, info in zip(self._berths, infos, strict=True))
        sharing = Counter(berth.remote.server for berth in self._berths)
        for berth, info in zip(self._berths, infos, strict=True):
            # An engine inside its process has its slots to itself.
            berth.slots = max(1, info.slots // sharing[berth.remote.server]) if info.host else info.slots
        return as_one(infos, self.info.host, sum(berth.slots for berth in self._berths))
