"""A user's own task through the command line: the example, and all that can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from llm_as_rnn.cli.main import main
from llm_as_rnn.cli.progress import RunProgress
from llm_as_rnn.core.records import Status
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.spec import RunSpec
from tests.helpers import LINES

ROOT = Path(__file__).parents[2]
TASK = """\
name: mine
title: Mine
instructions: Predict.
observation: "{{ x }} {{ about.sex }}"
line: "{{ x }}"
answer:
  - {name: y, kind: label, options: [good, bad], last: x}
  - {name: high, kind: number, low: 0, high: 40}
memory:
  - {name: Notes, about: anything}
data:
  sequence: patient
  order: visit
  outcome: {y: next, high: temp}
  fields: [x]
  about: [sex]
"""
DATA = """\
patient,visit,x,next,temp,sex
K1,1,good,bad,37.5,f
K1,2,bad,good,38,f
K2,1,good,,36,m
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder to work in, with a model beside it that needs no file."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def script(folder: Path, answer: str) -> str:
    update = "## Patterns\n- seen\n## Recent days\n- one\n## This pump\n- old\n## Notes\n- n\n## Corrections\n- none"
    lines = [{"role": role, "text": text} for role, text in {**LINES, "predict": answer, "update": update}.items()]
    path = folder.parent / "script.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(line) for line in lines))
    return f"scripted:{path}"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    assert isinstance(left.value.code, int)
    return left.value.code


def records(out: Path) -> list[StepRecord]:
    return list(RunDirectory(out).records())


class Broken(NamedTuple):
    """A slip in one file, and the parts of the line that should tell of it."""

    file: str
    old: str
    new: str
    says: tuple[str, ...]


