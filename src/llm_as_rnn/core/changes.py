"""What changed from one memory to the next: items added, removed and edited, down to the word.

Items have no names of their own in a memory. They get a number here that stays theirs through edits, so that a reader
can follow one item from the step that brought it to the step that dropped it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from llm_as_rnn.core.alignment import can_be_lined_up
from llm_as_rnn.core.records import Memory, Record

Mark = Literal["=", "+", "-", "~"]
"""Unchanged, added, removed; ``~`` is an edited item."""

SIMILAR = 0.6
"""The share of words that two texts must have in common to be one item, edited."""

_TOKEN = re.compile(r"\s+|\w+(?:[.,:'-]\w+)*|[^\w\s]")


class Span(NamedTuple):
    """A stretch of an edited item: in both versions (``=``), in the old one (``-``) or in the new one (``+``)."""

    mark: Mark
    text: str


class Item(Record, frozen=True):
    """One item of a memory as an update left it.

    Attributes
    ----------
    id : int
        Its number in the sequence, from 1; the same for as long as it lives.
    since : int or None
        The step whose update brought it; None for what the first memory held.
    mark : str
        What the update did to it.
    text : str
        Its text; the new one if it was edited.
    spans : tuple of Span
        How an edited item changed, in order.
    """

    id: int
    since: int | None
    mark: Mark
    text: str
    spans: tuple[Span, ...] = ()


class _Known(NamedTuple):
    id: int
    since: int | None
    text: str


class MemoryDiff:
    """Follows the items of one sequence's memory from step to step.

    Examples
    --------
    >>> from llm_as_rnn.core.records import Section
    >>> diff = MemoryDiff()
    >>> before = Memory((Section("Patterns", ("rain follows rain (1 of 2)", "fog is rare")),))
    >>> after = Memory((Section("Patterns", ("rain follows rain (2 of 3)",)),))
    >>> [(item.id, item.mark, item.text) for item in diff.step(0, before, after)["Patterns"]]
    [(1, '~', 'rain follows rain (2 of 3)'), (2, '-', 'fog is rare')]
    """

    def __init__(self) -> None:
        self._known: dict[str, list[_Known]] = {}
        self._last_id = 0

    def step(self, t: int | None, before: Memory | None, after: Memory | None) -> dict[str, list[Item]]:
        """Compare the memory before and after the update of step t.

        Parameters
        ----------
        t : int or None
            The timestep; None where something else than a step changed it.
        before, after : Memory or None
            h_{t-1} and h_t; None is an empty memory.

        Returns
        -------
        dict of str to list of Item
            Items by section: those of ``after`` in its order, removed ones where they stood.
        """
        # Nothing to do where the last step's h_t is this one's h_{t-1}; at the first step, and after a gap in the
        # journal, this gives the items their numbers.
        self._advance(None, before)
        return self._advance(t, after)

    def _advance(self, t: int | None, memory: Memory | None) -> dict[str, list[Item]]:
        texts = {section.name: section.items for section in memory.sections} if memory else {}
        names = dict.fromkeys([*texts, *self._known])
        shown = {name: self._section(t, self._known.get(name, []), texts.get(name, ())) for name in names}
        self._known = {
            name: [_Known(item.id, item.since, item.text) for item in shown[name] if item.mark != "-"] for name in texts
        }
        return shown

    def _section(self, t: int | None, known: Sequence[_Known], texts: Sequence[str]) -> list[Item]:
        items: list[Item] = []
        for old, new in align([item.text for item in known], texts):
            if old is None and new is not None:
                self._last_id += 1
                items.append(Item(self._last_id, t, "+", texts[new]))
            elif old is not None and new is None:
                items.append(Item(known[old].id, known[old].since, "-", known[old].text))
            elif old is not None and new is not None:
                was, text = known[old], texts[new]
                edited = was.text != text
                spans = word_diff(was.text, text) if edited else ()
                items.append(Item(was.id, was.since, "~" if edited else "=", text, spans))
        return items


def align(before: Sequence[str], after: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Pair the items of two versions of a list: equal ones first, then the most similar ones.

    Returns
    -------
    list of (int or None, int or None)
        Index before and index after. New items are in the order of ``after``; a removed one follows what it followed.

    Examples
    --------
    >>> align(["fog is rare", "rain follows rain"], ["rain follows rain", "sun in July"])
    [(0, None), (1, 0), (None, 1)]
    """
    old_of = _equal_pairs(before, after)
    free_old = sorted(set(range(len(before))) - set(old_of.values()))
    free_new = [new for new in range(len(after)) if new not in old_of]
    words_old = {old: set(before[old].casefold().split()) for old in free_old}
    words_new = {new: set(after[new].casefold().split()) for new in free_new}
    candidates = [(_common(words_old[old], words_new[new]), old, new) for old in free_old for new in free_new]
    for share, old, new in sorted(candidates, key=lambda pair: (-pair[0], pair[1:])):
        if share >= SIMILAR and old in words_old and new in words_new:
            old_of[new] = old
            del words_old[old], words_new[new]
    return _in_order(len(before), len(after), old_of)


def word_diff(old: str, new: str) -> tuple[Span, ...]:
    """Tell how a text changed, word by word; of very long ones, that the one took the place of the other.

    Examples
    --------
    >>> [(span.mark, span.text) for span in word_diff("right 7 of 9", "right 8 of 10")]
    [('=', 'right '), ('-', '7'), ('+', '8'), ('=', ' of '), ('-', '9'), ('+', '10')]
    """
    a, b = _TOKEN.findall(old), _TOKEN.findall(new)
    if not can_be_lined_up(a, b):
        return tuple(_changes(old, new))
    spans: list[Span] = []
    removed = added = ""
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        same = "".join(a[i:j])
        # A lone space between two changes would only break them up.
        if tag == "equal" and (same.strip() or not (removed or added) or j == len(a) or m == len(b)):
            spans += _changes(removed, added)
            spans.append(Span("=", same))
            removed = added = ""
        else:
            removed += same
            added += "".join(b[k:m])
    return (*spans, *_changes(removed, added))


def _changes(removed: str, added: str) -> list[Span]:
    marked: list[Span] = [Span("-", removed), Span("+", added)]
    return [span for span in marked if span.text]


def _equal_pairs(before: Sequence[str], after: Sequence[str]) -> dict[int, int]:
    """Pair equal texts, each once: index before, by index after."""
    places: dict[str, list[int]] = {}
    for old, text in enumerate(before):
        places.setdefault(text, []).append(old)
    pairs: dict[int, int] = {}
    for new, text in enumerate(after):
        if places.get(text):
            pairs[new] = places[text].pop(0)
    return pairs


def _common(a: set[str], b: set[str]) -> float:
    """Give the share of common words (Dice's coefficient): unlike an alignment, it is quick for every pair."""
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 0.0


def _in_order(before: int, after: int, old_of: dict[int, int]) -> list[tuple[int | None, int | None]]:
    new_of = {old: new for new, old in old_of.items()}
    removed_behind: dict[int, list[int]] = {}
    place = -1
    for old in range(before):
        if old in new_of:
            place = new_of[old]
        else:
            removed_behind.setdefault(place, []).append(old)
    order: list[tuple[int | None, int | None]] = [(old, None) for old in removed_behind.get(-1, [])]
    for new in range(after):
        order.append((old_of.get(new), new))
        order.extend((old, None) for old in removed_behind.get(new, []))
    return order
