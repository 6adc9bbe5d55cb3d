"""Whole runs on a scripted engine: what is written, what is resumed, what fails."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import zlib
from collections.abc import Sequence as Many
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.catalogue import DEFAULT_METHODS, references, resolve
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import (
    EngineError,
    EngineUnavailableError,
    LlmAsRnnError,
    RunError,
    SpecMismatchError,
    UsageError,
)
from llm_as_rnn.core.files import sealed, unsealed
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Status
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.recurrence.cell import Recurrent
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.execute import Options, execute, make_spec
from llm_as_rnn.runs.journal import CHECKED, STEPS, read_journal
from llm_as_rnn.runs.writing import whole as whole_journal
from tests.helpers import LINES, content, run_options

INFO = EngineInfo("scripted:test", digest="d", form="line", style="completion", slots=3)
# The paper's rule, whatever suits the engine: it asks for every kind of answer.
WANTED: dict[str, Any] = {
    "task": "weather", "sequences": 3, "steps": 4, "budget": 60, "feedback": "model", "rule": "rewrite"
}  # fmt: skip
OPTIONS = run_options(**WANTED)
RAN = references(load_task("weather"))
SKIES = ("rain", "sun", "fog")


class Watch:
    """Notes what it is told; may raise at a step, as a crash would."""

    def __init__(self, crash_after: int | None = None) -> None:
        self.steps: list[StepRecord] = []
        self.past = 0
        self.crash_after = crash_after
        self.asked_again: int | None = None

    def begin(self, methods: Many[str], steps: int, past: Many[StepRecord]) -> None:
        self.past = len(past)

    def step(self, record: StepRecord) -> None:
        self.steps.append(record)
        if len(self.steps) == self.crash_after:
            raise RunError("a crash")

    def set_aside(self, steps: int) -> None:
        self.asked_again = steps


def answer(request: Request) -> str:
    """Answer by the request alone: different requests differ, and the same ones do not."""
    number = zlib.crc32(request.prompt.encode())
    if request.role == "predict":
        return f" {SKIES[number % 3]}, {number % 300 / 10:.1f}"
    if request.role in ("update", "compress"):
        return f"## Patterns\n- seen {number % 97}\n## Recent days\n- {number % 89}\n## Corrections\n- none"
    return LINES[request.role]


def go(out: Path, options: Options = OPTIONS, *, answerer: Any = answer, resume: bool = False, **watch: Any) -> RunInfo:
    engine = ScriptedEngine(answerer, INFO)
    watcher = Watch(**watch)
    return asyncio.run(execute(options, engine, RunDirectory(out), resume=resume, watcher=watcher))


def test_a_run_writes_every_step_of_every_method(tmp_path: Path) -> None:
    info = go(tmp_path / "run")
    assert (info.status, info.failures) == ("finished", {})
    records = content(tmp_path / "run")
    keys = [(record.method, record.sequence, record.t) for record in records]
    assert len(set(keys)) == len(keys) == (len(DEFAULT_METHODS) + len(RAN)) * 3 * 4
    assert {record.method for record in records} == {*DEFAULT_METHODS, *RAN}
    assert all(record.status is Status.OK for record in records)
    scores = msgspec.json.decode((tmp_path / "run/scores.json").read_bytes())
    assert {row["method"] for row in scores["methods"]} == {*DEFAULT_METHODS, *RAN}


def test_memory_links_from_step_to_step(tmp_path: Path) -> None:
    go(tmp_path / "run")
    steps = [record for record in content(tmp_path / "run") if record.method == "recurrent"]
    for before, after in itertools.pairwise(steps):
        if before.sequence == after.sequence:
            assert before.memory_after == after.memory_before
            assert before.memory_after is not None
            assert after.memory_version == before.memory_after.version
            assert before.memory_tokens is not None
            assert before.memory_tokens <= 60
    assert max(step.memory_version or 0 for step in steps) == 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[StepRecord]:
    """Give the steps of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    go(out)
    return content(out)


@pytest.mark.parametrize("crash_after", [1, 2, 7, 30, 41, 71])
def test_an_interrupted_run_resumes_to_the_same_journal(
    tmp_path: Path, whole: list[StepRecord], crash_after: int
) -> None:
    with pytest.raises(BaseException):  # noqa: B017 - the crash, alone or in a group
        go(tmp_path / "run", crash_after=crash_after)
    assert len(content(tmp_path / "run")) >= crash_after
    assert RunDirectory(tmp_path / "run").info().status == "interrupted"
    assert go(tmp_path / "run", resume=True).status == "finished"
    assert content(tmp_path / "run") == whole


