"""One method against others, on the very same steps: differences, tests, and the gain over the strongest."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

import msgspec
import numpy as np

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.figures import finite
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.metrics.curves import Scores, by_sequence
from llm_as_rnn.metrics.estimates import Gain, PairedDifference
from llm_as_rnn.metrics.intervals import Aligned, bounded, mean_interval
from llm_as_rnn.metrics.resampling import DRAWS, LEVEL, Array, ends, holm, resampled_means, sign_flip, units
from llm_as_rnn.metrics.series import bounded as bounded_each
from llm_as_rnn.metrics.series import mean_of

Key = TypeVar("Key", bound=Hashable)


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


def gain(
    ours: Scores, others: Mapping[str, Scores], metric: Metric, *, draws: int = DRAWS, seed: int = 0
) -> Gain | None:
    """Give the relative gain of a method over the strongest of several.

    Which of them is the strongest is not known but found on these very steps, and the best of several is partly the
    luckiest. So each resample chooses its own strongest, and is compared with that.

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
        None if they share no scored step, or the strongest has a score of 0, of which nothing is a share. It has no
        interval where that may happen in a resample.
    """
    names = [name for name, scores in others.items() if scores]
    aligned = Aligned(ours, *(others[name] for name in names))
    steps, sequences = aligned.size
    if not steps or not names:
        return None
    means = aligned.values.mean(axis=0)
    chosen = int(np.argmax(means[1:]) if metric.higher_is_better else np.argmin(means[1:]))
    if means[1 + chosen] <= 0:
        return None
    value = _relative(means[None, :], metric)
    found, ends_found = units(aligned.values, aligned.sequences), None
    if found is not None:
        resampled = resampled_means(found, draws, seed)
        if (_best(resampled[:, 1:], metric) > 0).all():
            low, high = ends(value, _relative(resampled, metric)[:, None], found.effective)
            ends_found = bounded((low[0], high[0]), _possible(metric), found)
    return Gain(names[chosen], finite(float(value[0])), ends_found, steps, sequences)


def _best(means: Array, metric: Metric) -> Array:
    found: Array = means.max(axis=1) if metric.higher_is_better else means.min(axis=1)
    return found


def _relative(means: Array, metric: Metric) -> Array:
    """Give the gain of the first column over the best of the others, row by row."""
    best = _best(means[:, 1:], metric)
    found: Array = (means[:, 0] - best) / best * (1 if metric.higher_is_better else -1)
    return found


def _possible(metric: Metric) -> tuple[float, float]:
    """Give the range of gains: nothing loses more than all of a score, or saves more than all of an error."""
    return (-1.0, np.inf) if metric.higher_is_better else (-np.inf, 1.0)


def corrected(found: Mapping[Key, PairedDifference]) -> dict[Key, PairedDifference]:
    """Correct the p values of all the comparisons of a table for each other, by Holm's method."""
    tested = {key: one.p for key, one in found.items() if one.p is not None}
    p_holm = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {key: msgspec.structs.replace(one, p_holm=p_holm.get(key)) for key, one in found.items()}
