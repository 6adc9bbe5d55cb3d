"""The shipped suite over every method, rule and reference; then what our own methods promise beyond it."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llm_as_rnn.catalogue import METHODS, REFERENCES, build
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.method import Learned, Method
from llm_as_rnn.core.records import Observation, SequenceInfo, Status
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.recurrence.rules import RULES, traits
from llm_as_rnn.testing import Check, checks
from llm_as_rnn.testing.stage import EXAMPLES
from tests.helpers import Answer, by_hand, count, good_answer, listening, make

BY_RULE = [f"recurrent:{rule}" for rule in RULES]
ASKING = [*METHODS, *BY_RULE]
LESSONS = {"recurrent": 60}
"""Tokens of lessons: `recurrent` has the rule of `recurrent:rewrite` here, and beside it sequences that share some."""

CARRYING = ("advised",)
"""Whose sequences teach each other whom to believe here."""

EVERY_WAY = [
    (1, Settings(budget=80)),
    (0, Settings("line", "completion", "separate", budget=80, feedback="scorecard", recall=1)),
    (0, Settings("json", "completion", "separate", budget=80)),
    (0, Settings("line", "chat", "chained", budget=80, feedback="judge+scorecard", watch=True)),
]
"""Each form in each style and each layout, with an example task of the suite's."""


@pytest.mark.parametrize("check", checks(), ids=str)
@pytest.mark.parametrize("name", ASKING)
def test_a_method_does_what_every_method_does(name: str, check: Check) -> None:
    for number, ways in EVERY_WAY[: 2 if name in LESSONS else None]:
        task, sequences = EXAMPLES[number]
        asked = msgspec.structs.replace(ways, shared=LESSONS.get(name, 0), carry=name in CARRYING)
        check(partial(build, name), task=task, sequences=sequences, settings=asked)


@pytest.mark.parametrize("check", checks(), ids=str)
@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_does_what_every_method_does(name: str, check: Check) -> None:
    check(partial(build, name))


@pytest.mark.parametrize("check", checks(), ids=str)
def test_a_method_that_hears_a_judge_alone_needs_no_outcomes(check: Check) -> None:
    assert not make("recurrent", EXAMPLES[0][0], feedback="judge").needs_outcomes
    check(partial(build, "recurrent"), settings=Settings(budget=80, feedback="judge"))


@pytest.mark.parametrize("form", ["line", "json"])
@pytest.mark.parametrize("name", [name for name in ASKING if name != "advised"])  # it has the references' answers
def test_a_bad_answer_gets_one_more_chance(name: str, form: Any, weather: Task, days: list[Sequence]) -> None:
    method = make(name, weather, form=form)
    answers = iter(["nonsense", good_answer(form)(Request("predict", ()))])
    prediction = by_hand(
        method.predict(method.start(days[0].info), days[0].steps[0].observation), lambda _: next(answers)
    )
    assert prediction.status is Status.REPAIRED
    assert prediction.values == {"sky": "rain", "high": 9.5}


@pytest.mark.parametrize("status", [Status.INVALID, Status.TRUNCATED, Status.REFUSED, Status.ENGINE_ERROR])
@pytest.mark.parametrize("rule", ["rewrite", "delta"])
def test_an_update_says_what_was_wrong_with_the_models_notes(
    rule: str, status: Status, weather: Task, days: list[Sequence]
) -> None:
    reason = {Status.TRUNCATED: "length", Status.REFUSED: "content_filter", Status.ENGINE_ERROR: "error"}
    bad = Completion("nonsense", reason.get(status, "stop"))
    for form in ("line", "json"):
        method = make(f"recurrent:{rule}", weather, form=form)
        step = days[0].steps[0]
        state = method.start(days[0].info)
        prediction = by_hand(method.predict(state, step.observation), lambda _: bad)
        update = by_hand(method.learn(state, step.observation, prediction, step.target), lambda _: bad).update
        assert (update.outcome, update.code) == ("kept", status)


