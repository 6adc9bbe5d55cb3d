"""Only the call for an answer decides whether a server can be used; what it says beside that vetoes nothing."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest

from llm_as_rnn.core.calls import Message, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineBusyError, EngineUnavailableError
from llm_as_rnn.engines.estimate import estimate_tokens
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.patience import PatientEngine
from tests.fake_server import FakeServer, Fault, Json, Seen, refuse

REQUEST = Request("predict", (Message("user", "sun ->"),))


class Router(FakeServer):
    """A llama.cpp that serves many models, and wants to know of which one a request is."""

    def __init__(self) -> None:
        super().__init__("llamacpp", models=["other", "fake"])

    def reply(self, seen: Seen) -> tuple[int, str | Json]:
        if seen.path in ("/tokenize", "/props") and "fake" not in (seen.body.get("model"), seen.query.get("model")):
            return 400, {"error": {"message": "model name is missing from the request"}}
        return super().reply(seen)


def use(server: FakeServer, **options: Any) -> EngineInfo:
    """Open an engine on a server, ask it, count tokens."""

    async def run() -> EngineInfo:
        engine = OpenAICompatibleEngine("fake", base_url=server.url, **{"timeout": 5.0, **options})
        await engine.open()
        try:
            assert (await engine.complete(REQUEST)).text == "fine"
            assert await engine.count_tokens("three short words") >= 3
        finally:
            await engine.close()
        return engine.info

    with server:
        return asyncio.run(run())


def failing(path: str, status: int, dialect: Any = "llamacpp") -> FakeServer:
    return FakeServer(dialect, faults=[Fault(status=status, body={"error": "no"}, path=path, times=99)])


def test_a_router_is_told_which_model_is_meant() -> None:
    info = use(Router())
    assert (info.tokenizer, info.context_window, info.remarks) == ("exact", 2048, ())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422, 429, 500, 501, 503])
@pytest.mark.parametrize("dialect", ["llamacpp", "vllm", "sglang"])
def test_a_server_that_does_not_count_tokens_gets_estimates(dialect: Any, status: int) -> None:
    info = use(failing("/tokenize", status, dialect))
    assert info.tokenizer == "estimate"
    assert len(info.remarks) == 1
    assert "does not count tokens: counts are estimates" in info.remarks[0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_a_server_that_does_not_tell_its_properties(status: int) -> None:
    assert use(failing("/props", status)).context_window == 8192


@pytest.mark.parametrize("status", [307, 400, 401, 403, 404, 405, 500, 502])
def test_a_server_that_does_not_list_its_models(status: int) -> None:
    info = use(failing("/models", status, "openai"))
    assert [f"it answered {status}" in remark for remark in info.remarks] == [True] * (status not in (404, 405))


@pytest.mark.parametrize("listed", [["*"], ["openai/*", "*"], ["fa*"], ["fake:latest"], ["other", "fake:latest"]])
def test_lists_that_hold_the_model_in_other_words(listed: list[str]) -> None:
    assert use(FakeServer("openai", models=listed)).remarks == ()


@pytest.mark.parametrize("listed", [["other"], ["openai/*"], ["fake:7b"]])
def test_a_model_that_is_not_listed_is_used_all_the_same(listed: list[str]) -> None:
    info = use(FakeServer("openai", models=listed))
    assert len(info.remarks) == 1
    assert f"does not list 'fake'; it lists {listed[0]}" in info.remarks[0]


@pytest.mark.parametrize("owner", ["llamacpp", "vllm", "sglang"])
def test_an_owner_that_promises_endpoints_that_are_not_there(owner: str) -> None:
    listing = {"data": [{"id": "fake", "owned_by": owner}]}
    server = FakeServer("openai", faults=[Fault(status=200, body=listing, path="models")])
    info = use(server)
    assert info.tokenizer == "estimate"
    assert "does not count tokens" in info.remarks[0]


def test_a_remark_is_made_once_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "llm_as_rnn"):
        info = use(failing("/tokenize", 404))
    assert [record.message for record in caplog.records] == list(info.remarks)


LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}


@pytest.mark.parametrize("path", ["models", "props"])
def test_a_model_that_is_still_being_loaded_is_an_outage(path: str) -> None:
    with pytest.raises(EngineBusyError, match="503: Loading model"):
        use(FakeServer(faults=[Fault(status=503, body=LOADING, path=path, times=99)]))


def test_a_tokenizer_that_is_loading_for_ever_is_not_waited_for() -> None:
    info = use(FakeServer(faults=[Fault(status=503, body=LOADING, path="tokenize", times=99)]))
    assert info.tokenizer == "estimate"


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_server_too_busy_to_list_its_models_is_waited_for(status: int) -> None:
    server = failing("/models", status)
    with pytest.raises(EngineBusyError, match=f"answered {status}"):
        use(server)
    assert not server.seen("completions")


@pytest.mark.parametrize("path", ["models", "props", "tokenize"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset"),
        Fault("cut"),
        Fault("stall"),
        Fault(status=200, body="x" * (17 << 20)),
        Fault(status=200, headers={"content-encoding": "br"}, body="{}"),
        Fault(status=307, headers={"location": "/elsewhere"}),
        Fault(status=401, body={"error": "no"}),
        Fault(status=200, body="<html>"),
    ],
    ids=["reset", "cut", "stall", "long", "br", "307", "401", "html"],
)
def test_whatever_goes_wrong_beside_the_answers_decides_nothing(path: str, fault: Fault) -> None:
    server = FakeServer(faults=[replace(fault, path=path, times=2)])
    use(server, timeout=0.3 if fault.kind == "stall" else 5.0)
    assert len([seen for seen in server.requests if seen.path.endswith(path) and not seen.body.get("content")]) <= 2


@pytest.mark.parametrize("kind", ["reset", "cut", "stall"])
def test_one_that_hangs_once_at_the_start_is_asked_again(kind: Any) -> None:
    server = FakeServer(faults=[Fault(kind, path=path) for path in ("models", "props", "tokenize")])
    info = use(server, timeout=0.3)
    assert (info.context_window, info.tokenizer, info.remarks) == (2048, "exact", ())


class TestCounting:
    """A server that ceases to count tokens in the middle of a run vetoes nothing as long as it answers."""

    BUSY = Fault(status=429, body={"error": "busy"}, path="tokenize", times=99)

    @staticmethod
    def count(server: FakeServer, *, seconds: float, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], EngineInfo]:
        """Let a server answer, and count; the engine may give counting up after so many seconds."""

        async def run() -> tuple[list[int], EngineInfo]:
            inner = OpenAICompatibleEngine("fake", base_url=server.url, timeout=0.3, max_retries=0)
            engine = PatientEngine(inner, 60.0, sleep=sleep)
            await engine.open()
            try:
                await engine.complete(REQUEST)
                exact = await engine.count_tokens("three short words")
                server.faults.append(TestCounting.BUSY)
                return [exact, await engine.count_tokens("three more short words")], engine.info
            finally:
                await engine.close()

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        slept: list[float] = []
        monkeypatch.setattr("llm_as_rnn.engines.openai_compatible.COUNTS_AWAITED", seconds)
        with server:
            return asyncio.run(run())

    def test_it_is_estimated_after_some_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        counts, info = self.count(FakeServer(), seconds=0.0, monkeypatch=monkeypatch)
        assert counts[1] == estimate_tokens("three more short words")
        assert info.tokenizer == "lost"
        assert ["no longer counts tokens" in remark for remark in info.remarks] == [True]

    def test_an_outage_is_no_such_thing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        server = FakeServer()
        monkeypatch.setattr(TestCounting, "BUSY", Fault(status=503, body={"error": "busy"}, path="", times=9))
        counts, info = self.count(server, seconds=0.0, monkeypatch=monkeypatch)
        assert info.tokenizer == "exact"
        assert counts[1] != estimate_tokens("three more short words")

    def test_a_moment_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TestCounting, "BUSY", Fault("stall", path="tokenize", times=2))
        _, info = self.count(FakeServer(), seconds=60.0, monkeypatch=monkeypatch)
        assert info.tokenizer == "exact"


@pytest.mark.parametrize("number", [-1, 0, True, "many", None])
def test_figures_that_are_none_are_not_used(number: Any) -> None:
    props = {"total_slots": number, "default_generation_settings": {"n_ctx": number}}
    info = use(FakeServer(faults=[Fault(status=200, body=props, path="/props")]))
    assert (info.slots, info.context_window) == (4, 8192)
    listing = {"data": [{"id": "fake", "max_model_len": number}]}
    info = use(FakeServer("openai", faults=[Fault(status=200, body=listing, path="/models")]))
    assert info.context_window == 8192


def test_no_access_is_found_by_the_call() -> None:
    with pytest.raises(EngineUnavailableError, match="refuses access"):
        use(FakeServer(api_key="another"))


def test_a_name_that_nobody_serves_is_found_by_the_call() -> None:
    server = FakeServer("openai", models=["big", "fake-2"], faults=[refuse("no such model", 404)])
    with pytest.raises(EngineUnavailableError, match=r"does not serve 'fake': no such model \(it lists fake-2, big\)"):
        use(server)


class TestCutPrompts:
    """A server that cuts prompts silently is noticed by its own figures, and named."""

    def asked(self, server: FakeServer, lengths: list[int]) -> EngineInfo:
        async def run() -> EngineInfo:
            engine = OpenAICompatibleEngine("fake", base_url=server.url, timeout=5.0)
            await engine.open()
            try:
                for length in lengths:
                    await engine.complete(Request("predict", (Message("user", "rain " * length),)))
            finally:
                await engine.close()
            return engine.info

        with server:
            return asyncio.run(run())

    def cutting(self, dialect: Any, most: int, **usage: Any) -> FakeServer:
        def answer(body: Json) -> Json:
            words = len(body["messages"][0]["content"].split())
            figures = {"prompt_tokens": min(words, most), "completion_tokens": 1, **usage}
            return {"choices": [{"message": {"content": "x"}}], "usage": figures}

        return FakeServer(dialect, answer=answer)

    def test_by_the_servers_own_tokenizer(self) -> None:
        server = self.cutting("llamacpp", 2048)
        info = self.asked(server, [1000, 5000, 5000, 9000])
        assert info.remarks == (f"{server.url} cuts prompts: it read 2,048 tokens of about 5,000",)

    def test_by_words_where_nobody_counts(self) -> None:
        server = self.cutting("openai", 500)
        assert self.asked(server, [1000, 2000]).remarks == ()
        server = self.cutting("openai", 500)
        info = self.asked(server, [1000, 2000, 3000, 4000])
        assert info.remarks == (f"{server.url} cuts prompts: it read 500 tokens of about 3,000",)

    def test_by_a_figure_that_no_prompt_goes_beyond(self) -> None:
        server = self.cutting("openai", 2048)
        info = self.asked(server, [1500, 2100, 300, 2800, 3300])
        assert info.remarks == (f"{server.url} cuts prompts: it read 2,048 tokens of about 3,300",)
        assert self.asked(self.cutting("openai", 2048), [2100, 2200, 2100, 2300]).remarks == (), "they hardly grow"

    def test_what_the_cache_holds_is_a_part_of_what_was_read(self) -> None:
        server = self.cutting("llamacpp", 2048, prompt_tokens_details={"cached_tokens": 1900})
        info = self.asked(server, [4000])
        assert info.remarks == (f"{server.url} cuts prompts: it read 2,048 tokens of about 4,000",)

    @pytest.mark.parametrize("dialect", ["llamacpp", "openai"])
    def test_no_false_alarm(self, dialect: Any) -> None:
        assert self.asked(self.cutting(dialect, 10**6), [10, 500, 5000, 200, 9000]).remarks == ()
        assert self.asked(self.cutting(dialect, 0), [500, 5000, 9000]).remarks == (), "it gives no figures"
        apart = self.cutting(dialect, 500, prompt_tokens_details={"cached_tokens": 4600})
        assert self.asked(apart, [5000] * 4).remarks == (), "it counts what its cache holds apart"

    def test_few_calls_are_spent_on_it(self) -> None:
        server = self.cutting("llamacpp", 10**6)
        self.asked(server, [1000] * 30)
        assert len(server.seen("tokenize")) <= 2