def test_resume_asks_nothing_again(tmp_path: Path) -> None:
    go(tmp_path / "run")

    def nothing(request: Request) -> str:
        raise AssertionError("asked again")

    assert go(tmp_path / "run", answerer=nothing, resume=True).status == "finished"


def test_resume_with_other_settings_is_refused_and_says_which(tmp_path: Path) -> None:
    go(tmp_path / "run")
    other = run_options(**{**WANTED, "budget": 61, "layout": "chained"})
    with pytest.raises(SpecMismatchError, match=r"layout was separate, now chained; budget was 60, now 61") as refused:
        go(tmp_path / "run", other, resume=True)
    assert refused.value.hint == "resume with --layout separate --budget 60, or choose another --out"


@pytest.mark.parametrize(("begun", "now", "same"), [("", "b", True), ("a", "", True), ("a", "b", False)])
def test_a_model_whose_fingerprint_is_not_known_contradicts_none(
    tmp_path: Path, begun: str, now: str, same: bool
) -> None:
    spec = msgspec.structs.replace(go(tmp_path / "run").spec, model_digest=begun)
    with nullcontext() if same else pytest.raises(SpecMismatchError, match="model_digest was a, now b"):
        msgspec.structs.replace(spec, model_digest=now).require_same(spec)


def test_a_run_goes_on_with_one_more_method_and_asks_nothing_again_for_the_others(
    tmp_path: Path, whole: list[StepRecord]
) -> None:
    few = run_options(**WANTED, methods=("zero_shot", "recurrent"))
    more = run_options(**WANTED, methods=("zero_shot", "full_history", "recurrent"))
    before = go(tmp_path / "run", few)
    asked: list[str] = []

    def counted(request: Request) -> str:
        asked.append(request.role)
        return answer(request)

    after = go(tmp_path / "run", more, answerer=counted, resume=True)
    assert set(after.spec.methods) == {"full_history", *before.spec.methods}
    assert asked == ["predict"] * 12, "three sequences of four steps, one call each"
    assert content(tmp_path / "run") == [step for step in whole if step.method in after.spec.methods]
    with pytest.raises(SpecMismatchError, match="methods was"):
        go(tmp_path / "run", few, resume=True)


def test_advice_that_comes_to_a_run_goes_no_further_than_who_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, more = (run_options(**WANTED, methods=names) for names in (("recurrent",), ("recurrent", "advised")))
    go(tmp_path / "whole", few)
    one = min(record.sequence for record in content(tmp_path / "whole"))
    learn = Recurrent.learn

    def broken(self: Recurrent, state: Any, observation: Any, *more: Any) -> Any:
        if (observation.sequence, observation.t) == (one, 2):
            raise RuntimeError("a fault of the method")
        return (yield from learn(self, state, observation, *more))

    monkeypatch.setattr(Recurrent, "learn", broken)
    assert go(tmp_path / "run", few).status == "failed"
    why = "RuntimeError: a fault of the method"
    failures = go(tmp_path / "run", more, resume=True).failures
    assert failures == {f"recurrent/{one}": why, f"advised/{one}": why}


def test_advice_that_is_carried_on_waits_behind_a_sequence_that_ended_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrying = run_options(**WANTED, methods=("recurrent", "advised"), carry=True)
    go(tmp_path / "whole", carrying)
    _, second, third = sorted({record.sequence for record in content(tmp_path / "whole")})
    learn = Recurrent.learn

    def broken(self: Recurrent, state: Any, observation: Any, *more: Any) -> Any:
        if (observation.sequence, observation.t) == (second, 2):
            raise RuntimeError("a fault of the method")
        return (yield from learn(self, state, observation, *more))

    with monkeypatch.context() as patched:
        patched.setattr(Recurrent, "learn", broken)
        failures = go(tmp_path / "run", carrying).failures
    assert set(failures) == {f"recurrent/{second}", f"advised/{second}", f"advised/{third}"}
    assert go(tmp_path / "run", carrying, resume=True).status == "finished"
    assert content(tmp_path / "run") == content(tmp_path / "whole")


def test_advice_that_comes_to_a_run_of_before_hears_what_its_journal_holds(tmp_path: Path) -> None:
    few, more = (run_options(**WANTED, methods=names) for names in (("recurrent",), ("recurrent", "advised")))
    go(tmp_path / "run", few)
    begun = RunDirectory(tmp_path / "run")
    begun.journal.write_bytes(whole_journal(read_journal(begun.journal)[:5], STEPS, CHECKED))
    shutil.copytree(tmp_path / "run", tmp_path / "whole")
    go(tmp_path / "whole", more, resume=True)
    for crash_after in (20, 45):
        with pytest.raises(RunError, match="a crash"):
            go(tmp_path / "run", more, resume=True, crash_after=crash_after)
    assert go(tmp_path / "run", more, resume=True).status == "finished"
    assert content(tmp_path / "run") == content(tmp_path / "whole")


