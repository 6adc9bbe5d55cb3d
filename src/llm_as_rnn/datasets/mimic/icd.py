"""Diagnoses compared by their categories in the classification: deterministic, and without a judge.

A title of the classification is looked up; any other text is taken for the title that its words fit best. Two
diagnoses are the same if they share a category (three characters of the code, such as I50, heart failure) in the
edition that the outcome was coded in. A text that fits no title well is of no category, and wrong.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Literal, NamedTuple, get_args

from llm_as_rnn.core.extras import Extra, Metric, Score
from llm_as_rnn.core.fields import Ranked, entries
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.records import Value
from llm_as_rnn.datasets.mimic.words import words

Level = Literal["icd", "ccsr"]
"""What must be shared: the category, or one of the larger groups that a CCSR table puts the code into."""

LEVELS: tuple[Level, ...] = get_args(Level)

CLOSE = 0.55
"""How alike a text and a title must be, from 0 to 1: the cosine of their words, rare ones weighing more."""

_WORD = re.compile(r"[a-z]+|\d+")
_EMPTY = frozenset(
    _WORD.findall("a an and as at by for from in is nec no nos not of on or other otherwise specified stated the to")
) | {"unspecified"}


class Term(NamedTuple):
    """A title, the edition and category that it stands for, and the larger groups that its code belongs to."""

    edition: str
    category: str
    title: str
    groups: tuple[str, ...] = ()

    def keys(self, level: Level) -> frozenset[str]:
        """Give what must be shared; categories of two editions are never the same."""
        return frozenset(self.groups) if level == "ccsr" else frozenset({f"{self.edition} {self.category}"})


class Coding:
    """Titles of one classification in one or more editions, and what texts stand for in them.

    Parameters
    ----------
    terms : iterable of Term
        Every title that an outcome may have; more of them make answers easier to place.

    Examples
    --------
    >>> coding = Coding([Term("ICD-10", "I50", "Heart failure, unspecified"), Term("ICD-10", "J18", "Pneumonia")])
    >>> sorted(coding.answer("CHF", "icd"))
    ['ICD-10 I50']
    >>> sorted(coding.answer("broken leg", "icd"))
    []
    """

    def __init__(self, terms: Iterable[Term]) -> None:
        self._exact: dict[str, list[Term]] = defaultdict(list)
        editions: dict[str, list[Term]] = defaultdict(list)
        for term in terms:
            self._exact[fold(term.title)].append(term)
            editions[term.edition].append(term)
        self._titles = [_Titles(of_one) for of_one in editions.values()]
        self._placed: dict[str, tuple[Term, ...]] = {}

    def outcome(self, title: str, level: Level) -> frozenset[str]:
        """Give what a title stands for; nothing where it is none."""
        return frozenset().union(*(term.keys(level) for term in self._exact.get(fold(title), ())))

    def answer(self, text: str, level: Level) -> frozenset[str]:
        """Give what a text stands for, in every edition: that of the title that it fits best."""
        key = fold(text)
        if key not in self._placed:
            exact = self._exact.get(key, [])
            here = {term.edition for term in exact}
            near = (titles.nearest(text) for titles in self._titles if titles.edition not in here)
            self._placed[key] = (*exact, *(term for term in near if term is not None))
        return frozenset().union(*(term.keys(level) for term in self._placed[key]))

    def scores(self, level: Level, top: int, answer: Value | None, outcome: Value) -> dict[str, float]:
        """Score a ranked answer, by the part of the metric's name after the field's; no answer is a wrong one.

        Outcomes of no known category are not scored: ``acc@1`` goes by the primary one, ``acc@k`` by all of them.
        """
        ours = [self.answer(text, level) for text in entries(answer)]
        true = [self.outcome(title, level) for title in entries(outcome)]
        every = frozenset[str]().union(*true)
        scores: dict[str, float] = {}
        if true and true[0]:
            scores[f"{level}.acc@1"] = float(bool(ours) and not ours[0].isdisjoint(true[0]))
        if every and top > 1:
            scores[f"{level}.acc@{top}"] = float(any(not keys.isdisjoint(every) for keys in ours[:top]))
        return scores


def scores(coding: Coding) -> dict[str, Score]:
    """Give the scores by category as functions of a ranked field, an answer and an outcome, by name."""

    def at(level: Level, field: Ranked, answer: Value | None, outcome: Value) -> dict[str, float]:
        return coding.scores(level, field.top, answer, outcome)

    return {level: partial(at, level) for level in LEVELS}


def _metrics(level: Level, what: str, field: Ranked) -> tuple[Metric, ...]:
    ways = {1: "whose first answer is of the primary outcome's", field.top: "with any answer of any outcome's"}
    names = {top: f"{field.name}.{level}.acc@{top}" for top in ways}
    return tuple(
        Metric(names[top], names[top], f"{level.upper()} acc@{top}", field.name, f"share of steps {way} {what}")
        for top, way in ways.items()
    )


BY_CATEGORY = (
    Extra("icd", "ranked", partial(_metrics, "icd", "ICD category (three characters)")),
    Extra("ccsr", "ranked", partial(_metrics, "ccsr", "CCSR category")),
)
"""What a ranked list of diagnoses may ask for; which category a text is of stands in the user's own folder."""


class _Titles:
    """The titles of one edition, by their words."""

    def __init__(self, terms: list[Term]) -> None:
        self.edition = terms[0].edition
        self._terms = terms
        titles = [_words(term.title) for term in terms]
        counts = Counter(word for of_one in titles for word in of_one)
        self._weights = {word: math.log(1 + len(terms) / count) for word, count in counts.items()}
        self._unseen = math.log(1 + len(terms))
        self._lengths = [math.sqrt(sum(self._weights[word] ** 2 for word in of_one)) for of_one in titles]
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, of_one in enumerate(titles):
            for word in of_one:
                self._places[word].append(place)

    def nearest(self, text: str) -> Term | None:
        """Find the title that a text fits best; of several alike, the shortest, and then the first by code."""
        wanted = _words(text)
        length = math.sqrt(sum(self._weights.get(word, self._unseen) ** 2 for word in wanted))
        shared: dict[int, float] = defaultdict(float)
        # In one order: sums of floats depend on it in the last digit, and ties must stay ties.
        for word in sorted(wanted):
            for place in self._places.get(word, ()):
                shared[place] += self._weights[word] ** 2
        if not shared:
            return None

        def rank(place: int) -> tuple[float, int, str, str]:
            term = self._terms[place]
            alike = shared[place] / (length * self._lengths[place])
            return -round(alike, 9), len(term.title), term.category, term.title

        best = min(shared, key=rank)
        return self._terms[best] if -rank(best)[0] >= CLOSE else None


def _words(text: str) -> frozenset[str]:
    """Give the words of a text that mean something, abbreviations written out, one form for singular and plural."""
    known = words()
    found = (known.abbreviations.get(word, word).split() for word in _WORD.findall(text.casefold()))
    plain = (_singular(word) for several in found for word in several if word not in _EMPTY)
    return frozenset(known.same.get(word, word) for word in plain)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "is", "us")) else word  # noqa: PLR2004
