"""A service to try: the application in this process, on a database of its own, with a script in place of a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import httpx2

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.service.callers import SCOPES
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.http.app import make_app
from llm_as_rnn.service.http.metrics import Metrics
from llm_as_rnn.service.http.parts import Health, Stopping
from llm_as_rnn.service.keys import authenticate, create_key, create_tenant
from llm_as_rnn.service.learning import Learning
from llm_as_rnn.service.quotas import Admission
from llm_as_rnn.service.sessions import Sessions
from llm_as_rnn.service.store import Store
from tests.helpers import good_answer

DAY = {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0}
CAME = {"sky": "sun", "high": 14.1}

Answer = Callable[[Request], Completion | str]


class Tried(NamedTuple):
    """A service that is tried.

    Attributes
    ----------
    client : AsyncClient
        One with a key that is good for everything.
    app : ASGIApp
        What it asks.
    keys : dict of str to str
        Keys by what they are good for: ``all``, each scope, and ``other`` of another tenant.
    sessions : Sessions
        The verbs.
    stopping : Stopping
        Whether it is told to stop.
    metrics : Metrics
        Its figures.
    engine : ScriptedEngine
        What answers.
    """

    client: httpx2.AsyncClient
    app: Any
    keys: dict[str, str]
    sessions: Sessions
    stopping: Stopping
    metrics: Metrics
    engine: ScriptedEngine

    def of(self, key: str | None) -> httpx2.AsyncClient:
        """Give a client with another key, or none."""
        return client(self.app, key)


def client(app: Any, key: str | None) -> httpx2.AsyncClient:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers)


async def ready() -> Health:
    return Health({"database": "ok", "engine": "ok"})


@asynccontextmanager
async def tried(
    database: str,
    answer: Answer | None = None,
    health: Callable[[], Awaitable[Health]] = ready,
    info: EngineInfo | None = None,
    **settings: Any,
) -> AsyncIterator[Tried]:
    """Give a service on a migrated database."""
    store = await Store.open(database)
    engine = ScriptedEngine(answer or good_answer("json"), info)
    sessions = Sessions(store, engine)
    learning = Learning(sessions)
    learning.start()
    keys: dict[str, str] = {}
    for tenant in ("mine", "theirs"):
        await create_tenant(store, tenant)
    keys["all"] = await create_key(store, "mine", "all", SCOPES)
    keys["other"] = await create_key(store, "theirs", "other", SCOPES)
    for scope in SCOPES:
        keys[scope] = await create_key(store, "mine", scope, [scope])
    stopping, metrics = Stopping(), Metrics()
    app = make_app(
        sessions,
        authenticate=partial(authenticate, store),
        admit=Admission(store, engine.info.model).admit,
        health=health,
        settings=ServiceSettings(**settings),
        stopping=stopping,
        metrics=metrics,
    )
    try:
        async with client(app, keys["all"]) as asking:
            yield Tried(asking, app, keys, sessions, stopping, metrics, engine)
    finally:
        await learning.close()
        await store.close()


async def begun(tried: Tried, name: str = "s", **settings: Any) -> None:
    """Begin a session of the weather task."""
    new = {"task": "weather", "id": name, "settings": {"form": "json", "rule": "rewrite", **settings}}
    answer = await tried.client.post("/v1/sessions", json=new)
    assert answer.status_code == 201, answer.text


def with_service(database: str, work: Callable[[Tried], Awaitable[None]], **how: Any) -> None:
    """Do something with a service."""

    async def whole() -> None:
        async with asyncio.timeout(60), tried(database, **how) as service:
            await work(service)

    asyncio.run(whole())
