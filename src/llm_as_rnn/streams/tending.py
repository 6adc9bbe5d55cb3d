"""What a person does with a stream's memory: put an earlier version back, edit it, pin a note.

Both are computations on the stream's value, as those in `online` are, and predictions go on waiting. A replay never
goes back behind them, which would undo them: an outcome of an earlier step that comes later is learned into the memory
that the person left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many

import msgspec
from msgspec import UNSET

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.hygiene import steers, tidy_item
from llm_as_rnn.core.method import Calls, Method, count_tokens
from llm_as_rnn.core.records import Memory, Section, SequenceInfo
from llm_as_rnn.recurrence.pins import require_room_for, with_pins
from llm_as_rnn.streams.online import Stream, Version
from llm_as_rnn.streams.settings import LIMITS, Limits

EXCERPT = 80
"""Characters of a note that an error quotes."""


def restore(
    method: Method,
    stream: Stream,
    version: int,
    budget: int | None = None,
    tokens: int | None = None,
    limits: Limits = LIMITS,
    author: str = "",
) -> Stream:
    """Put the text of an earlier version of the memory back, as a new version.

    Nothing is lost: the history goes on with one more entry, under a number that no entry has. Predictions go on
    waiting. Exact figures that a state holds beside its memory (a scorecard, say) are facts, and stay as they are. So
    do the notes that are pinned now.

    A replay never goes back behind a restoration, which would undo it: an outcome of an earlier step that comes after
    it is learned into the restored memory.

    Parameters
    ----------
    method : Method
        Whose memory it is.
    stream : Stream
        Where it belongs.
    version : int
        The number of a version in the stream's history.
    budget : int, optional
        The most tokens that a memory may hold now; the budget may have been larger when the version was accepted.
    tokens : int, optional
        How many what `restorable` gives holds by the present tokenizer; by default as it was counted then.
    limits : Limits
        How many versions are kept.
    author : str
        Who restores it.

    Raises
    ------
    UsageError
        If the method keeps no memory, there is no such version, or it is over the budget.
    """
    found = restorable(method, stream, version)
    tokens = found.tokens if tokens is None else tokens
    if tokens is None and found.pins:
        raise UsageError(
            f"version {version} lacks notes that are pinned now, and nobody can say here how long it is with them",
            f"restore it where the model is: learner.restore({version})",
        )
    if budget is not None and tokens is not None and tokens > budget:
        raise UsageError(
            f"version {version} holds {tokens} tokens, more than the budget of {budget}", "choose a shorter one"
        )
    return with_text(method, stream, found.sections, tokens, f"version {version} restored", author, limits)


def restorable(method: Method, stream: Stream, version: int) -> Memory:
    """Give what the present memory would be if a version were restored: its text, with the notes that are pinned now.

    Its tokens are None where they are not known, because pinned notes had to be put back.

    Raises
    ------
    UsageError
        If the method keeps no memory, or there is no such version.
    """
    present = kept_memory(method, stream)
    found = pick((entry.memory for entry in stream.versions), version)
    sections = with_pins(found.sections, present, stand_in(method)) if present.pins else found.sections
    tokens = found.tokens if sections == found.sections else None
    return msgspec.structs.replace(found, sections=sections, tokens=tokens, pinned=present.pinned)


def with_text(
    method: Method,
    stream: Stream,
    sections: tuple[Section, ...],
    tokens: int | None,
    reason: str,
    author: str,
    limits: Limits,
) -> Stream:
    """Put another text into the present memory, as a new version that no replay goes back behind."""
    present = kept_memory(method, stream)
    number = max(present.version, *(entry.memory.version for entry in stream.versions)) + 1
    memory = msgspec.structs.replace(present, sections=sections, version=number, tokens=tokens)
    versions = (*stream.versions, Version(memory, None, reason, author))[-limits.keep_versions :]
    state = method.with_memory(stream.state, memory)
    return msgspec.structs.replace(stream, state=state, lessons=(), versions=versions, floor=0)


def kept_memory(method: Method, stream: Stream) -> Memory:
    """Give the present memory.

    Raises
    ------
    UsageError
        If the method keeps none.
    """
    memory = method.memory(stream.state)
    if memory is None:
        raise UsageError(f"the method {method.name} keeps no memory", "versions are kept of one that does: recurrent")
    return memory


def stand_in(method: Method) -> str:
    """Give what a section of the method's memory holds that has no notes: the item that it begins with, if any."""
    first = method.memory(method.start(SequenceInfo("")))
    return next((item for section in first.sections for item in section.items), "") if first is not None else ""


def pick(memories: Iterable[Memory], version: int) -> Memory:
    """Give the memory with a number, the latest where several have it.

    Raises
    ------
    UsageError
        If there is none; the hint says which there are.

    Examples
    --------
    >>> pick([Memory((), 0), Memory((), 1), Memory((), 2), Memory((), 4)], 3)
    Traceback (most recent call last):
        ...
    llm_as_rnn.core.errors.UsageError: there is no version 3 of the memory (there are 0 to 2, 4)
    """
    found = {memory.version: memory for memory in memories}
    if version not in found:
        known = f"there are {_ranges(sorted(found))}" if found else "none has been kept"
        raise UsageError(f"there is no version {version} of the memory", known)
    return found[version]


def _ranges(numbers: list[int]) -> str:
    """Write ascending numbers shortly: a hundred of them must fit into one line."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


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
