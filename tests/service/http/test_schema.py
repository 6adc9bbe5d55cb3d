"""The description of the API holds: schemathesis (https://schemathesis.io) asks what it allows and what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.service.client.running import Running, running

UNBOUNDED = "/events"
"""A stream of events has no end."""


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, value: Any) -> bytes:
    """Write what a batch takes: a line for each item."""
    items = value if isinstance(value, list) else [value]
    return b"\n".join(json.dumps(item).encode() for item in items)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_whatever_is_asked_is_answered_as_it_is_described(database: str) -> None:
    with running(database) as service:
        schema = schemathesis.openapi.from_url(f"{service.url}/v1/openapi.json").exclude(path_regex=UNBOUNDED)
        operations: Any = schema.get_all_operations()
        tried = [_tried(operation.ok(), service) for operation in operations]
    assert len(tried) > 25


def _tried(operation: Any, service: Running) -> str:
    """Ask what an operation allows, and what it does not: all is answered as it is described, and nothing by 500."""

    @settings(
        max_examples=8,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        headers = {"Authorization": f"Bearer {service.key}"}
        case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

    ask()
    return str(operation.label)
