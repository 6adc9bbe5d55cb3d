r"""One number out of several, nearly as near as the best of those who advise, whatever comes.

Answers are averaged by AdaHedge (de Rooij, van Erven, Grünwald and Koolen, Journal of Machine Learning Research 15,
2014): weights fall exponentially with the absolute error so far, at a rate that follows from the data. There is nothing
to choose, neither a rate nor a scale. One adviser more is the median of all, which is believed as much as all others
together before anything is known: one of them may begin with nonsense.

With :math:`\Delta_T` what averaging lost so far beside mixing (`Means.gap`), for every adviser and every sequence of
outcomes, also one that an adversary chose,

.. math:: \sum_t |\hat y_t - y_t| \le \sum_t |x_{i,t} - y_t| + 2 \Delta_T, \qquad
          \Delta_T \le R \left(\tfrac12 \sqrt{(1 + 10 D) T C} + \tfrac23 C + 2 D + 1\right), \qquad C = \ln 2N,

where ``N`` is the number of advisers, ``T`` that of outcomes, ``R`` the width of the plausible range, ``x`` an
adviser's answer, taken within that range, and ``D`` the most outcomes of other steps that were learned between a
prediction and its own outcome: 0 where each comes before the next prediction. `excess` gives the first bound,
`most_excess` what it can come to at the most; ``tests/core/test_advice.py`` holds adversarial streams to both, with
outcomes that come in time and late.

Why it holds with late outcomes. Steps are taken in the order in which their outcomes came. What is added to the gap is
the loss of the answer that was given then, less the mix loss of now, and the rate falls with the gap. Mix losses add up
to no more than the best adviser's loss and C over the last rate, whatever was answered; which is the first bound. An
answer of belief that lacked D outcomes lost more than one of today's by no more than what D outcomes can move an
average, :math:`\tfrac14 \eta D R^2`, and what the fall of the rate since then can, :math:`R C` times the logarithm of
that fall; the gap's square is then summed up as that of AdaHedge is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.records import Record, Value


class Means(Record, frozen=True, tag="means"):
    """What advisers on a number have to show for themselves.

    Attributes
    ----------
    errors : tuple of float
        For each adviser, and last for the median of all, by how much more it was off so far than the best of them, in
        the field's unit.
    gap : float
        What averaging lost so far beside mixing, in the same unit.
    """

    errors: tuple[float, ...]
    gap: float = 0.0


def at_first(advisers: int) -> Means:
    """Begin: nobody was ever wrong."""
    return Means((0.0,) * (advisers + 1))


def rearranged(means: Means, order: Sequence[int | None]) -> Means:
    """Give what is known to advisers who stand in another order now, of whom some may be new and others gone.

    A new one is believed as much as before anything was known. All others, and the median, share the rest as before.

    Parameters
    ----------
    means : Means
        What the advisers had to show for themselves.
    order : sequence of int or None
        For each adviser, where it stood among them; None for a new one.

    Examples
    --------
    >>> later = rearranged(Means((0.0, 2.0, 1.0), gap=1.0), (1, None, 0))
    >>> [round(weight, 3) for weight in _weights(later)]
    [0.015, 0.167, 0.545, 0.273]
    """
    errors = [None if before is None else means.errors[before] for before in order]
    every = [*errors, means.errors[-1]]
    known = [(prior, error) for prior, error in zip(_prior(len(every)), every, strict=True) if error is not None]
    best = min(error for _, error in known)
    rate = _rate(Means((0.0,) * len(every), means.gap))
    first = best
    if math.isfinite(rate):  # the loss of all that are known, mixed: whoever lost as much keeps its first weight
        kept = math.fsum(prior * math.exp(-min(rate * (error - best), 700.0)) for prior, error in known)
        first -= math.log(kept / math.fsum(prior for prior, _ in known)) / rate
    return Means(tuple((first if error is None else error) - best for error in every), means.gap)


def mean(field: Number, means: Means, said: Sequence[Value | None]) -> float:
    """Average what was said, of which something is a number; who has no answer is passed over.

    >>> mean(Number("high", low=-20, high=45), at_first(3), [10.0, 13.0, 90.0])
    17.833333333333332
    """
    return _mean(_weights(means), _with_median(_within(field, said)))


def believed(means: Means, said: Sequence[Value | None]) -> list[float]:
    """Give the weight of each adviser in an answer; they add up to 1. That of the median is everybody's who has one.

    >>> believed(at_first(4), [1.0, 2.0, 3.0, None])
    [0.3333333333333333, 0.3333333333333333, 0.3333333333333333, 0.0]
    """
    *weights, middle = _weights(means)
    silent = all(value is None for value in said)
    speaking = [silent or value is not None for value in said]
    own = middle / sum(speaking)
    shares = [weight + own if speaks else 0.0 for weight, speaks in zip(weights, speaking, strict=True)]
    total = math.fsum(shares)
    return [share / total for share in shares] if total else [speaks / sum(speaking) for speaks in speaking]


def after(
    field: Number, means: Means, said: Sequence[Value | None], outcome: Value, answer: Value | None = None
) -> Means:
    """Learn from what came.

    Parameters
    ----------
    field : Number
        What was answered.
    means : Means
        What is known by now; more than what the answer was made with, where its outcome came late.
    said : sequence of Value or None
        What each adviser said.
    outcome : Value
        What came.
    answer : Value or None
        What was made of it then, as it was shown. None for what would be made of it now.
    """
    came = float(outcome) if isinstance(outcome, int | float) else math.nan
    if not math.isfinite(came) or all(value is None for value in said):
        return means
    came = min(max(came, field.low), field.high)  # beyond the range, all advisers lose by as much more
    weights, values = _weights(means), _with_median(_within(field, said))
    own = _mean(weights, values)
    known = [abs(value - came) for value in values if value is not None]
    total = math.fsum(weight for weight, value in zip(weights, values, strict=True) if value is not None)
    pairs = zip(weights, values, strict=True)
    hedged = math.fsum(weight * abs(value - came) for weight, value in pairs if value is not None)
    lost = hedged / total if total else abs(own - came)
    # Who is silent would have been off as much as the others are on average.
    errors = [lost if value is None else abs(value - came) for value in values]
    then = 0.0
    if isinstance(answer, int | float):  # how it was rounded is not the averaging's fault
        then = abs(float(answer) - came) - field.roughness
    gap = max(max(lost, then) - _mixed(means, weights, errors), 0.0) if known else 0.0
    sums = [error + new for error, new in zip(means.errors, errors, strict=True)]
    best = min(sums)
    return Means(tuple(error - best for error in sums), means.gap + gap)


def excess(means: Means) -> float:
    """Say by how much the summed absolute error can exceed that of any adviser, in the field's unit."""
    return 2 * means.gap