def test_a_method_that_was_asked_for_advice_already_cannot_come_to_a_run(tmp_path: Path) -> None:
    begun = run_options(**WANTED, methods=("advised",))
    before = go(tmp_path / "run", begun)
    journal = (tmp_path / "run/steps.jsonl").read_bytes()

    def nothing(request: Request) -> str:
        raise AssertionError("asked before it was refused")

    with pytest.raises(SpecMismatchError, match="recurrent cannot come to this run: advised takes its advice"):
        more = run_options(**WANTED, methods=("advised", "recurrent"))
        go(tmp_path / "run", more, answerer=nothing, resume=True)
    assert RunDirectory(tmp_path / "run").info() == before
    assert (tmp_path / "run/steps.jsonl").read_bytes() == journal
    after = go(tmp_path / "run", run_options(**WANTED, methods=("advised", "zero_shot")), resume=True)
    assert after.status == "finished"


def test_a_run_that_does_not_come_out_again_is_left_as_it_was_and_gets_no_more_methods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = go(tmp_path / "run", run_options(**WANTED, methods=("zero_shot",)))
    journal = (tmp_path / "run/steps.jsonl").read_bytes()
    monkeypatch.setattr(
        "llm_as_rnn.baselines.references.RepeatLast._rule", lambda self, field, past, observation: field.uninformed()
    )
    with pytest.raises(SpecMismatchError, match=r"repeat_last/.* comes out otherwise"):
        go(tmp_path / "run", run_options(**WANTED, methods=("zero_shot", "full_history")), resume=True)
    assert RunDirectory(tmp_path / "run").info() == before
    assert (tmp_path / "run/steps.jsonl").read_bytes() == journal


def test_settings_that_references_heed_count_also_without_a_model(tmp_path: Path) -> None:
    begun = run_options(**{**WANTED, "methods": ("majority",)})
    go(tmp_path / "run", begun)
    for other in ({"carry": True}, {"coverage": 0.6}, {"abstain_above": 0.4}):
        (name,) = other
        with pytest.raises(SpecMismatchError, match=f"{name} was"):
            go(tmp_path / "run", run_options(**{**WANTED, "methods": ("majority",), **other}), resume=True)
    with pytest.raises(SpecMismatchError, match="begun without a model"):
        go(tmp_path / "run", run_options(**{**WANTED, "methods": ("majority", "zero_shot")}), resume=True)


@pytest.mark.parametrize(
    "twice", [("recurrent:budget=64", "recurrent:budget=064"), ("advised:carry=on", "advised:carry=true")]
)
def test_a_variant_cannot_stand_in_a_run_under_two_names(tmp_path: Path, twice: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=f"{twice[1]} is {twice[0]}"):
        go(tmp_path / "run", run_options(**{**WANTED, "methods": twice}))


def test_resume_of_a_journal_that_cannot_have_come_from_here_is_refused(tmp_path: Path) -> None:
    go(tmp_path / "run")
    journal = tmp_path / "run/steps.jsonl"
    head, *lines = journal.read_bytes().splitlines()
    number = next(number for number, line in enumerate(lines) if b"seen " in line)
    lines[number] = sealed(unsealed(lines[number]).replace(b"seen ", b"Seen ", 1))
    journal.write_bytes(b"".join(line + b"\n" for line in [head, *lines]))
    with pytest.raises(SpecMismatchError, match="comes out otherwise"):
        go(tmp_path / "run", resume=True)


@pytest.mark.parametrize(("asked", "taken"), [(None, 3), (1, 1)])
def test_cases_are_echoed_as_suits_the_engine_or_as_asked(asked: int | None, taken: int) -> None:
    best = EngineInfo("m", form="line", echo=3)
    options = run_options("weather", rule="auto", echo=asked)
    spec = make_spec(options, load_task("weather"), Prompts(), best)
    assert (spec.settings.rule, spec.settings.echo) == ("cases", taken)
    assert resolve(options.settings, best) == spec.settings


def test_one_failed_call_is_a_step_with_a_status(tmp_path: Path) -> None:
    def sometimes(request: Request) -> str:
        if zlib.crc32(request.prompt.encode()) % 3 == 0:
            raise EngineError("500 from the server")
        return answer(request)

    info = go(tmp_path / "run", answerer=sometimes)
    assert info.status == "finished"
    records = content(tmp_path / "run")
    assert len(records) == (len(DEFAULT_METHODS) + len(RAN)) * 3 * 4
    failed = [record for record in records if record.status is Status.ENGINE_ERROR]
    assert failed
    assert all(record.scores["sky.accuracy"] == 0 for record in failed)


