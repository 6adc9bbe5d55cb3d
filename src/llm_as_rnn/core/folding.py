"""Texts that are the same but for how they are written: in another case, with other blanks, in another Unicode form.

Answers and outcomes are read and compared by one rule. What is written exactly as an option is that option; else case,
blanks and Unicode form count for nothing. Options that only these tell apart are refused (see `fields.options`), so
that there is never more than one that can be meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from unicodedata import normalize


def fold(text: str) -> str:
    r"""Write a text as it is compared: without case, with single blanks, in one Unicode form.

    Two texts fold to the same where they are a canonical caseless match (The Unicode Standard, section 3.13, D145) with
    blanks collapsed. Letters that only look alike stay apart, and so do full-width ones. Folding twice changes nothing.

    >>> fold("  CAFE\u0301\tnoir") == fold("Caf\u00e9 Noir")
    True
    >>> fold("Maße")
    'masse'
    """
    if text.isascii():
        return " ".join(text.lower().split())
    # Taken apart first: there are letters with marks whose parts change case in another way than the whole.
    return " ".join(normalize("NFC", normalize("NFD", text).casefold()).split())


def chosen(text: str, options: tuple[str, ...]) -> str | None:
    """Give the option that a text stands for: the very one, else the only one that folds to the same.

    >>> chosen(" heavy  RAIN", ("heavy rain", "sun")), chosen("fog", ("heavy rain", "sun"))
    ('heavy rain', None)
    >>> chosen("A", ("a", "A")), chosen(" A", ("a", "A"))
    ('A', None)
    """
    return text if text in options else _by_fold(options).get(fold(text))


@lru_cache(maxsize=128)
def _by_fold(options: tuple[str, ...]) -> Mapping[str, str | None]:
    """Give options by their folded form; None for a form that several have."""
    found: dict[str, str | None] = {}
    for option in options:
        folded = fold(option)
        found[folded] = None if folded in found else option
    return found


def clash(texts: Iterable[str]) -> tuple[str, str] | None:
    """Find two texts that fold to the same, the later one last; None if all stay apart.

    >>> clash(("rain", "Masse", "Maße")), clash(("rain", "sun"))
    (('Masse', 'Maße'), None)
    """
    first: dict[str, str] = {}
    for text in texts:
        folded = fold(text)
        if folded in first:
            return first[folded], text
        first[folded] = text
    return None


def leading(line: str, options: tuple[str, ...], separator: str) -> tuple[str, str] | None:
    """Give the option that a line begins with, and the line from the separator on that ends it.

    An option may hold the separator itself; of several that fit the longest one is taken. In a time that grows with the
    length of the line: no more of its pieces are looked at than an option has.

    >>> leading("so, so, 12", ("good", "so, so"), ","), leading("bad, 12", ("good", "so, so"), ",")
    (('so, so', ', 12'), None)
    """
    pieces = 1 + max((option.count(separator) for option in options), default=0)
    found = (match.start() for match in re.finditer(re.escape(separator), line))
    stops = [*islice(found, pieces)]
    if len(stops) < pieces:
        stops.append(len(line))
    for stop in reversed(stops):
        option = chosen(line[:stop], options)
        if option is not None:
            return option, line[stop:]
    return None
