"""The server ends in good order: what is under way is answered, what streams ends, and then all is closed."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx2
import pytest

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.service.callers import SCOPES, Caller
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.http.app import make_app
from llm_as_rnn.service.http.parts import Stopping
from llm_as_rnn.service.http.server import run
from llm_as_rnn.service.sessions import Sessions
from tests.service.http.trying import ready


class Slow(Sessions):
    """Sessions that answer when they are told to."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def list(self, *_: Any, **__: Any) -> Any:
        self.begun.set()
        await self.go.wait()
        return []


async def me(key: str | None) -> Caller:
    return Caller(1, "me", 1, frozenset(SCOPES))


class Running:
    """A server that runs, on a port of its own."""

    def __init__(self, sessions: Slow, **settings: Any) -> None:
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.stopping, self.closed = Stopping(), asyncio.Event()
        chosen = ServiceSettings(port=0, **settings)
        app = make_app(sessions, authenticate=me, health=ready, settings=chosen, stopping=self.stopping)
        self.task = asyncio.create_task(run(app, chosen, self.stopping, self.close, self.url.set_result))

    async def close(self) -> None:
        self.closed.set()


async def stopped(stopping: Stopping) -> None:
    while not stopping.told:
        await asyncio.sleep(0)


def test_a_request_that_is_under_way_is_answered_before_the_service_ends() -> None:
    async def work() -> None:
        sessions = Slow()
        running = Running(sessions)
        url = await running.url
        async with httpx2.AsyncClient(base_url=url, trust_env=False) as ask:
            assert (await ask.get("/health/live")).status_code == 200
            under_way = asyncio.create_task(ask.get("/v1/sessions"))
            await sessions.begun.wait()
            running.task.cancel()
            await stopped(running.stopping)
            assert not running.closed.is_set()
            sessions.go.set()
            assert (await under_way).json() == []
        with pytest.raises(asyncio.CancelledError):
            await running.task
        assert running.closed.is_set()
        with pytest.raises(httpx2.ConnectError):
            async with httpx2.AsyncClient(trust_env=False) as ask:
                await ask.get(f"{url}/health/live")

    asyncio.run(asyncio.wait_for(work(), 60))


def test_what_takes_longer_than_it_may_is_cut() -> None:
    async def work() -> None:
        sessions = Slow()
        running = Running(sessions, shutdown_seconds=1.0)
        async with httpx2.AsyncClient(base_url=await running.url, trust_env=False) as ask:
            under_way = asyncio.create_task(ask.get("/v1/sessions"))
            await sessions.begun.wait()
            running.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running.task
            assert running.closed.is_set()
            await asyncio.gather(under_way, return_exceptions=True)

    asyncio.run(asyncio.wait_for(work(), 60))


def test_an_address_that_is_taken_is_refused_and_all_is_closed() -> None:
    async def work(port: int) -> None:
        closed = asyncio.Event()

        async def close() -> None:
            closed.set()

        with pytest.raises(UsageError, match=f"127.0.0.1:{port} cannot be listened at"):
            await run(lambda *_: close(), ServiceSettings(port=port), Stopping(), close)
        assert closed.is_set()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        asyncio.run(work(taken.getsockname()[1]))
