"""``llm-as-rnn memory``: versions of a run's and of a stream's memory, and bad input in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console

from llm_as_rnn.cli import memory as command_module
from llm_as_rnn.cli.main import main
from llm_as_rnn.core.changes import MemoryDiff
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.files import unsealed
from llm_as_rnn.core.records import Memory, Section
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.streams.learner import Learner
from tests.cli.commands import command
from tests.cli.test_kill import OPTIONS, script
from tests.cli.test_predict import feed, stream_lines
from tests.core.test_online import SEQUENCE, answer
from tests.helpers import OBJECTS

Asked = tuple[int, str, str]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Any:
    """Give a function that runs a command in this process: exit code, output, errors."""

    def asked(*arguments: object) -> Asked:
        with pytest.raises(SystemExit) as end:
            main(["memory", *map(str, arguments)])
        said = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, said.out, said.err

    return asked


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    arguments = ["run", "weather", "-m", script(folder), "--out", str(folder / "run"), *OPTIONS]
    assert command(*arguments).returncode == 0
    return folder / "run"


@pytest.fixture
def learned(tmp_path: Path) -> Path:
    """Give the file of a learner with three versions and a prediction that waits."""
    path = tmp_path / "learner.json"
    engine = ScriptedEngine(answer, EngineInfo("scripted:test", form="line", style="completion"))
    with Learner("weather", engine=engine, budget=100) as learner:
        for step in SEQUENCE.steps[:2]:
            assert step.target is not None
            learner.learn_one(learner.predict_one(step.observation.fields).id, step.target)
        learner.predict_one(SEQUENCE.steps[2].observation.fields)
        learner.save(path)
    return path


def rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def script_of_objects(folder: Path) -> str:
    """Write a script for the JSON form, which a scripted model is asked in by `predict`; each update brings news."""
    answers: list[tuple[str, Any]] = [(role, OBJECTS[role]) for role in ("predict", "reflect")]
    answers += [
        ("update", {"Patterns": [f"rain {n}"], "Recent days": ["wet"], "Corrections": ["none"]}) for n in range(50)
    ]
    lines = [{"role": role, "text": json.dumps(said)} for role, said in answers]
    (folder / "objects.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return f"scripted:{folder / 'objects.jsonl'}"


def test_a_runs_memory_is_listed_and_shown_version_by_version(run: Path, ask: Any) -> None:
    records = [record for record in RunDirectory(run).records() if record.method == "recurrent"]
    sequence = records[0].sequence
    own = [record for record in records if record.sequence == sequence]
    code, out, errors = ask("list", run, "--sequence", sequence)
    assert (code, errors) == (0, "")
    listed = rows(out)
    assert [(row["t"], row["update"], row["reason"], row["tokens"]) for row in listed[1:]] == [
        (record.t, record.update.outcome, record.update.reason, record.memory_tokens) for record in own
    ]
    assert (listed[0]["t"], listed[0]["version"], listed[0]["update"]) == (None, 0, "start")
    assert [row["memory"] is None for row in listed[1:]] == [
        str(record.memory_after) == str(record.memory_before) for record in own
    ]
    changed = [row for row in listed if row["memory"] is not None]
    assert len(changed) > 1
    for row in changed:
        shown = ask("show", run, "--sequence", sequence, "--version", row["version"], "--method", "recurrent")
        assert shown == (0, row["memory"] + "\n", "")
    assert ask("show", run, "--sequence", sequence)[1] == f"{own[-1].memory_after}\n"


def test_reading_changes_nothing_in_a_run(run: Path, ask: Any) -> None:
    before = {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}
    code, _, errors = ask("restore", run, "--version", 0)
    assert (code, "a run's journal is never changed" in errors, errors.count("\n")) == (2, True, 1)
    sequence = RunDirectory(run).records()[0].sequence
    for words in (["list"], ["show"]):
        assert ask(words[0], run, "--sequence", sequence)[0] == 0
    assert ask("diff", run, 0, 1, "--sequence", sequence)[0] == 0
    assert {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()} == before


def test_a_diff_is_lines_with_plus_and_minus(learned: Path, ask: Any) -> None:
    versions = [row["memory"] for row in rows(ask("list", learned)[1])]
    code, out, errors = ask("diff", learned, 1, 2)
    assert (code, errors) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["--- version 1", "+++ version 2"]
    assert sorted(line[1:] for line in lines[2:] if line[0] in " -") == sorted(versions[1].splitlines())
    assert sorted(line[1:] for line in lines[2:] if line[0] in " +") == sorted(versions[2].splitlines())
    assert " ## Patterns" in lines
    assert [line for line in lines[2:] if line[0] == "+"]
    assert ask("diff", learned, 2, 2) == (0, "", "")


def test_restoring_a_file_is_a_new_version_that_predict_goes_on_with(tmp_path: Path, ask: Any) -> None:
    state, model = tmp_path / "state.json", script_of_objects(tmp_path)
    lines = stream_lines()
    assert feed(state, model, lines[:4])[0] == 0
    before = rows(ask("list", state)[1])
    last = before[-1]["version"]
    assert last > 0
    code, out, errors = ask("restore", state, "--version", 0)
    assert (code, out, errors) == (0, f"version {last + 1} holds the text of version 0\n", "")
    after = rows(ask("list", state)[1])
    assert after[:-1] == before
    assert (after[-1]["memory"], after[-1]["reason"]) == (before[0]["memory"], "version 0 restored")
    assert after[-1]["t"] is None
    # Nothing is asked of the model: the memory is shown as the process finds it, and what waited still does.
    code, _, errors = feed(state, model, [], "--memory")
    assert (code, errors.strip()) == (0, before[0]["memory"])
    code, answers, _ = feed(state, model, [{"id": "1", "y": SEQUENCE.steps[1].target}])
    assert (code, answers[0]["learned"], answers[0]["memory_version"]) == (0, "accepted", last + 2)


def test_a_restoration_that_cannot_be_written_leaves_the_file_whole(
    learned: Path, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes, *, private: bool) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("llm_as_rnn.streams.saved.write_atomically", full)
    before = learned.read_bytes()
    code, out, errors = ask("restore", learned, "--version", 1)
    assert (code, out, "No space left" in errors, learned.read_bytes()) == (2, "", True, before)
    monkeypatch.undo()
    assert ask("restore", learned, "--version", 1)[0] == 0, "the lock was given back"


def test_a_file_in_use_is_not_restored(learned: Path, ask: Any) -> None:
    before = learned.read_bytes()
    with FileLock(learned.with_name(f".{learned.name}.lock")):
        code, _, errors = ask("restore", learned, "--version", 1)
    assert (code, "another process is using" in errors, learned.read_bytes()) == (2, True, before)


def test_a_terminal_gets_a_table_and_colours(learned: Path, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_module, "console", Console(force_terminal=True, color_system="standard", width=100))
    out = ask("list", learned)[1]
    assert all(heading in out for heading in ("version", "step", "tokens", "update", "reason"))
    assert not out.lstrip().startswith("{")
    assert "version 2, " in ask("show", learned)[1]
    coloured = ask("diff", learned, 0, 2)[1]
    assert "\x1b[32m+- " in coloured
    assert "\x1b[31m-- " in coloured


def test_an_edited_item_is_one_line_on_a_terminal_and_two_elsewhere() -> None:
    before = Memory((Section("Patterns", ("rain [b]follows[/b] rain 7 of 9",)),))
    after = Memory((Section("Patterns", ("rain [b]follows[/b] rain 8 of 9",)),))
    (item,) = MemoryDiff().step(0, before, after)["Patterns"]
    assert [line.plain for line in command_module._plain(item)] == [
        "-- rain [b]follows[/b] rain 7 of 9",
        "+- rain [b]follows[/b] rain 8 of 9",
    ]
    line = command_module._coloured(item)
    assert line.plain == "~- rain [b]follows[/b] rain 78 of 9"
    assert {line.plain[span.start : span.end]: str(span.style) for span in line.spans} == {
        "7": "red strike",
        "8": "green bold",
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list"], "PATH"),
        (["list", "none"], "No such file"),
        (["list", "empty"], "holds no run"),
        (["show", "other.json"], "no saved learner"),
        (["show", "broken.json"], "the saved state cannot be read"),
        (["show", "LEARNER", "--version", "9"], "there are 0 to 2"),
        (["show", "LEARNER", "--version", "two"], "two"),
        (["show", "LEARNER", "--method", "zero_shot"], "no memory of the method 'zero_shot' (there is advised)"),
        (["diff", "LEARNER", "0"], "B"),
        (["diff", "LEARNER", "0", "7"], "no version 7"),
        (["restore", "LEARNER"], "--version"),
        (["restore", "LEARNER", "--version", "3"], "there are 0 to 2"),
        (["restore", "none", "--version", "3"], "No such file"),
        (["restore", "other.json", "--version", "3"], "no saved learner"),
        (["restore", "zero.json", "--version", "0"], "keeps no memory"),
        (["list", "zero.json"], "holds no memory"),
        (["list", "RUN"], "choose with --sequence"),
        (["list", "RUN", "--sequence", "Atlantis"], "no memory of the sequence 'Atlantis'"),
        (["list", "RUN", "--method", "full_history"], "no memory of the method 'full_history' (there is recurrent)"),
        (["forget", "RUN"], "forget"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    tmp_path: Path, run: Path, learned: Path, ask: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.json").write_text('{"a": 1}')
    saved = json.loads(unsealed(learned.read_bytes())) | {"format": 1}  # which has no check of its own
    (tmp_path / "broken.json").write_text(json.dumps({**saved, "stream": {**saved["stream"], "versions": [{}]}}))
    with Learner("weather", method="zero_shot", engine=ScriptedEngine(answer)) as learner:
        learner.save(tmp_path / "zero.json")
    before = sorted(tmp_path.rglob("*"))
    left = {path: path.read_bytes() for path in before if path.suffix == ".json"}
    places = {"RUN": run, "LEARNER": learned}
    code, out, errors = ask(*(places.get(word, word) for word in arguments))
    assert (code, out) == (2, ""), errors
    assert says in errors
    lines = [line for line in errors.splitlines() if not line.startswith(("Usage:", "Try "))]
    assert len([line for line in lines if line.strip()]) == 1, errors
    assert {path: path.read_bytes() for path in left} == left
    # A lock is all that may be left, and only beside a learner's file.
    assert {path.name for path in tmp_path.rglob("*")} - {path.name for path in before} <= {
        ".learner.json.lock",
        ".zero.json.lock",
    }


def test_many_sequences_are_not_all_named() -> None:
    assert command_module._named([str(number) for number in range(9)]) == "0, 1, 2, 3, 4, 5 and 3 more"


def test_help_tells_what_path_is(ask: Any) -> None:
    assert "--state" in ask("--help")[1]
    assert "JSON lines" in ask("list", "--help")[1]


def test_what_sequences_leave_to_later_ones_is_listed_and_shown(ask: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["run", "weather", "-m", script(tmp_path), "--out", str(out), *OPTIONS, "--shared", "120"]
    assert command(*arguments).returncode == 0
    found = rows(ask("list", out, "--method", "recurrent", "--sequence", "shared-lessons")[1])
    sequences = {record.sequence for record in RunDirectory(out).records()}
    assert len(found) == len(sequences) > 1
    assert all(row["reason"].startswith("after ") for row in found)
    code, said, _ = ask("show", out, "--method", "recurrent", "--sequence", "shared-lessons")
    assert code == 0
    assert said.strip() == found[-1]["memory"] or found[-1]["memory"] is None
    assert 'id="lessons"' in (out / "report.html").read_text(encoding="utf-8")
