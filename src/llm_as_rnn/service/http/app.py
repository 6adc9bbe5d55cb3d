"""The application: routes, and what is around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from litestar import Litestar, Response, Router, get
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.types import ASGIApp

from llm_as_rnn._version import __version__
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.http.edge import Edge
from llm_as_rnn.service.http.metrics import Metrics
from llm_as_rnn.service.http.openapi import PREFIX, description
from llm_as_rnn.service.http.parts import Authenticate, Health, Parts, caller_of, needs, require_scope
from llm_as_rnn.service.http.problems import handle
from llm_as_rnn.service.http.routes import batch, events, health, memory, sessions, steps, tasks
from llm_as_rnn.service.http.verbs import Sessions
from llm_as_rnn.service.signals import Signals

MODULES = (tasks, sessions, steps, memory, events, batch)
"""Those whose routes stand under the version's prefix."""


def make_app(  # noqa: PLR0913 - a keyword each for what it is made of
    verbs: Sessions,
    *,
    authenticate: Authenticate,
    health: Callable[[], Awaitable[Health]],
    settings: ServiceSettings,
    signals: Signals | None = None,
    metrics: Metrics | None = None,
) -> ASGIApp:
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
    signals : Signals, optional
        Shared with whoever changes sessions in this process.
    metrics : Metrics, optional
        Shared with whoever has further figures.
    """
    parts = Parts(verbs, authenticate, health, settings, signals or Signals(), metrics or Metrics())
    return Edge(
        make_routes(parts), parts.metrics, seconds=settings.request_seconds, most=settings.most_requests
    )


def make_routes(parts: Parts) -> Litestar:
    """Make what is inside of an application: routes, guarded, that answer with problems where something is wrong."""
    described: list[bytes] = []

    @get(f"{PREFIX}/openapi.json", opt=needs(None), include_in_schema=False)
    async def openapi() -> Response[bytes]:
        """Give this description."""
        if not described:
            described.append(description(app))
        return Response(described[0], media_type="application/json")

    versioned = Router(PREFIX, route_handlers=[route for module in MODULES for route in module.ROUTES])
    app = Litestar(
        [versioned, *health.ROUTES, openapi],
        dependencies={
            "parts": Provide(lambda: parts, sync_to_thread=False),
            "caller": Provide(caller_of, sync_to_thread=False),
        },
        guards=[require_scope],
        exception_handlers={Exception: handle},
        state=State({"parts": parts}),
        request_max_body_size=parts.settings.body_bytes,
        openapi_config=OpenAPIConfig(
            "llm-as-rnn", __version__, use_handler_docstrings=True, path=f"{PREFIX}/description", render_plugins=[]
        ),
        logging_config=None,
        on_app_init=[_bare],
    )
    return app


def _bare(config: AppConfig) -> AppConfig:
    """Leave out the pages that the framework would make of the description: they come from elsewhere."""
    return config
