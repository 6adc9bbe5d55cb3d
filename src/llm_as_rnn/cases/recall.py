"""Finding the cases that bear on a step, without lining up the step's words with those of every case.

A memory is read into an index once, and serves every question about it until a note changes. Which cases share how many
words with a line follows from the index; only where these are many enough are the words lined up, the most promising
case first, and no longer than a better one can still turn up. What is found is what comparing all cases would find, to
the last bit of a score (``tests/core/test_recall.py`` compares the two).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from heapq import heapify, heappop
from typing import NamedTuple

from llm_as_rnn.cases.blanks import BLANK, aligned
from llm_as_rnn.cases.case import parse
from llm_as_rnn.core.alignment import overlap, shared_words, tokens

CLOSE = 0.5
"""How alike two lines must be for one to bear on the other; 1 is equal."""

SAME_FRAME = 0.48
"""How much two cases must resemble each other to be about the same thing, words weighted."""

AS_ALIKE = 0.1
"""How much less than the best one a case may resemble a line and still be shown beside it."""

ASKED = 4
"""Of how many lines an index remembers what it found: a step asks about the same one again and again."""

ROUNDING = 1e-9
"""What sums of weights in another order may differ by, as a share of them."""

Words = tuple[str, ...]


def likeness(one: str, other: str) -> float:
    """Say how alike two lines are, word for word in their order: 0 for nothing in common, 1 for the same.

    The order of very long lines counts for nothing (see `alignment`).

    >>> likeness("what is like < ship > ?", "what is like < flag > ?")
    0.8571428571428571
    """
    return overlap(tokens(one), tokens(other))


def is_close(one: str, other: str) -> bool:
    """Tell whether one line may bear on the other.

    >>> is_close("what is like < ship > ?", "what is like < flag > ?"), is_close("fog", "sun")
    (True, False)
    """
    return shared_if_close(tokens(one), tokens(other)) is not None


def shared_if_close(ones: Words, others: Words) -> list[str] | None:
    """Give what two lines share if they are close; None if they are not."""
    # Words in common, whatever their order, bound the likeness from above and are counted ten times faster.
    counted, other = Counter(ones), Counter(others)
    common = sum(min(number, other[token]) for token, number in counted.items() if token in other)
    if 2 * common < CLOSE * (len(ones) + len(others)):
        return None
    shared = shared_words(ones, others)
    length = len(ones) + len(others)
    return shared if not length or 2 * len(shared) / length >= CLOSE else None


class Scored(NamedTuple):
    """A case that is close to a line: how much it resembles it, and its place among the memory's cases."""

    score: float
    place: int


class Resemblance:
    """How much a line resembles the cases of a memory: a word counts for more, the fewer cases have it.

    So what a case is about (the mark on a box, the turn of a phrase) decides, and not what all of them share.

    Parameters
    ----------
    items : iterable of str
        The memory's notes; those that are no cases are left out.

    Attributes
    ----------
    cases : list of str
        Those that are.

    Examples
    --------
    >>> marks = Resemblance(["a box marked bovi -> red", "a crate marked tarel -> blue", "a box marked ulo -> red"])
    >>> marks.closest("a box marked tarel", most=1)
    ['a crate marked tarel -> blue']
    """

    def __init__(self, items: Iterable[str]) -> None:
        self._index = _index(tuple(items))
        self.cases = [case.text for case in self._index.cases]

    def closest(self, shown: str, most: int, *, but: str = "") -> list[str]:
        """Give the cases most like a line, the best one last and the later of equals; those less alike stay out.

        Parameters
        ----------
        shown : str
            The line.
        most : int
            How many to give.
        but : str
            A case that is not meant.
        """
        scored = [one for one in self._index.ranked(shown) if self.cases[one.place] != but]
        enough = scored[-1].score - AS_ALIKE if scored else 0.0
        return [self.cases[one.place] for one in scored[-most:] if one.score >= enough] if most else []

    def ranked(self, shown: str) -> list[str]:
        """Give all cases that bear on a line, the most alike last."""
        return [self.cases[one.place] for one in self._index.ranked(shown)]

    def same(self, shown: str, *, but: str = "") -> list[str]:
        """Give the cases most like a line, if they are so alike that they are about the same thing."""
        return [self.cases[place] for place in self._index.same(shown, but)]


