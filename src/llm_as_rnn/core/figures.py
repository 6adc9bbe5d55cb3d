"""Arithmetic within the range of floats: JSON has no infinity, so what left the range could not be read again.

Outcomes may be any finite numbers. Their differences, squares and sums may leave the range, and then stay at its end:
an error of 1e308 and one of twice that are as bad as each other. A mean never leaves it, however large its parts.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterable

LARGEST = sys.float_info.max
"""The largest number that a float can hold."""

STEP_BACK = 2.0**64
"""What numbers are divided by before they are added up, where their sum could leave the range: a power of 2."""


def finite(number: float) -> float:
    """Give a number, or the end of the range of floats that it lies beyond.

    Raises
    ------
    ValueError
        If it is not a number: that lies nowhere, and nothing that is read lets it in.

    Examples
    --------
    >>> finite(2.5), finite(1e308 + 1e308), finite(-math.inf)
    (2.5, 1.7976931348623157e+308, -1.7976931348623157e+308)
    """
    if math.isnan(number):
        raise ValueError("a figure that is not a number")
    return max(-LARGEST, min(LARGEST, number))


def shown(number: float, decimals: int, plain: float = 1e12) -> str:
    """Write a number as people and models read it: in plain figures, but for one of very many digits.

    Parameters
    ----------
    number : float
        A finite number.
    decimals : int
        Digits after its point.
    plain : float
        The largest size that is written in plain figures.

    Examples
    --------
    >>> shown(12.84, 1), shown(-1.7976931348623157e308, 1)
    ('12.8', '-1.79769e+308')
    """
    return f"{number:.{decimals}f}" if abs(number) <= plain else f"{number:.6g}"


def decimals(size: float) -> int:
    """Give the decimals with which a figure is written: three digits in all, and two of one that is small.

    >>> [decimals(size) for size in (250, 12.5, 0.65, 0.042, 0.00042, 0)]
    [0, 1, 2, 3, 5, 2]
    """
    size = abs(size)
    if size >= 100:  # noqa: PLR2004
        return 0
    if size >= 10:  # noqa: PLR2004
        return 1
    return 2 if size >= 0.1 or not size else 1 - math.floor(math.log10(size))  # noqa: PLR2004


def in_full(number: float) -> str:
    """Write a number with all the digits that people gave it, so that who goes by it goes by the number itself.

    >>> in_full(40.0), in_full(0.25), in_full(1735689600123), in_full(1e21)
    ('40', '0.25', '1735689600123', '1e+21')
    """
    return f"{number:.15g}"


def time_span(seconds: float) -> str:
    """Write a time span roughly.

    >>> time_span(12.4), time_span(60), time_span(400), time_span(9000)
    ('12 s', '1 min', '7 min', '2.5 h')
    """
    if seconds < 59.5:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004


def scale(values: Iterable[float]) -> float:
    """Give a divisor that keeps sums of numbers within the range: 1 but for the largest of them.

    >>> scale([1.0, 1e300]), scale([1e308, 1e308]) == STEP_BACK
    (1.0, True)
    """
    sizes = [abs(value) for value in values]
    return STEP_BACK if sizes and max(sizes) > LARGEST / len(sizes) else 1.0


def mean(values: Collection[float]) -> float:
    """Give the mean of at least one finite number, itself finite.

    >>> mean([0.25, 0.5]), mean([1.5e308, 1.7e308])
    (0.375, 1.6e+308)
    """
    unit = scale(values)
    return finite(math.fsum(value / unit for value in values) / len(values) * unit)
