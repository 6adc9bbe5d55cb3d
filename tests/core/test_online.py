"""Outcomes that come late, out of order, twice or never."""

from __future__ import annotations

import zlib
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.catalogue import METHODS
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.method import Method
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.streams import replaying
from llm_as_rnn.streams.online import Stream, ask, begin, revive, tell
from llm_as_rnn.streams.replaying import CHECKPOINT
from llm_as_rnn.streams.settings import Policy
from tests.helpers import LINES, by_hand, listening, make

TASK = load_task("weather")
SEQUENCE = dataset("weather").load(Selection(1, 6))[0]
OTHERS = [name for name in METHODS if name != "zero_shot"]


def answer(request: Request) -> str:
    """Answer by the request alone, so that another memory writes another memory."""
    number = zlib.crc32(request.prompt.encode())
    if request.role == "update":
        return f"## Patterns\n- seen {number % 997}\n## Recent days\n- {number % 991}\n## Corrections\n- none"
    if request.role == "summarise":
        return f"summary: {number % 983}"
    return LINES[request.role]


def method(name: str = "recurrent") -> Method:
    return make(name, TASK, form="line", budget=200)


def asked(name: str, steps: int = 6) -> tuple[Method, Stream]:
    """Predict all steps before any outcome is known; ids are the steps' numbers."""
    chosen = method(name)
    stream = begin(chosen, SEQUENCE.info)
    for step in SEQUENCE.steps[:steps]:
        t = step.observation.t
        stream, _ = by_hand(ask(chosen, stream, SEQUENCE.info.id, step.observation.fields, str(t)), answer)
    return chosen, stream


def told(chosen: Method, stream: Stream, t: int, policy: Policy, answerer: Any = answer) -> Any:
    target = SEQUENCE.steps[t].target
    assert target is not None
    return by_hand(tell(chosen, stream, str(t), target, policy), answerer)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(OTHERS),
    st.permutations(range(6)),
    st.integers(0, 6),
    st.sampled_from([2, 3, CHECKPOINT]),
    st.data(),
)
def test_replay_learns_as_if_outcomes_had_come_in_order(
    name: str, order: list[int], never: int, checkpoint: int, data: Any
) -> None:
    """Whatever the order and wherever the checkpoints, with repetitions and with some that never come."""
    chosen, start = asked(name)
    order = order[never:]
    stream = start
    for place, t in enumerate(order):
        with patch.object(replaying, "CHECKPOINT", checkpoint):
            stream = told(chosen, stream, t, "replay").stream
        twice = data.draw(st.sampled_from(order[: place + 1]))
        again = told(chosen, stream, twice, "replay")
        assert (again.fate, again.stream) == ("duplicate", stream)
        revived = revive(chosen, msgspec.json.encode(stream))
        assert revived == stream
        stream = revived
    straight = start
    for t in sorted(order):
        straight = told(chosen, straight, t, "replay").stream
    assert stream.state == straight.state
    assert {waiting.id for waiting in stream.waiting} == {str(t) for t in range(6)} - {str(t) for t in order}


@pytest.mark.parametrize("policy", ["apply", "replay"])
@pytest.mark.parametrize("name", OTHERS)
def test_in_order_both_policies_are_plain_learning(name: str, policy: Policy) -> None:
    chosen, stream = asked(name)
    state = stream.state
    for waiting, step in zip(stream.waiting, SEQUENCE.steps, strict=True):
        state = by_hand(chosen.learn(state, step.observation, waiting.prediction, step.target), answer).state
    for t in range(6):
        result = told(chosen, stream, t, policy)
        stream = result.stream
        assert result.again == 0
    assert stream.state == state
    assert stream.lessons == ()


def test_apply_writes_a_late_outcome_into_the_present_memory() -> None:
    chosen, stream = asked("recurrent", 2)
    stream = told(chosen, stream, 1, "apply").stream
    answerer, log = listening(answer)
    memory = chosen.memory(stream.state)
    assert memory is not None
    late = told(chosen, stream, 0, "apply", answerer)
    assert memory.sections[0].items[0] in log[0].prompt
    assert late.waiting is not None
    assert late.waiting.memory_version == 0
    assert SEQUENCE.steps[0].observation.fields["date"] in log[0].prompt


def test_replay_goes_back_and_learns_the_later_ones_again() -> None:
    chosen, stream = asked("recurrent", 3)
    for t in (1, 2):
        stream = told(chosen, stream, t, "replay").stream
    answerer, log = listening(answer)
    late = told(chosen, stream, 0, "replay", answerer)
    assert late.again == 2
    assert "Nothing is known yet" in log[0].prompt
    assert [request.role for request in log] == ["reflect", "update"] * 3


def test_an_unknown_id_is_refused_with_a_hint() -> None:
    chosen, stream = asked("recurrent", 1)
    with pytest.raises(UsageError, match=r"no prediction waits under the id 'nobody' \(predict first"):
        by_hand(tell(chosen, stream, "nobody", {"sky": "sun", "high": 1.0}, "apply"), answer)
    with pytest.raises(UsageError, match=r"the id 0 \(one does under '0', which is text\)"):
        by_hand(tell(chosen, stream, 0, {"sky": "sun", "high": 1.0}, "apply"), answer)


@pytest.mark.parametrize("policy", ["apply", "replay"])
def test_an_outcome_that_no_model_took_in_still_waits(policy: Policy) -> None:
    chosen, stream = asked("recurrent", 2)
    stream = told(chosen, stream, 1, policy).stream
    failed = told(chosen, stream, 0, policy, lambda _: Completion("", "error", error="500"))
    assert (failed.fate, failed.stream) == ("failed", stream)
    assert told(chosen, stream, 0, policy).fate == "learned"


def test_asking_again_asks_no_model() -> None:
    chosen, stream = asked("recurrent", 1)
    answerer, log = listening(answer)
    fields = SEQUENCE.steps[0].observation.fields
    again, waiting = by_hand(ask(chosen, stream, SEQUENCE.info.id, fields, "0"), answerer)
    assert (again, waiting, log) == (stream, stream.waiting[0], [])
    with pytest.raises(UsageError, match="another observation"):
        by_hand(ask(chosen, stream, SEQUENCE.info.id, {**fields, "sky": "snow"}, "0"), answerer)


def test_a_prediction_without_an_answer_is_made_again_under_its_id() -> None:
    """An outage is no fact about the observation: the second prediction takes the place of the first."""
    chosen, stream = asked("recurrent", 1)
    fields = SEQUENCE.steps[1].observation.fields
    calls = ask(chosen, stream, SEQUENCE.info.id, fields, "b")
    stream, failed = by_hand(calls, lambda _: Completion("", "error", error="503"))
    assert failed.prediction.status == "engine_error"
    stream, _ = by_hand(ask(chosen, stream, SEQUENCE.info.id, SEQUENCE.steps[2].observation.fields, "c"), answer)
    with pytest.raises(UsageError, match="another observation"):
        by_hand(ask(chosen, stream, SEQUENCE.info.id, SEQUENCE.steps[3].observation.fields, "b"), answer)
    after, made = by_hand(ask(chosen, stream, SEQUENCE.info.id, fields, "b"), answer)
    assert (made.prediction.status, made.observation.t) == ("ok", failed.observation.t)
    assert (after.waiting[1], after.t, [waiting.id for waiting in after.waiting]) == (made, 3, ["0", "b", "c"])


def test_what_is_no_stream_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        revive(method(), b'{"t": 0}')
