"""What statistics come to: plain values, which can be read without the libraries that they are computed with."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

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

    @property
    def without_zero(self) -> bool:
        """Whether it leaves out zero: of a difference or gain, whether that is told from chance by it."""
        return self.low > 0 or self.high < 0


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
        Two-sided p value of the sign-flip test (see `resampling.sign_flip`); None for one sequence of too few steps.
    p_holm : float or None
        The same, corrected for all the comparisons of its table (see `resampling.holm`).
    streams : int, optional
        How many streams it is of, where several are compared together (see `comparisons.across`).
    """

    mean: float
    interval: Interval | None
    steps: int
    sequences: int
    other: str = ""
    p: float | None = None
    p_holm: float | None = None
    streams: int | UnsetType = UNSET


class Gain(Record, frozen=True):
    """How much better a method is than the strongest of several, as a share of that one's score.

    Attributes
    ----------
    strongest : str
        The best of the others over all steps.
    value : float
        0.13 is 13 % more, or 13 % less of an error.
    interval : Interval or None
        Where it may lie, whichever of the others is the strongest in truth (see `comparisons.gain`).
    steps, sequences : int
        What all of them have.
    """

    strongest: str
    value: float
    interval: Interval | None
    steps: int
    sequences: int


class SelfCorrection(Record, frozen=True):
    """What came after wrong steps.

    Attributes
    ----------
    wrong : int
        Wrong steps whose next step in the same sequence is scored as well.
    corrected : int
        How many of those next steps are right.
    share : float or None
        ``corrected / wrong``; None if nothing was wrong.
    """

    wrong: int
    corrected: int
    share: float | None


class Trusted(Record, frozen=True, omit_defaults=True):
    """How far one field's predictions could be trusted. What there is nothing of is absent.

    Attributes
    ----------
    steps : int
        Answers whose outcome is known.
    coverage : float, optional
        Share of outcomes that lay in the interval, or among the set.
    parts : tuple of float or None
        The same in each fifth of the sequences; None where one has no such step.
    width, interval_score : float, optional
        Of numbers, means in the field's unit: how wide intervals are; that, and for each outcome outside
        ``2 / (1 - coverage asked for)`` times how far (Winkler 1972; Gneiting and Raftery 2007). Less is better.
    set_size : float, optional
        Mean number of options in a set.
    log_loss, brier : float, optional
        Of distributions: mean of -log of the chance of what came, in nats (see `trusted.FLOOR`), and of the squared
        differences between chances and what came, summed over options, between 0 and 2. Less is better.
    calibration_error : float, optional
        Expected difference between the chance of an answer and how often such answers were right (see
        `trusted.reliability`).
    calibration_by_chance : float, optional
        What that would be on average if all chances were right, because there are no more answers than these.
    kept, risk : float, optional
        Share of answers that were not held back; of these, the share that is wrong, or of numbers the mean absolute
        error.
    """

    steps: int
    coverage: float | None = None
    parts: tuple[float | None, ...] = ()
    width: float | None = None
    interval_score: float | None = None
    set_size: float | None = None
    log_loss: float | None = None
    brier: float | None = None
    calibration_error: float | None = None
    calibration_by_chance: float | None = None
    kept: float | None = None
    risk: float | None = None


class Trust(Record, frozen=True):
    """The same over all steps, and over those after the first third of each sequence, when there was time to learn."""

    whole: Trusted
    later: Trusted
