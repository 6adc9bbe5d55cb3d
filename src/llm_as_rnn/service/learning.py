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
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, LlmAsRnnError
from llm_as_rnn.core.method import Calls
from llm_as_rnn.core.records import Call, Value
from llm_as_rnn.engines.drive import drive
from llm_as_rnn.service import rows
from llm_as_rnn.service.errors import StoreUnavailableError
from llm_as_rnn.service.predictors import Predictor
from llm_as_rnn.service.present import Lost, bare, commit
from llm_as_rnn.service.rows import Loaded, Row
from llm_as_rnn.service.schema import outcomes, predictions, sessions
from llm_as_rnn.service.scoring import less, scored
from llm_as_rnn.service.sessions import Sessions
from llm_as_rnn.service.spending_rows import spent
from llm_as_rnn.service.store import now
from llm_as_rnn.service.tracing import Tracing
from llm_as_rnn.streams.online import Stream, Told, correct, tell
from llm_as_rnn.streams.replaying import Waiting

log = logging.getLogger(__name__)

LEASE = 60.0
"""Seconds after which a session is free again whose worker has not said that it is still there."""
RENEWED = 15.0
"""Seconds after which it says so."""
LOOK = 0.5
"""Seconds after which a worker that has nothing to do looks for what other processes took, or left."""
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
        The oldest prediction that waits, where a replay may go back to it.
    replaced : str or None
        The outcome in the place of which this one comes, if that was learned.
    """

    loaded: Loaded
    outcome: Row
    prediction: Row
    oldest: str | None
    replaced: str | None


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
        self._held: set[int] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()

    def start(self) -> None:
        """Begin."""
        works = [self._work() for _ in range(self._at_once)]
        self._tasks = [asyncio.create_task(work) for work in (*works, self._renew())]

    async def close(self) -> None:
        """End: what is being learned is learned to its end, and what is due stays for others."""
        self._ending.set()
        self._sessions.due.set()
        *workers, renewing = self._tasks
        await asyncio.gather(*workers)
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing

    async def _work(self) -> None:
        while not self._ending.is_set():
            self._sessions.due.clear()  # before looking: what comes from now on is seen, or wakes us
            try:
                number = await self._store.write(self._claim)
                if number is None:
                    await self._rest()
                else:
                    await self._learn_all(number)
            except StoreUnavailableError as error:
                log.warning("%s", error)
                await self._rest()
            except Exception:
                log.exception("learning failed")
                await self._rest()

    async def _rest(self) -> None:
        """Wait for an outcome to come, or to look what other processes left."""
        if self._ending.is_set():
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._sessions.due.wait(), LOOK)

    def _claim(self, connection: sa.Connection) -> int | None:
        """Lease the session whose outcomes have been due for longest, of those that are free."""
        at = now(connection)
        free = (
            sa.select(sessions.c.number)
            .where(
                sessions.c.due > 0,
                _is_over(sessions.c.leased_until, at, LEASE),
                _is_over(sessions.c.not_before, at, AGAIN[-1]),
            )
            .order_by(sessions.c.due_since)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        number: int | None = connection.execute(free).scalar_one_or_none()
        if number is not None:
            leased = sa.update(sessions).where(sessions.c.number == number)
            connection.execute(leased.values(worker=self._name, leased_until=at + LEASE))
        return number

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWED)
            if self._held:
                try:
                    await self._store.write(self._still_here)
                except StoreUnavailableError as error:
                    log.warning("%s", error)
                except Exception:
                    log.exception("leases could not be renewed")

    def _still_here(self, connection: sa.Connection) -> None:
        mine = sa.update(sessions).where(sessions.c.number.in_(list(self._held)), sessions.c.worker == self._name)
        connection.execute(mine.values(leased_until=now(connection) + LEASE))

    async def _learn_all(self, number: int) -> None:
        """Learn what is due in a session, a few at a time, and free it."""
        self._held.add(number)
        wait = 0.0
        try:
            for _ in range(TOGETHER):
                if self._ending.is_set() or not await self.learn_next(number):
                    break
        except StoreUnavailableError:
            raise
        except LlmAsRnnError as error:
            log.warning("session %s: %s", number, error)
            wait = await self._failed(number, error)
        except Exception as error:
            log.exception("session %s: an outcome could not be learned", number)
            wait = await self._failed(number, error)
        finally:
            self._held.discard(number)
            await self._let_go(number, wait)

    async def _let_go(self, number: int, wait: float) -> None:
        """Free a session, once the database answers: else nobody learned in it before the lease has ended."""
        while True:
            try:
                await self._store.write(lambda connection: self._free(connection, number, wait))
            except StoreUnavailableError as error:
                log.warning("%s", error)
                if self._ending.is_set():
                    return
                await self._rest()
            else:
                return

    def _free(self, connection: sa.Connection, number: int, wait: float) -> None:
        mine = sa.update(sessions).where(sessions.c.number == number, sessions.c.worker == self._name)
        connection.execute(mine.values(worker=None, leased_until=0.0, not_before=now(connection) + wait))

    async def _failed(self, number: int, error: Exception) -> float:
        """Note that learning failed, refuse what fails again and again, and say how long to wait."""
        mistake = not isinstance(error, EngineError)

        def failing(connection: sa.Connection) -> int:
            values = {"failures": sessions.c.failures + 1, "mistakes": sessions.c.mistakes + int(mistake)}
            mine = sa.update(sessions).where(sessions.c.number == number).values(values)
            row = connection.execute(mine.returning(sessions.c.failures, sessions.c.mistakes)).one_or_none()
            if row is not None and mistake and row.mistakes >= MISTAKES:
                self._refuse(connection, number, f"{type(error).__name__}: {error}")
            return 1 if row is None else int(row.failures)

        self._sessions.figures.failed()
        failures = await self._store.write(failing)
        self._sessions.present.drop(number)
        return AGAIN[min(failures, len(AGAIN)) - 1]

    def _refuse(self, connection: sa.Connection, number: int, why: str) -> None:
        first = sa.select(outcomes.c.number).where(outcomes.c.session == number, outcomes.c.status == "waiting")
        oldest = connection.execute(first.order_by(outcomes.c.number).limit(1)).scalar_one_or_none()
        if oldest is not None:
            refused = {"status": "refused", "result": rows.text({"note": why})}
            connection.execute(sa.update(outcomes).where(outcomes.c.number == oldest).values(refused))
            less_due = rows.less_due(number)
            connection.execute(sa.update(sessions).where(sessions.c.number == number).values(less_due))

    async def learn_next(self, number: int) -> bool:
        """Learn the oldest outcome that is due in a session; tell whether there was one.

        Raises
        ------
        EngineUnavailableError
            If the engine gave no answer. Nothing was changed.
        """
        known = self._sessions.present.known_number(number)
        due = await self._store.read(lambda connection: self._find_due(connection, number, known))
        if due is None:
            return False
        row = due.loaded.row
        try:
            predictor, stream = self._sessions.present.of(due.loaded)
            waiting = rows.read_waiting(due.prediction.content)
            calls: list[Call] = []
            came = msgspec.json.decode(due.outcome.content, type=dict[str, Value])
            computed = _computed(predictor, stream, waiting, came, due)
            with self._tracing.span("learn", session=row.id):
                told = await drive(computed, self._sessions.seat(number), calls)
            self._sessions.figures.called(calls)
            if told.fate == "failed":
                raise EngineUnavailableError("the engine gave no answer", "it will be asked again")
            after = _learned_in(stream, told)
            revision, lag = await self._store.write(
                lambda connection: self._commit(connection, due, predictor, after, told, calls)
            )
        except Lost:
            return True  # somebody else was first: look again
        self._sessions.present.keep(row, revision, after)
        self._count(predictor, after, told, lag)
        self._sessions.signals.happened(number)
        return True

    def _count(self, predictor: Predictor, after: Stream, told: Told, lag: float) -> None:
        memory = predictor.method.memory(after.state)
        tokens = None if memory is None else memory.tokens
        share = None if tokens is None else tokens / predictor.settings.budget
        if told.update is not None:
            self._sessions.figures.learned(told.update, lag, share)

    def _find_due(self, connection: sa.Connection, number: int, known: int) -> Due | None:
        loaded = rows.load_number(connection, number, known)
        if loaded is None:
            return None
        where = (outcomes.c.session == number, outcomes.c.status == "waiting")
        asked = sa.select(outcomes).where(*where).order_by(outcomes.c.number).limit(1)
        outcome = connection.execute(asked).one_or_none()
        if outcome is None:
            return None
        of = (predictions.c.session == number, predictions.c.step == outcome.step)
        prediction = connection.execute(sa.select(predictions).where(*of)).one()
        oldest = replaced = None
        if self._sessions.present.predictor(loaded.row).keeping.policy == "replay":
            waiting = (predictions.c.session == number, predictions.c.status == "waiting")
            first = sa.select(predictions.c.content).where(*waiting).order_by(predictions.c.step).limit(1)
            oldest = connection.execute(first).scalar_one_or_none()
        if outcome.replaces is not None:
            learned = (outcomes.c.session == number, outcomes.c.step == outcome.step, outcomes.c.status == "learned")
            last = sa.select(outcomes.c.content).where(*learned).order_by(outcomes.c.number.desc()).limit(1)
            replaced = connection.execute(last).scalar_one_or_none()
        return Due(loaded, outcome, prediction, oldest, replaced)

    @staticmethod
    def _commit(
        connection: sa.Connection, due: Due, predictor: Predictor, after: Stream, told: Told, calls: list[Call]
    ) -> tuple[int, float]:
        """Keep what was learned, and that it was: both or neither. Give the revision, and the seconds since it came."""
        row, outcome = due.loaded.row, due.outcome
        revision = commit(connection, row, predictor, after, told.stream.versions, "model")
        memory = predictor.method.memory(after.state)
        result: dict[str, Any] = {"update": told.update, "note": told.note}
        if memory is not None:
            result["memory_version"] = memory.version
        at = now(connection)
        learned = {"status": "learned", "learned": at, "revision": revision, "result": rows.text(result)}
        mine = sa.update(outcomes).where(outcomes.c.number == outcome.number, outcomes.c.status == "waiting")
        if connection.execute(mine.values(learned)).rowcount != 1:
            raise Lost  # it was superseded meanwhile
        of = (predictions.c.session == row.number, predictions.c.step == outcome.step)
        connection.execute(sa.update(predictions).where(*of).values(status="learned"))
        waiting = rows.read_waiting(due.prediction.content)
        came = msgspec.json.decode(outcome.content, type=dict[str, Value])
        change: dict[str, tuple[int, float]] = scored(predictor.task, waiting.prediction, came)
        if due.replaced is not None:
            before = msgspec.json.decode(due.replaced, type=dict[str, Value])
            change = rows.added(less(scored(predictor.task, waiting.prediction, before)), change)
        rows.add_scores(connection, row.number, outcome.step, change)
        rows.count_learned(connection, row.number, change, calls, first=due.prediction.status == "waiting")
        spent(connection, row.tenant, calls)
        return revision, at - outcome.received


def _is_over(until: sa.Column[float], at: float, longest: float) -> sa.ColumnElement[bool]:
    """Tell whether a time is over. One further off than any that is ever set was set before the clock was put back."""
    return sa.or_(until <= at, until > at + longest)


def _computed(predictor: Predictor, stream: Stream, waiting: Waiting, came: dict[str, Value], due: Due) -> Calls[Told]:
    """Learn an outcome, or correct the one that was learned, in a stream with what a replay may go back to."""
    method, keeping = predictor.method, predictor.keeping
    oldest = () if due.oldest is None else (rows.read_waiting(due.oldest),)
    others = tuple(one for one in oldest if one.id != waiting.id)
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
