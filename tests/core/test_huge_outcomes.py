"""Outcomes as large as a float can be: every state, journal line and score that is written can be read again."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.baselines.linear import LabelModel, NumberModel
from llm_as_rnn.cases.case import came, case
from llm_as_rnn.catalogue import METHODS, REFERENCES, build
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.fields import Number, Ranked
from llm_as_rnn.core.figures import LARGEST, finite, mean
from llm_as_rnn.core.outcomes import same_outcome
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Observation, SequenceInfo
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.datasets.base import Sequence, Step
from llm_as_rnn.engines.drive import drive_walk
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.metrics.comparisons import paired
from llm_as_rnn.metrics.curves import curve
from llm_as_rnn.metrics.intervals import interval
from llm_as_rnn.metrics.scores import step_scores
from llm_as_rnn.metrics.summary import MethodSummary, summarise
from llm_as_rnn.recurrence.rules import RULES
from llm_as_rnn.runs.walk import walk
from llm_as_rnn.streams.learner import Learner

HUGE = (1e308, 1e308, -1.7e308, 1.7e308, 1.7e308, -LARGEST, LARGEST, 3.0)

HIGH = Number("high", low=-40, high=40, last="today", metrics=("mse",))
TASK = Task(
    name="huge",
    title="Huge",
    instructions="Predict.",
    observation="{{ today }}",
    line="{{ today }}",
    answer=(HIGH,),
    memory=(MemorySection("Notes", "anything"),),
)
NAMES = [
    *METHODS,
    *(f"recurrent:{rule}" for rule in RULES),
    *(name for name in REFERENCES if name != "linear"),
    "linear",
]
KINDS = ("scorecard", "model")


def answer(request: Request) -> str:
    if request.role == "predict":
        return '{"high": "9.5"}' if request.answer.schema else " 9.5"
    return '{"Notes": ["seen"]}'


def learner(name: str, form: Any, feedback: str) -> Learner:
    engine = ScriptedEngine(answer)
    return Learner(TASK, method=name, engine=engine, form=form, feedback=feedback, budget=200)


@pytest.mark.parametrize("feedback", KINDS)
@pytest.mark.parametrize("form", ["line", "json"])
@pytest.mark.parametrize("name", NAMES)
def test_a_learners_file_can_be_read_again(tmp_path: Path, name: str, form: Any, feedback: str) -> None:
    path = tmp_path / "state.json"
    with learner(name, form, feedback) as one:
        for place, high in enumerate(HUGE):
            waiting = one.predict_one({"today": HUGE[place - 1]})
            assert waiting.values is None or math.isfinite(float(str(waiting.values["high"])))
            one.learn_one(waiting.id, {"high": high})
            one.save(path)
            with Learner.load(path, engine=ScriptedEngine(answer)) as again:
                assert again.dump() == one.dump()
                assert again.stream.state == one.stream.state


def records(name: str, sequences: int = 3) -> list[StepRecord]:
    found: list[StepRecord] = []

    settings = Settings(form="line", budget=200, feedback="scorecard", rule="cases")
    for number in range(sequences):
        steps = tuple(
            Step(Observation(f"s{number}", t, {"today": HUGE[t - 1]}), {"high": high}) for t, high in enumerate(HUGE)
        )
        sequence = Sequence(SequenceInfo(f"s{number}"), steps)
        method = build(name, TASK, settings, Prompts())
        asyncio.run(drive_walk(walk(method, sequence, TASK), ScriptedEngine(answer), found.append))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_journal_and_its_scores_can_be_read_again(name: str) -> None:
    steps = records(name)
    for record in steps:
        assert msgspec.json.decode(msgspec.json.encode(record), type=StepRecord) == record
    (summary,) = summarise(TASK, steps)
    assert summary.scored == len(steps)
    assert msgspec.json.decode(msgspec.json.encode(summary), type=MethodSummary) == summary
    for metric in ("high.abs_error", "high.sq_error"):
        for window in (None, 3):
            points = curve(steps, metric, window)
            assert msgspec.json.decode(msgspec.json.encode(points), type=list[tuple[int, float]]) == points
        found = interval(steps[:-1], metric)  # of three that are all the same there is none
        assert found is not None
        assert found.low <= found.high
        assert all(map(math.isfinite, (found.low, found.high)))


def test_a_resample_of_scores_that_just_fit_in_a_sum_is_finite() -> None:
    scores = [{"high.abs_error": LARGEST / 60 if sequence == 0 else 1.0} for sequence in range(50)]
    template = records("repeat_last")[0]
    steps = [
        msgspec.structs.replace(template, sequence=f"s{number:02}", scores=one) for number, one in enumerate(scores)
    ]
    found = interval(steps, "high.abs_error")
    assert found is not None
    assert 1.0 <= found.low < LARGEST / 60 / 50 < found.high <= LARGEST / 60


def test_a_difference_of_two_methods_is_finite() -> None:
    found = paired([*records("repeat_last"), *records("majority")], "repeat_last", "majority", "high.abs_error")
    assert found is not None
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found


HIGHS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(HIGHS, min_size=1, max_size=40))
def test_a_mean_is_finite_and_within_its_parts(values: list[float]) -> None:
    found = mean(values)
    assert math.isfinite(found)
    slack = 1e-9 * max(map(abs, values))
    assert min(values) - slack <= found <= finite(max(values) + slack)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_means_of_usual_numbers_are_what_they_always_were(values: list[float]) -> None:
    assert mean(values) == math.fsum(values) / len(values)


@given(st.lists(st.tuples(st.floats(-1e100, 1e100) | st.sampled_from([1e-300, 0.0]), HIGHS), max_size=30))
def test_a_linear_model_stays_finite(pairs: list[tuple[float, float]]) -> None:
    number, label = NumberModel(), LabelModel()
    for x, y in pairs:
        features = {"x": max(-1e12, min(1e12, x))}
        number, label = number.after(features, y), label.after(features, str(y > 0))
        assert math.isfinite(number.predict(features))
        for model in (number, label):
            assert msgspec.json.decode(msgspec.json.encode(model), type=type(model)) == model


@given(HIGHS, HIGHS)
def test_a_step_has_finite_scores(answer: float, outcome: float) -> None:
    assert all(map(math.isfinite, step_scores(TASK, {"high": answer}, {"high": outcome}).values()))
    assert all(map(math.isfinite, step_scores(TASK, None, {"high": outcome}).values()))


@pytest.mark.parametrize(("low", "high"), [(-math.inf, 0), (0, math.inf), (-1.7e308, 1.7e308), (math.nan, 1)])
def test_a_range_that_no_float_can_hold_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="plausible range"):
        Number("high", low=low, high=high)


@pytest.mark.parametrize("high", [1.7e308, -LARGEST, 1e17, 60.0])
def test_a_case_tells_an_implausible_outcome_shortly_and_exactly(high: float) -> None:
    item = case(TASK, Observation("s", 0, {"today": 3}), {"high": high}, SequenceInfo("s"))
    assert len(item) < 40
    assert came(TASK, item) == {"high": high}


def test_a_ranked_outcome_longer_than_an_answer_is_the_same_as_itself() -> None:
    task = msgspec.structs.replace(TASK, answer=(Ranked("codes", top=2),))
    outcome = {"codes": ("a", "b", "c")}
    item = case(task, Observation("s", 0, {"today": 3}), outcome, SequenceInfo("s"))
    assert same_outcome(task, came(task, item), outcome)
