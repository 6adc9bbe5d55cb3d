"""How sure a mean is: bootstrap intervals. Whole sequences are resampled, as steps of one are not independent.

The intervals are percentiles of means over resampled sequences (Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993, chapter 13; clusters as in Cameron, Gelbach and Miller, 2008). With fewer than about ten sequences
they are too narrow, and with one nothing can be said.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from llm_as_rnn.core.figures import finite, mean, scale
from llm_as_rnn.core.records import Record, StepRecord
from llm_as_rnn.metrics.curves import by_sequence

LEVEL = 0.95
DRAWS = 2000

KEPT = 256
"""The most sequences whose draws are kept for the next score: they take a few megabytes."""


class Interval(Record, frozen=True):
    """A confidence interval, in the score's unit."""

    low: float
    high: float


class PairedDifference(Record, frozen=True):
    """The mean difference between two methods on the very same steps.

    Attributes
    ----------
    mean : float
        Score of the first method minus score of the second, in the score's unit.
    interval : Interval or None
        Where the mean may lie; None with one sequence.
    steps, sequences : int
        What both have.
    """

    mean: float
    interval: Interval | None
    steps: int
    sequences: int


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
        None with fewer than two scored sequences.
    """
    return _interval(by_sequence(records, metric), level, draws, seed)


def paired(
    records: Iterable[StepRecord],
    a: str,
    b: str,
    metric: str,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> PairedDifference | None:
    """Compare two methods on the steps that both have a score for.

    Parameters
    ----------
    records : iterable of StepRecord
        Steps of these methods, and of any others.
    a, b : str
        Names of the methods; the difference is a minus b.
    metric : str
        A key of their scores.
    level, draws, seed
        As for `interval`.

    Returns
    -------
    PairedDifference or None
        None if the methods share no scored step.
    """
    steps = list(records)
    ours = by_sequence((step for step in steps if step.method == a), metric)
    theirs = by_sequence((step for step in steps if step.method == b), metric)
    shared = {
        sequence: {t: finite(score - theirs[sequence][t]) for t, score in scores.items() if t in theirs[sequence]}
        for sequence, scores in ours.items()
        if sequence in theirs
    }
    differences = {sequence: scores for sequence, scores in shared.items() if scores}
    if not differences:
        return None
    every = [score for scores in differences.values() for score in scores.values()]
    return PairedDifference(mean(every), _interval(differences, level, draws, seed), len(every), len(differences))


def _interval(scores: Mapping[str, Mapping[int, float]], level: float, draws: int, seed: int) -> Interval | None:
    unit = scale(score for steps in scores.values() for score in steps.values())
    clusters = [(math.fsum(score / unit for score in steps.values()), len(steps)) for steps in scores.values()]
    if len(clusters) < 2:  # noqa: PLR2004 - how much sequences differ takes two of them
        return None
    totals, counts = zip(*clusters, strict=True)
    means: list[float] = []
    for drawn, times in (_resampled_once if len(clusters) <= KEPT else _resampled)(len(clusters), draws, seed).items():
        total = math.fsum(map(totals.__getitem__, drawn))
        means += [total / sum(map(counts.__getitem__, drawn))] * times
    means.sort()
    tail = (1 - level) / 2
    return Interval(finite(_quantile(means, tail) * unit), finite(_quantile(means, 1 - tail) * unit))


def _resampled(sequences: int, draws: int, seed: int) -> Mapping[tuple[int, ...], int]:
    """Draw as many sequences as there are, again and again: which ones came, by their places, and how often.

    The order in which they came is left out: it changes no mean, and few sequences come in few ways without it.
    """
    generator, places = random.Random(seed), range(sequences)  # noqa: S311 - statistics, not secrets
    return Counter(tuple(sorted(generator.choices(places, k=sequences))) for _ in range(draws))


_resampled_once = lru_cache(maxsize=4)(_resampled)
"""The same for all scores of as many sequences, which would be drawn anew for each score of each method."""


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Interpolate between the two values around a rank."""
    rank = share * (len(ordered) - 1)
    low, high = math.floor(rank), math.ceil(rank)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)
