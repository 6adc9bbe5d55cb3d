"""Serves a run's page to this machine."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from llm_as_rnn.core.errors import LlmAsRnnError, UsageError
from llm_as_rnn.report.live.watch import Watch
from llm_as_rnn.viewer import HEADERS, assets

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
"""Names of this machine by which the page may be asked for: a page from elsewhere has another one."""

LOOK = 0.25
"""Seconds after which is looked for further steps."""

QUIET = 5.0
"""Seconds without anything new after which is looked whether the run goes on at all."""

FILES = Path(__file__).parent


class Server:
    """A run's page, served on the loopback until it is stopped.

    Parameters
    ----------
    watch : Watch
        The run.
    port : int
        Where to listen; 0 for any port that is free.

    Raises
    ------
    UsageError
        If the port cannot be listened at.

    Attributes
    ----------
    url : str
        The page's address, with the key behind its number sign, which browsers send nowhere.
    """

    def __init__(self, watch: Watch, port: int = 0) -> None:
        self._watch = watch
        self._key = secrets.token_urlsafe(24)
        self._stopped = threading.Event()
        serving = self

        class Handler(_Handler):
            server_of = serving

        try:
            self._http = ThreadingHTTPServer((HOST, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"port {port} cannot be listened at: {reason}", "choose another --port") from error
        self._http.daemon_threads = True
        self.url = f"http://{HOST}:{self._http.server_address[1]}/#key={self._key}"

    def serve(self) -> None:
        """Answer until `stop` is called, or an interrupt comes."""
        try:
            self._http.serve_forever(poll_interval=LOOK)
        finally:
            self._stopped.set()
            self._http.server_close()

    def stop(self) -> None:
        """End serving, from another thread."""
        self._stopped.set()
        self._http.shutdown()

    def knows(self, shown: str) -> bool:
        """Tell whether a request's credentials are those of whoever began this."""
        return hmac.compare_digest(shown.encode(), f"Bearer {self._key}".encode())

    def data(self, path: str, query: str) -> Any:
        """Give what is under a path; None for nothing.

        Raises
        ------
        LlmAsRnnError
            If the run cannot be read.
        """
        if path == "/data/index":
            return self._watch.index()
        if path == "/data/part":
            asked = parse_qs(query)
            try:
                methods = [int(place) for place in asked["methods"][0].split(",")]
                return self._watch.part(asked["sequence"][0], int(asked["first"][0]), methods)
            except (KeyError, IndexError, ValueError):
                return None
        return None

    def news(self) -> Any:
        """Go through what happens: give something whenever there may be something new, and None where all is quiet."""
        known, status, since = self._watch.tag(), "", time.monotonic()
        yield known
        while not self._stopped.wait(LOOK):
            tag = self._watch.tag()
            if tag != known:
                known, since = tag, time.monotonic()
                yield tag
            elif time.monotonic() - since >= QUIET:
                since, before, status = time.monotonic(), status, self._watch.status()
                yield tag if before not in ("", status) else None


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server_of: Server

    def do_GET(self) -> None:
        """Give the page, one of its files, or data."""
        where = urlsplit(self.path)
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in NAMES:
            self._problem(HTTPStatus.FORBIDDEN, "this page is for this machine alone", f"ask for it at {HOST}")
        elif where.path.startswith("/data/"):
            self._data(where.path, where.query)
        else:
            found = assets(FILES).get("run.html" if where.path == "/" else where.path.removeprefix("/"))
            if found is None:
                self._problem(HTTPStatus.NOT_FOUND, "there is nothing under this path", "")
            else:
                self._send(HTTPStatus.OK, f"{found.media_type}; charset=utf-8", found.content)

    def _data(self, path: str, query: str) -> None:
        if not self.server_of.knows(self.headers.get("Authorization", "")):
            hint = "open the address that llm-as-rnn view has shown"
            self._problem(HTTPStatus.UNAUTHORIZED, "the key is missing, or is an earlier one's", hint)
        elif path == "/data/events":
            self._events()
        else:
            try:
                found = self.server_of.data(path, query)
            except LlmAsRnnError as error:
                self._problem(HTTPStatus.CONFLICT, error.message, error.hint)
                return
            if found is None:
                self._problem(HTTPStatus.NOT_FOUND, "there is no such part of the run", "load the page again")
            else:
                self._send(HTTPStatus.OK, "application/json", msgspec.json.encode(found))

    def _events(self) -> None:
        self._begin(HTTPStatus.OK, "text/event-stream")
        try:
            for number, tag in enumerate(self.server_of.news()):
                event = b": still there\n\n" if tag is None else b"id: %d\ndata: {}\n\n" % number
                self.wfile.write(event)
                self.wfile.flush()
        except (OSError, LlmAsRnnError):
            self.close_connection = True  # nobody listens any more, or there is no run any more

    def _problem(self, status: HTTPStatus, detail: str, hint: str) -> None:
        problem = {"title": status.phrase, "status": int(status), "detail": detail, "hint": hint}
        self._send(status, "application/problem+json", msgspec.json.encode(problem))

    def _send(self, status: HTTPStatus, media_type: str, content: bytes) -> None:
        self._begin(status, media_type, {"Content-Length": str(len(content))})
        self.wfile.write(content)

    def _begin(self, status: HTTPStatus, media_type: str, further: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {**HEADERS, "Cache-Control": "no-store", "Content-Type": media_type, **(further or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class calls it
        """Say nothing of each request."""
