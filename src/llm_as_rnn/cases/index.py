"""An index of past cases: which of them fit a line best, found without comparing the line with each of them.

A line is taken as the set of its *features*: its words, its pairs of neighbouring words, and the parts of four letters
of its words, so that words of one stem have something in common. A feature weighs what it tells about the outcome: the
logarithm of its *lift*, which is how much more often than any two cases those two that have it came out the same. As
long as few pairs say so, a rare feature is taken to lift more than a common one. This is the agreement weight of record
linkage (Fellegi and Sunter 1969, https://doi.org/10.1080/01621459.1969.10501049), with the shrinkage of a Gamma prior
on the rate of a Poisson count, and the inverse document frequency (Spärck Jones 1972,
https://doi.org/10.1108/eb026526) in the prior. Where outcomes repeat, it learns which words matter; where each outcome
is another one, as with numbers, rarity alone decides.

How well a case fits is the weight that it shares with the line, as a share of what both weigh (the weighted
coefficient of Dice): 0 for nothing in common, 1 for the same.

Adding or removing a case touches the features of that case alone. A question adds up weights along the lists of cases
that have the line's features; cases that could fit better than those found are then looked at, and no others. All that
is counted are whole numbers and sums are exact, so that an index that grew and shrank answers, to the last bit, as one
that was built anew (``tests/core/test_recall.py``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from itertools import pairwise
from typing import NamedTuple

from llm_as_rnn.core.alignment import tokens
from llm_as_rnn.core.kept import Kept

PART = 4
"""Letters of a part of a word."""

PRIOR = 0.2
"""How many agreements that were to be expected by chance the prior counts for."""

LEAST = 0.1
"""What a feature weighs that tells nothing: two lines that share nothing else are somewhat alike."""

ASKED = 4
"""Of how many lines an index remembers what it found: a step asks about the same one again and again."""

ROUNDING = 1e-9
"""What sums of weights in another order may differ by, as a share of them."""

MOST_KEPT = 500_000
"""Characters of all lines together whose features are kept."""

Features = dict[str, None]
"""The features of a line in their order, each once."""


def _split(line: str) -> Features:
    words = tokens(line)
    # A word has no space in it, a mark is a word of its own: so no two kinds are spelt alike.
    found = dict.fromkeys(words)
    found.update((f"{one} {other}", None) for one, other in pairwise(("", *words, "")))
    for word in found.keys() & set(words):
        if len(word) > 1:
            whole = f"<{word}>"
            found.update((f"~{whole[at : at + PART]}", None) for at in range(max(len(whole) - PART, 0) + 1))
    return found


features: Kept[Features] = Kept(_split, characters=MOST_KEPT)
"""Take a line apart; what is given is shared, and must not be changed."""


class Fit(NamedTuple):
    """How well a case fits a line, from 0 to 1, and the case by its key."""

    score: float
    key: str


class _Entry(NamedTuple):
    key: str
    came: str
    features: Features


class _Holders:
    """The cases that have a feature, by their places in the index, and how many pairs of them came out the same."""

    __slots__ = ("agreeing", "came", "places")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.came: dict[str, int] = {}
        self.agreeing = 0


class Index:
    """Cases by what they have in common with a line.

    Examples
    --------
    >>> index = Index()
    >>> index.add("first", "a box marked bovi", "red")
    >>> index.add("second", "a crate marked tarel", "blue")
    >>> [key for _, key in index.best("a box marked tarel", 1)]
    ['second']
    >>> index.best("a crate marked tarel", 1)
    [Fit(score=1.0, key='second')]
    >>> index.remove("second", "blue")
    >>> [key for _, key in index.best("a box marked tarel", 1)]
    ['first']
    """

    def __init__(self) -> None:
        self.looked_at = 0
        self._entries: list[_Entry | None] = []
        self._free: list[int] = []
        self._places: dict[tuple[str, str], list[int]] = {}
        self._holders: dict[str, _Holders] = {}
        self._came: Counter[str] = Counter()
        self._agreeing = 0
        self._weights: dict[tuple[int, int, bool], float] = {}

    def __len__(self) -> int:
        return len(self._entries) - len(self._free)

    def add(self, key: str, seen: str, came: str) -> None:
        """Take a case in.

        Parameters
        ----------
        key : str
            What it is called where it is found; the same case may be there several times.
        seen : str
            Its line.
        came : str
            Its outcome: cases came out the same where this is equal.
        """
        entry = _Entry(key, came, features(seen))
        place = self._free.pop() if self._free else len(self._entries)
        self._entries[place : place + 1] = [entry]
        self._places.setdefault((key, came), []).append(place)
        self._agreeing += self._came[came]
        self._came[came] += 1
        for feature in entry.features:
            holders = self._holders.get(feature)
            if holders is None:
                holders = self._holders[feature] = _Holders()
            before = holders.came.get(came, 0)
            holders.places.append(place)
            holders.agreeing += before
            holders.came[came] = before + 1
        self._weights.clear()

    def remove(self, key: str, came: str) -> None:
        """Let a case go; it must be there."""
        places = self._places[key, came]
        place = places.pop()
        if not places:
            del self._places[key, came]
        entry = self._entries[place]
        assert entry is not None  # noqa: S101 - a place that is listed is taken
        self._entries[place] = None
        self._free.append(place)
        self._came[came] -= 1
        self._agreeing -= self._came[came]
        for feature in entry.features:
            holders = self._holders[feature]
            holders.places.remove(place)
            if not holders.places:
                del self._holders[feature]
                continue
            left = holders.came[came] - 1
            holders.came[came] = left
            holders.agreeing -= left
            if not left:
                del holders.came[came]
        if not self._came[came]:
            del self._came[came]
        self._weights.clear()

    def best(self, shown: str, most: int) -> list[Fit]:
        """Give the cases that fit a line best, the best first, and all that fit as well as the last of them.

        Parameters
        ----------
        shown : str
            The line.
        most : int
            How many are wanted.
        """
        question = Question(self, shown)
        found: list[Fit] = []
        leading: list[float] = []
        for bound, place in question.promising():
            if len(leading) == most and bound < leading[0]:
                break
            fit = question.fit(place)
            if len(leading) < most:
                heappush(leading, fit.score)
            elif fit.score > leading[0]:
                heapreplace(leading, fit.score)
            found.append(fit)
        enough = leading[0] if leading else 0.0
        return sorted((fit for fit in found if fit.score >= enough), key=lambda fit: -fit.score)

    def all(self, shown: str) -> list[Fit]:
        """Give all cases that have anything in common with a line, the best first."""
        return self.best(shown, len(self)) if len(self) else []

    def weight(self, feature: str, *, asked: bool) -> float:
        """Say what a feature weighs; a line that was ``asked`` about counts as one more case that has its features."""
        holders = self._holders.get(feature)
        having, agreeing = (len(holders.places), holders.agreeing) if holders else (0, 0)
        known = self._weights.get((having, agreeing, asked))
        if known is None:
            known = self._weights[having, agreeing, asked] = self._weigh(having, agreeing, asked)
        return known

    def _weigh(self, having: int, agreeing: int, asked: bool) -> float:
        number = len(self)
        # As if one of five pairs more had agreed: no share is nothing, or all.
        chance = (self._agreeing + 1) / (number * (number - 1) / 2 + 5)
        rarity = max(math.log((number + 2) / (having + asked + 0.5)), 0.0)
        expected = chance * having * (having - 1) / 2
        return max(math.log((agreeing + PRIOR * (1 + rarity)) / (expected + PRIOR)), LEAST)

    def having(self, feature: str) -> Iterable[int]:
        """Give the places of the cases that have a feature."""
        holders = self._holders.get(feature)
        return holders.places if holders else ()

    def at(self, place: int) -> _Entry:
        """Give the case at a place."""
        entry = self._entries[place]
        assert entry is not None  # noqa: S101 - only places that are listed are asked for
        return entry


class Question:
    """One line, asked of an index."""

    def __init__(self, index: Index, shown: str) -> None:
        self._index = index
        self._weights = {feature: index.weight(feature, asked=True) for feature in features(shown)}
        self._whole = math.fsum(self._weights.values())

    def promising(self) -> Iterator[tuple[float, int]]:
        """Give the most that each case may come to, and its place, the most promising first.

        A case weighs no less than what it shares with the line.
        """
        shared: dict[int, float] = {}
        get = shared.get
        for feature, weight in self._weights.items():
            for place in self._index.having(feature):
                shared[place] = get(place, 0.0) + weight
        order = [(-weight, place) for place, weight in shared.items()]
        heapify(order)
        while order:
            weight, place = heappop(order)
            yield -2 * weight / (self._whole - weight) * (1 + ROUNDING), place

    def fit(self, place: int) -> Fit:
        """Say how well a case fits."""
        index, asked = self._index, self._weights
        index.looked_at += 1
        entry = index.at(place)
        shared = [asked[feature] for feature in entry.features if feature in asked]
        other = [index.weight(feature, asked=False) for feature in entry.features if feature not in asked]
        together = math.fsum(shared)
        return Fit(2 * together / (self._whole + together + math.fsum(other)), entry.key)
