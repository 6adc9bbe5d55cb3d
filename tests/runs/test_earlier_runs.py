"""Runs that were made by an earlier version are read and reported, and learners gone on with.

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
    "json": f"-m scripted:json.jsonl --form json --feedback model+scorecard --methods {ALL}",
    "chained": "-m scripted:line.jsonl --form line --style completion --layout chained --feedback judge+scorecard "
    "--when on_error --recall 2 --echo 2 "
    "--methods zero_shot,memprompt,recurrent:rewrite,recurrent:delta,recurrent:cases",
    "late": "-m scripted:json.jsonl --form json --delay 2 --recheck 2 --watch --shared 60 "
    "--methods full_history,recurrent:rewrite,recurrent:cases,recurrent:hybrid",
}
"""How each run was begun, beside its task, data and budget."""

STATISTICS = ("interval", "beyond_reference", "model_adds", "gain", "following")
TRUST = ("interval", "among", "chance")
"""What answers say beside what they said then."""

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
def test_a_run_that_was_cut_is_not_gone_on_with_as_if_nothing_had_changed(name: str, earlier: Path) -> None:
    """Past steps are found otherwise now, so what would follow is no longer the run that was begun."""
    directory = RunDirectory(earlier / "runs" / name)
    lines = directory.journal.read_bytes().splitlines(keepends=True)
    cut = b"".join(lines[: len(lines) * 2 // 3])
    directory.journal.write_bytes(cut)
    with pytest.raises(SpecMismatchError, match=r"comes out otherwise .* begin a new run|the code .* changed since"):
        give(f"run stays.yaml --data stays.jsonl --budget 120 --out runs/{name} --resume {RUNS[name]}")
    assert directory.journal.read_bytes().startswith(cut)


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.usefixtures("earlier")
def test_a_learner_goes_on(name: str) -> None:
    states = Path("states")
    answers = give(f"predict stays.yaml --state states/{name}.json", (states / "after.jsonl").read_text())
    said = [{key: line[key] for key in line if key not in TRUST} for line in read_lines(answers)]
    before = read_lines((states / f"{name}.out").read_text())
    if name.startswith("cases"):  # which case bears on a step is found otherwise now
        assert [(line["id"], line.get("learned")) for line in said] == [
            (line["id"], line.get("learned")) for line in before
        ]
        return
    assert said == before
