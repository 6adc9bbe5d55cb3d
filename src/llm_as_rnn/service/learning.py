"""Learning in the background: outcomes that have come, session by session, in the order of their arrival.

A worker leases a session that has outcomes due, so that no other learns them at the same time; a lease ends by itself
where its worker is gone. The lease saves work, and nothing rests on it: what was learned is committed together with
the note that it was, and only if the state is still the one that it was learned into. So an outcome is learned exactly
once, however many workers, and whenever they die.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from llm_as_rnn.core.calls import Call
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, LlmAsRnnError
from llm_as_rnn.core.method import Calls
from llm_as_rnn.core.records import Value
from llm_as_rnn.engines.drive import drive
from llm_as_rnn.service import learning_rows, rows, step_rows, sum_rows
from llm_as_rnn.service.errors import StoreUnavailableError
from llm_as_rnn.service.predictors import Predictor
from llm_as_rnn.service.present import Lost, bare, commit
from llm_as_rnn.service.rows import Loaded, Row
from llm_as_rnn.service.scoring import Change, kept, less, scored, scored_then
from llm_as_rnn.service.sessions import Sessions
from llm_as_rnn.service.spending_rows import spent
from llm_as_rnn.service.tracing import Tracing
from llm_as_rnn.streams.online import Stream, Told, correct, tell
from llm_as_rnn.streams.replaying import Waiting

log = logging.getLogger(__name__)

LEASE = 60.0
"""Seconds after which a session is free again whose worker has not said that it is still there."""
RENEWED = 15.0
"""Seconds after which it says so."""
_read_values = msgspec.json.Decoder(dict[str, Value]).decode

LOOK = 0.5
"""Seconds after which a worker that has nothing to do looks for what other processes took, or left."""
GATHER = 0.01
"""Seconds after an outcome has come until it is leased: those that come in them are leased with it, and whoever told
it has often the next thing to predict, and need not wait for this one to be learned."""
TOGETHER = 8
"""Outcomes of a session that are learned before others have their turn."""
AGAIN = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
"""Seconds after which a session is tried again whose outcome could not be learned."""
MISTAKES = 5
"""How often learning an outcome may fail by no fault of an engine, before it is refused: those behind it wait."""


class Due(NamedTuple):
    """An outcome whose turn it is.

    Attributes
    ----------
    loaded : Loaded
        The session.
    outcome : Row
        The outcome.
    prediction : Row
        What was predicted.
    oldest : str or None
        The oldest prediction that waits beside this one, where a replay may go back to it.
    replaced : Row or None
        The outcome in the place of which this one comes, if that was learned.
    """

    loaded: Loaded
    outcome: Row
    prediction: Row
    oldest: str | None
    replaced: Row | None


class Scored(NamedTuple):
    """The scores of what is learned.

    Attributes
    ----------
    own : mapping
        Its own.
    change : mapping
        What they add to sums: what the outcome brought that this one replaces is taken off.
    """

    own: Change
    change: Change


class Learning:
    """Learns what is due, as long as it runs.

    Parameters
    ----------
    sessions : Sessions
        What is learned into.
    at_once : int, optional
        Sessions that are learned into at the same time; by default as many as the engine has slots.
    name : str, optional
        What this process is called in leases.
    tracing : Tracing, optional
        Where the spans of outcomes that are learned come from.
    """

    def __init__(
        self,
        sessions: Sessions,
        at_once: int | None = None,
        name: str | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing or Tracing()
        self._sessions = sessions
        self._store = sessions.store
        self._at_once = at_once or max(sessions.engine.info.slots, 1)
        self._name = name or secrets.token_hex(8)
        self._workers: dict[asyncio.Task[None], int] = {}
        self._crowded = False
        self._always: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()

    def start(self) -> None:
        """Begin."""
        self._always = [asyncio.create_task(work) for work in (self._give_turns(), self._renew())]

    async def close(self) -> None:
        """End: what is being learned is learned to its end, and what is due stays for others."""
        self._ending.set()
        self._sessions.due.set()
        giving, renewing = self._always
        await giving
        await asyncio.gather(*self._workers, return_exceptions=True)
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing

    async def _give_turns(self) -> None:
        """Lease what is due as long as there are workers for it, and have them learn."""
        while not self._ending.is_set():
            await asyncio.sleep(GATHER)
            self._sessions.due.clear()  # before looking: what comes from now on is seen, or wakes us
            places = max(0, self._at_once - len(self._workers))
            try:
                claimed = await self.claim(places)
            except StoreUnavailableError as error:
                log.warning("%s", error)
                claimed = ()
            except Exception:
                log.exception("what is due could not be leased")
                claimed = ()
            self._crowded = len(claimed) >= places
            for number in claimed:
                worker = asyncio.create_task(self._learn_all(number))
                self._workers[worker] = number
                worker.add_done_callback(self._ended)
            await self._rest()

    async def claim(self, most: int) -> Sequence[int]:
        """Lease the sessions whose outcomes have been due for longest, and give their numbers."""
        claiming = partial(learning_rows.claim, worker=self._name, most=most, lease=LEASE, pause=AGAIN[-1])
        return await self._store.write(claiming)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        del self._workers[worker]
        error = None if worker.cancelled() else worker.exception()
        if isinstance(error, StoreUnavailableError):
            log.warning("%s", error)
        elif error is not None:
            log.error("a worker failed", exc_info=error)
        if self._crowded:
            self._sessions.due.set()

    async def _rest(self) -> None:
        """Wait for an outcome to come, or to look what other processes left."""
        if self._ending.is_set():
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._sessions.due.wait(), LOOK)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWED)
            if self._workers:
                held = set(self._workers.values())
                try:
                    await self._store.write(partial(learning_rows.renew, worker=self._name, numbers=held, lease=LEASE))
                except StoreUnavailableError as error:
                    log.warning("%s", error)
                except Exception:
                    log.exception("leases could not be renewed")

    async def _learn_all(self, number: int) -> None:
        """Learn what is due in a session, a few at a time, and free it."""
        wait: float | None = 0.0
        try:
            for _ in range(TOGETHER):
                if self._ending.is_set():
                    break
                left = await self._learn(number)
                if left == 0:
                    wait = None  # the last lesson freed it
                if not left:
                    break
        except StoreUnavailableError as error:
            log.warning("%s", error)
        except LlmAsRnnError as error:
            log.warning("session %s: %s", number, error)
            wait = await self._failed(number, error)
        except Exception as error:
            log.exception("session %s: an outcome could not be learned", number)
            wait = await self._failed(number, error)
        finally:
            if wait is not None:
                await self._let_go(number, wait)
                self._sessions.due.set()

    async def _let_go(self, number: int, wait: float) -> None:
        """Free a session, once the database answers: else nobody learned in it before the lease has ended."""
        while True:
            try:
                await self._store.write(partial(learning_rows.let_go, worker=self._name, number=number, wait=wait))
            except StoreUnavailableError as error:
                log.warning("%s", error)
                if self._ending.is_set():
                    return
                await self._rest()
            else:
                return

    async def _failed(self, number: int, error: Exception) -> float:
        """Note that learning failed, refuse what fails again and again, and say how long to wait."""
        mistake = not isinstance(error, EngineError)

        def failing(connection: sa.Connection) -> int:
            failures, mistakes = learning_rows.count_failure(connection, number, mistake)
            if mistake and mistakes >= MISTAKES:
                learning_rows.refuse_first_due(connection, number, f"{type(error).__name__}: {error}")
            return failures

        self._sessions.figures.failed()
        failures = await self._store.write(failing)
        self._sessions.present.drop(number)
        return AGAIN[min(failures, len(AGAIN)) - 1]

    async def learn_next(self, number: int) -> bool:
        """Learn the oldest outcome that is due in a session; tell whether there was one.

        Raises
        ------
        EngineUnavailableError
            If the engine gave no answer. Nothing was changed.
        """
        return await self._learn(number) is not None

    async def _learn(self, number: int) -> int | None:
        """Learn the oldest outcome that is due, and give how many are due then; None where none was."""
        known = self._sessions.present.known_number(number)
        due = await self._store.read(lambda connection: self._find_due(connection, number, known))
        if due is None:
            return None
        row = due.loaded.row
        try:
            predictor, stream = self._sessions.present.of(due.loaded)
            waiting = step_rows.read_waiting(due.prediction.content)
            calls: list[Call] = []
            came = _read_values(due.outcome.content)
            computed = _computed(predictor, stream, waiting, came, due)
            with self._tracing.span("learn", session=row.id):
                told = await drive(computed, self._sessions.seat(number), calls)
            self._sessions.figures.called(calls)
            if told.fate == "failed":
                raise EngineUnavailableError("the engine gave no answer", "it will be asked again")
            after = _learned_in(stream, told)
            scores = _scored(predictor, waiting, came, due.replaced)
            content = rows.text(after)
            left, lag = await self._store.write(partial(_keep, due, predictor, after, content, told, calls, scores))
        except Lost:
            return int(row.due)  # somebody else was first: look again
        self._sessions.present.keep(row, after, content)
        self._count(predictor, after, told, lag)
        self._sessions.signals.happened(number)
        return left

    def _count(self, predictor: Predictor, after: Stream, told: Told, lag: float) -> None:
        memory = predictor.method.memory(after.state)
        tokens = None if memory is None else memory.tokens
        share = None if tokens is None else tokens / predictor.settings.budget
        if told.update is not None:
            self._sessions.figures.learned(told.update, lag, share)

    def _find_due(self, connection: sa.Connection, number: int, known: int) -> Due | None:
        loaded = rows.load_number(connection, number, known)
        outcome = None if loaded is None else learning_rows.first_due(connection, number)
        if loaded is None or outcome is None:
            return None
        prediction = learning_rows.prediction_of(connection, outcome)
        oldest = replaced = None
        if self._sessions.present.predictor(loaded.row).keeping.policy == "replay":
            oldest = learning_rows.oldest_waiting(connection, outcome)
        if outcome.replaces is not None:
            replaced = learning_rows.learned_before(connection, outcome)
        return Due(loaded, outcome, prediction, oldest, replaced)


def _keep(
    due: Due,
    predictor: Predictor,
    after: Stream,
    content: str,
    told: Told,
    calls: list[Call],
    scores: Scored,
    connection: sa.Connection,
) -> tuple[int, float]:
    """Keep what was learned, and that it was: both or neither. Give what is due then, and the seconds since it came."""
    row, outcome = due.loaded.row, due.outcome
    lesson = learning_rows.lesson(row, outcome, scores.change, calls, first=due.prediction.status == "waiting")
    learned = commit(connection, row, predictor, after, content, told.stream.versions, "model", lesson)
    memory = predictor.method.memory(after.state)
    result: dict[str, Any] = {"update": told.update, "note": told.note, "scores": kept(scores.own)}
    if memory is not None:
        result["memory_version"] = memory.version
    if not learning_rows.mark_learned(connection, outcome, row.revision + 1, rows.text(result)):
        raise Lost  # it was superseded meanwhile
    sum_rows.add_scores(connection, row.number, outcome.step, scores.change)
    spent(connection, row.tenant, calls)
    return learned.due, learned.changed - outcome.received


def _scored(predictor: Predictor, waiting: Waiting, came: dict[str, Value], replaced: Row | None) -> Scored:
    own = scored(predictor.task, waiting.prediction, came)
    if replaced is None:
        return Scored(own, own)
    before = scored_then(predictor.task, waiting.prediction, replaced.content, replaced.result)
    return Scored(own, sum_rows.added(less(before), own))


def _computed(predictor: Predictor, stream: Stream, waiting: Waiting, came: dict[str, Value], due: Due) -> Calls[Told]:
    """Learn an outcome, or correct the one that was learned, in a stream with what a replay may go back to."""
    method, keeping = predictor.method, predictor.keeping
    others = () if due.oldest is None else (step_rows.read_waiting(due.oldest),)
    if due.prediction.status == "learned":
        stream = msgspec.structs.replace(stream, waiting=others)
        return correct(method, stream, waiting, came, keeping.policy, keeping)
    every = sorted((*others, waiting), key=lambda one: one.observation.t)
    stream = msgspec.structs.replace(stream, waiting=tuple(every))
    return tell(method, stream, waiting.id, came, keeping.policy, keeping)


def _learned_in(before: Stream, told: Told) -> Stream:
    """Give the stream after it, bare; which ids were learned stands in tables."""
    return msgspec.structs.replace(
        bare(told.stream),
        learned=before.learned,
        forgotten=before.forgotten,
        given_up=before.given_up,
        abandoned=before.abandoned,
    )
