"""The client says what a learner says, and each of its verbs does what it is called."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from llm_as_rnn import AsyncClient, Client, Learner
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.service.errors import ArchivedError, ConflictError, NotFoundError, UnfitError
from llm_as_rnn.service.views import OutcomeView, PredictionView
from tests.service.client.running import Running, running
from tests.service.house import SETTINGS, answer, came, day

ROOT = Path(__file__).parents[3]
ORDER = [0, 2, 1, 4, 5, 3, 6, 9, 8, 7]


@pytest.mark.parametrize("policy", ["apply", "replay"])
def test_the_same_stream_by_learner_and_by_client(database: str, policy: str, tmp_path: Path) -> None:
    settings = SETTINGS | {"policy": policy}
    with (
        running(database) as service,
        Client(service.url, key=service.key) as client,
        Learner("weather", engine=ScriptedEngine(answer), sequence="seattle", **settings) as learner,
    ):
        session = client.session("seattle", task="weather", **settings)
        for number in range(12):
            name = f"day {number}"
            said, expected = session.predict_one(day(number), name), learner.predict_one(day(number), name)
            assert (said.id, said.values, said.memory_version) == (name, expected.values, expected.memory_version)
            for part in ("distribution", "believed", "interval", "among", "chance", "abstained", "problem"):
                assert getattr(said, part) == getattr(expected.prediction, part), part
            if number >= 2:
                late = ORDER[number - 2]
                told = session.learn_one(f"day {late}", came(late), wait=30)
                learnt = learner.learn_one(f"day {late}", came(late))
                assert (told.status, told.update) == ("learned", learnt.update)
                assert told.memory_version == learnt.memory_version
        assert session.memory is not None
        assert learner.memory is not None
        assert (session.memory.text, session.memory.tokens) == (str(learner.memory), learner.memory.tokens)
        assert [(entry.version, entry.t, entry.reason) for entry in session.versions] == [
            (entry.memory.version, entry.t, entry.reason) for entry in learner.versions
        ]
        assert [made.id for made in session.waiting] == [made.id for made in learner.waiting]
        session.save(tmp_path / "session.json")
        with Learner.load(tmp_path / "session.json", engine=ScriptedEngine(answer)) as back:
            assert str(back.memory) == str(learner.memory)
            assert [made.id for made in back.waiting] == ["day 10", "day 11"]


class TestSessions:
    """Begun, gone on with, listed, forked, archived, deleted, saved and loaded."""

    def test_one_is_begun_once_and_gone_on_with(self, client: Client) -> None:
        session = client.session("seattle", task="weather", about={"city": "Seattle"}, **SETTINGS)
        session.predict_one(day(0), "a")
        again = client.session("seattle", task="weather", budget=256)
        assert again.view.steps == 1
        assert client.session("seattle").view == again.view
        assert client.session(task="weather").id != client.session(task="weather").id

    @pytest.mark.parametrize(
        ("otherwise", "says"),
        [
            ({"budget": 512}, "begun with budget=256, and not with 512"),
            ({"rule": "delta"}, "begun without rule"),
            ({"method": "recurrent"}, "begun with method='advised'"),
            ({"about": {"city": "Rome"}}, "begun with about={}"),
            ({"task_version": 2}, "begun with task_version=1"),
        ],
    )
    def test_not_otherwise_than_it_was_begun(self, client: Client, otherwise: dict[str, Any], says: str) -> None:
        client.session("seattle", task="weather", **SETTINGS)
        with pytest.raises(ConflictError, match=says):
            client.session("seattle", task="weather", **SETTINGS | otherwise)

    def test_it_goes_on_with_its_task_when_there_is_a_newer_one(self, client: Client) -> None:
        task = load_task("weather")
        client.put_task(task, "mine")
        session = client.session("seattle", task="mine", **SETTINGS)
        assert client.put_task(replace(task, title="New"), "mine").version == 2
        assert client.session("seattle", task="mine").view.task_version == 1
        assert session.move().task_version == 2
        assert [view.version for view in client.tasks() if view.name == "mine"] == [1, 2]

    def test_a_task_of_ones_own_goes_along(self, client: Client, tmp_path: Path) -> None:
        path = tmp_path / "own.yaml"
        path.write_text((ROOT / "examples/task/task.yaml").read_text("utf-8"), "utf-8")
        task = load_task(str(path))
        session = client.session("own", task=str(path), **SETTINGS)
        assert (session.view.task, client.task(task.name).title) == (task.name, task.title)
        assert client.session("own", task=task).view == session.view

    def test_they_are_listed_by_pages(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("llm_as_rnn.client.asynchronous.PAGE", 2)
        for number in range(5):
            client.session(f"s{number}", task="weather", **SETTINGS)
        assert [view.id for view in client.sessions()] == [f"s{number}" for number in range(5)]
        client.session("s1").archive()
        assert [view.id for view in client.sessions(status="archived")] == ["s1"]
        assert [view.id for view in client.sessions(search="3", task="weather")] == ["s3"]

    def test_archived_and_active_again(self, client: Client) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        assert session.archive().status == "archived"
        with pytest.raises(ArchivedError, match="archived"):
            session.predict_one(day(0))
        assert session.activate().status == "active"
        assert session.predict_one(day(0)).state == "waiting"

    def test_forked_and_deleted(self, client: Client) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        session.learn_one(session.predict_one(day(0)).id, came(0), wait=30)
        fork = session.fork("fork")
        assert fork.memory is not None
        assert session.memory is not None
        assert fork.memory.text == session.memory.text
        assert session.fork().id not in ("seattle", "fork")
        session.delete()
        with pytest.raises(NotFoundError):
            _ = session.view
        with pytest.raises(NotFoundError):
            session.delete()
        assert fork.view.id == "fork"

    def test_a_notebooks_learner_goes_in_and_comes_back(self, client: Client, tmp_path: Path) -> None:
        with Learner("weather", engine=ScriptedEngine(answer), sequence="notebook", **SETTINGS) as learner:
            for number in range(3):
                learner.predict_one(day(number), id=number)
            learner.learn_one(1, came(1))
            learner.save(tmp_path / "learner.json")
        session = client.load(tmp_path / "learner.json")
        assert (session.id, [made.id for made in session.waiting]) == ("notebook", [0, 2])
        session.learn_one(0, came(0), wait=30)
        session.save(tmp_path / "back.json")
        with Learner.load(tmp_path / "back.json", engine=ScriptedEngine(answer)) as back:
            assert [made.id for made in back.waiting] == [2]
            assert session.memory is not None
            assert str(back.memory) == session.memory.text
        with pytest.raises(ConflictError, match="there is a session"):
            client.load(tmp_path / "learner.json")
        assert client.load(tmp_path / "learner.json", "second").id == "second"

    def test_to_save_waits_for_what_is_told(self, client: Client, tmp_path: Path) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        session.learn_one(session.predict_one(day(0), "a").id, came(0))
        session.save(tmp_path / "learner.json")
        with Learner.load(tmp_path / "learner.json", engine=ScriptedEngine(answer)) as back:
            assert back.learn_one("a", came(0)).fate == "duplicate"
        assert (tmp_path / "learner.json").stat().st_mode & 0o077 == 0


class TestSteps:
    """Predictions and outcomes."""

    def test_ids_of_all_kinds(self, client: Client) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        names = ["may/1", "a b", "..", ".", "100%", "é#?&", "x" * 500, "//"]
        for number, name in enumerate(names):
            assert session.predict_one(day(number), name).id == name
            assert session.learn_one(name, came(number), wait=30).status == "learned"
            assert session.prediction(name).prediction.state == "learned"
            assert session.outcome(name).id == name
        assert [step.prediction.id for step in session.steps()] == names

    def test_a_session_of_a_strange_name(self, client: Client) -> None:
        for name in ("..", ".", "ö%2F", "a&b=c"):
            assert client.session(name, task="weather", **SETTINGS).view.id == name

    def test_without_an_id_one_is_made_up(self, client: Client) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        first, second = session.predict_one(day(0)), session.predict_one(day(0))
        assert first.id != second.id
        assert isinstance(first.id, str)
        assert len(first.id) == 32

    def test_an_id_is_text(self, client: Client) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        number: Any = 7
        with pytest.raises(UsageError, match="an id is text, and 7 is none"):
            session.predict_one(day(0), number)

    def test_an_outcome_counts_once_and_can_be_corrected(self, client: Client) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        session.predict_one(day(0), "a")
        first = session.learn_one("a", came(0), wait=30)
        assert session.learn_one("a", came(0)).number == first.number
        with pytest.raises(ConflictError, match=f'"replaces": {first.number}'):
            session.learn_one("a", came(1))
        second = session.learn_one("a", came(1), replaces=first.number, wait=30)
        assert (second.status, second.replaces) == ("learned", first.number)
        assert session.outcome("a").y == came(1)

    def test_what_waits_is_found_behind_pages_of_what_does_not(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("llm_as_rnn.client.asynchronous.PAGE", 2)
        session = client.session("seattle", task="weather", **SETTINGS)
        for number in range(5):
            session.predict_one(day(number), f"d{number}")
        for number in (0, 1, 2, 4):
            session.learn_one(f"d{number}", came(number), wait=30)
        assert [made.id for made in session.waiting] == ["d3"]
        assert [step.prediction.t for step in session.steps()] == [0, 1, 2, 3, 4]
        assert session.scores().total["sky.accuracy"][0] == 4

    def test_batches_are_answered_in_order_and_errors_stand_in_their_places(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("llm_as_rnn.client.batches.MOST", 3)
        session = client.session("seattle", task="weather", **SETTINGS)
        other = client.session("portland", task="weather", **SETTINGS)
        items = [{"session": ("seattle", "portland")[n % 2], "x": day(n), "id": f"d{n}"} for n in range(8)]
        items[4] = {"session": "nowhere", "x": day(4)}
        said = client.predict_many(items)
        assert isinstance(said[4], NotFoundError)
        assert [made.id for made in said if isinstance(made, PredictionView)] == [f"d{n}" for n in range(8) if n != 4]
        assert (session.view.steps, other.view.steps) == (3, 4)
        told = session.learn_many({"d0": came(0), "no": came(0), "d2": {"sky": "hail"}})
        assert [type(one) for one in told] == [OutcomeView, NotFoundError, UnfitError]
        again = session.predict_many([day(0), day(9)], ids=["d0", "d9"])
        assert [one.t for one in again if isinstance(one, PredictionView)] == [0, 3]
        assert session.view.steps == 4


class TestMemory:
    """Looked at, compared, put back, edited by people."""

    def test_versions_and_restore(self, client: Client) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        for number in range(3):
            session.learn_one(session.predict_one(day(number)).id, came(number), wait=30)
        first = session.versions[0]
        changed = session.diff(first.version)
        assert changed.before == first.version
        assert changed.sections
        back = session.restore(first.version)
        assert back.text == first.text
        assert back.author == "all"
        assert session.memory == back
        with pytest.raises(NotFoundError):
            session.restore(99)

    def test_a_method_without_memory_has_none(self, client: Client) -> None:
        session = client.session("seattle", task="weather", method="zero_shot", form="line")
        assert (session.memory, session.versions) == (None, ())
        with pytest.raises(NotFoundError):
            _ = client.session("nowhere").memory

    def test_edited_and_pinned(self, client: Client, service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        edited = session.edit({"Patterns": ["Rain follows rain."]})
        assert (edited.author, {part.name: part.items for part in edited.sections}["Patterns"]) == (
            "all",
            ("Rain follows rain.",),
        )
        assert session.memory == edited
        with pytest.raises(ConflictError, match="by now"):
            session.edit({"Patterns": ["Fog stays."]}, version=edited.version - 1)
        pinned = session.pin("Rain follows rain.")
        with pytest.raises(UnfitError):
            session.pin("There is no such note.")
        with pytest.raises(UnfitError, match="pinned"):
            session.edit({"Patterns": ["Fog stays."]})
        session.unpin("Rain follows rain.")
        monkeypatch.setattr("llm_as_rnn.client.calling.delay", lambda failed: 0.001)
        service.relay.faults = ["pass", "lost"]
        again = session.edit({"Patterns": ["Fog stays."]})
        assert [entry.text for entry in session.versions].count(again.text) == 1
        assert pinned.version <= again.version

    def test_what_it_cost(self, client: Client) -> None:
        client.session("seattle", task="weather", **SETTINGS).predict_one(day(0))
        (today,) = client.spend()
        assert today.calls >= 1


def test_the_client_for_async_code(service: Running) -> None:
    async def work() -> None:
        async with AsyncClient(service.url, key=service.key) as client:
            session = await client.session("seattle", task="weather", **SETTINGS)
            made = await asyncio.gather(*(session.predict_one(day(n), f"d{n}") for n in range(6)))
            assert [one.id for one in made] == [f"d{n}" for n in range(6)]
            told = await session.learn_one("d3", came(3), wait=30)
            assert told.status == "learned"
            assert [one.id async for one in client.sessions()] == ["seattle"]
            assert len(await session.waiting()) == 5
            assert (await session.memory()) == (await session.versions())[-1]
            assert repr(session) == f"AsyncSession('seattle', '{service.url}')"

    asyncio.run(work())


def test_it_works_inside_a_running_loop(service: Running) -> None:
    async def notebook() -> str:
        with Client(service.url, key=service.key) as client:
            return client.session("seattle", task="weather", **SETTINGS).view.id

    assert asyncio.run(notebook()) == "seattle"


def test_after_close_nothing_is_asked(service: Running) -> None:
    client = Client(service.url, key=service.key)
    session = client.session("seattle")
    client.close()
    client.close()
    with pytest.raises(UsageError, match="after close"):
        _ = session.view
