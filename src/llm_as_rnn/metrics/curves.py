"""How scores change along a sequence: prequential curves, and what follows a wrong step."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping
from itertools import accumulate
from typing import NamedTuple, TypeVar

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.figures import finite, mean, scale
from llm_as_rnn.core.records import Record, StepRecord

Key = TypeVar("Key", bound=Hashable)

Scores = Mapping[str, Mapping[int, float]]
"""One method's scores by sequence and timestep (see `by_sequence`)."""

Curve = list[tuple[int, float]]
"""t and value."""


class Tracks(NamedTuple):
    """A value of each sequence at each timestep, whose mean over sequences is a curve.

    Attributes
    ----------
    t : list of int
        The timesteps at which any sequence is scored.
    rows : list of list of float
        One a sequence, one value a timestep, divided by ``unit``; nan where a sequence has none.
    unit : float
        What keeps sums of the largest floats within their range; 1 for all others.
    """

    t: list[int]
    rows: list[list[float]]
    unit: float

    @property
    def curve(self) -> Curve:
        """The mean over the sequences that have a value."""
        points: Curve = []
        for place, t in enumerate(self.t):
            values = [row[place] for row in self.rows if not math.isnan(row[place])]
            points.append((t, finite(sum(values) / len(values) * self.unit)))
        return points


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


def by_sequence(records: Iterable[StepRecord], metric: str) -> dict[str, dict[int, float]]:
    """Sort the scores of one method by sequence and timestep, whatever order the journal has them in.

    Returns
    -------
    dict of str to dict of int to float
        Score by t by sequence; steps without this score are left out.
    """
    found: dict[str, dict[int, float]] = {}
    for record in records:
        if metric in record.scores:
            found.setdefault(record.sequence, {})[record.t] = record.scores[metric]
    return {sequence: dict(sorted(found[sequence].items())) for sequence in sorted(found)}


def curve(records: Iterable[StepRecord], metric: str, window: int | None = None) -> Curve:
    """Give the prequential mean of a score at each timestep: the mean over sequences of each one's own mean so far.

    Parameters
    ----------
    records : iterable of StepRecord
        Steps of one method.
    metric : str
        A key of their scores.
    window : int, optional
        Count the latest timesteps only, this many; else all up to t. A sequence that has none of them is left out.

    Returns
    -------
    list of (int, float)
        t and mean, for every t at which any sequence is scored.
    """
    return running(by_sequence(records, metric), window).curve


def running(found: Scores, window: int | None = None) -> Tracks:
    """Give each sequence's own mean so far, or of the latest timesteps; parameters as for `curve`."""
    unit = scale(score for scores in found.values() for score in scores.values())
    every = sorted({t for scores in found.values() for t in scores})
    rows = []
    for scores in found.values():
        steps, sums = list(scores), list(accumulate((score / unit for score in scores.values()), initial=0.0))
        reach = [(bisect_right(steps, t - window) if window else 0, bisect_right(steps, t)) for t in every]
        rows.append([(sums[end] - sums[begin]) / (end - begin) if end > begin else math.nan for begin, end in reach])
    return Tracks(every, rows, unit)


def regret(
    ours: Scores,
    reference: Scores,
    *,
    higher_is_better: bool,
) -> Tracks:
    """Give the cumulative regret against a reference: what following it would have saved so far, in each sequence.

    Parameters
    ----------
    ours, reference : mapping
        The scores of the method and of the reference (see `by_sequence`); steps that both have count.
    higher_is_better : bool
        Whether scores say how good answers are. A right answer is then worth 1, and regret counts wrong answers.

    Returns
    -------
    Tracks
        Sums so far; below 0 where the method was better. A sequence that has ended keeps its sum.

    Examples
    --------
    >>> wrong, right = {"s": {0: 0.0, 1: 0.0, 2: 1.0}}, {"s": {0: 1.0, 1: 1.0, 2: 0.0}}
    >>> regret(wrong, right, higher_is_better=True).curve
    [(0, 1.0), (1, 2.0), (2, 1.0)]
    """
    sign = -1.0 if higher_is_better else 1.0
    losses = less(ours, reference)
    every = sorted({t for steps in losses.values() for t in steps})
    unit = scale(len(every) * loss for steps in losses.values() for loss in steps.values())
    rows = [list(accumulate(sign * steps.get(t, 0.0) / unit for t in every)) for steps in losses.values()]
    return Tracks(every, rows, unit)


def less(ours: Scores, theirs: Scores) -> dict[str, dict[int, float]]:
    """Give the difference of two methods' scores at each step that both have.

    >>> less({"s": {0: 1.0, 1: 0.5}, "z": {0: 1.0}}, {"s": {1: 0.25}})
    {'s': {1: 0.25}}
    """
    return {
        sequence: {t: finite(score - theirs[sequence][t]) for t, score in scores.items() if t in theirs[sequence]}
        for sequence, scores in ours.items()
        if theirs.get(sequence, {}).keys() & scores.keys()
    }


def strongest(others: Mapping[Key, Scores], metric: Metric) -> Key | None:
    """Name the best of several methods by the mean over its steps, the first of equals; None if none has a score."""
    means = {
        name: mean([score for steps in scores.values() for score in steps.values()])
        for name, scores in others.items()
        if scores
    }
    sign = 1 if metric.higher_is_better else -1
    return max(means, key=lambda name: sign * means[name], default=None)


def self_correction(records: Iterable[StepRecord], metric: str) -> SelfCorrection:
    """Tell how often a wrong step is followed by a right one in its sequence (the paper reports 54.8 %).

    Parameters
    ----------
    records : iterable of StepRecord
        Steps of one method.
    metric : str
        A score that is 0 where the answer is wrong and 1 where it is right.
    """
    after_wrong = [
        scores[t + 1]
        for scores in by_sequence(records, metric).values()
        for t, score in scores.items()
        if score == 0 and t + 1 in scores
    ]
    corrected = sum(score == 1 for score in after_wrong)
    return SelfCorrection(len(after_wrong), corrected, corrected / len(after_wrong) if after_wrong else None)
