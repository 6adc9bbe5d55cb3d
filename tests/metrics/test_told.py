"""What a model said itself, beside what was given; and which memory made a prediction."""

from __future__ import annotations

import math

import pytest

from llm_as_rnn.core.fields import Label
from llm_as_rnn.core.records import Memory, Section, Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.following import following
from llm_as_rnn.metrics.memories import predicting
from llm_as_rnn.metrics.told import Chosen, as_said, chosen_otherwise
from llm_as_rnn.metrics.trusted import reliability
from tests.metrics.steps import call, columns, step

SKY = Label("sky", options=("sun", "rain", "fog"))


def said(sky: str, came: str | None, chances: dict[str, float], version: int | None = 0) -> StepRecord:
    return step(
        prediction={"sky": sky},
        target=came and {"sky": came},
        chance={"sky": 0.99},
        memory_version=version,
        calls=(call(chances={"sky": chances}),),
    )


def test_the_models_own_chances_are_those_of_its_last_attempt_and_complete() -> None:
    again = step(calls=(call(chances={"sky": {"fog": 1.0}}), call(chances={"sky": {"sun": 0.6}}), call(role="update")))
    assert as_said(SKY, again) == {"sun": 0.6, "rain": pytest.approx(0.2), "fog": pytest.approx(0.2)}
    assert as_said(SKY, step(calls=(call(),))) == {}
    by_advice = step(believed={"sky": {"linear": 1.0}}, calls=(call(chances={"sky": {"sun": 0.6}}),))
    assert as_said(SKY, by_advice) == {}


def test_before_a_correction_the_same_answers_have_the_models_chance() -> None:
    steps = [said("Rain", "rain", {"sun": 0.6, "rain": 0.3}), step(chance={"sky": 0.5})]
    own = columns(SKY, steps)
    assert own.said.tolist() == [0.3, pytest.approx(math.nan, nan_ok=True)]
    assert own.chance.tolist() == [0.99, 0.5]
    assert reliability(own, as_said=True) == [(0.3, 1.0, 1)]


def test_answers_that_cases_had_a_say_in_are_compared_with_the_models_own() -> None:
    steps = [
        said("rain", "rain", {"sun": 0.6, "rain": 0.3}),
        said("sun", "rain", {"sun": 0.9}),
        said("sun", "sun", {"sun": 0.9}),
        said("rain", None, {"sun": 0.6}),
    ]
    assert chosen_otherwise(SKY, steps) == Chosen(steps=3, changed=1, alone=1 / 3, given=2 / 3)
    assert columns(SKY, steps).choosing == chosen_otherwise(SKY, steps)
    assert chosen_otherwise(SKY, steps[1:3]) is None
    assert chosen_otherwise(SKY, [said("rain", "rain", {"sun": 0.6}, version=None)]) is None


def memory(version: int, *items: str) -> Memory:
    return Memory((Section("Patterns", items),), version)


def late(t: int, version: int, before: Memory, after: Memory, **changes: Value) -> StepRecord:
    return step(t=t, memory_version=version, memory_before=before, memory_after=after, **changes)


M0, M1, M2 = memory(0), memory(1, "a day -> rain, 9.0"), memory(2, "a day -> sun, 9.0")


def test_a_prediction_is_given_the_memory_that_made_it_whatever_its_update_began_with() -> None:
    records = [late(1, 0, M1, M2), late(0, 0, M0, M1), late(2, 1, M2, M2), late(3, 2, M2, M2), step(t=4)]
    found = predicting([*records, late(5, 9, M2, M2)])
    assert found == {("m", "s", 0): M0, ("m", "s", 1): M0, ("m", "s", 2): M1, ("m", "s", 3): M2}


def test_what_was_held_is_what_the_memory_held_that_made_the_prediction(weather: Task) -> None:
    rain: dict[str, Value] = {"sky": "rain", "high": 9.0}
    first, second = late(0, 0, M0, M1), late(1, 0, M1, M2)
    third = step(t=2, memory_version=1, memory_before=M2, memory_after=M2, target=rain, prediction=rain)
    found = following(weather, [first, second, third])
    assert found is not None
    assert (found.steps, found.held) == (1, 1.0)