def test_all_methods_see_the_same_observation(weather: Task, days: list[Sequence]) -> None:
    step = days[0].steps[0]
    shown = weather.show(step.observation, "line")
    for name in ASKING:
        method = make(name, weather, form="line")
        answer, log = listening(good_answer("line"))
        by_hand(method.predict(method.start(days[0].info), step.observation), answer)
        assert [shown in request.prompt for request in log] == [True]


# ---------------------------------------------------------------------------- every rule, policy, feedback and form

BAD = (Completion("## Patterns"), Completion("", "error", error="500"), Completion("{", "length"), Completion("\ud800"))


def costly(form: Any) -> Answer:
    """Answer well, at 30 tokens a call."""
    good = good_answer(form)
    return lambda request: Completion(str(good(request)), prompt_tokens=20, completion_tokens=10)


def checked(method: Method, state: Any, observation: Observation, target: Any, answer: Answer, budget: int) -> Learned:
    """Learn from one step, and check all that holds at every step."""
    before = copy.deepcopy(state)
    prediction = by_hand(method.predict(state, observation), answer)
    learned = by_hand(method.learn(state, observation, prediction, target), answer)
    old, memory = method.memory(state), method.memory(learned.state)
    assert state == before
    assert old is not None
    assert memory is not None
    assert [section.name for section in memory.sections] == [section.name for section in old.sections]
    assert all(len(item.splitlines()) == 1 for section in memory.sections for item in section.items)
    length = count(str(memory))
    assert length <= budget
    accepted = learned.update.outcome == "accepted"
    assert memory.tokens in ((length,) if accepted else (None, length))
    assert memory.version == old.version + accepted
    assert accepted == (memory.sections != old.sections)
    assert accepted or learned.update.reason
    assert msgspec.json.decode(msgspec.json.encode(learned.state), type=method.state_type) == learned.state
    assert msgspec.json.decode(msgspec.json.encode(learned), type=Learned).update == learned.update
    return learned


def needs_outcomes(rule: str, when: str, recheck: int = 0) -> bool:
    """Tell what cannot be combined with a judge alone, who is never shown an outcome."""
    return traits(rule).needs_outcomes or when in ("on_error", "surprise") or recheck > 0


@pytest.mark.parametrize("allowance", [0, 20])
@pytest.mark.parametrize("when", ["every", "every:2", "on_error", "surprise"])
@pytest.mark.parametrize("rule", RULES)
def test_every_way_to_update_keeps_the_contract(
    rule: str, when: str, allowance: int, weather: Task, days: list[Sequence]
) -> None:
    for kind in ("model", "scorecard", "judge", "judge+scorecard", "auto"):
        for form in ("line", "json"):
            choices: dict[str, Any] = {"form": form, "feedback": kind, "budget": 150}
            choices |= {"when": when, "allowance": allowance}
            if kind == "judge" and needs_outcomes(rule, when):
                with pytest.raises(UsageError, match="needs outcomes"):
                    make(f"recurrent:{rule}", weather, **choices)
                continue
            method = make(f"recurrent:{rule}", weather, **choices)
            answer = costly(form)
            state = method.start(days[0].info)
            for step in days[0].steps:
                state = checked(method, state, step.observation, step.target, answer, 150).state
            for bad in BAD:
                step = days[1].steps[0]
                harmed = checked(method, state, step.observation, step.target, lambda _, bad=bad: bad, 150)  # type: ignore[misc]
                if rule in ("rewrite", "delta"):
                    assert harmed.update.outcome in ("kept", "skipped")


