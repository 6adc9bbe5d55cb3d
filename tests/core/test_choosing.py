"""Choosing by the model's chances and the memory's cases together, and what else chances are used for."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.chances import full
from llm_as_rnn.core.fields import Label
from llm_as_rnn.core.records import Observation, Prediction, SequenceInfo, Status
from llm_as_rnn.core.task import Task
from llm_as_rnn.recurrence.choosing import CASES, MODEL, Choice, choose, learned
from llm_as_rnn.recurrence.policy import FEW, Past, surprise_of, why_not
from llm_as_rnn.trust.pool import Pool
from tests.core.stage import sky_task
from tests.helpers import bare, by_hand

TASK = sky_task()
SKIES = TASK.answer[0].options


def told(answer: str, **chances: float) -> Prediction:
    return Prediction({"sky": answer}, Status.OK, f" {answer}", distribution={"sky": chances} if chances else {})


def test_a_case_that_fits_outweighs_a_model_that_is_unsure_and_not_one_that_is_sure() -> None:
    unsure, sure = told("sun", sun=0.5, rain=0.45), told("sun", sun=0.99)
    case = [(0.9, {"sky": "rain"})]
    assert choose(TASK, {}, unsure, case).values == {"sky": "sun"}  # before anything is known
    choices = {"sky": Choice(pool=Pool({MODEL: 1.0, CASES: 0.5}))}
    chosen = choose(TASK, choices, unsure, case)
    assert chosen.values == {"sky": "rain"}
    assert chosen.notes == ("sky: the model wrote sun",)
    assert chosen.raw == " sun"
    assert chosen.distribution["sky"]["rain"] > chosen.distribution["sky"]["sun"]
    assert set(chosen.evidence["sky"]) == {MODEL, CASES}
    alone = choose(TASK, choices, sure, [(0.1, {"sky": "rain"})])
    assert (alone.values, alone.notes) == ({"sky": "sun"}, ())


@pytest.mark.parametrize(
    "prediction", [told("sun"), Prediction(None, Status.INVALID), Prediction(None, Status.ENGINE_ERROR)]
)
def test_without_chances_the_answer_is_the_models_own(prediction: Prediction) -> None:
    assert choose(TASK, {}, prediction, [(1.0, {"sky": "rain"})]) == prediction
    assert learned(TASK, {}, prediction, {"sky": "rain"}) == {}


def test_cases_of_no_option_have_no_vote() -> None:
    choices = {"sky": Choice(pool=Pool({MODEL: 1.0, CASES: 0.5}))}
    chosen = choose(TASK, choices, told("sun", sun=0.5, rain=0.45), [(0.9, {"sky": "hail"}), (0.9, {})])
    assert chosen.values == {"sky": "sun"}


def lived(*, cases_tell: bool, model_tells: bool) -> tuple[dict[str, Choice], list[bool]]:
    """Live through a stream in which the cases, or the model, tell what will come."""
    random, choices, right = Random(4), dict[str, Choice](), []
    for _ in range(150):
        came = random.choice(SKIES)
        said = came if model_tells else random.choice(SKIES)
        case = came if cases_tell else random.choice(SKIES)
        chosen = choose(TASK, choices, told(said, **{said: 0.6}), [(0.6, {"sky": case})])
        right.append(chosen.values == {"sky": came})
        choices = learned(TASK, choices, chosen, {"sky": came})
    assert msgspec.json.decode(msgspec.json.encode(choices), type=dict[str, Choice]) == choices
    return choices, right


def test_it_is_learned_whom_to_follow() -> None:
    choices, right = lived(cases_tell=True, model_tells=False)
    assert sum(right[-50:]) >= 49
    assert choices["sky"].pool.weights[CASES] > 0.5
    assert choices["sky"].calibration.slope < 0.5
    choices, right = lived(cases_tell=False, model_tells=True)
    assert sum(right[-50:]) >= 49
    assert choices["sky"].pool.weights[CASES] < 0.1 < choices["sky"].pool.weights[MODEL]


def method(**settings: Any) -> Any:
    return bare("recurrent", TASK, form="line", style="completion", budget=200, **settings)


def answer(request: Request) -> Completion:
    return Completion(" sun", chances={"sky": {"sun": 0.4, "rain": 0.35}} if request.answer.places else {})


def step(built: Any, state: Any, t: int, seen: str, sky: str) -> tuple[Prediction, Any]:
    x = Observation("s", t, {"seen": seen})
    prediction = by_hand(built.predict(state, x), answer)
    return prediction, by_hand(built.learn(state, x, prediction, {"sky": sky}), answer).state


@pytest.mark.parametrize("chooses", [True, False])
def test_the_recurrent_method_chooses_where_its_notes_are_cases(chooses: bool) -> None:
    built = method(rule="cases", chances=True, choose=chooses)
    state = built.start(SequenceInfo("s"))
    for t in range(4):
        made, state = step(built, state, t, "a red sky at night", "rain")
        assert t or made.values == {"sky": "sun"}
    again, after = step(built, state, 4, "a red sky at night", "rain")
    assert again.values == {"sky": "rain" if chooses else "sun"}
    assert bool(after.choices) == chooses
    assert msgspec.json.decode(msgspec.json.encode(after), type=built.state_type) == after
    written = method(rule="rewrite", chances=True, choose=True)
    assert not written.chooses


def test_nobody_is_asked_for_chances_that_are_not_wanted() -> None:
    built = method(rule="cases", chances=False, choose=True)
    prediction, _ = step(built, built.start(SequenceInfo("s")), 0, "a red sky", "rain")
    assert prediction.distribution == {}


def test_draws_stand_in_where_no_chances_are_told() -> None:
    drawn: list[Request] = []

    def by_seed(request: Request) -> str:
        drawn.append(request)
        return " sun" if request.sampling.temperature == 0 or request.sampling.seed % 4 else " rain"

    built = bare("zero_shot", TASK, form="line", style="completion", chances=True, draws=40)
    x = Observation("s", 0, {"seen": "dew"})
    prediction = by_hand(built.predict(built.start(SequenceInfo("s")), x), by_seed)
    assert len(drawn) == 41
    assert {request.sampling.temperature for request in drawn[1:]} == {1.0}
    assert len({request.sampling.seed for request in drawn}) == 41
    chances = full(SKIES, prediction.distribution["sky"])
    assert prediction.values == {"sky": "sun"}
    assert 0.6 < chances["sun"] < 0.9
    assert chances["rain"] > chances["fog"] > 0


def apart(request: Request) -> Completion:
    """Answer with a branch of its own, and with what is likelier among the others where they alone are asked for."""
    (place,) = request.answer.places or ()
    if len(place.options) == 4:
        return Completion(" fog", chances={"sky": {"fog": 0.5, "rain": 0.1, "snow": 0.2, "sun": 0.2}})
    assert place.options == ("sun", "snow")
    assert "rain" not in (request.answer.gbnf or "")
    return Completion(" snow", chances={"sky": {"snow": 0.75, "sun": 0.25}})


@pytest.mark.parametrize(("branches", "calls"), [(0, 1), (1, 2), (3, 2)])
def test_options_that_begin_alike_are_told_apart_by_a_call_of_their_own(branches: int, calls: int) -> None:
    asked: list[Request] = []

    def noted(request: Request) -> Completion:
        asked.append(request)
        return apart(request)

    skies = msgspec.structs.replace(TASK, answer=(Label("sky", options=("rain", "sun", "snow", "fog")),))
    built = bare("zero_shot", skies, form="line", style="completion", chances=True, branches=branches)
    made = by_hand(built.predict(built.start(SequenceInfo("s")), Observation("s", 0, {"seen": "dew"})), noted)
    assert len(asked) == calls
    assert {request.messages for request in asked} == {asked[0].messages}
    assert made.values == {"sky": "fog"}
    assert made.distribution["sky"]["snow"] == pytest.approx(0.3 if branches else 0.2)


def test_a_surprise_is_what_was_held_unlikely() -> None:
    task: Task = TASK
    likely, unlikely = (surprise_of(task, told("sun", sun=0.8, rain=0.1), {"sky": sky}) for sky in ("sun", "rain"))
    assert likely == pytest.approx(0.223, abs=1e-3)
    assert unlikely == pytest.approx(2.303, abs=1e-3)
    assert surprise_of(task, told("sun"), {"sky": "sun"}) is None
    assert surprise_of(task, told("sun", sun=0.8), {"sky": "hail"}) is None
    past = Past()
    for _ in range(FEW):
        past = past.after(0.0, likely)
    # The answer was right all the same: what counts is how likely the outcome was held.
    assert why_not("surprise", 0, past, 0.0, likely) is not None
    assert why_not("surprise", 0, past, 0.0, unlikely) is None
    assert past.is_usual(1.0, likely)
    assert not past.is_usual(0.0, unlikely)
    assert past.is_usual(0.0, None)
    assert not past.is_usual(1.0, None)