BROKEN = {
    "no data section": Broken("task.yaml", TASK[TASK.index("data:") :], "", ("mine", "data section")),
    "outcome of no answer field": Broken("task.yaml", "{y: next", "{z: next", ("task.yaml, line 14", "'z'")),
    "outcome shown": Broken("task.yaml", "[x]", "[x, next]", ("task.yaml, line 15", "'next'", "given away")),
    "outcome about": Broken("task.yaml", "[sex]", "[temp]", ("task.yaml, line 16", "'temp'", "given away")),
    "outcome as order": Broken("task.yaml", "order: visit", "order: temp", ("task.yaml, line 14", "order")),
    "no outcome": Broken("task.yaml", "  outcome: {y: next, high: temp}\n", "", ("line 12", "outcome")),
    "unknown key": Broken("task.yaml", "sequence: p", "sequnce: p", ("task.yaml, line 12", "mean 'sequence'")),
    "unknown answer key": Broken("task.yaml", "high: 40", "hihg: 40", ("line 8", "mean 'high'")),
    "wrong type": Broken("task.yaml", "low: 0", "low: none", ("task.yaml, line 8", "answer[1].low")),
    "yes is no text": Broken("task.yaml", "[good, bad]", "[good, no]", ("line 7", "options[1]", "quotes")),
    "bad YAML": Broken("task.yaml", "[x]", "[x", ("task.yaml, line 16", "YAML")),
    "repeated key": Broken("task.yaml", "title: Mine", "name: again", ("task.yaml, line 2", "'name'", "twice")),
    "column twice": Broken("task.yaml", "[x]", "[x, x]", ("task.yaml, line 12", "fields", "twice")),
    "no such field": Broken("task.yaml", "{{ x }} {{", "{{ fields['wind sped'] }} {{", ("'wind sped'", "data.csv")),
    "no such column": Broken("task.yaml", "order: visit", "order: visits", ("data.csv", "'visits'", "mean 'visit'")),
    "last not shown": Broken("task.yaml", "last: x", "last: xx", ("data.csv", "'xx'", "'y'")),
    "template lacks a column": Broken("task.yaml", "{{ x }} {{", "{{ xs }} {{", ("'xs'", "data.csv", "mean 'x'")),
    "template shows an outcome": Broken("task.yaml", 'line: "{{ x', 'line: "{{ next', ("'next'", "is an outcome")),
    "broken template": Broken("task.yaml", 'line: "{{ x }}"', 'line: "{{ x"', ("mine", "line")),
    "repeated column": Broken("data.csv", "temp,sex", "x,sex", ("data.csv, line 1", "'x'")),
    "nameless column": Broken("data.csv", "temp,sex", "temp,", ("data.csv, line 1", "column 6")),
    "too many cells": Broken("data.csv", "38,f", "38,5,f", ("data.csv, line 3", "7 cells")),
    "too few cells": Broken("data.csv", "38,f", "38", ("data.csv, line 3", "5 cells")),
    "open quote": Broken("data.csv", "bad,good", '"bad,good', ("data.csv, line 3", "quotes")),
    "no number": Broken("data.csv", "37.5", "warm", ("data.csv, line 2", "'temp'", "number", "warm")),
    "infinite number": Broken("data.csv", "38,", "1e999,", ("data.csv, line 3", "'temp'", "number")),
    "decimal comma": Broken("data.csv", "38,", '"38,5",', ("data.csv, line 3", "'temp'", "number", "decimal")),
    "unknown label": Broken("data.csv", "bad,good", "bad,godo", ("data.csv, line 3", "'next'", "mean 'good'")),
    "mixed order": Broken("data.csv", "K1,2,", "K1,2024-05-31,", ("data.csv, line 2", "'visit'", "dates")),
    "no order": Broken("data.csv", "K1,2,", "K1,,", ("data.csv, line 3", "'visit'", "empty")),
    "no date": Broken("data.csv", "K1,2,", "K1,31.05.2024,", ("data.csv, line 2", "'visit'", "data.dates")),
    "no date format": Broken("task.yaml", "order: visit", "order: visit\n  dates: '%d.%m.'", ("task.yaml", "year")),
    "another date format": Broken(
        "task.yaml", "order: visit", "order: visit\n  dates: '%d.%m.%Y'", ("data.csv, line 2", "%d.%m.%Y")
    ),
    "dates of nothing": Broken("task.yaml", "  order: visit\n", "  dates: '%Y'\n", ("task.yaml", "dates", "order")),
    "ahead by nothing": Broken("task.yaml", "order: visit", "order: visit\n  ahead: 0", ("line 12", "ahead", "1")),
    "two meanings of a comma": Broken(
        "task.yaml", "order: visit", 'order: visit\n  decimal: ","\n  thousands: ","', ("task.yaml", "thousands")
    ),
    "signs with a digit": Broken("task.yaml", "order: visit", "order: visit\n  signs: [m2]", ("task.yaml", "digit")),
    "no decimal sign": Broken("task.yaml", "order: visit", "order: visit\n  decimal: ;", ("line 14", "decimal")),
    "infinite range": Broken("task.yaml", "high: 40", "high: .inf", ("task.yaml", "range", "'high'")),
    "infinite cell": Broken("data.jsonl", '"visit": 1', '"visit": 1e999', ("data.jsonl, line 1", "range")),
    "NaN in JSON": Broken("data.jsonl", '"visit": 1', '"visit": NaN', ("data.jsonl, line 1", "null")),
    "no sequence": Broken("data.csv", "K2,", ",", ("data.csv, line 4", "'patient'")),
    "about changes": Broken("data.csv", "38,f", "38,m", ("data.csv, line 3", "'sex'", "line 2")),
    "empty file": Broken("data.csv", DATA, "", ("data.csv", "empty")),
    "only a header": Broken("data.csv", DATA[DATA.index("K1") :], "", ("data.csv", "no rows")),
    "not UTF-8": Broken("data.csv", "38,f", "38,\udcff", ("data.csv, line 3", "UTF-8")),
    "broken JSON": Broken("data.jsonl", "2}", "2", ("data.jsonl, line 2", "JSON")),
    "no JSON object": Broken("data.jsonl", '{"visit": 2}', "[1]", ("data.jsonl, line 2", "not a JSON object")),
    "corrupt Parquet": Broken("data.parquet", "PAR1", "PAR0", ("data.parquet", "Parquet")),
    "unknown extension": Broken("data.xlsx", "x", "y", ("data.xlsx", ".csv")),
}
CONTENT = {
    "task.yaml": TASK,
    "data.csv": DATA,
    "data.jsonl": '{"visit": 1}\n{"visit": 2}\n',
    "data.parquet": "PAR1",
    "data.xlsx": "x",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_slip_gets_one_line_that_names_its_place(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    slip = BROKEN[name]
    if slip.file.endswith("parquet"):
        pytest.importorskip("polars")
    data = slip.file if slip.file.startswith("data") else "data.csv"
    for file in {"task.yaml", data}:
        text = CONTENT[file].replace(slip.old, slip.new, 1) if file == slip.file else CONTENT[file]
        assert (text != CONTENT[file]) == (file == slip.file)
        (folder / file).write_text(text, encoding="utf-8", errors="surrogateescape")
    refuse(folder, capsys, ["task.yaml", "--data", data], slip.says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["task.yaml"], ("mine", "--data")),
        (["task.yaml", "--data", "none.csv"], ("none.csv", "does not exist")),
        (["task.yaml", "--data", "."], (".", "cannot be read")),
        (["weather", "--data", "data.csv"], ("weather", "data.csv", "data section")),
        (["task.yaml", "--data", "data.csv", "--sequences", "3"], ("data.csv", "--sequences 2")),
        (["task.yaml", "--data", "data.csv", "--split", "held_out"], ("data.csv", "held_out", "--split development")),
        (["task.yaml", "--data", "data.csv", "--steps", "0"], ("steps",)),
    ],
)
def test_a_wrong_command_gets_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: tuple[str, ...]
) -> None:
    (folder / "task.yaml").write_text(TASK)
    (folder / "data.csv").write_text(DATA)
    refuse(folder, capsys, arguments, says)


