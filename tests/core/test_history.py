"""Full history and MemPrompt: what they keep, and what goes when the context window is full."""

from __future__ import annotations

from typing import Any

import pytest

from llm_as_rnn.baselines.window import MARGIN
from llm_as_rnn.core.calls import Completion
from llm_as_rnn.core.records import Form, Layout
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Sequence
from tests.helpers import bare, by_hand, count, good_answer, listening, make


def after(method: Any, sequence: Sequence, steps: int, answer: Any) -> Any:
    state = method.start(sequence.info)
    for step in sequence.steps[:steps]:
        prediction = by_hand(method.predict(state, step.observation), answer)
        state = by_hand(method.learn(state, step.observation, prediction, step.target), answer).state
    return state


def test_full_history_shows_every_pair_in_order(weather: Task, days: list[Sequence]) -> None:
    method = make("full_history", weather, form="line", style="completion")
    state = after(method, days[0], 3, good_answer("line"))
    answer, log = listening(good_answer("line"))
    by_hand(method.predict(state, days[0].steps[3].observation), answer)
    lines = log[0].prompt.splitlines()[-4:]
    for line, step in zip(lines, days[0].steps, strict=False):
        assert line.startswith(weather.show(step.observation, "line"))
    for line, step in zip(lines[:3], days[0].steps, strict=False):
        assert step.target is not None
        assert line.endswith(f"-> {weather.spec('line').show(step.target)}")


@pytest.mark.parametrize("name", ["full_history", "memprompt"])
def test_the_oldest_go_first_when_the_window_is_full(weather: Task, days: list[Sequence], name: str) -> None:
    state = after(bare(name, weather, form="line"), days[0], 4, good_answer("line"))
    distinct = type(state)(state.sequence, tuple(f"entry {n} " + "x" * 80 for n in range(9)))
    for window in range(200, 460, 7):
        method = bare(name, weather, form="line", window=window)
        answer, log = listening(good_answer("line"))
        prediction = by_hand(method.predict(distinct, days[0].steps[4].observation), answer)
        shown = [entry for entry in distinct.past if entry in log[0].prompt]
        dropped = len(distinct.past) - len(shown)
        assert shown == list(distinct.past[dropped:])
        tokens = count(log[0].prompt) + log[0].sampling.max_tokens + MARGIN
        assert tokens <= window or not shown
        assert bool(prediction.notes) == (dropped > 0)
        if dropped:
            assert f"oldest {dropped} of 9" in prediction.notes[0]
            one_more = tokens + count(distinct.past[dropped - 1]) + 1
            assert one_more >= window


def test_memprompt_appends_the_summary(weather: Task, days: list[Sequence]) -> None:
    state = after(bare("memprompt", weather, form="line"), days[0], 2, good_answer("line"))
    assert state.past == ("a wet day, then rain",) * 2


def test_memprompt_without_a_usable_summary_appends_nothing(weather: Task, days: list[Sequence]) -> None:
    state = after(bare("memprompt", weather, form="line"), days[0], 2, lambda _: Completion("", "error", error="500"))
    assert state.past == ()


@pytest.mark.parametrize("layout", ["chained", "separate"])
@pytest.mark.parametrize("form", ["json", "line"])
def test_memprompt_asks_for_a_summary_within_the_window_as_well(
    weather: Task, days: list[Sequence], form: Form, layout: Layout
) -> None:
    method, step = bare("memprompt", weather, form=form, layout=layout, window=800), days[0].steps[0]
    state = type(method.start(days[0].info))(days[0].info, tuple(f"entry {n} " + "x" * 80 for n in range(60)))
    answer, log = listening(good_answer(form))
    prediction = by_hand(method.predict(state, step.observation), answer)
    assert by_hand(method.learn(state, step.observation, prediction, step.target), answer).update.code == "appended"
    assert [request.role for request in log] == ["predict", "summarise"]
    for request in log:
        told = count("\n\n".join(message.content for message in request.messages))
        assert told + request.sampling.max_tokens + MARGIN <= 800
    assert (layout == "separate") != ("entry 59" in log[-1].prompt)
