"""The engine for servers, against one that fails in every way a real one does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from llm_as_rnn.core.calls import AnswerFormat, Completion, Message, Request, Sampling
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineBusyError, EngineError, EngineUnavailableError
from llm_as_rnn.engines import openai_compatible
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from tests.fake_server import FakeServer, Fault, busy, refuse

T = TypeVar("T")

CHAT = Request("predict", (Message("system", "Weather."), Message("user", "sun ->")), Sampling(0.5, 0.9, 16, 3))
TEXT = Request("predict", CHAT.messages, CHAT.sampling, "completion")
SCHEMA = {"type": "object", "properties": {"sky": {"enum": ["sun", "rain"]}}, "required": ["sky"]}
JSON_ANSWER = AnswerFormat("sky", schema=SCHEMA)
LINE_ANSWER = AnswerFormat("sky", gbnf='root ::= " sun"', regex=" ?(sun|rain)", choices=("sun", "rain"))


@asynccontextmanager
async def opened(server: FakeServer, **options: Any) -> AsyncIterator[OpenAICompatibleEngine]:
    engine = OpenAICompatibleEngine("fake", base_url=server.url, **{"timeout": 5.0, **options})
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


def ask(server: FakeServer, *requests: Request, **options: Any) -> list[Completion]:
    """Open an engine on a server, ask it, close it."""

    async def run() -> list[Completion]:
        async with opened(server, **options) as engine:
            return [await engine.complete(request) for request in requests]

    with server:
        return asyncio.run(run())


def info(server: FakeServer, **options: Any) -> EngineInfo:
    async def run() -> EngineInfo:
        async with opened(server, **options) as engine:
            return engine.info

    with server:
        return asyncio.run(run())


def asked(server: FakeServer, number: int = -1) -> dict[str, Any]:
    return server.seen("completions")[number].body


def reply(**choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, **choice}], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


class TestOpen:
    """What is found out of a server, and servers that cannot be used."""

    def test_llama_cpp_says_its_window_and_slots_and_takes_any_name(self) -> None:
        found = info(FakeServer("llamacpp", models=["/models/other.gguf"]))
        assert (found.context_window, found.slots, found.tokenizer) == (2048, 3, "exact")
        assert found.model == "openai:fake"

    @pytest.mark.parametrize("dialect", ["vllm", "sglang"])
    def test_vllm_and_sglang_say_their_window(self, dialect: Any) -> None:
        found = info(FakeServer(dialect))
        assert (found.context_window, found.slots, found.tokenizer) == (1024, 4, "exact")

    def test_what_the_user_says_counts_more(self) -> None:
        found = info(FakeServer("llamacpp"), context=512, slots=9)
        assert (found.context_window, found.slots) == (512, 9)

    def test_a_server_that_lists_no_models_is_taken_as_it_is(self) -> None:
        server = FakeServer("openai", models=None)
        assert info(server) == EngineInfo("openai:fake", "", 8192, 4, "estimate", host="127.0.0.1")
        assert ask(server, CHAT)[0].text == "fine"

    def test_a_server_without_a_tokenizer_endpoint_gets_estimates(self) -> None:
        assert info(FakeServer("vllm", tokenizes=False)).tokenizer == "estimate"

    def test_other_hosts_have_other_names_for_the_window(self) -> None:
        models = '{"data": [{"id": "fake", "context_length": 77}]}'
        assert info(FakeServer("openai", faults=[Fault(status=200, body=models, path="models")])).context_window == 77

    def test_the_digest_tells_models_apart_and_outlives_a_restart(self) -> None:
        first, again = info(FakeServer("vllm")).digest, info(FakeServer("vllm")).digest
        assert first == again != ""
        assert info(FakeServer("sglang")).digest != first

    def test_a_model_that_is_not_listed_is_tried_and_then_named(self) -> None:
        server = FakeServer("vllm", models=["big", "fake-2"], faults=[refuse("no such model", 404)])
        with pytest.raises(EngineUnavailableError, match=r"does not serve 'fake': .* \(it lists fake-2, big\)"):
            ask(server, CHAT)
        assert (
            "does not list 'fake'; it lists fake-2, big"
            in info(FakeServer("openai", models=["big", "fake-2"])).remarks[0]
        )

    def test_long_lists_of_models_are_cut(self) -> None:
        (remark,) = info(FakeServer("openai", models=[f"model-{number}" for number in range(50)])).remarks
        assert len(remark) < 200

    def test_no_server(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            engine = OpenAICompatibleEngine("fake", base_url=url)
            with pytest.raises(EngineUnavailableError, match=f"no server at {url}"):
                asyncio.run(engine.open())

    @pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http://"])
    def test_an_address_that_is_none(self, url: str) -> None:
        with pytest.raises(EngineUnavailableError, match="is no address"):
            asyncio.run(OpenAICompatibleEngine("fake", base_url=url).open())

    def test_openai_itself_needs_a_key(self) -> None:
        with pytest.raises(EngineUnavailableError, match="OPENAI_API_KEY"):
            asyncio.run(OpenAICompatibleEngine("gpt-x").open())

    @pytest.mark.parametrize(("key", "fits"), [("secret", True), ("wrong", False), (None, False)])
    def test_a_key(self, key: str | None, fits: bool) -> None:
        server = FakeServer(api_key="secret")
        if fits:
            assert ask(server, CHAT, api_key=key)[0].text == "fine"
        else:
            with pytest.raises(EngineUnavailableError, match="refuses access: Invalid API key"):
                ask(server, CHAT, api_key=key)

    @pytest.mark.parametrize("key", ["käse", "two\nlines"])
    def test_a_key_that_is_none(self, key: str) -> None:
        with pytest.raises(EngineUnavailableError, match="characters that no key has"):
            info(FakeServer(), api_key=key)

    def test_key_and_address_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with FakeServer(api_key="secret") as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            monkeypatch.setenv("OPENAI_API_KEY", "secret\n")
            engine = OpenAICompatibleEngine("fake")

            async def run() -> None:
                await engine.open()
                await engine.close()

            asyncio.run(run())
        assert engine.info.tokenizer == "exact"

    def test_a_proxy_does_not_stand_before_the_loopback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert ask(FakeServer(), CHAT)[0].text == "fine"

    @pytest.mark.parametrize(
        "fault", [Fault("stall", path="models", times=9), Fault("trickle", path="models", times=9)]
    )
    def test_a_server_that_hangs_while_opening(self, fault: Fault) -> None:
        found = info(FakeServer(faults=[fault]), timeout=0.2, max_retries=0)
        assert found.remarks[0].endswith("does not list its models: it does not answer in time")

    @pytest.mark.parametrize("body", ["{", "<html>", "[]", '{"data": 3}', '{"data": [3]}', '"text"'])
    def test_models_of_another_shape_tell_nothing(self, body: str) -> None:
        found = info(FakeServer(faults=[Fault(status=200, body=body, path="models")]))
        assert (found.tokenizer, found.digest) == ("estimate", "")

    def test_used_before_opening(self) -> None:
        with pytest.raises(EngineUnavailableError, match="not open"):
            asyncio.run(OpenAICompatibleEngine("fake", base_url="http://127.0.0.1:1/v1").complete(CHAT))


class TestRequests:
    """What a server is sent."""

    def test_chat(self) -> None:
        server = FakeServer("openai")
        completion = ask(server, CHAT)[0]
        assert server.seen("completions")[0].path == "/v1/chat/completions"
        assert asked(server) == {
            "model": "fake",
            "messages": [{"role": "system", "content": "Weather."}, {"role": "user", "content": "sun ->"}],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 16,
            "seed": 3,
        }
        assert (completion.text, completion.finish_reason, completion.retries) == ("fine", "stop", 0)
        assert (completion.prompt_tokens, completion.completion_tokens) == (7, 1)
        assert completion.seconds > 0

    def test_completion(self) -> None:
        server = FakeServer("openai", answer=" rain")
        stopped = Request("predict", CHAT.messages, Sampling(max_tokens=4, stop=("\n",)), "completion")
        assert ask(server, stopped)[0].text == " rain"
        assert server.seen("completions")[0].path == "/v1/completions"
        assert asked(server)["prompt"] == "Weather.\n\nsun ->"
        assert asked(server)["stop"] == ["\n"]

    @pytest.mark.parametrize("style", ["chat", "completion"])
    def test_text_that_is_no_text(self, style: Any) -> None:
        server = FakeServer("openai")
        assert ask(server, Request("predict", (Message("user", "a \ud800 b"),), style=style))[0].text == "fine"
        assert "a ? b" in str(asked(server))

    @pytest.mark.parametrize("dialect", ["llamacpp", "vllm", "sglang", "openai"])
    def test_json_in_chat_is_the_same_everywhere(self, dialect: Any) -> None:
        server = FakeServer(dialect)
        ask(server, Request("predict", CHAT.messages, answer=JSON_ANSWER))
        assert asked(server)["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "sky", "schema": SCHEMA, "strict": True},
        }

    @pytest.mark.parametrize(
        ("server", "json_fields", "line_fields"),
        [
            (FakeServer("llamacpp"), {"json_schema": SCHEMA}, {"grammar": 'root ::= " sun"'}),
            (
                FakeServer("vllm"),
                {"structured_outputs": {"json": SCHEMA}},
                {"structured_outputs": {"regex": " ?(sun|rain)"}},
            ),
            (FakeServer("vllm", version="0.10.2"), {"guided_json": SCHEMA}, {"guided_regex": " ?(sun|rain)"}),
            (FakeServer("vllm", version="unknown"), {"structured_outputs": {"json": SCHEMA}}, None),
            (FakeServer("sglang"), None, {"regex": " ?(sun|rain)"}),
            (FakeServer("openai"), {}, {}),
        ],
    )
    def test_each_server_has_its_own_way_to_hold_a_completion(
        self, server: FakeServer, json_fields: dict[str, Any] | None, line_fields: dict[str, Any] | None
    ) -> None:
        plain = {"model", "prompt", "temperature", "top_p", "max_tokens", "seed", "cache_prompt"}
        for answer, expected in ((JSON_ANSWER, json_fields), (LINE_ANSWER, line_fields)):
            ask(server, Request("predict", CHAT.messages, style="completion", answer=answer))
            held = {name: value for name, value in asked(server).items() if name not in plain}
            assert expected is None or held == expected

    def test_choices_where_there_is_no_expression(self) -> None:
        choices = Request("predict", CHAT.messages, answer=AnswerFormat(choices=("sun", "rain")))
        new, old = FakeServer("vllm"), FakeServer("vllm", version="0.9.1")
        ask(new, choices)
        ask(old, choices)
        assert asked(new)["structured_outputs"] == {"choice": ["sun", "rain"]}
        assert asked(old)["guided_choice"] == ["sun", "rain"]

    def test_llama_cpp_is_told_to_keep_prompts(self) -> None:
        server = FakeServer("llamacpp")
        ask(server, CHAT)
        assert asked(server)["cache_prompt"] is True


class TestReplies:
    """What is made of its answers."""

    def test_cached_tokens_that_are_not_told_are_unknown(self) -> None:
        assert ask(FakeServer(), CHAT)[0].cached_tokens is None

    def test_cached_tokens(self) -> None:
        told = reply(message={"content": "x"}, finish_reason="stop")
        told["usage"]["prompt_tokens_details"] = {"cached_tokens": 0, "audio_tokens": 0}
        assert ask(FakeServer(answer=told), CHAT)[0].cached_tokens == 0

    @pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": None}])
    def test_missing_usage(self, usage: Any) -> None:
        completion = ask(FakeServer(answer={"choices": [{"message": {"content": "x"}}], "usage": usage}), CHAT)[0]
        assert (completion.text, completion.prompt_tokens, completion.cached_tokens) == ("x", 0, None)

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("stop", "stop"),
            ("length", "length"),
            ("content_filter", "content_filter"),
            ("tool_calls", "stop"),
            (None, "stop"),
        ],
    )
    def test_finish_reasons(self, said: str | None, expected: str) -> None:
        server = FakeServer(answer=reply(message={"content": "x"}, finish_reason=said))
        assert ask(server, CHAT)[0].finish_reason == expected

    def test_an_answer_without_a_reason_that_fills_its_limit_was_cut(self) -> None:
        full = reply(message={"content": "x"})
        full["usage"]["completion_tokens"] = 16
        assert ask(FakeServer(answer=full), CHAT)[0].finish_reason == "length"

    def test_an_answer_that_the_server_broke_off(self) -> None:
        with pytest.raises(EngineError, match="broke off"):
            ask(FakeServer(answer=reply(message={"content": "x"}, finish_reason="abort")), CHAT)

    def test_a_refusal(self) -> None:
        server = FakeServer(answer=reply(message={"content": None, "refusal": "I won't."}, finish_reason="stop"))
        completion = ask(server, CHAT)[0]
        assert (completion.text, completion.finish_reason) == ("I won't.", "content_filter")

    def test_a_prompt_that_is_filtered(self) -> None:
        server = FakeServer("openai", faults=[refuse("filtered", code="content_filter")])
        assert ask(server, CHAT)[0].finish_reason == "content_filter"

    def test_no_text_is_an_empty_answer(self) -> None:
        assert ask(FakeServer(answer=reply(message={"content": None}, finish_reason="stop")), CHAT)[0].text == ""

    @pytest.mark.parametrize(
        "body",
        ["", "{", "[]", "<html>wrong door</html>", '{"choices": []}', '{"choices": [3]}'],
    )
    def test_bodies_that_hold_no_answer(self, body: str) -> None:
        with pytest.raises(EngineError, match="sent no answer") as caught:
            ask(FakeServer(faults=[Fault(status=200, body=body, times=99)]), CHAT)
        assert not isinstance(caught.value, EngineUnavailableError)
        assert body.partition(">")[0] in str(caught.value)


class TestFaults:
    """What passes is survived, what lasts is named, and nothing hangs."""

    @pytest.mark.parametrize("fault", [busy(429), busy(503), Fault("reset"), Fault("cut")])
    def test_passing_ones_are_survived_and_counted(self, fault: Fault) -> None:
        server = FakeServer(faults=[fault])
        completion = ask(server, CHAT)[0]
        assert (completion.text, completion.retries) == ("fine", 1)

    def test_two_in_a_row(self) -> None:
        assert ask(FakeServer(faults=[busy(), Fault("reset")]), CHAT, max_retries=2)[0].retries == 2

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            *((busy(status, 9), f"{status}: busy") for status in (429, 502, 503, 504, 529)),
            (Fault("reset", times=9), "connection .* broke"),
        ],
    )
    def test_lasting_ones_are_an_outage(self, fault: Fault, said: str) -> None:
        server = FakeServer(faults=[fault])
        with pytest.raises(EngineBusyError, match=said):
            ask(server, CHAT, max_retries=2)
        assert len(server.seen("completions")) == 3

    def test_a_server_that_breaks_is_an_error_of_this_call(self) -> None:
        server = FakeServer(faults=[busy(500, 9)])
        with pytest.raises(EngineError, match="500: busy") as caught:
            ask(server, CHAT, max_retries=2)
        assert not isinstance(caught.value, EngineUnavailableError)
        assert len(server.seen("completions")) == 3

    def test_a_stall_is_tried_again(self) -> None:
        completion = ask(FakeServer(faults=[Fault("stall")]), CHAT, timeout=0.2)[0]
        assert (completion.text, completion.retries) == ("fine", 1)

    def test_a_lasting_stall(self) -> None:
        with pytest.raises(EngineError, match=r"within 0.1 s \(allow more time"):
            ask(FakeServer(faults=[Fault("stall", times=9)]), CHAT, timeout=0.1, max_retries=1)

    def test_a_trickle_ends_at_the_deadline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(openai_compatible, "BACKOFF_ROOM", 0.1)
        with pytest.raises(EngineError, match=r"within 0.5 s"):
            ask(FakeServer(faults=[Fault("trickle")]), CHAT, timeout=0.2, max_retries=1)

    @pytest.mark.parametrize(("status", "said"), [(401, "refuses access"), (403, "refuses"), (404, "does not serve")])
    def test_no_access_ends_everything(self, status: int, said: str) -> None:
        server = FakeServer(faults=[refuse("go away", status, times=9)])
        with pytest.raises(EngineUnavailableError, match=f"{said}.*go away"):
            ask(server, CHAT)
        assert len(server.seen("completions")) == 1

    def test_an_empty_account_ends_everything(self) -> None:
        fault = Fault(
            status=429,
            headers={"retry-after-ms": "1"},
            body={"error": {"message": "no credit", "code": "insufficient_quota"}},
            times=9,
        )
        with pytest.raises(EngineUnavailableError, match="no credit"):
            ask(FakeServer("openai", faults=[fault]), CHAT, max_retries=1)

    def test_a_server_that_went_away_may_come_back(self) -> None:
        async def run() -> None:
            with FakeServer() as server:
                engine = OpenAICompatibleEngine("fake", base_url=server.url, max_retries=1)
                await engine.open()
            try:
                with pytest.raises(EngineBusyError, match="no server"):
                    await engine.complete(CHAT)
            finally:
                await engine.close()

        asyncio.run(run())

    def test_a_bad_request_is_one_short_line(self) -> None:
        with pytest.raises(EngineError, match="answered 400: too long") as caught:
            ask(FakeServer(faults=[refuse("too long\n" + "x" * 5000)]), CHAT)
        assert len(str(caught.value)) < 350
        assert "\n" not in str(caught.value)

    def test_calls_at_the_same_time_do_not_disturb_each_other(self) -> None:
        def answer(body: dict[str, Any]) -> str:
            return str(body["messages"][0]["content"])

        async def run() -> list[Completion]:
            async with opened(server) as engine:
                requests = [Request("predict", (Message("user", str(number)),)) for number in range(40)]
                return await asyncio.gather(*(engine.complete(request) for request in requests))

        with FakeServer(answer=answer, faults=[busy(times=3), Fault("reset")]) as server:
            completions = asyncio.run(run())
        assert [completion.text for completion in completions] == [str(number) for number in range(40)]
        assert sum(completion.retries for completion in completions) == 4


class TestRefusedFields:
    """Servers that take fewer fields than others."""

    USE_OTHER = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    ONLY_DEFAULT = "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value."

    def test_a_reasoning_model_is_asked_as_it_wants(self) -> None:
        def answer(body: dict[str, Any]) -> str:
            return "max_tokens" if "max_tokens" in body else "max_completion_tokens"

        server = FakeServer("openai", answer=answer, faults=[refuse(self.USE_OTHER), refuse(self.ONLY_DEFAULT)])
        first, second = ask(server, CHAT, CHAT)
        assert (first.text, first.retries) == ("max_completion_tokens", 2)
        assert (second.text, second.retries) == ("max_completion_tokens", 0)  # it was remembered
        assert asked(server)["max_completion_tokens"] == 16
        assert "temperature" not in asked(server)
        assert asked(server)["top_p"] == 0.9

    @pytest.mark.parametrize("name", ["temperature", "top_p", "seed", "stop", "response_format"])
    def test_fields_that_an_answer_can_do_without(self, name: str) -> None:
        request = Request("predict", CHAT.messages, Sampling(stop=("\n",)), answer=JSON_ANSWER)
        server = FakeServer("openai", faults=[refuse(f"'{name}' is not supported")])
        assert ask(server, request)[0].text == "fine"
        assert name in asked(server, 0)
        assert name not in asked(server, 1)

    def test_a_strict_server_with_another_status(self) -> None:
        detail = [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]
        server = FakeServer("openai", faults=[Fault(status=422, body={"detail": detail})])
        assert ask(server, CHAT)[0].text == "fine"
        assert "seed" not in asked(server)

    def test_many_calls_that_learn_the_same_at_once(self) -> None:
        async def run() -> list[Completion]:
            async with opened(server) as engine:
                return await asyncio.gather(*(engine.complete(CHAT) for _ in range(4)))

        with FakeServer("openai", faults=[refuse("'seed' is not supported", times=4, having="seed")]) as server:
            assert [completion.text for completion in asyncio.run(run())] == ["fine"] * 4


def test_only_the_protocol_is_asked_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer("openai")
    ask(server, CHAT)
    assert {seen.path for seen in server.requests} == {"/v1/models", "/v1/chat/completions"}


@pytest.mark.parametrize(("dialect", "kept"), [("llamacpp", True), ("vllm", True), ("openai", False)])
def test_only_servers_that_take_lengths_get_them(dialect: Any, kept: bool) -> None:
    text = {"type": "string", "maxLength": 9}
    schema = {"type": "object", "properties": {"why": text, "maxLength": text, "all": {"type": "array", "items": text}}}
    server = FakeServer(dialect, answer="{}")
    ask(server, Request("reflect", CHAT.messages, answer=AnswerFormat("feedback", schema=schema)))
    sent = asked(server)["response_format"]["json_schema"]["schema"]["properties"]
    assert list(sent) == ["why", "maxLength", "all"]
    assert ["maxLength" in part for part in (sent["why"], sent["maxLength"], sent["all"]["items"])] == [kept] * 3
