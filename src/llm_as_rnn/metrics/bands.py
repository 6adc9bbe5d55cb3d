"""How sure a curve is: an interval at each timestep, from resampling whole sequences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llm_as_rnn.core.figures import finite
from llm_as_rnn.metrics.curves import Tracks
from llm_as_rnn.metrics.series import Array

LEVEL = 0.95
DRAWS = 500
"""Fewer than for a table: a band is looked at, not read off."""

FEWEST = 2
"""How much sequences differ takes two of them."""

Band = list[tuple[int, float, float]]
"""t, lower and upper end."""


def band(tracks: Tracks, level: float = LEVEL, seed: int = 0) -> Band:
    """Give a pointwise confidence band of a curve.

    Parameters
    ----------
    tracks : Tracks
        The curve's sequences.
    level : float
        Between 0 and 1: how often the band holds the truth at any one timestep. At all of them at once it does so less
        often.
    seed : int
        The same tracks and seed give the same band.

    Returns
    -------
    list of (int, float, float)
        Only timesteps that at least two sequences have, and not those where fewer than six agree by chance, as they
        have differed before (see `resampling.undecided`): nothing can be said of the others.

    Examples
    --------
    >>> band(Tracks([0, 1], np.array([[0.5, 0.0], [0.5, 1.0]]), 1.0))[0]
    (0, 0.5, 0.5)
    """
    if len(tracks.values) < FEWEST:
        return []
    # It brings scipy, and not all charts have bands.
    from llm_as_rnn.metrics.resampling import ends, enough  # noqa: PLC0415

    rows = tracks.values
    there = ~np.isnan(rows)
    values = np.where(there, rows, 0.0)
    sequences = len(rows)
    weights = np.random.default_rng(seed).multinomial(sequences, [1 / sequences] * sequences, DRAWS).astype(float)
    counts = there.sum(axis=0)
    mean = values.sum(axis=0) / counts
    drawn = weights @ there
    # A resample that has none of a timestep's sequences says nothing of it: it stands at the mean.
    resampled = np.where(drawn > 0, weights @ values / np.maximum(drawn, 1), mean)
    # Where only some sequences are scored yet, there are no more units than these.
    low, high = ends(mean, resampled, np.maximum(counts, FEWEST).astype(float), level)
    told = (counts >= FEWEST) & ((counts >= enough()) | ~_agree_by_chance(rows))
    return [
        (t, finite(float(low[place]) * tracks.unit), finite(float(high[place]) * tracks.unit))
        for place, t in enumerate(tracks.t)
        if told[place]
    ]


def _agree_by_chance(rows: Array) -> NDArray[np.bool_]:
    """Tell of each timestep whether all sequences have the same there, but there were differences up to it."""
    least, most = np.fmin.reduce(rows), np.fmax.reduce(rows)
    slack = 1e-9 * np.nanmax(np.abs(rows))
    ever = np.fmax.accumulate(most) - np.fmin.accumulate(least)
    found: NDArray[np.bool_] = (most - least <= slack) & (ever > slack)
    return found
