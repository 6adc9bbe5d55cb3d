"""Probes: sequences made from a seed, in which nothing but memory helps.

A thing bears a mark, a nonsense word, and the mark stands for one of four goods. Each sequence draws marks and
goods of its own, so that no model knows them from its training: without a memory, one prediction in four is right.

============  ===================================  =======================================
probe         marks                                what a mark stands for
============  ===================================  =======================================
probe-recall  two, then a new one each third step  stays
probe-drift   six                                  changes for every mark at half time
probe-noise   six                                  stays, but one outcome in five is wrong
============  ===================================  =======================================

The best that can be expected of a perfect memory:

- probe-recall: 1/4 where a mark is new, and 1 elsewhere; 0.72 over 40 steps, 0.69 over 12.
- probe-drift: one error, or little more, for each mark in either half.
- probe-noise: 0.8. Predictions are scored, like all others, against the outcome that is revealed. Where that one is
  wrong nobody can know it, so that even who knows every mark is right at four steps in five. More than that over many
  steps is luck, or a leak.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Many
from functools import partial

from llm_as_rnn.core.records import Observation, SequenceInfo
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence, Split, Step

LABELS = ("tea", "rice", "coal", "silk")
"""What a mark may stand for."""

THINGS = ("a box", "a crate", "a jar", "a parcel")
"""What bears the mark; it means nothing."""

NEW_EVERY = 3
"""In `probe-recall`, one step in so many brings a new mark."""

MOST_MARKS = 6
"""Marks of a sequence with drift or noise."""

STEPS_A_MARK = 6
"""A sequence of fewer steps than this for each mark has fewer marks: each comes back on both sides of a change."""

NOISE_EVERY = 5
"""In `probe-noise`, one outcome in so many is wrong."""

# The splits have no mark in common, because theirs begin with different letters. The endings are rare in English, so
# that hardly a mark is a word.
_STARTS: dict[Split, str] = {"development": "bdgklrv", "held_out": "fhmnpst"}
_VOWELS, _INNER, _ENDS = "aeiou", "bfgklmnprstvz", "bfgkx"
_SHORT_WORDS = 1000  # of the 11,375 that two syllables give; later ones are longer, so that they never run out

Order = Callable[[int, Split, random.Random], Iterator[str]]
"""From a number of steps, the split and a stream of chance: the mark of each step."""

Outcomes = Callable[[Many[str], random.Random], Iterator[str]]
"""From the mark of each step and a stream of chance: the outcome of each step."""


def growing_marks(steps: int, split: Split, rng: random.Random) -> Iterator[str]:
    """Give two new marks, and then a new one every `NEW_EVERY` steps; in between, an old one comes back.

    It is never the one of the step before, so that to repeat the last outcome is no way to be right. A longer sequence
    goes on where a shorter one of the same seed ends.

    >>> " ".join(growing_marks(7, "development", random.Random("an example")))
    'kafuk vulog kafuk gatuk vulog kafuk lavib'
    """
    words, known, last = _words(split, rng), list[str](), ""
    for t in range(steps):
        if t % NEW_EVERY == 0 or t == 1:
            known.append(next(words))
            last = known[-1]
        else:
            last = rng.choice([word for word in known if word != last])
        yield last


def few_marks(steps: int, split: Split, rng: random.Random) -> Iterator[str]:
    """Give the same few marks again and again, all of them in each round, and each round in an order of its own."""
    words = list(itertools.islice(_words(split, rng), max(2, min(MOST_MARKS, steps // STEPS_A_MARK))))
    rounds = (rng.sample(words, len(words)) for _ in itertools.count())
    return itertools.islice(itertools.chain.from_iterable(rounds), steps)


def lasting(marks: Many[str], rng: random.Random) -> Iterator[str]:
    """Draw what each mark stands for, each apart from the others; it stays so."""
    goods = {mark: rng.choice(LABELS) for mark in dict.fromkeys(marks)}
    return (goods[mark] for mark in marks)


def changing(marks: Many[str], rng: random.Random) -> Iterator[str]:
    """Change what every single mark stands for when half of the steps, rounded down, are over."""
    before = after = _even(marks, rng)
    while any(after[mark] == good for mark, good in before.items()):
        after = _even(marks, rng)
    return ((before if t < len(marks) // 2 else after)[mark] for t, mark in enumerate(marks))


def noisy(marks: Many[str], rng: random.Random) -> Iterator[str]:
    """Give what a mark stands for, but other goods at one step, drawn anew, of every `NOISE_EVERY` ones."""
    goods = _even(marks, rng)
    wrong = 0
    for t, mark in enumerate(marks):
        if t % NOISE_EVERY == 0:
            wrong = t + rng.randrange(NOISE_EVERY)
        others = [label for label in LABELS if label != goods[mark]]
        yield rng.choice(others) if t == wrong else goods[mark]


def load(probe: str, order: Order, outcomes: Outcomes, selection: Selection) -> list[Sequence]:
    """Make sequences. Each depends on the probe, the split, the seed and its own number alone."""
    return [_sequence(probe, order, outcomes, selection, number) for number in range(selection.sequences)]


def _sequence(probe: str, order: Order, outcomes: Outcomes, selection: Selection, number: int) -> Sequence:
    name = f"{selection.split}-{selection.seed}-{number}"

    # A stream for each purpose: nothing that is drawn for outcomes can have a trace in what is shown. Seeded by texts,
    # which, unlike hashes, are the same in every process.
    def stream(purpose: str) -> random.Random:
        return random.Random(f"{probe} {name} {purpose}")  # noqa: S311 - repeatable data, not a secret

    marks = list(order(selection.steps, selection.split, stream("marks")))
    things = stream("things").choices(THINGS, k=selection.steps)
    goods = outcomes(marks, stream("outcomes"))
    steps = (
        Step(Observation(name, t, {"thing": thing, "mark": mark}), {"content": good})
        for t, (thing, mark, good) in enumerate(zip(things, marks, goods, strict=True))
    )
    return Sequence(SequenceInfo(name), tuple(steps))


def _words(split: Split, rng: random.Random) -> Iterator[str]:
    """Give nonsense words that can be spoken, no two alike, without end."""
    # No first syllable comes twice before all have come once: marks are to be remembered, not to be told apart.
    firsts = ["".join(pair) for pair in itertools.product(_STARTS[split], _VOWELS)]
    rng.shuffle(firsts)
    seen: set[str] = set()
    while True:
        inner = (rng.choice(_INNER) + rng.choice(_VOWELS) for _ in range(1 + len(seen) // _SHORT_WORDS))
        word = "".join((firsts[len(seen) % len(firsts)], *inner, rng.choice(_ENDS)))
        if word not in seen:
            seen.add(word)
            yield word


def _even(marks: Many[str], rng: random.Random) -> dict[str, str]:
    """Draw what each mark stands for, all goods as often as can be: few marks could by luck be of one kind.

    The price: for a new mark, goods that no other mark stands for yet is a better guess than chance.
    """
    different = list(dict.fromkeys(marks))
    labels = itertools.cycle(rng.sample(LABELS, len(LABELS)))
    return dict(zip(rng.sample(different, len(different)), labels, strict=False))


def _probe(name: str, title: str, size: str, order: Order, outcomes: Outcomes) -> Dataset:
    return Dataset(
        name=name,
        title=title,
        source="made from a seed",
        licence="Apache-2.0, as this package",
        predicts="the goods that a mark stands for (label)",
        size=size,
        load=partial(load, name, order, outcomes),
        ready=lambda: "",
        sequences=4,
        steps=60,
        quick_steps=24,
    )


RECALL = _probe(
    "probe-recall",
    "What each mark stands for, with ever more marks",
    "any; a new mark every third step",
    growing_marks,
    lasting,
)
DRIFT = _probe(
    "probe-drift",
    "What each mark stands for, which changes at half time",
    "any; six marks from 36 steps on",
    few_marks,
    changing,
)
NOISE = _probe(
    "probe-noise",
    "What each mark stands for, one outcome in five wrong: best possible accuracy about 0.8",
    "any; six marks from 36 steps on",
    few_marks,
    noisy,
)
