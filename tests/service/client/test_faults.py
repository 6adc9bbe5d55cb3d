"""Whatever happens between client and service: nothing is done twice, nothing is lost, and no secret gets out."""

from __future__ import annotations

import json
import logging
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn import Client
from llm_as_rnn.client.problems import refused
from llm_as_rnn.core.errors import EngineBusyError, EngineError, EngineUnavailableError, LlmAsRnnError, UsageError
from llm_as_rnn.engines.secrecy import Redactor
from llm_as_rnn.engines.wire import Reply, delay
from llm_as_rnn.service import errors
from llm_as_rnn.service.errors import (
    ArchivedError,
    ConflictError,
    ForbiddenError,
    NoKeyError,
    NotFoundError,
    QuotaError,
    ServiceError,
    StoreUnavailableError,
    UnfitError,
    UnreachableError,
)
from llm_as_rnn.service.http.problems import OverloadedError, TimeOutError, told
from llm_as_rnn.service.views import OutcomeView, PredictionView
from tests.service.client.running import Fault, Running
from tests.service.house import SETTINGS, came, day

KEY = "lr_a-very-secret-key-0123456789"

HARMFUL: tuple[Fault, ...] = ("lost", "torn", "busy", "refused")
"""What may happen to any request; for an answer that does not come a client waits."""


@pytest.fixture(autouse=True)
def _hurried(hurried: None) -> None:
    """Wait for nothing but what is asked for."""


@pytest.mark.parametrize("fault", ["lost", "refused"])
class TestOnce:
    """A call that broke is made again, and what it asks for is done once."""

    def test_a_session_is_begun(self, client: Client, service: Running, fault: Fault) -> None:
        service.relay.faults = ["pass", fault]
        client.session("seattle", task="weather", **SETTINGS)
        assert [line.split()[0] for line in service.relay.heard] == [b"GET", b"POST", b"POST"]
        assert [view.id for view in client.sessions()] == ["seattle"]

    def test_a_prediction_without_a_name(self, client: Client, service: Running, fault: Fault) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        service.relay.faults = [fault, fault]
        made = session.predict_one(day(0))
        assert (session.view.steps, made.t) == (1, 0)

    def test_an_outcome_and_a_correction(self, client: Client, service: Running, fault: Fault) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        session.predict_one(day(0), "a")
        service.relay.faults = [fault]
        first = session.learn_one("a", came(0), wait=30)
        service.relay.faults = [fault]
        second = session.learn_one("a", came(1), replaces=first.number, wait=30)
        assert (second.number, second.replaces, second.status) == (first.number + 1, first.number, "learned")
        assert session.view.waiting == session.view.due == 0

    def test_a_restoration(self, client: Client, service: Running, fault: Fault) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        session.learn_one(session.predict_one(day(0)).id, came(0), wait=30)
        before = len(session.versions)
        service.relay.faults = ["pass", fault]
        back = session.restore(0)
        assert len(session.versions) == before + 1
        assert session.versions[-1] == back

    def test_a_fork_of_a_name_that_was_made_up(self, client: Client, service: Running, fault: Fault) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        service.relay.faults = [fault]
        fork = session.fork()
        assert sorted(view.id for view in client.sessions()) == sorted(["seattle", fork.id])

    def test_a_deletion(self, client: Client, service: Running, fault: Fault) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        service.relay.faults = [fault]
        session.delete()
        assert list(client.sessions()) == []

    def test_a_batch(self, client: Client, service: Running, fault: Fault) -> None:
        session = client.session("seattle", task="weather", **SETTINGS)
        service.relay.faults = [fault]
        made = session.predict_many(map(day, range(5)))
        assert [one.t for one in made if isinstance(one, PredictionView)] == [0, 1, 2, 3, 4]
        service.relay.faults = [fault]
        told = session.learn_many({str(one.id): came(0) for one in made if isinstance(one, PredictionView)})
        assert len({one.number for one in told if isinstance(one, OutcomeView)}) == 5
        assert session.view.steps == 5


