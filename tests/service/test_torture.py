"""What the torture test found, each by itself; and a short run of it: see ``tests/service/torture``."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import EngineError
from llm_as_rnn.service import learning, rows, store
from llm_as_rnn.service.errors import StoreUnavailableError
from llm_as_rnn.service.learning import MISTAKES, Learning
from llm_as_rnn.service.schema import sessions
from llm_as_rnn.service.store import PostgreSQLStore, Store, now
from llm_as_rnn.service.views import NewPrediction, NewSession
from tests.service.house import SETTINGS, House, came, day, house, in_house
from tests.service.postgres import Server
from tests.service.torture.run import torture

KILLS = 4


def test_a_short_run_finds_nothing(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: Server | None = request.getfixturevalue("postgres") if database.startswith("postgresql") else None
    result = asyncio.run(torture(database, server, tmp_path, kills=KILLS, seed=1, every=(0.2, 0.6)))
    assert result.faults == [], result.said[-3000:]
    assert result.figures["kills"] >= KILLS
    assert result.figures["outcomes acknowledged"] > 0


async def _number(one: House, session: str = "seattle") -> int:
    return int((await one.sessions.row(one.me, session)).number)


async def _set(one: House, **values: Any) -> None:
    number = await _number(one)
    changed = sa.update(sessions).where(sessions.c.number == number).values(**values)
    await one.sessions.store.write(lambda connection: connection.execute(changed))


@pytest.mark.parametrize("column", ["leased_until", "not_before"])
def test_a_clock_that_is_put_back_stops_no_session(database: str, column: str) -> None:
    """Leases and pauses are times of the database; after a jump of two hours back they end in two hours."""

    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0, "a")
        await one.tell("a", came(0))
        at = await one.sessions.store.read(now)
        worker = Learning(one.sessions)
        await _set(one, **{column: at + 7200.0})
        assert await worker.claim(9) == [await _number(one)]
        await _set(one, leased_until=at + learning.LEASE - 1.0, not_before=0.0)  # a lease that somebody holds
        assert not await worker.claim(9)

    in_house(database, work)


def test_an_outcome_that_is_told_again_after_its_correction_is_the_same(database: str) -> None:
    """Whoever got no answer tells it again, however late."""

    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0, "a")
        first = await one.tell("a", came(0))
        second = await one.tell("a", came(1), replaces=first.number)
        third = await one.tell("a", came(0), replaces=second.number)
        assert len({first.number, second.number, third.number}) == 3
        assert (await one.tell("a", came(1), replaces=first.number)).number == second.number
        assert (await one.tell("a", came(0))).number == third.number
        fourth = await one.tell("a", came(2), replaces=third.number)
        assert (await one.tell("a", came(0), replaces=second.number)).number == third.number
        assert (await one.tell("a", came(0))).number == first.number
        await one.learn()
        assert (await one.sessions.outcome(one.me, "seattle", "a")).number == fourth.number
        assert (await one.sessions.get(one.me, "seattle")).due == 0

    in_house(database, work)


def test_a_prediction_that_is_asked_for_again_twice_at_once_is_acknowledged_as_one(database: str) -> None:
    """A model that gave no answer is asked again; of two that do so at once the first one's answer stays."""

    async def work(one: House) -> None:
        await one.sessions.create(
            one.me, NewSession(task="weather", id="seattle", method="recurrent", settings=SETTINGS)
        )
        one.engine.away = True
        await one.predict(0, "a")
        one.engine.away = False
        said, waits = iter((" sun, 1.5", " rain, 2.5")), asyncio.Barrier(2)

        async def complete(request: Request) -> Completion:
            mine = next(said)
            await waits.wait()
            return Completion(mine, prompt_tokens=1, completion_tokens=1)

        one.engine.complete = complete  # type: ignore[method-assign]
        new = NewPrediction(x=day(0), id="a")
        both = await asyncio.gather(*(one.sessions.predict(one.me, "seattle", new) for _ in range(2)))
        kept = await one.sessions.prediction(one.me, "seattle", "a")
        assert kept.prediction.values is not None
        assert [view.values for view in both] == [kept.prediction.values] * 2

    in_house(database, work)


