"""A run whose journal is not what was written: resume and report both find it, and name the line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.catalogue import ADVISED, DEFAULT_METHODS
from llm_as_rnn.cli.main import main
from llm_as_rnn.core.errors import RunError, SpecMismatchError
from llm_as_rnn.core.files import sealed, unsealed
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.earlier import EarlierSteps
from llm_as_rnn.runs.journal import STEPS, read_journal
from llm_as_rnn.runs.writing import whole
from tests.helpers import content
from tests.runs.test_execute import OPTIONS, go

Lines = list[bytes]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    go(tmp_path / "run")
    return tmp_path / "run"


def change(run: Path, how: Callable[[Lines], Lines]) -> None:
    """Change the journal's lines behind its head, with checks that are right."""
    journal = run / "steps.jsonl"
    head, *lines = journal.read_bytes().splitlines()
    journal.write_bytes(b"".join(line + b"\n" for line in [head, *how(lines)]))


def changed(line: bytes, **values: Any) -> bytes:
    return sealed(msgspec.json.encode({**msgspec.json.decode(unsealed(line)), **values}))


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        (lambda lines: [lines[0], *lines], "line 3 is damaged: step 0 of .* stands there once more"),
        (lambda lines: lines[1:], "is damaged: (step .* stands there before step|it names a text that is not there)"),
        (
            lambda lines: [changed(lines[0], method="another"), *lines[1:]],
            "line 2 .* 'another', which the run does not",
        ),
        (lambda lines: [*lines, changed(lines[-1], t=99)], "is damaged: it is step 99 of .*, of which the run has"),
        (lambda lines: [lines[0].replace(b'"t":0', b'"t":1'), *lines[1:]], "line 2 is damaged: its bytes are not"),
    ],
)
def test_resume_and_report_find_the_line(
    run: Path, how: Callable[[Lines], Lines], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(run, how)
    before = (run / "steps.jsonl").read_bytes()
    with pytest.raises(RunError, match=problem):
        go(run, resume=True)
    with pytest.raises(RunError, match=problem):
        RunDirectory(run).records()
    with pytest.raises(SystemExit) as ended:
        main(["report", str(run)])
    assert ended.value.code == 2
    assert "damaged" in capsys.readouterr().err
    assert (run / "steps.jsonl").read_bytes() == before


def test_resume_finds_the_steps_of_a_sequence_that_the_run_does_not_have(run: Path) -> None:
    change(run, lambda lines: [*lines, changed(lines[0], sequence="elsewhere")])
    with pytest.raises(RunError, match="is damaged: it is of the sequence 'elsewhere', which the run does not have"):
        go(run, resume=True)


def with_memory(lines: Lines, where: str, **values: Any) -> Lines:
    """Say otherwise of the first memory that stands there, or of the first change of one."""
    steps = [msgspec.json.decode(unsealed(line)) for line in lines]
    number = next(number for number, step in enumerate(steps) if step.get(where))
    memory = {**steps[number][where], **values}
    return [*lines[:number], changed(lines[number], **{where: memory}), *lines[number + 1 :]]


@pytest.mark.parametrize("where", ["memory_before", "memory_change"])
def test_a_memory_of_another_length_than_the_tokenizer_counts_is_found(run: Path, where: str) -> None:
    change(run, lambda lines: with_memory(lines, where, tokens=1))
    with pytest.raises(SpecMismatchError, match="comes out otherwise"):
        go(run, resume=True)


def test_a_memory_over_its_budget_is_found(run: Path) -> None:
    over = [["a note that goes on " * 100], [0], [0]]
    change(run, lambda lines: with_memory(lines, "memory_change", items=over))
    with pytest.raises(SpecMismatchError, match="comes out otherwise"):
        go(run, resume=True)


@pytest.mark.parametrize("items", [[[-1]], [[99]], [[[0, 99]]], [[[1, 0]]], [], [[0], [0], [0], [0]]])
def test_a_change_of_what_is_not_there_is_found(run: Path, items: Any) -> None:
    padded = items + [[0]] * (3 - len(items)) if items else items
    change(run, lambda lines: with_memory(lines, "memory_change", items=padded))
    with pytest.raises(RunError, match=r"line .* is damaged: it (names a text|changes a memory) that is not there"):
        RunDirectory(run).records()


@pytest.mark.parametrize("version", [1, 2])
def test_a_run_of_an_earlier_version_is_reported_and_resumed(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    # There was no advice then.
    options = msgspec.structs.replace(OPTIONS, methods=tuple(name for name in DEFAULT_METHODS if name != ADVISED))
    monkeypatch.setattr("llm_as_rnn.runs.execute.references", lambda task: ("repeat_last", "majority", "nearest_case"))
    go(run, options)

    def as_then() -> list[StepRecord]:
        return [EarlierSteps().kept(step) for step in content(run)]

    before, journal = as_then(), run / "steps.jsonl"
    old = whole(read_journal(journal), STEPS, version).splitlines(keepends=True)
    (run / "prompts.jsonl").unlink()
    journal.write_bytes(b"".join(old))
    assert content(run) == before
    journal.write_bytes(b"".join(old[:-5]) + old[-5][:40])
    go(run, options, resume=True)
    assert content(run) == before
    assert journal.read_bytes().count(b"\n") == len(old)
    assert (b'"check"' in journal.read_bytes()) is (version == 2)
    assert b'"asked"' not in journal.read_bytes()
    assert not (run / "prompts.jsonl").exists(), "these steps cannot name them"
