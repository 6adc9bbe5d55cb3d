"""A forecast says what the run then takes: the same calls, and tokens as near as an estimate comes."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import SpecMismatchError
from llm_as_rnn.engines.estimate import estimate_tokens
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.engines.spending import Price
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.forecast import Outlook, forecast
from tests.helpers import content, run_options
from tests.runs.test_execute import INFO, OPTIONS, WANTED, answer, go

ASKING = ("zero_shot", "full_history", "memprompt", "recurrent", "streaming_icl")
RUN = msgspec.structs.replace(OPTIONS, methods=(*ASKING, "advised"))


def foreseen(engine: ScriptedEngine, measure: int) -> Outlook:
    return asyncio.run(forecast(RUN, engine, measure))


def counted(request: Request) -> Completion:
    """Answer as the run's script does, with three tokens for each that is estimated."""
    tokens = 3 * estimate_tokens(request.prompt)
    return Completion(answer(request), prompt_tokens=tokens, completion_tokens=77, seconds=0.5)


def test_the_calls_are_those_that_the_run_makes(tmp_path: Path) -> None:
    engine = ScriptedEngine(answer, INFO)
    outlook = foreseen(engine, 0)
    assert (engine.requests, outlook.measured) == ([], 0)
    go(tmp_path / "run", RUN)
    made = Counter(record.method for record in content(tmp_path / "run") for _ in record.calls)
    assert {one.method: one.calls for one in outlook.methods} == dict(made)
    assert all(one.seconds is None and 0 <= one.cached <= one.prompt for one in outlook.methods)


def test_what_is_measured_scales_what_is_guessed() -> None:
    engine = ScriptedEngine(counted, INFO)
    guessed, outlook = foreseen(ScriptedEngine(answer, INFO), 0), foreseen(engine, 2)
    assert outlook.measured == len([request for request in engine.requests if request.role != "count"]) > 0
    for before, one in zip(guessed.methods, outlook.methods, strict=True):
        assert one.calls == before.calls
        assert one.prompt == pytest.approx(3 * before.prompt, rel=0.2)
        assert one.completion == 77 * one.calls
        assert one.seconds == pytest.approx(one.calls / 2)
        assert one.cost(Price(1.0, 2.0)) == pytest.approx((one.prompt + 2 * one.completion) / 1e6)


def test_advice_alone_asks_what_its_advisers_ask() -> None:
    run = msgspec.structs.replace(OPTIONS, methods=("advised",))
    alone = asyncio.run(forecast(run, ScriptedEngine(answer, INFO), 0))
    assert [one.method for one in alone.methods] == ["advised"]
    together = {one.method: one for one in foreseen(ScriptedEngine(answer, INFO), 0).methods}
    assert alone.methods[0].calls == together["recurrent"].calls


@pytest.mark.parametrize("beside", ["recurrent", "zero_shot"])
@pytest.mark.parametrize("measure", [0, 2])
def test_advice_asks_only_those_who_do_not_run_themselves(tmp_path: Path, beside: str, measure: int) -> None:
    run = run_options(**WANTED, methods=("advised", beside), bare=True)
    engine = ScriptedEngine(answer, INFO)
    outlook = asyncio.run(forecast(run, engine, measure))
    go(tmp_path / "run", run)
    made = Counter(record.method for record in content(tmp_path / "run") for _ in record.calls)
    assert [one.method for one in outlook.methods] == ["advised", beside]
    assert {one.method: one.calls for one in outlook.methods} == dict(made)
    assert outlook.measured == len([request for request in engine.requests if request.role != "count"])


@pytest.mark.parametrize("measure", [0, 2])
def test_what_is_done_is_not_counted_though_others_go_by_it(tmp_path: Path, measure: int) -> None:
    begun = run_options(**WANTED, methods=("zero_shot",), bare=True)
    go(tmp_path / "run", begun)
    more = msgspec.structs.replace(begun, methods=("zero_shot", "advised"))
    directory = RunDirectory(tmp_path / "run")
    engine = ScriptedEngine(answer, INFO)
    outlook = asyncio.run(forecast(more, engine, measure, directory))
    before = sum(len(record.calls) for record in content(tmp_path / "run"))
    go(tmp_path / "run", more, resume=True)
    made = sum(len(record.calls) for record in content(tmp_path / "run")) - before
    assert {one.method: one.calls for one in outlook.methods} == {"advised": made}
    assert outlook.kept == before > 0
    with pytest.raises(SpecMismatchError, match="recurrent cannot come to this run"):
        asyncio.run(forecast(msgspec.structs.replace(more, methods=(*more.methods, "recurrent")), engine, 0, directory))
    assert outlook.measured == len([request for request in engine.requests if request.role != "count"])
