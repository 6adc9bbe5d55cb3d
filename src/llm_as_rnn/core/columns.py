"""What a task file's ``data`` section says: which columns of a table mean what, and how the table writes things."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import UNSET, UnsetType
from msgspec.structs import force_setattr

from llm_as_rnn.core.figures import in_full
from llm_as_rnn.core.records import Record


class Columns(Record, frozen=True):
    """Which columns of a user's table mean what.

    Attributes
    ----------
    outcome : dict of str to str
        The column that holds y, by answer field. An empty cell is an outcome that never became known.
    sequence : str or tuple of str
        The column that tells sequences apart, or several that do so together, such as shop and product; without one
        the whole table is one sequence.
    order : str
        The column that a sequence is sorted by, numbers or dates; without one rows stay as they stand, and so do rows
        that share a place.
    fields : tuple of str
        The columns shown as x_t; empty for all that are named nowhere else here.
    about : tuple of str
        Columns that stay the same in a sequence, shown by templates as ``about``.
    dates : str, optional
        How the dates of ``order`` are written, in the signs of Python's `datetime.datetime.strptime`
        (``"%d.%m.%Y"``); by default they are ISO dates.
    decimal : str, optional
        The sign before a number's decimals, ``"."`` or ``","``, where a file holds numbers as text; by default a point.
    thousands : str, optional
        The sign between groups of three digits there: a point, a comma, a blank or an apostrophe.
    signs : tuple of str, optional
        What stands before or behind numbers there and is no part of them: ``("€", "%")``.
    missing : tuple of str, optional
        What stands, in any column, for a value that is not there: ``("NA", "-", "-999")``. Nothing but an empty cell
        by default.
    ahead : int, optional
        How many rows later in its sequence the outcome stands, where the table has none of its own: with 1, what is
        predicted from a row is the next row's value, and the row's own may be shown.

    Examples
    --------
    >>> Columns({"high": "tomorrow"}, order="day", dates="%d.%m.%Y", decimal=",").decimals
    ','
    """

    outcome: dict[str, str]
    sequence: str | tuple[str, ...] = ""
    order: str = ""
    fields: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    # Unset is left out of the encoding: tasks without it keep the digests that their runs were begun with.
    dates: str | UnsetType = UNSET
    decimal: Literal[".", ","] | UnsetType = UNSET
    thousands: Literal[".", ",", " ", "'"] | UnsetType = UNSET
    signs: tuple[str, ...] | UnsetType = UNSET
    ahead: int | UnsetType = UNSET
    missing: tuple[str, ...] | UnsetType = UNSET

    @property
    def apart(self) -> tuple[str, ...]:
        """The columns that tell sequences apart together; none where the table is one sequence.

        Examples
        --------
        >>> [Columns({"y": "y"}, sequence=named).apart for named in ("", "shop", ("shop", "product"))]
        [(), ('shop',), ('shop', 'product')]
        """
        if isinstance(self.sequence, str):
            return (self.sequence,) if self.sequence else ()
        return self.sequence

    @property
    def later(self) -> int:
        """How many rows later outcomes stand; 0 where they stand in the row itself."""
        return 0 if self.ahead is UNSET else self.ahead

    @property
    def decimals(self) -> str:
        """The sign before a number's decimals."""
        return "." if self.decimal is UNSET else self.decimal

    def says_nothing(self, cell: Any) -> bool:
        """Tell whether a cell holds what stands for a value that is not there; numbers count as they are written.

        Examples
        --------
        >>> weather = Columns({"high": "tomorrow"}, missing=("NA", "-999"))
        >>> [weather.says_nothing(cell) for cell in ("NA", " NA ", -999.0, "na", 0, "")]
        [True, True, True, False, False, False]
        """
        if self.missing is UNSET or isinstance(cell, bool) or not isinstance(cell, str | int | float):
            return False
        text = cell.strip() if isinstance(cell, str) else str(cell) if isinstance(cell, int) else in_full(cell)
        return text in self.missing

    def __post_init__(self) -> None:
        """Refuse columns that would give the outcome away, and those that no template could show."""
        if not isinstance(self.sequence, str) and len(self.sequence) <= 1:
            # Both ways to write one column, or none, are one task with one digest.
            force_setattr(self, "sequence", "".join(self.sequence))
        if self.dates is not UNSET and not self.order:
            raise ValueError("dates says how the column order is written, but order names none")
        if self.dates is not UNSET and not _tells_dates(self.dates):
            raise ValueError(f"dates {self.dates!r} is no date format that tells the year, such as '%d.%m.%Y'")
        if self.thousands == self.decimals:
            raise ValueError(f"thousands and decimal cannot both be {self.decimals!r}")
        if self.signs is not UNSET and not all(sign.strip() and not re.search(r"\d", sign) for sign in self.signs):
            raise ValueError("signs are what stands around numbers, such as €: each needs one, and none has a digit")
        if self.missing is not UNSET and not all(word.strip() for word in self.missing):
            raise ValueError("missing lists words such as 'NA': an empty cell is one that is missing anyway")
        if self.later < 0 or self.ahead == 0:
            raise ValueError(f"ahead must be at least 1, not {self.later}: leave it out for outcomes of the row itself")
        self._require_distinct()

    def _require_distinct(self) -> None:
        if not self.outcome:
            raise ValueError("outcome names no column")
        for what, names in (("fields", self.fields), ("about", self.about)):
            leaked = [name for name in names if name in self.outcome.values()]
            if leaked and not (self.later and what == "fields"):
                raise ValueError(f"column {leaked[0]!r} is an outcome: listed in {what}, it would be given away")
            if len(set(names)) < len(names):
                raise ValueError(f"{what} lists a column twice")
        if len(set(self.apart)) < len(self.apart):
            raise ValueError("sequence lists a column twice")
        if "" in self.apart:
            raise ValueError("sequence lists an empty name: leave it out, or name a column")
        for what, name in (*(("sequence", name) for name in self.apart), ("order", self.order)):
            if name and name in self.outcome.values():
                raise ValueError(f"column {name!r} is an outcome and cannot be the {what} as well")


def _tells_dates(format: str) -> bool:  # noqa: A002 - as Python's own functions call it
    """Tell whether a format can be read again, and then tells years apart: dates are to be put in order by it."""
    some = datetime(2023, 10, 30, 14, 50, tzinfo=UTC)
    try:
        return datetime.strptime(some.strftime(format), format).year == some.year  # noqa: DTZ007 - it may tell none
    except (ValueError, OverflowError, re.error):
        return False
