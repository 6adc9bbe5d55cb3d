"""The budget as an invariant: nothing longer than lambda tokens is ever accepted as a memory.

The model is asked in words to keep within it, its answer is capped, and what still comes out too long is made shorter
in the ways that the caller names, one of them another call (paper, appendix C). What is too long even then is trimmed
here, item by item and sentence by sentence, by the same rule every time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.method import Calls, count_tokens
from llm_as_rnn.core.records import Memory, Section, Why
from llm_as_rnn.core.task import Task
from llm_as_rnn.recurrence.memory import initial_memory

Sections = tuple[Section, ...]

Texts = Mapping[str, list[list[str]]]
"""The sentences of each item of each section."""

Way = Callable[[Sections, int], Calls[Sections | None]]
"""A way to make sections shorter that hold so many tokens; None where it does not."""


class Fitted(NamedTuple):
    """Sections that fit, their length in tokens, and what it took to make them fit, in order; nothing, most often."""

    sections: Sections
    tokens: int
    ways: tuple[str, ...]

    @property
    def why(self) -> Why:
        """Say it as a reason: ``rewritten``, or the last resort that was taken, and what was done before."""
        *before, last = self.ways or ("rewritten",)
        return Why(last, f"after {' and '.join(before)}" if before else "")


def measured(memory: Memory) -> Calls[int]:
    """Give the length of a memory's text form in tokens, counted once."""
    if memory.tokens is not None:
        return memory.tokens
    return (yield from count_tokens(str(memory)))


def require_room(task: Task, budget: int) -> Calls[None]:
    """Refuse a budget that h_0 would already break.

    Raises
    ------
    UsageError
        If the first memory is longer than the budget.
    """
    tokens = yield from measured(initial_memory(task))
    if tokens > budget:
        raise UsageError(
            f"the first memory of task {task.name} alone holds {tokens} tokens, more than the budget of {budget}",
            f"use a budget of {tokens} or more",
        )


def fit(sections: Sections, budget: int, ways: Mapping[str, Way]) -> Calls[Fitted | None]:
    """Make sections fit the budget.

    Parameters
    ----------
    sections : tuple of Section
        What the model wrote.
    budget : int
        lambda, in tokens.
    ways : mapping of str to callable
        What may be done to make them shorter, in order, each under the word that says that it was; what is too long
        even then is trimmed.

    Returns
    -------
    Fitted or None
        None if not even the shortest version fits.
    """
    tokens = yield from _length(sections)
    done: list[str] = []
    for how, way in ways.items():
        if tokens <= budget:
            break
        shorter = yield from way(sections, tokens)
        size = tokens if shorter is None else (yield from _length(shorter))
        if shorter is not None and size < tokens:
            sections, tokens = shorter, size
            done.append(how)
    if tokens <= budget:
        return Fitted(sections, tokens, tuple(done))
    return (yield from _trim(sections, budget, (*done, "trimmed")))


def _trim(sections: Sections, budget: int, ways: tuple[str, ...]) -> Calls[Fitted | None]:
    """Find the longest version within the budget by bisection over ever shorter ones."""
    texts = {section.name: [_sentences(item) for item in section.items] for section in sections}
    order = _order_of_cuts(texts)
    low, high = 1, len(order) - 1  # without its last sentence it would be none
    best: Fitted | None = None
    while low <= high:
        middle = (low + high) // 2
        shorter = _without_last(texts, Counter(order[:middle]))
        tokens = yield from _length(shorter)
        if tokens <= budget:
            best = Fitted(shorter, tokens, ways)
            high = middle - 1
        else:
            low = middle + 1
    return best


def _order_of_cuts(texts: Texts) -> list[str]:
    """List the sections that lose a sentence, in order: the longest loses its last one, again and again.

    A model writes what matters first, and an edit at the end leaves most of the prefix cache alone. The longest
    section gives way so that no section is lost while another one rambles.
    """
    left = {name: [len(sentence) for item in items for sentence in item] for name, items in texts.items()}
    size = {name: sum(lengths) for name, lengths in left.items()}
    order = []
    while any(left.values()):
        longest = max((name for name in left if left[name]), key=lambda name: size[name])
        size[longest] -= left[longest].pop()
        order.append(longest)
    return order


def _without_last(texts: Texts, cuts: Counter[str]) -> Sections:
    """Give the sections without so many of their last sentences."""
    sections = []
    for name, items in texts.items():
        kept = sum(map(len, items)) - cuts[name]
        whole = []
        for item in items:
            if kept > 0:
                whole.append(" ".join(item[:kept]))
            kept -= len(item)
        sections.append(Section(name, tuple(whole)))
    return tuple(sections)


def _sentences(item: str) -> list[str]:
    return re.split(r"(?<=[.!?;\u3002])\s+", item)


def _length(sections: Sections) -> Calls[int]:
    return (yield from count_tokens(str(Memory(sections))))