def test_a_fork_or_import_of_a_given_name_says_that_it_may_be_done(
    client: Client, service: Running, tmp_path: Path
) -> None:
    session = client.session("seattle", task="weather", **SETTINGS)
    session.save(tmp_path / "learner.json")
    again: list[Callable[[], Any]] = [
        lambda: session.fork("fork"),
        lambda: client.load(tmp_path / "learner.json", "loaded"),
    ]
    for work in again:
        service.relay.faults = ["lost"]
        with pytest.raises(ConflictError, match="which may be the one that was asked for"):
            work()
    with pytest.raises(ConflictError) as plain:
        session.fork("fork")
    assert "may be" not in str(plain.value)


def test_a_stream_through_bad_weather_is_the_stream(client: Client, service: Running) -> None:
    """Every request may meet any fault: at the end every step is there once, and every outcome was learned once."""
    rng, steps = random.Random(4), 25
    session = client.session("stormy", task="weather", **SETTINGS)
    calm = client.session("calm", task="weather", **SETTINGS)
    service.relay.faults = [rng.choice(("pass", *HARMFUL)) for _ in range(150)]
    for number in range(steps):
        session.predict_one(day(number), f"d{number}")
        session.learn_one(f"d{number}", came(number), wait=30)
    assert len(service.relay.faults) < 60
    service.relay.faults = []
    for number in range(steps):
        calm.predict_one(day(number), f"d{number}")
        calm.learn_one(f"d{number}", came(number), wait=30)
    rows = [(step.prediction.t, step.prediction.id, step.prediction.values) for step in session.steps()]
    assert rows == [(step.prediction.t, step.prediction.id, step.prediction.values) for step in calm.steps()]
    assert [entry.text for entry in session.versions] == [entry.text for entry in calm.versions]
    assert session.scores().total == calm.scores().total


def test_an_answer_that_does_not_come_is_waited_for_so_long_and_asked_for_again(service: Running) -> None:
    with Client(service.relay.url, key=service.key, timeout=0.5) as client:
        session = client.session("seattle", task="weather", **SETTINGS)
        service.relay.faults = ["silent"]
        assert session.predict_one(day(0), "a").t == 0
        assert session.view.steps == 1


