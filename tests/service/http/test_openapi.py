"""The description of the API says what the service does."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import msgspec
import pytest

from llm_as_rnn.service.http.app import make_routes
from llm_as_rnn.service.http.openapi import EXAMPLES, RECORDS
from tests.service.http.test_access import DESCRIBED, OPEN, parts
from tests.service.http.trying import client


def described() -> Any:
    async def work() -> Any:
        async with client(make_routes(parts()), None) as ask:
            answer = await ask.get("/v1/openapi.json")
            assert answer.headers["content-type"] == "application/json"
            return answer.json()

    return asyncio.run(work())


SCHEMA = described()
OPERATIONS = {
    (method.upper(), path): operation
    for path, operations in SCHEMA["paths"].items()
    for method, operation in operations.items()
}


def test_it_is_openapi_3_1_and_has_every_route() -> None:
    assert SCHEMA["openapi"].startswith("3.1.")
    assert set(OPERATIONS) == {(method, path) for method, path, _ in DESCRIBED if path != "/v1/openapi.json"}
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda it: it["operationId"])
def test_an_operation_says_what_it_does_and_what_may_go_wrong(operation: Any) -> None:
    assert re.fullmatch(r"[A-Z].*[^.\s].*\.", operation["summary"]), operation["summary"]
    assert operation["tags"]
    for status, response in operation["responses"].items():
        assert response["description"]
        if int(status) >= 400 and not (status == "503" and operation["operationId"] == "ready"):
            schema = response["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}
    for parameter in operation.get("parameters", ()):
        assert parameter["description"] or parameter["name"] == "version"


def test_what_needs_a_key_says_so() -> None:
    assert SCHEMA["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for method, path, _ in (route for route in DESCRIBED if route[1] not in OPEN):
        assert OPERATIONS[method, path]["security"] == [{"key": []}]
        assert {"401", "403", "429", "500", "503"} <= set(OPERATIONS[method, path]["responses"])
    for path in OPEN - {"/v1/openapi.json", "/ui", "/ui/{name}"}:
        assert OPERATIONS["GET", path]["security"] == []


def test_all_records_that_are_named_are_there() -> None:
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(SCHEMA)))
    assert named <= set(SCHEMA["components"]["schemas"])
    assert {"NewSession", "PredictionView", "Problem", "BatchOutcome"} <= named


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_one(name: str) -> None:
    (record,) = [record for record in RECORDS if record.__name__ == name]
    msgspec.convert(EXAMPLES[name], record)
    assert SCHEMA["components"]["schemas"][name]["examples"] == [EXAMPLES[name]]


def test_what_is_taken_has_no_further_fields_and_what_is_given_may_have() -> None:
    schemas = SCHEMA["components"]["schemas"]
    assert schemas["NewSession"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["SessionView"]


def test_records_and_their_fields_are_explained() -> None:
    session = SCHEMA["components"]["schemas"]["SessionView"]
    assert session["description"] == "A session."
    assert session["properties"]["waiting"]["description"] == "Of these, those whose outcome has not been learned."
    assert session["properties"]["created"]["description"] == session["properties"]["changed"]["description"]


def test_a_wait_may_be_answered_in_two_ways() -> None:
    outcome = OPERATIONS["PUT", "/v1/sessions/{session}/predictions/{prediction}/outcome"]
    assert {"200", "202"} <= set(outcome["responses"])
