"""The description of the API (OpenAPI 3.1): the framework's, with what it does not know put right.

The framework knows paths, parameters and which records go in and out. The records are described by msgspec, which reads
and writes them, so that what is described is what is checked; and bodies that the framework does not read are described
here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler

from llm_as_rnn._version import __version__
from llm_as_rnn.core.records import Section, Update
from llm_as_rnn.service import bodies, views
from llm_as_rnn.service.http.problems import MEDIA_TYPE, Problem
from llm_as_rnn.service.http.routes.batch import MEDIA_TYPE as NDJSON
from llm_as_rnn.service.http.routes.events import MEDIA_TYPE as EVENTS
from llm_as_rnn.service.http.routes.health import HealthView
from llm_as_rnn.service.http.routes.memory import DIFF
from llm_as_rnn.service.http.routes.sessions import FILE

Json = dict[str, Any]

_ATTRIBUTE = re.compile(r"^(\w[\w, ]*)(?: : .*)?\n((?:    .*(?:\n|$))+)", re.MULTILINE)

RECORDS: tuple[type[Any], ...] = (
    *dict.fromkeys(
        found
        for module in (views, bodies)
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, views.View | views.Given) and found.__struct_fields__
    ),
    Section,
    Update,
    Problem,
    HealthView,
)
"""All that goes in and out."""

PREFIX = "/v1"

EXAMPLES: dict[str, Json] = {
    "NewSession": {"task": "weather", "id": "oslo", "settings": {"budget": 256}},
    "NewPrediction": {
        "id": "2026-05-02",
        "x": {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0},
    },
    "NewOutcome": {"y": {"sky": "sun", "high": 14.1}},
    "BatchPrediction": {"session": "oslo", "id": "2026-05-03", "x": {"date": "May 2", "sky": "sun"}},
    "BatchOutcome": {"session": "oslo", "id": "2026-05-02", "y": {"sky": "sun", "high": 14.1}},
    "MemoryEdit": {"sections": [{"name": "Patterns", "items": ["rain follows rain in May"]}]},
    "Problem": {
        "type": "urn:problem-type:llm-as-rnn:not-found",
        "title": "Not found",
        "status": 404,
        "detail": "there is no session 'oslo'",
        "hint": "see GET /v1/sessions",
        "request_id": "2b1f0c",
    },
}
"""Of records, by name."""


def description(routes: Sequence[ControllerRouterHandler]) -> bytes:
    """Give the description of routes, as JSON.

    The framework would add pages to the application that take scripts from elsewhere; so it is asked for its part of
    the description by an application that nobody serves.
    """
    config = OpenAPIConfig(
        "llm-as-rnn",
        __version__,
        description="Predictions whose outcomes come later, and a memory that learns from them.",
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, _method, _path: handler.handler_name,
    )
    unused = {name: Provide(lambda: None, sync_to_thread=False) for name in ("parts", "by")}
    app = Litestar(routes, dependencies=unused, openapi_config=config, logging_config=None)
    schema: Json = app.openapi_schema.to_schema()
    schema["openapi"] = "3.1.0"
    schema["components"]["schemas"] = _records()
    schema["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "A key that `llm-as-rnn serve keys create` made."}
    }
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            _complete(operation, secured=path.startswith(PREFIX))
    _raw(schema["paths"])
    return msgspec.json.encode(schema)


def _records() -> Json:
    _, components = msgspec.json.schema_components(RECORDS, ref_template="#/components/schemas/{name}")
    for name, example in EXAMPLES.items():
        components[name]["examples"] = [example]
    for component in components.values():
        _explain(component)
    return components


def _explain(component: Json) -> None:
    """Take a record's docstring apart: what is said of each attribute goes to its property."""
    said, _, attributes = inspect.cleandoc(component.pop("description", "")).partition("\n\nAttributes\n----------\n")
    if said:
        component["description"] = said.replace("``", "`")
    for names, what in _ATTRIBUTE.findall(attributes):
        for name in names.split(", "):
            if name in component.get("properties", {}):
                component["properties"][name].setdefault("description", inspect.cleandoc(what).replace("``", "`"))


def _complete(operation: Json, *, secured: bool) -> None:
    """Take summary and description out of the handler's docstring, and say who may come in."""
    first, _, rest = operation.get("description", "").partition("\n\n")
    operation["summary"] = " ".join(first.split())
    operation["description"] = "\n\n".join(" ".join(part.split()) for part in rest.split("\n\n") if part.strip())
    operation["security"] = [{"key": []}] if secured else []
    for status, response in operation["responses"].items():
        headers = response.setdefault("headers", {})
        headers["X-Request-Id"] = {"schema": {"type": "string"}, "description": "By which the log names the request."}
        if status in ("429", "503") and MEDIA_TYPE in response.get("content", {}):
            headers["Retry-After"] = {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds."}


def _raw(paths: Json) -> None:
    """Describe bodies that routes read themselves, and answers that are no single JSON value."""
    text: Json = {"type": "string"}
    binary: Json = {"type": "string", "format": "binary"}
    sessions = paths[f"{PREFIX}/sessions/import"]["post"]
    sessions["requestBody"] = {"required": True, "content": {FILE: {"schema": binary}}}
    one = paths[f"{PREFIX}/sessions/{{session}}/export"]["get"]
    one["responses"]["200"]["content"] = {FILE: {"schema": binary}}
    events = paths[f"{PREFIX}/sessions/{{session}}/events"]["get"]
    events["responses"]["200"]["content"] = {EVENTS: {"schema": text}}
    memory = paths[f"{PREFIX}/sessions/{{session}}/memory"]
    memory["get"]["responses"]["304"] = {"description": "It is the one that If-None-Match names."}
    for operation in memory.values():
        operation["responses"]["200"]["content"] = {"application/json": {"schema": _ref("MemoryView")}}
        operation["responses"]["200"].setdefault("headers", {})["ETag"] = {
            "schema": text,
            "description": "The version.",
        }
    diff = paths[f"{PREFIX}/sessions/{{session}}/memory/diff"]["get"]
    diff["responses"]["200"]["content"] = {
        "application/json": {"schema": _ref("MemoryChange")},
        DIFF: {"schema": text},
    }
    for name, item in (("predictions", "BatchPrediction"), ("outcomes", "BatchOutcome")):
        batch = paths[f"{PREFIX}/batch/{name}"]["post"]
        array = {"type": "array", "items": _ref(item), "maxItems": 1000}
        content = {"application/json": {"schema": array}, NDJSON: {"schema": text, "example": _line(EXAMPLES[item])}}
        batch["requestBody"] = {"required": True, "content": content}
        batch["responses"]["200"]["content"] = {NDJSON: {"schema": text}}
    ready = paths["/health/ready"]["get"]
    ready["responses"]["503"] = {**ready["responses"]["200"], "description": "It cannot be used now."}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _line(example: Json) -> str:
    return f"{msgspec.json.encode(example).decode()}\n"
