"""Which texts are numbers, and how a table writes them: decimals, thousands, currencies and units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from llm_as_rnn.datasets.notation import BLANKS, Notation

MARKS: tuple[tuple[str, str], ...] = (
    (".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"),
)  # fmt: skip
"""Signs before decimals and between thousands that tables have, the likelier first where a figure leaves it open."""

CURRENCIES = frozenset(
    {
        "€", "$", "£", "¥", "₹", "₩", "₽", "₺", "₪", "R$", "US$", "A$", "C$", "EUR", "USD", "GBP", "JPY", "CNY", "INR",
        "CHF", "SEK", "NOK", "DKK", "ISK", "PLN", "CZK", "HUF", "RON", "TRY", "BRL", "AUD", "CAD", "NZD", "kr", "Kr",
        "kr.", "zł", "Kč", "Ft", "Fr", "Fr.", "Lei",
    }
)  # fmt: skip
"""What stands before or behind an amount of money."""

SHARES = frozenset({"%", "‰"})

_FIGURE = re.compile(
    r"(?P<minus>[-+]?) ?(?P<before>[^\d\s.,'+-][^\d\s,'+-]{0,3})? ?(?P<sign>[-+]?)(?P<figure>\d[\d.,' ]*?|[.,]\d+)"
    r"(?P<exponent>[eE][-+]?\d{1,3})?"
    r" ?(?P<behind>[^\d\s.,'+-][^\d\s]{0,11})?"
)
_CODE = re.compile(r"0\d")


class Figures(NamedTuple):
    """How a column writes its numbers.

    Attributes
    ----------
    marks : frozenset
        The pairs of `MARKS` that all of its figures may be written with; at least one.
    signs : tuple of str
        Currencies and units that stand around them.
    grouped : str
        A figure that two of the pairs read as different numbers; empty where there is none.
    """

    marks: frozenset[tuple[str, str]]
    signs: tuple[str, ...]
    grouped: str = ""


def figures(texts: Iterable[str]) -> Figures | None:
    """Look at the texts of a column; None where they are not all numbers.

    Examples
    --------
    >>> found = figures(["1.234,50 €", "12 €"])
    >>> found.marks, found.signs
    (frozenset({(',', '.')}), ('€',))
    >>> figures(["007", "12"]) is figures(["V27", "12"]) is figures(["03.04.2024"]) is None
    True
    """
    marks = frozenset(MARKS)
    signs: dict[str, int] = {}
    grouped, count = "", 0
    for text in texts:
        found = _FIGURE.fullmatch(text.strip().translate(BLANKS))
        if not found or _CODE.match(found["figure"]) or (found["before"] and found["before"] not in CURRENCIES):
            return None
        marks &= _readings(found["figure"])
        if not marks:
            return None
        for sign in filter(None, (found["before"], found["behind"])):
            signs[sign] = signs.get(sign, 0) + 1
        grouped = grouped or (found["figure"] if re.fullmatch(r"\d{1,3}[.,]\d{3}", found["figure"]) else "")
        count += 1
    return Figures(marks, tuple(signs), grouped) if count and _are_signs(signs, count) else None


def _are_signs(signs: Mapping[str, int], count: int) -> bool:
    """Tell currencies and a unit that all figures have from words that are part of a text."""
    units = [sign for sign in signs if sign not in CURRENCIES and sign not in SHARES]
    if not units:
        return True
    short, *longer = sorted(units, key=len)
    alike = not longer or (len(longer) == 1 and longer[0].startswith(short))  # day, days
    return alike and sum(signs[unit] for unit in units) == count


@lru_cache(maxsize=4096)
def _readings(figure: str) -> frozenset[tuple[str, str]]:
    """Give the pairs of marks that a figure may be written with."""
    return frozenset(pair for pair in MARKS if _pattern(*pair).fullmatch(figure))


@lru_cache(maxsize=len(MARKS))
def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    groups = rf"|\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+" if thousands else ""
    return re.compile(rf"(?:(?:\d+{groups})(?:{re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+)")


class Choice(NamedTuple):
    """How a whole table writes its numbers.

    Attributes
    ----------
    notation : Notation
        What suits most of its columns.
    doubt : str
        A figure that could be another number as well; empty where all is plain.
    """

    notation: Notation
    doubt: str = ""


def choose(found: Mapping[str, Figures], decimal: str | None = None) -> Choice:
    """Choose one notation for all columns of numbers.

    Parameters
    ----------
    found : mapping
        How each of the columns writes them.
    decimal : str, optional
        The sign before decimals, where somebody said so.

    Examples
    --------
    >>> choose({"price": figures(["1.234"]), "weight": figures(["0,5"])})
    Choice(notation=Notation(decimal=',', thousands='.', signs=()), doubt='')
    >>> choose({"price": figures(["1,234"])}).doubt
    '1,234'
    """
    pairs = [pair for pair in MARKS if decimal in (None, pair[0])]
    suits = {pair: sum(pair in column.marks for column in found.values()) for pair in pairs}
    most = max(suits.values(), default=0)
    best = [pair for pair in pairs if suits[pair] == most]
    signs = dict.fromkeys(sign for column in found.values() if best[0] in column.marks for sign in column.signs)
    open_to_doubt = decimal is None and len({pair[0] for pair in best}) > 1
    doubt = next((column.grouped for column in found.values() if column.grouped), "") if open_to_doubt else ""
    return Choice(Notation(*best[0], tuple(signs)), doubt)
