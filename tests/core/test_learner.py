"""The library: a learner in a few lines, sync and async, saved and gone on with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.engines.base import EngineInfo
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.errors import EngineUnavailableError, LlmAsRnnError, UsageError
from llm_as_rnn.learner import AsyncLearner, Learner
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
        assert second.choices.budget == 100
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


def test_a_learner_has_nobody_to_share_lessons_with() -> None:
    with pytest.raises(UsageError, match="none to share lessons with"):
        Learner("weather", engine=engine(), budget=100, shared=50)
