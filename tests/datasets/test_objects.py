"""JSON files: a list of objects or one a line, whatever the file is called; what is broken is named by its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.datasets.formats import INDEX, read_cells
from llm_as_rnn.datasets.objects import objects

ROWS = st.lists(
    st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=9))),
    min_size=1,
    max_size=6,
)


@given(rows=ROWS, indent=st.sampled_from([None, 0, 2]), name=st.sampled_from(["t.json", "t.jsonl"]), bom=st.booleans())
def test_a_list_is_read_as_lines_are(rows: list[dict[str, Any]], indent: int | None, name: str, bom: bool) -> None:
    path, mark = Path(name), "\ufeff" * bom
    listed = list(objects(path, json.dumps(rows, indent=indent)))
    lined = list(objects(path, mark + "\n".join(map(json.dumps, rows))))
    assert [found for _, found in listed] == [found for _, found in lined] == rows
    assert [line for line, _ in lined] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("indent", [None, 1])
def test_each_object_has_the_line_that_it_begins_in(indent: int | None) -> None:
    text = "\n" + json.dumps([{"a": 1, "b": "x\ny"}, {"a": 2}], indent=indent)
    begins = [line for line, words in enumerate(text.split("\n"), 1) if words.lstrip(" [").startswith("{")]
    assert [line for line, _ in objects(Path("t.json"), text)] == (begins if indent else [2, 2])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "line 1: Expecting value"),
        ('[{"a": 1},\n{"a": 2}', "line 2: the list breaks off"),
        ('[{"a": 1}\n{"a": 2}]', "line 2: the list breaks off, or lacks a comma"),
        ('[{"a": 1}]\n\n[{"a": 2}]', "line 3: something stands behind the list"),
        ("[1]", "line 1: not a JSON object"),
        ('[{"a": 1},\n{"a": NaN}]', "line 2: not JSON (JSON knows neither NaN"),
        ('[{"a": 1},\n{"a": -Infinity}]', "line 2: not JSON (JSON knows neither NaN"),
        ('{\n"data": [{"a": 1}]}', "line 1: Input data was truncated (write one JSON object on each line, or a list"),
        ('{"a": 1}\n[2]', "line 2: not a JSON object"),
        ("[" * 100_000, "line 1: "),
    ],
)
def test_what_is_broken_is_named_by_its_line(text: str, says: str) -> None:
    with pytest.raises(DatasetError) as raised:
        list(objects(Path("t.json"), text))
    assert f"t.json, {says}" in str(raised.value)


def test_an_empty_list_has_no_rows() -> None:
    with pytest.raises(DatasetError, match="has no rows"):
        read_cells(Path("t.json"), b" [ ] ")


# --- the first line of CSV --------------------------------------------------------------------------------------------


def columns(text: str) -> tuple[str, ...]:
    return read_cells(Path("t.csv"), text.encode()).columns


def test_columns_without_a_name() -> None:
    assert columns(",x\n1,2\n") == (INDEX, "x"), "rows are numbered there"
    assert columns("x;y;;\n1;2;;\n") == ("x", "y"), "what is empty is nothing"
    for text, number in (("x,,y\n1,2,3\n", 2), (",x,,\n1,2,,3\n", 4)):
        with pytest.raises(DatasetError, match=f"column {number} has no name"):
            columns(text)
    with pytest.raises(DatasetError, match="names no columns"):
        columns(",,\n1,2,3\n")
