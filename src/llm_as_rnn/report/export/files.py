"""Tables as files: CSV, JSON lines and Parquet, and beside them ``tables.json``, which says what they hold."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from llm_as_rnn.core.errors import RunError, UsageError
from llm_as_rnn.core.files import make_folder, make_private, replacing, write_atomically
from llm_as_rnn.report.export.frames import as_text, polars_frame
from llm_as_rnn.report.export.tables import Table, Tables, described
from llm_as_rnn.runs.directory import RunDirectory

INDEX = "tables.json"
"""What the tables hold, column by column, with the version of the schema."""


def write_csv(table: Table, file: IO[bytes]) -> int:
    """Write a table as CSV in UTF-8: an empty cell is missing, lists and other JSON values are written as JSON.

    Returns
    -------
    int
        How many rows there are.
    """
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in table.columns)
    rows = 0
    for rows, cells in enumerate(table.cells(), 1):  # noqa: B007 - how many there were
        writer.writerow(map(_cell, cells))
    text.detach()
    return rows


def _cell(value: Any) -> Any:
    match value:
        case bool() | list() | dict():
            return as_text(value)
        case _:
            return value


def write_json_lines(table: Table, file: IO[bytes]) -> int:
    """Write a table as JSON lines, an object a row with every column in it."""
    rows = 0
    for rows, row in enumerate(table.rows(), 1):  # noqa: B007 - how many there were
        file.write(msgspec.json.encode(row) + b"\n")
    return rows


def write_parquet(table: Table, file: IO[bytes]) -> int:
    """Write a table as Parquet; all of it is held at once.

    Raises
    ------
    MissingExtraError
        If polars is not installed.
    """
    frame = polars_frame(table)
    frame.write_parquet(file)
    return frame.height


WRITERS: dict[str, tuple[str, Callable[[Table, IO[bytes]], int]]] = {
    "csv": ("csv", write_csv),
    "json": ("jsonl", write_json_lines),
    "parquet": ("parquet", write_parquet),
}
"""By the name of each format: what its files end with, and what writes one."""


def write_tables(tables: Tables, kind: str, folder: Path) -> list[Path]:
    """Write a run's tables into a folder; what was written there before is replaced.

    Parameters
    ----------
    tables : Tables
        The tables.
    kind : str
        One of `WRITERS`.
    folder : Path
        The folder; it is made if it is not there. With credentialed data it is for its owner only.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    RunError
        If they cannot be written.
    """
    ending, write = WRITERS[kind]
    private = tables.info.credentialed
    rows: dict[str, int] = {}
    files = []
    with telling(folder):
        require_folder(folder, private=private)
        for table in tables.all():
            path = folder / f"{table.name}.{ending}"
            with replacing(path, private=private) as file:
                rows[table.name] = write(table, file)
            files.append(path)
        content = msgspec.json.format(msgspec.json.encode(described(tables, rows)), indent=2)
        write_atomically(folder / INDEX, content + b"\n", private=private)
    return [*files, folder / INDEX]


@contextmanager
def telling(place: Path) -> Iterator[None]:
    """Turn what the system says into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{error.filename or place} cannot be written: {error.strerror}", "choose another --out"
        ) from error


def require_folder(folder: Path, *, private: bool) -> None:
    """Make a folder unless it is there; a new one of private data is for its owner only.

    A folder of the user's own that is there already stays as open as it is: the files in it are the owner's anyway.

    Raises
    ------
    UsageError
        If it is a run's, whose own files have names that exports have too.
    OSError
        If it cannot be made.
    """
    if RunDirectory(folder).holds_run:
        raise UsageError(f"{folder} is the folder of a run, whose files must stay as they are", "choose another --out")
    if private and not folder.exists():
        make_private(folder)
    else:
        make_folder(folder)
