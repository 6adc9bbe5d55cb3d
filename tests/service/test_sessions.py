"""The service's verbs, on both databases: what a session says is what a learner says, and each outcome counts once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from llm_as_rnn import Learner
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.records import Section
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.service.callers import Quotas
from llm_as_rnn.service.errors import (
    ArchivedError,
    ConflictError,
    NotFoundError,
    QuotaError,
    ServiceError,
    StoreUnavailableError,
    UnfitError,
)
from llm_as_rnn.service.learning import Learning
from llm_as_rnn.service.schema import metadata, outcomes
from llm_as_rnn.service.sessions import Sessions
from llm_as_rnn.service.store import Store
from llm_as_rnn.service.views import NewOutcome, NewPrediction, NewSession
from tests.service.house import SETTINGS, House, answer, came, day, in_house

OLDEST_IN_BETWEEN = [2, 0, 1, 5, 3, 4, 8, 6, 7, 9]
"""An outcome of the oldest prediction that waits comes after one of a later step, and another one is out still."""


@pytest.mark.parametrize("policy", ["apply", "replay"])
@pytest.mark.parametrize("method", ["advised", "recurrent"])
@pytest.mark.parametrize("order", [[0, 2, 1, 4, 5, 3, 6, 9, 8, 7], OLDEST_IN_BETWEEN], ids=["late", "oldest"])
def test_a_session_says_what_a_learner_says(database: str, policy: str, method: str, order: list[int]) -> None:
    engine = ScriptedEngine(answer)
    learner = Learner("weather", method=method, engine=engine, sequence="seattle", policy=policy, **SETTINGS)

    async def work(one: House) -> None:
        new = NewSession(task="weather", id="seattle", method=method, settings=SETTINGS | {"policy": policy})
        await one.sessions.create(one.me, new)
        for number in range(12):
            said, expected = await one.predict(number), learner.predict_one(day(number))
            assert (said.id, said.values, said.memory_version) == (
                expected.id,
                expected.values,
                expected.memory_version,
            )
            for part in ("distribution", "believed", "interval", "among", "chance", "abstained", "problem"):
                assert getattr(said, part) == getattr(expected.prediction, part), part
            if number >= 2:
                late = order[number - 2]
                await one.tell(f"#{late}", came(late))
                learner.learn_one(f"#{late}", came(late))
                assert await one.learn() == 1
        memory = await one.sessions.memory(one.me, "seattle")
        assert (memory.text, memory.tokens) == (str(learner.memory), learner.memory.tokens if learner.memory else 0)
        kept = await one.sessions.versions(one.me, "seattle")
        assert [(entry.version, entry.t, entry.reason) for entry in kept] == [
            (entry.memory.version, entry.t, entry.reason) for entry in learner.versions
        ]

    in_house(database, work)
    learner.close()


def test_the_same_id_is_the_same_prediction(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        first = await one.predict(0, "a")
        assert await one.predict(0, "a") == first
        with pytest.raises(ConflictError, match="another observation"):
            await one.predict(1, "a")
        await one.tell("a", came(0))
        await one.learn()
        assert (await one.predict(0, "a")).values == first.values
        assert (await one.sessions.get(one.me, "seattle")).steps == 1
        with pytest.raises(UnfitError, match="looks like an automatic id"):
            await one.predict(2, "#7")

    in_house(database, work)


def test_words_for_nothing_are_nothing_and_the_same_when_sent_again(database: str) -> None:
    async def work(one: House) -> None:
        content = msgspec.to_builtins(load_task("weather")) | {"name": "mine", "dataset": ""}
        content["data"] = {"outcome": {"sky": "next"}, "missing": ["NA"]}
        await one.sessions.put_task(one.me, "mine", content)
        await one.sessions.create(one.me, NewSession(task="mine", id="s", settings=SETTINGS))
        asked = NewPrediction(x={**day(0), "low": "NA"}, id="a")
        first = await one.sessions.predict(one.me, "s", asked)
        assert await one.sessions.predict(one.me, "s", asked) == first
        kept = await one.sessions.prediction(one.me, "s", "a")
        assert kept.x["low"] is None
        with pytest.raises(UnfitError, match="the outcome is empty"):
            await one.tell("a", {"sky": "NA"}, session="s")

    in_house(database, work)


def test_ids_asked_at_the_same_time_are_kept_once(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        said = await asyncio.gather(*(one.predict(number % 4, f"p{number % 4}") for number in range(24)))
        assert sorted({view.t for view in said}) == [0, 1, 2, 3]
        assert len({(view.id, view.t, view.created) for view in said}) == 4
        many = await asyncio.gather(*(one.predict(number) for number in range(20)))
        assert sorted(view.id for view in many) == sorted(f"#{number}" for number in range(4, 24))
        shown = await one.sessions.get(one.me, "seattle")
        assert (shown.steps, shown.waiting) == (24, 24)

    in_house(database, work)


def test_every_call_to_the_model_is_paid_whoever_was_first(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        one.engine.away = True
        await one.predict(0, "made again")
        one.engine.away = False
        before = (await one.sessions.get(one.me, "seattle")).calls
        for number, name in ((0, "made again"), (1, "made")):
            await asyncio.gather(*(one.predict(number, name) for _ in range(6)))
        asked = sum(request.role == "predict" for request in one.engine.requests)
        (today,) = await one.sessions.spend(one.me)
        assert asked > 2, "several asked before the first was kept"
        assert ((await one.sessions.get(one.me, "seattle")).calls, today.calls) == (before + asked, before + asked)

    in_house(database, work)


def test_an_outcome_counts_once_and_can_be_corrected(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        first = await one.predict(0, "a")
        told = await one.tell("a", came(0))
        assert told.status == "waiting"
        assert (await one.tell("a", came(0))).number == told.number
        wrong = {"sky": "snow", "high": 0.0}
        with pytest.raises(ConflictError, match=f'"replaces": {told.number}'):
            await one.tell("a", wrong)
        again = await one.tell("a", wrong, replaces=told.number)
        assert (await one.tell("a", wrong, replaces=told.number)).number == again.number
        assert (await one.sessions.get(one.me, "seattle")).due == 1
        assert await one.learn() == 1
        statuses = await one.sessions.store.read(
            lambda connection: connection.execute(
                sa.select(outcomes.c.status).order_by(outcomes.c.number)
            ).scalars().all()
        )  # fmt: skip
        assert list(statuses) == ["superseded", "learned"]
        right = {"sky": str((first.values or {})["sky"]), "high": 9.5}
        last = await one.tell("a", right, replaces=again.number)
        with pytest.raises(ConflictError):
            await one.tell("a", came(3), replaces=told.number)
        assert await one.learn() == 1
        shown = await one.sessions.outcome(one.me, "seattle", "a")
        assert (shown.number, shown.status, shown.replaces) == (last.number, "learned", again.number)
        total = (await one.sessions.scores(one.me, "seattle")).total
        assert total["sky.accuracy"] == (1, 1.0)
        assert (await one.sessions.get(one.me, "seattle")).waiting == 0

    in_house(database, work)


def test_a_closed_database_says_so(database: str) -> None:
    async def work() -> None:
        store = await Store.open(database)
        await store.close()
        if database.startswith("sqlite"):
            with pytest.raises(StoreUnavailableError, match="closed"):
                await store.write(lambda connection: None)

    asyncio.run(work())


def test_what_is_deleted_is_gone(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0)
        await one.tell("#0", came(0))
        await one.learn()
        await one.sessions.delete(one.me, "seattle")
        left = await one.sessions.store.read(
            lambda connection: {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }
        )
        assert {name for name, number in left.items() if number} == {"tenants", "tasks", "spending"}
        with pytest.raises(NotFoundError):
            await one.predict(0)

    in_house(database, work)


def test_sessions_are_forked_archived_listed_and_moved(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0)
        await one.tell("#0", came(0))
        await one.learn()
        fork = await one.sessions.fork(one.me, "seattle", "york")
        assert (fork.steps, fork.waiting) == (1, 0)
        same = [await one.predict(1, session=name) for name in ("seattle", "york")]
        assert same[0].values == same[1].values
        await one.tell("#1", came(1), "york")
        await one.learn("york")
        assert (await one.sessions.memory(one.me, "seattle")).text != (await one.sessions.memory(one.me, "york")).text
        await one.sessions.set_status(one.me, "york", "archived")
        with pytest.raises(ArchivedError):
            await one.predict(2, session="york")
        assert [view.id for view in await one.sessions.list(one.me)] == ["seattle", "york"]
        assert [view.id for view in await one.sessions.list(one.me, status="archived")] == ["york"]
        assert [view.id for view in await one.sessions.list(one.me, after="seattle", search="or")] == ["york"]
        task = (await one.sessions.task(one.me, "weather")).content or {}
        await one.sessions.put_task(one.me, "weather", task | {"title": "another"})
        assert (await one.sessions.get(one.me, "seattle")).task_version == 1
        assert (await one.sessions.move(one.me, "seattle")).task_version == 2
        with pytest.raises(UnfitError, match="other sections"):
            other = task | {"memory": [{"name": "One", "about": "all"}]}
            await one.sessions.put_task(one.me, "weather", other)
            await one.sessions.move(one.me, "seattle")

    in_house(database, work)


@pytest.mark.parametrize("method", ["advised", "recurrent"])
def test_what_the_model_gave_no_answer_to_is_made_again_until_its_outcome_is_told(database: str, method: str) -> None:
    async def work(one: House) -> None:
        await one.sessions.create(one.me, NewSession(task="weather", id="seattle", method=method, settings=SETTINGS))
        one.engine.away = True
        lost = await one.predict(0, "a")
        late = await one.predict(1, "b")
        await one.tell("b", came(1))
        one.engine.away = False
        again = await one.predict(0, "a")
        assert lost.problem
        assert (again.status, again.problem, again.t) == ("ok", "", lost.t)
        asked = len(one.engine.requests)
        assert await one.predict(0, "a") == again
        assert await one.predict(1, "b") == late, "its outcome has come: nothing is said of it any more"
        assert len(one.engine.requests) == asked

    in_house(database, work)


def test_a_version_is_put_back_while_outcomes_are_learned(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        for number in range(4):
            await one.predict(number)
            await one.tell(f"#{number}", came(number))
        number = (await one.sessions.row(one.me, "seattle")).number
        learning = Learning(one.sessions)
        assert await learning.learn_next(number)
        first = await one.sessions.memory(one.me, "seattle", 0)
        _, shown = await asyncio.gather(one.learn(), one.sessions.restore(one.me, "seattle", 0))
        assert (shown.text, shown.author, shown.reason) == (first.text, "somebody", "version 0 restored")
        kept = await one.sessions.versions(one.me, "seattle")
        assert [entry.revision for entry in kept] == sorted({entry.revision for entry in kept})
        assert (await one.sessions.get(one.me, "seattle")).due == 0
        with pytest.raises(NotFoundError):
            await one.sessions.restore(one.me, "seattle", 99)

    in_house(database, work)


def test_a_person_edits_and_pins_notes(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        for number in range(3):
            await one.predict(number)
            await one.tell(f"#{number}", came(number))
        await one.learn()
        before = await one.sessions.memory(one.me, "seattle")
        note = next(item for section in before.sections for item in section.items if "->" in item)
        pinned = await one.sessions.pin(one.me, "seattle", note)
        assert (pinned.text, pinned.version, pinned.pinned) == (before.text, before.version, (note,))
        name = before.sections[-1].name
        for expected, error in ((before.version + 7, ConflictError), (before.version, UnfitError)):
            with pytest.raises(error):
                await one.sessions.edit(one.me, "seattle", [Section("Nowhere", ("a note",))], expected)
        edited = await one.sessions.edit(one.me, "seattle", [Section(name, ("fog is rare",))], before.version)
        assert (edited.author, edited.reason, edited.pinned) == ("somebody", "edited", (note,))
        assert edited.version == before.version + 1
        for number in range(3, 24):
            await one.predict(number)
            await one.tell(f"#{number}", came(number) | {"high": 10.0 + number})
            await one.learn()
        after = await one.sessions.memory(one.me, "seattle")
        assert note in after.text
        assert after.tokens is not None
        assert after.tokens <= SETTINGS["budget"]
        restored = await one.sessions.restore(one.me, "seattle", 0)
        assert note in restored.text
        assert (await one.sessions.pin(one.me, "seattle", note, False)).pinned == ()
        kept = await one.sessions.versions(one.me, "seattle")
        assert [view.revision for view in kept] == sorted({view.revision for view in kept})

    in_house(database, work)


@pytest.mark.parametrize("policy", ["apply", "replay"])
def test_a_correction_under_replay_is_as_if_the_first_had_never_come(database: str, policy: str) -> None:
    right = {"sky": "fog", "high": 20.5}

    async def work(one: House) -> None:
        for name in ("corrected", "told"):
            await one.begin(name, policy=policy)
            for number in range(6):
                await one.predict(number, session=name)
        for number in (1, 2, 3):
            first = right if number == 2 else came(number)
            await one.tell(f"#{number}", came(number), "corrected")
            await one.tell(f"#{number}", first, "told")
        assert (await one.learn("corrected"), await one.learn("told")) == (3, 3)
        number = (await one.sessions.outcome(one.me, "corrected", "#2")).number
        await one.tell("#2", right, "corrected", replaces=number)
        assert await one.learn("corrected") == 1
        texts = {name: (await one.sessions.memory(one.me, name)).text for name in ("corrected", "told")}
        assert (texts["corrected"] == texts["told"]) == (policy == "replay")
        totals = [(await one.sessions.scores(one.me, name)).total for name in ("corrected", "told")]
        assert totals[0]["sky.accuracy"] == totals[1]["sky.accuracy"]

    in_house(database, work)


def test_what_is_used_is_counted_and_sessions_have_a_quota(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0, "a")
        await one.predict(0, "a")  # nothing is asked again
        await one.predict(1)
        await one.tell("a", came(0))
        await one.learn()
        (today,) = await one.sessions.spend(one.me)
        session = await one.sessions.get(one.me, "seattle")
        assert (today.requests, today.calls, today.prompt_tokens) == (2, session.calls, session.prompt_tokens)
        assert today.prompt_tokens > today.completion_tokens > 0
        assert list(await one.sessions.spend(one.other)) == []
        limited = one.me._replace(quotas=Quotas(sessions=2))
        await one.sessions.create(limited, NewSession(task="weather", settings=SETTINGS))
        for attempt in (
            one.sessions.create(limited, NewSession(task="weather", settings=SETTINGS)),
            one.sessions.fork(limited, "seattle"),
        ):
            with pytest.raises(QuotaError, match="2 sessions"):
                await attempt

    in_house(database, work)


def test_nobody_sees_what_is_anothers(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        await one.predict(0, "a")
        await one.tell("a", came(0))
        tried: list[Awaitable[object]] = [
            one.sessions.get(one.other, "seattle"),
            one.sessions.predict(one.other, "seattle", NewPrediction(x=day(1))),
            one.sessions.prediction(one.other, "seattle", "a"),
            one.sessions.tell(one.other, "seattle", "a", NewOutcome(y=came(0))),
            one.sessions.outcome(one.other, "seattle", "a"),
            one.sessions.wait(one.other, "seattle", "a", 0.0),
            one.sessions.memory(one.other, "seattle"),
            one.sessions.versions(one.other, "seattle"),
            one.sessions.restore(one.other, "seattle", 0),
            one.sessions.steps(one.other, "seattle"),
            one.sessions.scores(one.other, "seattle"),
            one.sessions.dump(one.other, "seattle"),
            one.sessions.fork(one.other, "seattle"),
            one.sessions.move(one.other, "seattle"),
            one.sessions.set_status(one.other, "seattle", "archived"),
            one.sessions.delete(one.other, "seattle"),
        ]
        for trial in tried:
            with pytest.raises(NotFoundError):
                await trial
        assert list(await one.sessions.list(one.other)) == []
        assert list(await one.sessions.tasks(one.other)) == []
        same = await one.sessions.create(one.other, NewSession(task="weather", id="seattle", settings=SETTINGS))
        assert same.steps == 0
        assert (await one.sessions.get(one.me, "seattle")).steps == 1

    in_house(database, work)


def test_the_oldest_is_given_up_where_too_many_wait(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin(max_waiting=2)
        for number in range(4):
            await one.predict(number)
            if number == 1:
                await one.tell("#1", came(1))  # has come, and is not given up
        shown = await one.sessions.get(one.me, "seattle")
        assert (shown.steps, shown.waiting) == (4, 2)
        with pytest.raises(ConflictError, match="given up"):
            await one.tell("#0", came(0))
        assert (await one.sessions.outcome(one.me, "seattle", "#1")).status == "waiting"
        assert await one.learn() == 1

    in_house(database, work)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ({"task": "nothing"}, "there is no task nothing"),
        ({"task": "weather", "method": "magic"}, "magic"),
        ({"task": "weather", "settings": {"bugdet": 3}}, "bugdet"),
        ({"task": "weather", "settings": {"budget": 5}}, "more than the budget of 5"),
        ({"task": "weather", "settings": {"shared": 64}}, "one sequence"),
        ({"task": "weather", "task_version": 9}, "version 9"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(database: str, new: dict[str, Any], said: str) -> None:
    async def work(one: House) -> None:
        with pytest.raises(ServiceError, match=said) as refused:
            await one.sessions.create(one.me, NewSession(**new))
        assert "\n" not in str(refused.value)
        assert refused.value.status in (404, 422)

    in_house(database, work)


def test_credentialed_data_goes_to_no_engine_elsewhere(database: str) -> None:
    async def work(one: House) -> None:
        elsewhere = ScriptedEngine(answer, EngineInfo("openai:far", host="models.example"))
        sessions = Sessions(one.sessions.store, elsewhere)
        with pytest.raises(UnfitError, match="must not leave this machine"):
            await sessions.create(one.me, NewSession(task="mimic"))
        own = (await one.sessions.task(one.me, "mimic")).content or {}
        await sessions.put_task(one.me, "mine", own)  # by another name its data are the same
        with pytest.raises(UnfitError, match="must not leave this machine"):
            await sessions.create(one.me, NewSession(task="mine"))
        assert elsewhere.requests == []

    in_house(database, work)


def test_observations_and_outcomes_that_do_not_fit_change_nothing(database: str) -> None:
    async def work(one: House) -> None:
        await one.begin()
        with pytest.raises(UnfitError):
            await one.sessions.predict(one.me, "seattle", NewPrediction(x={"sky": object()}))
        with pytest.raises(UnfitError, match="no field 'date'"):
            await one.sessions.predict(one.me, "seattle", NewPrediction(x={"sun": 1}))
        await one.predict(0)
        with pytest.raises(UnfitError, match="no answer field"):
            await one.tell("#0", {"moon": "full"})
        shown = await one.sessions.get(one.me, "seattle")
        assert (shown.steps, shown.due) == (1, 0)
        prompt = (await one.sessions.prediction(one.me, "seattle", "#0")).asked
        assert prompt is not None
        assert json.dumps(day(0)["date"])[1:-1] in prompt.messages[-1].content

    in_house(database, work)
