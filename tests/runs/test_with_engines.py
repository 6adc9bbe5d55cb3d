"""Whole runs on real engines: a server that keeps failing, and the embedded model."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.catalogue import METHODS
from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.records import Form, Layout, Status, Style
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.engines.llamacpp import LlamaCppEngine
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.patience import PatientEngine
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.execute import Options, execute
from tests.fake_server import FakeServer, Fault, busy
from tests.helpers import OBJECTS, run_options
from tests.runs.test_execute import Watch


def go(engine: Engine, out: Path, options: Options) -> tuple[RunInfo, list[StepRecord]]:
    directory = RunDirectory(out)
    info = asyncio.run(execute(options, engine, directory, resume=False, watcher=Watch()))
    return info, directory.records()


def by_schema(body: dict[str, Any]) -> str:
    """Answer as the schema of a request asks, so that the server knows nothing of roles."""
    if "response_format" not in body:  # the small request that tells whether it serves
        return "2"
    name = body["response_format"]["json_schema"]["name"]
    roles = {
        "weather": "predict", "feedback": "reflect", "reflection": "reflect", "memory": "update",
        "additions": "update", "summary": "summarise",
    }  # fmt: skip
    return msgspec.json.encode(OBJECTS[roles[name]]).decode()


def test_a_server_that_keeps_failing_loses_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_as_rnn.engines.wire.FIRST_WAIT", 0.001)
    rng = random.Random(7)
    kinds: list[Fault] = [busy(429), busy(500), busy(503), Fault("reset"), Fault("cut"), Fault("stall")]
    faults = [replace(rng.choice(kinds)) for _ in range(24)]
    spread = itertools.cycle([False, True, False])

    def answer(body: dict[str, Any]) -> str:
        if next(spread) and faults:
            server.faults.append(faults.pop())
        return by_schema(body)

    with FakeServer("llamacpp", answer=answer) as server:
        engine = OpenAICompatibleEngine("fake", base_url=server.url, timeout=0.5, slots=2)
        options = run_options("weather", tuple(METHODS), sequences=3, steps=4, budget=120, form="json", style="chat")
        info, records = go(engine, tmp_path / "run", options)
    assert not faults, "not every fault was tried"
    assert (info.status, info.failures) == ("finished", {})
    asked = [record for record in records if record.method in METHODS]
    assert len({(r.method, r.sequence, r.t) for r in asked}) == len(asked) == len(METHODS) * 3 * 4
    assert all(record.status is Status.OK for record in asked)
    assert sum(call.retries for record in asked for call in record.calls) >= 20


def test_an_outage_costs_no_step(tmp_path: Path) -> None:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    waits: list[float] = []
    answered = itertools.count()

    def answer(body: dict[str, Any]) -> str:
        if next(answered) == 20:  # from here on it is down for a while
            server.faults.append(Fault(status=503, times=12))
        return by_schema(body)

    with FakeServer("llamacpp", answer=answer) as server:
        inner = OpenAICompatibleEngine("fake", base_url=server.url, max_retries=0, slots=2)
        engine = PatientEngine(inner, clock=lambda: sum(waits), sleep=sleep)
        options = run_options("weather", ("zero_shot",), sequences=3, steps=10, budget=120, form="json", style="chat")
        info, records = go(engine, tmp_path / "run", options)
    assert (info.status, info.failures) == ("finished", {})
    assert all(record.status is Status.OK for record in records if record.method == "zero_shot")
    assert sum(waits) > 30


def test_an_outage_without_end_stops_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    waits: list[float] = []
    options = run_options("weather", ("zero_shot",), sequences=3, steps=10, budget=120, form="json", style="chat")
    answered = itertools.count()

    def answer(body: dict[str, Any]) -> str:
        if next(answered) == 7:
            server.faults.append(Fault(status=429, headers={"retry-after": "3600"}, times=10**6))
        return by_schema(body)

    with FakeServer("llamacpp", answer=answer) as server:
        inner = OpenAICompatibleEngine("fake", base_url=server.url, slots=2)
        info, records = go(PatientEngine(inner, clock=lambda: sum(waits), sleep=sleep), tmp_path / "run", options)
        asked = [record for record in records if record.method == "zero_shot"]
        assert info.status != "finished"
        assert all("waited out for 600 s" in why for why in info.failures.values())
        assert {record.status for record in asked} == {Status.OK}, "no step was lost over it"
        server.faults.clear()
        server.answer = by_schema
        engine = PatientEngine(OpenAICompatibleEngine("fake", base_url=server.url, slots=2))
        directory = RunDirectory(tmp_path / "run")
        info = asyncio.run(execute(options, engine, directory, resume=True, watcher=Watch()))
    assert (info.status, info.failures) == ("finished", {})
    assert [record.status for record in directory.records() if record.method == "zero_shot"] == [Status.OK] * 30


def test_a_run_whose_server_ceases_to_count_goes_on_and_resumes_by_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its counts are other ones than the estimates: without those in the journal the resumed steps would differ."""
    monkeypatch.setattr("llm_as_rnn.engines.openai_compatible.COUNTS_AWAITED", 0.0)
    options = run_options(
        "weather", ("recurrent",), sequences=2, steps=6, budget=60, form="json", style="chat", rule="rewrite"
    )
    answered = itertools.count()

    def answer(body: dict[str, Any]) -> str:
        number = next(answered)
        if number == 6:
            server.faults.append(Fault(status=429, body={"error": "busy"}, path="/tokenize", times=10**6))
        if number == 15:
            server.faults.append(Fault(status=401, body={"error": "no"}, times=10**6))
        return by_schema(body).replace("rain follows rain", f"rain follows rain {number}")  # no text is counted before

    def engine() -> Engine:
        inner = OpenAICompatibleEngine("fake", base_url=server.url, slots=1, max_retries=0)
        return PatientEngine(inner, clock=lambda: sum(waits), sleep=sleep)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    waits: list[float] = []
    with FakeServer("llamacpp", answer=answer) as server:
        info, records = go(engine(), tmp_path / "run", options)
        assert (info.status, info.engine.tokenizer) == ("failed", "lost")
        counted = [record for record in records if record.counts]
        assert 0 < len(counted) < len(records)
        server.faults.clear()
        server.answer = by_schema
        directory = RunDirectory(tmp_path / "run")
        info = asyncio.run(execute(options, engine(), directory, resume=True, watcher=Watch()))
    assert (info.status, info.failures) == ("finished", {})
    assert info.engine.tokenizer == "lost", "what was found out stays said"


