"""Runs and learners that were made by an earlier version are read, reported and gone on with, to the same end.

What looks past steps up finds them by another rule since: finished runs of it are read as ever, a cut one is refused
in words, and a learner goes on from its memory in its own way.

``earlier.tar.xz`` holds what the code of 27 November 2026 made of one small task with all kinds of answer fields, its
model a script: four runs, which have all methods, update rules and forms between them, and seven learners' files, each
with the lines that went in afterwards and what came out. It is never made anew: that is what it is for.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from llm_as_rnn.catalogue import METHODS
from llm_as_rnn.cli.main import cli
from llm_as_rnn.core.errors import SpecMismatchError
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.recurrence.rules import RULES
from llm_as_rnn.runs.directory import RunDirectory

RULE_METHODS = "recurrent:rewrite,recurrent:delta,recurrent:cases,recurrent:hybrid,recurrent:append,recurrent:none"
ALL = f"zero_shot,full_history,memprompt,{RULE_METHODS}"

RUNS = {
    "line": f"-m scripted:line.jsonl --form line --methods {ALL}",
    "json": f"-m scripted:json.jsonl --form json --rule rewrite --feedback model+scorecard --methods {ALL}",
    "chained": "-m scripted:line.jsonl --form line --style completion --layout chained --feedback judge+scorecard "
    "--when on_error --recall 2 --echo 2 "
    "--methods zero_shot,memprompt,recurrent:rewrite,recurrent:delta,recurrent:cases",
    "late": "-m scripted:json.jsonl --form json --rule rewrite --delay 2 --recheck 2 --watch --shared 60 "
    "--methods full_history,recurrent:rewrite,recurrent:cases,recurrent:hybrid",
}
"""How each run was begun, beside its task, data and budget; the rule for answers in JSON was not named then."""

STATISTICS = ("interval", "beyond_reference", "model_adds", "gain", "following")
TRUST = ("interval", "among", "chance")
"""What answers say beside what they said then."""

FIND_CASES = {f"recurrent:{rule}" for rule in ("append", "cases", "hybrid")}
"""Methods that look past steps up."""

LEARNERS = [
    "memprompt",
    *(f"{rule}-{policy}" for rule in ("rewrite", "cases", "delta") for policy in ("apply", "replay")),
]


@pytest.fixture(name="earlier")
def earlier_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with tarfile.open(Path(__file__).with_name("earlier.tar.xz")) as packed:
        packed.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path / "earlier")
    return tmp_path / "earlier"


def give(command: str, lines: str = "") -> str:
    """Give a command, and what it says."""
    result = CliRunner().invoke(cli, command.split(), input=lines, standalone_mode=False, catch_exceptions=False)
    assert result.exit_code == 0 and not result.return_value, result.output
    return result.output


def read_lines(lines: str) -> list[Any]:
    return [msgspec.json.decode(line) for line in lines.splitlines()]


def scores(directory: RunDirectory) -> Any:
    """Read what stands in a run's scores.json, as far as statistics have no part in it.

    Earlier intervals were plain percentiles, too narrow for few sequences, and no method was compared with others.
    """
    return points(msgspec.json.decode((directory.path / "scores.json").read_bytes()))


def points(content: Any) -> Any:
    """Leave intervals, differences and gains out, at any depth."""
    match content:
        case dict():
            return {name: points(part) for name, part in content.items() if name not in STATISTICS}
        case list():
            return [points(part) for part in content]
    return content


def steady(told: Any) -> list[Any]:
    """Give the scores of the methods that look no past steps up, without what is said of trust since."""
    kept = [one for one in told["methods"] if one["method"] not in FIND_CASES]
    return [{key: part for key, part in one.items() if key != "trust"} for one in kept]


def test_they_have_every_method_and_rule() -> None:
    named = {name for how in RUNS.values() for name in how.rpartition(" ")[2].split(",")}
    later = {"advised", "streaming_icl", "ace", "ace_budget"}
    assert named == {*METHODS, *(f"recurrent:{rule}" for rule in RULES)} - {"recurrent"} - later


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_read_and_reported(name: str, earlier: Path) -> None:
    directory = RunDirectory(earlier / "runs" / name)
    info = directory.info()
    records = directory.records()
    assert info.status == "finished"
    assert len(records) == len(info.spec.methods) * 14
    found = points(msgspec.to_builtins(summarise(info.task, records)))
    assert msgspec.json.decode(msgspec.json.encode(found)) == scores(directory)["methods"]
    assert info.task.title in give(f"report runs/{name}")
    assert info.task.title in (directory.path / "report.html").read_text()


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_was_cut_is_gone_on_with(name: str, earlier: Path) -> None:
    directory = RunDirectory(earlier / "runs" / name)
    before, whole = scores(directory), directory.records()
    lines = directory.journal.read_bytes().splitlines(keepends=True)
    cut = lines[: len(lines) * 2 // 3]
    directory.journal.write_bytes(
        b"".join(line for line in cut if msgspec.json.decode(line).get("method") not in FIND_CASES)
    )
    give(f"run stays.yaml --data stays.jsonl --budget 120 --out runs/{name} --resume {RUNS[name]}")
    assert len(directory.records()) == len(whole)
    assert steady(scores(directory)) == steady(before)
    by_step = {(step.method, step.sequence, step.t): step for step in directory.records()}
    for step in whole:
        again = by_step[step.method, step.sequence, step.t]
        if step.method not in FIND_CASES:
            assert (again.raw, again.prediction, again.memory_after) == (step.raw, step.prediction, step.memory_after)
            assert [call.text for call in again.calls] == [call.text for call in step.calls]


def test_a_cut_run_that_would_come_out_otherwise_now_is_refused_and_stays_as_it_is(earlier: Path) -> None:
    directory = RunDirectory(earlier / "runs" / "line")
    lines = directory.journal.read_bytes().splitlines(keepends=True)
    directory.journal.write_bytes(b"".join(lines[:-1]))
    before = directory.journal.read_bytes()
    with pytest.raises(SpecMismatchError, match="comes out otherwise than the journal says") as refused:
        give(f"run stays.yaml --data stays.jsonl --budget 120 --out runs/line --resume {RUNS['line']}")
    assert refused.value.hint == "the code or the data changed since: begin a new run"
    assert directory.journal.read_bytes() == before
    assert len(directory.records()) == len(lines) - 2


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.usefixtures("earlier")
def test_a_learner_goes_on(name: str) -> None:
    states = Path("states")
    told = read_lines(give(f"predict stays.yaml --state states/{name}.json", (states / "after.jsonl").read_text()))
    answers = [{key: line[key] for key in line if key not in TRUST} for line in told]
    then = read_lines((states / f"{name}.out").read_text())
    if f"recurrent:{name.partition('-')[0]}" in FIND_CASES:
        assert [(one["id"], one.get("learned")) for one in answers] == [(one["id"], one.get("learned")) for one in then]
    else:
        assert answers == then
