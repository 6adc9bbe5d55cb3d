"""A service on a port of this machine, and what may lie between it and a client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.http.server import run
from tests.service.house import answer
from tests.service.http.trying import Tried, tried

Fault = Literal["pass", "lost", "torn", "busy", "silent", "refused"]
"""What becomes of a request: it passes; its answer is lost, after the service did what was asked; of its answer a part
comes; it is answered 503 before it gets there; no answer comes at all; the connection breaks before it gets there."""

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"
"""What something between answers that is no service."""


class Running(NamedTuple):
    """A service that listens.

    Attributes
    ----------
    url : str
        Its address.
    keys : dict of str to str
        Keys by what they are good for (see `Tried`).
    engine : ScriptedEngine
        What answers.
    relay : Relay
        What lies between.
    """

    url: str
    keys: dict[str, str]
    engine: ScriptedEngine
    relay: Relay

    @property
    def key(self) -> str:
        """One that is good for everything."""
        return self.keys["all"]


class Relay:
    """Passes requests on to a service, but for those that something happens to.

    Attributes
    ----------
    faults : list of str
        What becomes of the next requests, in their order; after that they pass.
    heard : list of bytes
        The first line of each request that came.
    url : str
        Where it listens.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.heard: list[bytes] = []
        self.url = ""
        self._target = ("", 0)
        self._under_way: set[asyncio.Task[Any]] = set()

    async def end(self) -> None:
        """End what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def listen(self, host: str, port: int) -> asyncio.Server:
        self._target = (host, port)
        server = await asyncio.start_server(self._connected, host, 0)
        self.url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
        return server

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        self._under_way.add(own)
        own.add_done_callback(self._under_way.discard)
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Handle a request, and tell whether the connection is kept."""
        request = await _message(reader)
        self.heard.append(request.partition(b"\r\n")[0])
        fault = self.faults.pop(0) if self.faults else "pass"
        if fault == "refused":
            return False
        if fault == "busy":
            writer.write(BUSY)
            await writer.drain()
            return False
        inner_reader, inner = await asyncio.open_connection(*self._target)
        inner.write(request)
        try:
            said = await _message(inner_reader)
        finally:
            inner.close()
        if fault == "silent":
            await reader.read()  # until whoever asked goes away
        if fault in ("lost", "silent"):
            return False
        writer.write(said[:-1] if fault == "torn" else said)
        await writer.drain()
        return fault == "pass"


async def _message(reader: asyncio.StreamReader) -> bytes:
    """Read a request or an answer, whose length may be given or come in chunks."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
    body = await reader.readexactly(length)
    if b"transfer-encoding: chunked" in lines:
        while not body.endswith(b"0\r\n\r\n"):
            body += await reader.readuntil(b"\r\n")
    return head + body


async def serving(
    database: str,
    says: Callable[[Request], str],
    info: EngineInfo | None,
    listening: Callable[[Running], None],
    ended: asyncio.Event,
) -> None:
    """Serve until it is told to end."""
    async with tried(database, says, info=info) as service:
        url = asyncio.get_running_loop().create_future()
        settings = ServiceSettings(port=0)
        task = asyncio.create_task(run(service.app, settings, service.stopping, _nothing, url.set_result))
        relay = Relay()
        host, _, port = (await url).removeprefix("http://").partition(":")
        async with await relay.listen(host, int(port)):
            listening(_running(service, url.result(), relay))
            await ended.wait()
            await relay.end()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _running(service: Tried, url: str, relay: Relay) -> Running:
    return Running(url, service.keys, service.engine, relay)


async def _nothing() -> None:
    """Close nothing: whoever opened it does."""


@contextmanager
def running(
    database: str, says: Callable[[Request], str] = answer, info: EngineInfo | None = None
) -> Iterator[Running]:
    """Give a service that runs in a thread of its own, and has a script in the place of a model."""
    begun, found, loops = threading.Event(), [], []
    ended = asyncio.Event()

    async def whole() -> None:
        loops.append(asyncio.get_running_loop())

        def listening(service: Running) -> None:
            found.append(service)
            begun.set()

        await serving(database, says, info, listening, ended)

    def work() -> None:
        try:
            asyncio.run(whole())
        finally:
            begun.set()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(30)
    try:
        yield found[0]
    finally:
        loops[0].call_soon_threadsafe(ended.set)
        thread.join(30)
