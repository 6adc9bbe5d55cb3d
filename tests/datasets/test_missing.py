"""Words for nothing: what a task file lists as missing is missing in tables, in streams and in a service alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from llm_as_rnn import Learner
from llm_as_rnn.core.columns import Columns
from llm_as_rnn.core.errors import TaskError, UsageError
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.datasets.tables import Table, read_table
from tests.datasets.test_tables import MOOD, plain_task

WORDS = ("NA", "-999")
DATA = Columns({"mood": "y"}, missing=WORDS)


def task(**more: Any) -> Task:
    return msgspec.structs.replace(plain_task(MOOD), data=msgspec.structs.replace(DATA, **more))


def shown(table: Table) -> list[tuple[Any, Any]]:
    parts = (table.splits["development"], table.splits["held_out"])
    steps = [step for part in parts for s in part for step in s.steps]
    return [(step.observation.fields["x"], step.target and step.target["mood"]) for step in steps]


ROWS: list[dict[str, Any]] = [
    {"x": 1.5, "y": "good"},
    {"x": None, "y": "bad"},
    {"x": 3.0, "y": None},
    {"x": None, "y": "good"},
]
WORDED: list[dict[str, str]] = [
    {"x": "1.5", "y": "good"},
    {"x": "NA", "y": "bad"},
    {"x": "3", "y": " NA "},
    {"x": "-999", "y": "good"},
]
EXPECTED = [(row["x"], row["y"]) for row in ROWS]


def test_a_table_reads_them_as_nothing_and_its_columns_stay_numbers(tmp_path: Path) -> None:
    files = {"t.csv": "x,y\n" + "".join(f"{row['x']},{row['y']}\n" for row in WORDED)}
    numbers: list[dict[str, Any]] = [{**row, "x": row["x"] if row["x"] == "NA" else float(row["x"])} for row in WORDED]
    files["t.json"] = msgspec.json.encode(numbers).decode()
    files["t.jsonl"] = "\n".join(msgspec.json.encode(row).decode() for row in numbers)
    for name, content in files.items():
        (tmp_path / name).write_text(content, "utf-8")
        assert shown(read_table(tmp_path / name, task())) == EXPECTED, name
    frame: list[dict[str, Any]] = [{**row, "x": -999.0 if row["x"] == "NA" else float(row["x"])} for row in WORDED]
    polars.DataFrame(frame).write_parquet(tmp_path / "t.parquet")
    assert shown(read_table(tmp_path / "t.parquet", task())) == EXPECTED


def test_without_the_list_a_word_is_a_word(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,good\nNA,bad\n", "utf-8")
    assert shown(read_table(tmp_path / "t.csv", task(missing=UNSET))) == [("1", "good"), ("NA", "bad")]


@given(cell=st.one_of(st.none(), st.booleans(), st.text(max_size=5), st.floats(), st.integers(), st.lists(st.none())))
def test_nothing_else_is_nothing(cell: Any) -> None:
    same = isinstance(cell, str) and cell.strip() in WORDS
    number = isinstance(cell, int | float) and not isinstance(cell, bool) and cell == -999
    assert DATA.says_nothing(cell) == (same or number)


def test_a_stream_goes_by_it_too() -> None:
    with Learner(task(), method="nearest_case") as learner:
        made = learner.predict_one({"x": "NA", "note": -999}, "a")
        assert made.observation.fields == {"x": None, "note": None}
        assert learner.predict_one({"x": "NA", "note": -999}, "a") == made
        with pytest.raises(UsageError, match="the outcome is empty"):
            learner.learn_one("a", {"mood": "NA"})
        assert learner.learn_one("a", {"mood": "good"}).fate == "learned"


@pytest.mark.parametrize(
    ("said", "why"), [('["NA", " "]', "missing lists words"), ("[null]", "in quotes"), ("NA", "array")]
)
def test_what_is_no_word_is_refused(tmp_path: Path, said: str, why: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        "name: t\ntitle: T\ninstructions: P\nobservation: '{{ x }}'\nline: '{{ x }}'\n"
        "answer:\n  - {name: mood, kind: label, options: [good, bad]}\nmemory:\n  - {name: Notes, about: any}\n"
        f"data:\n  outcome: {{mood: y}}\n  missing: {said}\n",
        "utf-8",
    )
    with pytest.raises(TaskError, match=why):
        load_task(str(path))
