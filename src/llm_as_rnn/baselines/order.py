"""Past steps in the order of their steps, whatever order their outcomes come in."""

from __future__ import annotations

from bisect import bisect
from typing import TypeVar

T = TypeVar("T")

UNKNOWN_STEP = -1
"""The step of what an earlier version of the program remembered without one."""


def placed(steps: tuple[int, ...], count: int, t: int) -> tuple[tuple[int, ...], int]:
    """Give the steps of what is remembered with one more, and its place among them.

    Parameters
    ----------
    steps : tuple of int
        Of what is remembered, in order.
    count : int
        How much is remembered; what has no step came before those that have one.
    t : int
        The new step.

    Examples
    --------
    >>> placed((0, 1, 3), 3, 2)
    ((0, 1, 2, 3), 2)
    """
    known = (UNKNOWN_STEP,) * (count - len(steps)) + steps
    place = bisect(known, t)
    return inserted(known, place, t), place


def inserted(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    """Give values with one more at a place.

    >>> inserted(("a", "c"), 1, "b")
    ('a', 'b', 'c')
    """
    return (*values[:place], value, *values[place:])