def test_no_server_ends_the_run_and_resume_goes_on(tmp_path: Path) -> None:
    left = iter(range(25))

    def soon_gone(request: Request) -> str:
        if next(left, None) is None:
            raise EngineUnavailableError("no server at http://127.0.0.1:1", "start it")
        return answer(request)

    info = go(tmp_path / "run", answerer=soon_gone)
    assert info.status == "failed"
    assert "no server" in next(iter(info.failures.values()))
    assert all(record.status is Status.OK for record in content(tmp_path / "run"))
    go(tmp_path / "run", resume=True)
    go(tmp_path / "whole")
    assert content(tmp_path / "run") == content(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"budget": 5}, "first memory"),
        ({"budget": 100_000}, "context window"),
        ({"budget": 0}, "budget must be at least 1"),
        ({"sequences": 0}, "sequences must be at least 1"),
        ({"steps": -1}, "steps must be at least 1"),
        ({"sequences": 10_000}, "at most"),
        ({"methods": ("recurent",)}, "recurent"),
        ({"methods": ()}, "no method"),
        ({"sampling": "hot"}, "hot"),
        ({"task": "wether"}, "wether"),
        ({"prompts": Path("nowhere")}, "nowhere"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        go(tmp_path / "run", run_options(**{**WANTED, **change}))
    assert not (tmp_path / "run").exists()


def test_a_broken_template_is_found_in_rehearsal(tmp_path: Path) -> None:
    (tmp_path / "prompts/recurrence").mkdir(parents=True)
    (tmp_path / "prompts/recurrence/compress.j2").write_text("{{ memroy }}")
    with pytest.raises(UsageError, match=r"recurrence/compress.*memroy"):
        go(tmp_path / "run", msgspec.structs.replace(OPTIONS, prompts=tmp_path / "prompts"))
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_or_other_things_is_left_alone(tmp_path: Path) -> None:
    go(tmp_path / "run")
    before = (tmp_path / "run/steps.jsonl").read_bytes()
    with pytest.raises(LlmAsRnnError, match="--resume"):
        go(tmp_path / "run")
    assert (tmp_path / "run/steps.jsonl").read_bytes() == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").write_text("")
    with pytest.raises(LlmAsRnnError, match="not empty"):
        go(tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_a_run_that_was_killed_as_it_began_begins_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.run.json.x_bybij5.writing").touch()  # as `files.replacing` calls it
    assert go(tmp_path / "run", resume=True).status == "finished"


@pytest.mark.parametrize("delay", [1, 2, 3, 4, 9])
def test_late_outcomes_are_predicted_without(tmp_path: Path, delay: int) -> None:
    """The memory that predicts step t has learned the outcomes before t - delay + 1, and no others."""
    go(tmp_path / "run", msgspec.structs.replace(OPTIONS, delay=delay))
    for record in content(tmp_path / "run"):
        if record.method == "recurrent":
            assert record.memory_version == max(record.t - delay + 1, 0)
            assert record.memory_before is not None
            assert record.memory_before.version == record.t


def test_a_delay_of_one_is_plain_learning(tmp_path: Path) -> None:
    """The outcome of a step is there just before the next one is predicted, as without a delay."""
    go(tmp_path / "one", msgspec.structs.replace(OPTIONS, delay=1))
    go(tmp_path / "none")
    assert content(tmp_path / "one") == content(tmp_path / "none")


def test_no_more_steps_in_flight_than_slots(tmp_path: Path) -> None:
    flying, most = 0, 0

    class Slow(ScriptedEngine):
        async def complete(self, request: Request) -> Any:
            nonlocal flying, most
            flying += 1
            most = max(most, flying)
            for _ in range(5):
                await asyncio.sleep(0)
            flying -= 1
            return await super().complete(request)

    options = msgspec.structs.replace(OPTIONS, sequences=9, concurrency=8)
    asyncio.run(execute(options, Slow(answer, INFO), RunDirectory(tmp_path / "run"), resume=False, watcher=Watch()))
    assert most == INFO.slots


def test_a_run_of_before_goes_on_with_its_references_and_with_those_that_are_asked_for(tmp_path: Path) -> None:
    begun = run_options(**{**WANTED, "methods": ("zero_shot",)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llm_as_rnn.runs.execute.references", lambda task: ("repeat_last", "majority"))
        assert go(tmp_path / "run", begun).spec.methods == ("zero_shot", "repeat_last", "majority")
    assert go(tmp_path / "run", begun, resume=True).spec.methods == ("zero_shot", "repeat_last", "majority")
    asked = run_options(**{**WANTED, "methods": ("zero_shot", "linear")})
    assert set(go(tmp_path / "run", asked, resume=True).spec.methods) == {
        "zero_shot",
        "linear",
        "repeat_last",
        "majority",
    }
