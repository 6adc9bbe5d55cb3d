"""Pinned notes: those that a person wants to stand in a memory, whatever a rule makes of it.

No rule knows of them. What any of them proposes, and what the watch goes back to, passes through `held` before it can
be accepted: there the notes that are missing are put back, and others make room for them.
"""

from __future__ import annotations

from collections.abc import Iterable

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.method import Calls
from llm_as_rnn.core.records import Memory, Section
from llm_as_rnn.recurrence.budget import Sections
from llm_as_rnn.recurrence.notes import Ledger
from llm_as_rnn.recurrence.rules.base import Itemised, Proposal
from llm_as_rnn.recurrence.writing import length


def held(items: Itemised, before: Memory, proposal: Proposal, ledger: Ledger, now: int) -> Calls[Proposal]:
    """Put the pinned notes back that a proposal lacks, and let others go until the rest fits: old ones before new ones.

    Parameters
    ----------
    items : Itemised
        How notes are let go.
    before : Memory
        h_{t-1}, which holds all that is pinned.
    proposal : Proposal
        What is to take its place.
    ledger : mapping
        Credits.
    now : int
        The clock that notes age by.

    Returns
    -------
    Proposal
        The same where nothing was missing. It may be over the budget where even the pinned notes alone would be.
    """
    if proposal.sections is None or not before.pins:
        return proposal
    whole = with_pins(proposal.sections, before, items.unknown)
    if whole == proposal.sections:
        return proposal
    old = set(_notes(before.sections))
    new = (note for note in _notes(proposal.sections) if note not in old)
    left, tokens, _ = yield from items.lighter(whole, ledger, now, (*before.pins, *new))
    left, tokens, _ = yield from items.lighter(left, ledger, now, before.pins)
    return proposal._replace(sections=left, tokens=tokens)


def with_pins(sections: Sections, memory: Memory, unknown: str) -> Sections:
    """Put the pinned notes of a memory back into sections that lack them, each where it stood.

    Parameters
    ----------
    sections : tuple of Section
        The same sections as the memory's, with other notes.
    memory : Memory
        Where they are pinned.
    unknown : str
        What stands for a section without notes; it goes where a note comes.

    Examples
    --------
    >>> memory = Memory((Section("Patterns", ("rain -> sun", "fog -> rain")),), pinned=("fog -> rain",))
    >>> with_pins((Section("Patterns", ("sun -> sun", "sun -> fog")),), memory, "nothing")[0].items
    ('sun -> sun', 'fog -> rain', 'sun -> fog')
    """
    whole = []
    for section, stood in zip(sections, memory.sections, strict=True):
        items = list(section.items)
        missing = [note for note in stood.items if note in memory.pins and note not in items]
        if missing:
            items = [note for note in items if note != unknown]
        for note in missing:
            items.insert(stood.items.index(note), note)  # at the end, if there are fewer now
        whole.append(Section(section.name, tuple(items)) if missing else section)
    return tuple(whole)


def require_room_for(pins: Iterable[str], sections: Sections, budget: int) -> Calls[None]:
    """Refuse pins that would leave a rule too little to write in.

    Raises
    ------
    UsageError
        If they alone take more than half the budget.
    """
    wanted = set(pins)
    alone = tuple(Section(part.name, tuple(note for note in part.items if note in wanted)) for part in sections)
    tokens = yield from length(alone)
    if tokens > budget // 2:
        raise UsageError(
            f"with this one the pinned notes hold {tokens} tokens, more than half of the budget of {budget}",
            "unpin another note first, or edit this one to be shorter",
        )


def _notes(sections: Sections) -> list[str]:
    return [note for section in sections for note in section.items]
