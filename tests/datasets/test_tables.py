"""A user's own table: what is written is read, outcomes stay hidden, and parts do not mix."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.answers import Field
from llm_as_rnn.datasets.base import Selection, Sequence, Step
from llm_as_rnn.datasets.tables import Table, read_table
from llm_as_rnn.errors import DatasetError, MissingExtraError
from llm_as_rnn.task import Columns, MemorySection, Task

TASK = Task(
    name="t",
    title="T",
    instructions="Predict.",
    observation="{{ x }}",
    line="{{ x }}",
    answer=(
        Field("mood", "label", options=("good", "bad")),
        Field("high", "number", low=-50, high=50),
        Field("codes", "ranked", top=2),
    ),
    memory=(MemorySection("Notes", "anything"),),
    data=Columns({"mood": "y", "high": "h", "codes": "c"}, sequence="s", order="o"),
)
HEADER = ["s", "o", "x", "note", "y", "h", "c"]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, HEADER)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def as_json_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"\n".join(msgspec.json.encode(row) for row in rows)


def read(folder: Path, name: str, content: bytes | str, task: Task = TASK) -> Table:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, task)


def every(table: Table) -> dict[str, Sequence]:
    assert not {s.info.id for s in table.splits["development"]} & {s.info.id for s in table.splits["held_out"]}
    return {sequence.info.id: sequence for part in table.splits.values() for sequence in part}


# Texts that are no numbers and hold something: whether "1" was a text cannot be told from CSV.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12).map(lambda text: f"_{text}")
ROWS = st.fixed_dictionaries(
    {
        "s": st.sampled_from(["a", "b ö", "c;c", "01", "1"]),
        "x": st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6).map(lambda value: round(value, 3)),
        "note": st.none() | TEXTS,
        "y": st.none() | st.sampled_from(["good", "bad"]),
        "h": st.none() | st.integers(-50, 50).map(float),
        "c": st.none() | st.lists(st.sampled_from(["p", "q", "r"]), min_size=1, unique=True).map("; ".join),
    }
)


@settings(max_examples=40)
@pytest.mark.parametrize(("name", "write"), [("t.csv", as_csv), ("t.jsonl", as_json_lines)])
@given(rows=st.lists(ROWS, min_size=1, max_size=20), random=st.randoms())
def test_what_is_written_is_read_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    write: Callable[[list[dict[str, Any]]], bytes],
    rows: list[dict[str, Any]],
    random: Any,
) -> None:
    numbered = [{**row, "o": number} for number, row in enumerate(rows)]
    shuffled = random.sample(numbered, len(numbered))
    table = read(tmp_path_factory.mktemp("t"), name, write(shuffled))
    found: dict[str, list[Step]] = {}
    for part in table.splits.values():
        for sequence in part:
            found.setdefault(sequence.info.id, []).extend(sequence.steps)
    assert set(found) == {row["s"] for row in rows}
    for sequence_id, steps in found.items():
        mine = [row for row in rows if row["s"] == sequence_id]
        assert [step.observation.fields for step in steps] == [{"x": r["x"], "note": r["note"]} for r in mine]
        wanted = [
            {
                **({"mood": row["y"]} if row["y"] else {}),
                **({"high": row["h"]} if row["h"] is not None else {}),
                **({"codes": tuple(row["c"].split("; "))} if row["c"] else {}),
            }
            for row in mine
        ]
        assert [step.target for step in steps] == [target or None for target in wanted]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_marks_and_line_ends_of_other_programs(tmp_path: Path, separator: str) -> None:
    text = 's,o,x,y,h,c\r\na,2,"two ""2""",bad,1,p\r\na,1,one,good,,\r\n'.replace(",", separator)
    table = read(tmp_path, "t.csv", b"\xef\xbb\xbf" + text.encode())
    first, second = (half.steps[0] for half in (table.splits["development"][0], table.splits["held_out"][0]))
    assert (first.observation.fields, first.target) == ({"x": "one"}, {"mood": "good"})
    assert (second.observation.fields, second.target) == (
        {"x": 'two "2"'},
        {"mood": "bad", "high": 1.0, "codes": ("p",)},
    )


