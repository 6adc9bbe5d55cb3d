"""What the columns of a table are to each other: outcome, order, sequence, and what stays the same in a sequence."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from datetime import UTC
from typing import Any

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.datasets.guessing.columns import Column, Kind
from llm_as_rnn.datasets.guessing.words import CODES, IDS, LIKELY, NEXT, OUTCOMES, PLACES, REMARKS, SEQUENCES

NEVER: Mapping[Kind, str] = {
    "nothing": "it is empty",
    "constant": "it is the same in every row",
    "objects": "it holds objects, which no template shows in plain words",
}
"""Kinds of columns that are neither shown nor predicted, and why."""

MOST_OUTCOMES = 3
"""Outcomes that are proposed at most."""

SHORTEST = 3
"""Rows that a sequence has on average, at least."""

MANY = 0.2
"""Share of rows that have the moment of another one, from which on they seem to be of several sequences."""

CHANCE, CHANCE_OF_NAMED = 10.0, 3.0
"""Rows that would share a moment by chance, from which on it says something of two columns that none do: the second
where both are named as what tells sequences apart."""

FEW = 0.01
"""Share of rows that may share a moment all the same: those of the hour that a change of clocks repeats, say."""

ALIKE = 0.8
"""Share of the gaps between dates that are alike, from which on rows are a series of regular readings."""


def find_order(columns: Iterable[Column]) -> Column | None:
    """Find the column that puts rows in order: the earliest of the dates, or a number whose name says so."""
    whole = [column for column in columns if column.is_whole]
    dated = [column for column in whole if column.kind == "dates"]
    if dated:
        return min(dated, key=_when)
    numbered = [column for column in whole if column.kind in ("numbers", "codes") and column.words & PLACES]
    return next((column for column in numbered if all(isinstance(cell, int | float) for cell in column.cells)), None)


def named_order(column: Column) -> Column:
    """Give a column that somebody named for the order.

    Raises
    ------
    UsageError
        If it cannot put rows in order.
    """
    if not column.is_whole:
        row = column.filled.index(False) + 1
        raise UsageError(
            f"{column.name} cannot be the order: row {row} has no place in it", "fill it in, or name another"
        )
    if not column.when and not all(
        isinstance(cell, int | float) and not isinstance(cell, bool) for cell in column.cells
    ):
        what = f"{column.name} cannot be the order: it holds neither numbers nor dates of one kind alone"
        raise UsageError(what, "name another, or say with --dates how its dates are written")
    return column


def _when(column: Column) -> tuple[bool, float]:
    """Give the middle of a column of dates, as a number."""
    # Without a time zone of its own a date counts as one of UTC: that of this machine would choose otherwise elsewhere,
    # and has no seconds for the first day that there is, which programs write for none.
    times = sorted(
        (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() for value in column.when if value is not None
    )
    return any(value is not None and value.tzinfo is None for value in column.when), times[len(times) // 2]


def places(order: Column | None) -> Sequence[Any]:
    """Give the place of each row in the order; none where there is no order."""
    if order is None:
        return ()
    return order.when or order.cells


def find_sequence(
    columns: Sequence[Column], order: Column | None, taken: Iterable[str], *, outcome_is_known: bool = False
) -> tuple[Column, ...]:
    """Find what tells sequences apart, so that within each no two rows have one place: a column, or else two together.

    Parameters
    ----------
    columns : sequence of Column
        All of the table.
    order : Column, optional
        What rows are sorted by.
    taken : iterable of str
        Columns that are something else.
    outcome_is_known : bool
        Whether the outcome is among these: any other column that looks like one may then be part of a pair.
    """
    at, taken = places(order), set(taken)
    ties = len(at) - len(set(at))
    able = [column for column in columns if column.name not in taken and _may_tell_apart(column)]
    left = {column.name: len(at) - len(set(zip(at, column.texts, strict=False))) for column in able}
    found: list[tuple[float, Column]] = []
    for column in able:
        within, named = left[column.name], _named(column)
        if column.words & LIKELY and within >= ties / 10:  # a team, say, may be what is to be found out
            continue
        # Rows of one moment that a column tells apart say more than any name.
        score = named + (4 if ties and not within else 2 * (1 - within / ties) if ties else 0)
        # Numbers of shops may be how many there were, and those of hours may be what rows should be sorted by.
        is_plain = column.kind != "numbers" or column.words & IDS
        if (named and is_plain) or (ties >= MANY * len(at) and within < ties / 10 and (named or is_plain)):
            found.append((score, column))
    if ties and ties >= MANY * len(at) and all(left[column.name] for _, column in found):
        keys = [column for column in able if _may_be_of_pair(column, order, outcome_is_known=outcome_is_known)]
        for pair in _pairs(keys, left, at):
            if outcome_is_known or _leaves_an_outcome(columns, {*taken, *(column.name for column in pair)}):
                return pair
    return (max(found, key=lambda pair: pair[0])[1],) if found else ()


def _may_tell_apart(column: Column) -> bool:
    """Tell whether a column could tell sequences apart; numbers only where they are whole and named so."""
    if not column.is_whole or not 2 <= len(column.counts) <= len(column.cells) // SHORTEST:  # noqa: PLR2004 - two apart
        return False
    if column.kind == "numbers":
        whole = all(cell == int(cell) for cell in column.there)
        return bool(column.words & IDS or (column.words & (SEQUENCES | PLACES) and whole))
    return column.kind in ("options", "texts", "codes")


def _named(column: Column) -> int:
    return bool(column.words & SEQUENCES) + bool(column.words & IDS)


def _may_be_of_pair(column: Column, order: Column | None, *, outcome_is_known: bool) -> bool:
    if column.words & PLACES and not _named(column) and not (order and order.when):
        return False  # the months of a year are places in the order as well
    likely = column.words & (LIKELY | OUTCOMES) and not column.words & SEQUENCES
    return outcome_is_known or not likely


def _pairs(keys: Sequence[Column], left: Mapping[str, int], at: Sequence[Any]) -> list[tuple[Column, Column]]:
    """Find any two columns that tell the rows of a moment apart, named ones first, then those of few sequences."""
    found: list[tuple[int, int, tuple[Column, Column]]] = []
    for one, other in itertools.combinations(keys, 2):
        named = bool(_named(one)) + bool(_named(other))
        # Each has to part so many rows of one moment that the other leaves together that it is no accident.
        chance = min(left[one.name] * _luck(other), left[other.name] * _luck(one))
        if chance < (CHANCE_OF_NAMED if named == 2 else CHANCE):  # noqa: PLR2004 - both
            continue
        many = len(set(zip(one.texts, other.texts, strict=True)))
        rows = zip(at, one.texts, other.texts, strict=True)
        if many <= len(at) // SHORTEST and _are_different(rows, int(FEW * chance)):
            found.append((-named, many, (one, other)))
    return [pair for _, _, pair in sorted(found, key=lambda three: three[:2])]


def _luck(column: Column) -> float:
    """Give the chance that two rows have the same value."""
    return sum((count / len(column.cells)) ** 2 for count in column.counts.values())


def _are_different(keys: Iterable[Hashable], most: int) -> bool:
    """Tell whether at most so many come again, and look no further than that."""
    seen: set[Hashable] = set()
    for number, key in enumerate(keys, 1):
        seen.add(key)
        if number - len(seen) > most:
            return False
    return True


def _leaves_an_outcome(columns: Iterable[Column], taken: Set[str]) -> bool:
    return any(column.name not in taken and may_be_outcome(column) for column in columns)


def groups(sequence: Sequence[Column], order: Column | None, rows: int) -> list[list[int]]:
    """Give the rows of each sequence, in its order."""
    apart: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
    for row in range(rows):
        apart[tuple(column.texts[row] for column in sequence)].append(row)
    at = places(order)
    return [sorted(found, key=lambda row: at[row]) if at else found for found in apart.values()]


def tells_apart(order: Column | None, apart: list[list[int]]) -> bool:
    """Tell whether an order gives most rows of a sequence a place of their own: the number of a month does not.

    Dates may be shared by many rows, and are still when things happened.
    """
    at = () if order is None or order.when else order.cells
    shared = sum(len(rows) - len({at[row] for row in rows}) for rows in apart) if at else 0
    return shared < MANY * len(at) or not at


def is_regular(order: Column | None, apart: list[list[int]]) -> bool:
    """Tell whether rows are a series of readings: most gaps between them, in each sequence, are alike."""
    at = places(order)
    gaps: list[float] = [
        (at[later] - at[one]).total_seconds() if order and order.when else at[later] - at[one]
        for rows in apart
        for one, later in itertools.pairwise(rows)
        if at
    ]
    if not gaps or sum(gap <= 0 for gap in gaps) > FEW * len(gaps):
        return False
    usual, _ = Counter(gaps).most_common(1)[0]
    alike = sum(0.85 * usual <= gap <= 1.15 * usual for gap in gaps)  # months have 28 to 31 days
    return alike >= ALIKE * len(gaps)


def find_outcomes(columns: Sequence[Column], taken: Iterable[str]) -> list[Column]:
    """Find what is to be predicted: what is named so, else what people often want, else what stands last."""
    able = [column for column in columns if column.name not in taken and may_be_outcome(column)]
    if not able:
        return []
    made_for_it = [column for column in able if column.words & OUTCOMES]
    if made_for_it:
        several = [column for column in made_for_it if column.words & NEXT]
        return several[:MOST_OUTCOMES] if len(several) > 1 else made_for_it[:1]
    return [max(able, key=lambda column: _wish(column, able))]


def may_be_outcome(column: Column) -> bool:
    """Tell whether a column could be predicted at all."""
    return column.kind in ("options", "numbers", "lists", "texts", "long texts") and not column.words & CODES


def _wish(column: Column, able: Sequence[Column]) -> float:
    kinds = {"options": 1.0, "numbers": 0.8, "lists": 0.3}
    likely = 2.0 if column.words & LIKELY else 0.0
    # Remarks, and numbers of days and months, are seldom what anybody wants to know.
    unlikely = 2.0 if column.words & (REMARKS | PLACES) or 2 * len(column.there) < len(column.cells) else 0.0
    few = 0.3 if column.kind == "options" and len(column.options) <= 10 else 0.0  # noqa: PLR2004 - a few
    lacks = 0.3 if not column.is_whole else 0.0  # outcomes are what is sometimes not known
    return kinds.get(column.kind, 0.0) + likely - unlikely + few + lacks + able.index(column) / len(able)


def stays(column: Column, apart: list[list[int]]) -> bool:
    """Tell whether a column stays the same in every sequence."""
    return all(len({column.texts[row] for row in rows}) == 1 for rows in apart)
