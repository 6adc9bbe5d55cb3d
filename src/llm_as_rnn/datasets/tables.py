"""A user's own table as sequences: which column means what stands in the task file's ``data`` section.

Splits do not depend on the run's seed, so that no seed mixes them: a sequence belongs to ``development`` or
``held_out`` by a hash of its id, each with even odds, and stays there when rows or sequences are added. Of a table
that is one sequence, the earlier half is ``development`` and the later half ``held_out``; a run that asks for several
sequences of it gets stretches of such a half, each as long as the run's steps.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import UNSET

from llm_as_rnn.core.columns import Columns
from llm_as_rnn.core.documents import did_you_mean
from llm_as_rnn.core.errors import AnswerError, DatasetError, TaskError
from llm_as_rnn.core.fields import Field, Number
from llm_as_rnn.core.figures import in_full
from llm_as_rnn.core.records import Observation, Record, SequenceInfo, Value
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Row, Selection, Sequence, Split, Step
from llm_as_rnn.datasets.formats import Rows, read_data, read_rows
from llm_as_rnn.datasets.notation import notation_of

_INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls the numbers of rows where it writes them into a Parquet file."""

WHOLE = "all"
"""The id of the only sequence, where no column tells sequences apart."""


class Table(Record, frozen=True):
    """A user's data, read and checked.

    Attributes
    ----------
    path : Path
        Where it came from.
    digest : str
        Fingerprint of the file.
    splits : dict of str to tuple of Sequence
        All sequences in the file's order, by part.
    notices : tuple of str
        What a user should know of how it was read, each in one line.
    """

    path: Path
    digest: str
    splits: dict[Split, tuple[Sequence, ...]]
    notices: tuple[str, ...] = ()

    @property
    def whole(self) -> tuple[Sequence, ...]:
        """All sequences, whichever part they are in; a table that is one sequence has it undivided."""
        every = tuple(sequence for part in self.splits.values() for sequence in part)
        if not self._is_one_sequence:
            return every
        return (Sequence(every[0].info, _renumbered(tuple(step for half in every for step in half.steps))),)

    def count(self, split: Split) -> int:
        """Give the number of sequences in a part.

        Raises
        ------
        DatasetError
            If it holds none.
        """
        if not self.splits[split]:
            other = next(name for name, sequences in self.splits.items() if sequences)
            raise DatasetError(
                f"{self.path}: none of its data falls into {split}", f"use --split {other}, or more data"
            )
        return len(self.splits[split])

    def longest(self, split: Split) -> int:
        """Give the length of the longest sequence in a part, in steps."""
        return max(len(sequence.steps) for sequence in self.splits[split])

    def cut(self, selection: Selection) -> list[Sequence]:
        """Choose sequences by the seed, and take the first steps of each; shorter ones are taken whole.

        Of a table that is one sequence, several are stretches that lie end to end, each with all of its steps.

        Raises
        ------
        DatasetError
            If there are too few.
        """
        there = self.count(selection.split)
        sequences = self.splits[selection.split]
        if selection.sequences > 1 and self._is_one_sequence:
            sequences = self._stretches(selection)
        elif selection.sequences > there:
            raise DatasetError(
                f"{self.path} has {there} sequences in {selection.split}: too few for {selection.sequences}",
                f"use --sequences {there} or less",
            )
        rng = random.Random(selection.seed)  # noqa: S311 - a repeatable choice, not a secret
        chosen = sorted(rng.sample(range(len(sequences)), selection.sequences))
        return [Sequence(sequences[place].info, sequences[place].steps[: selection.steps]) for place in chosen]

    @property
    def _is_one_sequence(self) -> bool:
        return len({sequence.info.id for part in self.splits.values() for sequence in part}) == 1

    def _stretches(self, selection: Selection) -> tuple[Sequence, ...]:
        (whole,) = self.splits[selection.split]
        there, steps = len(whole.steps), selection.steps
        if selection.sequences * steps > there:
            most = there // selection.sequences
            raise DatasetError(
                f"{self.path} is one sequence, with {there} steps in {selection.split}: too few for "
                f"{selection.sequences} stretches of {steps}",
                f"use --steps {most} or less" if most else f"use --sequences {there} or less",
            )
        begins = range(0, there - steps + 1, steps)
        return tuple(_stretch(whole, begin, begin + steps) for begin in begins)