def most_excess(field: Number, advisers: int, steps: int, late: int = 0) -> float:
    """Say what `excess` can come to at the most, where ``late`` other outcomes come before a step's own.

    >>> high = Number("high", low=0, high=10)
    >>> round(most_excess(high, advisers=5, steps=100)), round(most_excess(high, advisers=5, steps=10_000, late=5))
    (202, 11087)
    """
    sure = math.log(2 * advisers)
    return 2 * (field.high - field.low) * (math.sqrt((1 + 10 * late) * steps * sure) / 2 + 2 / 3 * sure + 2 * late + 1)


def _prior(experts: int) -> list[float]:
    return [0.5 / (experts - 1)] * (experts - 1) + [0.5]


def _rate(means: Means) -> float:
    """Give how fast weights fall with errors; as fast as can be, until averaging has lost anything."""
    return math.log(2 * (len(means.errors) - 1)) / means.gap if means.gap > 0 else math.inf


def _weights(means: Means) -> list[float]:
    rate = _rate(means)
    falls = [1.0 if error == 0 else math.exp(-min(rate * error, 700.0)) for error in means.errors]
    weights = [prior * fall for prior, fall in zip(_prior(len(falls)), falls, strict=True)]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def _mixed(means: Means, weights: Sequence[float], errors: Sequence[float]) -> float:
    """Give the mix loss: the free energy of the weights, which is what exponential weights are bound by."""
    least, rate = min(errors), _rate(means)
    if math.isinf(rate):
        return min(error for weight, error in zip(weights, errors, strict=True) if weight > 0)
    falls = zip(weights, errors, strict=True)
    kept = math.fsum(weight * math.exp(-min(rate * (error - least), 700.0)) for weight, error in falls)
    return least - math.log(kept) / rate if kept > 0 else least + 700.0 / rate


def _mean(weights: Sequence[float], values: Sequence[float | None]) -> float:
    known = [(weight, value) for weight, value in zip(weights, values, strict=True) if value is not None]
    total = math.fsum(weight for weight, _ in known)
    if not total:  # all that was ever believed is silent
        return math.fsum(value for _, value in known) / len(known)
    return math.fsum(weight / total * value for weight, value in known)


def _with_median(values: Sequence[float | None]) -> list[float | None]:
    known = [value for value in values if value is not None]
    return [*values, median(known) if known else None]


def _within(field: Number, said: Sequence[Value | None]) -> list[float | None]:
    """Take answers within the plausible range: a reference may repeat what no answer may be."""
    return [min(max(float(value), field.low), field.high) if isinstance(value, int | float) else None for value in said]
