"""The library: a learner in a few lines, sync and async, saved and gone on with."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, LlmAsRnnError, ModelError, UsageError
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.streams.learner import AsyncLearner, Learner
from tests.cli.test_kill import script
from tests.core.test_online import answer

INFO = EngineInfo("scripted:test", form="line", style="completion")


def engine() -> ScriptedEngine:
    return ScriptedEngine(answer, INFO)


def run(learner: Learner, sequence: Sequence, steps: slice) -> None:
    for step in sequence.steps[steps]:
        p = learner.predict_one(step.observation.fields)
        assert step.target is not None
        assert learner.learn_one(p.id, step.target).fate == "learned"


def test_a_learner_learns_and_a_loaded_one_goes_on_the_same(tmp_path: Path, days: list[Sequence]) -> None:
    with Learner("weather", engine=engine(), budget=100, rule="rewrite", feedback="model") as whole:
        run(whole, days[0], slice(0, 5))
        assert whole.memory is not None
        assert whole.memory.version == 5
        expected = whole.stream
    with Learner("weather", engine=engine(), budget=100, rule="rewrite", feedback="model") as first:
        run(first, days[0], slice(0, 2))
        waiting = first.predict_one(days[0].steps[2].observation.fields)
        first.save(tmp_path / "learner.json")
    with Learner.load(tmp_path / "learner.json", engine=engine()) as second:
        assert second.waiting == (waiting,)
        assert second.choices["budget"] == 100
        target = days[0].steps[2].target
        assert target is not None
        second.learn_one(waiting.id, target)
        run(second, days[0], slice(3, 5))
        assert second.stream == expected


def test_the_async_learner_does_the_same(tmp_path: Path, days: list[Sequence]) -> None:
    async def stream() -> Any:
        async with AsyncLearner("weather", engine=engine(), budget=100, rule="rewrite", feedback="model") as learner:
            for step in days[0].steps[:3]:
                p = await learner.predict_one(step.observation.fields)
                assert step.target is not None
                await learner.learn_one(p.id, step.target)
            learner.save(tmp_path / "learner.json")
        async with AsyncLearner.load(tmp_path / "learner.json", engine=engine()) as loaded:
            return loaded.stream

    with Learner("weather", engine=engine(), budget=100, rule="rewrite", feedback="model") as learner:
        run(learner, days[0], slice(0, 3))
        assert asyncio.run(stream()) == learner.stream


def test_calls_at_the_same_time_wait_for_each_other(days: list[Sequence]) -> None:
    async def stream() -> set[str | int]:
        async with AsyncLearner("weather", engine=engine(), budget=100, rule="rewrite", feedback="model") as learner:
            steps = days[0].steps
            made = await asyncio.gather(*(learner.predict_one(step.observation.fields) for step in steps))
            outcomes = [step.target or {} for step in steps]
            await asyncio.gather(*(learner.learn_one(p.id, y) for p, y in zip(made, outcomes, strict=True)))
            assert learner.memory is not None
            assert learner.memory.version == len(steps)
            return {p.id for p in made}

    assert asyncio.run(stream()) == {"#0", "#1", "#2", "#3", "#4"}


def test_the_memory_can_be_read(days: list[Sequence]) -> None:
    with Learner("weather", engine=engine(), budget=100, rule="rewrite", feedback="model") as learner:
        run(learner, days[0], slice(0, 1))
        assert learner.memory is not None
        assert str(learner.memory).startswith("## Patterns\n- seen ")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "recurent"}, "recurent"),
        ({"budget": 0}, "budget"),
        ({"budget": 3}, "first memory"),
        ({"budget": 10**6}, "context window"),
        ({"sampling": "hot"}, "hot"),
        ({"policy": "sometimes"}, "policy"),
        ({"bugdet": 100}, "bugdet"),
        ({"layout": 3}, "layout"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(LlmAsRnnError, match=says):
        Learner("weather", engine=engine(), **options)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [({}, "empty"), ({"skies": "sun"}, "skies"), ({"sky": "hail"}, "hail"), ({"high": "warm"}, "warm")],
)
def test_an_outcome_that_does_not_fit_still_waits(days: list[Sequence], outcome: dict[str, Any], says: str) -> None:
    with Learner("weather", engine=engine(), budget=100, rule="rewrite", feedback="model") as learner:
        p = learner.predict_one(days[0].steps[0].observation.fields)
        with pytest.raises(UsageError, match=says):
            learner.learn_one(p.id, outcome)
        assert learner.waiting == (p,)
        assert learner.learn_one(p.id, {"sky": "sun", "high": 99.0}).fate == "learned"


def test_an_engine_that_does_not_open_is_an_error_at_once() -> None:
    class Shut(ScriptedEngine):
        async def open(self) -> None:
            raise EngineUnavailableError("no server")

    with pytest.raises(EngineUnavailableError):
        Learner("weather", engine=Shut(answer, INFO))


def test_a_file_that_is_no_learner_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UsageError, match="no saved learner"):
        Learner.load(tmp_path / "x.json", engine=engine())
    with pytest.raises(UsageError, match="cannot be read"):
        Learner.load(tmp_path / "none.json", engine=engine())


@pytest.mark.parametrize("kind", [Learner, AsyncLearner])
@pytest.mark.parametrize(
    ("task", "options", "says"),
    [
        (None, {}, "a task cannot be of the type NoneType"),
        (5, {}, "a task cannot be of the type int"),
        ("no\0file.yaml", {}, "no file can have that name"),
        ("weather", {"method": None}, "there is no method None"),
        ("weather", {"method": ["zero_shot"]}, "there is no method"),
        ("weather", {"model": None, "engine": None}, "None"),
        ("weather", {"prompts": 5}, "a path cannot be of the type int"),
        ("weather", {"prompts": "no/such/folder"}, "does not exist"),
    ],
)
def test_what_is_of_another_type_is_refused_in_one_line(kind: Any, task: Any, options: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        kind(task, **{"engine": engine(), **options})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (5, "a path cannot be of the type int"),
        (None, "a path cannot be of the type NoneType"),
        ("fo\0o", "no file can have that name"),
        ("fo\ud800o", "no file can have that name"),
    ],
)
def test_what_is_no_path_is_refused_in_one_line(path: Any, says: str) -> None:
    with Learner("weather", method="repeat_last") as learner:
        for call in (lambda: learner.save(path), lambda: Learner.load(path)):
            with pytest.raises(UsageError, match=says) as caught:
                call()
            assert len(str(caught.value).splitlines()) == 1


def test_a_learner_has_nobody_to_share_lessons_with() -> None:
    with pytest.raises(UsageError, match="none to share lessons with"):
        Learner("weather", engine=engine(), budget=100, shared=50)
    with pytest.raises(UsageError, match="leave carry out"):
        Learner("weather", engine=engine(), carry=True)


class Outage(ScriptedEngine):
    """Answers as soon as it is well again."""

    well = False

    async def complete(self, request: Request) -> Completion:
        if not self.well:
            raise EngineError("the server answers 500")
        return await super().complete(request)


def test_a_prediction_that_failed_is_asked_again_under_its_id(days: list[Sequence]) -> None:
    fields, outage = days[0].steps[0].observation.fields, Outage(answer, INFO)
    with Learner("weather", method="recurrent", engine=outage, budget=100) as learner:
        first = learner.predict_one(fields)
        assert (first.values, first.prediction.status) == (None, "engine_error")
        outage.well = True
        again = learner.predict_one(fields, first.id)
        assert (again.id, again.prediction.status, learner.waiting) == (first.id, "ok", (again,))
        asked = len(outage.requests)
        assert learner.predict_one(fields, first.id) == again
        assert len(outage.requests) == asked, "one that has an answer is not asked again"


def test_others_answer_for_a_model_that_does_not_and_it_is_said(days: list[Sequence]) -> None:
    outage = Outage(answer, INFO)
    with Learner("weather", engine=outage, budget=100) as learner:
        made = learner.predict_one(days[0].steps[0].observation.fields)
        assert (made.prediction.status, made.values is None) == ("ok", False)
        assert made.prediction.problem.startswith("recurrent gave no answer: ")
        outage.well = True
        assert learner.predict_one(days[0].steps[1].observation.fields).prediction.problem == ""


class TestMistakesAreNamed:
    """What a caller gets wrong is an error of ours, with a hint, and changes nothing."""

    @pytest.fixture
    def learner(self) -> Iterator[Learner]:
        with Learner("weather", method="repeat_last", engine=engine()) as learner:
            yield learner

    def test_no_outcome(self, learner: Learner, days: list[Sequence]) -> None:
        p = learner.predict_one(days[0].steps[0].observation.fields)
        with pytest.raises(UsageError, match=r"no outcome was given for '#0' \(.*never comes just goes on waiting"):
            learner.learn_one(p.id, None)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="the outcome is 'sun', not values by name"):
            learner.learn_one(p.id, "sun")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="the outcome is empty"):
            learner.learn_one(p.id, {"sky": None, "high": float("nan")})
        assert learner.learn_one(p.id, {"sky": "sun", "high": None}).fate == "learned"
        assert learner.stream.state.own.outcomes == ({"sky": "sun"},)

    def test_an_observation_that_is_a_text(self, learner: Learner) -> None:
        with pytest.raises(UsageError, match=r"the observation is 'sunny', not values by name \(give a dict"):
            learner.predict_one("sunny")  # type: ignore[arg-type]
        assert learner.waiting == ()

    def test_an_unknown_id(self, learner: Learner) -> None:
        with pytest.raises(UsageError, match=r"no prediction waits under the id 'monday' \(predict first"):
            learner.learn_one("monday", {"sky": "sun"})

    @pytest.mark.parametrize("name", [1.5, True, b"a", ("a",), 2**70])
    def test_what_is_no_id(self, learner: Learner, days: list[Sequence], name: Any) -> None:
        with pytest.raises(UsageError, match="the id"):
            learner.predict_one(days[0].steps[0].observation.fields, name)

    def test_what_no_file_could_hold(self, learner: Learner) -> None:
        with pytest.raises(UsageError, match="infinite"):
            learner.predict_one({"high": float("inf")})
        with pytest.raises(UsageError, match="of the type bytes"):
            learner.predict_one({"high": b"9"})
        with pytest.raises(UsageError, match="what is said about the sequence"):
            Learner("weather", method="repeat_last", engine=engine(), about="Seattle")

    def test_ids_and_values_of_other_libraries_are_saved(self, learner: Learner, tmp_path: Path) -> None:
        numpy = pytest.importorskip("numpy")
        p = learner.predict_one({"sky": "sun \ud800", "high": numpy.float64(9.5), "deep": ["\ud800"]}, numpy.int64(5))
        assert (p.id, p.observation.fields) == (5, {"sky": "sun ?", "high": 9.5, "deep": ["?"]})
        learner.save(tmp_path / "learner.json")
        with Learner.load(tmp_path / "learner.json", engine=engine()) as loaded:
            assert loaded.waiting == (p,)
            assert loaded.learn_one(5, {"sky": "sun"}).fate == "learned"


def test_another_task_must_have_a_place_for_what_was_learned() -> None:
    task = load_task("weather")
    with Learner(task, engine=engine(), budget=100) as learner:
        with pytest.raises(UsageError, match="the new task's memory has other sections"):
            learner.change_task(msgspec.structs.replace(task, memory=task.memory[:2]))
        with pytest.raises(UsageError, match="the new task's answer has other fields"):
            learner.change_task(msgspec.structs.replace(task, answer=task.answer[:1]))


def test_a_reference_alone_loads_no_model(tmp_path: Path, days: list[Sequence]) -> None:
    with Learner("weather", method="linear", model="llamacpp:nobody/has/this.gguf") as learner:
        learner.learn_one(learner.predict_one(days[0].steps[0].observation.fields).id, {"sky": "sun", "high": 9})
        learner.save(tmp_path / "learner.json")
    with Learner.load(tmp_path / "learner.json") as loaded:
        assert loaded.stream == learner.stream
    with pytest.raises(ModelError, match="no file"):
        Learner("weather", model="llamacpp:nobody/has/this.gguf")
    with pytest.raises(UsageError, match="no method 'recurent'"):  # before any model is looked for
        Learner("weather", method="recurent", model="llamacpp:nobody/has/this.gguf")


def test_a_model_that_is_misspelt_is_refused_also_where_nobody_asks_one() -> None:
    with pytest.raises(ModelError, match="names no model"):
        Learner("weather", method="repeat_last", model="opnai:x")


def test_a_notebook_shows_little(days: list[Sequence]) -> None:
    with Learner("weather", engine=engine(), budget=100, rule="rewrite", feedback="scorecard") as learner:
        run(learner, days[0], slice(0, 4))
        p = learner.predict_one(days[0].steps[4].observation.fields)
        learnt = learner.learn_one(p.id, days[0].steps[4].target or {})
        assert (learnt.id, learnt.fate, learnt.memory_version, learnt.again, learnt.note) == ("#4", "learned", 5, 0, "")
        assert len(repr(p)) < 120
        assert len(repr(learnt)) < 1500
        assert "stream" not in learnt._fields
        assert repr(learner) == "Learner('weather', method='advised', 5 steps, 0 waiting, memory version 5)"


class Counted(ScriptedEngine):
    """Counts how often it is closed, and answers when it is told to."""

    closed = 0
    asked: asyncio.Event | None = None
    go_on: asyncio.Event | None = None

    async def complete(self, request: Request) -> Completion:
        if self.asked and self.go_on:
            self.asked.set()
            await self.go_on.wait()
            assert not self.closed
        return await super().complete(request)

    async def close(self) -> None:
        self.closed += 1
        await super().close()


class TestAfterTheEnd:
    """A learner without its model answers at once that it has none, and waits for nothing."""

    def calls(self, learner: Learner, fields: dict[str, Any]) -> list[Callable[[], Any]]:
        return [
            lambda: learner.predict_one(fields),
            lambda: learner.learn_one("a", {"sky": "sun"}),
            lambda: learner.restore(0),
        ]

    def test_close(self, tmp_path: Path, days: list[Sequence]) -> None:
        fields = days[0].steps[0].observation.fields
        with Learner("weather", engine=engine(), budget=100) as learner:
            learner.predict_one(fields, "a")
        for call in self.calls(learner, fields):
            with pytest.raises(UsageError, match=r"nothing can be asked after close.* \(make another, or load"):
                call()
        learner.close()
        assert len(learner.waiting) == 1
        learner.save(tmp_path / "learner.json")

    def test_close_waits_for_a_call_under_way(self, days: list[Sequence]) -> None:
        asked_for, go_on = threading.Event(), threading.Event()

        def slow(request: Request) -> str:
            asked_for.set()
            assert go_on.wait(10)
            return answer(request)

        learner = Learner("weather", engine=ScriptedEngine(slow, INFO), budget=100)
        calls = threading.Thread(target=learner.predict_one, args=(days[0].steps[0].observation.fields,))
        calls.start()
        assert asked_for.wait(10)
        closing = threading.Thread(target=learner.close)
        closing.start()
        go_on.set()
        for thread in (calls, closing):
            thread.join(10)
            assert not thread.is_alive()
        assert len(learner.waiting) == 1

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_a_fork(self, tmp_path: Path) -> None:
        """In a process of its own: a test's own threads and a fork do not go together."""
        code = """if True:
            import os, sys
            from llm_as_rnn import Learner
            from llm_as_rnn.engines.drive import SyncDriver
            from llm_as_rnn.core.errors import UsageError
            learner = Learner("weather", model=sys.argv[1], budget=100)
            x = {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0}
            learner.predict_one(x, "a")
            child = os.fork()
            if child == 0:
                for call in (
                    lambda: learner.predict_one(x),
                    lambda: learner.learn_one("a", {"sky": "sun"}),
                    lambda: learner.restore(0),
                ):
                    try:
                        call()
                    except UsageError as error:
                        print(error, flush=True)
                learner.close()
                os._exit(len(learner.waiting))
            print(os.waitpid(child, 0)[1] >> 8, learner.predict_one(x, "a").id)
            learner.close()
        """
        quiet = "ignore:This process:DeprecationWarning"  # Python warns of every fork beside a thread, from 3.12 on
        command = [sys.executable, "-W", quiet, "-c", code, script(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert len(lines) == 4
        assert all("in a forked process" in line and "in each process" in line for line in lines[:3])
        assert lines[3] == "1 a"

    def test_another_event_loop(self, days: list[Sequence]) -> None:
        fields = days[0].steps[0].observation.fields

        async def made() -> AsyncLearner:
            learner = AsyncLearner("weather", engine=engine(), budget=100)
            with pytest.raises(UsageError, match=r"was not entered \(write: async with"):
                await learner.predict_one(fields)
            assert repr(learner) == "AsyncLearner('weather', method='advised', not open)"
            await learner.__aenter__()
            await learner.predict_one(fields, "a")
            with pytest.raises(UsageError, match="entered once"):
                await learner.__aenter__()
            return learner

        learner = asyncio.run(made())
        for call in (
            lambda: learner.predict_one(fields),
            lambda: learner.learn_one("a", {"sky": "sun"}),
            lambda: learner.restore(0),
        ):
            with pytest.raises(UsageError, match=r"belongs to another event loop \(make one in each, or use Learner"):
                asyncio.run(call())

    def test_the_async_learners_end(self, days: list[Sequence]) -> None:
        async def used() -> None:
            async with AsyncLearner("weather", engine=engine(), budget=100) as learner:
                await learner.predict_one(days[0].steps[0].observation.fields, "a")
            with pytest.raises(UsageError, match="nothing can be asked after close"):
                await learner.learn_one("a", {"sky": "sun"})
            with pytest.raises(UsageError, match="entered once"):
                await learner.__aenter__()

        asyncio.run(used())

    def test_before_it_is_entered_there_is_nothing_to_read_or_save(self, tmp_path: Path) -> None:
        learner = AsyncLearner("weather", engine=engine(), budget=100)
        for call in (
            lambda: learner.memory,
            lambda: learner.waiting,
            lambda: learner.versions,
            lambda: learner.save(tmp_path / "learner.json"),
            lambda: learner.change_task(learner.task),
            lambda: asyncio.run(learner.__aexit__(None, None, None)),
        ):
            with pytest.raises(UsageError, match=r"was not entered \(write: async with"):
                call()
        assert not (tmp_path / "learner.json").exists()
        assert not hasattr(learner, "no_such_thing")

    def test_an_async_learner_that_does_not_open_is_none(self, days: list[Sequence]) -> None:
        engines = Counted(answer, INFO)

        async def used() -> None:
            learner = AsyncLearner("weather", engine=engines, budget=3)
            with pytest.raises(UsageError, match="first memory"):
                await learner.__aenter__()
            with pytest.raises(UsageError, match="nothing can be asked after close"):
                await learner.predict_one(days[0].steps[0].observation.fields)
            await learner.__aexit__(None, None, None)

        asyncio.run(used())
        assert engines.closed == 1

    def test_the_async_exit_waits_for_calls_under_way(self, days: list[Sequence]) -> None:
        engines = Counted(answer, INFO)

        async def used() -> None:
            engines.asked, engines.go_on = asyncio.Event(), asyncio.Event()
            learner = await AsyncLearner("weather", engine=engines, budget=100).__aenter__()
            call = asyncio.create_task(learner.predict_one(days[0].steps[0].observation.fields, "a"))
            await engines.asked.wait()
            ends = [asyncio.create_task(learner.__aexit__(None, None, None)) for _ in range(2)]
            await asyncio.sleep(0)
            assert engines.closed == 0
            engines.go_on.set()
            await asyncio.gather(*ends)
            assert (await call).id == "a"
            assert [waiting.id for waiting in learner.waiting] == ["a"]

        asyncio.run(used())
        assert engines.closed == 1

    def test_the_async_exit_in_another_event_loop(self) -> None:
        engines = Counted(answer, INFO)
        learner = asyncio.run(AsyncLearner("weather", engine=engines, budget=100).__aenter__())
        with pytest.raises(UsageError, match="belongs to another event loop"):
            asyncio.run(learner.__aexit__(None, None, None))
        assert engines.closed == 0
