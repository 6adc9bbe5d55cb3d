"""Who may do what: every route is tried without a key, with a revoked one, one for something else, and another's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from llm_as_rnn.service.callers import SCOPES, Caller
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.errors import QuotaError
from llm_as_rnn.service.http.app import make_routes
from llm_as_rnn.service.http.metrics import Metrics
from llm_as_rnn.service.http.parts import Parts, Stopping, admit_all
from llm_as_rnn.service.keys import revoke_key
from llm_as_rnn.service.sessions import Sessions
from tests.service.http.trying import DAY, Tried, begun, client, ready, with_service

OPEN = {"/health/live", "/health/ready", "/metrics", "/v1/openapi.json", "/ui", "/ui/{name}"}
"""What needs no key."""

OF_ALL = {
    "/v1/tasks",
    "/v1/sessions",
    "/v1/sessions/import",
    "/v1/spend",
    "/v1/batch/predictions",
    "/v1/batch/outcomes",
}
"""Paths that name nothing of one tenant's."""

NEEDED = {
    "read": {"get"},
    "predict": {"predict", "predict_batch"},
    "learn": {"put_outcome", "tell_batch"},
    "admin": {"delete_session"},
}
"""The handlers that a scope opens, by their names; reading is whatever GET does, and ``edit`` all else."""

BODIES: dict[str, Any] = {
    "/v1/tasks/{name}": {},
    "/v1/sessions": {"task": "weather"},
    "/v1/sessions/{session}/predictions": {"x": DAY},
    "/v1/sessions/{session}/predictions/{prediction}/outcome": {"y": {"sky": "sun", "high": 1.0}},
    "/v1/sessions/{session}/memory": {"sections": []},
    "/v1/sessions/{session}/memory/restore": {"version": 0},
    "/v1/sessions/{session}/memory/pins": {"item": "x"},
}


async def nobody(key: str | None) -> Caller:
    raise AssertionError(key)


def parts() -> Parts:
    sessions: Any = None
    return Parts(sessions, nobody, admit_all, ready, ServiceSettings(), Stopping(), Metrics())


def every_route() -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Give method, path and handler of each route that there is."""
    for route in make_routes(parts()).routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            for method in handler.http_methods - {"OPTIONS"}:
                yield method, route.path_format, handler


ROUTES = sorted(every_route(), key=lambda route: route[:2])
DESCRIBED = [route for route in ROUTES if not route[1].startswith("/ui")]
"""Those of the API: the page's own are not described."""
GUARDED = [route for route in ROUTES if route[1] not in OPEN]


def filled(path: str) -> str:
    """Give a path whose names are those of something of my tenant's."""
    return path.format(session="s", prediction="a", version=0, name="mine")


def arguments(method: str, path: str) -> dict[str, Any]:
    """Give what makes a request one that would be done."""
    asked: dict[str, Any] = {"headers": {"If-Match": "*"}, "params": {"from": 0, "item": "x"}}
    if method in ("POST", "PUT"):
        asked["json"] = BODIES.get(path, {})
    return asked


@pytest.mark.parametrize(("method", "path", "handler"), ROUTES, ids=[f"{it[0]} {it[1]}" for it in ROUTES])
def test_a_route_says_which_scope_it_needs(method: str, path: str, handler: HTTPRouteHandler) -> None:
    scope = handler.opt["scope"]
    if path in OPEN:
        assert scope is None
        return
    named = next((scope for scope, names in NEEDED.items() if handler.handler_name in names), None)
    assert scope == (named or ("read" if method == "GET" else "edit"))


def test_every_scope_opens_something() -> None:
    assert {handler.opt["scope"] for _, _, handler in ROUTES} == {None, *SCOPES}


def test_nobody_comes_in_without_a_key_that_is_good_for_it(database: str) -> None:
    async def work(tried: Tried) -> None:
        await begun(tried)
        store = tried.sessions.store
        await revoke_key(store, tried.keys["admin"])
        for key in (None, "nonsense", "lar_abcdefgh_" + "x" * 43, tried.keys["admin"]):
            async with tried.of(key) as ask:
                for method, path, _ in GUARDED:
                    answer = await ask.request(method, filled(path), **arguments(method, path))
                    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        for scope in set(SCOPES) - {"admin"}:
            async with tried.of(tried.keys[scope]) as ask:
                for method, path, handler in GUARDED:
                    if handler.opt["scope"] != scope:
                        answer = await ask.request(method, filled(path), **arguments(method, path))
                        assert answer.status_code == 403, path
        assert (await tried.client.get("/v1/sessions/s")).json()["steps"] == 0

    with_service(database, work)


def test_no_tenant_reaches_what_is_anothers(database: str) -> None:
    """What is another's looks as if it were not there; and nothing that is tried changes it."""

    async def work(tried: Tried) -> None:
        await begun(tried)
        await tried.client.post("/v1/sessions/s/predictions", json={"id": "a", "x": DAY})
        await tried.client.put("/v1/tasks/mine", json={})
        before = await all_of(tried)
        async with tried.of(tried.keys["other"]) as ask:
            for method, path, _ in GUARDED:
                if path not in OF_ALL and not path.startswith("/v1/tasks/"):
                    answer = await ask.request(method, filled(path), **arguments(method, path))
                    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no session 's'"), path
            assert (await ask.get("/v1/sessions")).json() == []
            assert (await ask.get("/v1/tasks")).json() == []
            lines = (await ask.post("/v1/batch/predictions", json=[{"session": "s", "x": DAY}])).text
            assert '"status":404' in lines
            told = [{"session": "s", "id": "a", "y": {"sky": "sun", "high": 1.0}}]
            assert '"status":404' in (await ask.post("/v1/batch/outcomes", json=told)).text
            assert (await ask.post("/v1/sessions", json={"task": "weather", "id": "s"})).status_code == 201
        assert await all_of(tried) == before

    async def all_of(tried: Tried) -> list[str]:
        paths = ("/v1/sessions", "/v1/tasks", "/v1/sessions/s/steps", "/v1/sessions/s/memory/versions")
        return [(await tried.client.get(path)).text for path in paths]

    with_service(database, work)


def test_a_request_counts_for_its_quota_and_a_batch_as_many_as_it_has_items() -> None:
    counted: list[tuple[int, bool]] = []

    async def me(key: str | None) -> Caller:
        return Caller(1, "me", 1, frozenset(SCOPES))

    async def admit(caller: Caller, requests: int, costs: bool) -> None:
        counted.append((requests, costs))
        if sum(number for number, _ in counted) > 4:
            raise QuotaError("too many requests", "wait", retry_after=12.3)

    async def work() -> None:
        async with client(make_routes(parts()._replace(authenticate=me, admit=admit)), "key") as ask:
            await ask.get("/v1/sessions")
            await ask.post("/v1/batch/predictions", json=[{}, {}, {}])
            refused = await ask.get("/v1/sessions")
        assert counted == [(1, False), (1, True), (2, True), (1, False)]
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "13")

    asyncio.run(work())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "127.0.0.1:8000"}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_without_keys_no_page_from_elsewhere_comes_in_through_a_browser(headers: dict[str, str], status: int) -> None:
    class Nothing(Sessions):
        def __init__(self) -> None: ...

        async def list(self, *_: Any, **__: Any) -> Any:
            return []

    async def anybody(key: str | None) -> Caller:
        return Caller(1, "local", 0, frozenset(SCOPES))

    async def work() -> None:
        async with client(make_routes(parts()._replace(authenticate=anybody, sessions=Nothing())), None) as ask:
            assert (await ask.get("/v1/sessions", headers=headers)).status_code == status

    asyncio.run(work())
