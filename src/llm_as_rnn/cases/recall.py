"""Finding the past steps that bear on a step: the cases of a memory, and the steps of a whole history.

Both are kept in an `Index` that follows them. A memory and a history are immutable values, of which each step makes a
new one that differs in a case or two; the index of the one before takes in what is new and lets go of what is gone. So
nobody has to carry an index along, and what is found depends on nothing but what was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import takewhile
from operator import eq
from typing import Generic, NamedTuple, TypeVar

from llm_as_rnn.cases.blanks import BLANK, aligned
from llm_as_rnn.cases.case import Case, parse, plain
from llm_as_rnn.cases.index import Fit, Index
from llm_as_rnn.core.alignment import overlap, tokens
from llm_as_rnn.core.records import Value

SAME_THING = 0.52
"""How well a case must fit a line to be about the same thing."""

AS_WELL = 0.1
"""How much less than the best one a case may fit a line and still be shown beside it."""

AT_HAND = 96
"""Indexes that are kept: of as many sequences that run side by side."""

MOST_FEATURES = 1_000_000
"""Features of all cases in the indexes that are kept, together."""

LINES = 2
"""Lines whose answers a memory's cases keep: a step asks about its own again and again."""

FEW = 2
"""Changes from one step to the next: an index that needs no more is the one of the step before."""


def likeness(one: str, other: str) -> float:
    """Say how alike two lines are, word for word in their order: 0 for nothing in common, 1 for the same.

    The order of very long lines counts for nothing (see `alignment`).

    >>> likeness("what is like < ship > ?", "what is like < flag > ?")
    0.8571428571428571
    """
    return overlap(tokens(one), tokens(other))


Row = TypeVar("Row")


class _Followed(Generic[Row]):
    """An index, and the rows that it holds the cases of."""

    def __init__(self, read: Callable[[Row], Case]) -> None:
        self.index = Index()
        self.rows: tuple[Row, ...] = ()
        self._read = read

    def follow(self, rows: tuple[Row, ...]) -> None:
        """Have the index hold the cases of other rows."""
        gone, new = changes(self.rows, rows)
        for case in map(self._read, gone):
            if case.came:
                self.index.remove(case.text, case.came)
        for case in map(self._read, new):
            if case.came:
                self.index.add(case.text, case.seen, case.came)
        self.rows = rows


