"""A playbook: numbered notes that count how often each of them helped and harmed, changed by additions alone.

What stands in it is a `Memory`, whose text a person reads; numbers and counts are kept beside it, under a note's own
text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec

from llm_as_rnn.cases.case import parse
from llm_as_rnn.core.alignment import overlap, tokens
from llm_as_rnn.core.records import Form, Memory, Record, Section, SequenceInfo

SAME_NOTE = 0.9
"""How alike two notes must be for the later one to be a repetition; so it is in ACE's own program."""


class Tally(Record, frozen=True):
    """What is counted of a note.

    Attributes
    ----------
    number : int
        Its own, from 1; no other note ever gets it.
    helpful, harmful : int
        Steps that went by it, with an outcome that bore it out and with one that did not.
    """

    number: int
    helpful: int = 0
    harmful: int = 0

    def after(self, *, helped: bool) -> Tally:
        """Give the tally after one more step that went by the note."""
        return Tally(self.number, self.helpful + helped, self.harmful + (not helped))


class Addition(NamedTuple):
    """The one operation on a playbook: a new note for one of its sections."""

    section: str
    note: str


class PlaybookState(Record, frozen=True):
    """What the method carries from step to step.

    Attributes
    ----------
    sequence : SequenceInfo
        What is known of the sequence from the start.
    playbook : Memory
        The notes, by section.
    tallies : dict of str to Tally
        By a note's text.
    issued : int
        The highest number that a note ever had.
    """

    sequence: SequenceInfo
    playbook: Memory
    tallies: dict[str, Tally] = msgspec.field(default_factory=dict)
    issued: int = 0

    @property
    def notes(self) -> list[str]:
        """All notes, in the playbook's order."""
        return [note for section in self.playbook.sections for note in section.items]

    def numbered(self) -> PlaybookState:
        """Give the state with a tally of every note that there is, and of no other."""
        tallies, issued = dict[str, Tally](), self.issued
        for note in self.notes:
            if note not in self.tallies and note not in tallies:
                issued += 1
            tallies[note] = self.tallies.get(note) or tallies.get(note) or Tally(issued)
        return msgspec.structs.replace(self, tallies=tallies, issued=issued)

    def counted(self, used: Mapping[str, bool]) -> PlaybookState:
        """Give the state after a step that went by some notes, and whether the outcome bore each of them out."""
        state = self.numbered()
        after = {note: state.tallies[note].after(helped=helped) for note, helped in used.items()}
        return msgspec.structs.replace(state, tallies=state.tallies | after)

    def without(self, notes: Collection[str]) -> PlaybookState:
        """Give the state without some notes."""
        if not notes:
            return self
        sections = (
            Section(section.name, tuple(note for note in section.items if note not in notes))
            for section in self.playbook.sections
        )
        return msgspec.structs.replace(self, playbook=Memory(tuple(sections), self.playbook.version))

    def merged(self, additions: Iterable[Addition]) -> tuple[PlaybookState, list[str]]:
        """Merge additions in their order, and name the notes that are new: what is there is not added again."""
        notes, sections = self.notes, {section.name: list(section.items) for section in self.playbook.sections}
        new: list[str] = []
        for addition in additions:
            if not any(is_repetition(addition.note, note) for note in (*notes, *new)):
                sections[addition.section].append(addition.note)
                new.append(addition.note)
        playbook = Memory(tuple(Section(name, tuple(items)) for name, items in sections.items()), self.playbook.version)
        return msgspec.structs.replace(self, playbook=playbook).numbered(), new

    def worst_first(self, new: Collection[str] = ()) -> list[str]:
        """Give the notes in the order in which they go: what harmed most beyond what it helped, then the oldest.

        Those that are ``new`` go last: they had no chance to help yet.
        """
        tallies = self.numbered().tallies

        def order(note: str) -> tuple[bool, int, int]:
            tally = tallies[note]
            return note in new, tally.helpful - tally.harmful, tally.number

        return sorted(tallies, key=order)

    def text(self, form: Form) -> str:
        """Write the playbook as a model reads it: with numbers and counts where it is asked to name what it used."""
        if form == "line":
            return str(self.playbook)
        lines, tallies = list[str](), self.numbered().tallies
        for section in self.playbook.sections:
            lines.append(f"## {section.name}")
            for note in section.items:
                tally = tallies[note]
                lines.append(f"- [{tally.number}] {note} (helped {tally.helpful}, harmed {tally.harmful})")
        return "\n".join(lines)


def is_repetition(note: str, other: str) -> bool:
    """Tell whether a note says what another one says: nearly the same words, and of cases the same outcome.

    >>> is_repetition("Fog, wind 3 -> sun", "fog, wind 3 -> sun"), is_repetition("fog -> sun", "fog -> rain")
    (True, False)
    """
    one, two = parse(note), parse(other)
    return one.came == two.came and overlap(tokens(note), tokens(other)) >= SAME_NOTE
