"""Which columns seem to know the outcome before its time, and why.

A column that is told with the outcome, or made of it, makes every figure of a run worthless. What is found here is a
suspicion with its reason; whether it is right only a person can know.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from llm_as_rnn.core.folding import fold
from llm_as_rnn.datasets.guessing.columns import Column
from llm_as_rnn.datasets.guessing.words import LATER

EQUAL = 0.95
"""Share of rows in which a column holds the outcome itself, from which on it is named."""

SURE = 0.98
"""Share of rows in which a column's value tells the outcome."""

GAIN = 0.5
"""How far that has to exceed always naming the most frequent outcome, as a share of what is left to exceed."""

ENOUGH = 10
"""Rows that share their value with others: fewer show nothing."""

STRAIGHT = 0.99999
"""The correlation from which on a number is made of another by multiplying and adding."""


def suspicion(column: Column, outcome: Column, order: Column | None) -> str:
    """Say why a column seems to know the outcome of its row; empty where it does not.

    Parameters
    ----------
    column : Column
        What would be shown.
    outcome : Column
        What is to be predicted: where that stands in a later row, as this row has it.
    order : Column, optional
        What rows are sorted by.
    """
    name = outcome.name
    if _equal(column, outcome):
        return f"it holds {name} itself"
    told = _told(column, outcome)
    if told:
        return told
    when = _comes_later(column, order)
    if when:
        return when
    late = column.words & LATER
    return f"its name ({', '.join(sorted(late))}) says that it is known later" if late else ""


def _pairs(column: Column, outcome: Column) -> list[tuple[Any, Any]]:
    both = zip(column.cells, outcome.cells, strict=True)
    return [(cell, came) for cell, came in both if cell is not None and came is not None]


def _equal(column: Column, outcome: Column) -> bool:
    pairs = _pairs(column, outcome)
    if len(pairs) < 3 or len({str(came) for _, came in pairs}) < 2:  # noqa: PLR2004 - what never varies shows nothing
        return False
    return sum(_same(cell, came) for cell, came in pairs) >= EQUAL * len(pairs)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return float(one) == float(other)
    return fold(str(one)) == fold(str(other))


def _told(column: Column, outcome: Column) -> str:
    """Say how a column's values, or where it has any, tell the outcome."""
    name = outcome.name
    if not outcome.is_whole and not column.is_whole and _filled_with(column, outcome):
        return f"it is filled only where {name} is"
    filled = [was for was, came in zip(column.filled, outcome.filled, strict=True) if came]
    if outcome.kind == "options" and len(set(filled)) > 1:
        known = [came for came in outcome.texts if came is not None]
        option = Counter(came for was, came in zip(filled, known, strict=True) if was).most_common(1)[0][0]
        if _tells(filled, [came == option for came in known]):
            return f"it is filled only where {name} is {option}"
    pairs = _pairs(column, outcome)
    if column.kind == "numbers" and outcome.kind == "numbers":
        return f"{name} is a straight line of it" if _is_straight(pairs) else ""
    if column.kind == "numbers" and outcome.kind == "options":
        return f"above and below one number it tells {name}" if _is_cut(pairs) else ""
    if outcome.kind in ("options", "numbers", "texts") and _tells(
        [str(cell) for cell, _ in pairs], [str(came) for _, came in pairs]
    ):
        return f"each of its values goes with one {name}"
    return ""


def _filled_with(column: Column, outcome: Column) -> bool:
    """Tell whether a column is filled only where the outcome is, and nearly always there."""
    with_it = [came for was, came in zip(column.filled, outcome.filled, strict=True) if was]
    return len(with_it) >= ENOUGH // 2 and all(with_it) and len(with_it) >= EQUAL * sum(outcome.filled)


def _tells(values: Sequence[Hashable], outcomes: Sequence[Hashable]) -> bool:
    """Tell whether each value goes with one outcome, so often that chance does not explain it."""
    apart: dict[Hashable, Counter[Hashable]] = defaultdict(Counter)
    for value, came in zip(values, outcomes, strict=True):
        apart[value][came] += 1
    shared = [counts for counts in apart.values() if counts.total() > 1]
    rows = sum(counts.total() for counts in shared)
    if rows < ENOUGH or 2 * rows < len(values) or len(shared) < 2:  # noqa: PLR2004 - one value tells nothing
        return False
    usual = sum((counts for counts in shared), Counter[Hashable]()).most_common(1)[0][1] / rows
    # As many rows of each value as there are values are fitted by chance: one a value is not counted.
    right = sum(counts.most_common(1)[0][1] for counts in shared) / rows
    return right >= SURE and usual < 1 and (right - usual) / (1 - usual) >= GAIN


def _is_straight(pairs: Sequence[tuple[Any, Any]]) -> bool:
    if len(pairs) < ENOUGH:
        return False
    one, other = np.asarray(pairs, dtype=float).T
    if not (np.ptp(one) > 0 and np.ptp(other) > 0):
        return False
    return bool(abs(np.corrcoef(one, other)[0, 1]) >= STRAIGHT)


def _is_cut(pairs: Sequence[tuple[Any, Any]]) -> bool:
    """Tell whether one number parts two labels of which both are frequent enough."""
    counts = Counter(str(came) for _, came in pairs)
    if len(counts) != 2 or min(counts.values()) < ENOUGH // 2 or len(pairs) < 2 * ENOUGH:  # noqa: PLR2004 - two labels
        return False
    one = next(iter(counts))
    ones = [cell for cell, came in pairs if str(came) == one]
    others = [cell for cell, came in pairs if str(came) != one]
    return bool(max(ones) < min(others) or max(others) < min(ones))


def _comes_later(column: Column, order: Column | None) -> str:
    """Say that a date lies behind the row's place in the order."""
    if order is None or not order.when or not column.when:
        return ""
    both = [(one, at) for one, at in zip(column.when, order.when, strict=True) if one is not None and at is not None]
    if not both or any((one.tzinfo is None) != (at.tzinfo is None) for one, at in both):
        return ""
    later = sum(one >= at for one, at in both)
    is_later = later >= EQUAL * len(both) and any(_day(one) > _day(at) or one > at for one, at in both)
    return f"its dates come after {order.name}" if is_later else ""


def _day(when: datetime) -> Any:
    return when.date()
