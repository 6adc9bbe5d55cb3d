"""Counting tokens on a server, or without one that counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineBusyError, EngineError
from llm_as_rnn.engines import openai_compatible
from tests.engines.test_openai_compatible import opened
from tests.fake_server import FakeServer, Fault


class TestTokens:
    """What is counted, and how often a server is asked."""

    @pytest.mark.parametrize("dialect", ["llamacpp", "vllm", "sglang"])
    def test_the_server_counts_and_is_asked_once(self, dialect: Any) -> None:
        async def run() -> list[int]:
            async with opened(server) as engine:
                return [await engine.count_tokens(text) for text in ("a b c", "a b c", "", "x\ud800")]

        with FakeServer(dialect) as server:
            assert asyncio.run(run()) == [3, 3, 0, 1]
            bodies = [seen.body for seen in server.seen("/tokenize")[1:]]  # the first one is the probe
        text = "content" if dialect == "llamacpp" else "prompt"
        special = "add_special" if dialect == "llamacpp" else "add_special_tokens"
        assert [body[text] for body in bodies] == ["a b c", "", "x?"]
        assert not any(body[special] for body in bodies)

    def test_old_counts_are_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(openai_compatible, "COUNTS_KEPT", 2)

        async def run() -> None:
            async with opened(server) as engine:
                for text in ("a", "b", "a", "c", "a", "b"):
                    await engine.count_tokens(text)

        with FakeServer() as server:
            asyncio.run(run())
            assert [seen.body["content"] for seen in server.seen("/tokenize")[1:]] == ["a", "b", "c", "b"]

    def test_estimates_need_no_server(self) -> None:
        async def run() -> int:
            async with opened(server) as engine:
                return await engine.count_tokens("Sky: sun, high: 12.5")

        with FakeServer("openai") as server:
            assert asyncio.run(run()) == 11
            assert server.seen("/tokenize") == []

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    def test_a_server_that_stops_counting_gets_estimates(self, status: int) -> None:
        async def run() -> tuple[list[int], EngineInfo]:
            async with opened(server) as engine:
                server.faults.append(Fault(status=status, headers={"retry-after-ms": "1"}, path="/tokenize", times=99))
                counts = [await engine.count_tokens("Sky: sun, high: 12.5"), await engine.count_tokens("a")]
                return counts, engine.info

        with FakeServer() as server:
            counts, info = asyncio.run(run())
        assert counts == [11, 1]
        assert info.tokenizer == "lost"
        assert info.remarks == (
            f"{server.url} no longer counts tokens: counts are estimates, which err to the long side",
        )

    @pytest.mark.parametrize(("status", "kind"), [(503, EngineBusyError), (429, EngineBusyError), (500, EngineError)])
    def test_one_that_cannot_count_now_may_count_later(self, status: int, kind: type[EngineError]) -> None:
        async def run() -> None:
            async with opened(server) as engine:
                server.faults.append(Fault(status=status, headers={"retry-after-ms": "1"}, path="/tokenize", times=99))
                await engine.count_tokens("a")

        with FakeServer() as server, pytest.raises(kind, match=str(status)):
            asyncio.run(run())
