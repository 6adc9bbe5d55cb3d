"""What routes work with: the verbs behind them, and who may use which."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.errors import ForbiddenError
from llm_as_rnn.service.http.metrics import Metrics
from llm_as_rnn.service.http.verbs import Sessions
from llm_as_rnn.service.signals import Signals

Scope = Literal["read", "predict", "learn", "edit", "admin"]
"""What a key may be good for."""

Authenticate = Callable[[str | None], Awaitable[Caller]]
"""Tells who asks by the key; raises `NoKeyError` where there is none, or none that is valid."""

Asked = Request[Caller, str, State]
"""A request of somebody who is known."""


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
    health : callable
        Looks whether database and engine can be used.
    settings : ServiceSettings
        What was chosen.
    signals : Signals
        Wakes who waits for a session to change.
    metrics : Metrics
        Figures for Prometheus.
    """

    sessions: Sessions
    authenticate: Authenticate
    health: Callable[[], Awaitable[Health]]
    settings: ServiceSettings
    signals: Signals
    metrics: Metrics


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
    """
    scope: Scope | None = handler.opt["scope"]
    if scope is None:
        return
    parts: Parts = connection.app.state.parts
    caller = await parts.authenticate(key_of(connection))
    connection.scope["user"] = caller
    if scope not in caller.scopes:
        raise ForbiddenError(f"this key is not good for {scope!r}", "use one that has this scope")


def caller_of(request: Asked) -> Caller:
    """Give who asks."""
    return request.user
