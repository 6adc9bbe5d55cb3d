"""What routes work with: the verbs behind them, and who may use which."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler

from llm_as_rnn.service.callers import Caller, Scope
from llm_as_rnn.service.config import LOOPBACK, ServiceSettings
from llm_as_rnn.service.errors import ForbiddenError, NotFoundError
from llm_as_rnn.service.http.edge import SLASH
from llm_as_rnn.service.http.metrics import Metrics
from llm_as_rnn.service.sessions import Sessions

COSTLY = ("predict", "learn")
"""Scopes of routes that lead to a model being asked."""

Authenticate = Callable[[str | None], Awaitable[Caller]]
"""Tells who asks by the key; raises `NoKeyError` where there is none, or none that is valid."""

Incoming = Request[Caller, str, State]
"""A request of somebody who is known."""


Admit = Callable[[Caller, int, bool], Awaitable[None]]
"""Counts requests of a caller, and whether they ask a model; raises `QuotaError` where a quota is used up."""


async def admit_all(caller: Caller, requests: int, costs: bool) -> None:
    """Count nothing."""
    del caller, requests, costs


class Stopping:
    """Whether the service is told to stop: streams would else go on for ever.

    Attributes
    ----------
    told : bool
        Whether it is.
    """

    def __init__(self) -> None:
        self.told = False

    def stop(self) -> None:
        """Tell it."""
        self.told = True


class Health(NamedTuple):
    """Whether a service is ready, by what it needs.

    Attributes
    ----------
    checks : dict of str to str
        ``ok``, or what is wrong, by the name of what was looked at.
    """

    checks: dict[str, str]

    @property
    def ready(self) -> bool:
        """Whether nothing is wrong."""
        return set(self.checks.values()) <= {"ok"}


class Parts(NamedTuple):
    """What a service is made of, seen from its routes.

    Attributes
    ----------
    sessions : Sessions
        The verbs.
    authenticate : callable
        Tells who asks.
    admit : callable
        Counts requests, and refuses those beyond a quota.
    health : callable
        Looks whether database and engine can be used.
    settings : ServiceSettings
        What was chosen.
    stopping : Stopping
        Whether it is told to stop.
    metrics : Metrics
        Figures for Prometheus.
    """

    sessions: Sessions
    authenticate: Authenticate
    admit: Admit
    health: Callable[[], Awaitable[Health]]
    settings: ServiceSettings
    stopping: Stopping
    metrics: Metrics


class Asking(NamedTuple):
    """Who asks, and what is done for them.

    Attributes
    ----------
    sessions : Sessions
        The verbs.
    caller : Caller
        Who asks.
    parts : Parts
        All else.
    """

    sessions: Sessions
    caller: Caller
    parts: Parts


Service = NamedDependency[Parts]
"""The parts, as a route gets them that anybody may use."""
Asker = NamedDependency[Asking]
"""Who asks, as every other route gets it: a single thing, because the framework starts tasks to gather several."""


def needs(scope: Scope | None) -> dict[str, Any]:
    """Declare what a key must be good for to use a route; None where no key is needed."""
    return {"scope": scope}


def key_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """Give the key that was shown; None for none."""
    kind, _, key = connection.headers.get("authorization", "").strip().partition(" ")
    return key.strip() or None if kind.lower() == "bearer" else None


async def require_scope(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let only those in who may use a route, and note who they are.

    Raises
    ------
    NoKeyError
        If they are not known.
    ForbiddenError
        If their key is not good for this.
    QuotaError
        If a quota of theirs is used up.
    NotFoundError
        If the path names what cannot be.
    """
    if connection.scope["type"] == ScopeType.HTTP and connection.scope["method"] == "OPTIONS":
        return  # it says which methods there are, and does nothing
    scope: Scope | None = handler.opt["scope"]
    if scope is None:
        return
    parts: Parts = connection.app.state.parts
    caller = await parts.authenticate(key_of(connection))
    connection.scope["user"] = caller
    caller.require(scope)
    if not caller.key:
        require_near(connection)
    require_names(connection)
    await parts.admit(caller, 1, scope in COSTLY)


def require_names(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Refuse a name with a slash in it (``%2F``): predictions alone have such.

    Raises
    ------
    NotFoundError
        If there is one.
    """
    for name, value in connection.path_params.items():
        if name != "prediction" and isinstance(value, str) and SLASH in value:
            raise NotFoundError("there is nothing of this name", "names of sessions and tasks have no slashes")


def require_near(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Refuse what a page from elsewhere has a browser on this machine ask, where no key keeps it out.

    Raises
    ------
    ForbiddenError
        If the request is for another host's name, or another site's page makes it.
    """
    host = connection.headers.get("host", "")
    origin = connection.headers.get("origin")
    if urlsplit(f"//{host}").hostname not in LOOPBACK or (origin is not None and urlsplit(origin).netloc != host):
        raise ForbiddenError(
            "without a key the service answers this machine's own programs alone",
            "ask it at 127.0.0.1, or make a key: llm-as-rnn serve keys create",
        )


def asking(request: Incoming) -> Asking:
    """Give who asks."""
    parts: Parts = request.app.state.parts
    return Asking(parts.sessions, request.user, parts)
