"""Whether what predictions say of themselves holds: coverage and width, chances, and what holding answers back gains.

Pure functions of the steps of one method, of its records or of the columns that were taken out of them. Intervals and
sets, chances and answers that were held back stand in the records; nothing is worked out anew here, so what is scored
is what a user was told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llm_as_rnn.core.fields import Field, Number, entries
from llm_as_rnn.core.fields.verdict import number_in
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.records import Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.estimates import Trust, Trusted
from llm_as_rnn.metrics.scores import field_metrics
from llm_as_rnn.metrics.series import Array, bounded, mean_if_any, mean_of, unit_of

if TYPE_CHECKING:
    from llm_as_rnn.metrics.table import Columns, FieldColumns, Flags

PARTS = 5
"""Stretches of a stream whose coverage is told apart: an average can hide that it was too low first, then too high."""

BINS = 10
"""Of reliability."""

FLOOR = 1e-6
"""The least chance that counts: what came although it was called impossible costs 13.8 nats, and not without end."""


def trust(task: Task, columns: Columns, coverage: float) -> dict[str, Trust]:
    """Score what one method's predictions said of themselves.

    Parameters
    ----------
    task : Task
        What was predicted.
    columns : Columns
        The method's steps.
    coverage : float
        What intervals and sets were asked to hold.

    Returns
    -------
    dict of str to Trust
        By field; those of which predictions said nothing are absent, as in runs of earlier versions.
    """
    places = columns.places
    found = {}
    for field in task.answer:
        own = columns.fields[field.name]
        if own.told.any():
            whole, later = (
                _trusted(field, own, places, where, coverage) for where in (own.told, own.told & (places >= 1 / 3))
            )
            found[field.name] = Trust(whole, later)
    return found


def _trusted(field: Field, own: FieldColumns, places: Array, where: Flags, coverage: float) -> Trusted:
    steps = int(where.sum())
    if not steps:
        return Trusted(0)
    covered, parts = own.covered[where], (places[where] * PARTS).astype(int)
    is_covering = not np.isnan(covered).all()
    kept = where & own.kept
    is_number = isinstance(field, Number)
    width, of_outcome = own.width[where], own.of_outcome[where]
    bins = [] if is_number else reliability(own, where)
    losses = [-math.log(chance) for chance in np.maximum(of_outcome, FLOOR).tolist()]
    return Trusted(
        steps=steps,
        coverage=mean_if_any(covered),
        parts=tuple(mean_if_any(covered[parts == part]) for part in range(PARTS)) if is_covering else (),
        width=mean_if_any(width) if is_number else None,
        interval_score=mean_if_any(interval_scores(width, own.outside[where], coverage)) if is_number else None,
        set_size=mean_if_any(own.set_size[where]),
        log_loss=mean_if_any(np.array(losses)),
        brier=mean_if_any(own.squares[where] + 1 - 2 * of_outcome),
        calibration_error=calibration_error(bins),
        calibration_by_chance=calibration_by_chance(bins),
        kept=int(kept.sum()) / steps,
        risk=mean_if_any(own.error[kept]),
    )


# --- intervals and sets -----------------------------------------------------------------------------------------------

_folded = lru_cache(maxsize=4096)(fold)


def is_covered(field: Field, step: StepRecord) -> bool | None:
    """Tell whether the outcome lay in what was said: of a list, its first entry; None where nothing was said."""
    outcome = step.target.get(field.name) if step.target else None
    if outcome is None:
        return None
    if field.name in step.interval:
        low, high = step.interval[field.name]
        came = number_in(outcome)
        return None if came is None else low <= came <= high
    if field.name in step.among:
        return is_among(outcome, step.among[field.name])
    return None


@lru_cache(maxsize=4096)
def is_among(outcome: Value, options: tuple[str, ...]) -> bool:
    """Tell whether what came is one of some options; of a list, its first entry."""
    return _folded(first_text(outcome)) in map(_folded, options)


def interval_scores(width: Array, outside: Array, coverage: float) -> Array:
    """Score intervals: their width, and how far outcomes are outside, at the price that makes honesty pay.

    >>> interval_scores(np.array([5.0]), np.array([1.0]), 0.9).round(6).tolist()
    [25.0]
    """
    with np.errstate(over="ignore"):
        return bounded(width + 2 / (1 - coverage) * outside)


# --- chances ----------------------------------------------------------------------------------------------------------


class Bin(NamedTuple):
    """Answers of about the same chance.

    Attributes
    ----------
    chance : float
        The mean chance that they were said to have.
    right : float
        The share of them that was right.
    steps : int
        How many there are.
    """

    chance: float
    right: float
    steps: int


def reliability(own: FieldColumns, where: Flags | None = None, bins: int = BINS, *, as_said: bool = False) -> list[Bin]:
    """Sort answers by their chance, and see how many were right in each part.

    Every bin has about as many answers as the others. With bins of equal width most answers of a model that is sure of
    itself would be in one, and the others would show noise. Answers of one chance are never parted: which of them came
    first means nothing. Those behind them are in a bin of their own, since what many of one chance are worth would hide
    what the others are.

    Parameters
    ----------
    own : FieldColumns
        One method's answers in a label or a list.
    where : array of bool, optional
        Which of its steps to look at; all of them by default.
    bins : int
        At most so many.
    as_said : bool
        Whether to go by the chance that the model itself gave to the very same answers, before anything was corrected.
    """
    chances = own.said if as_said else own.chance
    there = own.told & ~np.isnan(own.chance) & ~np.isnan(chances)
    there = there if where is None else there & where
    found, right = chances[there], 1.0 - own.error[there]
    order = np.lexsort((right, found))
    found, right = found[order], right[order]
    # All answers of one chance are where the first of them is: who comes behind many of them begins anew.
    places = np.searchsorted(found, found) * bins // max(len(found), 1)
    starts = np.flatnonzero(np.diff(places, prepend=-1)).tolist()
    parts = [slice(begin, end) for begin, end in pairwise([*starts, len(found)])]
    return [Bin(mean_of(found[part]), mean_of(right[part]), part.stop - part.start) for part in parts]


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """Give the mean difference between chance and share of right answers, bins weighing as much as they hold.

    >>> round(calibration_error([Bin(0.6, 0.5, 10), Bin(0.9, 0.95, 30)]), 4)
    0.0625
    """
    total = sum(one.steps for one in bins)
    return sum(abs(one.chance - one.right) * one.steps for one in bins) / total if total else None


def calibration_by_chance(bins: Sequence[Bin]) -> float | None:
    """Give what the calibration error would be on average, by chance alone, if all chances were right.

    Of n answers of chance p the right ones are binomial, and their share is off from p by the binomial's mean deviation
    (de Moivre 1730; Diaconis and Zabell 1991, https://doi.org/10.1214/ss/1177011699).

    >>> round(calibration_by_chance([Bin(0.5, 0.5, 1)]), 4), round(calibration_by_chance([Bin(0.8, 0.7, 24)] * 10), 4)
    (0.5, 0.0653)
    """
    total = sum(one.steps for one in bins)
    return math.fsum(_deviation(one.chance, one.steps) for one in bins) / total if total else None


def _deviation(chance: float, number: int) -> float:
    """Give how far off from its mean a binomial number is on average."""
    if not 0 < chance < 1:
        return 0.0
    above = math.floor(number * chance) + 1
    ways = math.lgamma(number + 1) - math.lgamma(above + 1) - math.lgamma(number - above + 1)
    return 2 * above * math.exp(ways + above * math.log(chance) + (number - above + 1) * math.log1p(-chance))


def chance_of(outcome: Value, chances: Mapping[str, float]) -> float:
    """Give the chance that was given to what came; of a list, to its first entry."""
    came = _folded(first_text(outcome))
    return next((chance for option, chance in chances.items() if _folded(option) == came), 0.0)


def first_text(value: object) -> str:
    """Give a value as a text, of a list its first entry; an empty one where there is none."""
    return next(iter(entries(value)), "") if isinstance(value, str | float | tuple) else ""


# --- answers that are held back ---------------------------------------------------------------------------------------


class Selective(NamedTuple):
    """What comes of keeping the surest answers alone, by how many are kept.

    Attributes
    ----------
    share : array
        How many of the answers are kept.
    risk : array
        How many of these are wrong; of numbers, their mean absolute error.
    limit : array
        The least chance, or the widest interval, of those that are kept.
    """

    share: Array
    risk: Array
    limit: Array


def selective_risk(field: Field, own: FieldColumns) -> Selective:
    """Give the risk at each share of answers that can be kept (El-Yaniv and Wiener, JMLR 11, 2010).

    Answers are kept by their chance, numbers by how narrow their interval is. Of several that are as sure, all are kept
    or none.

    Parameters
    ----------
    field : Field
        Any but a text.
    own : FieldColumns
        One method's answers in it.
    """
    # No answer has no chance: nothing is given up before it.
    doubt = own.width[own.told] if isinstance(field, Number) else -np.nan_to_num(own.chance[own.told])
    order = np.argsort(doubt, kind="stable")
    doubt, off = doubt[order], own.error[own.told][order]
    unit = unit_of(off)
    kept = np.arange(1, len(doubt) + 1)
    last = np.append(doubt[:-1] != doubt[1:], np.full(min(len(doubt), 1), fill_value=True))
    with np.errstate(over="ignore"):
        risk = bounded(np.cumsum(off / unit) / kept * unit)
    return Selective((kept / max(len(doubt), 1))[last], risk[last], np.abs(doubt)[last])


def error(field: Field, step: StepRecord) -> float:
    """Say how wrong an answer was: 0 or 1 for what is right or wrong, the distance for a number."""
    first = field_metrics(field)[0]
    score = step.scores.get(first.name)
    if score is not None and not field.is_open:
        return 1.0 - score if first.is_share else score
    verdict = field.compare((step.prediction or {}).get(field.name), (step.target or {}).get(field.name))
    if verdict is None:
        return 0.0
    return abs(verdict.off or 0.0) if isinstance(field, Number) else float(not verdict.right)
