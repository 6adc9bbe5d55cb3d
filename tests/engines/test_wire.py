"""What travels between this package and a server: bounded, to the right place, and through a usable environment."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from llm_as_rnn.core.calls import Message, Request
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, LlmAsRnnError, UsageError
from llm_as_rnn.engines import places, wire
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.sources import HubFile, SourceError, Wanted
from llm_as_rnn.engines.wire import Answer, Wire
from tests.fake_server import FakeServer, Fault, busy

REQUEST = Request("predict", (Message("user", "sun ->"),))
ELSEWHERE = "http://models.example/v1"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *(name.lower() for name in VARIABLES), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


async def sent(url: str, *, retries: int = 0, waits: list[float] | None = None, **options: Any) -> Answer:
    async def sleep(seconds: float) -> None:
        if waits is not None:
            waits.append(seconds)

    line = Wire(url, "", timeout=5.0, retries=retries, sleep=sleep)
    await line.open()
    try:
        return await line.send(f"{line.where}/chat/completions", {"model": "m"}, **options)
    finally:
        await line.close()


class TestSize:
    """A reply is read up to a limit, as it comes and unpacked."""

    @pytest.mark.parametrize("packing", ["gzip", "deflate", "identity"])
    def test_what_is_packed_is_unpacked(self, packing: str) -> None:
        body = b'{"choices": [{"text": "x"}]}'
        packed = {"gzip": gzip.compress(body), "deflate": zlib.compress(body), "identity": body}[packing]
        with FakeServer(faults=[Fault(status=200, body=packed, headers={"content-encoding": packing})]) as server:
            assert asyncio.run(sent(server.url)).content == body

    def test_a_small_reply_that_unpacks_to_a_huge_one_costs_no_more_than_the_limit(self) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        block = bytes(1 << 20)
        bomb = b"".join(packer.compress(block) for _ in range(256)) + packer.flush()
        assert len(bomb) < 1 << 19
        with FakeServer(faults=[Fault(status=200, body=bomb, headers={"content-encoding": "gzip"})]) as server:
            tracemalloc.start()
            try:
                with pytest.raises(EngineError, match="a reply of more than 4 MiB"):
                    asyncio.run(sent(server.url))
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        assert peak < 4 * wire.MOST_BYTES

    @pytest.mark.parametrize("status", [200, 500])
    def test_a_long_reply(self, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wire, "MOST_BYTES", 1 << 20)
        with (
            FakeServer(faults=[Fault(status=status, body=b"x" * (1 << 21))]) as server,
            pytest.raises(EngineError, match="a reply of more than 1 MiB"),
        ):
            asyncio.run(sent(server.url))

    def test_what_follows_the_end_of_a_packed_reply_counts_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wire, "MOST_BYTES", 1 << 20)
        body = gzip.compress(b"{}") + bytes(1 << 21)
        with (
            FakeServer(faults=[Fault(status=200, body=body, headers={"content-encoding": "gzip"})]) as server,
            pytest.raises(EngineError, match="a reply of more than 1 MiB"),
        ):
            asyncio.run(sent(server.url))

    @pytest.mark.parametrize("path", ["models", "completions", "tokenize"])
    @pytest.mark.parametrize("long", [True, False])
    def test_a_long_reply_is_read_beside_the_loop(self, path: str, long: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        beside: list[str] = []

        async def to_thread(read: Callable[..., Any], *arguments: Any) -> Any:
            beside.append(read.__name__)
            return read(*arguments)

        monkeypatch.setattr(asyncio, "to_thread", to_thread)
        listed = [{"id": "fake", "owned_by": "llamacpp"}]
        body = {
            "data": listed,
            "tokens": [1, 2],
            "choices": [{"message": {"content": "fine"}}],
            "x": "x" * 100_000 * long,
        }
        error = {"error": {"message": "no", "x": "x" * 100_000 * long}}

        async def run() -> None:
            engine = OpenAICompatibleEngine("fake", base_url=server.url, max_retries=0)
            await engine.open()
            assert (await engine.complete(REQUEST)).text == "fine"
            assert await engine.count_tokens("some words") > 0
            server.faults.append(Fault(status=400, body=error))
            with pytest.raises(EngineError):
                await engine.complete(REQUEST)
            await engine.close()

        server = FakeServer("llamacpp", faults=[Fault(status=200, body=body, path=path)])
        with server:
            asyncio.run(run())
        reads = "read_reply" if path == "completions" else msgspec.json.decode.__name__
        assert [name for name in beside if name in ("read_refusal", reads)] == (
            ["read_refusal", reads, "read_refusal"] if long else []
        )

    @pytest.mark.parametrize(("packing", "said"), [("gzip", "cannot be unpacked"), ("br", "not asked for")])
    def test_what_cannot_be_unpacked(self, packing: str, said: str) -> None:
        with (
            FakeServer(faults=[Fault(status=200, body="{}", headers={"content-encoding": packing})]) as server,
            pytest.raises(EngineError, match=said),
        ):
            asyncio.run(sent(server.url))


class TestWaits:
    """Short waits here; longer ones are handed on."""

    @pytest.mark.parametrize(("header", "wait"), [("retry-after", "3"), ("retry-after-ms", "3000")])
    def test_a_short_wait_that_the_server_asks_for(self, header: str, wait: str) -> None:
        waits: list[float] = []
        fault = Fault(status=429, headers={header: wait}, body={"error": "busy"})
        with FakeServer(faults=[fault]) as server:
            assert asyncio.run(sent(server.url, retries=2, waits=waits)).failed == 1
        assert waits == [3.0]

    def test_a_long_one_is_not_waited_for(self) -> None:
        waits: list[float] = []
        with FakeServer(faults=[Fault(status=429, headers={"retry-after": "3600"}, times=9)]) as server:
            answer = asyncio.run(sent(server.url, retries=3, waits=waits))
            assert len(server.requests) == 1
        assert answer.retry_after == 3600
        assert waits == []

    def test_a_date_is_understood(self) -> None:
        fault = Fault(status=503, headers={"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"})
        with FakeServer(faults=[fault]) as server:
            assert (asyncio.run(sent(server.url)).retry_after or 0) > 10**8

    @pytest.mark.parametrize("wait", ["soon", "-5", "nan", "inf", ""])
    def test_what_is_no_time(self, wait: str) -> None:
        with FakeServer(faults=[Fault(status=503, headers={"retry-after": wait})]) as server:
            assert asyncio.run(sent(server.url)).retry_after is None

    def test_waits_grow_and_stay_short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wire, "FIRST_WAIT", 0.5)
        waits: list[float] = []
        with FakeServer(faults=[Fault(status=503, times=9)]) as server:
            asyncio.run(sent(server.url, retries=6, waits=waits))
        assert waits[0] <= 0.5
        assert waits[1] > waits[0]
        assert max(waits) <= wire.LONGEST_WAIT


class TestEnvironment:
    """What of this machine cannot be used is named in one line, and matters only where it is used."""

    async def opened(self, url: str) -> None:
        engine = OpenAICompatibleEngine("fake", base_url=url, api_key="k", max_retries=0, timeout=1.0)
        await engine.open()
        try:
            await engine.complete(REQUEST)
        finally:
            await engine.close()

    @pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ("socks5://ann:secret-pw@127.0.0.1:9", "names a SOCKS proxy, which needs the package socksio"),
            ("gopher://ann:secret-pw@127.0.0.1:9", "is no address of a proxy"),
            ("http://ann:secret-pw@127.0.0.1:port", "is no address of a proxy"),
        ],
    )
    def test_a_proxy_that_cannot_be_used(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str, tmp_path: Path
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(UsageError, match=f"^{name} {said}") as caught:
            asyncio.run(self.opened(ELSEWHERE))
        assert "secret" not in str(caught.value)
        with FakeServer() as server:
            asyncio.run(self.opened(server.url))  # no proxy stands before this machine
        with pytest.raises(SourceError, match=said):
            HubFile("a/b").fetch(Wanted("f", "0" * 64, 1), tmp_path / "part", lambda done, total: None)

    @pytest.mark.parametrize("content", [None, "no certificate"])
    def test_certificates_that_cannot_be_read(
        self, monkeypatch: pytest.MonkeyPatch, content: str | None, tmp_path: Path
    ) -> None:
        path = tmp_path / "certificates.pem"
        if content is not None:
            path.write_text(content)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        with pytest.raises(UsageError, match=r"^the certificates that SSL_CERT_FILE names cannot be read"):
            asyncio.run(self.opened(ELSEWHERE))
        with FakeServer() as server:
            asyncio.run(self.opened(server.url))

    @pytest.mark.parametrize(("scheme", "reads"), [("http", False), ("https", True)])
    def test_certificates_are_read_where_there_is_tls(
        self, monkeypatch: pytest.MonkeyPatch, scheme: str, reads: bool
    ) -> None:
        """To read those of a system takes longer than to ask an engine on this machine what it is."""
        contexts: list[ssl.SSLContext] = []
        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda self, *_, **__: contexts.append(self))

        async def opened() -> None:
            line = Wire(f"{scheme}://127.0.0.1:9/v1", "", timeout=5.0, retries=0)
            await line.open()
            await line.close()

        asyncio.run(opened())
        assert bool(contexts) == reads
        assert all(context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname for context in contexts)

    @pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
    def test_too_many_files(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        async def none_left(*_: Any, **__: Any) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(anyio, "connect_tcp", none_left)
        with FakeServer() as server, pytest.raises(EngineUnavailableError, match=r"too many files are open.*ulimit"):
            asyncio.run(self.opened(server.url))

    def test_a_proxy_that_does_not_answer_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            monkeypatch.setenv("HTTP_PROXY", f"http://ann:secret-pw@127.0.0.1:{taken.getsockname()[1]}")
            with pytest.raises(EngineUnavailableError, match=r"no server at .*the proxy in HTTP_PROXY") as caught:
                asyncio.run(self.opened(ELSEWHERE))
        assert "secret" not in str(caught.value)

    def test_a_proxy_that_refuses_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with FakeServer() as proxy:  # it knows nothing of CONNECT
            monkeypatch.setenv("HTTPS_PROXY", proxy.root.replace("//", "//ann:secret-pw@"))
            with pytest.raises(EngineUnavailableError, match="the proxy in HTTPS_PROXY gives no way to") as caught:
                asyncio.run(self.opened("https://models.example/v1"))
        assert "secret" not in str(caught.value)

    def test_a_server_that_speaks_no_tls(self) -> None:
        with FakeServer() as server, pytest.raises(LlmAsRnnError) as caught:
            asyncio.run(self.opened(server.url.replace("http:", "https:")))
        assert "\n" not in str(caught.value)
        assert "no server" not in str(caught.value)

    def test_a_token_that_is_none(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HF_TOKEN", "k\u00e4se")
        with pytest.raises(SourceError, match="HF_TOKEN"):
            HubFile("a/b").fetch(Wanted("f", "0" * 64, 1), tmp_path / "part", lambda done, total: None)


class TestHere:
    """What was approved as this machine is what is connected to."""

    def test_the_approved_address_is_connected_to_and_not_the_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        connected: list[str] = []
        real = anyio.connect_tcp

        async def connect(remote_host: str, remote_port: int, **more: Any) -> Any:
            connected.append(remote_host)
            return await real(remote_host, remote_port, **more)

        monkeypatch.setattr(anyio, "connect_tcp", connect)
        monkeypatch.setattr(places, "addresses", lambda host: ["127.0.0.1"])
        with FakeServer() as server:
            port = server.url.rpartition(":")[2]
            answer = asyncio.run(sent(f"http://name.test:{port}"))
            assert answer.refusal is None
            assert server.requests[0].headers["host"] == f"name.test:{port.partition('/')[0]}"
        assert connected == ["127.0.0.1"]

    def test_each_address_of_a_name_is_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(places, "addresses", lambda host: ["::1", "127.0.0.1"])
        with FakeServer() as server:
            assert asyncio.run(sent(server.url.replace("127.0.0.1", "name.test"))).refusal is None

    def test_a_name_that_moves_between_the_guard_and_the_connection_is_not_followed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(places, "_BOUND", set())
        monkeypatch.setattr(places, "addresses", lambda host: ["127.0.0.1"])
        assert places.is_here("name.test")  # as the guard asks, before the engine is opened
        monkeypatch.setattr(places, "addresses", lambda host: ["192.0.2.9"])
        engine = OpenAICompatibleEngine("fake", base_url="http://name.test:1/v1")
        with pytest.raises(EngineUnavailableError, match=r"name\.test no longer stands for this machine"):
            asyncio.run(engine.open())


def test_retries_are_counted_over_all_attempts() -> None:
    with FakeServer(faults=[busy(), Fault("reset")]) as server:
        assert asyncio.run(sent(server.url, retries=3)).failed == 2


def test_a_query_of_the_address_goes_with_every_request() -> None:
    with FakeServer() as server:
        asyncio.run(sent(f"{server.url}?key=abcdefgh12", query={"model": "a b"}))
        assert server.requests[0].query == {"key": "abcdefgh12", "model": "a b"}
