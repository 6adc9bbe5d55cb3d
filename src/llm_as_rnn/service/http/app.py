"""The application: routes, and what is around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache

from litestar import Litestar, Response, Router, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp, ControllerRouterHandler

from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.http.edge import Edge
from llm_as_rnn.service.http.metrics import Metrics
from llm_as_rnn.service.http.openapi import PREFIX, description
from llm_as_rnn.service.http.parts import (
    Admit,
    Authenticate,
    Health,
    Parts,
    Stopping,
    admit_all,
    asking,
    needs,
    require_scope,
)
from llm_as_rnn.service.http.problems import handle
from llm_as_rnn.service.http.routes import batch, events, health, memory, sessions, steps, tasks, ui
from llm_as_rnn.service.sessions import Sessions
from llm_as_rnn.service.tracing import Tracing

Application = ASGIApp
"""What a server runs."""

MODULES = (tasks, sessions, steps, memory, events, batch)
"""Those whose routes stand under the version's prefix."""


def make_app(
    verbs: Sessions,
    *,
    authenticate: Authenticate,
    health: Callable[[], Awaitable[Health]],
    settings: ServiceSettings,
    admit: Admit = admit_all,
    stopping: Stopping | None = None,
    metrics: Metrics | None = None,
    tracing: Tracing | None = None,
) -> Application:
    """Make the service's ASGI application.

    Parameters
    ----------
    verbs : Sessions
        What the service does.
    authenticate : callable
        Takes a key, or None where none is shown, and gives the `Caller`; raises `NoKeyError`.
    health : callable
        Looks whether database and engine can be used.
    settings : ServiceSettings
        Limits of requests.
    admit : callable
        Counts requests, and refuses those beyond a quota.
    stopping : Stopping, optional
        Shared with the server.
    metrics : Metrics, optional
        Shared with whoever has further figures.
    tracing : Tracing, optional
        Where the spans of requests come from.
    """
    parts = Parts(verbs, authenticate, admit, health, settings, stopping or Stopping(), metrics or Metrics())
    seconds, most = settings.request_seconds, settings.most_requests
    return Edge(make_routes(parts), parts.metrics, seconds=seconds, most=most, tracing=tracing)


def make_routes(parts: Parts) -> Litestar:
    """Make what is inside of an application: routes, guarded, that answer with problems where something is wrong."""
    return Litestar(
        [*routes(), *ui.ROUTES, described],
        dependencies={
            "parts": Provide(lambda: parts, sync_to_thread=False),
            "by": Provide(asking, sync_to_thread=False),
        },
        guards=[require_scope],
        exception_handlers={Exception: handle},
        state=State({"parts": parts}),
        request_max_body_size=parts.settings.body_bytes,
        openapi_config=None,
        logging_config=None,
    )


def routes() -> list[ControllerRouterHandler]:
    """Give all routes that are described: those of the page are its own."""
    return [Router(PREFIX, route_handlers=[route for module in MODULES for route in module.ROUTES]), *health.ROUTES]


@get(f"{PREFIX}/openapi.json", opt=needs(None))
async def described() -> Response[bytes]:
    """Describe the routes."""
    return Response(_description(), media_type="application/json")


@cache
def _description() -> bytes:
    return description(routes())