texts = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010, exclude_categories=[]), max_size=5),
    st.sampled_from([
        " rain, 9.5", "sun", "## X", "# Patterns\n- a", "{", "}", '{"sky": "sun"', "[]", "null", "-> rain, 3.0",
        "\u2028",
        "action: drop\nnumber: 1\nsection: Patterns\nnote: x", "action: change\nnumber: 2\nsection: Patterns\nnote: y",
        "action: add\nsection: Corrections\nnote: " + "long " * 30, "section: Recent days\nnote: z",
        "action: add\nnumber: 1\nsection: Recent days\nnote: Nothing is known yet.", "score: 50",
        "## Patterns\n- a\n## Recent days\n- b\n## Corrections\n- c", "## Patterns\n## Recent days\n- " + "b. " * 200
        + "\n## Corrections",
    ]),
)  # fmt: skip
memories = st.tuples(*(st.lists(texts, max_size=4) for _ in range(3))).map(
    lambda lists: "\n".join(
        "\n".join([f"## {name}", *(f"- {item}" for item in items)])
        for name, items in zip(("Patterns", "Recent days", "Corrections"), lists, strict=True)
    )
)
completions = st.builds(
    Completion,
    st.one_of(texts, memories, st.lists(texts, max_size=4).map("\n".join)),
    st.sampled_from(["stop"] * 6 + ["length", "content_filter", "error", "tool_calls"]),
    prompt_tokens=st.integers(0, 90),
    completion_tokens=st.integers(0, 90),
)
outcomes = st.fixed_dictionaries(
    {}, optional={"sky": st.sampled_from(["sun", "rain", "fog"]), "high": st.floats(-20, 45).map(lambda x: round(x, 1))}
)
NAMES = ("date", "sky", "high", "low", "precipitation", "wind")
steps = st.lists(
    st.tuples(
        st.fixed_dictionaries({name: texts if name in ("date", "sky") else st.just(1) for name in NAMES}),
        st.none() | outcomes,
    ),
    min_size=2,
    max_size=6,
)
ways = st.fixed_dictionaries(
    {
        "when": st.sampled_from(["every", "every:2", "on_error", "surprise"]),
        "allowance": st.sampled_from([0, 0, 60]),
        "recheck": st.sampled_from([0, 0, 2]),
        "recall": st.sampled_from([None, 2]),
    }
)


@pytest.mark.parametrize("examples", [15, pytest.param(40, marks=pytest.mark.long)])
@pytest.mark.parametrize("rule", RULES)
def test_whatever_is_seen_and_answered_no_memory_is_harmed(rule: str, examples: int) -> None:
    @given(data=st.data(), steps=steps, updating=ways, answers=st.lists(completions, min_size=1, max_size=8))
    @settings(max_examples=examples)
    def unharmed(data: st.DataObject, steps: list[Any], updating: dict[str, Any], answers: list[Completion]) -> None:
        learn_all(rule, data, steps, updating, answers)

    unharmed()


def learn_all(
    rule: str, data: st.DataObject, steps: list[Any], updating: dict[str, Any], answers: list[Completion]
) -> None:
    """Learn each step twice over, and assert that both came to the same, within the budget."""
    budget = data.draw(st.sampled_from([30, 60, 150]))
    choices: dict[str, Any] = {
        "form": data.draw(st.sampled_from(["line", "json"])),
        "layout": data.draw(st.sampled_from(["chained", "separate"])),
        "feedback": data.draw(st.sampled_from(["model", "scorecard", "judge", "model+judge", "auto"])),
    }
    assume(choices["feedback"] != "judge" or not needs_outcomes(rule, updating["when"], updating["recheck"]))
    method = make(f"recurrent:{rule}", load_task("weather"), budget=budget, **updating, **choices)
    state, number = method.start(SequenceInfo("s")), 0

    def answer(request: Request) -> Completion:
        nonlocal number
        number += 1
        return answers[number % len(answers)]

    for t, (fields, target) in enumerate(steps):
        start = number
        learned = checked(method, state, Observation("s", 9 * t, fields), target, answer, budget)
        number = start
        assert checked(method, state, Observation("s", 9 * t, fields), target, answer, budget) == learned
        state = learned.state