def refuse(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: tuple[str, ...]) -> None:
    before = sorted(folder.rglob("*"))
    assert run("run", *arguments, "-m", script(folder, " good, 37.0"), "--budget", "60") == 2
    output = capsys.readouterr()
    assert len(output.err.splitlines()) == 1, output.err
    assert all(part in output.err for part in says), output.err
    assert sorted(folder.rglob("*")) == before


def test_all_of_the_data_is_run_and_unknown_outcomes_are_not_scored(folder: Path) -> None:
    (folder / "task.yaml").write_text(TASK)
    (folder / "data.csv").write_text(DATA)
    arguments = ["task.yaml", "--data", "data.csv", "-m", script(folder, " good, 37.0"), "--out", "out"]
    assert run("run", *arguments, "--budget", "60", "--methods", "recurrent", "--form", "line") == 0
    mine = [record for record in records(folder / "out") if record.method == "recurrent"]
    assert [(record.sequence, record.t, record.target) for record in mine] == [
        ("K1", 0, {"y": "bad", "high": 37.5}),
        ("K1", 1, {"y": "good", "high": 38.0}),
        ("K2", 0, {"high": 36.0}),
    ]
    assert all(record.observation.keys() == {"x"} and record.status is Status.OK for record in mine)
    assert mine[2].scores == {"high.abs_error": 1.0, "high.sq_error": 1.0}
    spec = RunDirectory(folder / "out").info().spec
    assert (spec.sequences, spec.steps) == (2, 2)


def test_progress_counts_the_steps_that_there_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "task.yaml").write_text(TASK)
    (folder / "data.csv").write_text(DATA)
    totals: list[int] = []
    monkeypatch.setattr(RunProgress, "begin", lambda _self, _methods, steps, _past: totals.append(steps))
    monkeypatch.setattr(RunProgress, "step", lambda _self, _record: None)
    arguments = ["run", "task.yaml", "--data", "data.csv", "-m", script(folder, " good, 37.0"), "--budget", "60"]
    assert run(*arguments, "--out", "all") == 0
    assert run(*arguments, "--out", "quick", "--quick") == 0
    assert run(*arguments, "--out", "first", "--steps", "1") == 0
    assert totals == [3, 3, 2]


def test_resume_refuses_data_that_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "task.yaml").write_text(TASK)
    (folder / "data.csv").write_text(DATA)
    arguments = ["run", "task.yaml", "--data", "data.csv", "-m", script(folder, " good, 37.0"), "--out", "out"]
    assert run(*arguments, "--budget", "60") == 0
    assert run(*arguments, "--budget", "60", "--resume") == 0
    (folder / "data.csv").write_text(DATA.replace("37.5", "37.6"))
    capsys.readouterr()
    assert run(*arguments, "--budget", "60", "--resume") == 2
    assert "data_digest was" in capsys.readouterr().err


def test_the_example_runs(folder: Path) -> None:
    for name in ("task.yaml", "data.csv"):
        shutil.copy(ROOT / "examples/task" / name, folder)
    for split in ("development", "held_out"):
        arguments = ["--data", "data.csv", "-m", script(folder, " good, 3.5"), "--split", split, "--out", split]
        assert run("run", "task.yaml", *arguments, "--budget", "100", "--form", "line") == 0
        found = records(folder / split)
        assert {record.status for record in found} == {Status.OK}
        assert len({record.sequence for record in found}) == 2
        assert {record.t for record in found if record.target is None} == {7}