def test_a_fork_is_of_one_moment(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody learns between the reading of a session's state and that of its versions: the fork has one or both."""

    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0, "a")
        await one.tell("a", came(0))
        number, real = await _number(one), rows.entries
        monkeypatch.setitem(store.POSTGRESQL_SETTINGS, "lock_timeout", "100ms")

        async def learned_elsewhere() -> None:
            async with house(database) as other:
                await Learning(other.sessions).learn_next(number)

        def entries(connection: sa.Connection, session: int, most: int) -> Any:
            if connection.dialect.name == "postgresql":  # SQLite has one that writes at a time
                thread = threading.Thread(target=_quietly, args=(learned_elsewhere(),))
                thread.start()
                thread.join()
            return real(connection, session, most)

        monkeypatch.setattr(rows, "entries", entries)
        await one.sessions.fork(one.me, "seattle", "second")
        monkeypatch.undo()
        fork = await one.sessions.get(one.me, "second")
        kept = await one.sessions.versions(one.me, "second")
        assert kept[-1].version == fork.memory_version

    in_house(database, work)


def _quietly(work: Any) -> None:
    with suppress(StoreUnavailableError):
        asyncio.run(work)


def test_failures_of_an_engine_are_no_mistakes(database: str) -> None:
    """However often an engine was away, an outcome is refused for mistakes alone."""

    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0, "a")
        await one.tell("a", came(0))
        worker, number = Learning(one.sessions), await _number(one)
        for _ in range(MISTAKES + 2):
            await worker._failed(number, EngineError("no answer"))
        for _ in range(MISTAKES - 1):
            await worker._failed(number, ValueError("a mistake"))
        assert (await one.sessions.outcome(one.me, "seattle", "a")).status == "waiting"
        await worker._failed(number, ValueError("a mistake"))
        assert (await one.sessions.outcome(one.me, "seattle", "a")).status == "refused"

    in_house(database, work)


def test_sessions_have_their_turn_by_what_is_due_now(database: str) -> None:
    """One that is told something all the time was due first, once, and keeps no others waiting for ever."""

    async def work(one: House) -> None:
        await one.begin()
        await one.begin("other")
        for number in range(3):
            await one.predict(number, f"p{number}")
        await one.tell("p0", came(0))
        await one.predict(0, "a", session="other")
        await one.tell("a", came(0), session="other")
        await one.tell("p1", came(1))
        worker = Learning(one.sessions)
        assert await worker.learn_next(await _number(one))
        told = await one.sessions.outcome(one.me, "seattle", "p1")
        assert (await one.sessions.row(one.me, "seattle")).due_since == told.received
        await _set(one, due_since=told.received + 0.001)  # of two that came in the same moment either may be first
        assert await worker.claim(1) == [await _number(one, "other")]

    in_house(database, work)


