"""A small server that speaks the OpenAI protocol on the loopback interface, and fails on demand."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]
Answer = Callable[[Json], str | Json]


@dataclass
class Seen:
    """A request as the server got it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Json
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """Something that goes wrong with the next requests whose path ends in ``path`` and whose body has ``having``.

    ``status`` answers with that status, ``headers`` and ``body``; ``reset`` hangs up at once; ``cut`` hangs up in the
    middle of a body; ``stall`` never answers; ``trickle`` sends a byte now and then, for ever.
    """

    kind: Literal["status", "reset", "cut", "stall", "trickle"] = "status"
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | bytes | Json = field(default_factory=dict)
    path: str = "completions"
    times: int = 1
    having: str = ""

    def hits(self, seen: Seen) -> bool:
        """Tell whether it is due for a request."""
        fits = seen.path.endswith(self.path) and (not self.having or self.having in seen.body)
        return fits and self.times > 0


def busy(status: int = 429, times: int = 1) -> Fault:
    """Refuse for now; the client may come back after a millisecond."""
    return Fault(status=status, headers={"retry-after-ms": "1"}, body={"error": {"message": "busy"}}, times=times)


def refuse(message: str, status: int = 400, times: int = 1, having: str = "", **more: Any) -> Fault:
    """Refuse for good."""
    return Fault(status=status, body={"error": {"message": message, **more}}, times=times, having=having)


class FakeServer:
    """Serves on a free port inside a ``with`` block.

    Parameters
    ----------
    dialect : str
        ``llamacpp``, ``vllm``, ``sglang``, or ``openai`` (no endpoints but the protocol's own).
    answer : str, dict or callable
        The text of every answer; or a whole reply; or a function of the request's body that gives one of these.
    models : iterable of str, optional
        Their names; None for a server that does not list them.
    api_key : str, optional
        The key that it asks for.
    faults : iterable of Fault
        What goes wrong, in this order.
    port : int
        Where it serves: where another one did before, say; 0 for any that is free.
    """

    def __init__(
        self,
        dialect: Literal["llamacpp", "vllm", "sglang", "openai"] = "llamacpp",
        *,
        answer: str | Json | Answer = "fine",
        models: Iterable[str] | None = ("fake",),
        api_key: str | None = None,
        faults: Iterable[Fault] = (),
        version: str = "0.12.0",
        tokenizes: bool = True,
        port: int = 0,
    ) -> None:
        self.dialect = dialect
        self.answer = answer
        self.models = None if models is None else list(models)
        self.api_key = api_key
        self.faults = list(faults)
        self.version = version
        self.tokenizes = tokenizes and dialect != "openai"
        self.port = port
        self.requests: list[Seen] = []
        self.released = threading.Event()
        self.connections: set[socket.socket] = set()
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        self._http = _Http(("127.0.0.1", self.port), _Handler)
        self._http.fake = self
        self.root = f"http://127.0.0.1:{self._http.server_port}"
        self.url = f"{self.root}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._http.shutdown()
        with self.lock:
            for connection in self.connections:
                with suppress(OSError):  # whoever was at its other end may be gone
                    connection.shutdown(socket.SHUT_RDWR)
        self._http.server_close()
        self._thread.join()

    def seen(self, path: str) -> list[Seen]:
        """Give the requests whose path ends in ``path``."""
        return [request for request in self.requests if request.path.endswith(path)]

    def take_fault(self, seen: Seen) -> Fault | None:
        """Give the fault that is due for a request."""
        with self.lock:
            due = next((fault for fault in self.faults if fault.hits(seen)), None)
            if due is not None:
                due.times -= 1
            return due

    def reply(self, seen: Seen) -> tuple[int, str | Json]:
        """Give the status and body of the reply to a request."""
        if self.api_key is not None and seen.headers.get("authorization") != f"Bearer {self.api_key}":
            return 401, {"error": {"message": "Invalid API key"}}
        endpoints: dict[str, Callable[[], str | Json]] = {}
        if self.models is not None:
            endpoints["/v1/models"] = lambda: {"data": [self._model(name) for name in self.models or ()]}
        if self.dialect == "llamacpp":
            endpoints["/props"] = lambda: {"total_slots": 3, "default_generation_settings": {"n_ctx": 2048}}
        if self.dialect == "vllm":
            endpoints["/version"] = lambda: {"version": self.version}
        if self.tokenizes:
            endpoints["/tokenize"] = lambda: self._tokens(seen.body)
        for path in ("/v1/chat/completions", "/v1/completions"):
            endpoints[path] = lambda: self._completion(seen)
        if seen.path not in endpoints:
            return 404, {"error": {"message": f"no endpoint {seen.path}"}}
        return 200, endpoints[seen.path]()

    def _model(self, name: str) -> Json:
        facts: Json = {"id": name, "object": "model", "created": time.time_ns(), "owned_by": self.dialect}
        return facts if self.dialect == "llamacpp" else {**facts, "max_model_len": 1024, "root": f"/models/{name}"}

    def _tokens(self, body: Json) -> Json:
        tokens = list(range(len(str(body.get("content", body.get("prompt"))).split())))
        return {"tokens": tokens} if self.dialect == "llamacpp" else {"tokens": tokens, "count": len(tokens)}

    def _completion(self, seen: Seen) -> Json:
        text = self.answer(seen.body) if callable(self.answer) else self.answer
        if not isinstance(text, str):
            return text
        choice: Json = {"index": 0, "finish_reason": "stop"}
        if seen.path == "/v1/completions":
            choice["text"] = text
        else:
            choice["message"] = {"role": "assistant", "content": text}
        sent = [seen.body.get("prompt", ""), *(turn["content"] for turn in seen.body.get("messages", ()))]
        read = max(7, sum(len(text.split()) for text in sent))
        usage = {"prompt_tokens": read, "completion_tokens": len(text.split()), "prompt_tokens_details": None}
        return {"id": "1", "object": "completion", "created": 1, "model": "fake", "choices": [choice], "usage": usage}


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    fake: FakeServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients hang up in these tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together
    server: _Http

    def setup(self) -> None:
        super().setup()
        with self.server.fake.lock:
            self.server.fake.connections.add(self.connection)

    def finish(self) -> None:
        with self.server.fake.lock:
            self.server.fake.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        fake = self.server.fake
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        place = urlsplit(self.path)
        seen = Seen(self.command, place.path, headers, json.loads(raw) if raw else {}, dict(parse_qsl(place.query)))
        fake.requests.append(seen)
        fault = fake.take_fault(seen)
        match fault.kind if fault else None:
            case None:
                self._send(*fake.reply(seen))
            case "status":
                assert fault is not None
                self._send(fault.status, fault.body, fault.headers)
            case "reset":
                self._hang_up()
            case "cut":
                self._begin(200, 1000)
                self.wfile.write(b'{"choices": [')
                self.wfile.flush()
                self._hang_up()
            case "stall":
                fake.released.wait()
            case "trickle":
                self._begin(200, 10**6)
                while not fake.released.wait(0.01):
                    self.wfile.write(b" ")
                    self.wfile.flush()

    def _begin(self, status: int, length: int, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(length))
        self.end_headers()

    def _send(self, status: int, body: str | bytes | Json, headers: Mapping[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self._begin(status, len(content), headers)
        self.wfile.write(content)
        self.wfile.flush()

    def _hang_up(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.close_connection = True
