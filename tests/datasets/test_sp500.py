"""The S&P 500 as sequences, and that nothing of them looks ahead."""

from __future__ import annotations

import asyncio
import gzip
import random
import sys
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.catalogue import METHODS
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.fields import Label
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Selection, Sequence
from llm_as_rnn.datasets.sp500 import LOOK_BACK, SP500, YEARS, Day, _file, load, read_days, sequence
from llm_as_rnn.engines.drive import drive_walk
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.metrics.scores import step_scores, task_metrics
from llm_as_rnn.recurrence.rules import RULES
from llm_as_rnn.runs.walk import walk
from tests.helpers import LINES, make

EVERY = [*METHODS, *(f"recurrent:{rule}" for rule in RULES)]
STEPS = 8


@pytest.fixture(scope="module")
def days() -> list[Day]:
    return read_days(_file())


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 8), st.integers(1, 40), st.integers(0, 1000), st.sampled_from(["development", "held_out"]))
@pytest.mark.long
def test_sequences_are_consecutive_days_of_their_part(sequences: int, steps: int, seed: int, split: str) -> None:
    found = load(Selection(sequences, steps, seed, split))  # type: ignore[arg-type]
    days = [day.day for day in read_days(_file())]
    assert len(found) == sequences
    used: set[date] = set()
    for one in found:
        start = days.index(date.fromisoformat(one.info.id))
        span = days[start - LOOK_BACK : start + steps + 1]
        assert {day.year for day in span} <= set(range(YEARS[split][0], YEARS[split][1] + 1))
        assert not used & set(span)
        used |= set(span)
        assert [step.observation.t for step in one.steps] == list(range(steps))
        for today, tomorrow in pairwise(one.steps):
            seen = tomorrow.observation.fields
            assert today.target == {"direction": seen["went"], "change": seen["today"]}
            assert seen["one_day_ago"] == today.observation.fields["today"]


def test_figures_are_those_of_the_file() -> None:
    closes = [100, 100, 100, 110, 99, 100, 95]
    days = [Day(date(2001, 1, 1 + i), 100, 95, close, 2 + i) for i, close in enumerate(closes)]
    (step,) = sequence(days).steps
    assert step.observation.fields == {
        "weekday": "Saturday",
        "today": 1.01,
        "went": "up",
        "one_day_ago": -10.0,
        "two_days_ago": 10.0,
        "week": 0.0,
        "day_range": 5.05,
        "volume_change": 17,
    }
    assert step.target == {"direction": "down", "change": -5.0}
    assert step.when == "2001-01-06"


def shifted(days: list[Day], t: int) -> list[Day]:
    """Change all that comes after the day of step t."""
    rng = random.Random(t)
    return [
        day
        if i <= LOOK_BACK + t
        else day._replace(high=rng.uniform(5, 9), low=rng.uniform(1, 2), close=rng.uniform(2, 5), volume=i)
        for i, day in enumerate(days)
    ]


@pytest.mark.parametrize("t", range(STEPS))
def test_the_future_does_not_change_an_observation(days: list[Day], t: int) -> None:
    span = days[1000 : 1000 + LOOK_BACK + STEPS + 1]
    before, after = sequence(span), sequence(shifted(span, t))
    assert before.info == after.info
    assert [s.observation for s in before.steps[: t + 1]] == [s.observation for s in after.steps[: t + 1]]
    assert [s.target for s in before.steps[:t]] == [s.target for s in after.steps[:t]]
    assert before.steps[t].target != after.steps[t].target
    assert all(
        one.observation.fields != other.observation.fields
        for one, other in zip(before.steps[t + 1 :], after.steps[t + 1 :], strict=True)
    )


def prompts(name: str, found: Sequence, kept: list[StepRecord] | None = None) -> list[list[str]]:
    """Run a method; give the prompts of each step, the one that predicts it first, and keep its records."""
    by_step: list[list[str]] = [[]]

    def answer(request: Request) -> str:
        by_step[-1].append(f"{request.role}: {request.prompt}")
        return "up, 0.25" if request.role == "predict" else LINES[request.role]

    def commit(record: StepRecord) -> None:
        by_step.append([])
        if kept is not None:
            kept.append(record)

    task = load_task(SP500.name)
    engine = ScriptedEngine(answer)
    method = make(name, task, form="line", style="completion", budget=120)
    asyncio.run(drive_walk(walk(method, found, task), engine, commit))
    return by_step[:-1]


@pytest.mark.parametrize("name", EVERY)
def test_the_future_does_not_change_a_prompt(days: list[Day], name: str) -> None:
    t = STEPS // 2
    span = days[2000 : 2000 + LOOK_BACK + STEPS + 1]
    before, after = prompts(name, sequence(span)), prompts(name, sequence(shifted(span, t)))
    assert len(before) == STEPS
    assert before[:t] == after[:t]
    assert before[t][0].startswith("predict: ")
    assert before[t][0] == after[t][0]
    assert before[t + 1 :] != after[t + 1 :]


@pytest.mark.parametrize("name", EVERY)
def test_the_date_of_a_step_is_in_its_record_and_in_no_prompt(days: list[Day], name: str) -> None:
    found = sequence(days[2000 : 2000 + LOOK_BACK + STEPS + 1])
    kept: list[StepRecord] = []
    asked = [prompt for step in prompts(name, found, kept) for prompt in step]
    dates = [day.day.isoformat() for day in days[2000 + LOOK_BACK :][:STEPS]]
    assert [record.when for record in kept] == dates
    assert not [date for date in dates for prompt in asked if date in prompt]


def test_squared_errors_are_reported_beside_absolute_ones() -> None:
    task = load_task(SP500.name)
    means = [metric.mean for metric in task_metrics(task)]
    assert means == ["direction.accuracy", "change.mae", "change.mse"]
    steps = sequence(read_days(_file())[:20]).steps
    scores = [step_scores(task, {"change": 0.0, "direction": "up"}, step.target) for step in steps]
    squares = [float(step.target["change"]) ** 2 for step in steps if step.target]  # type: ignore[arg-type]
    assert [score["change.sq_error"] for score in scores] == pytest.approx(squares)
    with pytest.raises(ValueError, match="metric mse: a label may ask for none"):
        Label("direction", options=("up", "down"), metrics=("mse",))


def test_a_seed_repeats_its_choice_and_another_differs() -> None:
    assert load(Selection(4, 8, 1)) == load(Selection(4, 8, 1))
    assert load(Selection(4, 8, 1)) != load(Selection(4, 8, 2))


def test_the_data_is_found_without_importing_its_package() -> None:
    assert SP500.ready() == ""
    assert _file().is_file()
    assert "arch" not in sys.modules


def test_no_date_is_shown() -> None:
    task = load_task(SP500.name)
    for step in load(Selection(3, 5))[0].steps:
        assert all(str(year) not in task.show(step.observation, "json") for year in range(1999, 2019))


def test_too_many_sequences_are_refused_with_what_there_is() -> None:
    with pytest.raises(DatasetError, match="at most 69 sequences"):
        load(Selection(70, 30))
    with pytest.raises(DatasetError, match=r"5000 steps \(ask for fewer steps\)"):
        load(Selection(1, 5000))


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sp500.csv.gz"
    path.write_bytes(gzip.compress(b"Date,High,Low,Close,Volume\n1/4/1999,3,1,2,9\n1/5/1999,3,x,2,9\n"))
    with pytest.raises(DatasetError, match="line 3"):
        read_days(path)
    path.write_bytes(b"Date,High\n")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_days(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_days(tmp_path / "none")
