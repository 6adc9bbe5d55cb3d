"""Summaries: scores, failures, costs."""

from __future__ import annotations

import math

import msgspec
import pytest

from llm_as_rnn.core.records import Status, Update, Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.scores import step_scores
from llm_as_rnn.metrics.summary import MethodSummary, summarise
from tests.metrics.steps import call, step
from tests.report.journal import weather_journal

RAIN: dict[str, Value] = {"sky": "rain", "high": 10.0}


def scored(weather: Task, prediction: dict[str, Value] | None, **changes: object) -> StepRecord:
    status = Status.OK if prediction else Status.INVALID
    scores = step_scores(weather, prediction, RAIN)
    return step(**{"prediction": prediction, "target": RAIN, "status": status, "scores": scores, **changes})


def test_failed_steps_stay_in_the_denominator(weather: Task) -> None:
    records = [
        scored(weather, {"sky": "rain", "high": 13.0}, t=0),
        scored(weather, {"sky": "rain", "high": 6.0}, t=1),
        scored(weather, None, t=2),
        scored(weather, None, t=3, status=Status.ENGINE_ERROR),
    ]
    (summary,) = summarise(weather, records)
    assert {name: score.value for name, score in summary.scores.items()} == {
        "sky.accuracy": 0.5,
        "high.mae": (3 + 4 + 35 + 35) / 4,
        "high.rmse": math.sqrt((9 + 16 + 35**2 + 35**2) / 4),
        "high.mae_answered": 3.5,
    }
    assert summary.failed == 2
    assert summary.statuses == {
        "ok": 2,
        "repaired": 0,
        "invalid": 1,
        "truncated": 0,
        "refused": 0,
        "engine_error": 1,
    }


def test_each_error_has_a_mean_of_its_own_without_missing_answers(weather: Task) -> None:
    sky, high = weather.answer
    task = msgspec.structs.replace(weather, answer=(sky, msgspec.structs.replace(high, metrics=("mse",))))
    off_by_three: dict[str, Value] = {"sky": "rain", "high": 13.0}
    records = [
        step(t=0, target=RAIN, scores=step_scores(task, off_by_three, RAIN), status=Status.OK),
        step(t=1, target=RAIN, scores=step_scores(task, None, RAIN), status=Status.INVALID),
    ]
    found = {name: score.value for name, score in summarise(task, records)[0].scores.items()}
    assert (found["high.mae_answered"], found["high.mse_answered"]) == (3.0, 9.0)
    assert (found["high.mae"], found["high.mse"]) == ((3 + 35) / 2, (9 + 35**2) / 2)


def test_an_answered_error_is_absent_when_nothing_was_answered(weather: Task) -> None:
    (summary,) = summarise(weather, [scored(weather, None)])
    assert set(summary.scores) == {"sky.accuracy", "high.mae", "high.rmse"}


def test_steps_without_an_outcome_count_as_steps_only(weather: Task) -> None:
    records = [scored(weather, RAIN, t=0), step(t=1, target=None)]
    (summary,) = summarise(weather, records)
    assert (summary.steps, summary.scored, summary.scores["sky.accuracy"].value) == (2, 1, 1.0)


def test_costs_are_per_step_and_reuse_is_of_calls_that_tell(weather: Task) -> None:
    records = [
        step(t=0, calls=(call(cached_tokens=60), call(role="update", retries=2)), memory_tokens=80),
        step(t=1, calls=(call(prompt_tokens=300, cached_tokens=180, completion_tokens=30),), memory_tokens=70),
    ]
    (summary,) = summarise(weather, records)
    assert (summary.calls, summary.prompt_tokens, summary.completion_tokens) == (1.5, 250.0, 25.0)
    assert (summary.cached_tokens, summary.cached_share) == (120.0, 0.6)
    assert (summary.seconds, summary.retries, summary.memory_tokens) == (0.75, 2, 80)
    assert not summary.is_reference


def test_reuse_is_unknown_where_the_engine_never_says(weather: Task) -> None:
    silent, told = (summarise(weather, [step(calls=(call(cached_tokens=cached),))])[0] for cached in (None, 0))
    assert (silent.cached_tokens, silent.cached_share) == (None, None)
    assert (told.cached_tokens, told.cached_share) == (0.0, 0.0)


def test_updates_are_counted_by_outcome(weather: Task) -> None:
    updates = [Update("accepted"), Update("accepted"), Update("kept", "unchanged"), Update("rolled_back")]
    (summary,) = summarise(weather, [step(t=t, update=update) for t, update in enumerate(updates)])
    assert summary.updates == {"accepted": 2, "kept": 1, "rolled_back": 1, "skipped": 0}


def test_methods_come_in_the_order_of_the_journal(weather: Task) -> None:
    records = [step(method="z"), step(method="a"), step(method="z", t=1)]
    assert [(summary.method, summary.steps) for summary in summarise(weather, records)] == [("z", 2), ("a", 1)]
    assert all(summary.is_reference for summary in summarise(weather, records))
    assert summarise(weather, []) == []


def test_intervals_need_two_sequences(weather: Task) -> None:
    one, two = (summarise(weather, weather_journal(["recurrent"], n, 6))[0] for n in (1, 2))
    assert all(score.interval is None for score in one.scores.values())
    for score in two.scores.values():
        assert score.interval is not None
        assert score.interval.low <= score.value <= score.interval.high


def test_the_root_of_a_mean_square_is_at_least_the_mean_error(weather: Task) -> None:
    for summary in summarise(weather, weather_journal()):
        assert summary.scores["high.rmse"].value >= summary.scores["high.mae"].value
        rmse = summary.scores["high.rmse"]
        assert rmse.interval is not None
        assert rmse.interval.low <= rmse.value <= rmse.interval.high


def test_summaries_survive_json(weather: Task) -> None:
    summaries = summarise(weather, weather_journal(sequences=2, steps=4))
    assert msgspec.json.decode(msgspec.json.encode(summaries), type=list[MethodSummary]) == summaries


def test_seconds_and_shares_of_a_whole_run_add_up(weather: Task) -> None:
    records = weather_journal(["recurrent"])
    (summary,) = summarise(weather, records)
    calls = [one for record in records for one in record.calls]
    assert summary.seconds * summary.steps == pytest.approx(sum(one.seconds for one in calls))
    assert summary.calls * summary.steps == pytest.approx(len(calls))
    assert sum(summary.statuses.values()) == sum(summary.updates.values()) == summary.steps == 48
