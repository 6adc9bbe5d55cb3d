r"""One number out of several, nearly as near as the best of those who advise, whatever comes.

Answers are averaged by ML-Poly (Gaillard, Stoltz and van Erven, COLT 2014, which the R package ``opera`` takes by
default), on the gradient of the absolute error. There is no rate to choose. With ``N`` advisers, ``T`` outcomes so far,
``R`` the width of the plausible range, ``x`` an adviser's answer, taken within that range, and ``r`` what it would have
won at a step by the gradient, as a share of the range,

.. math:: \sum_t |\hat y_t - y_t| \le \sum_t |x_{i,t} - y_t| + R \sqrt{N (1 + \ln(1 + T)) (1 + \sum_t r_{i,t}^2)}.

`excess` gives the last term; ``tests/core/test_advice.py`` holds adversarial streams to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.records import Record, Value


class Means(Record, frozen=True, tag="means"):
    """What advisers on a number have to show for themselves.

    Attributes
    ----------
    regrets, squares : tuple of float
        For each adviser, what it would have won so far against the answers that were given, as a share of the
        plausible range, and the same squared.
    """

    regrets: tuple[float, ...]
    squares: tuple[float, ...]


def at_first(advisers: int) -> Means:
    """Begin: all are believed alike."""
    return Means((0.0,) * advisers, (0.0,) * advisers)


def mean(field: Number, means: Means, said: Sequence[Value | None]) -> float:
    """Average what was said, of which something is a number; who has no answer is passed over.

    >>> mean(Number("high", low=-20, high=45), at_first(2), [10.0, 13.0])
    11.5
    """
    pairs = zip(believed(means), _within(field, said), strict=True)
    known = [(share, value) for share, value in pairs if value is not None]
    total = sum(share for share, _ in known)
    if not total:
        return math.fsum(value for _, value in known) / len(known)
    return math.fsum(share / total * value for share, value in known)


def believed(means: Means) -> list[float]:
    """Give the weight of each adviser in the next answer; they add up to 1.

    >>> believed(at_first(4))
    [0.25, 0.25, 0.25, 0.25]
    """
    ahead = [max(regret, 0.0) / (1 + square) for regret, square in zip(means.regrets, means.squares, strict=True)]
    total = sum(ahead)
    return [share / total if total else 1 / len(ahead) for share in ahead]


def after(field: Number, means: Means, said: Sequence[Value | None], outcome: Value) -> Means:
    """Learn from what came."""
    came = float(outcome) if isinstance(outcome, int | float) else math.nan
    if not math.isfinite(came) or all(value is None for value in said):
        return means
    given = mean(field, means, said)
    slope = (given > came) - (given < came)
    width = field.high - field.low
    won = [
        0.0 if value is None else slope * (given - value) / width  # who is silent would have said what was given
        for value in _within(field, said)
    ]
    return Means(
        tuple(regret + gain for regret, gain in zip(means.regrets, won, strict=True)),
        tuple(square + gain * gain for square, gain in zip(means.squares, won, strict=True)),
    )


def excess(field: Number, means: Means, steps: int) -> list[float]:
    """Say by how much the summed absolute error can exceed that of each adviser, in the field's unit."""
    spread = len(means.squares) * (1 + math.log1p(steps))
    return [(field.high - field.low) * math.sqrt(spread * (1 + square)) for square in means.squares]


def _within(field: Number, said: Sequence[Value | None]) -> list[float | None]:
    """Take answers within the plausible range: a reference may repeat what no answer may be."""
    return [min(max(float(value), field.low), field.high) if isinstance(value, int | float) else None for value in said]