def changes(old: tuple[Row, ...], new: tuple[Row, ...]) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Give the rows that are gone and those that are new, where rows go from the front and change in one place.

    Of rows that changed otherwise, some are given on both sides.

    >>> changes((1, 2, 3, 4), (2, 3, 9, 4, 5))
    ((1, 4), (9, 4, 5))
    """
    dropped = old.index(new[0]) if new and new[0] in old else 0
    rest = old[dropped:]
    same = _alike(rest, new)
    end = _alike(rest[same:][::-1], new[same:][::-1])
    return (*old[:dropped], *rest[same : len(rest) - end]), new[same : len(new) - end]


def _alike(ones: Sequence[Row], others: Sequence[Row]) -> int:
    """Count how many rows are the same from the start on."""
    return sum(1 for _ in takewhile(bool, map(eq, ones, others)))


class Shelf(Generic[Row]):
    """The indexes that were used last, each for whoever asks next about nearly the same rows.

    Parameters
    ----------
    read : callable
        Gives the case of a row; one without an outcome is left out.
    """

    def __init__(self, read: Callable[[Row], Case]) -> None:
        self._read = read
        self._kept: list[_Followed[Row]] = []

    def clear(self) -> None:
        """Forget all indexes."""
        self._kept.clear()

    @contextmanager
    def index(self, rows: tuple[Row, ...]) -> Iterator[Index]:
        """Lend an index of the rows; nobody else has it meanwhile.

        No lock: one that another thread holds while the process forks would never open in the child. An index is taken
        off the shelf in one step, and a thread that finds none there builds one.
        """
        followed = self._nearest(rows) or _Followed(self._read)
        followed.follow(rows)
        yield followed.index
        # What was left off in the middle of a change, as by an interrupt, is not put back.
        self._kept.append(followed)
        while len(self._kept) > AT_HAND or sum(one.index.size for one in self._kept) > MOST_FEATURES:
            self._kept.pop(0)

    def _nearest(self, rows: tuple[Row, ...]) -> _Followed[Row] | None:
        """Take the index off that has least to change, where that is less than to build one."""
        best, fewest = None, len(rows)
        for one in self._kept[::-1]:
            number = sum(map(len, changes(one.rows, rows))) if one.rows != rows else 0
            if number < fewest:
                best, fewest = one, number
            if number <= FEW:
                break
        if best is None:
            return None
        try:
            self._kept.remove(best)
        except ValueError:  # another thread took it
            return None
        return best


class _Answer(NamedTuple):
    """The cases that fit a line: so many of the best, as long as they fit no less than ``least``."""

    most: int
    least: float
    fits: list[Fit]


class Resemblance:
    """How well the cases of a memory fit a line: see `index` for what counts.

    So what a case is about (the mark on a box, the turn of a phrase) decides, and not what all of them share.

    Parameters
    ----------
    items : iterable of str
        The memory's notes; those that are no cases are left out.

    Attributes
    ----------
    cases : tuple of str
        Those that are.

    Examples
    --------
    >>> marks = Resemblance(["a box marked bovi -> red", "a crate marked tarel -> blue", "a jar marked ulo -> red"])
    >>> marks.closest("a box marked tarel", most=1)
    ['a crate marked tarel -> blue']
    """

    def __init__(self, items: Iterable[str]) -> None:
        self.cases = tuple(item for item in items if parse(item).came)
        self._answers: dict[tuple[str, str], _Answer] = {}

    def closest(self, shown: str, most: int, *, but: str = "") -> list[str]:
        """Give the cases that fit a line best, the best one last and the later of equals; those that fit less stay out.

        Parameters
        ----------
        shown : str
            The line.
        most : int
            How many to give.
        but : str
            A case that is not meant.
        """
        fits = self.fits(shown, most, but=but)
        enough = fits[-1].score - AS_WELL if fits else 0.0
        return [fit.key for fit in fits if fit.score >= enough]

    def same(self, shown: str, *, but: str = "") -> list[str]:
        """Give the cases that fit a line best, if they fit so well that they are about the same thing."""
        fits = self._found(shown, 1, SAME_THING, but)
        best = fits[-1].score if fits else 0.0
        return [fit.key for fit in fits if fit.score == best] if best >= SAME_THING else []

    def fits(self, shown: str, most: int, *, but: str = "") -> list[Fit]:
        """Give the cases that fit a line best and how well they do, from 0 to 1, the best last and the later of equals.

        The parameters are those of `closest`.
        """
        return self._found(shown, most, 0.0, but)[-most:] if most else []

    def _found(self, shown: str, most: int, least: float, but: str) -> list[Fit]:
        """Give at least the cases that fit best and no less than that, and all that fit as well as the last of them.

        What was found when more was asked for is given again: who asks looks at the end of it.
        """
        known = self._answers.get((shown, but))
        if known is None or known.most < most or known.least > least:
            known = _Answer(most, least, self._compared(shown, most, least, but))
            self._answers = dict([*self._answers.items(), ((shown, but), known)][-LINES:])
        return known.fits

    def _compared(self, shown: str, most: int, least: float, but: str) -> list[Fit]:
        if not self.cases:
            return []
        blanks = dict(self._without_blanks(shown))
        with _memories.index(self.cases) as index:
            found = index.best(shown, most + len(blanks) + self.cases.count(but), least)
            scores = {fit.key: fit.score for fit in found if fit.key not in blanks}
            scores.update((item, index.fit(*lines)) for item, lines in blanks.items())
        fits = [Fit(scores[item], item) for item in self.cases if item in scores and item != but]
        return sorted((fit for fit in fits if fit.score >= least and fit.score > 0), key=lambda fit: fit.score)

    def _without_blanks(self, shown: str) -> Iterator[tuple[str, tuple[str, str]]]:
        """Give what is to be compared where a blank stands for some words."""
        words = set(tokens(shown)) - {BLANK}
        for item in self.cases:
            case = parse(item)
            if case.has_blank or (BLANK in shown and words <= case.counted.keys()):
                one, other = aligned(case.seen, shown)
                if (one, other) != (case.seen, shown):
                    yield item, (one, other)


@lru_cache(maxsize=AT_HAND)
def resemblance(items: tuple[str, ...]) -> Resemblance:
    """Give the `Resemblance` of a memory's notes: the same one for the same notes, with what it was asked before.

    As many are kept as sequences run side by side, since each asks several times a step.

    >>> resemblance(("fog -> sun",)) is resemblance(("fog -> sun",))
    True
    """
    return Resemblance(items)


class Near(NamedTuple):
    """A past step that fits a line: how well, from 0 to 1, and its place among the past steps."""

    score: float
    place: int


def nearest(lines: Sequence[str], outcomes: Sequence[Mapping[str, Value]], shown: str, most: int = 1) -> list[Near]:
    """Give the past steps that fit a line best, the best one last and the later of equals.

    Parameters
    ----------
    lines : sequence of str
        What was seen at each step.
    outcomes : sequence of mapping
        What came.
    shown : str
        The line.
    most : int
        How many to give; steps that have nothing in common with the line are not among them.

    Examples
    --------
    >>> nearest(["a box marked bovi", "a crate marked tarel"], [{"sky": "sun"}, {"sky": "fog"}], "a crate marked tarel")
    [Near(score=1.0, place=1)]
    """
    rows = tuple(zip(lines, map(_told, outcomes), strict=True))
    with _histories.index(rows) as index:
        fits = index.best(plain(shown), most)
    scores = {fit.key: fit.score for fit in fits}
    places = [Near(scores[line], place) for place, line in enumerate(lines) if line in scores]
    return sorted(places)[-most:] if most else []


def _told(outcome: Mapping[str, Value]) -> str:
    """Write what came, alike for values that are equal: rows that are must be the same case of an index."""
    # To add 0 takes the minus off a 0; a whole number is one with a point.
    alike = ((name, value + 0.0 if isinstance(value, int | float) else value) for name, value in outcome.items())
    return ", ".join(f"{name} {value}" for name, value in alike)


def _step(row: tuple[str, str]) -> Case:
    line, outcome = row
    return Case(line, plain(line), outcome)


_memories = Shelf(parse)
_histories = Shelf(_step)