def read_table(path: Path, task: Task) -> Table:
    """Read a user's data as the task's ``data`` section says.

    Parameters
    ----------
    path : Path
        CSV (separated by comma, semicolon or tab), JSON (a list, or lines), or Parquet.
    task : Task
        With a ``data`` section.

    Raises
    ------
    TaskError
        If the task has no such section.
    DatasetError
        If the data is broken or does not fit the task; the message names file, line and column.
    MissingExtraError
        If the file needs a package that is not installed.
    """
    if task.data is UNSET:
        raise TaskError(
            f"task {task.name} does not say which columns of {path} mean what", "add a data section to its file"
        )
    content = read_data(path)
    rows = read_rows(path, content, _text_columns(task, task.data), notation_of(task.data), task.data.says_nothing)
    reader = _Reader(path, task, task.data, rows.columns)
    sequences = reader.sequences(rows)
    reader.require_templates(sequences)
    return Table(path, hashlib.sha256(content).hexdigest()[:16], _split(sequences), reader.notices())


class _Reader:
    """Turns rows into sequences, and names the place of what does not fit."""

    def __init__(self, path: Path, task: Task, columns: Columns, there: tuple[str, ...]) -> None:
        self._path = path
        self._task = task
        self._columns = columns
        self._outcomes = [
            (field, columns.outcome[field.name]) for field in task.answer if field.name in columns.outcome
        ]
        self._notation = notation_of(columns)
        hidden = () if columns.later else tuple(columns.outcome.values())
        named = {*columns.apart, columns.order, *hidden, *columns.about}
        for name in (*columns.fields, *columns.about, *columns.apart, columns.order, *columns.outcome.values()):
            if name and name not in there:
                raise DatasetError(
                    f"{path} has no column {name!r}, which task {task.name} names", _column_hint(name, columns, there)
                )
        left = [name for name in there if name not in named]
        self._index = [] if columns.fields else [name for name in left if _INDEX.fullmatch(name)]
        self._shown = columns.fields or tuple(name for name in left if name not in self._index)
        self._ties: list[tuple[int, int]] = []
        self._implausible: dict[str, list[Row]] = {}
        self._require_last()

    def _require_last(self) -> None:
        for field in self._task.answer:
            if field.last and field.last not in self._shown:
                raise DatasetError(
                    f"{self._path}: {field.last!r}, the last value of answer field {field.name!r}, is not a "
                    "column that is shown",
                    did_you_mean(field.last, self._shown),
                )

    def notices(self) -> tuple[str, ...]:
        """Say what was done with the rows that a user may not expect."""
        found = [
            f"{self._path}: the column {name!r} is left out: pandas numbered its rows there (name it under data.fields "
            "if it is to be shown)"
            for name in self._index
        ]
        if self._ties:
            first, second = self._ties[0]
            found.append(
                f"{self._path}, column {self._columns.order!r}: {len(self._ties)} rows have the place of one before "
                f"them in their sequence, first lines {first} and {second}: they stay in the file's order"
            )
        for field, column in self._outcomes:
            rows = self._implausible.get(column, [])
            if rows and isinstance(field, Number):
                low, high = in_full(field.low), in_full(field.high)
                found.append(
                    f"{self._path}, column {column!r}: {len(rows)} outcomes lie outside of {low} to {high}, which no "
                    f"answer can, first in line {rows[0].line}: they are learned and scored"
                )
        if self._columns.later > 1:
            found.append(
                f"{self._path}: outcomes stand {self._columns.later} rows ahead, so a run tells each of them that many "
                "steps after its prediction"
            )
        return tuple(found)

    def sequences(self, rows: Rows) -> list[Sequence]:
        by_id: dict[str, list[Row]] = {}
        for row in rows.rows:
            by_id.setdefault(self._id(row), []).append(row)
        kind = self._order_kind(rows.rows[0], self._columns.order) if self._columns.order else ""
        return [self._sequence(name, found, kind) for name, found in by_id.items()]

    def _sequence(self, name: str, rows: list[Row], kind: str) -> Sequence:
        if self._columns.order:
            rows = self._sorted(rows, kind)
        targets = [self._target(row) for row in rows]
        # Where the outcome of a row stands in a later one, that of the last rows never becomes known.
        targets = [*targets[self._columns.later :], *[None] * min(self._columns.later, len(rows))]
        steps = tuple(
            Step(
                Observation(name, t, {column: self._shown_cell(row, column) for column in self._shown}),
                target,
                str(row.cells[self._columns.order]).strip() if self._columns.order else "",
            )
            for t, (row, target) in enumerate(zip(rows, targets, strict=True))
        )
        return Sequence(
            SequenceInfo(name, {column: self._constant(rows, column) for column in self._columns.about}), steps
        )

    def _id(self, row: Row) -> str:
        if not self._columns.apart:
            return WHOLE
        values = []
        for column in self._columns.apart:
            cell = row.cells[column]
            if cell is None or isinstance(cell, list | dict):
                raise self._error(row, column, "does not name a sequence", "fill it in")
            values.append(str(cell).strip())
        return sequence_id(values)

    def _sorted(self, rows: list[Row], kind: str) -> list[Row]:
        column = self._columns.order
        found: dict[Any, list[Row]] = {}  # numbers or dates, of one kind
        for row in rows:
            if self._order_kind(row, column) != kind:
                what = f"{row.cells[column]!r} is not {kind}, as the first row has it"
                raise self._error(row, column, what, f"write all of them alike: {self._order_hint}")
            key = self._order_key(row.cells[column])
            assert key is not None  # noqa: S101 - its kind says so
            same = found.setdefault(key, [])
            if same:
                self._ties.append((same[0].line, row.line))
            same.append(row)
        return [row for key in sorted(found) for row in found[key]]

    @property
    def _order_hint(self) -> str:
        if self._columns.dates is not UNSET:
            return f"as {self._columns.dates}, which data.dates names"
        return "numbers, or ISO dates such as 2024-05-31 (data.dates can name another format)"

    def _order_kind(self, row: Row, column: str) -> str:
        key = self._order_key(row.cells[column])
        if key is None:
            raise self._error(
                row, column, f"{_quote(row.cells[column])} is no place in an order", f"use {self._order_hint}"
            )
        if isinstance(key, datetime):
            return "a date without a time zone" if key.tzinfo is None else "a time with a time zone"
        return "a number"

    def _order_key(self, cell: Any) -> float | datetime | None:
        if cell is None or isinstance(cell, bool):
            return None
        try:
            if self._columns.dates is not UNSET:
                return datetime.strptime(str(cell).strip(), self._columns.dates)  # noqa: DTZ007 - the format says
            if isinstance(cell, str):
                return datetime.fromisoformat(cell.strip())
        except ValueError:
            return None
        return cell if isinstance(cell, int | float) else None

    def _shown_cell(self, row: Row, column: str) -> Any:
        cell = row.cells[column]
        for field in self._task.answer:
            if field.last == column and cell is not None:
                # Compared with outcomes, so it must be of their type: a label 1 is not the number 1.
                if not isinstance(field, Number):
                    return _text(cell)
                if isinstance(cell, bool) or not isinstance(cell, int | float):
                    what = f"{cell!r} is not a number, as the last value of {field.name!r} must be"
                    raise self._error(row, column, what, "correct the cell, or leave it empty")
        return cell

    def _target(self, row: Row) -> dict[str, Value] | None:
        known = {
            field.name: self._outcome(row, field, column)
            for field, column in self._outcomes
            if row.cells[column] not in (None, [])
        }
        return known or None

    def _outcome(self, row: Row, field: Field, column: str) -> Value:
        cell = row.cells[column]
        is_figure = isinstance(field, Number) and isinstance(cell, str)
        written = self._notation.pointed(cell) if is_figure else cell
        if written == "":
            what = f"{cell!r} is no number: {self._notation.in_words}"
            raise self._error(row, column, what, "correct the cell, or what data says of decimal and thousands")
        try:
            outcome = field.read_outcome(written)
        except AnswerError as error:
            raise self._error(row, column, error.message, _outcome_hint(field, cell)) from None
        if isinstance(field, Number) and not field.is_plausible(outcome):
            self._implausible.setdefault(column, []).append(row)
        return outcome

    def _constant(self, rows: list[Row], column: str) -> Any:
        first = rows[0]
        for row in rows:
            if row.cells[column] != first.cells[column]:
                raise self._error(
                    row,
                    column,
                    f"{row.cells[column]!r} here, but {first.cells[column]!r} in line {first.line} of its sequence",
                    "list what changes under fields, not about",
                )
        return first.cells[column]

    def require_templates(self, sequences: list[Sequence]) -> None:
        """Fill all templates before anything is asked, so that a column that is not there is named.

        Once for each column with something in it and with nothing, and for texts and numbers: a template may be right
        for the one and not for the other.
        """
        shown: set[tuple[str, type]] = set()
        for sequence in sequences:
            for step in sequence.steps:
                kinds = {(name, _kind(cell)) for name, cell in step.observation.fields.items()}
                if not kinds <= shown or not shown:
                    self._require_shown(sequence, step)
                    shown |= kinds

    def _require_shown(self, sequence: Sequence, step: Step) -> None:
        for form in ("line", "case", "json"):
            try:
                self._task.show(step.observation, form, sequence.info.about)
            except TaskError as error:
                if not error.lacks:
                    where = f"{self._path}, step {step.observation.t} of {sequence.info.id}"
                    raise TaskError(f"{where}: {error.message}", error.hint) from None
                what = f"{self._path} has no column {error.lacks!r} to show, which task {self._task.name}"
                raise TaskError(
                    f"{what} names in its template {form if form != 'json' else 'observation'}",
                    self._template_hint(error.lacks),
                ) from None

    def _template_hint(self, missing: str) -> str:
        if missing in self._columns.outcome.values() and not self._columns.later:
            return f"{missing} is an outcome, which is never shown"
        return did_you_mean(missing, (*self._shown, "about"))

    def _error(self, row: Row, column: str, what: str, hint: str) -> DatasetError:
        return DatasetError(f"{self._path}, line {row.line}, column {column!r}: {what}", hint)


