"""A user's own table: what is written is read, outcomes stay hidden, and parts do not mix."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.core.columns import Columns
from llm_as_rnn.core.errors import DatasetError, MissingExtraError, TaskError
from llm_as_rnn.core.fields import Field, Label, Number, Ranked, Text
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.datasets.base import Selection, Sequence, Split, Step
from llm_as_rnn.datasets.formats import read_rows
from llm_as_rnn.datasets.tables import Table, read_table

TASK = Task(
    name="t",
    title="T",
    instructions="Predict.",
    observation="{{ x }}",
    line="{{ x }}",
    answer=(
        Label("mood", options=("good", "bad")),
        Number("high", low=-50, high=50),
        Ranked("codes", top=2),
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
    grade = Label("grade", options=("1.0", "2.0"), last="x")
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


def one_sequence(folder: Path, rows: int) -> Table:
    task = msgspec.structs.replace(TASK, data=Columns({"mood": "y"}, fields=("x",)))
    return read(folder, "t.csv", "x,y\n" + "".join(f"{n},good\n" for n in range(rows)), task)


def test_several_sequences_of_a_table_that_is_one_are_stretches_of_a_part(tmp_path: Path) -> None:
    table = one_sequence(tmp_path, 41)
    parts: list[tuple[Split, int, int]] = [("development", 0, 21), ("held_out", 21, 20)]
    for split, first, there in parts:
        cut = table.cut(Selection(there // 6, 6, 0, split))
        assert [s.info.id for s in cut] == ["all 1-6", "all 7-12", "all 13-18"]
        seen = [step.observation.fields["x"] for s in cut for step in s.steps]
        assert seen == list(range(first, first + 18))
        assert all(
            [(step.observation.sequence, step.observation.t) for step in s.steps] == [(s.info.id, t) for t in range(6)]
            for s in cut
        )
    chosen = [tuple(s.info.id for s in table.cut(Selection(2, 3, seed))) for seed in range(8)]
    assert len(set(chosen)) > 1
    assert all(list(names) == sorted(names, key=lambda name: int(name.split()[1].split("-")[0])) for names in chosen)


def test_one_sequence_of_a_table_that_is_one_is_its_beginning_as_ever(tmp_path: Path) -> None:
    table = one_sequence(tmp_path, 41)
    for seed in range(5):
        (only,) = table.cut(Selection(1, 6, seed))
        assert (only.info.id, [step.observation.fields["x"] for step in only.steps]) == ("all", list(range(6)))


@pytest.mark.parametrize(
    ("sequences", "steps", "says"),
    [(4, 6, "20 steps in held_out: too few for 4 stretches of 6.*--steps 5"), (21, 1, "--sequences 20 or less")],
)
def test_too_few_steps_for_stretches_are_told(tmp_path: Path, sequences: int, steps: int, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        one_sequence(tmp_path, 41).cut(Selection(sequences, steps, 0, "held_out"))
    assert len(one_sequence(tmp_path, 41).cut(Selection(20, 1, 0, "held_out"))) == 20


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


def plain_task(answer: Field, **data: Any) -> Task:
    return msgspec.structs.replace(TASK, answer=(answer,), data=Columns({answer.name: "y"}, **data))


MOOD = Label("mood", options=("good", "bad"))
HIGH = Number("high", low=-50, high=50, last="was")


def only(table: Table) -> list[Step]:
    """Give the steps of a table that is one sequence, in their order."""
    return [step for part in table.splits.values() for sequence in part for step in sequence.steps]


def test_rows_that_share_a_place_stay_in_the_files_order_and_are_named(tmp_path: Path) -> None:
    task = plain_task(MOOD, order="o", sequence="s")
    table = read(tmp_path, "t.csv", "s,o,x,y\na,2,c,good\na,1,a,\na,1,b,bad\na,2,d,\nb,1,e,good\n", task)
    assert [step.observation.fields["x"] for step in every(table)["a"].steps] == ["a", "b", "c", "d"]
    assert [step.when for step in every(table)["a"].steps] == ["1", "1", "2", "2"], "hidden, but known"
    (notice,) = table.notices
    assert "column 'o': 2 rows have the place" in notice
    assert "lines 3 and 4" in notice
    assert read(tmp_path, "t.csv", "s,o,x,y\na,2,c,good\na,1,a,\nb,1,b,bad\n", task).notices == ()


def test_a_date_format_can_be_named(tmp_path: Path) -> None:
    text = "o,x,y\n02.01.2024,b,good\n31.12.2023,a,good\n10.01.2024,c,bad\n"
    task = plain_task(MOOD, order="o", dates="%d.%m.%Y")
    assert [step.observation.fields["x"] for step in only(read(tmp_path, "t.csv", text, task))] == ["a", "b", "c"]


def test_dates_that_look_like_numbers_are_dates_where_a_format_is_named(tmp_path: Path) -> None:
    task = plain_task(MOOD, order="o", dates="%d%m%Y")
    for name, text in (
        ("t.csv", "o,x,y\n02012024,b,good\n31122023,a,good\n"),
        ("t.jsonl", '{"o": 20012024, "x": "b", "y": "good"}\n{"o": 31122023, "x": "a", "y": "bad"}'),
    ):
        assert [step.observation.fields["x"] for step in only(read(tmp_path, name, text, task))] == ["a", "b"]


def test_a_decimal_comma_can_be_named(tmp_path: Path) -> None:
    task = plain_task(HIGH, decimal=",")
    text = "was;x;y;code\n1,5;-0,5;2,25;1.5\n2;3;;2\n"
    one, two = only(read(tmp_path, "t.csv", text, task))
    assert (one.observation.fields, one.target) == ({"was": 1.5, "x": -0.5, "code": "1.5"}, {"high": 2.25})
    assert (two.observation.fields, two.target) == ({"was": 2, "x": 3, "code": "2"}, None)


def test_a_decimal_comma_means_the_same_in_every_file(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"was": "1,5", "x": "-0,5", "code": "1.5", "mixed": 7, "y": "2,25"},
        {"was": "2", "x": None, "code": "2", "mixed": "8,5", "y": ""},
    ]
    content = as_json_lines(rows)
    every_task = plain_task(HIGH, decimal=",")
    one, two = only(read(tmp_path, "t.jsonl", content, every_task))
    assert (one.observation.fields, one.target) == (
        {"was": 1.5, "x": -0.5, "code": "1.5", "mixed": 7},
        {"high": 2.25},
    )
    assert (two.observation.fields, two.target) == ({"was": 2, "x": None, "code": "2", "mixed": 8.5}, None)
    texts = {name: [row[name] and str(row[name]) for row in rows] for name in rows[0]}
    one, two = only(read(tmp_path, "t.parquet", parquet(tmp_path, texts), every_task))
    assert one.observation.fields == {"was": 1.5, "x": -0.5, "code": "1.5", "mixed": 7}
    assert two.observation.fields == {"was": 2, "x": None, "code": "2", "mixed": 8.5}


def test_without_a_decimal_comma_texts_in_json_stay_texts(tmp_path: Path) -> None:
    (step,) = only(read(tmp_path, "t.jsonl", as_json_lines([{"x": "1.5", "y": "good"}]), plain_task(MOOD)))
    assert step.observation.fields == {"x": "1.5"}


@pytest.mark.parametrize("figure", ["1.234,5", "2.5"])
def test_a_point_beside_a_decimal_comma_is_not_guessed_at(tmp_path: Path, figure: str) -> None:
    with pytest.raises(DatasetError, match=r"column 'y': .* is no number: a comma stands"):
        read(tmp_path, "t.csv", f"was;x;y\n1;2;{figure}\n", plain_task(HIGH, decimal=","))


def test_formats_leave_the_digests_of_other_tasks_as_they_were() -> None:
    written = msgspec.json.encode(TASK)
    assert b"dates" not in written
    assert b'"decimal":' not in written
    named = msgspec.structs.replace(TASK, data=Columns({"mood": "y"}, order="o", dates="%Y/%m/%d", decimal=","))
    assert msgspec.json.decode(msgspec.json.encode(named), type=Task) == named


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_excels_line_that_names_the_separator_is_no_header(tmp_path: Path, separator: str, mark: str) -> None:
    text = f"{mark}sep={separator}\r\n{mark}x;y\r\n1,a;good\r\n2,b;bda\r\n".replace(";", separator)
    with pytest.raises(DatasetError, match="line 4, column 'y': mood must be one of"):
        read(tmp_path, "t.csv", text, plain_task(MOOD))
    steps = only(read(tmp_path, "t.csv", text.replace("bda", "bad"), plain_task(MOOD)))
    assert [step.observation.fields for step in steps] == [{"x": "1,a"}, {"x": "2,b"}]


@pytest.mark.parametrize("line", ['"sep=;"', "SEP=;", "Sep=;", "sep=;;;", '"sep=;";;', "sep=; ", '"SEP=;"'])
def test_excels_line_is_known_as_other_programs_write_it_anew(tmp_path: Path, line: str) -> None:
    (step,) = only(read(tmp_path, "t.csv", f"{line}\r\nx;y\r\n1,a;good\r\n", plain_task(MOOD)))
    assert (step.observation.fields, step.target) == ({"x": "1,a"}, {"mood": "good"})


@pytest.mark.parametrize("text", ["sep=;", "sep=;\n", "\ufeffsep=,\r\n\r\n", '"SEP=;";;'])
def test_a_separator_alone_is_no_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(DatasetError, match=r"t\.csv names no columns"):
        read(tmp_path, "t.csv", text, plain_task(MOOD))


def test_a_long_cell_is_read_whole(tmp_path: Path) -> None:
    cell = "word " * 28_000
    for name, text in (("t.csv", f'x,y\n"{cell}",good\n'), ("t.jsonl", f'{{"x": "{cell}", "y": "good"}}')):
        (step,) = only(read(tmp_path, name, text, plain_task(MOOD)))
        assert step.observation.fields["x"] == cell


def test_byte_order_marks_are_no_part_of_names_and_cells(tmp_path: Path) -> None:
    wanted = [{"x": "rain"}, {"x": "sun"}]
    for name, text in (
        ("t.csv", "\ufeffx,y\n\ufeffrain,good\nsun,\ufeffbad\n"),
        ("t.jsonl", '\ufeff{"\ufeffx": "rain", "y": "good"}\n\ufeff{"x": "\ufeffsun", "y": "bad"}'),
    ):
        steps = only(read(tmp_path, name, text, plain_task(MOOD)))
        assert [step.observation.fields for step in steps] == wanted
        assert [step.target for step in steps] == [{"mood": "good"}, {"mood": "bad"}]


def test_outcomes_may_lie_outside_of_the_plausible_range_and_are_named(tmp_path: Path) -> None:
    table = read(tmp_path, "t.csv", "was,x,y\n1,a,60\n2,a,1.7e308\n3,a,-1e+3\n4,a,5\n", plain_task(HIGH))
    assert [(step.target or {})["high"] for step in only(table)] == [60.0, 1.7e308, -1000.0, 5.0]
    (notice,) = table.notices
    assert "column 'y': 3 outcomes lie outside of -50 to 50" in notice
    assert "line 2" in notice


def test_an_outcome_is_read_whole(tmp_path: Path) -> None:
    words = msgspec.structs.replace(TASK, answer=(Text("said", max_chars=20),), data=Columns({"said": "y"}))
    text = "a" * 50
    assert only(read(tmp_path, "t.csv", f"x,y\n1,{text}\n", words))[0].target == {"said": text}


@pytest.mark.parametrize("level", ["0", "0.0", "-3"])
def test_an_outcome_without_a_logarithm_is_refused_where_one_is_scored(tmp_path: Path, level: str) -> None:
    task = plain_task(Number("level", low=0.1, high=50, metrics=("log",)))
    with pytest.raises(DatasetError, match="line 3, column 'y': level is scored by its logarithm"):
        read(tmp_path, "t.csv", f"x,y\n1,70\n2,{level}\n", task)


def parquet(folder: Path, columns: dict[str, Any]) -> bytes:
    polars = pytest.importorskip("polars")
    path = folder / "made.parquet"
    polars.DataFrame(columns).write_parquet(path)
    return path.read_bytes()


def test_row_numbers_of_pandas_are_left_out_unless_they_are_named(tmp_path: Path) -> None:
    content = parquet(tmp_path, {"x": [1, 2], "y": ["good", "bad"], "__index_level_0__": [7, 3]})
    table = read(tmp_path, "t.parquet", content, plain_task(MOOD))
    assert [step.observation.fields for step in only(table)] == [{"x": 1}, {"x": 2}]
    (notice,) = table.notices
    assert "'__index_level_0__' is left out: pandas numbered its rows there" in notice
    named = read(tmp_path, "t.parquet", content, plain_task(MOOD, fields=("x", "__index_level_0__")))
    assert [step.observation.fields["__index_level_0__"] for step in only(named)] == [7, 3]
    ordered = read(tmp_path, "t.parquet", content, plain_task(MOOD, order="__index_level_0__"))
    assert [step.observation.fields for step in only(ordered)] == [{"x": 2}, {"x": 1}]
    assert named.notices == ordered.notices == ()


def test_values_of_parquet_come_in_by_the_one_door(tmp_path: Path) -> None:
    columns = {
        "x": [Decimal("1.50"), Decimal("2.00")],
        "day": [date(2024, 5, 31), None],
        "at": [datetime(2024, 5, 31, 7, 30, tzinfo=UTC), None],
        "took": [timedelta(hours=2), None],
        "many": [[1.0, math.nan], []],
        "high": [math.nan, 3.5],
        "y": ["good", "bad"],
    }
    one, two = only(read(tmp_path, "t.parquet", parquet(tmp_path, columns), plain_task(MOOD)))
    assert one.observation.fields == {
        "x": 1.5,
        "day": "2024-05-31",
        "at": "2024-05-31T07:30:00+00:00",
        "took": "2:00:00",
        "many": [1.0, None],
        "high": None,
    }
    assert two.observation.fields == {"x": 2, "day": None, "at": None, "took": None, "many": [], "high": 3.5}


@pytest.mark.parametrize(("cell", "says"), [(math.inf, "is infinite"), (b"\x00", "of the type bytes")])
def test_what_has_no_plain_form_is_refused_with_its_place(tmp_path: Path, cell: Any, says: str) -> None:
    content = parquet(tmp_path, {"x": [cell], "y": ["good"]})
    with pytest.raises(DatasetError, match=rf"t\.parquet, line 1: the row's 'x' .*{says}"):
        read(tmp_path, "t.parquet", content, plain_task(MOOD))


def test_names_that_become_the_same_are_refused_with_their_line(tmp_path: Path) -> None:
    double = {"\ufeffx": [1], "x": [2], "y": ["good"]}
    for name, content, line in (
        ("t.csv", b"\xef\xbb\xbf x,\xef\xbb\xbfx,y\n1,2,good\n", "line 1: 2 columns are called 'x'"),
        (
            "t.jsonl",
            '{"x": 1, "y": "good"}\n{"\ufeffx": 1, "x": 2, "y": "bad"}',
            "line 2: the row has the name 'x' twice",
        ),
        ("t.parquet", parquet(tmp_path, double), "line 1: the row has the name 'x' twice"),
    ):
        with pytest.raises(DatasetError, match=rf"{name}, {line}"):
            read(tmp_path, name, content, plain_task(MOOD))


def test_a_parquet_file_over_which_polars_panics_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def panics(_: object) -> None:
        raise polars.exceptions.PanicException("range end index 3110 out of range")

    monkeypatch.setattr(polars, "read_parquet", panics)
    with pytest.raises(DatasetError, match="not a Parquet file"):
        read_rows(Path("day.parquet"), b"PAR1...PAR1")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", "a, first\tb\n1\t2\n"),
        ("t.csv", "a, first;b, last;c\n1;2;3\n"),
        ("t.csv", "a, first;b\n1,5;2\n"),
        ("t.csv", 'a; first,b\n"x;\ny",2\n'),
    ],
)
def test_names_of_columns_may_hold_what_separates_others(name: str, content: str) -> None:
    separator = {"t.tsv": "\t"}.get(name, "," if "; first," in content else ";")
    table = read_rows(Path(name), content.encode())
    assert table.columns == tuple(content.splitlines()[0].split(separator))


def test_a_row_that_a_template_cannot_show_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    columns = Columns({"mood": "y"}, order="o")
    plain = msgspec.structs.replace(TASK, answer=TASK.answer[:1], data=columns)
    for line, cell, says in (
        ('{{ x.split(" ") | first }}', "a b", "what is missing has no 'split'"),
        ("{{ x * 2 }}", 2, ""),
    ):
        rows = [{"o": n, "x": None if n == 7 else cell, "y": "good"} for n in range(9)]
        with pytest.raises(TaskError, match=f"step 7 of all: task t, template line: {says}") as caught:
            read(tmp_path, "t.jsonl", as_json_lines(rows), msgspec.structs.replace(plain, line=line))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_what_is_one_sequence_can_be_had_undivided(tmp_path: Path, rows: int) -> None:
    task = msgspec.structs.replace(TASK, answer=TASK.answer[:1], data=Columns({"mood": "y"}, order="o"))
    lines = [{"o": n, "x": n, "y": "good"} for n in range(rows)]
    (whole,) = read(tmp_path, "t.jsonl", as_json_lines(lines), task).whole
    assert [(step.observation.t, step.observation.fields["x"]) for step in whole.steps] == [(n, n) for n in range(rows)]
    apart = msgspec.structs.replace(task, data=Columns({"mood": "y"}, order="o", fields=("x",), sequence="x"))
    found = read(tmp_path, "t.jsonl", as_json_lines(lines), apart)
    assert {sequence.info.id for sequence in found.whole} == {str(n) for n in range(rows)}