def test_a_session_is_free_again_once_the_database_is_back(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose database went away while it learned lets the session go when it can; its lease need not end."""

    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0, "a")
        await one.tell("a", came(0))
        worker = Learning(one.sessions)
        (number,) = await worker.claim(1)
        real, away = one.sessions.store.write, iter(range(3))

        async def write(work: Any) -> Any:
            if next(away, None) is not None:
                raise StoreUnavailableError("it is away")
            return await real(work)

        monkeypatch.setattr(learning, "LOOK", 0.001)
        monkeypatch.setattr(one.sessions.store, "write", write)
        await worker._learn_all(number)
        assert (await one.sessions.row(one.me, "seattle")).worker is None

    in_house(database, work)


def test_a_session_in_which_somebody_else_was_faster_is_free_again(database: str) -> None:
    """A worker that finds nothing to learn where it has leased lets go: the next outcome is not kept waiting."""

    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0, "a")
        await one.tell("a", came(0))
        await one.learn()
        number = await _number(one)
        await _set(one, worker="slow", leased_until=await one.sessions.store.read(now) + 50.0)
        await Learning(one.sessions, name="slow")._learn_all(number)
        assert (await one.sessions.row(one.me, "seattle")).worker is None

    in_house(database, work)


def test_a_session_is_free_again_where_its_failure_cannot_be_noted(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0, "a")
        await one.tell("a", came(0))
        worker = Learning(one.sessions)
        (number,) = await worker.claim(1)

        async def no_answer(number: int) -> int:
            raise EngineError("no answer")

        async def away(number: int, error: Exception) -> float:
            raise StoreUnavailableError("it is away")

        monkeypatch.setattr(worker, "_learn", no_answer)
        monkeypatch.setattr(worker, "_failed", away)
        with pytest.raises(StoreUnavailableError):
            await worker._learn_all(number)
        assert (await one.sessions.row(one.me, "seattle")).worker is None

    in_house(database, work)


def test_numbers_are_not_given_again(database: str) -> None:
    """Processes know what they read of a session by its number: the next session has another one."""

    async def work(one: House) -> None:
        await one.begin()
        number = await _number(one)
        await one.sessions.delete(one.me, "seattle")
        await one.begin("other")
        assert await _number(one, "other") > number

    in_house(database, work)


def test_a_connection_that_ends_is_a_database_that_is_away() -> None:
    """The driver says of a connection that was cut under it that its own state is wrong, without a code."""
    error = sa.exc.InternalError(
        "SELECT 1", {}, Exception("cannot switch to state 12; another operation is in progress")
    )
    with pytest.raises(StoreUnavailableError), store._told():
        raise error


def test_a_read_is_of_one_moment(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        steps = sa.select(sessions.c.steps)
        more = sa.update(sessions).values(steps=sessions.c.steps + 1)

        def elsewhere() -> None:
            async def write() -> None:
                other = await Store.open(database)
                await other.write(lambda connection: connection.execute(more))
                await other.close()

            thread = threading.Thread(target=lambda: asyncio.run(write()))
            thread.start()
            thread.join()

        def reading(connection: sa.Connection) -> tuple[int, int]:
            before = connection.execute(steps).scalar_one()
            elsewhere()
            return before, connection.execute(steps).scalar_one()

        assert await one.sessions.store.read(reading) == (0, 0)
        assert (await one.sessions.get(one.me, "seattle")).steps == 1

    in_house(database, work)


def test_who_stands_still_in_a_transaction_loses_it(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped, or whose machine is gone, keeps others from a row for no longer than is set.

    What it does is done from the start again, once it goes on.
    """
    monkeypatch.setitem(store.POSTGRESQL_SETTINGS, "idle_in_transaction_session_timeout", "100ms")
    database = postgres.create("still", "migrated")
    locks, goes_on = threading.Event(), threading.Event()
    lock = sa.text("CREATE TABLE IF NOT EXISTS still (number int)")
    rows_of, begun = sa.text("SELECT * FROM still"), list[str]()

    async def stands_still() -> None:
        one = await Store.open(database)

        def standing(connection: sa.Connection) -> None:
            connection.execute(lock)
            begun.append("again" if locks.is_set() else "first")
            locks.set()
            goes_on.wait(30)
            connection.execute(sa.text("INSERT INTO still VALUES (1)"))

        await one.write(standing)
        await one.close()

    async def others() -> None:
        other = await Store.open(database)
        assert isinstance(other, PostgreSQLStore)
        await other.write(lambda connection: connection.execute(lock))
        assert await other.read(lambda connection: connection.execute(rows_of).all()) == []
        await other.close()

    with asyncio.Runner() as runner:
        thread = threading.Thread(target=lambda: asyncio.run(stands_still()))
        thread.start()
        assert locks.wait(30)
        runner.run(others())
        goes_on.set()
        thread.join()
    assert begun == ["first", "again"]
    postgres.drop("still")