def _text_columns(task: Task, columns: Columns) -> set[str]:
    """Name the columns whose cells are read by their own rules: a label 1.50 must not become the number 1.5."""
    last = {field.last for field in task.answer if not isinstance(field, Number)}
    # What is shown as well has to be a number where the outcome is one.
    figures = {field.name for field in task.answer if isinstance(field, Number)} if columns.later else set()
    outcomes = {column for name, column in columns.outcome.items() if name not in figures}
    dates = {columns.order} if columns.dates is not UNSET else set()
    return {*columns.apart, *outcomes, *last, *dates}


def _column_hint(name: str, columns: Columns, there: tuple[str, ...]) -> str:
    parts = [part.strip() for part in name.split(",")]
    if columns.sequence == name and len(parts) > 1 and all(part in there for part in parts):
        return f"write several columns as a list: sequence: [{', '.join(parts)}]"
    return did_you_mean(name, there)


def sequence_id(values: Iterable[str]) -> str:
    r"""Name a sequence by its values in the columns that tell sequences apart.

    A single value is the name. Several are joined by ``/``; one that stands in a value has ``\`` before it, so that
    different values never have one name.

    >>> sequence_id(["A/B"]), sequence_id(["harbour", "rolls"])
    ('A/B', 'harbour/rolls')
    >>> print(sequence_id(["A/B", "rolls"]), sequence_id(["A", "B/rolls"]))
    A\/B/rolls A/B\/rolls
    """
    first, *others = values
    if not others:
        return first
    return "/".join(value.replace("\\", r"\\").replace("/", r"\/") for value in (first, *others))


