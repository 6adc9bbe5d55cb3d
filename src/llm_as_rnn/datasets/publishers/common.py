"""What the publishers' modules share: a dataset that has to be made, its rows, and an order for rows that have none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.datasets.base import Brought, Dataset, Maker, Row, Selection, Sequence
from llm_as_rnn.datasets.formats import read_rows

PAGE = "docs/datasets.md says where the files are"


def made_by_users(
    name: str, *, title: str, source: str, licence: str, predicts: str, size: str, maker: Maker
) -> Dataset:
    """Give a dataset that is not shipped, and says so with the command that makes it."""
    files = " ".join(["FILE", *("FURTHER" for _ in maker.files[1:])])
    bring = f"make its table for --data, as docs/datasets.md says: llm-as-rnn data make {name} {files}"

    def load(_: Selection) -> list[Sequence]:
        raise DatasetError(f"{name} is not shipped with this package", bring)

    return Dataset(
        name, title, source, licence, predicts, size, load=load, ready=lambda: bring, quick_budget=256, maker=maker
    )


def rows_of(file: Brought, columns: Iterable[str], what: str) -> list[Row]:
    """Read a publisher's table.

    Parameters
    ----------
    file : Brought
        CSV, JSON lines or Parquet.
    columns : iterable of str
        Those that are needed; they are read as text, and none of their cells may be empty.
    what : str
        Whose file it should be, for messages.

    Raises
    ------
    DatasetError
        If it is broken, lacks a column, which is then another publisher's file, or lacks a cell.
    """
    needed = tuple(columns)
    table = read_rows(file.path, file.content, frozenset(needed))
    for name in needed:
        if name not in table.columns:
            there = ", ".join(map(repr, table.columns[:8]))
            raise DatasetError(f"{file.path} is not {what}: it has no column {name!r}, but {there}", PAGE)
    for row in table.rows:
        for name in needed:
            if row.cells[name] is None:
                raise wrong(file, row.line, f"the cell {name!r} is empty")
    return list(table.rows)


def wrong(file: Brought, line: int, what: str) -> DatasetError:
    """Give the error of a line that is not as its publisher writes them."""
    return DatasetError(f"{file.path}, line {line}: {what}", "take the file as its publisher has it")


def scattered(rows: Iterable[Row]) -> list[Row]:
    """Put rows that stand by outcome into an order without meaning: by hashes of their lines, so the same everywhere.

    >>> [row.line for row in scattered([Row(1, {}), Row(2, {}), Row(3, {}), Row(4, {})])]
    [2, 4, 3, 1]
    """
    return sorted(rows, key=lambda row: hashlib.sha256(f"line {row.line}".encode()).digest())
