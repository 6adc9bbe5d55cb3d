"""Traces: a span for each request, call and outcome learned, without contents, and nothing where nobody asked."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from llm_as_rnn.core.errors import MissingExtraError
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.service import serving, tracing
from llm_as_rnn.service.config import ServiceSettings

X = {"date": "May 1", "sky": "rain", "high": 11, "low": 7, "precipitation": 3, "wind": 2}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def spans(database: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(serving, "begin_tracing", lambda: tracing.Tracing(provider.get_tracer("test")))

    async def work() -> None:
        engine = ScriptedEngine(lambda request: " fog, 9.5")
        async with serving.assembled(ServiceSettings(), database, engine=engine) as service:
            app: Any = service.app
            transport = httpx2.ASGITransport(app=app)
            headers = {"traceparent": PARENT}
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
                new = {"task": "weather", "id": "seattle", "settings": {"form": "line"}}
                (await client.post("/v1/sessions", json=new)).raise_for_status()
                path = "/v1/sessions/seattle/predictions"
                (await client.post(path, json={"x": X, "id": "a"})).raise_for_status()
                told = {"y": {"sky": "sun", "high": 13.5}}
                (await client.put(f"{path}/a/outcome?wait=20", json=told)).raise_for_status()
                assert (await client.get("/v1/sessions/nobody")).status_code == 404

    asyncio.run(work())
    return list(kept.get_finished_spans())


def test_requests_calls_and_lessons_are_spans_without_contents(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = spans(database, monkeypatch)
    by_name = {span.name: span for span in found}
    request = by_name["POST /v1/sessions/{session}/predictions"]
    assert f"{request.context.trace_id:032x}" == PARENT.split("-")[1], "it goes on with its caller's trace"
    assert request.attributes["http.response.status_code"] == 200
    call = next(span for span in found if span.name.startswith("predict "))
    assert call.parent.span_id == request.context.span_id
    assert call.attributes["gen_ai.usage.input_tokens"] > 0
    assert by_name["learn"].attributes["session"] == "seattle"
    missing = by_name["GET /v1/sessions/{session}"]
    assert missing.attributes["http.response.status_code"] == 404
    told = " ".join(span.to_json() for span in found)
    assert not [text for text in ("May 1", "rain", "fog", "13.5") if text in told]


def test_nothing_is_traced_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tracing.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert not tracing.begin_tracing().on


def test_an_exporter_without_its_packages_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracing.ENDPOINTS[0], "http://127.0.0.1:1")
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(MissingExtraError, match=r"llm-as-rnn\[tracing\]"):
        tracing.begin_tracing()
