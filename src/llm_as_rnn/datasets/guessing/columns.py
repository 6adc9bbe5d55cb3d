"""What each column of a table holds, looked at alone."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from llm_as_rnn.core.columns import Columns as Data
from llm_as_rnn.core.fields import ARROW
from llm_as_rnn.core.figures import in_full
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.records import Record
from llm_as_rnn.datasets.base import Row
from llm_as_rnn.datasets.formats import Rows, is_number, without
from llm_as_rnn.datasets.guessing.dates import Dates, dates, dates_of_digits
from llm_as_rnn.datasets.guessing.figures import Choice, Figures, choose, figures
from llm_as_rnn.datasets.guessing.words import CODES, NOTHING, PLACES
from llm_as_rnn.datasets.notation import Notation

Kind = Literal["nothing", "constant", "numbers", "dates", "options", "texts", "long texts", "lists", "codes", "objects"]
"""What a column holds: ``codes`` only name their rows, and ``objects`` are what no template shows in plain words."""

MOST_OPTIONS = 150
"""Different texts of a column whose texts are options."""

LONGEST_OPTION = 80
"""The longest of them, in characters."""

LONG = 160
"""Characters of a cell from which on its column is one of long texts."""

FEW_ROWS = 5
"""Rows from which on one can tell codes from other texts."""


class Column(Record, frozen=True, dict=True):
    """A column of a table.

    Attributes
    ----------
    name : str
        As the table has it.
    cells : tuple
        By row; None where there is nothing. Texts of numbers are numbers already.
    kind : str
        What it holds.
    texts : tuple
        The cells as they were written, None where there is nothing.
    signs : tuple of str
        What stands around its numbers.
    when : tuple of datetime or None
        The dates that it holds, by row; empty where it holds other things.
    format : str
        How these are written; empty for ISO dates.
    other_format : str
        Another way to read them, by which they are other dates; empty where there is none.
    """

    name: str
    cells: tuple[Any, ...]
    kind: Kind
    texts: tuple[str | None, ...]
    signs: tuple[str, ...] = ()
    when: tuple[datetime | None, ...] = ()
    format: str = ""
    other_format: str = ""

    @cached_property
    def filled(self) -> tuple[bool, ...]:
        """Whether there is something, by row."""
        return tuple(cell is not None for cell in self.cells)

    @cached_property
    def there(self) -> tuple[Any, ...]:
        """The cells that hold something."""
        return tuple(cell for cell in self.cells if cell is not None)

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each text comes."""
        return Counter(" ".join(text.split()) for text in self.texts if text is not None)

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of its name, in lower case.

        >>> sorted(Column("closedAt (UTC)", (), "nothing", ()).words)
        ['at', 'closed', 'utc']
        """
        apart = re.sub(r"(?<=[a-z\u00e4\u00f6\u00fc\u00df0-9])(?=[A-Z])", " ", self.name)
        return frozenset(word for word in re.split(r"[\W_]+", apart.casefold()) if word)

    @property
    def is_whole(self) -> bool:
        """Whether no row lacks it."""
        return all(self.filled)

    @cached_property
    def options(self) -> tuple[str, ...]:
        """The different texts that it holds, the more frequent first; of two that are read as the same, one."""
        found: dict[str, str] = {}
        for text, _ in self.counts.most_common():
            found.setdefault(fold(text), text)
        return tuple(found.values())

    @property
    def holds(self) -> str:
        """What it holds, in words for a person."""
        if self.kind == "numbers":
            low, high = in_full(min(self.there)), in_full(max(self.there))
            return f"numbers, {low} to {high}{' ' + self.signs[0] if self.signs else ''}"
        if self.kind == "dates":
            return f"dates, {self.format}" if self.format else "dates"
        if self.kind == "options":
            shown = self.options[:4]
            more = f", ... ({len(self.options)})" if len(self.options) > len(shown) else ""
            return f"options: {', '.join(shown)}{more}"
        if self.kind == "constant":
            return f"always {self.options[0][:40]}"
        plain = {
            "texts": "texts",
            "long texts": "long texts",
            "lists": "lists",
            "codes": "a name or number of each row",
        }
        return plain.get(self.kind, self.kind)


class Columns(Record, frozen=True):
    """All columns of a table, and how it writes numbers.

    Attributes
    ----------
    by_name : dict of str to Column
        In the table's order.
    notation : Notation
        How numbers are written.
    doubt : str
        A figure that could be another number as well; empty where all is plain.
    missing : tuple of str
        What stands for a value that is not there.
    rows : int
        How many rows there are.
    """

    by_name: dict[str, Column]
    notation: Notation
    doubt: str
    missing: tuple[str, ...]
    rows: int


def look_at(
    table: Rows,
    *,
    as_text: bool,
    decimal: str | None = None,
    format: str | None = None,  # noqa: A002 - as dates call it
    missing: Sequence[str] | None = None,
) -> Columns:
    """Look at each column of a table.

    Parameters
    ----------
    table : Rows
        As `formats.read_cells` gives it.
    as_text : bool
        Whether it comes from a file that cannot tell numbers from their texts.
    decimal : str, optional
        The sign before decimals, where somebody said so.
    format : str, optional
        How dates are written, where somebody said so; columns that it cannot read are looked at as others are.
    missing : sequence of str, optional
        What stands for a value that is not there, where somebody said so. By default these are the words of
        `words.NOTHING` that a column of numbers or dates has.
    """
    nothing = tuple(missing) if missing is not None else _words_for_nothing(table, format)
    if nothing:
        table = without(table, Data({"": ""}, missing=nothing).says_nothing)
    cells = {name: tuple(row.cells[name] for row in table.rows) for name in table.columns}
    texts = {name: tuple(map(_text, column)) for name, column in cells.items()}
    written = {name: how for name, column in cells.items() if (how := _figures(column))}
    choice = choose(written, decimal) if written else Choice(Notation(decimal or "."))
    # In files that tell numbers from texts, texts of plain numbers stay what they are: so the reader of tables has it.
    notation = choice.notation
    found: dict[str, Column] = {}
    for name, column in cells.items():
        read = column
        if name in written and (as_text or not notation.is_plain):
            read = _numbers(column, notation)
        signs = written[name].signs if name in written else ()
        found[name] = _column(name, read, texts[name], signs, format)
    return Columns(found, notation, choice.doubt, nothing, len(table.rows))


def _words_for_nothing(table: Rows, format_: str | None) -> tuple[str, ...]:
    """Find the words but for which a column would be one of numbers or dates."""
    found: dict[str, None] = {}
    for name in table.columns:
        cells = [
            cell.strip() if isinstance(cell, str) else cell
            for row in table.rows
            if (cell := row.cells[name]) is not None
        ]
        words = dict.fromkeys(cell for cell in cells if isinstance(cell, str) and cell.casefold() in NOTHING)
        rest = [cell for cell in cells if cell not in words] if words else []
        if rest and _are_numbers_or_dates(rest, format_):
            found.update(words)
    return tuple(found)


def _are_numbers_or_dates(cells: Sequence[Any], format_: str | None) -> bool:
    if any(isinstance(cell, bool | dict | list) for cell in cells):
        return False
    texts = [cell for cell in cells if isinstance(cell, str)]
    return (
        not texts or figures(texts) is not None or _dates(tuple(cells), tuple(map(_text, cells)), format_) is not None
    )


def _figures(cells: Sequence[Any]) -> Figures | None:
    texts = [cell for cell in cells if isinstance(cell, str)]
    others = [cell for cell in cells if cell is not None and not isinstance(cell, str)]
    plain = all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in others)
    return figures(texts) if texts and plain else None


def _numbers(cells: Sequence[Any], notation: Notation) -> tuple[Any, ...]:
    """Read a column as the reader of tables will: all of it, or nothing."""
    if not all(cell is None or is_number(cell, notation) for cell in cells):
        return tuple(cells)
    return tuple(float(notation.pointed(cell)) if isinstance(cell, str) else cell for cell in cells)


def _text(cell: Any) -> str | None:
    return None if cell is None else str(cell)


def _column(
    name: str, cells: tuple[Any, ...], texts: tuple[str | None, ...], signs: tuple[str, ...], format_: str | None
) -> Column:
    there = [cell for cell in cells if cell is not None]
    known = [text for text in texts if text is not None]
    if not there:
        return Column(name, cells, "nothing", texts)
    if any(isinstance(cell, dict | list) for cell in there):
        return Column(name, cells, "lists" if all(map(_is_list_of_texts, there)) else "objects", texts)
    read = _dates(cells, texts, format_)
    if len(set(known)) == 1 and len(known) == len(cells) > 1:
        return Column(name, cells, "constant", texts, signs)
    if read:
        return Column(name, cells, "dates", texts, (), read.values, read.format, read.other)
    if all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in there):
        kind: Kind = "codes" if _numbers_rows(name, there, len(cells)) else "numbers"
        return Column(name, cells, kind, texts, signs)
    return Column(name, cells, _kind_of_texts(known), texts)


def _is_list_of_texts(cell: Any) -> bool:
    return isinstance(cell, list) and all(isinstance(part, str) and part.strip() for part in cell)


def _dates(cells: tuple[Any, ...], texts: tuple[str | None, ...], format_: str | None) -> Dates | None:
    if format_ and (found := dates(texts, format_)):
        return found
    if all(cell is None or isinstance(cell, str) for cell in cells):
        return dates(texts)
    return dates_of_digits(texts)


def _numbers_rows(name: str, cells: Sequence[float], rows: int) -> bool:
    """Tell whether numbers only name their rows: each comes once, and their name says so or they count up by one."""
    if len(set(cells)) < len(cells) or len(cells) < rows or any(cell != int(cell) for cell in cells):
        return False
    words = Column(name, (), "nothing", ()).words
    steps = {later - one for one, later in itertools.pairwise(cells)}
    return bool(words & CODES) or (len(cells) >= FEW_ROWS and steps == {1} and not words & PLACES)


def _kind_of_texts(texts: Sequence[str]) -> Kind:
    different = {fold(text) for text in texts}
    longest, many = max(map(len, texts)), len(texts)
    lists = [text for text in texts if ";" in text]
    if len(lists) * 3 > many and longest <= LONG and all(text.strip("; \t") for text in texts):
        return "lists"
    may_choose = longest <= LONGEST_OPTION and not any(
        ARROW in f" {text} " or len(text.splitlines()) != 1 for text in texts
    )
    if may_choose and 2 <= len(different) <= min(MOST_OPTIONS, max(many // 2, 2)):  # noqa: PLR2004 - a choice needs two
        return "options"
    if (
        len(different) == many >= FEW_ROWS
        and not any(" " in text.strip() for text in texts)
        and longest <= LONGEST_OPTION
    ):
        return "codes"
    return "long texts" if longest > LONG else "texts"


def rows_of(rows: Iterable[Row]) -> Rows:
    """Make a table of rows whose columns may differ."""
    rows = list(rows)
    names = tuple(dict.fromkeys(name for row in rows for name in row.cells))
    return Rows(names, tuple(Row(row.line, {name: row.cells.get(name) for name in names}) for row in rows))
