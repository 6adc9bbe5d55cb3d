"""Whether what predictions say of themselves holds: coverage and width, chances, and what holding answers back gains.

Pure functions of the steps of one method. Intervals and sets, chances and answers that were held back stand in the
records; nothing is worked out anew here, so what is scored is what a user was told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from llm_as_rnn.core.chances import completed
from llm_as_rnn.core.fields import Field, Number, entries
from llm_as_rnn.core.fields.verdict import number_in
from llm_as_rnn.core.figures import finite, mean, scale
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.records import Record, StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.scores import field_metrics

PARTS = 5
"""Stretches of a stream whose coverage is told apart: an average can hide that it was too low first, then too high."""

BINS = 10
"""Of reliability."""

FLOOR = 1e-6
"""The least chance that counts: what came although it was called impossible costs 13.8 nats, and not without end."""


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
        Of distributions: mean of -log of the chance of what came, in nats (see `FLOOR`), and of the squared differences
        between chances and what came, summed over options, between 0 and 2. Less is better.
    calibration_error : float, optional
        Expected difference between the chance of an answer and how often such answers were right (see `reliability`).
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
    kept: float | None = None
    risk: float | None = None


class Trust(Record, frozen=True):
    """The same over all steps, and over those after the first third of each sequence, when there was time to learn."""

    whole: Trusted
    later: Trusted


def trust(task: Task, records: Sequence[StepRecord], coverage: float) -> dict[str, Trust]:
    """Score what one method's predictions said of themselves.

    Parameters
    ----------
    task : Task
        What was predicted.
    records : sequence of StepRecord
        Steps of one method.
    coverage : float
        What intervals and sets were asked to hold.

    Returns
    -------
    dict of str to Trust
        By field; those of which predictions said nothing are absent, as in runs of earlier versions.
    """
    places = _places(records)
    found = {}
    for field in task.answer:
        told = [step for step in records if _is_told(field, step)]
        if told:
            later = [step for step in told if places[step.sequence, step.t] >= 1 / 3]
            found[field.name] = Trust(_trusted(field, told, places, coverage), _trusted(field, later, places, coverage))
    return found


def _places(records: Iterable[StepRecord]) -> dict[tuple[str, int], float]:
    """Say how far into its sequence each step is, between 0 and 1."""
    steps: dict[str, list[int]] = {}
    for step in records:
        steps.setdefault(step.sequence, []).append(step.t)
    return {
        (sequence, t): place / len(times) for sequence, times in steps.items() for place, t in enumerate(sorted(times))
    }


def _is_told(field: Field, step: StepRecord) -> bool:
    said = field.name in step.interval or field.name in step.chance
    return said and field.name in (step.prediction or {}) and (step.target or {}).get(field.name) is not None


def _trusted(
    field: Field, steps: Sequence[StepRecord], places: dict[tuple[str, int], float], coverage: float
) -> Trusted:
    if not steps:
        return Trusted(0)
    covered = {(step.sequence, step.t): hit for step in steps if (hit := is_covered(field, step)) is not None}
    parts: list[list[float]] = [[] for _ in range(PARTS)]
    for key, hit in covered.items():
        parts[int(places[key] * PARTS)].append(hit)
    kept = [step for step in steps if field.name not in step.abstained]
    spread = [step for step in steps if step.distribution.get(field.name)]
    is_number = isinstance(field, Number)
    return Trusted(
        steps=len(steps),
        coverage=_mean(covered.values()),
        parts=tuple(_mean(hits) for hits in parts) if covered else (),
        width=_mean(_width(field, step) for step in steps) if is_number else None,
        interval_score=_mean(interval_score(field, step, coverage) for step in steps) if is_number else None,
        set_size=_mean(float(len(step.among[field.name])) for step in steps if field.name in step.among),
        log_loss=_mean(-math.log(max(_of_outcome(field, step), FLOOR)) for step in spread),
        brier=_mean(_brier(field, step) for step in spread),
        calibration_error=None if is_number else calibration_error(reliability(field, steps)),
        kept=len(kept) / len(steps),
        risk=_mean(error(field, step) for step in kept),
    )


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return mean(found) if found else None


# --- intervals and sets -----------------------------------------------------------------------------------------------


def is_covered(field: Field, step: StepRecord) -> bool | None:
    """Tell whether the outcome lay in what was said: of a list, its first entry; None where nothing was said."""
    outcome = (step.target or {}).get(field.name)
    if outcome is None:
        return None
    if field.name in step.interval:
        low, high = step.interval[field.name]
        came = number_in(outcome)
        return None if came is None else low <= came <= high
    if field.name in step.among:
        return fold(_first(outcome)) in map(fold, step.among[field.name])
    return None


def _width(field: Field, step: StepRecord) -> float:
    low, high = step.interval[field.name]
    return finite(high - low)


def interval_score(field: Field, step: StepRecord, coverage: float) -> float:
    """Score an interval: its width, and how far the outcome is outside, at the price that makes honesty pay.

    >>> from llm_as_rnn.core.records import Update
    >>> from llm_as_rnn.core.records import Status
    >>> step = StepRecord(
    ...     "m", "s", 0, {}, {"high": 16.0}, {"high": 12.0}, Status.OK, "", None, None, None, None, Update("skipped"),
    ...     None, (), {}, interval={"high": (10.0, 15.0)},
    ... )
    >>> round(interval_score(Number("high", low=-20, high=45), step, 0.9), 6)
    25.0
    """
    low, high = step.interval[field.name]
    came = number_in((step.target or {}).get(field.name))
    outside = 0.0 if came is None else max(low - came, came - high, 0.0)
    return finite(_width(field, step) + 2 / (1 - coverage) * outside)


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


def reliability(field: Field, steps: Iterable[StepRecord], bins: int = BINS) -> list[Bin]:
    """Sort answers by their chance, and see how many were right in each part.

    Every bin has about as many answers as the others. With bins of equal width most answers of a model that is sure of
    itself would be in one, and the others would show noise. Answers of one chance are never parted: which of them came
    first means nothing.

    Parameters
    ----------
    field : Field
        A label or a list.
    steps : iterable of StepRecord
        Of one method.
    bins : int
        At most so many.
    """
    found = sorted((step.chance[field.name], 1.0 - error(field, step)) for step in steps if field.name in step.chance)
    parts: list[list[tuple[float, float]]] = []
    for place, pair in enumerate(found):
        begins = place * bins // len(found) != (place - 1) * bins // len(found)
        if not parts or (begins and parts[-1][-1][0] != pair[0]):
            parts.append([])
        parts[-1].append(pair)
    return [Bin(mean([chance for chance, _ in part]), mean([right for _, right in part]), len(part)) for part in parts]


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """Give the mean difference between chance and share of right answers, bins weighing as much as they hold.

    >>> round(calibration_error([Bin(0.6, 0.5, 10), Bin(0.9, 0.95, 30)]), 4)
    0.0625
    """
    total = sum(one.steps for one in bins)
    return sum(abs(one.chance - one.right) * one.steps for one in bins) / total if total else None


def _of_outcome(field: Field, step: StepRecord) -> float:
    came = fold(_first((step.target or {})[field.name]))
    chances = completed(field.options, step.distribution[field.name])
    return next((chance for option, chance in chances.items() if fold(option) == came), 0.0)


def _brier(field: Field, step: StepRecord) -> float:
    came = _of_outcome(field, step)
    chances = completed(field.options, step.distribution[field.name])
    return math.fsum(chance * chance for chance in chances.values()) + 1 - 2 * came


def _first(value: object) -> str:
    return next(iter(entries(value)), "") if isinstance(value, str | float | tuple) else ""


# --- answers that are held back ---------------------------------------------------------------------------------------


class Kept(NamedTuple):
    """What comes of keeping the surest answers alone.

    Attributes
    ----------
    share : float
        How many of the answers are kept.
    risk : float
        How many of these are wrong; of numbers, their mean absolute error.
    limit : float
        The least chance, or the widest interval, of those that are kept.
    """

    share: float
    risk: float
    limit: float


def selective_risk(field: Field, steps: Iterable[StepRecord]) -> list[Kept]:
    """Give the risk at each share of answers that can be kept (El-Yaniv and Wiener, JMLR 11, 2010).

    Answers are kept by their chance, numbers by how narrow their interval is. Of several that are as sure, all are kept
    or none.

    Parameters
    ----------
    field : Field
        Any but a text.
    steps : iterable of StepRecord
        Of one method.
    """
    told = [step for step in steps if _is_told(field, step)]
    is_number = isinstance(field, Number)
    sure = sorted(
        ((_width(field, step) if is_number else -step.chance[field.name], error(field, step)) for step in told),
        key=lambda pair: pair[0],
    )
    unit = scale(off for _, off in sure)
    sums = accumulate(off / unit for _, off in sure)
    doubts = [doubt for doubt, _ in sure]
    return [
        Kept(kept / len(sure), finite(total / kept * unit), abs(doubt))
        for kept, ((doubt, after), total) in enumerate(zip(pairwise([*doubts, math.nan]), sums, strict=True), 1)
        if doubt != after
    ]


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
