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
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

from llm_as_rnn.core.alignment import tokens
from llm_as_rnn.core.kept import Kept

PART = 4
"""Letters of a part of a word."""

PRIOR = 1.0
"""How many agreements that were to be expected by chance the prior counts for."""

LEAST = 0.1
"""What a feature weighs that tells nothing: two lines that share nothing else are somewhat alike."""

ASKED = 8
"""How many answers of an index are remembered: a step asks about the same line again and again."""

ROUNDING = 1e-9
"""What sums of weights in another order may differ by, as a share of them."""

MOST_KEPT = 500_000
"""Characters of all lines together whose features are kept."""

Features = dict[str, None]
"""The features of a line in their order, each once."""


def _split(line: str) -> Features:
    words = tokens(line)
    # A word has no space in it, a mark is a word of its own: so no two kinds are spelt alike.
    once = dict.fromkeys(words)
    found = once | dict.fromkeys(f"{one} {other}" for one, other in pairwise(("", *words, "")))
    for word in once:
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


class _Feature:
    """What the cases of an index that have a feature amount to.

    Attributes
    ----------
    name : str
        Which.
    places : list of int
        Theirs.
    came : dict of str to int
        How many of them came to an outcome.
    agreeing : int
        How many pairs of them came out the same.
    weight : float
        What it weighed in the state of the index that ``weighed`` names.
    """

    __slots__ = ("agreeing", "came", "name", "places", "weighed", "weight")

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: list[int] = []
        self.came: dict[str, int] = {}
        self.agreeing = 0
        self.weight = 0.0
        self.weighed = -1

    def add(self, place: int, came: str) -> None:
        """Count one case more."""
        before = self.came.get(came, 0)
        self.places.append(place)
        self.agreeing += before
        self.came[came] = before + 1

    def remove(self, place: int, came: str) -> None:
        """Count one case less."""
        left = self.came[came] - 1
        self.places.remove(place)
        self.agreeing -= left
        self.came[came] = left
        if not left:
            del self.came[came]


class _Entry(NamedTuple):
    key: str
    came: str
    features: tuple[_Feature, ...]


