"""A task that a table seems to be for, with the reasons and with what only a person can know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from llm_as_rnn.core.columns import Columns as Data
from llm_as_rnn.core.documents import did_you_mean
from llm_as_rnn.core.errors import DatasetError, TaskError, UsageError
from llm_as_rnn.core.fields import Field
from llm_as_rnn.core.records import Record
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.datasets.formats import INDEX, Rows
from llm_as_rnn.datasets.guessing import roles
from llm_as_rnn.datasets.guessing.answers import answer_field, plain_word
from llm_as_rnn.datasets.guessing.columns import Column, Columns, look_at
from llm_as_rnn.datasets.guessing.leaks import suspicion
from llm_as_rnn.datasets.guessing.templates import Templates, templates
from llm_as_rnn.datasets.guessing.words import NEXT, OUTCOMES

Role = Literal["outcome", "order", "sequence", "about", "shown", "left out"]
"""What a column is for."""

FEWEST = 2
"""Rows without which there is nothing to learn from."""


class Wishes(Record, frozen=True):
    """What somebody said of a table; None where nothing was said.

    Attributes
    ----------
    outcome : tuple of str, optional
        The columns to predict.
    order : str, optional
        The column that sorts rows; empty for none.
    sequence : tuple of str, optional
        The columns that tell sequences apart together; empty where the table is one sequence.
    ahead : int, optional
        How many rows later the outcome stands; 0 for the row itself.
    leave_out, keep : tuple of str
        Columns that are not shown, and those that are although they look like leaks.
    dates : str, optional
        How the dates of ``order`` are written.
    decimal : str, optional
        The sign before decimals.
    missing : tuple of str, optional
        What stands for a value that is not there.
    """

    outcome: tuple[str, ...] | None = None
    order: str | None = None
    sequence: tuple[str, ...] | None = None
    ahead: int | None = None
    leave_out: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    dates: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] | None = None


class Seen(Record, frozen=True):
    """A column, as it is proposed to be used.

    Attributes
    ----------
    name, holds : str
        The column, and what it holds, in words.
    role : str
        What it is for.
    why : str
        The reason, where it is not shown; empty where there is nothing to say.
    suspected : bool
        Whether it is left out because it seems to know the outcome.
    """

    name: str
    holds: str
    role: Role
    why: str = ""
    suspected: bool = False


class Doubt(Record, frozen=True):
    """What the table does not tell, and a person has to.

    Attributes
    ----------
    about : str
        Which of `Wishes` settles it.
    what : str
        What is open, in one line.
    choices : tuple of str
        What it may be, the likelier first.
    """

    about: Literal["dates", "decimal"]
    what: str
    choices: tuple[str, ...]


class Proposal(Record, frozen=True):
    """What was found in a table.

    Attributes
    ----------
    task : Task
        The task that is proposed.
    columns : tuple of Seen
        The table's columns, in its order.
    doubts : tuple of Doubt
        What it does not tell.
    rows, sequences : int
        How many there are.
    in_line : int
        How many of the columns that are shown its line has, from the first on.
    """

    task: Task
    columns: tuple[Seen, ...]
    doubts: tuple[Doubt, ...]
    rows: int
    sequences: int
    in_line: int


def propose(table: Rows, name: str, wishes: Wishes = Wishes(), *, as_text: bool = False) -> Proposal:  # noqa: B008 - frozen
    """Look at a table and propose a task.

    Parameters
    ----------
    table : Rows
        As `formats.read_cells` gives it.
    name : str
        What it is called: the name of its file.
    wishes : Wishes
        What is known of it.
    as_text : bool
        Whether it comes from a file that cannot tell numbers from their texts.

    Raises
    ------
    DatasetError
        If there are too few rows, or no column could be predicted.
    UsageError
        If a column is named that is not there, or that cannot be what it is named for.
    """
    if len(table.rows) < FEWEST:
        raise DatasetError(f"{name} has {len(table.rows)} row: nothing can be learned from it", "give more rows")
    _require_columns(table, wishes)
    columns = look_at(
        table, as_text=as_text, decimal=wishes.decimal, format=wishes.dates, missing=wishes.missing or None
    )
    return _Proposer(columns, name, wishes).proposal()


def _require_columns(table: Rows, wishes: Wishes) -> None:
    named = (*(wishes.outcome or ()), wishes.order, *(wishes.sequence or ()), *wishes.leave_out, *wishes.keep)
    for column in named:
        if column and column not in table.columns:
            raise UsageError(f"there is no column {column!r}", did_you_mean(column, table.columns))
    if wishes.outcome == ():
        raise UsageError("no outcome is named", "name the column that is to be predicted")


class _Proposer:
    """Goes from what the columns hold to what they are for."""

    def __init__(self, columns: Columns, name: str, wishes: Wishes) -> None:
        self._all, self._name, self._wishes = columns, name, wishes
        self._columns = list(columns.by_name.values())
        self._order = self._find_order()
        self._sequence = self._find_sequence()
        if wishes.dates and (self._order is None or self._order.format != wishes.dates):
            what = f"the dates of {self._order.name} are not" if self._order else "no column has dates that are"
            raise UsageError(f"{what} written as {wishes.dates}", "correct --dates, or leave it out")
        self._groups = roles.groups(self._sequence, self._order, columns.rows)
        if wishes.order is None and not roles.tells_apart(self._order, self._groups):
            self._order = None  # rows stay as they stand, and what does not sort them can be shown
            self._sequence = self._find_sequence()
            self._groups = roles.groups(self._sequence, None, columns.rows)
        self._outcomes = self._find_outcomes()
        self._ahead = self._find_ahead()

    def _find_order(self) -> Column | None:
        if self._wishes.order is not None:
            return roles.named_order(self._all.by_name[self._wishes.order]) if self._wishes.order else None
        taken = {*(self._wishes.outcome or ()), *(self._wishes.sequence or ())}
        return roles.find_order(column for column in self._columns if column.name not in taken)

    def _find_sequence(self) -> tuple[Column, ...]:
        if self._wishes.sequence is not None:
            return tuple(self._all.by_name[name] for name in self._wishes.sequence)
        taken = [column.name for column in (self._order,) if column] + list(self._wishes.outcome or ())
        known = self._wishes.outcome is not None
        return roles.find_sequence(self._columns, self._order, taken, outcome_is_known=known)

    def _find_outcomes(self) -> list[Column]:
        taken = {column.name for column in (self._order, *self._sequence) if column}
        if self._wishes.outcome is not None:
            for name in self._wishes.outcome:
                if name in taken:
                    raise UsageError(f"{name} cannot be an outcome and the order or sequence", "name another one")
                kind = self._all.by_name[name].kind
                if kind in roles.NEVER:
                    raise UsageError(f"{name} cannot be an outcome: {roles.NEVER[kind]}", "name another one")
            return [self._all.by_name[name] for name in self._wishes.outcome]
        found = roles.find_outcomes(self._columns, {*taken, *self._wishes.leave_out})
        if not found:
            raise DatasetError(
                f"{self._name}: no column could be an outcome: none holds options, numbers or texts that vary",
                "name one with --outcome",
            )
        return found

    def _find_ahead(self) -> int:
        """Take the next row's value for the outcome where rows are regular readings of a number."""
        if self._wishes.ahead is not None:
            return self._wishes.ahead
        made_for_it = any(column.words & OUTCOMES for column in self._outcomes)
        readings = all(column.kind == "numbers" for column in self._outcomes)
        return int(readings and not made_for_it and roles.is_regular(self._order, self._groups))

    def proposal(self) -> Proposal:
        seen = tuple(self._seen(column) for column in self._columns)
        fields = self._fields(seen)
        texts = self._templates(seen)
        named = ", ".join(field.name for field, _ in fields).replace("_", " ")
        title = f"{named[:1].upper()}{named[1:]} in {self._name}"
        try:
            task = Task(
                name=plain_word(self._name, "task").replace("_", "-").lower(),
                title=title,
                instructions=self._instructions(named),
                observation=texts.observation,
                line=texts.line,
                case=texts.case or UNSET,
                answer=tuple(field for field, _ in fields),
                memory=self._sections(),
                data=self._data(seen, fields),
            )
        except ValueError as error:
            raise TaskError(f"{self._name}: no task can be made of it: {error}", "choose other columns") from error
        return Proposal(task, seen, tuple(self._doubts()), self._all.rows, len(self._groups), texts.columns)

    # ------------------------------------------------------------------------------------------------- columns

    def _seen(self, column: Column) -> Seen:
        role, why = self._main_role(column)
        if role:
            return Seen(column.name, column.holds, role, why)
        why = self._useless(column)
        leak = "" if why else self._leak(column)
        if why or leak:
            return Seen(column.name, column.holds, "left out", why or f"may be a leak: {leak}", suspected=bool(leak))
        about = len(self._groups) > 1 and roles.stays(column, self._groups)
        return Seen(column.name, column.holds, "about" if about else "shown")

    def _main_role(self, column: Column) -> tuple[Role | None, str]:
        """Give the role of a column that was found before, or named; None for all others."""
        left, name = column.name in self._wishes.leave_out, column.name
        if column in self._outcomes:
            return "outcome", f"and shown: it is predicted {self._ahead} ahead" if self._ahead and not left else ""
        if column is self._order:
            return "order", ""
        if any(column is one for one in self._sequence):
            others = [one.name for one in self._sequence if one is not column]
            return "sequence", f"together with {' and '.join(others)}" if others else ""
        if left or name in self._wishes.keep:
            return ("left out" if left else "shown"), "as you say"
        return None, ""

    def _leak(self, column: Column) -> str:
        reasons = (suspicion(column, self._as_it_comes(outcome), self._order) for outcome in self._outcomes)
        return next(filter(None, reasons), "")

    def _useless(self, column: Column) -> str:
        if column.name == "fields":
            return "templates call all columns by this name: rename it to show it"
        if column.name == INDEX and column.kind == "codes":
            return "it numbers the rows, and has no name in the file"
        return roles.NEVER.get(column.kind) or ("it names the row and tells nothing" if column.kind == "codes" else "")

    def _as_it_comes(self, outcome: Column) -> Column:
        """Give the outcome of each row where it stands: in the row, or in a later one of its sequence."""
        if not self._ahead:
            return outcome
        cells: list[Any] = [None] * self._all.rows
        texts: list[str | None] = [None] * self._all.rows
        for rows in self._groups:
            for row, later in zip(rows, rows[self._ahead :], strict=False):
                cells[row], texts[row] = outcome.cells[later], outcome.texts[later]
        return Column(outcome.name, tuple(cells), outcome.kind, tuple(texts), outcome.signs)

    # ------------------------------------------------------------------------------------------------- the task

    def _fields(self, seen: Sequence[Seen]) -> list[tuple[Field, Column]]:
        shown = self._shown(seen)
        fields: list[tuple[Field, Column]] = []
        for outcome in self._outcomes:
            last = outcome.name if self._ahead else self._before(outcome, shown)
            taken = [field.name for field, _ in fields]
            field = answer_field(outcome, taken, last if last in shown else "", self._about(outcome))
            fields.append((field, outcome))
        # A line tells where an option with a comma, or a text, ends only where nothing follows.
        return sorted(fields, key=lambda pair: _is_open_ended(pair[0]))

    def _about(self, outcome: Column) -> str:
        words = " ".join(outcome.name.replace("_", " ").split())
        if not self._ahead:
            return words
        return f"the next {words}" if self._ahead == 1 else f"{words}, {self._ahead} rows later"

    def _before(self, outcome: Column, shown: Iterable[str]) -> str:
        """Find the column that holds the latest value of the same thing: ``state`` for ``next_state``."""
        words = outcome.words - NEXT
        for name in shown if words and words != outcome.words else ():
            column = self._all.by_name[name]
            if column.words == words and column.kind == outcome.kind:
                return name
        return ""

    def _templates(self, seen: Sequence[Seen]) -> Templates:
        units = {column.name: column.signs[0] for column in self._columns if column.signs and column.kind == "numbers"}
        about = [self._all.by_name[column.name] for column in seen if column.role == "about"]
        shown = [self._all.by_name[name] for name in self._shown(seen)]
        return templates(about, shown, units)

    def _shown(self, seen: Sequence[Seen]) -> list[str]:
        roles_shown = ("shown", "outcome") if self._ahead else ("shown",)
        return [
            column.name for column in seen if column.role in roles_shown and column.name not in self._wishes.leave_out
        ]

    def _data(self, seen: Sequence[Seen], fields: Sequence[tuple[Field, Column]]) -> Data:
        notation = self._all.notation
        order = self._order
        return Data(
            outcome={field.name: column.name for field, column in fields},
            sequence=tuple(column.name for column in self._sequence),
            order=order.name if order else "",
            fields=tuple(self._shown(seen)),
            about=tuple(column.name for column in seen if column.role == "about"),
            dates=(order.format if order and order.format else UNSET),
            decimal="," if notation.decimal == "," else UNSET,
            thousands=msgspec.convert(notation.thousands, Literal[".", ",", " ", "'"]) if notation.thousands else UNSET,
            signs=notation.signs or UNSET,
            ahead=self._ahead or UNSET,
            missing=self._all.missing or UNSET,
        )

    def _instructions(self, named: str) -> str:
        what = " ".join(self._name.replace("_", " ").replace("-", " ").split())
        if self._ahead:
            when = "the next" if self._ahead == 1 else f"{self._ahead} rows later the"
            return f"From one row of {what}, predict {when} {named}.\n"
        return f"From what is known in one row of {what}, predict {named}.\n"

    def _sections(self) -> tuple[MemorySection, ...]:
        recent = [MemorySection("Recent", "how it has gone just now")] if self._order else []
        return (
            MemorySection("Patterns", "what tends to follow what, with figures"),
            *recent,
            MemorySection("Corrections", "errors of past predictions and how to avoid them"),
        )

    def _doubts(self) -> Iterator[Doubt]:
        order, notation = self._order, self._all.notation
        if order and order.other_format and not self._wishes.dates:
            some = next(text for text in order.texts if text)
            what = f"{order.name}: {some} may be written as {order.format} or as {order.other_format}"
            yield Doubt("dates", what, (order.format, order.other_format))
        if self._all.doubt:
            other = "," if notation.decimal == "." else "."
            what = f"{self._all.doubt} may have thousands, or decimals: which sign stands before decimals"
            yield Doubt("decimal", what, (notation.decimal, other))


def _is_open_ended(field: Field) -> bool:
    try:
        field.require_end_in_lines()
    except ValueError:
        return True
    return field.is_open


def name_of(path: Path) -> str:
    """Name a table by its file.

    >>> name_of(Path("data/Tickets 2024.csv"))
    'Tickets 2024'
    """
    return path.stem