def test_patience_comes_to_an_end(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    with Client(service.relay.url, key=service.key, patience=0) as client:
        service.relay.faults = ["refused"]
        with pytest.raises(UnreachableError, match=r"the connection to \S+ broke") as error:
            _ = client.session("seattle").view
        assert len(str(error.value).splitlines()) == 1
        assert caplog.records == []
    with Client("http://127.0.0.1:9", key="k", patience=0.01) as client, caplog.at_level(logging.WARNING):
        with pytest.raises(UnreachableError, match=r"there is no server at http://127\.0\.0\.1:9"):
            client.tasks()
        assert "asked again in" in caplog.text


class Fake(HTTPServer):
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self.answers, self.heard = list(answers), list[dict[str, str]]()

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                owner.heard.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
                self.rfile.read(int(self.headers.get("content-length", 0)))
                status, headers, body = owner.answers.pop(0) if owner.answers else (200, {}, b"[]")
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_CONNECT = answer  # noqa: N815 - as the handler's base has them

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        owner = self
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def fake(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[Fake]:
    with Fake(*answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def problem(status: int, kind: str, **more: Any) -> bytes:
    content = {"type": f"urn:problem-type:llm-as-rnn:{kind}", "status": status, "detail": "it is so", "hint": "do this"}
    return json.dumps(content | more).encode()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_asked_again_and_not_before_it_should_be(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("llm_as_rnn.client.calling.asyncio.sleep", sleep)
    with fake((status, {"Retry-After": "7"}, b""), (status, {}, b"<html>")) as server, Client(server.url) as client:
        assert client.tasks() == []
        assert len(server.heard) == 3
    assert (waits[0], waits[1] < 1) == (7.0, True)


def test_pauses_grow_and_differ() -> None:
    pauses = [delay(failed) for failed in range(8)]
    assert pauses[0] < pauses[2] < pauses[4] <= 5
    assert len(set(pauses)) == 8


def test_a_service_that_wants_to_be_left_alone_for_longer_than_patience_is_left_alone() -> None:
    with fake((429, {"Retry-After": "3600"}, problem(429, "quota"))) as server, Client(server.url) as client:
        with pytest.raises(QuotaError, match="it is so") as error:
            client.tasks()
        assert (error.value.retry_after, error.value.hint, len(server.heard)) == (3600, "do this", 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 422])
def test_what_does_not_pass_is_not_asked_again(status: int) -> None:
    with fake((status, {}, problem(status, "x"))) as server, Client(server.url) as client:
        with pytest.raises(ServiceError, match="it is so") as error:
            client.tasks()
        assert (error.value.status, len(server.heard)) == (status, 1)


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("m", "h"),
        ConflictError("m", "h"),
        ArchivedError("m", "h"),
        UnfitError("m", "h"),
        NoKeyError("m", "h"),
        ForbiddenError("m", "h"),
        QuotaError("m", "h", retry_after=2.5),
        StoreUnavailableError("m", "h"),
        EngineBusyError("m", "h", retry_after=4),
        EngineUnavailableError("m", "h"),
        EngineError("m", "h"),
        OverloadedError("m", "h"),
        TimeOutError("m", "h"),
    ],
)
def test_a_problem_is_the_error_that_it_was_made_from(error: LlmAsRnnError) -> None:
    """As the server makes it and the client reads it; what HTTP alone knows is one of the service in general."""
    answer = told(error, "r1")
    reply = Reply(answer.problem.status, {k.lower(): v for k, v in answer.headers.items()}, encoded(answer.problem))
    read = refused(reply, "http://a", Redactor([])).error
    public = type(error) if type(error).__module__ != "llm_as_rnn.service.http.problems" else ServiceError
    assert type(read) is public
    assert (read.message, read.hint) == (answer.problem.detail, answer.problem.hint)
    if isinstance(error, QuotaError):
        assert isinstance(read, QuotaError)
        assert read.retry_after == 3
    if isinstance(error, ServiceError) and isinstance(read, ServiceError):
        assert (read.status, read.kind) == (error.status, error.kind)


def test_every_error_of_the_service_is_known() -> None:
    made = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, ServiceError)}
    source = Path(str(sys.modules["llm_as_rnn.client.problems"].__file__)).read_text("utf-8")
    assert {name for name in made if name not in source} == set()


def encoded(value: Any) -> bytes:
    import msgspec  # noqa: PLC0415

    return msgspec.json.encode(value)