def test_data_show_knows_a_task_of_ones_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "task.yaml").write_text(TASK.replace("title: Mine", "title: '[/gpt] Mine'"))
    (folder / "data.csv").write_text(DATA.replace("K1,1,good", "K1,1,[red]good"))
    assert run("data", "show", "task.yaml", "--data", "data.csv", "--steps", "1") == 0
    output = capsys.readouterr()
    first, line = output.out.splitlines()
    assert first.startswith("[/gpt] Mine, sequence K")
    assert line in ("  [red]good -> bad, 37.5", "  good -> 36.0")
    refused = run("data", "show", "task.yaml")
    assert refused == 2
    assert "--data" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "check"])
def test_what_was_done_with_rows_is_told_beside_the_results(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (folder / "task.yaml").write_text(TASK)
    (folder / "data.csv").write_text(DATA.replace("K1,2,", "K1,1,"))
    assert run("data", command, "task.yaml", "--data", "data.csv") == 0
    output = capsys.readouterr()
    assert "'visit': 1 rows have the place" in output.err
    assert "place" not in output.out


def test_an_empty_text_reads_unknown_and_not_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "task.yaml").write_text(TASK)
    (folder / "data.csv").write_text(DATA.replace(",good,", ", ,"))
    assert run("data", "show", "task.yaml", "--data", "data.csv", "--steps", "1") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("  unknown -> ")


AHEAD = """\
name: load
title: Load
instructions: Predict.
observation: "{{ y }}"
line: "{{ y }}"
answer:
  - {name: y, kind: number, low: 0, high: 100, last: y}
memory:
  - {name: Notes, about: anything}
data:
  order: hour
  outcome: {y: y}
  ahead: 3
"""


@pytest.mark.parametrize(("said", "delay"), [((), 3), (("--delay", "1"), 3), (("--delay", "5"), 5)])
def test_no_value_is_learned_before_its_row_is_there(
    folder: Path, said: tuple[str, ...], delay: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is predicted three rows ahead is not known in the next row."""
    Path("load.yaml").write_text(AHEAD, encoding="utf-8")
    Path("load.csv").write_text("hour,y\n" + "".join(f"{n},{3 * n}\n" for n in range(24)), encoding="utf-8")
    line = ("run", "load.yaml", "--data", "load.csv", "--methods", "majority", *said, "--out", "out")
    assert run(*line) == 0
    assert "outcomes stand 3 rows ahead, so a run tells each of them that many steps after" in capsys.readouterr().err
    assert RunDirectory(Path("out")).info().spec.delay == delay
    steps = [record for record in records(Path("out")) if record.method == "majority"]
    for step in steps:
        seen = [float(str(other.target["y"])) for other in steps if other.target and other.t <= step.t - delay]
        if seen:
            assert (step.prediction or {})["y"] == pytest.approx(sum(seen) / len(seen), abs=0.05)
        else:
            assert step.prediction == steps[0].prediction
    assert run(*line, "--resume") == 0


def test_a_run_of_rows_ahead_goes_on_as_it_was_begun() -> None:
    """What was begun without a delay would have other steps with one."""
    spec = RunSpec("load", "t", "m", "d", ("majority",), 1, 9, "development", "p", Settings(), delay=3)
    begun = msgspec.structs.replace(spec, delay=0)
    assert spec.as_begun(begun, ()).delay == 0
    assert spec.as_begun(begun, ("delay",)).delay == 3
    assert spec.as_begun(spec, ()).delay == 3


def test_all_of_one_sequence_is_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its halves are too short to tell a leak from luck, and the whole is not."""
    Path("load.yaml").write_text(
        AHEAD.replace("  ahead: 3\n", "").replace(", last: y", "").replace("{{ y }}", "{{ x }}")
    )
    rows = "".join(f"{n},{7 * n % 31},{7 * n % 31}\n" for n in range(26))
    Path("load.csv").write_text(f"hour,y,x\n{rows}", encoding="utf-8")
    assert run("data", "check", "load.yaml", "--data", "load.csv") == 1
    assert "holds the outcome" in capsys.readouterr().out
