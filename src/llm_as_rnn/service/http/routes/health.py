"""Whether the service lives, is ready, and how it goes. None of this needs a key."""

from __future__ import annotations

import msgspec
from litestar import Response, get

from llm_as_rnn.service.http.metrics import CONTENT_TYPE
from llm_as_rnn.service.http.parts import Service, needs
from llm_as_rnn.service.http.routes.common import problems

TAGS = ["operations"]


class HealthView(msgspec.Struct, frozen=True):
    """Whether the service can be used.

    Attributes
    ----------
    status : str
        ``ok``, or ``unavailable``.
    checks : dict of str to str
        ``ok``, or what is wrong, by what was looked at.
    """

    status: str
    checks: dict[str, str] = {}


@get("/health/live", opt=needs(None), responses=problems(common=False), tags=TAGS)
async def live() -> HealthView:
    """Say that the process lives."""
    return HealthView("ok")


@get("/health/ready", opt=needs(None), responses=problems(common=False), tags=TAGS)
async def ready(parts: Service) -> Response[HealthView]:
    """Say whether the database answers and the model can be asked; 503 where not, or where the service is stopping."""
    health = await parts.health()
    good = health.ready and not parts.stopping.told
    checks = health.checks if not parts.stopping.told else {**health.checks, "service": "stopping"}
    return Response(HealthView("ok" if good else "unavailable", checks), status_code=200 if good else 503)


@get("/metrics", opt=needs(None), responses=problems(common=False), media_type="text/plain", tags=TAGS)
async def metrics(parts: Service) -> Response[bytes]:
    """Give figures for Prometheus."""
    return Response(parts.metrics.text(), media_type=CONTENT_TYPE)


ROUTES = (live, ready, metrics)
