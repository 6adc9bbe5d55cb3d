"""A user's file to rows: CSV, JSON and Parquet. What is broken is named by file and line."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from importlib import import_module
from pathlib import Path
from typing import Any

from llm_as_rnn.core.door import plain_fields, plain_text
from llm_as_rnn.core.errors import DatasetError, MissingExtraError, UsageError
from llm_as_rnn.core.files import read_file
from llm_as_rnn.core.records import Record
from llm_as_rnn.datasets.base import Row
from llm_as_rnn.datasets.notation import Notation
from llm_as_rnn.datasets.objects import objects

NUMBER = re.compile(r"[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
"""What counts as a number in CSV. Not codes such as 007, which would lose their zeros."""

_SEPARATOR = re.compile(r"""("?)sep=([^"])\1\2* *""", re.IGNORECASE)
"""The line that Excel reads before the column names; programs that write the file anew quote it, or fill it up with as
many separators as the other lines have."""

_AS_TEXT = (".csv", ".tsv")
"""Files that cannot tell a number from its text."""

INDEX = "__index_level_0__"
"""What pandas calls the numbers of rows in Parquet files: the first column is called so where a CSV file names all but
that one, as R and pandas write it."""

EXACT_DIGITS = 15
"""Digits that a float holds exactly; longer figures are taken for codes."""


PLAIN = Notation()
"""How programs write numbers: with a point before decimals, and no other signs."""


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


def read_data(path: Path) -> bytes:
    """Read a file of data that a user names.

    Raises
    ------
    DatasetError
        If it is not there, or cannot be read.
    """
    try:
        return read_file(path)
    except FileNotFoundError:
        raise DatasetError(f"data file {path} does not exist", "check the path") from None
    except OSError as error:
        raise DatasetError(f"data file {path} cannot be read: {error.strerror}", "check the path") from error


def read_cells(path: Path, content: bytes) -> Rows:
    """Read a file by its extension; what CSV holds stays text.

    Parameters
    ----------
    path : Path
        Its name, for the extension and for messages.
    content : bytes
        What it holds.

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
    table = reader(path, content)
    if not table.rows:
        raise DatasetError(f"{path} has {'column names, but ' if table.columns else ''}no rows", "check the file")
    return table


def read_rows(
    path: Path,
    content: bytes,
    as_text: Set[str] = frozenset(),
    notation: Notation = PLAIN,
    says_nothing: Callable[[Any], bool] | None = None,
) -> Rows:
    """Read a file by its extension, with its numbers.

    Parameters
    ----------
    path, content
        As for `read_cells`, with its errors.
    as_text : set of str
        Columns whose cells are never converted to numbers.
    notation : Notation
        How numbers are written. In CSV, which does not tell numbers from text, columns of nothing but numbers become
        numbers; in other files they do where it is not the usual one, for then they had to be written as text.
    says_nothing : callable, optional
        Tells of a cell whether it stands for a value that is not there; an empty cell always does.
    """
    table = read_cells(path, content)
    table = table if says_nothing is None else without(table, says_nothing)
    return with_numbers(table, as_text, notation) if in_text(path) or not notation.is_plain else table


def in_text(path: Path) -> bool:
    """Tell whether a file is of a kind that cannot tell a number from its text."""
    return path.suffix.lower() in _AS_TEXT


def without(table: Rows, says_nothing: Callable[[Any], bool]) -> Rows:
    """Leave cells empty that stand for a value that is not there."""
    rows = (
        Row(row.line, {name: None if says_nothing(cell) else cell for name, cell in row.cells.items()})
        for row in table.rows
    )
    return Rows(table.columns, tuple(rows))


def with_numbers(table: Rows, as_text: Set[str], notation: Notation) -> Rows:
    """Convert the columns whose texts are all numbers, but for some."""
    convertible = [name for name in table.columns if name not in as_text]
    return Rows(table.columns, tuple(_with_numbers(convertible, table.rows, notation)))


def _read_csv(path: Path, content: bytes) -> Rows:
    records = _csv_records(path, decoded(path, content))
    first, header = next(records, (1, []))
    names = [plain_text(name.strip()).strip() for name in header]
    if not any(names):
        raise DatasetError(f"{path} names no columns", "name every column in the first line")
    if not names[0]:
        names[0] = INDEX
    rows = []
    for line, cells in records:
        if len(cells) != len(names):
            raise DatasetError(
                f"{path}, line {line}: {len(cells)} cells, but there are {len(names)} columns",
                "check separators, and put quotes around cells that hold one",
            )
        rows.append((line, [filled(plain_text(cell)) for cell in cells]))
    kept = [place for place, name in enumerate(names) if name or any(cells[place] is not None for _, cells in rows)]
    columns = tuple(names[place] for place in kept)
    _require_names(path, first, names, kept)
    found = (Row(line, {names[place]: cells[place] for place in kept}) for line, cells in rows)
    return Rows(columns, tuple(found))


