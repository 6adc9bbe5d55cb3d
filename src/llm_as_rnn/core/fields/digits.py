"""Patterns of the numbers within a range, in a notation that regular expressions and llama.cpp's grammars share.

Single characters stand in brackets, which both read alike. An engine that is held to such a pattern cannot answer with
a number that could not be.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

MOST_DIGITS = 15
"""Whole digits of a range's ends up to which it is followed; of longer numbers only the count of digits is."""


def number_pattern(low: float, high: float, decimals: int) -> str:
    """Give a pattern of the numbers from low to high, both ends included, with at most so many decimals.

    Where no number with so few decimals lies in the range, and where its ends are very long, only the count of digits
    is followed.

    >>> number_pattern(0, 6, 0), number_pattern(10, 45, 0)
    ('[0-6]', '([1-3][0-9]|[4][0-5])')
    >>> number_pattern(-2, 10, 1)
    '([-]([0-1]([.][0-9])?|[2]([.][0])?)|[0-9]([.][0-9])?|[1][0]([.][0])?)'
    """
    least, most = Decimal(str(low)), Decimal(str(high))
    ways: list[str] = []
    if max(abs(least), abs(most)) < 10**MOST_DIGITS:
        below = _from_zero_on(max(-most, Decimal(0)), -least, decimals) if least < 0 else []
        above = _from_zero_on(max(least, Decimal(0)), most, decimals) if most >= 0 else []
        ways = [*([f"[-]{_one_of(below)}"] if below else []), *above]
    digits = len(str(int(max(abs(least), abs(most)))))
    return _one_of(ways) or f"{'[-]?' if low < 0 else ''}[0-9]{{1,{digits}}}{_fraction(decimals)}"


def _from_zero_on(low: Decimal, high: Decimal, decimals: int) -> list[str]:
    """Give ways to write the numbers of a range of which nothing is below 0; none where none has so few decimals."""
    first, last = int(low), int(high)
    if first == last:
        return _at(first, low - first, high - first, decimals)
    begins, ends = low > first, decimals > 0  # whether the first and the last whole number are cases of their own
    ways = _at(first, low - first, Decimal(1), decimals) if begins else []
    between = list(_whole(first + begins, last - ends))
    if between:
        ways.append(_one_of(between) + _fraction(decimals))
    return ways + (_at(last, Decimal(0), high - last, decimals) if ends else [])


def _at(whole: int, low: Decimal, high: Decimal, decimals: int) -> list[str]:
    """Give the patterns of numbers of one whole part, whose fraction lies from low to high."""
    written = "".join(f"[{digit}]" for digit in str(whole))
    fractions: list[str] = []
    for places in range(1, decimals + 1):
        least = int((low * 10**places).to_integral_value(ROUND_CEILING))
        most = min(int((high * 10**places).to_integral_value(ROUND_FLOOR)), 10**places - 1)
        if least <= most:
            fractions += _alike(str(least).zfill(places), str(most).zfill(places))
    if not fractions:
        return [] if low else [written]
    return [f"{written}([.]{_one_of(fractions)}){'' if low else '?'}"]


def _fraction(decimals: int) -> str:
    if not decimals:
        return ""
    return f"([.][0-9]{f'{{1,{decimals}}}' if decimals > 1 else ''})?"


def _whole(low: int, high: int) -> Iterator[str]:
    """Give the patterns of whole numbers from low to high, without zeros before them."""
    for length in range(len(str(low)), len(str(max(high, 0))) + 1):
        least, most = max(low, 10 ** (length - 1) if length > 1 else 0), min(high, 10**length - 1)
        if least <= most:
            yield from _alike(str(least), str(most))


def _alike(low: str, high: str) -> Iterator[str]:
    """Give the patterns of all texts of digits between two that are as long as each other."""
    if not low:
        yield ""
        return
    first, last, rest = int(low[0]), int(high[0]), len(low) - 1
    if first == last:
        yield from (f"[{first}]{tail}" for tail in _alike(low[1:], high[1:]))
        return
    if low[1:] != "0" * rest:
        yield from (f"[{first}]{tail}" for tail in _alike(low[1:], "9" * rest))
        first += 1
    cut = high[1:] != "9" * rest
    if first <= last - cut:
        span = f"[{first}]" if first == last - cut else f"[{first}-{last - cut}]"
        yield span + ("[0-9]" if rest == 1 else f"[0-9]{{{rest}}}" if rest else "")
    if cut:
        yield from (f"[{last}]{tail}" for tail in _alike("0" * rest, high[1:]))


def _one_of(ways: list[str]) -> str:
    return ways[0] if len(ways) == 1 else f"({'|'.join(ways)})" if ways else ""
