"""Traces by OpenTelemetry, where its packages are installed and an exporter is named in the environment.

A request is a span, and so is each call to the model and each outcome that is learned. None of them has any contents:
no observations, answers, prompts or keys; sessions and models by name. Names of attributes are OpenTelemetry's own
(https://opentelemetry.io/docs/specs/semconv/).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from llm_as_rnn._version import __version__
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import EngineError, MissingExtraError

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Where traces are sent, as OpenTelemetry's own programs have it."""
NAME = "llm-as-rnn"


class Tracing:
    """Spans, or nothing where nobody asked for any.

    Parameters
    ----------
    tracer : Tracer or None
        OpenTelemetry's; None for nothing.
    """

    def __init__(self, tracer: Any = None) -> None:
        self._tracer = tracer

    @property
    def on(self) -> bool:
        """Whether there are any."""
        return self._tracer is not None

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[Any]:
        """Give a span for what is done in it; what is raised there is noted."""
        if self._tracer is None:
            return nullcontext()
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        span: AbstractContextManager[Any] = self._tracer.start_as_current_span(name, attributes=named)
        return span

    @contextmanager
    def request(self, scope: Any) -> Iterator[Callable[[int], None]]:
        """Give a span for a request that goes on with its caller's trace, and what to call with its status."""
        if self._tracer is None:
            yield lambda status: None
            return
        from opentelemetry import propagate, trace  # noqa: PLC0415 - it needs the extra

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method = scope["method"]
        with self._tracer.start_as_current_span(
            method,
            context=propagate.extract(headers),
            kind=trace.SpanKind.SERVER,
            attributes={"http.request.method": method},
        ) as span:

            def ended(status: int) -> None:
                route = scope.get("path_template")
                if route:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)

            yield ended

    def close(self) -> None:
        """Send what was not sent yet."""
        if self._tracer is not None:
            from opentelemetry import trace  # noqa: PLC0415 - it needs the extra

            shutdown = getattr(trace.get_tracer_provider(), "shutdown", None)
            if shutdown is not None:
                shutdown()


def begin_tracing() -> Tracing:
    """Begin to trace where the environment names an exporter.

    Raises
    ------
    MissingExtraError
        If it does, and OpenTelemetry is not installed.
    """
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return Tracing()
    try:
        from opentelemetry import trace  # noqa: PLC0415 - they need the extra
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "opentelemetry", "tracing") from error
    provider = TracerProvider(resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", NAME)}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return Tracing(provider.get_tracer(NAME, __version__))


class TracedEngine:
    """An engine whose calls are spans.

    Parameters
    ----------
    engine : Engine
        Who answers; opened and closed by its owner.
    tracing : Tracing
        Where spans come from.
    """

    def __init__(self, engine: Engine, tracing: Tracing) -> None:
        self._engine = engine
        self._tracing = tracing

    @property
    def info(self) -> EngineInfo:
        """What the engine is."""
        return self._engine.info

    async def open(self) -> None:
        """Do nothing: its owner has."""

    async def close(self) -> None:
        """Do nothing: its owner will."""

    async def complete(self, request: Request) -> Completion:
        """Have the engine answer."""
        model = self._engine.info.model
        with self._tracing.span(
            f"{request.role} {model}",
            gen_ai__operation__name="chat" if request.style == "chat" else "text_completion",
            gen_ai__request__model=model,
            gen_ai__request__max_tokens=request.sampling.max_tokens,
        ) as span:
            try:
                answer = await self._engine.complete(request)
            except EngineError as error:
                span.set_attribute("error.type", type(error).__name__)
                raise
            span.set_attribute("gen_ai.usage.input_tokens", answer.prompt_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", answer.completion_tokens)
            span.set_attribute("gen_ai.response.finish_reasons", (answer.finish_reason,))
            return answer

    async def count_tokens(self, text: str) -> int:
        """Have the engine count."""
        return await self._engine.count_tokens(text)
