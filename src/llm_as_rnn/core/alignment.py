"""Texts as words, and two lists of words lined up: what both say in the same order, in a time that does not run away.

What `difflib` takes grows with the pairs of equal words in two lists, and with their lengths: two lines of 40,000 times
the same word keep it busy for hours. Lists that would take it long are not lined up at all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import takewhile

from llm_as_rnn.core.kept import Kept

MOST_WORDS = 1_000
"""Words of the longest list that is lined up with another."""

MOST_PAIRS = 20_000
"""Pairs of equal words, one from each list: two texts of a thousand ordinary words have fewer."""

MOST_KEPT = 2_000_000
"""Characters of all texts together whose words are kept."""

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")
"""A word or a mark; signs of Chinese and Japanese are words of their own."""


def tokens(text: str) -> tuple[str, ...]:
    """Split a text into words and marks, in small letters; signs of Chinese and Japanese are words of their own.

    >>> tokens("What is like < ship > ?")
    ('what', 'is', 'like', '<', 'ship', '>', '?')
    """
    return _split_before(text)


def _split(text: str) -> tuple[str, ...]:
    return tuple(WORD.findall(text.casefold()))


_split_before = Kept(_split, characters=MOST_KEPT)


def beginning_of(texts: Sequence[str]) -> str:
    """Give what all of some texts begin with: what the first and the last in the alphabet's order do.

    >>> beginning_of(["card lost", "card late", "card limit"])
    'card l'
    """
    pairs = zip(min(texts), max(texts), strict=False)
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def can_be_lined_up(one: Sequence[str], other: Sequence[str]) -> bool:
    """Tell whether lining up two lists of words is a matter of moments.

    >>> can_be_lined_up(["rain"] * 3, ["rain"] * 2), can_be_lined_up(["rain"] * 200, ["rain"] * 200)
    (True, False)
    """
    if max(len(one), len(other)) > MOST_WORDS:
        return False
    ones, others = Counter(one), Counter(other)
    return sum(number * others[word] for word, number in ones.items()) <= MOST_PAIRS


def shared_words(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """List the words that two lists have in common in the same order; of very long ones, in whatever order.

    >>> shared_words("what is like < ship > ?".split(), "what is like < flag > ?".split())
    ['what', 'is', 'like', '<', '>', '?']
    """
    if not can_be_lined_up(one, other):
        return list((Counter(one) & Counter(other)).elements())
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return [word for block in blocks for word in one[block.a : block.a + block.size]]


def overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Say which share of the words of two lists both have in the same order: 0 for none, 1 for the same.

    >>> overlap("what is like < ship > ?".split(), "what is like < flag > ?".split())
    0.8571428571428571
    """
    length = len(one) + len(other)
    return 2 * len(shared_words(one, other)) / length if length else 1.0
