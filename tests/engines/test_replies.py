"""A server's reply is read by what is needed of it; nothing else in it can spoil an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.calls import Completion, Message, Request, Sampling
from llm_as_rnn.core.errors import EngineError
from llm_as_rnn.core.method import MOST_SAID
from llm_as_rnn.core.records import Observation, SequenceInfo
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines.refusals import in_turns
from llm_as_rnn.engines.replies import read_reply
from tests.helpers import by_hand, make

ASKED = Request("predict", (Message("user", "sun ->"),), Sampling(max_tokens=50))


def body(message: Any = None, usage: Any = None, **choice: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", **({} if message is None else {"message": message}), **choice}
    return json.dumps({"id": "x", "choices": [choice], "usage": usage}).encode()


def read(content: bytes, request: Request = ASKED) -> Completion:
    return read_reply(content, request, "the server").completion


@pytest.mark.parametrize(
    "message",
    [
        {"content": "rain"},
        {"content": [{"type": "text", "text": "rain"}]},
        {"content": [{"type": "output_text", "text": "ra", "annotations": []}, {"type": "text", "text": "in"}]},
        {"content": ["ra", {"text": "in"}, {"type": "image_url", "image_url": {}}, None, 7]},
        {"content": {"type": "text", "text": "rain"}},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Wet."}]}, "rain"]},
        {"content": "rain", "tool_calls": "none", "refusal": None, "audio": 1, "function_call": []},
        {"content": "rain", "reasoning_content": ["odd"], "reasoning": {"odd": True}, "role": 3},
    ],
)  # fmt: skip
def test_an_answer_is_found_in_whatever_holds_it(message: dict[str, Any]) -> None:
    completion = read(body(message, logprobs="odd", index="0", stop_reason=[1]))
    assert (completion.text, completion.finish_reason) == ("rain", "stop")


@pytest.mark.parametrize("content", [None, "", []])
def test_no_content_is_an_empty_answer(content: Any) -> None:
    assert read(body({"content": content})).text == ""


@pytest.mark.parametrize("content", ["", None, "\n", []])
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_a_whole_answer_in_the_field_for_thinking_counts(field: str, content: Any) -> None:
    completion = read(body({"content": content, field: "rain, 9.5"}))
    assert (completion.text, completion.reasoning_tokens) == ("rain, 9.5", 0)
    assert read(body({"content": content, field: "<think>Wet.</think>rain, 9.5"})).text == "rain, 9.5"


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning": [{"type": "text", "text": "rain, "}, {"type": "reasoning_text", "text": "9.5"}]},
        {"reasoning": [{"text": ["rain, ", {"text": "9.5"}]}, {"type": "reasoning.encrypted", "data": "x"}, 7]},
        {"reasoning": {"content": "rain, 9.5"}},
        {"reasoning_details": [{"type": "reasoning.text", "text": "rain, 9.5", "signature": None, "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "rain, 9.5"}, {"data": "x"}]},
        {"reasoning": None, "thinking": "rain, 9.5"},
        {"reasoning_content": [], "thinking": [{"type": "thinking", "thinking": "rain, 9.5"}]},
        {"thinking": [{"type": "thinking", "thinking": [{"type": "text", "text": "rain, 9.5"}]}]},
        {"reasoning": "rain, 9.5", "reasoning_details": [{"type": "reasoning.text", "text": "rain, 9.5"}]},
    ],
)
def test_thinking_is_found_in_whatever_holds_it(fields: dict[str, Any]) -> None:
    assert read(body({"content": None, **fields})).text == "rain, 9.5"
    told = read_reply(body({"content": "sun", **fields}), ASKED, "the server")
    assert (told.completion.text, told.uncounted) == ("sun", "rain, 9.5")


def test_no_more_blocks_are_read_than_an_answer_can_have() -> None:
    for message in (
        {"content": ["a"] * 50_000},
        {"reasoning": [{"text": "a"}] * 50_000},
        {"thinking": {"text": ["a"] * 50_000}},
    ):
        assert len(read(body(message)).text) == 10_000
    thoughts = [{"type": "thinking", "thinking": ["a"] * 50_000}, "rain"]
    assert len(read_reply(body({"content": thoughts}), ASKED, "the server").uncounted) == 10_000


def test_thinking_that_was_cut_short_is_no_answer() -> None:
    thinking = Request("predict", ASKED.messages, Sampling(max_tokens=50, thinking=100))
    for request in (ASKED, thinking):
        cut = read(body({"content": "", "reasoning_content": "It rained, so"}, finish_reason="length"), request)
        assert (cut.text.strip(), cut.finish_reason) == ("", "length")
        unsaid = {"completion_tokens": 150}
        assert read(body({"content": "", "reasoning": "It"}, unsaid, finish_reason=None), request).text.strip() == ""


@pytest.mark.parametrize(
    ("figure", "count"),
    [
        (100, 100), ("100", 100), (100.0, 100), ("100.0", 100), (" 7 ", 7),
        (None, 0), (-1, 0), ("-1", 0), (1.5, 0), ("many", 0), ("", 0), (True, 0), ([], 0), ({"n": 1}, 0),
        (1e300, 0), (10**30, 0), ("9" * 5_000, 0), ("nan", 0), ("inf", 0),
    ],
)  # fmt: skip
def test_odd_figures_are_unknown(figure: Any, count: int) -> None:
    usage = {
        "prompt_tokens": figure,
        "completion_tokens": figure,
        "prompt_tokens_details": {"cached_tokens": figure},
        "completion_tokens_details": {"reasoning_tokens": figure},
    }
    got = read(body({"content": "rain"}, usage), Request("predict", ASKED.messages, Sampling(max_tokens=500)))
    assert (got.text, got.prompt_tokens, got.completion_tokens, got.reasoning_tokens) == ("rain", count, count, count)
    assert got.cached_tokens == (count or None)


def test_what_is_counted_apart_belongs_to_the_whole() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 1000},
        "completion_tokens_details": {"reasoning_tokens": 200},
    }
    got = read(body({"content": "rain"}, usage), Request("predict", ASKED.messages, Sampling(max_tokens=500)))
    assert (got.prompt_tokens, got.cached_tokens, got.completion_tokens, got.reasoning_tokens) == (1010, 1000, 209, 200)


@pytest.mark.parametrize(
    "usage", [None, [], "none", 7, {}, {"prompt_tokens_details": [], "completion_tokens_details": "x"}]
)
def test_missing_figures_lose_no_answer(usage: Any) -> None:
    got = read(body({"content": "rain"}, usage))
    assert (got.text, got.prompt_tokens, got.cached_tokens) == ("rain", 0, None)


def test_text_and_message_both() -> None:
    assert read(body({"content": "rain"}, text="sun")).text == "rain"
    assert read(body({"content": None}, text="sun")).text == "sun"
    assert read(body(text="sun")).text == "sun"


@pytest.mark.parametrize(
    "message",
    [{"refusal": "No."}, {"content": None, "refusal": "No."}, {"content": [{"type": "refusal", "refusal": "No."}]}],
)
def test_a_refusal_is_one(message: Any) -> None:
    assert (read(body(message)).text, read(body(message)).finish_reason) == ("No.", "content_filter")


@pytest.mark.parametrize(
    "content",
    [
        b'{"choices":[{"message":{"content":"rain"},"logprobs":{"x":[NaN,-Infinity]}}]}',
        b'\xef\xbb\xbf{"choices":[{"message":{"content":"rain"}}]}',
        b'{"choices":[{"message":{"content":"rain"},"note":"\xff"}]}',
        b'{"choices":[{"message":{"content":"rain"},"note":"a\nb"}]}',
        b'{"choices":[{"message":{"content":"rain"}}],"created":' + b"9" * 400 + b"}",
    ],
)
def test_what_is_not_quite_json_loses_no_answer(content: bytes) -> None:
    assert read(content).text == "rain"


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{}", b'{"choices":null}', b'{"choices":[]}', b'{"choices":["rain"]}', b"[" * 100_000,
     b'{"error":{"message":"overloaded"}}', b'{"choices":[{"message":{"content":"rain"}}]', b"\xff\xfe"],
)  # fmt: skip
def test_a_reply_without_an_answer_says_what_the_server_said(content: bytes) -> None:
    with pytest.raises(EngineError, match="sent no answer, but ") as caught:
        read(content)
    assert "overloaded" in str(caught.value) or b"overloaded" not in content
    assert len(str(caught.value)) < 300


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "thinking", "refusal", "finish_reason"]) | st.text(), inner
        )
    ),
    max_leaves=8,
)


@given(values, values, values)
def test_whatever_stands_in_a_reply_is_read_or_refused(message: Any, usage: Any, reason: Any) -> None:
    try:
        got = read(body({"content": message, "reasoning": usage}, usage, finish_reason=reason, text=message))
    except EngineError:
        return
    assert isinstance(got.text, str)
    assert got.prompt_tokens >= 0


def test_a_reply_longer_than_any_answer_is_cut() -> None:
    got = read(body({"content": "rain " * 100_000}))
    assert (len(got.text), got.finish_reason) == (65_536, "length")


def test_a_repair_does_not_repeat_an_endless_answer() -> None:
    method = make("zero_shot", load_task("weather"))
    asked: list[Request] = []

    def answer(request: Request) -> str:
        asked.append(request)
        return "sun " * 100_000

    fields = {"date": "1 May", "sky": "rain", "high": 12.8, "low": 5.0, "precipitation": 10.9, "wind": 4.7}
    by_hand(method.predict(method.start(SequenceInfo("s")), Observation("s", 0, fields)), answer)
    first, second = (sum(len(message.content) for message in request.messages) for request in asked)
    assert second - first < MOST_SAID + 500
    assert Settings().window * 4 > MOST_SAID


def test_turns_of_one_role_become_one() -> None:
    messages = [Message("system", "a"), Message("user", "b"), Message("assistant", "c"), Message("user", "d")]
    assert in_turns(tuple(messages)) == (Message("user", "a\n\nb"), *messages[2:])
