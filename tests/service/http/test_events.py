"""What happens in a session is told as it happens, and whoever comes back misses nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from llm_as_rnn.service.http.routes import events
from llm_as_rnn.service.keys import revoke_key
from tests.service.http.trying import DAY, Tried, begun, with_service


class Stream:
    """A stream of events, read an event at a time."""

    def __init__(self) -> None:
        self.start: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.chunks: asyncio.Queue[bytes] = asyncio.Queue()

    async def next(self) -> dict[str, str]:
        """Give the next event; what is none is skipped. An empty one is the end."""
        while chunk := await self.chunks.get():
            fields = dict(line.split(": ", 1) for line in chunk.decode().splitlines() if line)
            if "event" in fields:
                return fields
        return {}


@asynccontextmanager
async def following(tried: Tried, key: str, session: str = "s", last: str = "") -> AsyncIterator[Stream]:
    """Follow a session through the application itself: what comes is there when it is sent."""
    stream, gone = Stream(), asyncio.Event()

    async def receive() -> Any:
        if not stream.start.done():
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            stream.start.set_result(message)
        else:
            stream.chunks.put_nowait(message["body"])

    path = f"/v1/sessions/{session}/events"
    headers = [(b"authorization", f"Bearer {tried.keys[key]}".encode()), (b"last-event-id", last.encode())]
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    further = {"scheme": "http", "http_version": "1.1", "root_path": "", "headers": headers}
    whole = {**scope, **further, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
    task = asyncio.create_task(tried.app(whole, receive, send))
    try:
        await stream.start
        yield stream
    finally:
        gone.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_session_is_told_at_once_and_whenever_it_changes(database: str) -> None:
    async def work(tried: Tried) -> None:
        await begun(tried)
        async with following(tried, "read") as stream:
            kind = dict((await stream.start)["headers"])[b"content-type"]
            assert kind.startswith(b"text/event-stream")
            first = await stream.next()
            assert first["event"] == "session"
            assert json.loads(first["data"]) == (await tried.client.get("/v1/sessions/s")).json()
            await tried.client.post("/v1/sessions/s/predictions", json={"x": DAY})
            second = await stream.next()
            assert json.loads(second["data"])["steps"] == 1
            await tried.client.delete("/v1/sessions/s")
            assert (await stream.next())["event"] == "deleted"
            assert await stream.next() == {}, "after that there is nothing more"

    with_service(database, work)


def test_whoever_comes_back_is_told_what_changed_meanwhile_and_else_nothing(database: str) -> None:
    async def work(tried: Tried) -> None:
        await begun(tried)
        async with following(tried, "read") as stream:
            last = (await stream.next())["id"]
        async with following(tried, "read", last=last) as stream:
            await tried.client.post("/v1/sessions/s/predictions", json={"x": DAY})
            event = await stream.next()
            assert json.loads(event["data"])["steps"] == 1, "the first one is of the change"
        await tried.client.post("/v1/sessions/s/archive")
        async with following(tried, "read", last=event["id"]) as stream:
            assert json.loads((await stream.next())["data"])["status"] == "archived"

    with_service(database, work)


def test_a_comment_keeps_a_quiet_stream_open_as_long_as_its_key_is_good(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "QUIET", 0.0)
    monkeypatch.setattr(events, "LOOK", 0.01)

    async def work(tried: Tried) -> None:
        await begun(tried)
        async with following(tried, "read") as stream:
            while await stream.chunks.get() != b": still there\n\n":
                pass
            await revoke_key(tried.sessions.store, tried.keys["read"])
            while await stream.chunks.get():
                pass

    with_service(database, work)


def test_streams_end_when_the_service_stops(database: str) -> None:
    async def work(tried: Tried) -> None:
        await begun(tried)
        async with following(tried, "read") as stream:
            await stream.next()
            tried.stopping.stop()
            assert await stream.next() == {}

    with_service(database, work)


def test_a_session_that_is_not_there_is_a_problem_and_no_stream(database: str) -> None:
    async def work(tried: Tried) -> None:
        assert (await tried.client.get("/v1/sessions/gone/events")).status_code == 404

    with_service(database, work)
