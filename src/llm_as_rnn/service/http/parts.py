"""What routes work with: the verbs behind them, and who may use which."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler

from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.errors import ForbiddenError
from llm_as_rnn.service.http.metrics import Metrics
from llm_as_rnn.service.http.verbs import Sessions

Scope = Literal["read", "predict", "learn", "edit", "admin"]
"""What a key may be good for."""

COSTLY = ("predict", "learn")
"""Scopes of routes that lead to a model being asked."""

Authenticate = Callable[[str | None], Awaitable[Caller]]
"""Tells who asks by the key; raises `NoKeyError` where there is none, or none that is valid."""

Incoming = Request[Caller, str, State]
"""A request of somebody who is known."""


Admit = Callable[[Caller, int, bool], Awaitable[None]]
"""Counts requests of a caller, and whether they ask a model; raises `QuotaError` where a quota is used up."""


async def admit_all(caller: Caller, requests: int, costs: bool) -> None:  # noqa: FBT001 - as `Admit` has it
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


Service = NamedDependency[Parts]
"""The parts, as a route gets them."""
Known = NamedDependency[Caller]
"""Who asks, as a route gets it."""


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
    await parts.admit(caller, 1, scope in COSTLY)


def caller_of(request: Incoming) -> Caller:
    """Give who asks."""
    return request.user
