"""How often 95 % intervals hold the truth, by simulation: python benchmarks/coverage.py [REPETITIONS].

Made-up runs whose truth is known. A label's sequences differ in how easy they are, and an error's in its size, with a
few large ones; steps of a sequence go together as an AR(1) process of the named correlation. For each kind of interval
the table has the share of runs whose interval holds the truth, and its mean width. ``widened`` is what tables and
reports show (`metrics.resampling.ends`); the others are what it was chosen from: plain percentiles, BCa, and
percentiles at the levels that Hesterberg (2015) gives for few units.

A second table is of the gain over the strongest of several baselines, which is 0.2 in truth: what is found on average,
and how often its interval holds the truth. ``gain`` is what is shown (`metrics.comparisons.gain`); beside it are
percentiles of the gain over the strongest of each draw, and the same reflected at what was found (the basic bootstrap).

A third table is of the mean difference over several streams, some of which have a larger one than others
(`metrics.comparisons.across`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.metrics.comparisons import across, gain
from llm_as_rnn.metrics.resampling import DRAWS, LEVEL, Array, Units, ends, resampled_means, units
from llm_as_rnn.metrics.series import Series

REPETITIONS = 1000
EASE, SPREAD = 0.8, 0.5
"""Of a label's sequences: the mean and the standard deviation of the log odds of being right."""

ERRORS = 0.6
"""The standard deviation of the logarithm of a sequence's typical error."""

Kind = Callable[[Array, Array, Units], tuple[float, float]]
"""Makes an interval of what was found on all units, what was found on each resample, and the units."""


class Case(NamedTuple):
    """A kind of run: what is scored, how many sequences of how many steps, and how far its steps go together."""

    score: str
    sequences: int
    steps: int
    correlation: float


CASES = [
    *(Case(score, sequences, 60, 0.4) for score in ("label", "error") for sequences in (4, 6, 8, 20)),
    *(Case(score, 1, 300, correlation) for score in ("label", "error") for correlation in (0.0, 0.3, 0.6, 0.8)),
    *(Case("label", 1, 60, correlation) for correlation in (0.0, 0.3, 0.6)),
]


def series(rng: np.random.Generator, sequences: int, steps: int, correlation: float) -> Array:
    """Give normal series of variance 1 whose neighbours correlate so: (sequences, steps)."""
    noise = rng.normal(size=(sequences, steps))
    for t in range(1, steps):
        noise[:, t] = correlation * noise[:, t - 1] + np.sqrt(1 - correlation**2) * noise[:, t]
    return noise


def run(rng: np.random.Generator, case: Case) -> Array:
    """Make up the scores of one run: (sequences, steps). One sequence alone is as easy as the mean of many."""
    noise = series(rng, case.sequences, case.steps, case.correlation)
    apart = rng.normal(size=(case.sequences, 1)) if case.sequences > 1 else np.zeros((1, 1))
    if case.score == "label":
        right: Array = (noise < ndtri(1 / (1 + np.exp(-EASE - SPREAD * apart)))).astype(float)
        return right
    scores: Array = np.exp(ERRORS * apart) * np.abs(noise)
    return scores


def truth(case: Case) -> float:
    """Give the mean that such runs have in the long run."""
    if case.score == "label":
        apart = np.random.default_rng(0).normal(size=1_000_000) if case.sequences > 1 else np.zeros(1)
        return float(np.mean(1 / (1 + np.exp(-EASE - SPREAD * apart))))
    typical = np.exp(ERRORS**2 / 2) if case.sequences > 1 else 1.0
    return float(typical * np.sqrt(2 / np.pi))


