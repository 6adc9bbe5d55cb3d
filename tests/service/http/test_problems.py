"""Whatever goes wrong is answered with a problem (RFC 9457), which tells nothing of how the service is made."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from llm_as_rnn.core.errors import EngineBusyError, EngineError, EngineUnavailableError, LlmAsRnnError
from llm_as_rnn.service.callers import SCOPES, Caller
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.errors import StoreUnavailableError
from llm_as_rnn.service.http.app import make_app
from llm_as_rnn.service.http.logs import REQUESTS, JsonLines
from llm_as_rnn.service.http.parts import Health
from llm_as_rnn.service.sessions import Sessions
from tests.service.http.trying import DAY, Tried, begun, client, ready, with_service

HIDDEN = "pa55w0rd"


async def me(key: str | None) -> Caller:
    return Caller(7, "me", 3, frozenset(SCOPES))


class Failing(Sessions):
    """Sessions of which every verb that is tried does the same."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.begun, self.go = error, asyncio.Event(), asyncio.Event()

    async def get(self, caller: Caller, session: str) -> Any:
        if self.error is not None:
            raise self.error
        self.begun.set()
        await self.go.wait()
        return {}


def app(sessions: Failing, **settings: Any) -> Any:
    return make_app(sessions, authenticate=me, health=ready, settings=ServiceSettings(**settings))


def asked(sessions: Failing, method: str = "GET", path: str = "/v1/sessions/s", **how: Any) -> Any:
    settings = how.pop("settings", {})

    async def work() -> Any:
        async with client(app(sessions, **settings), "key") as ask:
            return await ask.request(method, path, **how)

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("method", "path", "how", "status", "kind"),
    [
        ("GET", "/nowhere", {}, 404, "not-found"),
        ("GET", "/v1/nowhere", {}, 404, "not-found"),
        ("GET", "/v1/sessions/a%2fb", {}, 404, "not-found"),
        ("GET", "/v1/tasks/a%2Fb", {}, 404, "not-found"),
        ("PATCH", "/v1/sessions/s", {}, 405, "method-not-allowed"),
        ("POST", "/v1/sessions", {"content": b"{"}, 400, "bad-request"),
        ("POST", "/v1/sessions", {"content": b"\xff"}, 400, "bad-request"),
        ("POST", "/v1/sessions", {"content": b""}, 400, "bad-request"),
        ("POST", "/v1/sessions", {"json": {"task": "weather", "colour": "red"}}, 400, "bad-request"),
        ("POST", "/v1/sessions", {"json": {"task": "weather", "id": "a b"}}, 400, "bad-request"),
        ("GET", "/v1/sessions?limit=1001", {}, 400, "bad-request"),
        ("GET", "/v1/sessions?status=gone", {}, 400, "bad-request"),
        ("GET", "/v1/sessions/a%00b", {}, 400, "bad-request"),
        ("POST", "/v1/sessions", {"content": b" " * 5000}, 413, "too-large"),
        ("POST", "/v1/sessions/import", {"content": b" " * 5000}, 413, "too-large"),
    ],
)
def test_what_does_not_fit_is_a_problem(method: str, path: str, how: dict[str, Any], status: int, kind: str) -> None:
    answer = asked(Failing(), method, path, **how, settings={"body_bytes": 4096})
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["type"].rpartition(":")[2]) == (status, status, kind)
    assert problem["title"] and problem["detail"] and problem["hint"]
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_a_problem_names_the_parts_that_do_not_fit() -> None:
    answer = asked(Failing(), "POST", "/v1/sessions", json={"task": 7})
    assert answer.json()["errors"] == ["task: Expected `str`, got `int`"]
    cut = asked(Failing(), "POST", "/v1/sessions", content=b"{").json()
    assert cut["errors"] == ["body: Input data was truncated"]


def test_a_path_that_has_no_such_method_says_which_it_has() -> None:
    assert set(asked(Failing(), "PATCH").headers["allow"].split(", ")) == {"GET", "DELETE", "OPTIONS"}
    assert asked(Failing(), "OPTIONS").status_code == 204


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (EngineBusyError(HIDDEN, retry_after=2.5), 503, "3"),
        (EngineBusyError(HIDDEN), 503, "5"),
        (EngineUnavailableError(HIDDEN), 503, "5"),
        (EngineError(HIDDEN), 502, None),
        (StoreUnavailableError(f"no such column {HIDDEN}"), 503, "1"),
        (LlmAsRnnError(HIDDEN), 500, None),
        (RuntimeError(HIDDEN), 500, None),
    ],
)
def test_what_fails_inside_is_told_without_what_it_says(error: Exception, status: int, retry: str | None) -> None:
    answer = asked(Failing(error))
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry)
    assert HIDDEN not in answer.text