class TestSecrets:
    """The key goes to one address, and into no text."""

    def test_no_redirect_is_followed(self) -> None:
        with fake() as other, fake((307, {"Location": f"{other.url}/v1/tasks"}, b"")) as server:
            with Client(server.url, key=KEY) as client, pytest.raises(UnreachableError, match="points to another"):
                client.tasks()
            assert server.heard[0]["authorization"] == f"Bearer {KEY}"
            assert other.heard == []

    def test_without_tls_no_proxy_stands_between(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither for this machine nor, as it could read the key, for another one."""
        with fake() as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            for url in ("http://127.0.0.1:9", "http://service.invalid:9"):
                with Client(url, key=KEY, patience=0) as client, pytest.raises(LlmAsRnnError):
                    client.tasks()
            assert proxy.heard == []
            with Client("http://service.invalid:9", patience=0) as client:
                assert client.tasks() == [], "without a key it may"
            assert [heard["path"] for heard in proxy.heard] == ["http://service.invalid:9/v1/tasks"]

    def test_it_is_in_no_text(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        echo = problem(403, "forbidden", detail=f"the key {KEY} may not do this", hint=f"leave {KEY}", errors=[KEY])
        answers: list[tuple[int, dict[str, str], bytes]] = [
            (403, {}, echo),
            (502, {}, KEY.encode()),
            (200, {}, KEY.encode()),
        ]
        with fake(*answers) as server, Client(server.url, key=KEY, patience=0) as client:
            texts = [repr(client), repr(client.session("s"))]
            for _ in answers:
                with pytest.raises(LlmAsRnnError) as error:
                    client.tasks()
                texts += [str(error.value), repr(error.value), error.value.hint]
        assert not [text for text in [*texts, caplog.text] if KEY in text or KEY[3:12] in text]

    @pytest.mark.parametrize("key", ["a b\n", "schlüssel", "x\r\nX-Evil: 1", " k3y"])
    def test_what_can_be_no_key(self, key: str) -> None:
        with pytest.raises(UsageError, match="this can be no key") as error:
            Client("http://127.0.0.1:9", key=key)
        assert key not in str(error.value)

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("", "no service is named"),
            ("http://ann:pa55w0rd@127.0.0.1:9", "holds more than where it is"),
            ("http://127.0.0.1:9?key=pa55w0rd", "holds more than where it is"),
            ("127.0.0.1:9", "is no address of a service"),
            ("ftp://127.0.0.1:9", "is no address of a service"),
            ("http://", "is no address of a service"),
        ],
    )
    def test_what_is_no_address(self, url: str, says: str) -> None:
        with pytest.raises(UsageError, match=says) as error:
            Client(url)
        assert "pa55" not in str(error.value)

    def test_both_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with fake() as server:
            monkeypatch.setenv("LLM_AS_RNN_SERVER", f"{server.url}/v1/")
            monkeypatch.setenv("LLM_AS_RNN_KEY", KEY)
            with Client() as client:
                assert repr(client) == f"Client('{server.url}')"
                client.tasks()
            assert (server.heard[0]["authorization"], server.heard[0]["path"]) == (f"Bearer {KEY}", "/v1/tasks")


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b'{"id": 1}', b"", b"[[[[", b"\xff"])
def test_another_server_at_the_address_is_said_to_be_one(body: bytes) -> None:
    with fake((200, {}, body)) as server, Client(server.url) as client:
        with pytest.raises(UnreachableError, match="did not answer as a service does"):
            _ = client.session("a").view
        assert len(server.heard) == 1


def test_a_wrong_path_is_no_missing_session() -> None:
    with fake((404, {}, b"<html>not here</html>")) as server, Client(server.url) as client:
        with pytest.raises(UnreachableError, match="answered 404, and not as a service does") as error:
            _ = client.session("a").view
        assert "check the address" in error.value.hint


def test_the_client_needs_nothing_that_a_service_is_made_with() -> None:
    code = "import sys; from llm_as_rnn import Client, AsyncClient; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = ended.stdout.split()
    assert "llm_as_rnn.service.views" in modules
    others = {
        "alembic",
        "asyncpg",
        "litestar",
        "prometheus_client",
        "sqlalchemy",
        "uvicorn",
        "uvloop",
        "numpy",
        "scipy",
    }
    assert not others & {name.partition(".")[0] for name in modules}
    of_service = {name for name in modules if re.match(r"llm_as_rnn\.service\.", name)}
    assert of_service == {f"llm_as_rnn.service.{name}" for name in ("asked", "bodies", "errors", "views")}


def outcome(status: str, number: int = 1) -> bytes:
    return json.dumps({"number": number, "id": "a", "y": {"sky": "sun"}, "status": status, "received": 1.0}).encode()


class TestWaiting:
    """To wait for an outcome to be learned is to ask again and again: it is told once all the same."""

    def test_for_longer_than_a_service_waits(self) -> None:
        with (
            fake((202, {}, outcome("waiting")), (202, {}, outcome("waiting")), (200, {}, outcome("learned"))) as server,
            Client(server.url) as client,
        ):
            assert client.session("s").learn_one("a", {"sky": "sun"}, wait=60).status == "learned"
        assert [re.sub(r"=.*", "", heard["path"]) for heard in server.heard] == [
            "/v1/sessions/s/predictions/a/outcome?wait"
        ] * 3

    def test_and_no_longer_than_was_said(self) -> None:
        with fake((202, {}, outcome("waiting"))) as server, Client(server.url) as client:
            assert client.session("s").learn_one("a", {"sky": "sun"}).status == "waiting"
            assert [heard["path"] for heard in server.heard] == ["/v1/sessions/s/predictions/a/outcome"]

    def test_what_was_corrected_meanwhile_is_told_as_it_is(self) -> None:
        answers = [(202, outcome("waiting")), (409, problem(409, "conflict")), (200, outcome("learned", 2))]
        with fake(*[(status, {}, body) for status, body in answers]) as server, Client(server.url) as client:
            assert client.session("s").learn_one("a", {"sky": "sun"}, wait=60).number == 2


def test_of_a_batch_only_what_could_not_be_done_now_is_asked_again() -> None:
    def made(name: str) -> bytes:
        empty: dict[str, Any] = {key: {} for key in ("distribution", "interval", "among", "chance")}
        view = {"id": name, "t": 0, "status": "ok", "values": None, "abstained": [], "problem": "", "memory_version": 0}
        return json.dumps(view | empty | {"state": "waiting", "created": 0.0}).encode()

    busy, bad = problem(503, "engine-busy"), problem(422, "unfit")
    first, second = b"\n".join([made("a"), busy, bad, busy]), b"\n".join([made("b"), busy])
    with fake((200, {}, first), (200, {}, second), (200, {}, made("d"))) as server, Client(server.url) as client:
        said = client.session("s").predict_many([{}] * 4, ids=["a", "b", "c", "d"])
    assert [one.id if isinstance(one, PredictionView) else type(one) for one in said] == ["a", "b", UnfitError, "d"]
    assert len(server.heard) == 3
    with fake((200, {}, busy)) as server, Client(server.url, patience=0) as client:
        (only,) = client.session("s").predict_many([{}])
        assert isinstance(only, EngineBusyError)


def test_an_edit_whose_answer_was_lost_is_not_a_conflict_with_itself() -> None:
    def memory(version: int, item: str) -> bytes:
        sections = [{"name": "Patterns", "items": [item]}]
        view = {"version": version, "revision": version, "tokens": 3, "sections": sections, "text": item}
        return json.dumps(view | {"author": "me", "t": None, "reason": "edited", "created": 0.0}).encode()

    before, mine, other = memory(1, "old"), memory(2, "mine"), memory(2, "somebody's")
    for present, done in ((mine, True), (other, False)):
        answers = [(200, before), (503, b""), (412, problem(412, "failed-condition")), (200, present)]
        with fake(*[(status, {}, body) for status, body in answers]) as server, Client(server.url) as client:
            if done:
                assert client.session("s").edit({"Patterns": ["mine"]}).version == 2
            else:
                with pytest.raises(ConflictError):
                    client.session("s").edit({"Patterns": ["mine"]})
            assert server.heard[1]["if-match"] == '"1"'


def test_whoever_waits_when_the_client_is_closed_is_told(service: Running) -> None:
    said: list[BaseException] = []
    client = Client(service.relay.url, key=service.key)
    service.relay.faults = ["silent"]

    def ask() -> None:
        try:
            client.tasks()
        except BaseException as error:  # noqa: BLE001 - whatever it is
            said.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not service.relay.heard:
        pass
    client.close()
    thread.join(10)
    assert [(type(error), str(error)) for error in said] == [
        (UsageError, "nothing can be asked after close (make another client)")
    ]


def test_several_threads_may_use_one_client(client: Client) -> None:
    session = client.session("seattle", task="weather", **SETTINGS)
    threads = [threading.Thread(target=session.predict_one, args=(day(n), f"d{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(step.prediction.id) for step in session.steps()) == [f"d{n}" for n in range(8)]
