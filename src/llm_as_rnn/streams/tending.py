"""What a person does with a stream's memory beside restoring a version (`online.restore`): edit it, pin a note.

Both are computations on the stream's value, as those in `online` are, and predictions go on waiting. A replay never
goes back behind them, which would undo them: an outcome of an earlier step that comes later is learned into the memory
that the person left.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many

import msgspec
from msgspec import UNSET

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.hygiene import steers, tidy_item
from llm_as_rnn.core.method import Calls, Method, count_tokens
from llm_as_rnn.core.records import Memory, Section
from llm_as_rnn.recurrence.pins import require_room_for
from llm_as_rnn.streams.online import Stream, kept_memory, stand_in, with_text
from llm_as_rnn.streams.settings import LIMITS, Limits

EXCERPT = 80
"""Characters of a note that an error quotes."""


def edit(
    method: Method,
    stream: Stream,
    sections: Mapping[str, Many[str]],
    budget: int,
    *,
    author: str = "",
    limits: Limits = LIMITS,
) -> Calls[Stream]:
    """Put what a person wrote into the memory, as a new version.

    Notes are taken as they are written, or refused; nobody words them anew.

    Parameters
    ----------
    method : Method
        Whose memory it is.
    stream : Stream
        Where it belongs.
    sections : mapping of str to sequence of str
        All notes of each section that is to be another; the sections that are not named stay as they are. No notes say
        that nothing is known.
    budget : int
        The most tokens that a memory may hold.
    author : str
        Who wrote it.
    limits : Limits
        How many versions are kept.

    Returns
    -------
    Stream
        The same where nothing was changed.

    Raises
    ------
    UsageError
        If the method keeps no memory; if a section is none of the task's; if a note cannot stand as it is written,
        reads as an order to the model, or is there twice; if a pinned note is left out; or if all is over the budget.
    """
    present = kept_memory(method, stream)
    edited = _edited(present, sections, stand_in(method))
    if edited == present.sections:
        return stream
    tokens = yield from count_tokens(str(Memory(edited)))
    if tokens > budget:
        raise UsageError(
            f"the memory would hold {tokens} tokens, more than the budget of {budget}", "write less, or drop a note"
        )
    return with_text(method, stream, edited, tokens, "edited", author, limits)


def pin(method: Method, stream: Stream, note: str, budget: int, *, pinned: bool = True) -> Calls[Stream]:
    """Pin a note of the memory, so that no rule drops, merges or changes it; or let it go again.

    The text of the memory stays as it is, and so does its version.

    Parameters
    ----------
    method : Method
        Whose memory it is.
    stream : Stream
        Where it belongs.
    note : str
        The note, word for word.
    budget : int
        The most tokens that a memory may hold: pinned notes may take half of them.
    pinned : bool
        Whether it is to stay.

    Returns
    -------
    Stream
        The same where that was so already.

    Raises
    ------
    UsageError
        If the method keeps no memory, or heeds no pins; if there is no such note; or if all that is pinned would take
        more than half the budget.
    """
    present = kept_memory(method, stream)
    if not method.keeps_pins:
        raise UsageError(f"the method {method.name} heeds no pins", "notes are pinned with recurrent, or advised")
    if (note in present.pins) == pinned:
        return stream
    there = {other for section in present.sections for other in section.items} - {stand_in(method)}
    if note not in there:
        raise UsageError(f"the memory has no note {_quoted(note)}", "name one word for word as it stands there")
    if pinned:
        pins = (*present.pins, note)
        yield from require_room_for(pins, present.sections, budget)
    else:
        pins = tuple(other for other in present.pins if other != note)
    memory = msgspec.structs.replace(present, pinned=pins or UNSET)
    versions = tuple(
        msgspec.structs.replace(entry, memory=memory) if entry.memory == present else entry for entry in stream.versions
    )
    state = method.with_memory(stream.state, memory)
    return msgspec.structs.replace(stream, state=state, lessons=(), versions=versions, floor=0)


def _edited(present: Memory, given: Mapping[str, Many[str]], unknown: str) -> tuple[Section, ...]:
    """Check what a person wrote, and give all sections with it."""
    names = [section.name for section in present.sections]
    strange = [name for name in given if name not in names]
    if strange:
        raise UsageError(f"the memory has no section {_quoted(strange[0])}", f"its sections are {', '.join(names)}")
    nothing = (unknown,) if unknown else ()
    edited = []
    for section in present.sections:
        notes = given.get(section.name, section.items)
        if isinstance(notes, str) or not all(isinstance(note, str) for note in notes):
            raise UsageError(f"the notes of {section.name} are no list of texts", "give a list, a text for each note")
        notes = tuple(note for note in notes if not unknown or fold(note) != fold(unknown)) or nothing
        gone = [note for note in section.items if note in present.pins and note not in notes]
        if gone:
            raise UsageError(f"the note {_quoted(gone[0])} is pinned, and was left out or changed", "unpin it first")
        for place, note in enumerate(notes):
            if note not in section.items:
                _require_fit(note)
            if note in notes[:place]:
                raise UsageError(f"the note {_quoted(note)} is there twice", f"write it once in {section.name}")
        # What stood for no notes may be none at all: a section that nobody touched is not another one by that.
        edited.append(section if not section.items and notes == nothing else Section(section.name, notes))
    return tuple(edited)


def _require_fit(note: str) -> None:
    """Refuse a note that could not stand in a memory as it is written."""
    fit = tidy_item(note)
    if not fit:
        raise UsageError(f"the note {_quoted(note)} is empty", "write something, or leave it out")
    if fit != note:
        why = "it is no plain line, or begins with the mark of a list or a heading"
        raise UsageError(f"the note {_quoted(note)} cannot stand as it is written: {why}", f"write {_quoted(fit)}")
    if steers(note):
        raise UsageError(
            f"the note {_quoted(note)} reads as an order to the model ({steers(note)})",
            "say what was seen, and what came",
        )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= EXCERPT else text[:EXCERPT] + "...")
