"""Feedback: exact figures by code, and what a critic adds."""

from __future__ import annotations

import msgspec
import pytest

from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.outcomes import facts
from llm_as_rnn.core.records import Observation, Prediction, Status, Target
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.recurrence.feedback import critic_fields
from llm_as_rnn.recurrence.scorecard import add, empty, to_text
from tests.helpers import by_hand, good_answer, listening, make


def test_the_scorecard_is_right_by_hand(weather: Task) -> None:
    card = empty(weather)
    steps: list[tuple[str, float, Target | None, Target]] = [
        ("sun", 10.0, {"sky": "sun", "high": 11.0}, {"sky": "rain", "high": 9.0}),
        ("rain", 9.0, {"sky": "rain", "high": 9.0}, {"sky": "rain", "high": 12.0}),
        ("rain", 12.0, None, {"sky": "sun", "high": 13.0}),
    ]
    for t, (sky, high, said, outcome) in enumerate(steps):
        card = add(card, weather, Observation("s", t, {"sky": sky, "high": high}), said, outcome)
    assert to_text(card, weather).splitlines() == [
        "sky: right 1 of 3; repeating the last would be right 1 of 3",
        "sky: after rain came rain 1, sun 1",
        "sky: after sun came rain 1",
        "high: answers 0.5 too low on average; mean error 2.5; repeating the last 1.7",
    ]


def test_a_field_without_outcome_leaves_its_tally(weather: Task) -> None:
    card = add(empty(weather), weather, Observation("s", 0, {"sky": "sun", "high": 1.0}), None, {"sky": "rain"})
    assert (card["sky"].steps, card["high"].steps) == (1, 0)


def test_facts_without_an_answer(weather: Task) -> None:
    assert "no usable answer" in facts(weather, Prediction(None, Status.INVALID), {"sky": "sun", "high": 1.0})


def test_the_critic_is_asked_for_the_papers_fields(weather: Task) -> None:
    assert [field.name for field in critic_fields(weather, "line")] == ["correct", "missed", "why", "suggestion"]


@pytest.mark.parametrize("layout", ["chained", "separate"])
def test_the_critic_hears_the_outcome_and_the_memory_hears_the_critic(
    weather: Task, days: list[Sequence], layout: str
) -> None:
    answer, log = listening(good_answer("line"))
    method, step = make("recurrent", weather, form="line", layout=layout), days[0].steps[0]
    state = method.start(days[0].info)
    prediction = by_hand(method.predict(state, step.observation), answer)
    learned = by_hand(method.learn(state, step.observation, prediction, step.target), answer)
    assert [request.role for request in log] == ["predict", "reflect", "update"]
    assert learned.feedback is not None
    assert learned.feedback.fields["suggestion"] == "look at the wind"
    assert "look at the wind" in log[2].prompt
    assert step.target is not None
    assert f"-> {step.target['sky']}, {step.target['high']}\n" in log[1].prompt


def test_chained_requests_go_on_with_the_conversation(weather: Task, days: list[Sequence]) -> None:
    answer, log = listening(good_answer("line"))
    method, step = make("recurrent", weather, form="line", layout="chained"), days[0].steps[0]
    state = method.start(days[0].info)
    prediction = by_hand(method.predict(state, step.observation), answer)
    by_hand(method.learn(state, step.observation, prediction, step.target), answer)
    predict, reflect, update = log
    assert reflect.messages[:2] == predict.messages
    assert update.messages[:4] == reflect.messages
    assert update.prompt.startswith(predict.prompt)


def test_a_scorecard_of_small_numbers_has_their_digits(weather: Task) -> None:
    rate = msgspec.structs.replace(weather, answer=(Number("rate", low=0.0, high=0.1, decimals=4),))
    card = add(empty(rate), rate, Observation("s", 0, {}), {"rate": 0.0123}, {"rate": 0.0128})
    assert to_text(card, rate) == "rate: answers 0.0005 too low on average; mean error 0.0005"


def test_the_scorecard_needs_no_call(weather: Task, days: list[Sequence]) -> None:
    answer, log = listening(good_answer("line"))
    method, step = make("recurrent", weather, form="line", feedback="scorecard"), days[0].steps[0]
    state = method.start(days[0].info)
    prediction = by_hand(method.predict(state, step.observation), answer)
    learned = by_hand(method.learn(state, step.observation, prediction, step.target), answer)
    assert [request.role for request in log] == ["predict", "update"]
    assert learned.feedback is not None
    assert "repeating the last" in learned.feedback.text
    assert learned.feedback.text.partition("So far:")[2] in log[1].prompt
