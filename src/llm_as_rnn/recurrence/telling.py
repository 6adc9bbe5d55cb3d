"""Which words of a line tell its outcome: those whose cases had the same one.

Where "a box marked bovi" and "a box marked tarel" had different outcomes, a box says little about the next one. But a
memory holds few cases, and most words stand in one of them alone: so a word is judged also by the others that stand at
its place, which is after the same word. Here "a jar" and "a crate" are expected to say little too. At another place a
word is another one: "what" in "means what" tells more than in "what is".

After the value difference metric (Stanfill and Waltz 1986, https://doi.org/10.1145/7902.7906), in which a symbol weighs
as much as it tells of the class.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from llm_as_rnn.recurrence.blanks import tokens

UNPROVEN = 0.35
"""How often two cases that share a word are taken to have the same outcome where nothing is known of its place."""


class Pairs(NamedTuple):
    """Pairs of cases that share something.

    Attributes
    ----------
    number : int
        How many there are.
    same : int
        How many of them had the same outcome.
    """

    number: int = 0
    same: int = 0

    def rate(self, expected: float) -> float:
        """Give the share that had the same outcome; what was expected counts as one pair more.

        >>> Pairs().rate(0.4), Pairs(1, 1).rate(0.4), Pairs(3, 0).rate(0.4)
        (0.4, 0.7, 0.1)
        """
        return (self.same + expected) / (self.number + 1)

    def plus(self, other: Pairs) -> Pairs:
        """Take others in."""
        return Pairs(self.number + other.number, self.same + other.same)

    def minus(self, other: Pairs) -> Pairs:
        """Leave some out."""
        return Pairs(self.number - other.number, self.same - other.same)


class Telling:
    """How much the words of some cases tell.

    Parameters
    ----------
    cases : iterable of (str, str)
        What was seen and what came, case by case. Of what came the words count, if it has any: numbers hardly come
        twice.

    Examples
    --------
    >>> boxes = Telling([("a box marked bovi", "tea"), ("a box marked tarel", "coal"), ("a jar marked bovi", "tea")])
    >>> [boxes.rate(word, after) for word, after in (("ulo", "marked"), ("crate", "a"), ("a", ""))]
    [0.675, 0.175, 0.3375]
    """

    def __init__(self, cases: Iterable[tuple[str, str]]) -> None:
        outcomes: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for seen, came in cases:
            told = _told(came)
            for placed in set(in_places(seen)):
                outcomes[placed][told] += 1
        self._words = {placed: _pairs(counts) for placed, counts in outcomes.items()}
        self._places: defaultdict[str, Pairs] = defaultdict(Pairs)
        for (before, _), pairs in self._words.items():
            self._places[before] = self._places[before].plus(pairs)

    def rate(self, word: str, after: str) -> float:
        """Say how often two cases that share a word at its place may be expected to have the same outcome, 0 to 1.

        Parameters
        ----------
        word : str
            The word, as `blanks.tokens` gives it.
        after : str
            The word before it; empty at the beginning.
        """
        own = self._words.get((after, word), Pairs())
        others = self._places.get(after, Pairs()).minus(own)
        return own.rate(others.rate(UNPROVEN))


def in_places(line: str) -> Iterator[tuple[str, str]]:
    """Give each word of a line after the one before it.

    >>> list(in_places("a box"))
    [('', 'a'), ('a', 'box')]
    """
    return pairwise(("", *tokens(line)))


def _told(came: str) -> str:
    """Give the words of an outcome, or else all of it."""
    return " ".join(word for word in tokens(came) if any(map(str.isalpha, word))) or came


def _pairs(outcomes: Counter[str]) -> Pairs:
    return Pairs(_twos(outcomes.total()), sum(map(_twos, outcomes.values())))


def _twos(number: int) -> int:
    return number * (number - 1) // 2
