"""Visits in primary biliary cholangitis as sequences."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Selection, Sequence
from llm_as_rnn.datasets.pbc import NOT_MEASURED, PBC, load, read_visits, sequence
from llm_as_rnn.runs.directory import RunDirectory
from tests.cli.test_kill import script

SPLITS = ("development", "held_out")


def everyone() -> list[Sequence]:
    found = []
    for split in SPLITS:
        with pytest.raises(DatasetError) as refusal:
            load(Selection(1000, 15, 0, split))  # type: ignore[arg-type]
        found += load(Selection(int(refusal.value.hint.split()[2]), 99, 0, split))  # type: ignore[arg-type]
    return found


def test_the_table_is_whole() -> None:
    visits = read_visits()
    assert len(visits) == 312
    assert sum(map(len, visits.values())) == 1945
    days = [int(visit["day"]) for found in visits.values() for visit in found]
    assert days.count(0) == 312
    assert all(int(one["day"]) < int(other["day"]) for found in visits.values() for one, other in pairwise(found))
    rows = [visit for found in visits.values() for visit in found]
    assert sum(not row["cholesterol"] for row in rows) == 821
    assert sum(float(row["bilirubin"]) for row in rows) == pytest.approx(3.672339 * 1945, abs=1e-2)
    assert {row["arm"] for row in rows} == {"D-penicillamine", "placebo"}
    assert sum(found[0]["arm"] == "placebo" for found in visits.values()) == 154


def test_every_step_predicts_the_visit_after_it() -> None:
    sequences = everyone()
    assert len(sequences) == 259
    assert sum(len(found.steps) for found in sequences) == 1607
    visits = read_visits()
    for found in sequences:
        mine = visits[found.info.id.removeprefix("patient-")]
        assert len(found.steps) == len(mine) - 1 >= 2
        for step, now, after in zip(found.steps, mine, mine[1:], strict=False):
            fields = step.observation.fields
            assert step.when == f"day {now['day']}"
            assert step.target == {"oedema": after["oedema"], "bilirubin": float(after["bilirubin"])}
            assert fields["days_until"] == int(after["day"]) - int(now["day"]) > 0
            assert fields["bilirubin"] == float(now["bilirubin"])
            assert (fields["cholesterol"] == NOT_MEASURED) == (not now["cholesterol"])


def test_nothing_after_a_visit_changes_what_is_seen_up_to_it() -> None:
    patient, visits = next((p, v) for p, v in read_visits().items() if len(v) > 5)
    changed = [
        visit if t <= 3 else {**dict.fromkeys(visit, "9"), "day": visit["day"]} for t, visit in enumerate(visits)
    ]
    before, after = sequence(patient, visits), sequence(patient, changed)
    assert before.info == after.info
    assert [s.observation for s in before.steps[:4]] == [s.observation for s in after.steps[:4]]
    assert before.steps[3].target != after.steps[3].target
    assert before.steps[4].observation != after.steps[4].observation


def test_no_patient_is_in_both_parts_and_a_seed_repeats_its_choice() -> None:
    ids = [found.info.id for found in everyone()]
    assert len(set(ids)) == len(ids)
    assert load(Selection(8, 15, 1)) == load(Selection(8, 15, 1))
    assert load(Selection(8, 15, 1)) != load(Selection(8, 15, 2))
    assert max(len(found.steps) for found in load(Selection(100, 4))) == 4


def test_what_is_missing_is_said_in_words() -> None:
    task = load_task(PBC.name)
    shown = [
        (task.show(step.observation, form, found.info.about), step.observation.fields)
        for found in load(Selection(20, 15))
        for step in found.steps
        for form in ("line", "json")
    ]
    assert any("cholesterol not measured" in text for text, _ in shown)
    assert not any("None" in text or "nan" in text for text, _ in shown)
    assert all(all(str(value) in text for value in fields.values()) for text, fields in shown)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    assert PBC.ready() == ""
    with pytest.raises(DatasetError, match="cannot be read"):
        read_visits(tmp_path / "none.csv")


def test_a_quick_run_has_room_for_a_few_cases(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["run", "pbc", "--quick", "-m", script(tmp_path), "--methods", "recurrent:cases", "--form", "line"]
    subprocess.run([sys.executable, "-m", "llm_as_rnn", *command, "--out", str(out)], check=True, capture_output=True)
    directory = RunDirectory(out)
    assert directory.info().spec.settings.budget == PBC.quick_budget
    longest = max(record.memory_tokens or 0 for record in directory.records())
    assert PBC.quick_budget / 2 < longest <= PBC.quick_budget
