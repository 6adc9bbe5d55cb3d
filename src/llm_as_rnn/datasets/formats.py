"""A user's file to rows: CSV, JSON lines and Parquet. What is broken is named by file and line."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from llm_as_rnn.errors import DatasetError, MissingExtraError
from llm_as_rnn.records import Record

NUMBER = re.compile(r"[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
"""What counts as a number in CSV. Not codes such as 007, which would lose their zeros."""

EXACT_DIGITS = 15
"""Digits that a float holds exactly; longer figures are taken for codes."""


class Row(Record, frozen=True):
    """One row of a table.

    Attributes
    ----------
    line : int
        Where it begins in its file, 1-based; in Parquet the row's number.
    cells : dict of str to JSON value
        By column; None where there is nothing.
    """

    line: int
    cells: dict[str, Any]


class Rows(Record, frozen=True):
    """A table as it was read.

    Attributes
    ----------
    columns : tuple of str
        In the file's order.
    rows : tuple of Row
        At least one.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_rows(path: Path, content: bytes, as_text: Set[str] = frozenset()) -> Rows:
    """Read a file by its extension.

    Parameters
    ----------
    path : Path
        Its name, for the extension and for messages.
    content : bytes
        What it holds.
    as_text : set of str
        Columns whose cells are never converted to numbers, where the file does not tell the two apart.

    Raises
    ------
    DatasetError
        If it is of another kind, broken or empty; the message names the line.
    MissingExtraError
        If it is Parquet, and polars is not installed.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(f"{path}: no table that can be read here", f"use one of {', '.join(READERS)}")
    if not content.strip():
        raise DatasetError(f"{path} is empty", "check the file")
    table = reader(path, content, as_text)
    if not table.rows:
        raise DatasetError(f"{path} has column names, but no rows", "check the file")
    return table


def _read_csv(path: Path, content: bytes, as_text: Set[str]) -> Rows:
    records = _csv_records(path, _decode(path, content))
    _, header = next(records)
    columns = tuple(name.strip() for name in header)
    for number, name in enumerate(columns, 1):
        if not name:
            raise DatasetError(f"{path}, line 1: column {number} has no name", "name every column in the first line")
    for name, count in Counter(columns).items():
        if count > 1:
            raise DatasetError(f"{path}, line 1: {count} columns are called {name!r}", "give each its own name")
    rows = []
    for line, cells in records:
        if len(cells) != len(columns):
            raise DatasetError(
                f"{path}, line {line}: {len(cells)} cells, but there are {len(columns)} columns",
                "check separators, and put quotes around cells that hold one",
            )
        rows.append(
            Row(line, {name: cell if cell.strip() else None for name, cell in zip(columns, cells, strict=True)})
        )
    return Rows(columns, tuple(_with_numbers([name for name in columns if name not in as_text], rows)))


def _csv_records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Give each record with the line that it begins in; a record may go over several lines."""
    first = text.lstrip("\r\n").splitlines()[0]
    # The separator is the one that cuts the first line into most pieces.
    delimiter = max(",;\t", key=lambda char: len(next(csv.reader([first], delimiter=char))))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(f"{path}, line {line}: {error}", "check the quotes in this line") from error


def _with_numbers(columns: Iterable[str], rows: list[Row]) -> Iterator[Row]:
    """Convert the columns that hold nothing but numbers; in a column of codes, 250.00 stays what it is beside V27."""
    numeric = [name for name in columns if all(_is_number(row.cells[name]) for row in rows)]
    for row in rows:
        yield Row(row.line, {**row.cells, **{name: _number(row.cells[name]) for name in numeric}})


def _is_number(cell: str | None) -> bool:
    if cell is None:
        return True
    bare = cell.strip()
    whole = bare.lstrip("+-")
    if not NUMBER.fullmatch(bare) or (whole.isdigit() and len(whole) > EXACT_DIGITS):
        return False
    return math.isfinite(float(bare))


def _number(cell: str | None) -> float | None:
    if cell is None:
        return None
    return int(cell) if cell.strip().lstrip("+-").isdigit() else float(cell)


def _read_json_lines(path: Path, content: bytes, _: Set[str]) -> Rows:
    _decode(path, content)
    rows = []
    columns: dict[str, None] = {}
    for line, text in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if text.strip():
            cells = _json_object(path, line, text)
            columns.update(dict.fromkeys(cells))
            rows.append(Row(line, cells))
    complete = (Row(row.line, {name: row.cells.get(name) for name in columns}) for row in rows)
    return Rows(tuple(columns), tuple(complete))


def _json_object(path: Path, line: int, text: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise DatasetError(f"{path}, line {line}: {error}", "write one JSON object on each line") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{path}, line {line}: not a JSON object", 'write {"column": value, ...} on each line')
    return {name: None if isinstance(cell, str) and not cell.strip() else cell for name, cell in value.items()}


def _read_parquet(path: Path, content: bytes, _: Set[str]) -> Rows:
    try:
        polars: Any = import_module("polars")  # late: it is large, and only Parquet needs it
    except ModuleNotFoundError:
        raise MissingExtraError("polars", "parquet") from None
    try:
        frame = polars.read_parquet(io.BytesIO(content))
    except (polars.exceptions.PolarsError, OSError, ValueError) as error:
        raise DatasetError(f"{path} is not a Parquet file that can be read: {error}", "write it again") from error
    rows = (Row(number, _plain(cells)) for number, cells in enumerate(frame.iter_rows(named=True), 1))
    return Rows(tuple(frame.columns), tuple(rows))


def _plain(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_cell(cell) for name, cell in cells.items()}


def _plain_cell(cell: Any) -> Any:
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    if isinstance(cell, str):
        return cell if cell.strip() else None
    if cell is None or isinstance(cell, bool | int | float):
        return cell
    if isinstance(cell, list):
        return [_plain_cell(part) for part in cell]
    return cell.isoformat() if isinstance(cell, date | datetime) else str(cell)


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DatasetError(f"{path}, line {line}: not UTF-8", "save the file as UTF-8") from error


READERS: Mapping[str, Callable[[Path, bytes, Set[str]], Rows]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
"""How files are read, by extension."""
