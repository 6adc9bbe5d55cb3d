"""Which texts are dates, and in which order they name day, month and year."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

_DAYS = ("%d.%m.%Y", "%d.%m.%y", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%Y/%m/%d", "%d-%m-%Y",
         "%m-%d-%Y", "%d %b %Y", "%d %B %Y", "%d. %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%d-%b-%Y",
         "%d-%B-%Y", "%d-%b-%y", "%Y-%b-%d", "%Y %b %d", "%d %b, %Y", "%d %B, %Y", "%a %d %b %Y", "%a, %d %b %Y",
         "%a %b %d %Y", "%a, %b %d, %Y", "%A, %d %B %Y", "%A, %B %d, %Y", "%b %Y", "%B %Y", "%b-%Y", "%B-%Y", "%b-%y",
         "%Y-%b", "%Y %b", "%m/%Y", "%m.%Y")  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", ", %H:%M", ", %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %I:%M%p",
          " %H:%M:%S.%f", " %H:%M:%S %z")  # fmt: skip
FORMATS = ("%Y-%m", *(day + time for day, time in itertools.product(_DAYS, _TIMES)))
"""Formats that are looked for, besides ISO dates, those with the day first before those with the month."""

ISO = ""
"""The format of ISO dates, which need none."""

DIGITS = "%Y%m%d"
"""The format of dates that look like numbers."""

_DATE_OF_DIGITS = re.compile(r"(1[89]|20|21)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_WEEK = re.compile(r"\d{4}-?W\d\d")


class Dates(NamedTuple):
    """A column of dates.

    Attributes
    ----------
    format : str
        How they are written, as `datetime.strptime` has it; `ISO` for ISO dates.
    values : tuple
        The dates, None where a cell is empty.
    other : str
        Another format that reads them all as well, as other dates; empty where there is none.
    """

    format: str
    values: tuple[datetime | None, ...]
    other: str = ""


def dates(cells: Sequence[str | None], named: str | None = None) -> Dates | None:
    """Look at the cells of a column; None where they are not all dates.

    Parameters
    ----------
    cells : sequence
        Texts, and None where there is nothing.
    named : str, optional
        The format, where somebody said so.

    Examples
    --------
    >>> dates(["31.12.2024", None]).format, dates(["2024-12-31 12:00"]).format
    ('%d.%m.%Y', '')
    >>> found = dates(["03/04/2024", "05/04/2024"])
    >>> found.format, found.other
    ('%d/%m/%Y', '%m/%d/%Y')
    >>> dates(["12", "13"]) is None
    True
    """
    some = next((cell for cell in cells if cell is not None), None)
    if some is None:
        return None
    if some.strip().isdigit() and not named:
        return dates_of_digits(cells)
    if named:
        values = _read(cells, named)
        return Dates(named, values) if values else None
    iso = _read(cells, ISO) if any(mark in some for mark in "-:") or _WEEK.match(some.strip()) else None
    if iso:
        return Dates(ISO, iso)
    fitting = [format_ for format_ in FORMATS if _one(some.strip(), format_)]
    found = [(format_, values) for format_ in fitting if (values := _read(cells, format_))]
    if not found:
        return None
    # Of two ways to read them, the one by which the rows stand in order is the likelier.
    found.sort(key=lambda pair: not _ascends(pair[1]))
    others = [format_ for format_, values in found[1:] if values != found[0][1]]
    return Dates(*found[0], others[0] if others else "")


def dates_of_digits(cells: Sequence[str | None]) -> Dates | None:
    """Look at the cells of a column that may be dates of digits alone; None where one of them is not.

    Numbers that are not dates are seldom all dates of the last and the coming century.

    Examples
    --------
    >>> dates_of_digits(["20240229", "20240301"]).format
    '%Y%m%d'
    >>> dates_of_digits(["20240229", "20240230"]) is dates_of_digits(["12"]) is None
    True
    """
    there = [cell.strip() for cell in cells if cell is not None]
    if not there or not all(map(_DATE_OF_DIGITS.fullmatch, there)):
        return None
    values = _read(cells, DIGITS)
    return Dates(DIGITS, values) if values else None


def _read(cells: Sequence[str | None], format_: str) -> tuple[datetime | None, ...] | None:
    values: list[datetime | None] = []
    for cell in cells:
        value = None if cell is None else _one(cell.strip(), format_)
        if cell is not None and value is None:
            return None
        values.append(value)
    zones = {value.tzinfo is None for value in values if value is not None}
    return tuple(values) if len(zones) == 1 else None


def _one(text: str, format_: str) -> datetime | None:
    try:
        if format_ == ISO:
            return None if text.isdigit() else datetime.fromisoformat(text)
        return datetime.strptime(text, format_)  # noqa: DTZ007 - the format says
    except (ValueError, OverflowError):
        return None


def _ascends(values: tuple[datetime | None, ...]) -> bool:
    there = [value for value in values if value is not None]
    return all(one <= other for one, other in itertools.pairwise(there))
