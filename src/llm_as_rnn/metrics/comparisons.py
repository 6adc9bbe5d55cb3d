"""One method against others, on the very same steps: differences, tests, and the gain over the strongest."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from scipy.special import stdtrit

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.figures import finite
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.metrics.curves import Scores, by_sequence
from llm_as_rnn.metrics.estimates import Gain, Interval, PairedDifference
from llm_as_rnn.metrics.intervals import Aligned, bounded, mean_interval
from llm_as_rnn.metrics.resampling import DRAWS, LEVEL, Array, ends, holm, resampled_means, sign_flip, undecided, units
from llm_as_rnn.metrics.series import bounded as bounded_each
from llm_as_rnn.metrics.series import mean_of

Key = TypeVar("Key", bound=Hashable)

VAST = 1e150
"""A gain over a score of 0, of which nothing is a share, and the most that any is: ends of intervals stay finite."""


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
        As for `intervals.interval`.

    Returns
    -------
    PairedDifference or None
        None if the methods share no scored step.
    """
    steps = list(records)
    ours, theirs = (by_sequence((step for step in steps if step.method == name), metric) for name in (a, b))
    return difference(ours, theirs, b, level=level, draws=draws, seed=seed)


def difference(
    ours: Scores, theirs: Scores, other: str, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> PairedDifference | None:
    """Compare two methods by their scores; parameters and result as for `paired`."""
    aligned = Aligned(ours, theirs)
    steps, sequences = aligned.size
    if not steps:
        return None
    differences = aligned.values[:, 0] - aligned.values[:, 1]
    tested = sign_flip(differences[:, None], aligned.sequences)
    return PairedDifference(
        mean_of(bounded_each(differences * aligned.unit)),
        mean_interval(differences, aligned, level=level, draws=draws, seed=seed),
        steps,
        sequences,
        other,
        None if tested is None else float(tested[0]),
    )


AGREEING = 1e-9
"""A spread of so small a part of what is spread comes from rounding."""


class _Stream(NamedTuple):
    """What one stream of several says of two methods.

    Attributes
    ----------
    parts : array, (sequences,)
        What each sequence adds to the mean difference, which is their sum.
    variance : float
        Of that mean.
    steps : int
        What both methods have.
    """

    parts: Array
    variance: float
    steps: int

    @property
    def freedom(self) -> int:
        """How many degrees of freedom its variance has."""
        return len(self.parts) - 1


def across(streams: Iterable[tuple[Scores, Scores]], level: float = LEVEL) -> PairedDifference | None:
    """Compare two methods on several streams together, each of which counts alike.

    The few sequences of a single stream can hardly tell a small difference from chance. If it is there in all streams,
    all of them together can. The mean of the streams' mean differences has an interval by Student's t with degrees of
    freedom for variances that differ (Welch, 1947; Satterthwaite, 1946), and a p value by the sign-flip test of all
    sequences (see `resampling.sign_flip`). Both are about other sequences of these very streams, and say nothing of
    other streams.

    Parameters
    ----------
    streams : iterable of pairs of scores
        For each stream the scores of both methods, in the same unit; the difference is the first less the other.
        Sequences of one are taken to be independent of those of another, so runs on the same data are one stream.
        Streams of which both have fewer than two sequences are left out.
    level : float
        Between 0 and 1: how often such intervals should hold the truth.

    Returns
    -------
    PairedDifference or None
        Of all streams; None if there are none. It has no interval where all sequences of each stream agree.

    Examples
    --------
    >>> sunny = {"a": {0: 1.0, 1: 1.0}, "b": {0: 1.0, 1: 0.0}}, {"a": {0: 0.0, 1: 1.0}, "b": {0: 0.0, 1: 0.0}}
    >>> found = across([sunny, sunny])
    >>> found.mean, found.sequences, found.p
    (0.5, 4, 0.125)
    """
    found = [one for ours, theirs in streams if (one := _stream(ours, theirs))]
    if not found:
        return None
    parts = np.concatenate([one.parts for one in found]) / len(found)
    mean, tested = float(parts.sum()), sign_flip(parts[:, None], np.arange(len(parts)))
    return PairedDifference(
        mean,
        _ends_across(found, mean, level),
        sum(one.steps for one in found),
        len(parts),
        p=None if tested is None else float(tested[0]),
        streams=len(found),
    )


def _stream(ours: Scores, theirs: Scores) -> _Stream | None:
    aligned = Aligned(ours, theirs)
    steps, sequences = aligned.size
    found = units((aligned.values[:, 0] - aligned.values[:, 1])[:, None], aligned.sequences)
    if found is None or sequences < 2:  # noqa: PLR2004 - one sequence says nothing of others
        return None
    parts = found.totals[:, 0] * aligned.unit / found.sizes.sum()
    apart = parts - parts.sum() * found.sizes / found.sizes.sum()
    return _Stream(parts, float((apart**2).sum() * sequences / (sequences - 1)), steps)


def _ends_across(streams: Sequence[_Stream], mean: float, level: float) -> Interval | None:
    variances = np.array([one.variance for one in streams]) / len(streams) ** 2
    total = variances.sum()
    # Sums of the same values in another order differ in their last digits: what is left of these is no variance.
    if total <= (AGREEING * max(np.abs(one.parts).max() for one in streams)) ** 2:
        return None
    freedom = total**2 / np.sum(variances**2 / [one.freedom for one in streams])
    reach = float(stdtrit(freedom, (1 + level) / 2) * np.sqrt(total))
    return Interval(mean - reach, mean + reach)


def gain(
    ours: Scores, others: Mapping[str, Scores], metric: Metric, *, draws: int = DRAWS, seed: int = 0
) -> Gain | None:
    """Give the relative gain of a method over the strongest of several.

    Which of them is the strongest is not known but found on these very steps, and the best of several is partly the
    luckiest: so the gain that is found is on the low side, and resamples that choose their own strongest are so again.
    For the lower end that is the safe side. For the upper one it is not, and percentiles of such resamples hold the
    truth far too seldom. But the gain over the strongest is the least of the gains over each: so the upper end is the
    least of theirs, and with several chances to be wrong, each of these fails so many times less often (Bonferroni).

    Parameters
    ----------
    ours : mapping
        The method's scores.
    others : mapping
        Those of the others, by name.
    metric : Metric
        Which says what is better.
    draws, seed
        As for `intervals.interval`.

    Returns
    -------
    Gain or None
        None if they share no scored step, the strongest has a score of 0, of which nothing is a share, or any step's
        score is below 0, as the logarithm of a chance is: then 0 is not the least that there is to have a share of. It
        has no interval where a score of 0 may happen in a resample, nor where few sequences agree by chance (see
        `resampling.undecided`).
    """
    names = [name for name, scores in others.items() if scores]
    aligned = Aligned(ours, *(others[name] for name in names))
    steps, sequences = aligned.size
    if not steps or not names:
        return None
    means = aligned.values.mean(axis=0)
    chosen = int(np.argmax(means[1:]) if metric.higher_is_better else np.argmin(means[1:]))
    if means[1 + chosen] <= 0 or (aligned.values < 0).any():
        return None
    value = float(_over_each(means[None, :], metric)[0, chosen])
    return Gain(names[chosen], finite(value), _ends_of_gain(aligned, metric, draws, seed), steps, sequences)


def _ends_of_gain(aligned: Aligned, metric: Metric, draws: int, seed: int) -> Interval | None:
    """Give the interval of the gain of the first column over the best of the others."""
    found = units(aligned.values, aligned.sequences)
    if found is None:
        return None
    resampled = resampled_means(found, draws, seed)
    above = (resampled[:, 1:] > 0).all(axis=0)
    # A worse score of 0 is never the strongest, and a better one of 0 always is.
    if not (above.any() if metric.higher_is_better else above.all()):
        return None
    gains = _over_each(aligned.values.mean(axis=0)[None, :], metric)[0]
    sign = 1 if metric.higher_is_better else -1
    ratios = 1 + sign * gains[above]
    totals, values = (one[:, :1] - ratios * one[:, 1:][:, above] for one in (found.totals, aligned.values))
    if undecided(totals, values, found):
        return None
    drawn = _over_each(resampled, metric)
    (low,), _ = ends(gains.min(keepdims=True), drawn.min(axis=1, keepdims=True), found.effective)
    _, high = ends(gains, drawn, found.effective, 1 - (1 - LEVEL) / len(gains))
    return bounded((low, high.min()), _possible(metric), found)


def _over_each(means: Array, metric: Metric) -> Array:
    """Give the gains of the first column over each of the others, row by row."""
    base = means[:, 1:]
    found = np.full(base.shape, VAST)
    with np.errstate(over="ignore"):
        np.divide(means[:, :1] - base, base, out=found, where=base > 0)
    gains: Array = np.clip(found, -VAST, VAST)
    return gains if metric.higher_is_better else -gains


def _possible(metric: Metric) -> tuple[float, float]:
    """Give the range of gains: nothing loses more than all of a score, or saves more than all of an error."""
    return (-1.0, np.inf) if metric.higher_is_better else (-np.inf, 1.0)


def corrected(found: Mapping[Key, PairedDifference]) -> dict[Key, PairedDifference]:
    """Correct the p values of all the comparisons of a table for each other, by Holm's method."""
    tested = {key: one.p for key, one in found.items() if one.p is not None}
    p_holm = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {key: msgspec.structs.replace(one, p_holm=p_holm.get(key)) for key, one in found.items()}
