"""What statistics come to: plain values, which can be read without the libraries that they are computed with."""

from __future__ import annotations

from typing import Literal

from llm_as_rnn.core.records import Record

Over = Literal["sequences", "steps"]
"""What was resampled: whole sequences; or, where there is one sequence, blocks of its steps."""


class Interval(Record, frozen=True):
    """A confidence interval, in the score's unit.

    Attributes
    ----------
    low, high : float
        Its ends.
    over : str
        What it is over: other ``sequences`` like these, or other stretches of ``steps`` of the one that there is.
    """

    low: float
    high: float
    over: Over = "sequences"


class PairedDifference(Record, frozen=True):
    """The mean difference between two methods on the very same steps.

    Attributes
    ----------
    mean : float
        Score of the first method minus score of the other, in the score's unit.
    interval : Interval or None
        Where the mean may lie; None where nothing can be said (see `intervals.interval`).
    steps, sequences : int
        What both have.
    other : str
        The other method.
    p : float or None
        Two-sided p value of the sign-flip test (see `resampling.sign_flip`); None where there is no interval.
    p_holm : float or None
        The same, corrected for all the comparisons of its table (see `resampling.holm`).
    """

    mean: float
    interval: Interval | None
    steps: int
    sequences: int
    other: str = ""
    p: float | None = None
    p_holm: float | None = None


class Gain(Record, frozen=True):
    """How much better a method is than the strongest of several, as a share of that one's score.

    Attributes
    ----------
    strongest : str
        The best of the others over all steps.
    value : float
        0.13 is 13 % more, or 13 % less of an error.
    interval : Interval or None
        Where it may lie. In each resample the strongest is chosen anew, so that the choice counts.
    steps, sequences : int
        What all of them have.
    """

    strongest: str
    value: float
    interval: Interval | None
    steps: int
    sequences: int
