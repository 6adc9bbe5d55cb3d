"""Steps read from the disk a sequence at a time: the very same as all at once, in any format, damage included."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.runs.journal import STEPS, Expected, read_journal
from llm_as_rnn.runs.stored import StoredSteps
from llm_as_rnn.runs.writing import whole
from tests.report.journal import trusting, weather_journal

METHODS = ("recurrent", "zero_shot", "majority")
EXPECTED = Expected(METHODS)


def mixed(records: list[StepRecord], seed: int = 0) -> list[StepRecord]:
    """Give steps in an order in which a run may have made them: those of a sequence in theirs, others between."""
    rng = random.Random(seed)
    left: dict[tuple[str, str], list[StepRecord]] = {}
    for record in records:
        left.setdefault((record.method, record.sequence), []).append(record)
    found = []
    while left:
        name = rng.choice(list(left))
        found.append(left[name].pop(0))
        left = {name: steps for name, steps in left.items() if steps}
    return found


@pytest.fixture(scope="module")
def records() -> list[StepRecord]:
    return trusting(weather_journal(list(METHODS), sequences=3, steps=8))


@pytest.mark.parametrize("version", [1, 2, STEPS.format])
def test_each_sequence_is_read_by_itself_as_often_as_wanted(
    tmp_path: Path, records: list[StepRecord], version: int
) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_bytes(whole(mixed(records), STEPS, version))
    steps = StoredSteps(path, EXPECTED)
    assert steps.names == [(method, f"days-{number:02}") for method in METHODS for number in range(3)]
    assert len(steps) == len(records)
    read = read_journal(path, EXPECTED)
    for name in [*steps.names[::-1], *steps.names]:
        assert steps.trace(*name) == [step for step in read if (step.method, step.sequence) == name]
    assert list(steps) == sorted(read, key=lambda step: (METHODS.index(step.method), step.sequence, step.t))


def test_sets_name_options_that_other_sequences_brought(tmp_path: Path, records: list[StepRecord]) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_bytes(whole(mixed(records, 1), STEPS))
    last = StoredSteps(path, EXPECTED).trace("majority", "days-02")
    assert [step.among for step in last] == [
        step.among for step in records if (step.method, step.sequence) == ("majority", "days-02")
    ]


def test_no_more_than_one_sequence_is_held(tmp_path: Path, records: list[StepRecord]) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_bytes(whole(records, STEPS))
    steps, seen = StoredSteps(path, EXPECTED), set()
    for step in steps:
        seen.add((step.method, step.sequence))
        assert len(steps._lines._left) <= 1  # type: ignore[attr-defined]
    assert len(seen) == 9


def test_a_torn_end_is_no_step_and_no_file_has_none(tmp_path: Path, records: list[StepRecord]) -> None:
    path = tmp_path / "steps.jsonl"
    assert list(StoredSteps(path, EXPECTED)) == []
    content = whole(records, STEPS)
    for end in (content[:-1], content[:-9], content[:-9] + b"\0" * 9, b"", content[:20]):
        path.write_bytes(end)
        assert len(StoredSteps(path, EXPECTED)) == len(read_journal(path, EXPECTED))


def test_damage_is_named_with_its_line(tmp_path: Path, records: list[StepRecord]) -> None:
    path = tmp_path / "steps.jsonl"
    lines = whole(records, STEPS).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], lines[4].replace(b"days", b"daze"), *lines[5:]]))
    with pytest.raises(RunError, match="line 5 is damaged: its bytes are not those that were written"):
        StoredSteps(path, EXPECTED)
    path.write_bytes(b"".join([*lines[:4], *lines[5:]]))
    with pytest.raises(RunError, match=r"line 5 is damaged: step 4 of recurrent/days-00 stands there before step 3"):
        StoredSteps(path, EXPECTED)
    path.write_bytes(whole([msgspec.structs.replace(records[0], method="other")], STEPS))
    with pytest.raises(RunError, match="the method 'other', which the run does not have"):
        StoredSteps(path, EXPECTED)


def test_a_journal_that_goes_away_is_told(tmp_path: Path, records: list[StepRecord]) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_bytes(whole(records, STEPS))
    steps = StoredSteps(path, EXPECTED)
    path.unlink()
    with pytest.raises(RunError, match="is not there any more"):
        steps.trace("majority", "days-00")


@pytest.mark.parametrize("version", [1, 2, STEPS.format])
def test_a_journal_that_grows_is_read_on_from_where_it_was(
    tmp_path: Path, records: list[StepRecord], version: int
) -> None:
    path, content = tmp_path / "steps.jsonl", whole(mixed(records), STEPS, version)
    steps = StoredSteps(path, EXPECTED)
    assert not steps.grow()
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for end in (ends[0], ends[3], ends[10], len(content)):
        for cut in (end - 7, end - 1, end):
            path.write_bytes(content[:cut])
            steps.grow()
            again = StoredSteps(path, EXPECTED)
            assert (steps.names, len(steps), list(steps)) == (again.names, len(again), list(again))
    assert len(steps) == len(records)
    name = steps.names[0]
    assert steps.length(*name) == len(steps.trace(*name))
    assert steps.trace(*name, 2) == steps.trace(*name)[:2]
    assert steps.length("none", "none") == 0
    path.write_bytes(content[: ends[0]])
    with pytest.raises(RunError, match="not the journal that it was"):
        steps.grow()
