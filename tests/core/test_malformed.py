"""No sequence of model answers, however malformed, crashes a method, loses a step or breaks the budget."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.catalogue import METHODS
from llm_as_rnn.core.calls import Completion
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.registry import dataset
from tests.helpers import LINES, OBJECTS, by_hand, count, in_turn, listening, make

TASK = load_task("weather")
SEQUENCE = dataset("weather").load(Selection(1, 4))[0]
SECTIONS = [section.name for section in TASK.memory]

junk = st.text(st.characters(codec=None), max_size=200)
keys = st.sampled_from([*SECTIONS, "sky", "high"]) | junk
values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | junk,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner),
    max_leaves=6,
)
memory_json = st.fixed_dictionaries({name: st.lists(junk, max_size=12) for name in SECTIONS})
headings = [f"## {name}" for name in SECTIONS]
memory_lines = st.lists(st.sampled_from(headings) | junk.map(lambda text: f"- {text}"), max_size=30)
note = "- a long note. And more of it.\n"
long_memory = st.integers(1, 60).map(lambda n: "\n".join(f"{heading}\n{note * n}" for heading in headings))
broken = ["[" * 100_000, '{"sky":' * 5_000, "\x00", "```json\n{}\n```", " rain, 1e999", " rain, -0", "null"]


def encoded(value: Any) -> str:
    """Write JSON as a careless model would: NaN and lone surrogates included."""
    import json  # noqa: PLC0415 - msgspec would refuse these values

    return json.dumps(value)


texts = st.one_of(
    junk,
    values.map(encoded),
    memory_json.map(encoded),
    memory_lines.map("\n".join),
    long_memory,
    st.sampled_from([*LINES.values(), *map(encoded, OBJECTS.values())]),
    st.sampled_from(broken),
)
completions = st.builds(
    Completion, texts, st.sampled_from(["stop", "stop", "stop", "length", "content_filter", "error", "tool_calls"])
)
answers = st.lists(completions, min_size=8, max_size=32)


def check(name: str, given_answers: list[Completion], budget: int, **how: Any) -> int:
    """Run a whole sequence on the answers, assert what must always hold, and count the answers that were used."""
    method = make(name, TASK, budget=budget, window=4096, **how)
    answer, asked = listening(in_turn(given_answers))
    state = method.start(SEQUENCE.info)
    for step in SEQUENCE.steps:
        prediction = by_hand(method.predict(state, step.observation), answer)
        assert (prediction.values is not None) == prediction.status.answered
        learned = by_hand(method.learn(state, step.observation, prediction, step.target), answer)
        assert msgspec.json.decode(msgspec.json.encode(learned.state), type=method.state_type) == learned.state
        msgspec.json.encode((prediction, learned.update, learned.feedback))
        memory = method.memory(learned.state)
        if memory is not None:
            assert count(str(memory)) <= budget
            assert [section.name for section in memory.sections] == SECTIONS
            assert memory.tokens == count(str(memory))
        state = learned.state
    return min(len(asked), len(given_answers))


@pytest.mark.parametrize("examples", [100, pytest.param(400, marks=pytest.mark.long)])
def test_any_method_survives_any_answers(examples: int) -> None:
    used = 0

    @settings(max_examples=examples)
    @given(
        answers,
        st.sampled_from(list(METHODS)),
        st.sampled_from(["json", "line"]),
        st.sampled_from(["chained", "separate"]),
        st.sampled_from(["model", "scorecard"]),
        st.integers(40, 200),
    )
    def survives(given: list[Completion], name: str, form: Any, layout: Any, feedback: Any, budget: int) -> None:
        nonlocal used
        used += check(name, given, budget, form=form, layout=layout, feedback=feedback)

    survives()
    assert used >= 3 * examples  # or else the answers were hardly given


@pytest.mark.parametrize("examples", [150, pytest.param(700, marks=pytest.mark.long)])
def test_the_memory_survives_any_answers(examples: int) -> None:
    used = 0

    @settings(max_examples=examples)
    @given(answers, st.sampled_from(["json", "line"]), st.integers(40, 200))
    def survives(given: list[Completion], form: Any, budget: int) -> None:
        nonlocal used
        used += check("recurrent", given, budget, form=form, feedback="scorecard")

    survives()
    assert used >= 3 * examples
