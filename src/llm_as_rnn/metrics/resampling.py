"""The statistics themselves, on arrays: what is resampled, intervals, tests.

Steps of a sequence depend on each other, so whole sequences are resampled (the cluster bootstrap: Cameron, Gelbach and
Miller, "Bootstrap-based improvements for inference with clustered errors", 2008), and where there is one sequence,
blocks of its steps (the circular block bootstrap: Politis and Romano, 1992; Lahiri, "Resampling methods for dependent
data", 2003). Sequences and blocks are treated alike: they are the *units*.

Percentiles of resampled means are too narrow where units are few: with four sequences a 95 % interval holds the truth
in 75 to 80 % of cases, and bias correction (BCa) does not mend it. Two reasons are known, and so are their sizes
(Hesterberg, "What teachers should know about the bootstrap", The American Statistician, 2015): a resample of n units
varies too little by sqrt((n - 1) / n), and the variance itself is estimated, for which Student's t is wider than the
normal distribution. `ends` widens the percentiles by both, which keeps their skew. ``benchmarks/coverage.py`` compares
it with the others by simulation.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from llm_as_rnn.metrics.estimates import Over

Array = NDArray[np.float64]

LEVEL = 0.95
DRAWS = 2000

FEWEST_BLOCKS = 3
"""With fewer blocks than this nothing is said of a lone sequence: one of fewer than 27 steps."""

EXACT = 12
"""Up to so many units a sign-flip test goes through all their signs, 4,096 at most."""

FLIPS = 9_999
"""How many signs are drawn beyond that; with the observed one it makes a round number."""

LIKELY = 0.05
"""The p value above which a difference may be chance."""


class Units(NamedTuple):
    """What is resampled, a row a unit.

    Attributes
    ----------
    totals : array, (units, columns)
        The sums of each unit's values: one column a method, or any other score of the same places.
    sizes : array, (units,)
        How many values each sum is of.
    drawn : int
        How many units a resample has. Blocks overlap, so that there are more of them than are drawn.
    effective : float
        How many independent units there are: sequences, or blocks that do not overlap.
    over : str
        What the units are.
    """

    totals: Array
    sizes: Array
    drawn: int
    effective: float
    over: Over


def block_length(steps: int) -> int:
    """Give how many steps of a lone sequence a block has: three times the cube root of all.

    The cube root is the best rate known (Hall, Horowitz and Jing, 1995). The factor is the one of 1, 1.5, 2 and 3 whose
    intervals held the truth most nearly as often as they say, in simulated series whose steps correlate by 0 to 0.8.

    >>> block_length(60), block_length(300)
    (12, 20)
    """
    return round(3 * math.cbrt(steps))


def units(values: Array, sequences: NDArray[np.int64]) -> Units | None:
    """Sum values up by what is resampled.

    Parameters
    ----------
    values : array, (places, columns)
        Finite values, by sequence, and within one in the order of its steps.
    sequences : array, (places,)
        Each place's sequence, any numbers.

    Returns
    -------
    Units or None
        None for one sequence that is too short for three blocks, and for no values.

    Examples
    --------
    >>> found = units(np.array([[1.0], [0.0], [1.0]]), np.array([0, 0, 1]))
    >>> found.totals.tolist(), found.sizes.tolist(), found.drawn
    ([[1.0], [1.0]], [2.0, 1.0], 2)
    """
    names, inverse, counts = np.unique(sequences, return_inverse=True, return_counts=True)
    if len(names) > 1:
        totals = np.zeros((len(names), values.shape[1]))
        np.add.at(totals, inverse, values)
        return Units(totals, counts.astype(float), len(names), len(names), "sequences")
    steps = len(values)
    length = block_length(steps)
    if steps < FEWEST_BLOCKS * length or not steps:
        return None
    around = np.concatenate([values, values[: length - 1]])  # a circle: every step is in as many blocks as any other
    blocks = np.lib.stride_tricks.sliding_window_view(around, length, axis=0).sum(axis=-1)
    return Units(blocks, np.full(steps, float(length)), -(-steps // length), steps / length, "steps")


def resampled_means(found: Units, draws: int = DRAWS, seed: int = 0) -> Array:
    """Draw units with replacement, again and again, and give the means of their values.

    All columns are resampled together: methods that were compared on the same steps stay paired.

    Returns
    -------
    array, (draws, columns)
    """
    picked = _picked(len(found.sizes), found.drawn, draws, seed)
    alike = (found.sizes == found.sizes[0]).all()  # as a rule: whole numbers, whose sum needs no adding up
    sizes = np.full(draws, found.drawn * found.sizes[0]) if alike else found.sizes[picked].sum(axis=1)
    return np.stack([column[picked].sum(axis=1) / sizes for column in found.totals.T], axis=1)


@lru_cache(maxsize=8)
def _picked(units: int, drawn: int, draws: int, seed: int) -> NDArray[np.int64]:
    """Which units come in each resample: the same for all scores of as many units."""
    return np.random.default_rng(seed).integers(0, units, (draws, drawn))


def widening(effective: float | Array, level: float = LEVEL) -> Array:
    """Give the factor by which percentiles of resamples of few units are too narrow.

    >>> widening(np.array([4.0, 8.0, 20.0, 1000.0])).round(2).tolist()
    [1.87, 1.29, 1.1, 1.0]
    """
    upper = (1 + level) / 2
    found: Array = stdtrit(np.subtract(effective, 1), upper) / ndtri(upper)
    return found * np.sqrt(np.divide(effective, np.subtract(effective, 1)))


def ends(estimate: Array, resampled: Array, effective: float | Array, level: float = LEVEL) -> tuple[Array, Array]:
    """Give the ends of an interval for each column: its percentiles, widened for few units.

    Parameters
    ----------
    estimate : array, (columns,)
        What was found on all units.
    resampled : array, (draws, columns)
        The same of each resample.
    effective : float or array, (columns,)
        See `Units`; above 1. An array where not all columns are of the same units.
    level : float
        Between 0 and 1: how often such intervals should hold the truth.
    """
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2], axis=0)
    factor = widening(effective, level)
    return estimate - factor * np.maximum(estimate - low, 0), estimate + factor * np.maximum(high - estimate, 0)


def signs_of(sequences: int, steps: int) -> int:
    """Give how many signs `sign_flip` flips: those of sequences, or of blocks of a lone one that do not overlap.

    >>> signs_of(8, 96), signs_of(1, 60), signs_of(1, 78)
    (8, 5, 6)
    """
    return sequences if sequences > 1 else int(steps / block_length(steps))


def enough(comparisons: int = 1) -> int:
    """Give how many units it takes for the least of some p values to be 0.05 or less after Holm's correction.

    With n units no p value of `sign_flip` is below 2 / 2**n, and Holm's correction makes the least of m values m times
    as large.

    >>> [enough(comparisons) for comparisons in (1, 2, 4, 10)]
    [6, 7, 8, 9]
    """
    return 1 + math.ceil(math.log2(comparisons / LIKELY))


def undecided(totals: Array, values: Array, found: Units) -> bool:
    """Tell whether few units happen to agree, so that all resamples do, which looks like certainty and is none.

    That fewer than six agree says no more of others than a test of them can, which never reaches 0.05. Where the values
    themselves do not differ, units agree because there is nothing to differ in: a method that always answers as another
    does is no better or worse.

    Parameters
    ----------
    totals : array, (units, columns)
        How far the sum of each unit is from what it would be if all units had the same mean.
    values : array, (places, columns)
        The same of each value.
    found : Units
        What they are of.

    Returns
    -------
    bool
        Whether this is so in any column.
    """
    if found.effective >= enough():
        return False
    # Sums of the same values in another order differ in their last digits.
    slack = 1e-9 * max(np.abs(values).max(), np.abs(found.totals / found.sizes[:, None]).max())
    agree = np.abs(totals).max(axis=0) <= slack * found.sizes.max()
    differ = np.abs(values).max(axis=0) > slack
    return bool((agree & differ).any())


def sign_flip(values: Array, sequences: NDArray[np.int64]) -> Array | None:
    """Test for each column whether differences are zero on average: whether other signs of theirs do as much.

    If two methods are equally good, the difference of a whole sequence is as likely the one way as the other (Fisher,
    1935). All signs are tried for up to 12 sequences, more are drawn. With n sequences no p value is below 2 / 2**n
    (see `enough`). Of one sequence the signs of blocks that do not overlap are flipped.

    Parameters
    ----------
    values, sequences
        Differences, as for `units`.

    Returns
    -------
    array, (columns,), or None
        Two-sided p values; None where `units` is None.

    Examples
    --------
    >>> sign_flip(np.array([[2.0], [1.0], [3.0], [1.0]]), np.arange(4)).tolist()
    [0.125]
    """
    found = units(values, sequences)
    if found is None:
        return None
    totals = found.totals
    if found.over == "steps":
        totals = np.stack([part.sum(axis=0) for part in np.array_split(values, signs_of(1, len(values)))])
    if len(totals) > EXACT:
        from scipy.stats import permutation_test  # noqa: PLC0415 - it takes a while, and few runs are so large

        tested = permutation_test(
            (totals,), np.sum, permutation_type="samples", n_resamples=FLIPS, vectorized=True, axis=0, rng=0
        )
        return np.atleast_1d(np.asarray(tested.pvalue, dtype=float))
    sums = np.abs(_signs(len(totals)) @ totals)
    observed = np.abs(totals.sum(axis=0))
    slack = 1e-9 * np.abs(totals).sum(axis=0)  # the same sum in another order may differ in its last digits
    shares: Array = (sums >= observed - slack).astype(float).mean(axis=0)
    return shares


@lru_cache(maxsize=EXACT)
def _signs(units: int) -> Array:
    """All ways of giving each unit a sign, but for those that only turn all of them: these do as much."""
    bits = np.arange(2 ** (units - 1))[:, None] >> np.arange(units) & 1
    return np.where(bits, -1.0, 1.0)


def holm(values: list[float]) -> list[float]:
    """Correct p values for there being several of them (Holm, 1979).

    Who calls those below 0.05 differences is wrong about any of them in at most 5 % of tables.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = largest
    return corrected