def test_a_mistake_is_logged_by_its_place_and_id_and_without_contents(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "llm_as_rnn.service"):
        asked(Failing(ValueError(HIDDEN)), headers={"X-Request-Id": "r-1", "Authorization": f"Bearer {HIDDEN}"})
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    (failed,) = [line for line in lines if line["level"] == "error"]
    assert (failed["request"], failed["error"]) == ("r-1", "ValueError")
    assert "get" in failed["where"][-1]
    (answered,) = [line for line in lines if line["message"] == "answered"]
    assert answered["route"] == "/v1/sessions/{session}"
    assert (answered["tenant"], answered["key"], answered["status"], answered["request"]) == (7, 3, 500, "r-1")
    assert HIDDEN not in json.dumps(lines)
    assert {record.name for record in caplog.records} == {"llm_as_rnn.service", REQUESTS}


@pytest.mark.parametrize(("given", "taken"), [("abc-1.2:3_4", True), ("a b", False), ("x" * 101, False), ("", False)])
def test_a_request_has_an_id_that_is_taken_or_made(given: str, taken: bool) -> None:
    answer = asked(Failing(), path="/health/live", headers={"X-Request-Id": given})
    assert (answer.headers["x-request-id"] == given) == taken
    assert answer.headers["x-request-id"]


def test_an_answer_that_does_not_come_in_time_is_a_problem() -> None:
    answer = asked(Failing(), settings={"request_seconds": 0.05})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (504, "time-out")


def test_a_body_that_does_not_come_in_time_is_a_problem() -> None:
    async def work() -> tuple[int, str]:
        sent: list[Any] = []
        waiting = asyncio.Event()

        async def receive() -> Any:
            await waiting.wait()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/sessions", "query_string": b"", "scheme": "http"}
        further = {"headers": [(b"authorization", b"Bearer k")], "raw_path": b"/v1/sessions", "http_version": "1.1"}
        whole: Any = {**scope, **further, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "root_path": ""}
        await app(Failing(), request_seconds=0.05)(whole, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])["type"]

    status, kind = asyncio.run(work())
    assert (status, kind.rpartition(":")[2]) == (408, "slow-request")


def test_so_many_requests_at_a_time_and_no_more() -> None:
    async def work() -> None:
        sessions = Failing()
        inside = app(sessions, most_requests=1)
        async with client(inside, "key") as ask:
            first = asyncio.create_task(ask.get("/v1/sessions/s"))
            await sessions.begun.wait()
            refused = await ask.get("/v1/sessions/s")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["type"].endswith(":overloaded")
            assert (await ask.get("/health/live")).status_code == 200
            assert b"under_way 2.0" in (await ask.get("/metrics")).content
            sessions.go.set()
            assert (await first).status_code == 200
            assert (await ask.get("/v1/sessions/s")).status_code == 200

    asyncio.run(asyncio.wait_for(work(), 30))


def test_figures_count_requests_by_route_and_status(database: str) -> None:
    async def work(tried: Tried) -> None:
        await begun(tried)
        for number in range(3):
            await tried.client.post("/v1/sessions/s/predictions", json={"id": f"n{number}", "x": DAY})
        await tried.client.get("/v1/sessions/gone")
        await tried.client.request("BREW", "/v1/anything")
        figures = (await tried.client.get("/metrics")).text
        route = 'route="/v1/sessions/{session}/predictions"'
        assert f'llm_as_rnn_requests_total{{method="POST",{route},status="200"}} 3.0' in figures
        assert f'llm_as_rnn_request_seconds_count{{method="POST",{route}}} 3.0' in figures
        assert 'method="GET",route="/v1/sessions/{session}",status="404"} 1.0' in figures
        assert 'method="other",route="unmatched"' in figures
        assert "gone" not in figures

    with_service(database, work)


def test_a_service_is_ready_as_long_as_all_that_it_needs_is_and_it_does_not_stop(database: str) -> None:
    found = {"database": "ok", "engine": "ok"}

    async def health() -> Health:
        return Health(dict(found))

    async def work(tried: Tried) -> None:
        async with tried.of(None) as ask:
            assert (await ask.get("/health/ready")).json() == {"status": "ok", "checks": found}
            found["engine"] = "no server answers"
            away = await ask.get("/health/ready")
            assert (away.status_code, away.json()["checks"]["engine"]) == (503, "no server answers")
            found["engine"] = "ok"
            tried.stopping.stop()
            assert (await ask.get("/health/ready")).status_code == 503
            assert (await ask.get("/health/live")).status_code == 200

    with_service(database, work, health=health)


def test_a_client_that_hangs_up_while_it_sends_is_no_mistake_of_the_service(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is answered with 500, nor logged as failed: the request was never whole."""
    sent: list[Any] = []
    comes = iter([{"type": "http.request", "body": b'{"task": ', "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(comes)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer key"), (b"content-type", b"application/json"), (b"content-length", b"99")]
    path = "/v1/sessions"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    further = {"scheme": "http", "http_version": "1.1", "root_path": "", "headers": headers}
    whole = {**scope, **further, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
    with caplog.at_level(logging.ERROR):
        asyncio.run(app(Failing())(whole, receive, send))
    assert [message["status"] for message in sent if "status" in message] == [499]
    assert not caplog.records
