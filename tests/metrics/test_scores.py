"""Scores of one step: each kind of field, missing answers, missing outcomes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.fields import Field, Label, Number, Ranked, Text
from llm_as_rnn.core.records import Value
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.metrics.scores import field_metrics, step_scores, task_metrics

SKIES = ("rain", "sun", "fog")
SKY = Label("sky", options=SKIES)
HIGH = Number("high", low=-20, high=45)
DIAGNOSES = Ranked("diagnoses", top=3)
WORDS = Text("words")


def task(*fields: Field) -> Task:
    return Task("t", "T", "", "", "", fields, (MemorySection("Patterns", ""),))


ALL = task(SKY, HIGH, DIAGNOSES, WORDS)

answers = st.fixed_dictionaries(
    {
        "sky": st.sampled_from(SKIES),
        "high": st.floats(-20, 45),
        "diagnoses": st.lists(st.text(max_size=5), min_size=1, max_size=3).map(tuple),
        "words": st.text(max_size=10),
    }
)


def test_each_kind_of_field_has_its_scores() -> None:
    prediction: dict[str, Value] = {"sky": "sun", "high": 9.0, "diagnoses": ("Flu", "asthma"), "words": "a  Cold day"}
    target: dict[str, Value] = {"sky": "rain", "high": 12.0, "diagnoses": ("asthma", "gout"), "words": "A cold day"}
    assert step_scores(ALL, prediction, target) == {
        "sky.accuracy": 0.0,
        "high.abs_error": 3.0,
        "high.sq_error": 9.0,
        "diagnoses.acc@1": 0.0,
        "diagnoses.acc@3": 1.0,
        "words.match": 1.0,
    }


def test_the_first_of_a_ranked_answer_must_be_the_primary_outcome() -> None:
    ranked = task(DIAGNOSES)
    assert step_scores(ranked, {"diagnoses": ("GOUT",)}, {"diagnoses": ("asthma", "gout")})["diagnoses.acc@1"] == 0
    assert step_scores(ranked, {"diagnoses": ("ASTHMA",)}, {"diagnoses": ("asthma", "gout")})["diagnoses.acc@1"] == 1


def test_a_list_of_one_has_one_score() -> None:
    one = task(Ranked("diagnoses", top=1))
    assert step_scores(one, {"diagnoses": ("gout",)}, {"diagnoses": ("asthma", "gout")}) == {"diagnoses.acc@1": 0.0}


@pytest.mark.parametrize(("outcome", "penalty"), [(40.0, 60.0), (-15.0, 60.0), (12.5, 32.5)])
def test_a_missing_number_is_off_by_the_farther_end_of_its_range(outcome: float, penalty: float) -> None:
    scores = step_scores(task(HIGH), None, {"high": outcome})
    assert scores == {"high.abs_error": penalty, "high.sq_error": penalty**2}


def test_nothing_is_scored_without_an_outcome() -> None:
    prediction: dict[str, Value] = {"sky": "sun", "high": 9.0}
    assert step_scores(ALL, prediction, None) == {}
    assert step_scores(ALL, prediction, {}) == {}
    assert step_scores(ALL, prediction, {"diagnoses": (), "high": math.nan}) == {}
    assert set(step_scores(ALL, prediction, {"sky": "sun"})) == {"sky.accuracy"}


def test_the_metrics_of_a_task_name_scores_that_steps_have(weather: Task) -> None:
    scores = step_scores(weather, None, {"sky": "rain", "high": 10.0})
    assert {metric.name for metric in task_metrics(weather)} <= set(scores)
    assert [metric.title for metric in task_metrics(weather)] == ["sky accuracy", "high MAE"]
    assert [metric.higher_is_better for metric in task_metrics(weather)] == [True, False]


@given(answers, answers)
def test_scores_are_finite_and_within_bounds(prediction: dict[str, Value], target: dict[str, Value]) -> None:
    scores = step_scores(ALL, prediction, target)
    for field in ALL.answer:
        for metric in field_metrics(field):
            bound = 1 if metric.higher_is_better else 65
            assert 0 <= scores[metric.name] <= bound


@given(answers, answers)
def test_failing_never_pays(prediction: dict[str, Value], target: dict[str, Value]) -> None:
    answered, failed = step_scores(ALL, prediction, target), step_scores(ALL, None, target)
    assert set(failed) == set(answered)
    for name, score in failed.items():
        if name.endswith("error"):
            assert score >= answered[name]
        else:
            assert score == 0 <= answered[name]


@given(answers)
def test_the_outcome_itself_is_the_best_answer(target: dict[str, Value]) -> None:
    scores = step_scores(ALL, target, target)
    assert all(score == (0 if name.endswith("error") else 1) for name, score in scores.items())
