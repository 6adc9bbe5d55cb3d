"""How scores change along a sequence: prequential curves, and what follows a wrong step."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.metrics.estimates import SelfCorrection
from llm_as_rnn.metrics.series import Array, Places, Series, bounded, mean_of, unit_of

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
    values : array, (sequences, timesteps)
        Divided by ``unit``; nan where a sequence has none.
    unit : float
        What keeps sums of the largest floats within their range; 1 for all others.
    """

    t: list[int]
    values: Array
    unit: float

    @property
    def rows(self) -> list[list[float]]:
        """The same as lists, one a sequence."""
        return list(self.values.tolist())

    @property
    def curve(self) -> Curve:
        """The mean over the sequences that have a value."""
        if not self.t:
            return []
        there = ~np.isnan(self.values)
        sums = np.where(there, self.values, 0.0).cumsum(axis=0)[-1] + 0.0  # a sum of zeros has no minus before it
        with np.errstate(over="ignore"):
            return list(zip(self.t, bounded(sums / there.sum(axis=0) * self.unit).tolist(), strict=True))


def by_sequence(records: Iterable[StepRecord], metric: str) -> Series:
    """Sort the scores of one method by sequence and timestep, whatever order the journal has them in.

    Returns
    -------
    Series
        Score by t by sequence; steps without this score are left out.
    """
    found: dict[str, dict[int, float]] = {}
    for record in records:
        if metric in record.scores:
            found.setdefault(record.sequence, {})[record.t] = record.scores[metric]
    return Series.of(found)


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
    series = Series.of(found)
    unit = unit_of(series.figures)
    every = np.unique(series.t)
    place = series.sequences, 1 + np.searchsorted(every, series.t)
    sums, counts = np.zeros((2, len(series), 1 + len(every)))
    sums[place], counts[place] = series.figures / unit, 1.0
    begin = np.searchsorted(every, every - window, side="right") if window else np.zeros(len(every), int)
    reached, steps = (so_far[:, 1:] - so_far[:, begin] for so_far in (sums.cumsum(axis=1), counts.cumsum(axis=1)))
    rows = np.full(reached.shape, np.nan)
    np.divide(reached, steps, out=rows, where=steps > 0)
    return Tracks(every.tolist(), rows, unit)


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
    losses = less(ours, reference)
    every = np.unique(losses.t)
    unit = unit_of(losses.figures, len(every))
    rows = np.zeros((len(losses), len(every)))
    signed = -losses.figures if higher_is_better else losses.figures
    rows[losses.sequences, np.searchsorted(every, losses.t)] = signed / unit
    return Tracks(every.tolist(), rows.cumsum(axis=1), unit)


def less(ours: Scores, theirs: Scores) -> Series:
    """Give the difference of two methods' scores at each step that both have.

    >>> less({"s": {0: 1.0, 1: 0.5}, "z": {0: 1.0}}, {"s": {1: 0.25}})
    Series.of({'s': {1: 0.25}})
    """
    first, (mine, other) = shared(ours, theirs)
    with np.errstate(over="ignore"):
        differences = bounded(mine.values - other.values)
    return Series(first, mine.sequences, mine.t, differences)


def shared(*methods: Scores) -> tuple[tuple[str, ...], list[Picked]]:
    """Give the scores of methods at the steps that all of them have.

    Returns
    -------
    tuple of str
        The first one's sequences.
    list of Picked
        Each method's scores there.
    """
    first, *others = map(Series.of, methods)
    places = [one.among(first.names) for one in others]
    width = 1 + max((int(one.t.max(initial=0)) for one in (first, *others)), default=0)
    keys = [first.sequences * width + first.t]
    keys += [np.where(place < 0, -1, place * width + one.t) for one, place in zip(others, places, strict=True)]
    there = np.ones(len(keys[0]), bool)
    for key in keys[1:]:
        there &= np.isin(keys[0], key)
    kept = keys[0][there]
    found = []
    for one, key in zip((first, *others), keys, strict=True):
        order = np.argsort(key, kind="stable")
        picked = order[np.searchsorted(key, kept, sorter=order)]
        found.append(Picked(first.sequences[there], one.t[picked], one.figures[picked]))
    return first.names, found


class Picked(NamedTuple):
    """Some of a method's scores, by sequence (its place among the first method's) and timestep."""

    sequences: Places
    t: Places
    values: Array


def strongest(others: Mapping[Key, Scores], metric: Metric) -> Key | None:
    """Name the best of several methods by the mean over its steps, the first of equals; None if none has a score."""
    means = {name: mean_of(Series.of(scores).figures) for name, scores in others.items() if scores}
    sign = 1 if metric.higher_is_better else -1
    return max(means, key=lambda name: sign * means[name], default=None)


def self_correction(scores: Scores) -> SelfCorrection:
    """Tell how often a wrong step is followed by a right one in its sequence (the paper reports 54.8 %).

    Parameters
    ----------
    scores : mapping
        Of one method: 0 where the answer is wrong and 1 where it is right.
    """
    series = Series.of(scores)
    follows = (np.diff(series.sequences) == 0) & (np.diff(series.t) == 1)
    after_wrong = series.figures[1:][follows & (series.figures[:-1] == 0)]
    corrected = int((after_wrong == 1).sum())
    return SelfCorrection(len(after_wrong), corrected, corrected / len(after_wrong) if len(after_wrong) else None)
