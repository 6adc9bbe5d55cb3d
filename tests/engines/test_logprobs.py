"""The chances of tokens, as servers tell them: both forms, whatever is broken in them, and servers that refuse."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llm_as_rnn.core.calls import AnswerFormat, Message, Place, Request, Sampling
from llm_as_rnn.core.records import Style
from llm_as_rnn.engines.dialects import Dialect
from llm_as_rnn.engines.fields import parts, request_fields
from llm_as_rnn.engines.logprobs import told_chances
from llm_as_rnn.engines.replies import read_reply
from tests.engines.test_refused_parts import Strict, ask, having
from tests.fake_server import FakeServer

ASKED = AnswerFormat("sky", gbnf='root ::= "sun"', places=(Place("sky", r"^\s*", ("sun", "fog")),))
PLAIN = AnswerFormat("sky", gbnf='root ::= "sun"')


def request(style: Style = "chat", answer: AnswerFormat = ASKED, thinking: int = 0) -> Request:
    return Request("predict", (Message("user", "sky?"),), Sampling(thinking=thinking), style, answer)


def listed(token: str, logprob: Any, **more: Any) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, **more}


CHAT = {
    "content": [
        listed(" sun", -0.36, bytes=list(b" sun"), top_logprobs=[listed(" sun", -0.36), listed(" fog", -1.2)]),
        listed("\n", -0.1, top_logprobs=[]),
    ]
}
LEGACY = {
    "tokens": [" sun", "\n"],
    "token_logprobs": [-0.36, -0.1],
    "top_logprobs": [{" sun": -0.36, " fog": -1.2}, None],
    "text_offset": [0, 4],
}


@pytest.mark.parametrize("told", [CHAT, LEGACY], ids=["chat", "legacy"])
def test_both_forms_tell_the_same(told: dict[str, Any]) -> None:
    assert told_chances(request(), {"logprobs": told}) == {"sky": {"sun": 0.6985, "fog": 0.3015}}


def test_nothing_is_read_where_nobody_asked_or_thoughts_stand_in_the_way() -> None:
    for one in (request(answer=PLAIN), request(thinking=100)):
        assert told_chances(one, {"logprobs": CHAT}) == {}


@pytest.mark.parametrize(
    "told",
    [None, 3, [], {}, {"content": None}, {"content": [None, 3, {"token": 4}]}, {"tokens": "sun"}, {"tokens": [None]},
     {"content": [listed("sun", "high", top_logprobs=3)]}, {"content": [listed("sun", float("nan"))]},
     {"content": [{"token": "sun", "bytes": [999], "logprob": None}]},
     {"content": [listed("sun", -(10**400), top_logprobs=[listed("fog", -(10**400))])]},
     {"tokens": ["sun"], "top_logprobs": [{"sun": None}], "token_logprobs": 3}],
)  # fmt: skip
def test_what_is_broken_tells_nothing_and_spoils_nothing(told: Any) -> None:
    assert told_chances(request(), {"logprobs": told}) == {}


def test_numbers_of_tokens_are_no_options() -> None:
    """Some servers list them so in place of texts."""
    level = AnswerFormat("level", places=(Place("level", r"^\s*", ("15", "16", "17")),))
    told = {"tokens": [16, 198], "token_logprobs": [-0.3, -0.1], "top_logprobs": [{"16": -0.3, "17": -1.5}, {}]}
    assert told_chances(request(answer=level), {"logprobs": told}) == {}
    told["tokens"] = ["16", "\n"]
    assert told_chances(request(answer=level), {"logprobs": told})["level"]["16"] > 0.6


def tokens(*texts: str) -> dict[str, Any]:
    return {"content": [listed(text, -0.1, top_logprobs=[listed(text, -0.1), listed("fog", -3.0)]) for text in texts]}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"content": '{"sky": "fog"}', "reasoning_content": 'A draft: {"sky": "sun"}'}, 'A draft: {"sky": "sun"}'),
        ({"content": '<think>A draft: {"sky": "sun"}</think>{"sky": "fog"}'}, '<think>A draft: {"sky": "sun"}</think>'),
    ],
    ids=["apart", "within"],
)
def test_thoughts_that_nobody_asked_for_stand_in_the_way_as_well(message: dict[str, Any], said: str) -> None:
    """A model that thinks by itself may name any option there, and answer otherwise."""
    place = Place("sky", '"sky"\\s*:\\s*"', ("sun", "fog"), quoted=True)
    before, draft, after = said.partition("sun")
    told = tokens(before, draft, after, '{"sky": "', "fog", '"}')
    reply = {"choices": [{"message": message, "logprobs": told, "finish_reason": "stop"}]}
    one = request(answer=AnswerFormat("sky", places=(place,)))
    read = read_reply(msgspec.json.encode(reply), one, "the server").completion
    assert (read.text, read.chances) == ('{"sky": "fog"}', {})
    plain = {"choices": [{"message": {"content": '{"sky": "fog"}'}, "logprobs": tokens('{"sky": "', "fog", '"}')}]}
    assert read_reply(msgspec.json.encode(plain), one, "the server").completion.chances["sky"]["fog"] > 0.9


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=4) | st.sampled_from(["sun", " fog"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["content", "token", "tokens", "bytes", "logprob", "top_logprobs", "token_logprobs"]), inner
        )
    ),
    max_leaves=12,
)


@given(anything)
def test_any_json_is_read_without_an_error(told: Any) -> None:
    found = told_chances(request(), {"logprobs": told})
    assert all(0 <= chance <= 1 for spread in found.values() for chance in spread.values())


@pytest.mark.parametrize(
    ("dialect", "style", "fields"),
    [
        ("llamacpp", "chat", {"logprobs": True, "top_logprobs": 50}),
        ("llamacpp", "completion", {"logprobs": 50}),
        ("vllm", "chat", {"logprobs": True, "top_logprobs": 20}),
        ("sglang", "completion", {"logprobs": 20}),
        ("other", "chat", {"logprobs": True, "top_logprobs": 20}),
        ("other", "completion", {"logprobs": 5}),
    ],
)
def test_each_dialect_is_asked_as_it_takes_it(dialect: Dialect, style: Style, fields: dict[str, Any]) -> None:
    sent = request_fields(request(style), dialect, ())
    assert {name: value for name, value in sent.items() if "logprobs" in name} == fields
    for silent in (request_fields(request(style), dialect, {"logprobs"}), request_fields(
        request(style, PLAIN), dialect, ()
    ), request_fields(request(style, thinking=9), dialect, ())):  # fmt: skip
        assert not any("logprobs" in name for name in silent)
    assert "logprobs" in parts(sent)


def test_a_long_answer_and_its_chances_are_read() -> None:
    """A reply has an end: where the answer may be long, fewer alternatives of each token are asked for."""
    letters = "\u092c\u093e\u0930"

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        one = {"id": 123456, "token": letters, "bytes": list(letters.encode()), "logprob": -12.345678}
        told = {
            "content": [{**one, "top_logprobs": [one] * body.get("top_logprobs", 0)}]
            * (body["max_tokens"] if "logprobs" in body else 0)
        }
        return {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop", "logprobs": told}]}

    for tokens in (400, 2000, 30_000):
        long = replace(request(), sampling=Sampling(max_tokens=tokens))
        server = FakeServer("llamacpp", answer=answer)
        (completion,), _ = ask(server, long)
        assert completion.text == "fine"
        assert server.requests[-1].body.get("top_logprobs") == {400: 50, 2000: 12}.get(tokens)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "Requested sample logprobs of 20, which is greater than max allowed: 5"),
        (422, {"error": "Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 20"}),
        (400, "top_logprobs must be less than or equal to 5"),
        (400, "Bad request"),
    ],
)
@pytest.mark.parametrize("style", ["chat", "completion"])
def test_a_server_that_tells_fewer_chances_is_asked_for_fewer(status: int, said: Any, style: Style) -> None:
    def complains(body: dict[str, Any]) -> tuple[int, Any] | None:
        return (status, said) if max(body.get("logprobs", 0), body.get("top_logprobs", 0)) > 5 else None

    server = Strict(complains, "vllm")
    _, info = ask(server, request(style), request(style))
    assert info.left_out == ("logprobs.many",)
    asked = server.requests[-1].body
    assert asked["top_logprobs" if style == "chat" else "logprobs"] == 5
    assert server.refused <= 6
    assert "logprobs.many" not in parts(request_fields(request(style), "vllm", info.left_out))


@pytest.mark.parametrize(
    "said",
    [
        "Unsupported parameter: 'logprobs' is not supported with this model.",
        "top_logprobs: Extra inputs are not permitted",
        "You are not allowed to request logprobs from this model",
        "Bad request",
    ],
)
def test_a_server_that_tells_no_chances_is_not_asked_for_them_again(said: str) -> None:
    server = Strict(having("top_logprobs", 400, said))
    completions, info = ask(server, request(), request())
    assert info.left_out == ("logprobs",)
    assert [completion.chances for completion in completions] == [{}, {}]
    assert "logprobs" not in server.requests[-1].body