def _quote(cell: Any) -> str:
    return "an empty cell" if cell is None else repr(cell)


def _outcome_hint(field: Field, cell: Any) -> str:
    if field.options:
        return did_you_mean(str(cell), field.options)
    if isinstance(field, Number) and isinstance(cell, str) and re.fullmatch(r"[-+0-9.]+,[0-9]+", cell.strip()):
        return 'say decimal: "," under data, if that is what a comma means here, and write no points before it'
    return "correct the cell, or leave it empty"


def _kind(cell: Any) -> type:
    """Give the type of a cell; of numbers, one for all."""
    return float if isinstance(cell, int) else type(cell)


def _text(cell: Any) -> str:
    return " ".join(str(cell).split())


def _split(sequences: list[Sequence]) -> dict[Split, tuple[Sequence, ...]]:
    if len(sequences) == 1:
        info, steps = sequences[0].info, sequences[0].steps
        middle = (len(steps) + 1) // 2
        halves: Iterable[tuple[Step, ...]] = (steps[:middle], _renumbered(steps[middle:]))
        return {
            split: (Sequence(info, half),) if half else () for split, half in zip(get_args(Split), halves, strict=True)
        }
    return {split: tuple(s for s in sequences if part_of(s.info.id) == split) for split in get_args(Split)}


def part_of(sequence: str) -> Split:
    """Say which part of the data a sequence belongs to, by its name."""
    odd = hashlib.sha256(f"split of {sequence}".encode()).digest()[0] % 2
    return "held_out" if odd else "development"


def _stretch(whole: Sequence, begin: int, end: int) -> Sequence:
    """Give a part of a sequence as one of its own, which is called by the places of its steps."""
    name = f"{whole.info.id} {begin + 1}-{end}"
    renamed = (
        msgspec.structs.replace(step, observation=msgspec.structs.replace(step.observation, sequence=name, t=t))
        for t, step in enumerate(whole.steps[begin:end])
    )
    return Sequence(msgspec.structs.replace(whole.info, id=name), tuple(renamed))


def _renumbered(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(
        msgspec.structs.replace(step, observation=msgspec.structs.replace(step.observation, t=t))
        for t, step in enumerate(steps)
    )
