"""What happens in a session, as it happens: server-sent events (the HTML standard, section 9.2)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from hashlib import blake2b

import msgspec
from litestar import get
from litestar.params import RequestBody
from litestar.response import Stream

from llm_as_rnn.service.errors import NotFoundError, ServiceError, StoreUnavailableError
from llm_as_rnn.service.http.parts import Asker, Incoming, key_of, needs
from llm_as_rnn.service.http.routes.common import SessionId, problems
from llm_as_rnn.service.views import SessionView

MEDIA_TYPE = "text/event-stream"

LOOK = 1.0
"""Seconds after which is looked again, for what other processes change."""

QUIET = 15.0
"""Seconds after which a comment is sent, so that nobody in between takes the connection for dead."""


@get(
    "/sessions/{session:str}/events",
    opt=needs("read"),
    responses=problems(404),
    media_type=MEDIA_TYPE,
    tags=["sessions"],
)
async def stream_events(by: Asker, session: SessionId, request: Incoming) -> Stream:
    """Follow a session.

    An event `session` has what `GET /v1/sessions/{session}` gives, at once and whenever that changes. Each has all that
    there is, so nothing is missed: who comes back with `Last-Event-ID` gets the session at once if it has changed
    since. After `deleted` there is nothing more. A comment every 15 seconds keeps the connection open.
    """
    view = await by.sessions.get(by.caller, session)
    last = request.headers.get("last-event-id", "")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(_events(by, view, last, key_of(request)), media_type=MEDIA_TYPE, headers=headers)


async def _events(by: Asker, view: SessionView, last: str, key: str | None) -> AsyncIterator[bytes]:
    """Give events until the service stops, the session is gone, or the key is good no longer."""
    session, spoke = view.id, time.monotonic()
    number = (await by.sessions.row(by.caller, session)).number
    yield b"retry: 2000\n\n"
    while not by.parts.stopping.told:
        told = _tag(view)
        if told != last:
            yield _event("session", told, msgspec.json.encode(view))
            last, spoke = told, time.monotonic()
        elif time.monotonic() - spoke >= QUIET:
            try:
                await by.parts.authenticate(key)
            except StoreUnavailableError:
                pass
            except ServiceError:
                return
            yield b": still there\n\n"
            spoke = time.monotonic()
        await by.sessions.signals.wait(number, LOOK)
        try:
            view = await by.sessions.get(by.caller, session)
        except StoreUnavailableError:
            continue
        except NotFoundError:
            yield _event("deleted", "deleted", msgspec.json.encode({"id": session}))
            return


def _tag(view: SessionView) -> str:
    """Tell one state of a session from another."""
    return blake2b(msgspec.json.encode(view), digest_size=8).hexdigest()


def _event(kind: str, tag: str, data: RequestBody[bytes]) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (tag.encode(), kind.encode(), data)


ROUTES = (stream_events,)