def test_codes_stay_what_they_are(tmp_path: Path) -> None:
    table = read(tmp_path, "t.csv", "s,o,x,zip,day,y,h,c\na,1,250.00,0123,1e2,good,,250.00\na,2,V27,0456,.5,bad,,\n")
    step = table.splits["development"][0].steps[0]
    assert step.observation.fields == {"x": "250.00", "zip": "0123", "day": 100.0}
    assert step.target == {"mood": "good", "codes": ("250.00",)}


def test_a_last_value_has_the_type_of_its_outcome(tmp_path: Path) -> None:
    grade = Field("grade", "label", options=("1.0", "2.0"), last="x")
    task = msgspec.structs.replace(TASK, answer=(grade,), data=Columns({"grade": "y"}))
    table = read(tmp_path, "t.csv", "x,y\n1.0,2.0\n", task)
    step = table.splits["development"][0].steps[0]
    assert (step.observation.fields, step.target) == ({"x": "1.0"}, {"grade": "2.0"})


def test_dates_sort_by_time_and_not_by_text(tmp_path: Path) -> None:
    times = ["2024-03-01T10:00+02:00", "2024-03-01T09:00+00:00", "2024-02-29T23:00-05:00"]
    rows = [{"s": "a", "o": time, "x": time, "y": "good", "h": None, "c": None} for time in times]
    table = read(tmp_path, "t.jsonl", as_json_lines(rows))
    steps = [step for part in table.splits.values() for step in part[0].steps]
    assert [step.observation.fields["x"] for step in steps] == [times[2], times[0], times[1]]


def test_without_a_sequence_column_the_file_is_cut_in_the_middle(tmp_path: Path) -> None:
    task = msgspec.structs.replace(TASK, data=Columns({"mood": "y"}, fields=("x",)))
    table = read(tmp_path, "t.csv", "x,y\n" + "".join(f"{n},good\n" for n in range(5)), task)
    parts = {name: part[0].steps for name, part in table.splits.items()}
    assert [step.observation.fields["x"] for step in parts["development"]] == [0, 1, 2]
    assert [(step.observation.t, step.observation.fields["x"]) for step in parts["held_out"]] == [(0, 3), (1, 4)]


def many(folder: Path, count: int) -> Table:
    rows = [
        {"s": f"id {n}", "o": o, "x": o, "y": "good", "h": 1, "c": "p"} for n in range(count) for o in range(1 + n % 5)
    ]
    return read(folder, "t.jsonl", as_json_lines(rows))


def test_a_sequence_stays_in_its_part_when_data_grows(tmp_path: Path) -> None:
    small, large = many(tmp_path, 40), many(tmp_path, 80)
    assert len(every(large)) == 80
    for split in ("development", "held_out"):
        before, after = ({s.info.id for s in table.splits[split]} for table in (small, large))
        assert 10 <= len(before) <= 30
        assert before <= after
    assert small.digest != large.digest


def test_cuts_are_seeded_and_steps_are_a_limit(tmp_path: Path) -> None:
    table = many(tmp_path, 40)
    there = table.count("development")
    one, again, other = (table.cut(Selection(6, 3, seed)) for seed in (0, 0, 1))
    assert one == again != other
    assert [len(s.steps) for s in one] == [min(3, len(every(table)[s.info.id].steps)) for s in one]
    assert len(table.cut(Selection(there, 99))) == there
    with pytest.raises(DatasetError, match=f"use --sequences {there} or less"):
        table.cut(Selection(there + 1, 1))


def test_parquet_is_read_like_the_rest(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    rows = [
        {"s": 7, "o": f"2024-01-0{n}", "x": n / 2, "note": None, "y": "bad", "h": float("nan"), "c": ["q", "p"]}
        for n in (2, 1)
    ]
    file = io.BytesIO()
    polars.DataFrame(rows).with_columns(polars.col("o").str.to_date()).write_parquet(file)
    table = read(tmp_path, "t.parquet", file.getvalue())
    step = table.splits["development"][0].steps[0]
    assert step.observation.fields == {"x": 0.5, "note": None}
    assert step.target == {"mood": "bad", "codes": ("q", "p")}


def test_parquet_without_its_extra_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'llm-as-rnn\[parquet\]'"):
        read(tmp_path, "t.parquet", b"PAR1")