class Index:
    """The cases of a memory by their words.

    Parameters
    ----------
    items : iterable of str
        The memory's notes.

    Attributes
    ----------
    cases : tuple of Case
        Those that are cases, in the memory's order.
    lined_up : int
        How many pairs of lines were lined up so far, for tests that count work.
    """

    def __init__(self, items: Iterable[str]) -> None:
        self.cases = tuple(case for case in map(parse, items) if case.came)
        self.lined_up = 0
        self._having: dict[str, list[int]] = {}
        for place, case in enumerate(self.cases):
            for token in case.counted:
                self._having.setdefault(token, []).append(place)
        self._weights = _weights(len(self.cases))
        self._with_blank = [place for place, case in enumerate(self.cases) if case.has_blank]
        self._found: dict[str, list[Scored]] = {}

    def ranked(self, shown: str) -> list[Scored]:
        """Score all cases that are close to a line, the most alike last and the later of equals."""
        found = self._found.get(shown)
        if found is None:
            question = _Question(self, shown)
            found = sorted(filter(None, (question.scored(place) for place, _ in question.candidates())))
            self._found = dict([*self._found.items(), (shown, found)][-ASKED:])
        return found

    def same(self, shown: str, but: str) -> list[int]:
        """Give the places of the cases most like a line, in order, if they are about the same thing."""
        if shown in self._found:
            scored = [one for one in self._found[shown] if self.cases[one.place].text != but]
        else:
            scored = self._best(shown, but)
        best = max((one.score for one in scored), default=0.0)
        return sorted(one.place for one in scored if one.score == best) if best >= SAME_FRAME else []

    def _best(self, shown: str, but: str) -> list[Scored]:
        """Score the cases most like a line, and few others: as far as any that are left could be as alike."""
        question = _Question(self, shown)
        promising = [(-bound, place) for place, bound in question.candidates(SAME_FRAME)]
        heapify(promising)
        best, scored = SAME_FRAME, []
        while promising and -promising[0][0] >= best:
            place = heappop(promising)[1]
            one = question.scored(place) if self.cases[place].text != but else None
            if one is not None:
                scored.append(one)
                best = max(best, one.score)
        return scored

    def having(self, token: str) -> Sequence[int]:
        """Give the places of the cases that have a word."""
        return self._having.get(token, ())

    def weight_of(self, token: str, *, asked: bool) -> float:
        """Say what a word weighs in a line that is compared; ``asked`` where the line that was asked has it too."""
        return self._weights[len(self._having.get(token, ())) + asked]

    def blank_fits(self, shown: str, words: Words) -> Iterable[int]:
        """Give the places of cases with a blank, and of those that a line with a blank may fit."""
        if BLANK not in shown:
            return self._with_blank
        # A line fits a case that has all its other words; the rarest of them tells most.
        having = [self.having(word) for word in set(words) - {BLANK}]
        rarest = min(having, key=len) if having else range(len(self.cases))
        return {*self._with_blank, *rarest}

    @cached_property
    def wholes(self) -> tuple[float, ...]:
        """What all words of each case weigh together where a line has none of them."""
        return tuple(
            sum(number * self.weight_of(token, asked=False) for token, number in case.counted.items())
            for case in self.cases
        )


class _Question:
    """One line, asked of an index.

    The line counts as one more case: else a word of its own would weigh more than one of a single case.
    """

    def __init__(self, index: Index, shown: str) -> None:
        self._index = index
        self._words = tokens(shown)
        self._counted = Counter(self._words)
        self._weights = {token: index.weight_of(token, asked=True) for token in self._counted}
        self._whole = sum(map(self._weights.__getitem__, self._words))
        self._odd = dict(self._without_blanks(shown))

    def candidates(self, least: float = 0.0) -> Iterator[tuple[int, float]]:
        """Give the cases that may be close to the line and resemble it so much, and how much each may at the most."""
        for place in self._odd:
            yield place, math.inf
        for place in self._having_enough(least):
            if place not in self._odd:
                bound = self._bound(place)
                if bound >= least:
                    yield place, bound

    def _having_enough(self, least: float) -> Iterable[int]:
        """Give the places of the cases that have one of the words without which nothing resembles the line so much.

        A case weighs no less than what it shares with the line, which so comes to a share of the line's own weight. The
        lightest words, of which most cases have some, do not come to that even together.
        """
        if not self._words:
            return [place for place, case in enumerate(self._index.cases) if not case.words]
        enough = least / (2 - least) * self._whole * (1 - ROUNDING)
        places: set[int] = set()
        light = 0.0
        for weight, token in sorted((self._weights[token] * number, token) for token, number in self._counted.items()):
            light += weight
            if light > enough:
                places.update(self._index.having(token))
        return places

    def _bound(self, place: int) -> float:
        """Say how much a case may resemble the line by its words in whatever order; -1 where it is not close."""
        case = self._index.cases[place]
        common, shared, lighter = 0, 0.0, 0.0
        fewer, more = sorted((case.counted, self._counted), key=len)
        for token in fewer:
            if token in more:
                there, weight = case.counted[token], self._weights[token]
                number = min(there, self._counted[token])
                common += number
                shared += number * weight
                lighter += there * (self._index.weight_of(token, asked=False) - weight)
        if 2 * common < CLOSE * (len(case.words) + len(self._words)):
            return -1.0
        whole = self._index.wholes[place] - lighter + self._whole
        return 2 * shared / whole * (1 + ROUNDING) if whole else 1.0

    def scored(self, place: int) -> Scored | None:
        """Score a case; None if it is not close."""
        self._index.lined_up += 1
        ones, others = self._odd.get(place) or (self._index.cases[place].words, self._words)
        shared = shared_if_close(ones, others)
        return None if shared is None else Scored(self._weighted(shared, ones, others), place)

    def _weighted(self, shared: list[str], ones: Words, others: Words) -> float:
        asked = set(others)

        def weight(token: str) -> float:
            return self._index.weight_of(token, asked=token in asked)

        together = sum(map(weight, shared))
        whole = sum(map(weight, ones)) + sum(map(weight, others))
        return 2 * together / whole if whole else 1.0

    def _without_blanks(self, shown: str) -> Iterator[tuple[int, tuple[Words, Words]]]:
        """Give the words that are to be compared where a blank stands for some of them."""
        for place in self._index.blank_fits(shown, self._words):
            seen = self._index.cases[place].seen
            one, other = aligned(seen, shown)
            if (one, other) != (seen, shown):
                yield place, (tokens(one), tokens(other))


@lru_cache(maxsize=8)
def _weights(cases: int) -> tuple[float, ...]:
    """Say what a word weighs in a memory, by the number of cases that have it."""
    return tuple(math.log((cases + 2) / (having + 0.5)) for having in range(cases + 2))


@lru_cache(maxsize=4)
def _index(items: tuple[str, ...]) -> Index:
    return Index(items)
