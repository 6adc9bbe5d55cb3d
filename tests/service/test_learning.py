"""Outcomes are learned in their order, once, whoever is away or dies."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from llm_as_rnn.core.errors import EngineError
from llm_as_rnn.service.learning import MISTAKES, Learning
from llm_as_rnn.service.schema import sessions
from llm_as_rnn.service.sessions import Sessions
from llm_as_rnn.service.views import NewSession
from tests.service.house import House, came, failing_first, in_house


def test_outcomes_are_learned_in_the_order_of_their_arrival(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        for number in range(6):
            await one.predict(number)
        for number in (3, 0, 5, 1):
            await one.tell(f"#{number}", came(number))
        assert await one.learn() == 4
        kept = await one.sessions.versions(one.me, "seattle")
        learned = [entry.t for entry in kept if entry.t is not None]
        assert learned == [number for number in (3, 0, 5, 1) if number in learned]
        assert len(learned) > 1

    in_house(database, work)


def test_an_engine_that_is_away_costs_no_outcome(database: str) -> None:
    async def work(one: House) -> None:
        new = NewSession(task="weather", id="seattle", method="recurrent", settings={"rule": "rewrite"})
        await one.sessions.create(one.me, new)
        await one.predict(0, "a")
        await one.tell("a", came(0))
        one.engine.away = True
        with pytest.raises(EngineError):
            await one.learn()
        shown = await one.sessions.get(one.me, "seattle")
        assert (shown.due, shown.revision) == (1, 1)
        lost = await one.predict(1, "b")
        assert (lost.status, lost.values) == ("engine_error", None)
        one.engine.away = False
        again = await one.predict(1, "b")
        assert (again.t, again.status) == (lost.t, "invalid")  # what the model says is no JSON, but it says something
        assert await one.predict(1, "b") == again
        assert await one.learn() == 1
        assert (await one.sessions.outcome(one.me, "seattle", "a")).status == "learned"
        assert (await one.sessions.get(one.me, "seattle")).steps == 2

    in_house(database, work)


def test_workers_learn_everything_once(database: str) -> None:
    steps, names = 12, ("a", "b", "c")

    async def work(one: House) -> None:
        workers = [Learning(Sessions(one.sessions.store, one.engine), at_once=2) for _ in range(3)]
        for name in names:
            await one.begin(name)
            for number in range(steps):
                await one.predict(number, session=name)
        for worker in workers:
            worker.start()
        told = [one.tell(f"#{number}", came(number), name) for number in range(steps) for name in names]
        await asyncio.gather(*told)
        for name in names:
            for number in range(steps):
                assert (await one.sessions.wait(one.me, name, f"#{number}", 60)).status == "learned"
        for worker in workers:
            await worker.close()
        for name in names:
            shown = await one.sessions.get(one.me, name)
            assert (shown.due, shown.waiting, shown.revision) == (0, 0, steps + 1)
            scores = await one.sessions.scores(one.me, name)
            assert scores.total["sky.accuracy"][0] == steps

    in_house(database, work)


def test_a_mistake_of_ours_refuses_one_outcome_and_those_behind_it_are_learned(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_as_rnn.service.learning.AGAIN", (0.0,))
    monkeypatch.setattr("llm_as_rnn.service.learning.LOOK", 0.01)

    async def work(one: House) -> None:
        await one.begin(rule="rewrite", form="json")
        for number in range(2):
            await one.predict(number)
            await one.tell(f"#{number}", came(number))
        learning = Learning(one.sessions, at_once=1)
        mistakes = iter([ZeroDivisionError("a mistake")] * MISTAKES)
        monkeypatch.setattr(one.engine, "complete", failing_first(one.engine.complete, mistakes))
        learning.start()
        refused = await one.sessions.wait(one.me, "seattle", "#0", 60)
        assert (refused.status, refused.note) == ("refused", "ZeroDivisionError: a mistake")
        assert (await one.sessions.wait(one.me, "seattle", "#1", 60)).status == "learned"
        await learning.close()

    in_house(database, work)


def test_a_lease_of_a_worker_that_died_ends(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0)
        await one.tell("#0", came(0))
        heir = Learning(one.sessions, name="heir")
        store = one.sessions.store
        assert await Learning(one.sessions, name="dead").claim(9)
        assert not await heir.claim(9)
        await store.write(lambda connection: connection.execute(sa.update(sessions).values(leased_until=1.0)))
        (number,) = await heir.claim(9)
        assert await heir.learn_next(number)
        row = await one.sessions.row(one.me, "seattle")
        assert (row.worker, row.due) == (None, 0)  # the last one that was due frees it

    in_house(database, work)


def test_two_that_learn_the_same_at_once_learn_it_once(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        for number in range(8):
            await one.predict(number)
            await one.tell(f"#{number}", came(number))
        number = (await one.sessions.row(one.me, "seattle")).number
        both = [Learning(Sessions(one.sessions.store, one.engine)) for _ in range(3)]

        async def all_of_it(learning: Learning) -> None:
            while await learning.learn_next(number):
                pass

        await asyncio.gather(*map(all_of_it, both))
        shown = await one.sessions.get(one.me, "seattle")
        assert (shown.due, shown.waiting, shown.revision) == (0, 0, 9)
        assert (await one.sessions.scores(one.me, "seattle")).total["sky.accuracy"][0] == 8

    in_house(database, work)
