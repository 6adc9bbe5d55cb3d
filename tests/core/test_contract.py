"""One suite over every method: what the rest of the house relies on."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.method import Method
from llm_as_rnn.methods import METHODS, REFERENCES
from llm_as_rnn.records import Completion, Request, Status
from llm_as_rnn.recurrence.memory import to_text
from llm_as_rnn.task import Task
from tests.helpers import by_hand, count, good_answer, listening, make

ALL = [*METHODS, *REFERENCES]
BUDGET = 40


@pytest.fixture(params=ALL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[("line", "completion"), ("line", "chat"), ("json", "chat"), ("json", "completion")])
def form(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    return tuple(request.param)


@pytest.fixture(params=["chained", "separate"])
def layout(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["model", "scorecard"])
def feedback(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def method(name: str, form: tuple[Any, Any], layout: Any, feedback: Any, weather: Task) -> Method:
    return make(name, weather, form=form[0], style=form[1], layout=layout, feedback=feedback, budget=BUDGET)


def run(method: Method, sequence: Sequence, answer: Any) -> list[Any]:
    """Run all steps; give the states."""
    states = [method.start(sequence.info)]
    for step in sequence.steps:
        prediction = by_hand(method.predict(states[-1], step.observation), answer)
        states.append(by_hand(method.learn(states[-1], step.observation, prediction, step.target), answer).state)
    return states


def test_good_answers_are_predictions(method: Method, days: list[Sequence], form: tuple[Any, Any], name: str) -> None:
    state = method.start(days[0].info)
    prediction = by_hand(method.predict(state, days[0].steps[0].observation), good_answer(form[0]))
    assert prediction.status is Status.OK
    assert prediction.values is not None
    if name in METHODS:
        assert prediction.values == {"sky": "rain", "high": 9.5}


def test_inputs_are_not_changed(method: Method, days: list[Sequence], form: tuple[Any, Any]) -> None:
    step = days[0].steps[0]
    state = method.start(days[0].info)
    before = copy.deepcopy((state, step))
    prediction = by_hand(method.predict(state, step.observation), good_answer(form[0]))
    kept = copy.deepcopy(prediction)
    by_hand(method.learn(state, step.observation, prediction, step.target), good_answer(form[0]))
    assert (state, step) == before
    assert prediction == kept


def test_same_completions_give_same_states(method: Method, days: list[Sequence], form: tuple[Any, Any]) -> None:
    assert run(method, days[0], good_answer(form[0])) == run(method, days[0], good_answer(form[0]))


def test_states_survive_json(method: Method, days: list[Sequence], form: tuple[Any, Any]) -> None:
    for state in run(method, days[0], good_answer(form[0])):
        assert msgspec.json.decode(msgspec.json.encode(state), type=method.state_type) == state


def test_a_state_from_json_goes_on_like_the_original(
    method: Method, days: list[Sequence], form: tuple[Any, Any]
) -> None:
    state = run(method, days[0], good_answer(form[0]))[-1]
    revived = msgspec.json.decode(msgspec.json.encode(state), type=method.state_type)
    step = days[1].steps[0]

    def asked(start: Any) -> list[Request]:
        answer, log = listening(good_answer(form[0]))
        prediction = by_hand(method.predict(start, step.observation), answer)
        by_hand(method.learn(start, step.observation, prediction, step.target), answer)
        return log

    assert asked(state) == asked(revived)


@pytest.mark.parametrize(
    ("completion", "status"),
    [
        (Completion("the weather will be nice"), Status.INVALID),
        (Completion(""), Status.INVALID),
        (Completion(" rain, 999"), Status.INVALID),
        (Completion(" rain,", "length"), Status.TRUNCATED),
        (Completion("", "content_filter"), Status.REFUSED),
        (Completion("", "error", error="500 from the server"), Status.ENGINE_ERROR),
        (Completion("\ud800\udfff \x00"), Status.INVALID),
    ],
)
def test_bad_completions_have_a_status_and_do_no_harm(
    method: Method, name: str, days: list[Sequence], completion: Completion, status: Status
) -> None:
    step = days[0].steps[0]
    state = method.start(days[0].info)
    prediction = by_hand(method.predict(state, step.observation), lambda _: completion)
    if name in METHODS:
        assert (prediction.status, prediction.values) == (status, None)
        assert prediction.problem
    learned = by_hand(method.learn(state, step.observation, prediction, step.target), lambda _: completion)
    before, after = method.memory(state), method.memory(learned.state)
    assert (before is None) == (after is None)
    if before and after:
        assert after.sections == before.sections
        assert learned.update.outcome == "kept"
        assert learned.update.reason.startswith(status.value)


def test_a_bad_answer_gets_one_more_chance(method: Method, name: str, days: list[Sequence], form: Any) -> None:
    if name in REFERENCES:
        pytest.skip("references ask no model")
    answers = iter(["nonsense", good_answer(form[0])(Request("predict", ()))])
    state, observation = method.start(days[0].info), days[0].steps[0].observation
    prediction = by_hand(method.predict(state, observation), lambda _: next(answers))
    assert prediction.status is Status.REPAIRED
    assert prediction.values == {"sky": "rain", "high": 9.5}


def test_budget_holds_at_every_step(method: Method, days: list[Sequence], form: tuple[Any, Any]) -> None:
    for state in run(method, days[0], good_answer(form[0])):
        memory = method.memory(state)
        if memory is not None:
            assert count(to_text(memory)) <= BUDGET
            assert memory.tokens in (None, count(to_text(memory)))


def test_without_an_outcome_nothing_is_learned(method: Method, days: list[Sequence], form: tuple[Any, Any]) -> None:
    step = days[0].steps[0]
    state = method.start(days[0].info)
    prediction = by_hand(method.predict(state, step.observation), good_answer(form[0]))
    learned = by_hand(method.learn(state, step.observation, prediction, None), good_answer(form[0]))
    assert learned.state == state
    assert learned.update.outcome == "skipped"


def test_a_prediction_never_sees_its_outcome(method: Method, days: list[Sequence], form: tuple[Any, Any]) -> None:
    """Plant a canary in every outcome: no request may hold one before it was revealed."""
    answer, log = listening(good_answer(form[0]))
    state = method.start(days[0].info)
    for step in days[0].steps:
        canary = f"canary-{step.observation.t}"
        prediction = by_hand(method.predict(state, step.observation), answer)
        assert not any(canary in request.prompt for request in log)
        state = by_hand(method.learn(state, step.observation, prediction, {"sky": canary, "high": 1.0}), answer).state


def test_all_methods_see_the_same_observation(weather: Task, days: list[Sequence]) -> None:
    step = days[0].steps[0]
    shown = weather.show(step.observation, "line")
    for name in METHODS:
        method = make(name, weather, form="line")
        answer, log = listening(good_answer("line"))
        by_hand(method.predict(method.start(days[0].info), step.observation), answer)
        assert [shown in request.prompt for request in log] == [True]
