"""Parts of a request that a server refuses, in whatever words, are left out one by one, remembered and recorded."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from llm_as_rnn.core.calls import AnswerFormat, Completion, Message, Request, Sampling
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, RequestRefusedError
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.refusals import Refusal
from tests.fake_server import FakeServer, Json, Seen

SCHEMA: Json = {
    "type": "object",
    "properties": {
        "high": {"type": "string", "pattern": "^[0-9]+$"},
        "why": {"type": "string", "maxLength": 99},
        "pattern": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
    },
    "required": ["high", "why", "pattern"],
}
MESSAGES = (Message("system", "Weather."), Message("user", "sun ->"))
REQUEST = Request("predict", MESSAGES, Sampling(0.5, 0.9, 16, 3, ("\n",)), answer=AnswerFormat("sky", schema=SCHEMA))


class Strict(FakeServer):
    """Refuses requests for which ``complains`` gives an error: its status, and its body or message."""

    def __init__(self, complains: Callable[[Json], tuple[int, Any] | None], dialect: Any = "openai") -> None:
        super().__init__(dialect)
        self.complains = complains
        self.refused = 0

    def reply(self, seen: Seen) -> tuple[int, str | Json]:
        found = self.complains(seen.body) if seen.path.endswith("completions") else None
        if found is None:
            return super().reply(seen)
        self.refused += 1
        status, said = found
        return status, said if isinstance(said, dict) else {"error": {"message": said}}


def ask(server: FakeServer, *requests: Request) -> tuple[list[Completion], EngineInfo]:
    async def run() -> tuple[list[Completion], EngineInfo]:
        engine = OpenAICompatibleEngine("fake", base_url=server.url, timeout=5.0, max_retries=0)
        await engine.open()
        try:
            return [await engine.complete(request) for request in requests or (REQUEST, REQUEST)], engine.info
        finally:
            await engine.close()

    with server:
        return asyncio.run(run())


def having(name: str, status: int, said: Any) -> Callable[[Json], tuple[int, Any] | None]:
    return lambda body: (status, said) if name in body else None


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("seed", 400, "seed: Extra inputs are not permitted"),
        ("seed", 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs"}]}),
        ("seed", 400, {"error": {"message": "Invalid value.", "param": "seed"}}),
        ("seed", 400, "Unknown argument: seed"),
        ("seed", 400, "Bad request"),
        ("top_p", 400, "`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
        ("temperature", 400, "Unsupported value: 'temperature' does not support 0.5 with this model."),
        ("temperature", 400, "temperature must be 1 here"),
        ("stop", 400, "Unsupported parameter: 'stop' is not supported with this model."),
        ("stop", 400, "Ung\u00fcltige Anfrage"),
        ("response_format", 400, "This response_format type is unavailable now"),
        ("response_format", 400, "'response_format.type' must be one of 'text' or 'json_object', not a schema"),
        ("response_format", 422, ""),
        ("response_format", 500, "structured output is not supported by this backend: response_format"),
    ],
)
def test_a_field_that_is_refused_in_many_words(name: str, status: int, said: Any) -> None:
    server = Strict(having(name, status, said))
    (first, second), info = ask(server)
    assert (first.text, second.text, second.retries) == ("fine", "fine", 0)
    assert info.left_out == (name,)
    assert first.retries == server.refused <= 12
    left = set(server.seen("completions")[-1].body)
    assert left == {"model", "messages", "temperature", "top_p", "max_tokens", "seed", "stop", "response_format"} - {
        name
    }


def has_keyword(body: Json, *names: str) -> bool:
    text = json.dumps(body.get("response_format"))
    return any(f'"{name}": "' in text or f'"{name}": 9' in text or f'"{name}": 1' in text for name in names)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("pattern",), "Invalid schema for response_format 'sky': In context=('high',), 'pattern' is not permitted."),
        (("pattern",), "The provided JSON schema contains features not supported by xgrammar."),
        (("minItems",), "Invalid request"),
        (("pattern", "minItems"), "json_schema: unsupported keyword"),
    ],
)  # fmt: skip
def test_parts_of_a_schema_that_are_refused(names: tuple[str, ...], said: str) -> None:
    server = Strict(lambda body: (400, said) if has_keyword(body, *names) else None)
    (first, second), info = ask(server)
    assert (first.text, second.text, second.retries) == ("fine", "fine", 0)
    assert {f"schema.{name}" for name in names} <= set(info.left_out)
    assert all(part.startswith("schema.") for part in info.left_out)
    sent = server.seen("completions")[-1].body["response_format"]["json_schema"]["schema"]
    assert list(sent["properties"]) == ["high", "why", "pattern"], "a property of that name stays"


def test_a_keyword_that_is_named_goes_alone() -> None:
    said = "Invalid schema for response_format: 'pattern' is not permitted"
    _, info = ask(Strict(lambda body: (400, said) if has_keyword(body, "pattern") else None))
    assert info.left_out == ("schema.pattern",)


def test_strictness_goes_before_the_whole_form() -> None:
    def complains(body: Json) -> tuple[int, str] | None:
        form = body.get("response_format")
        return (400, "Invalid schema") if form and "strict" in form["json_schema"] else None

    server = Strict(complains)
    _, info = ask(server)
    assert info.left_out == ("strict",)
    assert "response_format" in server.seen("completions")[-1].body


def test_two_that_are_refused_one_after_the_other() -> None:
    def complains(body: Json) -> tuple[int, str] | None:
        return next(((400, f"no {name}") for name in ("seed", "top_p") if name in body), None)

    assert ask(Strict(complains))[1].left_out == ("seed", "top_p")


def test_two_that_are_refused_together_without_a_word() -> None:
    server = Strict(lambda body: (400, "Bad request") if {"seed", "stop"} & set(body) else None)
    (first, second), info = ask(server)
    assert (first.text, second.retries) == ("fine", 0)
    assert {"seed", "stop"} <= set(info.left_out)


@pytest.mark.parametrize("dialect", ["llamacpp", "vllm", "sglang"])
def test_what_holds_a_line_to_its_form(dialect: Any) -> None:
    names = {"grammar", "structured_outputs", "regex"}
    line = Request("predict", MESSAGES, answer=AnswerFormat("sky", gbnf='root ::= "a"', regex="a|b"))
    server = Strict(lambda body: (400, "Failed to parse") if names & set(body) else None, dialect)
    (first, second), info = ask(server, line, line)
    assert (first.text, second.retries) == ("fine", 0)
    assert set(info.left_out) <= names


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("seed", 400, "This model's safety settings do not permit seed"),
        ("seed", 400, "seed: context window feature only"),
        ("seed", 400, "there is no chat template with seed"),
        ("seed", 500, "seed must be null"),
        ("seed", 424, "seed"),
        ("seed", 415, "cannot read seed"),
        ("seed", 403, "parameter seed forbidden"),
        ("top_p", 403, {"error": {"message": "Forbidden", "param": "top_p"}}),
        ("response_format", 404, "response_format is unavailable here"),
        ("max_tokens", 400, "max_tokens is not supported, sorry"),
    ],
)
def test_a_part_that_is_named_whatever_else_is_said(name: str, status: int, said: Any) -> None:
    server = Strict(having(name, status, said))
    (first, second), info = ask(server)
    assert (first.text, second.text, second.retries) == ("fine", "fine", 0)
    assert info.left_out == (name,)
    assert server.refused <= 2
    assert ("max_completion_tokens" in server.seen("completions")[-1].body) == (name == "max_tokens")


@pytest.mark.parametrize("status", [401, 402, 413, 429])
def test_a_name_says_nothing_where_it_is_known_what_is_meant(status: int) -> None:
    server = Strict(having("seed", status, "stop, seed"))
    with pytest.raises(EngineError):
        ask(server)
    assert server.refused == 1


@pytest.mark.parametrize(("status", "said"), [(403, "stop it"), (404, "no model seed"), (400, "flagged: stop")])
def test_a_name_that_says_nothing_costs_one_call(status: int, said: str) -> None:
    server = Strict(lambda body: (status, said))
    with pytest.raises(EngineError, match=said):
        ask(server)
    assert server.refused == 2


class TestWhatPasses:
    """Refusals that pass by themselves cost no part of later requests."""

    @pytest.mark.parametrize("times", [1, 2, 4, 6, 9])
    @pytest.mark.parametrize("said", ["Bad request (request id: {})", "Bad request"])
    @pytest.mark.parametrize("request_", [REQUEST, replace(REQUEST, answer=AnswerFormat("sky"))], ids=["json", "text"])
    def test_without_a_name(self, times: int, said: str, request_: Request) -> None:
        letters = iter("abcdefghijklmnopqrstuvwxyz")

        def complains(body: Json) -> tuple[int, str] | None:
            passed = server.refused >= times
            return None if passed else (400, said.format("xyzw" + next(letters) * 20))

        async def run() -> tuple[Completion, EngineInfo]:
            engine = OpenAICompatibleEngine("fake", base_url=server.url, timeout=5.0, max_retries=0)
            await engine.open()
            try:
                for _ in range(2):
                    with contextlib.suppress(RequestRefusedError):
                        await engine.complete(request_)
                return await engine.complete(request_), engine.info
            finally:
                await engine.close()

        with Strict(complains) as server:
            after, info = asyncio.run(run())
        assert (server.refused, after.retries, info.left_out) == (times, 0, ())

    def test_a_word_of_an_error_inside_the_server(self) -> None:
        server = Strict(lambda body: (500, "the worker had to stop") if server.refused < 1 else None)
        (first, second), info = ask(server)
        assert (first.text, second.text, info.left_out) == ("fine", "fine", ())

    @pytest.mark.parametrize("name", ["0f3a9c1e", "a1b2", "qwertyuiopasdfghjk", "123", "1-2-f"])
    def test_messages_are_the_same_but_for_what_names_a_request(self, name: str) -> None:
        assert Refusal(400, f"Bad request (request id: {name})").key == Refusal(400, "Bad request (request id: )").key
        assert Refusal(400, "no structured_outputs").key != Refusal(400, "no max_completion_tokens").key

    def test_a_guess_that_a_name_follows_is_confirmed_too(self) -> None:
        def complains(body: Json) -> tuple[int, str] | None:
            return (400, "Bad") if "seed" in body else (400, "no top_p") if "top_p" in body else None

        (first, second), info = ask(Strict(complains))
        assert (first.text, second.retries, info.left_out) == ("fine", 0, ("seed", "top_p"))


def test_what_stays_refused_is_refused_and_costs_few_calls() -> None:
    server = Strict(lambda body: (400, f"'messages' is not supported (request {len(server.requests)})"))
    for _ in range(2):
        with pytest.raises(RequestRefusedError, match="400: 'messages' is not supported"):
            ask(server)
    assert server.refused < 40


def test_a_request_whose_form_was_accepted_before_is_refused_for_its_content() -> None:
    server = Strict(lambda body: (400, "Bad request") if "evil" in str(body["messages"]) else None)
    evil = Request("predict", (Message("user", "evil"),), REQUEST.sampling, answer=REQUEST.answer)
    with pytest.raises(RequestRefusedError):
        ask(server, REQUEST, evil)
    assert server.refused == 1


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "Too many tokens, stop", "code": "context_length_exceeded"}},
        "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000 tokens.",
        {"error": {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"}},
        "prompt is too long: 9000 tokens > 4096 maximum",
        "Input length 9000 exceeds maximum input length 4096",
    ],
)  # fmt: skip
def test_a_prompt_that_is_too_long_is_called_so(said: Any) -> None:
    server = Strict(lambda body: (400, said))
    with pytest.raises(RequestRefusedError, match=r"the prompt is too long.*templates.*--form.*--context.*--budget"):
        ask(server)
    assert server.refused == 1


def test_a_name_that_was_not_to_blame_stays() -> None:
    server = Strict(lambda body: (400, "we stop here") if "seed" in body else None)
    assert ask(server)[1].left_out == ("seed",)


def test_calls_at_the_same_time_find_out_the_same() -> None:
    async def run() -> tuple[set[str], EngineInfo]:
        engine = OpenAICompatibleEngine("fake", base_url=server.url, timeout=5.0, max_retries=0)
        await engine.open()
        try:
            answers = await asyncio.gather(*(engine.complete(REQUEST) for _ in range(6)))
        finally:
            await engine.close()
        return {answer.text for answer in answers}, engine.info

    with Strict(having("top_p", 400, "Bad request")) as server:
        texts, info = asyncio.run(run())
    assert texts == {"fine"}
    assert info.left_out == ("top_p",)


def test_what_is_known_to_be_refused_is_not_sent() -> None:
    async def run() -> Completion:
        known = EngineInfo("openai:fake", left_out=("schema.pattern", "seed"))
        engine = OpenAICompatibleEngine("fake", base_url=server.url, info=known)
        await engine.open()
        try:
            return await engine.complete(REQUEST)
        finally:
            await engine.close()

    with Strict(having("seed", 400, "no")) as server:
        assert asyncio.run(run()).retries == 0
        assert server.refused == 0


def test_no_access_is_no_matter_of_fields() -> None:
    server = Strict(having("seed", 401, "seed"))
    with pytest.raises(EngineUnavailableError):
        ask(server)
    assert server.refused == 1
