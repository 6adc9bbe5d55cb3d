"""How a table writes its numbers: which signs stand before decimals, between thousands, and around figures."""

from __future__ import annotations

import re
from functools import cached_property

from msgspec import UNSET

from llm_as_rnn.core.columns import Columns
from llm_as_rnn.core.records import Record

BLANKS = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'", "\u2212": "-"})
"""What looks like a blank, an apostrophe or a minus and is another sign: programs write them into figures."""


class Notation(Record, frozen=True, dict=True):
    r"""How numbers are written.

    Attributes
    ----------
    decimal : str
        The sign before decimals.
    thousands : str
        The sign between groups of three digits; empty where there is none.
    signs : tuple of str
        What may stand before or behind a figure and is no part of it: a currency, a unit.

    Examples
    --------
    >>> german = Notation(",", ".", ("€",))
    >>> german.pointed("-1.234,50 €"), german.pointed("€ 12"), german.pointed("1.23,4")
    ('-1234.50', '12', '')
    >>> german.pointed("5e-05"), Notation().pointed("\u22125.5")
    ('5e-05', '-5.5')
    """

    decimal: str = "."
    thousands: str = ""
    signs: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as programs write them, so that nothing has to be done."""
        return self.decimal == "." and not self.thousands and not self.signs

    def pointed(self, text: str) -> str:
        """Write a number's text with a decimal point and digits alone; empty where it is none in this notation."""
        bare = text.strip()
        if not bare.isascii():
            bare = bare.translate(BLANKS)
        if self.is_plain:
            return bare
        if self.signs:
            bare = self._around.sub(r"\1\2", bare).strip()
        if self.thousands:
            if not self._grouped.fullmatch(bare):
                return ""
            bare = bare.replace(self.thousands, "")
        if self.decimal == ".":
            return bare
        return "" if "." in bare else bare.replace(self.decimal, ".")

    @property
    def in_words(self) -> str:
        """How numbers are written, for messages.

        >>> Notation(",").in_words
        'a comma stands before decimals here, and no point'
        """
        names = {".": "point", ",": "comma", " ": "blank", "'": "apostrophe"}
        other = "comma" if self.decimal == "." else "point"
        rest = f"a {names[self.thousands]} between thousands" if self.thousands else f"no {other}"
        return f"a {names[self.decimal]} stands before decimals here, and {rest}"

    @cached_property
    def _around(self) -> re.Pattern[str]:
        """Match a figure with a sign before or behind it, whichever side its minus stands on."""
        sign = "|".join(re.escape(sign.translate(BLANKS)) for sign in sorted(self.signs, key=len, reverse=True))
        return re.compile(rf"^([-+]?) *(?:{sign})? *([-+]?[\d.,' ]*?) *(?:{sign})?$")

    @cached_property
    def _grouped(self) -> re.Pattern[str]:
        """Match a figure whose thousands are set off, or none of them is; very small ones have an exponent."""
        decimals = rf"(?:{re.escape(self.decimal)}\d*)?"
        return re.compile(rf"[-+]?(?:\d{{1,3}}(?:{re.escape(self.thousands)}\d{{3}})+|\d*){decimals}(?:[eE][-+]?\d+)?")


def notation_of(columns: Columns) -> Notation:
    """Give the notation that a task's ``data`` section declares."""
    thousands = "" if columns.thousands is UNSET else columns.thousands
    return Notation(columns.decimals, thousands, () if columns.signs is UNSET else columns.signs)
