"""The fields of an answer that a column's values suggest: kinds, ranges and options."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection
from fractions import Fraction

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.fields import Field, Label, Number, Ranked, Text
from llm_as_rnn.core.folding import clash
from llm_as_rnn.datasets.guessing.columns import Column
from llm_as_rnn.datasets.guessing.figures import SHARES

MOST_DECIMALS = 4
"""Digits after a number's point that are asked for at most."""

MOST_DIGITS = 6
"""Digits that are asked for at most, before and after its point."""

MOST_OF_IT = 50
"""A percentage above which all of it is plausible."""

BINARY = frozenset({"0", "1"})


def plain_word(text: str, otherwise: str) -> str:
    """Give a word of plain letters and digits that is like a text.

    >>> plain_word("Préc. (mm)", "x"), plain_word("温度", "outcome"), plain_word("2nd", "x")
    ('Prec_mm', 'outcome', '_2nd')
    """
    bare = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    word = "_".join(re.findall(r"[A-Za-z0-9]+", bare))
    if not word:
        return otherwise
    return f"_{word}" if word[0].isdigit() else word


def answer_field(column: Column, taken: Collection[str], last: str, about: str) -> Field:
    """Give the field that a column's values are outcomes of.

    Parameters
    ----------
    column : Column
        The outcome's.
    taken : collection of str
        Names that other fields have.
    last : str
        The shown column with the latest value of the same thing, if there is one.
    about : str
        What it means.
    """
    name = plain_word(column.name, "outcome")
    number = 2
    while name in taken:
        name, number = f"{plain_word(column.name, 'outcome')}_{number}", number + 1
    if column.kind in ("numbers", "codes") and all(isinstance(cell, int | float) for cell in column.there):
        if not column.signs and set(column.counts) == BINARY:
            return Label(name, about, options=("0", "1"), last=last)
        return _number(name, about, column, last)
    if column.kind == "options":
        return Label(name, about, options=column.options, last=last)
    if column.kind == "lists":
        return _ranked(name, about, column, last)
    longest = max((len(text) for text in column.counts), default=1)
    return Text(name, about, max_chars=max(40, math.ceil(longest / 20) * 20), last=last)


def _number(name: str, about: str, column: Column, last: str) -> Number:
    values = [float(cell) for cell in column.there]
    if not math.isfinite(2 * (max(values) - min(values))):
        raise UsageError(
            f"{column.name} cannot be an outcome: its numbers lie further apart than a range can tell",
            "name another one, or write them in another unit",
        )
    low, high = plausible(values)
    if set(column.signs) & SHARES and low >= 0 and high > MOST_OF_IT:
        high = max(100.0, *column.there)
    before = len(f"{max(abs(low), abs(high)):.0f}")
    written = max((_decimals(float(cell)) for cell in column.there), default=0)
    decimals = max(min(written, MOST_DECIMALS, MOST_DIGITS - before), 0)
    low_, high_ = Fraction(low), Fraction(high)  # exact, as floats have no room for so small numbers times so many tens
    while math.ceil(low_ * 10**decimals) > math.floor(high_ * 10**decimals):
        decimals += 1  # of numbers as small as that, no answer could be written in fewer
    unit = column.signs[0] if column.signs else ""
    return Number(name, about, unit=unit, low=low, high=high, decimals=decimals, last=last)


def plausible(values: Collection[float]) -> tuple[float, float]:
    """Give a range in which values like these may lie: round numbers, a quarter of their span beyond both ends.

    >>> plausible([12.5, 31.0]), plausible([0.0, 7.0]), plausible([3.5])
    ((7.0, 36.0), (0.0, 9.0), (2.6, 4.4))
    """
    least, most = min(values), max(values)
    span = most - least or max(abs(most), 1.0)
    places = 1 - math.floor(math.log10(span)) if span > 0 and math.isfinite(span) else 0
    if all(value == int(value) for value in values):
        places = min(places, 0)
    step = 10.0**-places
    low, high = least - span / 4, most + span / 4
    if least >= 0:
        low = max(low, 0.0)
    return _tidy(math.floor(low / step) * step, places), _tidy(math.ceil(high / step) * step, places)


def _tidy(value: float, places: int) -> float:
    """Drop what only floats add to a number with so few decimals; of a long number nothing else is dropped.

    >>> _tidy(0.1 + 0.2, 1), _tidy(1735689600123.0, 0)
    (0.3, 1735689600123.0)
    """
    return round(value, places) + 0.0


def _decimals(value: float) -> int:
    text = f"{value:.{MOST_DECIMALS + 1}f}".rstrip("0")
    return len(text.partition(".")[2])


def _ranked(name: str, about: str, column: Column, last: str) -> Field:
    lists = [cell if isinstance(cell, list) else str(cell).split(";") for cell in column.there]
    lists = [found for found in lists if found]
    entries = dict.fromkeys(" ".join(str(part).split()) for found in lists for part in found if str(part).strip())
    few = len(entries) <= 60 and 2 * len(entries) <= len(lists) and not clash(entries)  # noqa: PLR2004 - may be listed
    longest = max((len(found) for found in lists), default=1)
    top = min(max(longest, 1), 5)
    if few:
        try:
            return Ranked(name, about, top=min(top, len(entries)), options=tuple(entries), last=last)
        except ValueError:  # an option that could not be read again
            pass
    return Ranked(name, about, top=top, last=last)