def percentile(estimate: Array, resampled: Array, found: Units) -> tuple[float, float]:
    """Give plain percentiles of the resampled means."""
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def at_level(estimate: Array, resampled: Array, found: Units) -> tuple[float, float]:
    """Give percentiles further out, as far as would be right if means were normal."""
    few = found.effective
    tail = ndtr(stdtrit(few - 1, (1 - LEVEL) / 2) * np.sqrt(few / (few - 1)))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def corrected(estimate: Array, resampled: Array, found: Units) -> tuple[float, float]:
    """Give BCa: percentiles corrected for bias and for acceleration (Efron, 1987)."""
    share = np.mean(resampled < estimate) + np.mean(resampled == estimate) / 2
    bias = ndtri(np.clip(share, 1 / len(resampled), 1 - 1 / len(resampled)))
    total, size = found.totals[:, 0], found.sizes
    left_out = (total.sum() - total) / (size.sum() - size)
    apart = left_out.mean() - left_out
    squares = np.sum(apart**2)
    acceleration = np.sum(apart**3) / (6 * squares**1.5) if squares else 0.0
    z = bias + ndtri(np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    low, high = np.quantile(resampled, ndtr(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


def widened(estimate: Array, resampled: Array, found: Units) -> tuple[float, float]:
    """Give what tables and reports show."""
    low, high = ends(estimate, resampled, found.effective)
    return float(low[0]), float(high[0])


KINDS: dict[str, Kind] = {"percentile": percentile, "BCa": corrected, "at level": at_level, "widened": widened}


def coverage(case: Case, repetitions: int) -> dict[str, tuple[float, float]]:
    """Give the share of intervals that hold the truth and their mean width, by their kind."""
    rng, true = np.random.default_rng(0), truth(case)
    hits, widths = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0.0)
    sequences = np.repeat(np.arange(case.sequences), case.steps)
    for seed in range(repetitions):
        values = run(rng, case).reshape(-1, 1)
        found = units(values, sequences)
        assert found is not None
        resampled = resampled_means(found, DRAWS, seed % 8)
        for name, kind in KINDS.items():
            low, high = kind(values.mean(axis=0), resampled, found)
            hits[name] += low <= true <= high
            widths[name] += high - low
    return {name: (hits[name] / repetitions, widths[name] / repetitions) for name in KINDS}


class Choice(NamedTuple):
    """A kind of run with baselines, each worse than the one before by ``apart`` of the first one's score."""

    score: str
    sequences: int
    baselines: int
    apart: float


CHOICES = [
    Choice(score, sequences, baselines, apart)
    for score in ("label", "error")
    for sequences in (4, 6, 20)
    for baselines, apart in ((1, 0.0), (3, 0.0), (5, 0.0), (3, 0.05), (5, 0.1))
]
GAINED = 0.2
RULES = ("draw's strongest", "reflected", "gain")


def rivals(rng: np.random.Generator, choice: Choice, steps: int = 60) -> Array:
    """Make up the scores of a method and its baselines: (1 + baselines, sequences, steps)."""
    worse = choice.apart * np.arange(choice.baselines)[:, None, None]
    shape = (1 + choice.baselines, choice.sequences, steps)
    easy, own = rng.normal(size=(1, choice.sequences, 1)), rng.normal(size=(*shape[:2], 1))
    if choice.score == "label":
        chances = 0.5 * np.concatenate([np.full((1, 1, 1), 1 + GAINED), 1 - worse]) + 0.1 * easy + 0.04 * own
        return (rng.random(shape) < chances).astype(float)
    typical = np.concatenate([np.full((1, 1, 1), 1 - GAINED), 1 + worse]) * np.exp(0.5 * easy + 0.1 * own)
    errors: Array = typical * np.abs(rng.normal(size=shape))
    return errors


def gain_coverage(choice: Choice, repetitions: int) -> tuple[float, dict[str, tuple[float, float]]]:
    """Give the mean of the gains that are found, the share of intervals that hold the truth and their mean width."""
    rng, metric = np.random.default_rng(0), Metric("a", "a", "a", "a", "", higher_is_better=choice.score == "label")
    hits, widths, total = dict.fromkeys(RULES, 0), dict.fromkeys(RULES, 0.0), 0.0
    for seed in range(repetitions):
        scores = rivals(rng, choice)
        ours, *others = map(_series, scores)
        found = gain(ours, {str(number): one for number, one in enumerate(others)}, metric, seed=seed % 8)
        assert found is not None
        assert found.interval is not None
        total += found.value
        low, high = _of_draws(scores, found.value, metric, seed % 8)
        reflected = 2 * found.value - high, 2 * found.value - low
        shown = found.interval.low, found.interval.high
        for name, (least, most) in zip(RULES, ((low, high), reflected, shown), strict=True):
            hits[name] += least <= GAINED <= most
            widths[name] += most - least
    return total / repetitions, {name: (hits[name] / repetitions, widths[name] / repetitions) for name in RULES}


def _series(scores: Array) -> Series:
    sequences, steps = scores.shape
    names = [f"{number:03}" for number in range(sequences)]
    places = np.repeat(np.arange(sequences), steps), np.tile(np.arange(steps), sequences)
    return Series(names, *places, scores.ravel())


def _of_draws(scores: Array, found: float, metric: Metric, seed: int) -> tuple[float, float]:
    """Give percentiles of the gain over the strongest of each draw, widened."""
    methods, sequences, steps = scores.shape
    of = units(scores.reshape(methods, -1).T, np.repeat(np.arange(sequences), steps))
    assert of is not None
    means = resampled_means(of, DRAWS, seed)
    best = means[:, 1:].max(axis=1) if metric.higher_is_better else means[:, 1:].min(axis=1)
    gains = (means[:, 0] / best - 1) * (1 if metric.higher_is_better else -1)
    low, high = ends(np.array([found]), gains[:, None], of.effective)
    return float(low[0]), float(high[0])


class Streams(NamedTuple):
    """A kind of evidence: how many streams, of how many sequences each, and how far one sequence is from another."""

    score: str
    streams: int
    sequences: int
    apart: float


SEVERAL = [
    Streams(score, streams, sequences, apart)
    for score in ("label", "error")
    for streams, sequences in ((3, 4), (3, 6), (8, 4), (8, 6))
    for apart in (0.0, 0.1)
]
DIFFERENCES = 0.0, 0.1
"""Of the first stream and the last; those between them are evenly spread."""


def differing(rng: np.random.Generator, case: Streams, difference: float, steps: int = 60) -> tuple[Array, Array]:
    """Make up the scores of two methods on one stream: (sequences, steps) each."""
    shape = case.sequences, steps
    easy, own = rng.normal(size=(2, case.sequences, 1))
    if case.score == "label":
        chance = 0.5 + 0.1 * easy
        ours = chance + difference + case.apart * own
        return (rng.random(shape) < ours).astype(float), (rng.random(shape) < chance).astype(float)
    ours, theirs = np.exp(0.5 * easy) * np.abs(rng.normal(size=(2, *shape)))
    return ours + difference + case.apart * own * np.exp(0.5 * easy), theirs


def coverage_across(case: Streams, repetitions: int) -> tuple[float, float]:
    """Give the share of intervals over several streams that hold the truth, and their mean width."""
    rng, hits, width = np.random.default_rng(0), 0, 0.0
    differences = np.linspace(*DIFFERENCES, case.streams)
    for _ in range(repetitions):
        pairs = [differing(rng, case, difference) for difference in differences]
        found = across((_series(ours), _series(theirs)) for ours, theirs in pairs)
        assert found is not None
        assert found.interval is not None
        hits += found.interval.low <= differences.mean() <= found.interval.high
        width += found.interval.high - found.interval.low
    return hits / repetitions, width / repetitions


def main(repetitions: int) -> None:
    """Print tables of all cases."""
    _head("score", "sequences", "steps", "correlation", *KINDS)
    for case in CASES:
        _row(case, coverage(case, repetitions))
    print()
    _head("score", "sequences", "baselines", "apart", "found", *RULES)
    for choice in CHOICES:
        found, shares = gain_coverage(choice, repetitions)
        _row((*choice, f"{found:.3f}"), shares)
    print()
    _head("score", "streams", "sequences", "apart", "across")
    for several in SEVERAL:
        _row(several, {"across": coverage_across(several, repetitions)})


def _head(*columns: str) -> None:
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")


def _row(named: tuple[object, ...], found: dict[str, tuple[float, float]]) -> None:
    cells = [f"{share:.3f} ({width:.2f})" for share, width in found.values()]
    print(f"| {' | '.join([*map(str, named), *cells])} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS)