@pytest.mark.model
@pytest.mark.parametrize(
    ("form", "style", "layout", "methods"),
    [
        ("line", "completion", "chained", ("recurrent",)),
        pytest.param("line", "completion", "chained", tuple(METHODS), marks=pytest.mark.long),
        pytest.param("line", "chat", "separate", tuple(METHODS), marks=pytest.mark.long),
        pytest.param("json", "chat", "chained", ("recurrent",), marks=pytest.mark.long),
    ],
)
def test_the_embedded_model_keeps_the_form(
    tmp_path: Path, model_file: Path, weather: Task, form: Form, style: Style, layout: Layout, methods: tuple[str, ...]
) -> None:
    """Structure, not luck: every answer valid, the budget held, the prefix cache used.

    Each run takes this model many seconds, so that one alone is of two sequences at once, and JSON, which takes it the
    longest, of one method.
    """
    engine = LlamaCppEngine(model_file, slots=2, threads=1)  # other tests run on the other cores
    sequences = 2 if style == "completion" and len(methods) > 1 else 1
    options = run_options(
        "weather", methods, sequences=sequences, steps=2, budget=64, form=form, style=style, layout=layout, choose=False
    )
    info, records = go(engine, tmp_path / "run", options)
    assert (info.status, info.failures) == ("finished", {})
    spec = weather.spec(form)
    for record in records:
        if record.method in METHODS:
            assert record.status.answered
            assert spec.read(record.raw) == record.prediction
    memories = [record.memory_after for record in records if record.memory_after is not None]
    assert memories

    async def lengths() -> list[int]:
        counter = LlamaCppEngine(model_file, slots=1, context=512, threads=1)
        await counter.open()
        try:
            return [await counter.count_tokens(str(memory)) for memory in memories]
        finally:
            await counter.close()

    assert asyncio.run(lengths()) == [memory.tokens for memory in memories]
    assert all(memory.tokens is not None and memory.tokens <= 64 for memory in memories)
    if layout == "chained":
        later = [call for r in records if r.method == "recurrent" for call in r.calls if call.role != "predict"]
        assert all((call.cached_tokens or 0) > 0 for call in later)


@pytest.mark.long
@pytest.mark.model
def test_what_the_embedded_model_notes_tells_an_outcome(tmp_path: Path, model_file: Path, weather: Task) -> None:
    engine = LlamaCppEngine(model_file, slots=2, threads=1)
    options = run_options(
        "weather", ("recurrent:delta",), sequences=1, steps=2, budget=128, form="line", style="completion"
    )
    _, records = go(engine, tmp_path / "run", options)
    told = {f" -> {weather.spec('line').show(record.target)}" for record in records if record.target}
    memories = [record.memory_after for record in records if record.memory_after is not None]
    notes = {item for memory in memories for section in memory.sections for item in section.items} - {weather.initial}
    assert notes
    assert all(note.endswith(tuple(told)) for note in notes)
