"""How sure a mean is: see `resampling` for how, and ``docs/statistics.md`` for what may be concluded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from llm_as_rnn.core.figures import finite
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.metrics.curves import Scores, by_sequence, shared
from llm_as_rnn.metrics.estimates import Interval
from llm_as_rnn.metrics.resampling import DRAWS, LEVEL, Array, Units, ends, resampled_means, undecided, units
from llm_as_rnn.metrics.series import unit_of

ROOM = 1e12
"""How many times the largest score has room in a sum: a resample may have it again and again."""


class Aligned:
    """Scores of one or several methods at the places that all of them have, in an array.

    Attributes
    ----------
    values : array, (places, methods)
        By sequence and timestep, divided by ``unit``.
    sequences : array, (places,)
        The number of each place's sequence.
    unit : float
        What keeps sums of the largest floats within their range; 1 for all others.
    """

    def __init__(self, *methods: Scores) -> None:
        _, found = shared(*methods)
        values = np.stack([one.values for one in found], axis=1)
        self.unit = unit_of(values, ROOM)
        self.values: Array = values / self.unit
        self.sequences: NDArray[np.int64] = found[0].sequences

    @property
    def size(self) -> tuple[int, int]:
        """How many places there are, and in how many sequences."""
        return len(self.values), len(np.unique(self.sequences))


def interval(
    records: Iterable[StepRecord], metric: str, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Interval | None:
    """Give a bootstrap interval of a score's mean over all steps of one method.

    Parameters
    ----------
    records : iterable of StepRecord
        Steps of one method.
    metric : str
        A key of their scores.
    level : float
        Between 0 and 1: how often such intervals should hold the truth.
    draws : int
        How many times the sequences are resampled.
    seed : int
        The same records and seed give the same interval, in whatever order the records come.

    Returns
    -------
    Interval or None
        Over sequences; over stretches of steps where there is one sequence. None if that is shorter than 27 steps, and
        where fewer than six sequences or stretches have the very same mean although their values differ.
    """
    return interval_of(by_sequence(records, metric), level=level, draws=draws, seed=seed)


def interval_of(scores: Scores, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Interval | None:
    """Give the same of scores by sequence and timestep."""
    aligned = Aligned(scores)
    return mean_interval(aligned.values[:, 0], aligned, level=level, draws=draws, seed=seed)


def mean_interval(
    values: Array, aligned: Aligned, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Interval | None:
    """Give the interval of the mean of values at some places.

    No end lies beyond the least and the greatest value: an accuracy stays between 0 and 1, and an error above 0. There
    is no interval where few sequences agree by chance (see `resampling.undecided`).
    """
    column = values[:, None]
    found = units(column, aligned.sequences)
    if found is None:
        return None
    mean = column.mean(axis=0)
    if undecided(found.totals - mean * found.sizes[:, None], column - mean, found):
        return None
    low, high = ends(mean, resampled_means(found, draws, seed), found.effective, level)
    return bounded((low[0], high[0]), (values.min(), values.max()), found, aligned.unit)


def bounded(found: Sequence[float], within: Sequence[float], of: Units, unit: float = 1.0) -> Interval:
    """Make two ends an interval that does not leave a range, in the score's own unit."""
    low, high = (finite(float(min(max(end, within[0]), within[1])) * unit) for end in found)
    return Interval(low, high, of.over)
