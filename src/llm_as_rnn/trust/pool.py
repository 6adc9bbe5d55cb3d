r"""A logarithmic opinion pool whose weights are learned online: evidence of several sources is added up, not averaged.

With :math:`\ell_{i,k}` the logarithm of the chance that source :math:`i` gives to option :math:`k`, the pool says

.. math:: p_k \propto \exp\Bigl(\sum_i c_i \ell_{i,k}\Bigr), \qquad c_i \ge 0.

A mixture is never surer than the surest of its sources; the pool is, where they agree for reasons of their own: a case
that is alike and what a model knows of the options' names. The log loss is convex in the weights, which follow it by
online Newton steps (Hazan, Agarwal and Kale, Machine Learning 69, 2007) on the curvature of the outcomes so far, of
which the older ones fade.
Genest and Zidek (Statistical Science 1, 1986) tell what such pools are good for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from llm_as_rnn.core.chances import LEAST
from llm_as_rnn.core.records import Record

SURE = 4.0
"""What the curvature of each weight begins with: as much as so many outcomes might tell."""

FADED = 0.98
"""What an outcome's curvature keeps at each further one: half is gone after 35."""

Spread = Mapping[str, float]
"""The chance of each option."""


class Pool(Record, frozen=True):
    """What each source weighs.

    Attributes
    ----------
    weights : dict of str to float
        By source; all that were ever heard.
    curvature : dict of str to dict of str to float
        How much the outcomes so far told of each weight, and of each two; what is not there is 0, or `SURE` where a
        source meets itself.
    """

    weights: dict[str, float] = msgspec.field(default_factory=dict)
    curvature: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)


def pooled(pool: Pool, said: Mapping[str, Spread]) -> dict[str, float]:
    """Give the pool's chances.

    Parameters
    ----------
    pool : Pool
        The weights.
    said : mapping of str to mapping of str to float
        By source, the chance of every option; the options are the same for all. A source of which the pool knows
        nothing weighs nothing.

    Returns
    -------
    dict of str to float
        They add up to 1.

    Examples
    --------
    >>> both = {"case": {"rain": 0.8, "sun": 0.2}, "model": {"rain": 0.8, "sun": 0.2}}
    >>> round(pooled(Pool({"case": 1.0, "model": 1.0}), both)["rain"], 2)
    0.94
    """
    weights = _weights(pool, said)
    options = list(next(iter(said.values())))
    logs = _logs(said, options)
    totals = {
        option: math.fsum(weights[source] * logs[source][place] for source in said)
        for place, option in enumerate(options)
    }
    most = max(totals.values())
    shares = {option: math.exp(total - most) for option, total in totals.items()}
    whole = math.fsum(shares.values())
    return {option: share / whole for option, share in shares.items()}


def after(pool: Pool, said: Mapping[str, Spread], outcome: str) -> Pool:
    """Learn the weights from what came; an outcome that is none of the options teaches nothing.

    >>> right, wrong = {"rain": 0.9, "sun": 0.1}, {"rain": 0.2, "sun": 0.8}
    >>> pool = after(Pool({"model": 0.5, "guess": 0.5}), {"model": right, "guess": wrong}, "rain")
    >>> pool.weights["model"] > 0.5 > pool.weights["guess"]
    True
    """
    given = pooled(pool, said)
    if outcome not in given:
        return pool
    sources, chances, logs = list(said), list(given.values()), _logs(said, given)
    came = list(given).index(outcome)
    centred = []
    for source in sources:
        mean = math.fsum(chance * log for chance, log in zip(chances, logs[source], strict=True))
        centred.append([log - mean for log in logs[source]])
    curvature = {source: dict(pool.curvature.get(source, {source: SURE})) for source in sources}
    for one, ones in zip(sources, centred, strict=True):
        for other, others in zip(sources, centred, strict=True):
            told = math.fsum(chance * a * b for chance, a, b in zip(chances, ones, others, strict=True))
            least = (1 - FADED) * SURE if one == other else 0.0
            curvature[one][other] = FADED * curvature[one].get(other, 0.0) + least + told
    step = _solved(
        [[curvature[one].get(other, 0.0) for other in sources] for one in sources], [c[came] for c in centred]
    )
    weights = _weights(pool, said)
    stepped = {source: max(weights[source] + move, 0.0) for source, move in zip(sources, step, strict=True)}
    return Pool({**pool.weights, **stepped}, {**pool.curvature, **curvature})


def _weights(pool: Pool, said: Mapping[str, Spread]) -> dict[str, float]:
    return {source: pool.weights.get(source, 0.0) for source in said}


def _logs(said: Mapping[str, Spread], options: Iterable[str]) -> dict[str, list[float]]:
    return {source: [math.log(max(spread[option], LEAST)) for option in options] for source, spread in said.items()}


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solve a small symmetric positive definite system, by Cholesky's factors."""
    size = len(right)
    lower = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j] - math.fsum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i][j] = math.sqrt(max(rest, 1e-12)) if i == j else rest / lower[j][j]
    forward: list[float] = []
    for i in range(size):
        forward.append((right[i] - math.fsum(lower[i][k] * forward[k] for k in range(i))) / lower[i][i])
    solution = [0.0] * size
    for i in reversed(range(size)):
        rest = forward[i] - math.fsum(lower[k][i] * solution[k] for k in range(i + 1, size))
        solution[i] = rest / lower[i][i]
    return solution
