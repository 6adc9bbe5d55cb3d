"""How scores change along a sequence: prequential curves, and what follows a wrong step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from llm_as_rnn.core.figures import finite, scale
from llm_as_rnn.core.records import Record, StepRecord


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


def curve(records: Iterable[StepRecord], metric: str, window: int | None = None) -> list[tuple[int, float]]:
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
    found = by_sequence(records, metric)
    unit = scale(score for scores in found.values() for score in scores.values())
    tracks = [
        (list(scores), list(accumulate((score / unit for score in scores.values()), initial=0.0)))
        for scores in found.values()
    ]
    points: list[tuple[int, float]] = []
    for t in sorted({t for steps, _ in tracks for t in steps}):
        means: list[float] = []
        for steps, sums in tracks:
            begin = bisect_right(steps, t - window) if window else 0
            end = bisect_right(steps, t)
            if end > begin:
                means.append((sums[end] - sums[begin]) / (end - begin))
        points.append((t, finite(sum(means) / len(means) * unit)))
    return points


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
