"""Imported by the process that others are forked from: all that making an application imports is there in each."""

from __future__ import annotations

from typing import Any, cast

from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.http.app import make_app
from llm_as_rnn.service.http.parts import Health
from tests.service.torture import process


async def _nobody(key: str | None) -> Caller:
    raise AssertionError(f"{process.__name__} has doors of its own")


async def _well() -> Health:
    return Health({})


make_app(cast("Any", None), authenticate=_nobody, health=_well, settings=ServiceSettings())