def _require_names(path: Path, line: int, names: Sequence[str], kept: Sequence[int]) -> None:
    """Refuse a column without a name that holds something, and two with one name."""
    for place in kept:
        if not names[place]:
            raise DatasetError(
                f"{path}, line {line}: column {place + 1} has no name", "name every column in the first line"
            )
    for name, count in Counter(names[place] for place in kept).items():
        if count > 1:
            raise DatasetError(f"{path}, line {line}: {count} columns are called {name!r}", "give each its own name")


def _csv_records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Give each record with the line that it begins in; a record may go over several lines."""
    first = re.split("[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    # Python's own limit for a cell is one of caution; the file is in memory already.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    named = _SEPARATOR.fullmatch(first)
    delimiter = named[2] if named else _likeliest(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        if named:
            next(cells for cells in reader if cells)
            line = reader.line_num + 1
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(f"{path}, line {line}: {error}", "check the quotes in this line") from error


def _likeliest(text: str) -> str:
    """Give the separator that cuts the first record into most pieces, and the second one into as many.

    Names of columns may hold another one: with semicolons, ``Weight, net;Weight, gross;Day``. Where both would do, it
    is not the comma, which is seen in names and before decimals.
    """
    return max(",;\t", key=lambda char: _pieces(text, char))


def _pieces(text: str, separator: str) -> tuple[bool, int, bool]:
    """Count the pieces of the first record, and say whether the second one has as many, and if they show anything."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        first, *rest = (len(cells) for cells in itertools.islice(filter(None, reader), 2))
    except (csv.Error, ValueError):  # what is wrong with it is told where the line is read
        return False, 0, False
    return first > 1 and rest == [first], first, first > 1 and separator != ","


def _with_numbers(columns: Iterable[str], rows: Iterable[Row], notation: Notation) -> Iterator[Row]:
    """Convert the columns whose texts are all numbers; in a column of codes, 250.00 stays what it is beside V27."""
    numeric = [name for name in columns if all(is_number(row.cells[name], notation) for row in rows)]
    for row in rows:
        yield Row(row.line, {**row.cells, **{name: _number(row.cells[name], notation) for name in numeric}})


def is_number(cell: Any, notation: Notation) -> bool:
    """Tell whether a cell does not keep its column from being one of numbers: what is no text is what it is."""
    if not isinstance(cell, str):
        return True
    bare = notation.pointed(cell)
    whole = bare.lstrip("+-")
    if not NUMBER.fullmatch(bare) or (whole.isdigit() and len(whole) > EXACT_DIGITS):
        return False
    return math.isfinite(float(bare))


def _number(cell: Any, notation: Notation) -> Any:
    if not isinstance(cell, str):
        return cell
    bare = notation.pointed(cell)
    return int(bare) if bare.lstrip("+-").isdigit() else float(bare)


def _read_json(path: Path, content: bytes) -> Rows:
    rows = [Row(line, _plain(path, line, cells)) for line, cells in objects(path, decoded(path, content))]
    columns = tuple(dict.fromkeys(name for row in rows for name in row.cells))
    complete = (Row(row.line, {name: row.cells.get(name) for name in columns}) for row in rows)
    return Rows(columns, tuple(complete))


def _read_parquet(path: Path, content: bytes) -> Rows:
    try:
        polars: Any = import_module("polars")  # late: it is large, and only Parquet needs it
    except ModuleNotFoundError:
        raise MissingExtraError("polars", "parquet") from None
    try:
        frame = polars.read_parquet(io.BytesIO(content))
        every = list(frame.iter_rows(named=True))
    # Of a damaged file polars may not only complain, but panic, which is no Exception.
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError, ValueError) as error:
        raise DatasetError(f"{path} is not a Parquet file that can be read: {error}", "write it again") from error
    rows = (Row(number, _plain(path, number, cells)) for number, cells in enumerate(every, 1))
    return Rows(tuple(map(plain_text, frame.columns)), tuple(rows))


def _plain(path: Path, line: int, cells: Mapping[str, Any]) -> dict[str, Any]:
    """Take cells in at the door."""
    try:
        found = plain_fields(cells, f"{path}, line {line}: the row")
    except UsageError as error:
        raise DatasetError(error.message, error.hint) from error
    return {name: filled(cell) for name, cell in found.items()}


def filled(cell: Any) -> Any:
    """Give what a cell holds; an empty text is nothing."""
    return None if isinstance(cell, str) and not cell.strip() else cell


def decoded(path: Path, content: bytes) -> str:
    """Give the text of a file.

    Raises
    ------
    DatasetError
        If it is not UTF-8; the message names the line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DatasetError(
            f"{path}, line {line}: not UTF-8", "save the file as UTF-8, which Excel calls CSV UTF-8"
        ) from error


READERS: Mapping[str, Callable[[Path, bytes], Rows]] = {
    **dict.fromkeys(_AS_TEXT, _read_csv),
    ".json": _read_json,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".parquet": _read_parquet,
}
"""How files are read, by extension."""