class Index:
    """Cases by what they have in common with a line.

    Attributes
    ----------
    size : int
        Features of all cases together.
    looked_at : int
        How many cases were compared with a line one by one so far, for tests that count work.

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
        self.size = 0
        self.looked_at = 0
        self._entries: list[_Entry | None] = []
        self._free: list[int] = []
        self._places: dict[tuple[str, str], list[int]] = {}
        self._features: dict[str, _Feature] = {}
        self._came: Counter[str] = Counter()
        self._agreeing = 0
        self._state = 0
        self._weights: dict[tuple[int, int, bool], float] = {}
        self._answers: dict[tuple[str, int, float], list[Fit]] = {}

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
        place = self._free.pop() if self._free else len(self._entries)
        held = []
        for name in features(seen):
            feature = self._features.get(name)
            if feature is None:
                feature = self._features[name] = _Feature(name)
            feature.add(place, came)
            held.append(feature)
        self.size += len(held)
        self._entries[place : place + 1] = [_Entry(key, came, tuple(held))]
        self._places.setdefault((key, came), []).append(place)
        self._agreeing += self._came[came]
        self._came[came] += 1
        self._changed()

    def remove(self, key: str, came: str) -> None:
        """Let a case go; it must be there."""
        places = self._places[key, came]
        place = places.pop()
        if not places:
            del self._places[key, came]
        gone = self._at(place).features
        for feature in gone:
            feature.remove(place, came)
            if not feature.places:
                del self._features[feature.name]
        self.size -= len(gone)
        self._entries[place] = None
        self._free.append(place)
        self._came[came] -= 1
        self._agreeing -= self._came[came]
        if not self._came[came]:
            del self._came[came]
        self._changed()

    def best(self, shown: str, most: int, least: float = 0.0) -> list[Fit]:
        """Give the cases that fit a line best, the best first, and all that fit as well as the last of them.

        Parameters
        ----------
        shown : str
            The line.
        most : int
            How many are wanted; a case that has nothing in common with the line is not among them.
        least : float
            How well they have to fit.
        """
        if most < 1:
            return []
        asked = (shown, most, least)
        found = self._answers.get(asked)
        if found is None:
            found = self._compared(_Question(self, shown), most, least)
            self._answers = dict([*self._answers.items(), (asked, found)][-ASKED:])
        return found

    def _compared(self, question: _Question, most: int, least: float) -> list[Fit]:
        shared, light = self._shared(question)
        found: list[Fit] = []
        leading: list[float] = []
        worst = least
        for weight, place in self._promising(shared):
            # A case weighs no less than what it shares with the line.
            may_share = weight + light
            if 2 * may_share * (1 + ROUNDING) < worst * (question.whole + may_share):
                break
            fit = self._fit(question, self._at(place))
            found.append(fit)
            heappush(leading, fit.score)
            if len(leading) > most:
                heappop(leading)
            if len(leading) == most:
                worst = max(least, leading[0])
        self.looked_at += len(found)
        return sorted((fit for fit in found if fit.score >= worst and fit.score > 0), key=lambda fit: -fit.score)

    def fit(self, seen: str, shown: str) -> float:
        """Say how well one line fits another one, whether it is a case's or not."""
        question = _Question(self, shown)
        together = math.fsum(question.weights[name] for name in features(seen) if name in question.weights)
        rest = math.fsum(self.weight(name, asked=False) for name in features(seen) if name not in question.weights)
        return question.score(together, rest)

    def known(self, weights: Mapping[str, float]) -> dict[_Feature, float]:
        """Give the weights of those features that cases have."""
        found = ((self._features.get(name), weight) for name, weight in weights.items())
        return {feature: weight for feature, weight in found if feature is not None}

    def weight(self, name: str, *, asked: bool) -> float:
        """Say what a feature weighs; a line that was ``asked`` about counts as one more case that has its features."""
        feature = self._features.get(name)
        return self._weigh(len(feature.places), feature.agreeing, asked) if feature else self._weigh(0, 0, asked)

    def _weigh(self, having: int, agreeing: int, asked: bool) -> float:
        known = self._weights.get((having, agreeing, asked))
        if known is not None:
            return known
        number = len(self)
        # As if one of five pairs more had agreed: chance is never nothing.
        chance = (self._agreeing + 1) / (number * (number - 1) / 2 + 5)
        rarity = max(math.log((number + 2) / (having + asked + 0.5)), 0.0)
        lift = (agreeing + PRIOR * (1 + rarity)) / (chance * having * (having - 1) / 2 + PRIOR)
        weight = self._weights[having, agreeing, asked] = max(math.log(lift), LEAST)
        return weight

    def _shared(self, question: _Question) -> tuple[list[float], float]:
        """Add up what each place shares with a line, and what the features weigh that are left out as telling nothing.

        Most cases have some of these, so that most of the work would be theirs.
        """
        shared = [0.0] * len(self._entries)
        light = 0.0
        for feature, weight in question.known.items():
            if weight <= LEAST:
                light += weight
            else:
                for place in feature.places:
                    shared[place] += weight
        return shared, light

    def _promising(self, shared: list[float]) -> Iterator[tuple[float, int]]:
        """Give places by what they share, the most first; last those that share nothing but what was left out."""
        yield from sorted(((weight, place) for place, weight in enumerate(shared) if weight), reverse=True)
        yield from ((0.0, place) for place, weight in enumerate(shared) if not weight and self._entries[place])

    def _at(self, place: int) -> _Entry:
        entry = self._entries[place]
        assert entry is not None  # noqa: S101 - only places that are taken are listed
        return entry

    def _changed(self) -> None:
        self._state += 1
        self._weights.clear()
        self._answers = {}

    def _fit(self, question: _Question, entry: _Entry) -> Fit:
        known, state = question.known, self._state
        together, rest = [], []
        for feature in entry.features:
            if feature in known:
                together.append(known[feature])
                continue
            if feature.weighed != state:
                feature.weight = self._weigh(len(feature.places), feature.agreeing, False)
                feature.weighed = state
            rest.append(feature.weight)
        return Fit(question.score(math.fsum(together), math.fsum(rest)), entry.key)


class _Question:
    """One line, asked of an index: what its features weigh, by their names and, where cases have them, as features."""

    def __init__(self, index: Index, shown: str) -> None:
        self.weights = {name: index.weight(name, asked=True) for name in features(shown)}
        self.known = index.known(self.weights)
        self.whole = math.fsum(self.weights.values())

    def score(self, together: float, rest: float) -> float:
        """Say how well a case fits that shares features of some weight, and whose others weigh the rest."""
        whole = self.whole + together + rest
        return 2 * together / whole if whole else 1.0
