"""How often 95 % intervals hold the truth, by simulation: python benchmarks/coverage.py [REPETITIONS].

Made-up runs whose truth is known. A label's sequences differ in how easy they are, and an error's in its size, with a
few large ones; steps of a sequence go together as an AR(1) process of the named correlation. For each kind of interval
the table has the share of runs whose interval holds the truth, and its mean width. ``widened`` is what tables and
reports show (`metrics.resampling.ends`); the others are what it was chosen from: plain percentiles, BCa, and
percentiles at the levels that Hesterberg (2015) gives for few units.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from llm_as_rnn.metrics.resampling import DRAWS, LEVEL, Array, Units, ends, resampled_means, units

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


def main(repetitions: int) -> None:
    """Print a table of all cases."""
    columns = ["score", "sequences", "steps", "correlation", *KINDS]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for case in CASES:
        cells = [f"{share:.3f} ({width:.2f})" for share, width in coverage(case, repetitions).values()]
        print(f"| {' | '.join([*map(str, case), *cells])} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS)
