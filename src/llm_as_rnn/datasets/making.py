"""The files of publishers to our tables: JSON lines with the columns that a shipped task reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as Many
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from llm_as_rnn.core.errors import AnswerError, DatasetError, UsageError
from llm_as_rnn.core.records import Record, writable_all
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.datasets.base import Brought, Dataset, Maker, Row
from llm_as_rnn.datasets.formats import read_data

MOST_NAMED = 5
"""How many outcomes that a task does not know are named."""


class Made(Record, frozen=True):
    """A table that was made.

    Attributes
    ----------
    content : bytes
        JSON lines.
    rows : int
        How many.
    notices : tuple of str
        What a user should know of how it was made, each in one line.
    """

    content: bytes
    rows: int
    notices: tuple[str, ...] = ()


def make(source: Dataset, paths: Many[Path], language: str = "", length: int | None = None) -> Made:
    """Make the table of a dataset from its publisher's own files.

    Rows whose outcome is none of the task's options are left out, and named: no answer to them could be right, and all
    methods would be measured by them alike.

    Parameters
    ----------
    source : Dataset
        What is to be made.
    paths : sequence of Path
        The publisher's files, as `Maker.files` has them.
    language : str
        Which one, for data in several languages.
    length : int, optional
        Steps of each sequence, for data that is cut into sequences; else what is usual for it.

    Returns
    -------
    Made
        The same bytes from the same files, on every machine.

    Raises
    ------
    UsageError
        If the dataset is not made in this way, or the files or options are not those that it takes.
    DatasetError
        If a file is broken, or another one.
    """
    maker = _maker(source, paths, language, length)
    files = tuple(Brought(path, read_data(path)) for path in paths)
    task = load_task(source.name)
    # A mapping or a template that is written in Python may spell out what no file can hold: a lone surrogate.
    rows = [Row(row.line, writable_all(row.cells)) for row in maker.rows(files, language)]
    kept, left = _known(task, rows)
    if not kept:
        raise DatasetError(f"{paths[0]}: {_unknown(task, left)}", "take the file as its publisher has it")
    notices = (f"{paths[0]}: {len(left)} rows are left out: {_unknown(task, left)}",) if left else ()
    lines = [msgspec.json.encode(row) + b"\n" for row in _numbered(kept, length or maker.length)]
    return Made(b"".join(lines), len(lines), notices)


def _maker(source: Dataset, paths: Many[Path], language: str, length: int | None) -> Maker:
    if source.maker is None:
        raise UsageError(f"the dataset {source.name} is not made of files of its publisher", "see llm-as-rnn data list")
    wanted = source.maker.files
    if len(paths) != len(wanted):
        raise UsageError(
            f"{source.name} is made of {len(wanted)} file{'s' if wanted[1:] else ''}, not {len(paths)}",
            f"name {', then '.join(wanted)}",
        )
    if language and not source.maker.in_languages:
        raise UsageError(f"{source.name} has one language", "leave --language out")
    if length is not None and not source.maker.length:
        raise UsageError(f"{source.name} is one sequence, which a run cuts", "use --sequences and --steps of run")
    if length is not None and length < 1:
        raise UsageError(f"a sequence has at least 1 step, not {length}", "correct --length")
    return source.maker


def _known(task: Task, rows: list[Row]) -> tuple[list[dict[str, Any]], list[Row]]:
    """Part the rows whose outcome the task can read from those whose it cannot."""
    kept, left = [], []
    for row in rows:
        try:
            outcome = {column: field.read_outcome(row.cells[column]) for field, column in _outcomes(task)}
        except AnswerError:
            left.append(row)
        else:
            kept.append({**row.cells, **outcome})
    return kept, left


def _outcomes(task: Task) -> list[tuple[Any, str]]:
    columns = {} if task.data is UNSET else task.data.outcome
    return [(field, columns[field.name]) for field in task.answer]


def _unknown(task: Task, rows: list[Row]) -> str:
    ((field, column),) = _outcomes(task)
    counts = Counter(str(row.cells[column]) for row in rows)
    named = ", ".join(f"{name!r} ({count})" for name, count in counts.most_common(MOST_NAMED))
    more = f" and {len(counts) - MOST_NAMED} more" if len(counts) > MOST_NAMED else ""
    first = min(row.line for row in rows)
    listed = f"none of the {len(field.options)} that task {task.name} lists"
    return f"{field.name} {named}{more} is {listed}, first in line {first}"


def _numbered(rows: list[dict[str, Any]], length: int) -> list[dict[str, Any]]:
    """Say of each row its place, and where they are cut into sequences the name of its own."""
    if not length:
        return [{"t": t, **row} for t, row in enumerate(rows)]
    return [{"sequence": f"s{n // length:03d}", "t": n % length, **row} for n, row in enumerate(rows)]
