"""What failed is counted, named, and asked again."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.calls import Call, Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, RunError
from llm_as_rnn.core.files import write_atomically
from llm_as_rnn.core.records import Status
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.metrics.summary import MOST_REASONS, REASON_CHARS, failed_calls
from llm_as_rnn.runs import retry
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.execute import Options, execute
from llm_as_rnn.runs.journal import STEPS
from llm_as_rnn.runs.retry import before_failures, set_aside_failed
from llm_as_rnn.runs.writing import Journal, whole
from tests.helpers import content, run_options
from tests.metrics.steps import call, step
from tests.runs.test_execute import INFO, OPTIONS, Watch, answer, go

KILLED = """
import os, signal, sys
from pathlib import Path
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.retry import set_aside_failed

left = int(sys.argv[2])

def counted(call):
    def one(*arguments, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **named)
    return one

os.fsync, os.replace = counted(os.fsync), counted(os.replace)
set_aside_failed(RunDirectory(Path(sys.argv[1])), (), private=False)
"""
"""A program that is killed when it makes something durable, or gives it its name, for the so many-th time."""

FAILED = Call("", "error", 0, 0, None, 0.0, 0, "503: busy", role="predict")


def failing(share: int, why: str = "503 from the server") -> Any:
    """Fail one of so many requests, by what is asked."""

    def sometimes(request: Request) -> str:
        if zlib.crc32(request.prompt.encode()) % share == 0:
            raise EngineError(why)
        return answer(request)

    return sometimes


def again(out: Path, options: Options = OPTIONS, answerer: Any = answer, *, watcher: Watch | None = None) -> RunInfo:
    engine, watcher = ScriptedEngine(answerer, INFO), watcher or Watch()
    running = execute(options, engine, RunDirectory(out), resume=True, retry_failed=True, watcher=watcher)
    return asyncio.run(running)


SHARED = run_options("weather", sequences=3, steps=4, budget=60, feedback="model", rule="rewrite", shared=60)
LATE = msgspec.structs.replace(OPTIONS, delay=2)


@pytest.mark.parametrize(("options", "share"), [(OPTIONS, 7), (SHARED, 3), (LATE, 3)], ids=["plain", "shared", "late"])
def test_a_run_whose_failures_are_asked_again_ends_like_one_without(
    tmp_path: Path, options: Options, share: int
) -> None:
    go(tmp_path / "whole", options)
    info = go(tmp_path / "run", options, answerer=failing(share))
    assert info.reasons == {"503 from the server": sum(info.reasons.values())}
    before = (tmp_path / "run/steps.jsonl").read_bytes()
    assert any(retry.failed(record) for record in content(tmp_path / "run"))
    found = again(tmp_path / "run", options)
    assert (found.status, found.reasons, found.failures) == ("finished", {}, {})
    assert content(tmp_path / "run") == content(tmp_path / "whole")
    assert (tmp_path / "run/steps.before-retry-1.jsonl").read_bytes() == before
    assert RunDirectory(tmp_path / "run").info().reasons == {}


def test_whoever_watches_is_told_how_many_steps_are_done_anew(tmp_path: Path) -> None:
    go(tmp_path / "run", answerer=failing(3))
    steps = RunDirectory(tmp_path / "run").records()
    watcher, idle = Watch(), Watch()
    again(tmp_path / "run", watcher=watcher)
    assert watcher.asked_again == len(watcher.steps) > 0
    assert watcher.past + watcher.asked_again == len(steps)
    again(tmp_path / "run", watcher=idle)
    assert (idle.asked_again, idle.steps) == (0, [])


def test_what_fails_again_can_be_asked_again(tmp_path: Path) -> None:
    go(tmp_path / "run", answerer=failing(2))
    again(tmp_path / "run", answerer=failing(3))
    again(tmp_path / "run")
    go(tmp_path / "whole")
    assert content(tmp_path / "run") == content(tmp_path / "whole")
    assert (tmp_path / "run/steps.before-retry-2.jsonl").exists()


def test_an_update_that_failed_is_asked_again_too() -> None:
    steps = [step(t=0, calls=(call(),)), step(t=1, calls=(call(), FAILED)), step(t=2)]
    assert before_failures(steps, ()) == steps[:1]


def test_where_lessons_are_shared_later_sequences_are_asked_again() -> None:
    steps = [
        step(method=method, sequence=sequence, t=t, status=status)
        for method in ("apart", "together")
        for sequence, statuses in (
            ("a", (Status.OK, Status.OK)),
            ("b", (Status.OK, Status.ENGINE_ERROR)),
            ("c", (Status.OK, Status.OK)),
        )
        for t, status in enumerate(statuses)
    ]
    kept = [(one.method, one.sequence, one.t) for one in before_failures(steps, {"together"})]
    first = [("a", 0), ("a", 1), ("b", 0)]
    assert kept == [("apart", *one) for one in (*first, ("c", 0), ("c", 1))] + [("together", *one) for one in first]


def test_where_nothing_failed_nothing_is_written(tmp_path: Path) -> None:
    go(tmp_path / "run")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    assert set_aside_failed(RunDirectory(tmp_path / "run"), (), private=False) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")} == before


@pytest.mark.parametrize("breaks_at", [1, 2])
def test_cut_off_in_between_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks_at: int) -> None:
    go(tmp_path / "run", answerer=failing(3))
    before, written, real = content(tmp_path / "run"), 0, write_atomically

    def cut(*arguments: Any, **named: Any) -> None:
        nonlocal written
        written += 1
        if written == breaks_at:
            raise KeyboardInterrupt
        real(*arguments, **named)

    monkeypatch.setattr(retry, "write_atomically", cut)
    with pytest.raises(KeyboardInterrupt):
        again(tmp_path / "run")
    assert content(tmp_path / "run") == before
    monkeypatch.undo()
    again(tmp_path / "run")
    go(tmp_path / "whole")
    assert content(tmp_path / "run") == content(tmp_path / "whole")
    assert [path.name for path in (tmp_path / "run").glob("*retry*")] == ["steps.before-retry-1.jsonl"]


def test_killed_whenever_it_writes_it_leaves_nothing_behind(tmp_path: Path) -> None:
    """Each kill comes one call of the system later, until there are no more."""
    go(tmp_path / "run", answerer=failing(3))
    before, number, code = content(tmp_path / "run"), 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        number += 1
        out = tmp_path / f"run-{number}"
        shutil.copytree(tmp_path / "run", out)
        code = subprocess.run([sys.executable, "-c", KILLED, str(out), str(number)], check=False).returncode
        assert content(out) in (before, before_failures(before, ()))
        set_aside_failed(RunDirectory(out), (), private=False)
        names = {path.name for path in out.iterdir() if not path.name.endswith(".writing")}
        assert names == {path.name for path in (tmp_path / "run").iterdir()} | {"steps.before-retry-1.jsonl"}
    assert (code, number > 3) == (0, True)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_journal_stays_in_its_format(tmp_path: Path, version: int) -> None:
    steps = [step(t=0, calls=(call(),)), step(t=1, calls=(FAILED,)), step(t=2), step(sequence="r")]
    directory = RunDirectory(tmp_path)
    directory.journal.write_bytes(whole(steps, STEPS, version))
    assert set_aside_failed(directory, (), private=False) == 2
    assert directory.journal.read_bytes() == whole([steps[0], steps[3]], STEPS, version)


def test_a_journal_that_somebody_writes_is_left_alone(tmp_path: Path) -> None:
    go(tmp_path / "run", answerer=failing(3))
    with Journal(tmp_path / "run/steps.jsonl"), pytest.raises(RunError, match="another process"):
        set_aside_failed(RunDirectory(tmp_path / "run"), (), private=False)


def test_a_run_without_one_answer_is_never_finished(tmp_path: Path) -> None:
    def refuse(request: Request) -> str:
        raise EngineError("400: no such field")

    info = go(tmp_path / "run", answerer=refuse)
    assert (info.status, info.failures) == ("failed", {})
    assert list(info.reasons) == ["400: no such field"]
    assert RunDirectory(tmp_path / "run").info() == info
    assert go(tmp_path / "run", resume=True).status == "failed", "as long as nothing was asked again"
    assert again(tmp_path / "run").status == "finished"


class Declining(ScriptedEngine):
    """A server that declines everything, with words or without."""

    words = "Forbidden by safety gateway"

    async def complete(self, request: Request) -> Completion:
        return Completion("", "content_filter", error=self.words)


class Empty(ScriptedEngine):
    """A server that throws everything away that the model writes."""

    async def complete(self, request: Request) -> Completion:
        return Completion("", error="Failed to generate JSON")


@pytest.mark.parametrize(
    ("engine", "reason"),
    [(Declining, "declined: Forbidden by safety gateway"), (Empty, "Failed to generate JSON")],
)
def test_a_run_whose_every_call_was_declined_is_never_finished(tmp_path: Path, engine: Any, reason: str) -> None:
    directory = RunDirectory(tmp_path / "run")
    info = asyncio.run(execute(OPTIONS, engine(answer, INFO), directory, resume=False, watcher=Watch()))
    assert (info.status, list(info.reasons)) == ("failed", [reason])


def test_a_run_that_asked_nothing_is_never_finished(tmp_path: Path) -> None:
    nothing = EngineInfo(**{**msgspec.structs.asdict(INFO), "slots": -1})
    directory = RunDirectory(tmp_path / "run")
    info = asyncio.run(execute(OPTIONS, ScriptedEngine(answer, nothing), directory, resume=False, watcher=Watch()))
    assert (info.status, directory.records()) == ("failed", [])


def test_declined_answers_are_counted() -> None:
    declined = msgspec.structs.replace(FAILED, finish_reason="content_filter", error="")
    found = failed_calls([declined, call()])
    assert (found.failed, found.reasons, found.all_failed) == (1, {"declined": 1}, False)


def test_reasons_are_named_commonest_first_and_bounded() -> None:
    calls = [msgspec.structs.replace(FAILED, error=f"{n % 20}: {'x' * 1000}") for n in range(60)]
    found = failed_calls([*calls, FAILED, FAILED, FAILED, FAILED, call()])
    assert (found.calls, found.failed, len(found.reasons)) == (65, 64, MOST_REASONS)
    assert next(iter(found.reasons.items())) == ("503: busy", 4)
    assert max(map(len, found.reasons)) <= REASON_CHARS
    assert str(found) == "64 of 65 calls failed, most often, 4 of them: 503: busy"
    assert str(failed_calls([call()])) == ""
    assert not failed_calls([]).all_failed


def test_what_an_engine_was_found_to_be_is_in_run_json(tmp_path: Path) -> None:
    class Picky(ScriptedEngine):
        async def complete(self, request: Request) -> Completion:
            self.info = msgspec.structs.replace(self.info, left_out=("seed",), remarks=("it cuts prompts",))
            return await super().complete(request)

    left = iter(range(25))

    def soon_gone(request: Request) -> str:
        if next(left, None) is None:
            raise EngineUnavailableError("no server")
        return answer(request)

    directory = RunDirectory(tmp_path / "run")
    asyncio.run(execute(OPTIONS, Picky(soon_gone, INFO), directory, resume=False, watcher=Watch()))
    assert directory.info().engine.left_out == ("seed",)
    other = EngineInfo(**{**msgspec.structs.asdict(INFO), "remarks": ("it is slow",), "left_out": ("top_p",)})
    asyncio.run(execute(OPTIONS, ScriptedEngine(answer, other), directory, resume=True, watcher=Watch()))
    info = directory.info()
    assert (info.engine.left_out, info.engine.remarks) == (("seed", "top_p"), ("it cuts prompts", "it is slow"))
