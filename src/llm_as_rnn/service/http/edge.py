"""What every request goes through around the framework: its id, limits on time and number, log and figures."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from llm_as_rnn.service.http.logs import REQUESTS
from llm_as_rnn.service.http.metrics import UNMATCHED, Metrics
from llm_as_rnn.service.http.problems import (
    CLIENT_GONE,
    ClientGoneError,
    OverloadedError,
    SlowRequestError,
    TimeOutError,
    report,
    send_problem,
)
from llm_as_rnn.service.tracing import Tracing

HEADER = b"x-request-id"

SLASH = "\udc2f"
"""Stands in a path for a slash that belongs to a name (``%2F``). It is half a character, which no name can hold."""

UNLIMITED = ("/health/", "/metrics")
"""What is answered however many requests are under way: it tells about them."""

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,100}")
_ENCODED_SLASH = re.compile(b"%2f", re.IGNORECASE)

RECORD = {"name": REQUESTS, "levelno": logging.INFO, "levelname": "INFO", "msg": "answered"}

log = logging.getLogger(REQUESTS)


def original(name: str) -> str:
    r"""Give a name from a path as its owner wrote it.

    >>> original("a\udc2fb")
    'a/b'
    """
    return name.replace(SLASH, "/")


class Edge:
    """The outermost layer of the service.

    Parameters
    ----------
    app : ASGIApp
        What is inside.
    metrics : Metrics
        Where requests are counted.
    seconds : float
        From a request's beginning until its answer begins.
    most : int
        Requests under way at the same time.
    tracing : Tracing, optional
        Where the spans of requests come from.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, *, seconds: float, most: int, tracing: Tracing | None = None
    ) -> None:
        self._app, self._metrics, self._seconds, self._most = app, metrics, seconds, most
        self._tracing = tracing or Tracing()
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; what is none goes through."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        self._under_way += 1
        self._metrics.under_way.set(self._under_way)
        overloaded = self._under_way > self._most and not scope["path"].startswith(UNLIMITED)
        request = _Request(scope, receive, send, self._metrics)
        try:
            with self._tracing.request(request.scope) as answered:
                await request.answer(self._app, self._seconds, overloaded=overloaded)
                answered(request.status or CLIENT_GONE)
        finally:
            self._under_way -= 1
            self._metrics.under_way.set(self._under_way)


class _Request:
    """One request on its way."""

    def __init__(self, scope: Any, receive: Receive, send: Send, metrics: Metrics) -> None:
        self._receive, self._send, self._metrics = receive, send, metrics
        self._began = time.perf_counter()
        self._id = _id_of(scope["headers"])
        self.status = 0
        self._seconds = 0.0
        self._counted = False
        self._complete = False
        self._waits = False
        """Whether more of the request's body is waited for."""
        self._limit: asyncio.Timeout | None = None
        # A copy: the server goes by its own, and could not write a path with `SLASH` into its log.
        state = {**scope.get("state", {}), "request_id": self._id}
        self.scope: Any = {**scope, "state": state, "path": _path_of(scope)}

    async def answer(self, app: ASGIApp, seconds: float, *, overloaded: bool) -> None:
        try:
            if overloaded:
                hint = "come back in a moment"
                await send_problem(OverloadedError("too many requests are under way", hint), self._id, self._begins)
                return
            async with asyncio.timeout(seconds) as self._limit:
                await app(self.scope, self._receives, self._begins)
        except TimeoutError:
            await self._late()
        except Exception as error:  # noqa: BLE001 - the answer had begun: there is nobody to tell but the log
            report(error, self._id)
        finally:
            self._limit = None
            self._told()

    async def _late(self) -> None:
        if self.status:
            return  # the answer had just begun: it is cut, and the server closes the connection
        if self._waits:
            slow: Exception = SlowRequestError("the request did not come in time", "send it faster, or less at once")
        else:
            slow = TimeOutError("there was no answer in time", "ask again: with the same id it is the same")
        await send_problem(slow, self._id, self._begins)

    async def _receives(self) -> Any:
        self._waits = not self._complete
        message = await self._receive()
        self._waits = False
        if message["type"] == "http.disconnect" and not self._complete:
            raise ClientGoneError("the connection was closed before the whole request had come")
        self._complete |= not message.get("more_body")
        return message

    async def _begins(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._limit is not None and not self._limit.expired():
                self._limit.reschedule(None)  # how long a stream lasts is its own matter
            message["headers"] = [*message.get("headers", ()), (HEADER, self._id.encode())]
            self.status, self._seconds = message["status"], time.perf_counter() - self._began
        await self._send(message)
        if message["type"] == "http.response.body":
            self._told()  # only now: whoever asked does not wait for it

    def _told(self) -> None:
        """Count the request and log it, once."""
        if self._counted:
            return
        self._counted = True
        status, seconds = self.status or CLIENT_GONE, self._seconds
        route = self.scope.get("path_template") or UNMATCHED
        method = self.scope["method"]
        self._metrics.answered(route, method, status, seconds)
        caller = self.scope.get("user")
        if not log.isEnabledFor(logging.INFO):
            return
        fields = {
            "request": self._id,
            "tenant": caller.tenant if caller else None,
            "key": caller.key if caller else None,
            "method": method,
            "route": route,
            "status": status,
            "seconds": round(seconds, 6),
        }
        # A record of our own: the logger would look through the stack for who calls it.
        log.handle(logging.makeLogRecord({**RECORD, "fields": fields}))


def _id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Take the request's id, or make one."""
    given = next((value for name, value in headers if name == HEADER), b"")
    return given.decode() if _ID.fullmatch(given) else secrets.token_hex(8)


def _path_of(scope: Any) -> str:
    """Give a request's path; slashes that belong to names are told from those that part it."""
    path: str = scope["path"]
    raw: bytes = scope.get("raw_path") or b""
    if not _ENCODED_SLASH.search(raw):
        return path
    parts = _ENCODED_SLASH.split(raw.partition(b"?")[0])
    return SLASH.join(unquote_to_bytes(part).decode("utf-8", "replace") for part in parts)
