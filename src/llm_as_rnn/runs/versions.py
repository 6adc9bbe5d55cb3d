"""The versions of a run's memories, read from its journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from llm_as_rnn.core.records import Memory, Record, UpdateOutcome
from llm_as_rnn.core.steps import StepRecord

LESSONS = "shared-lessons"
"""What a run's second memory, which its sequences share, is called beside the names of the sequences."""


class Event(Record, frozen=True):
    """What one step did to a memory.

    Attributes
    ----------
    t : int or None
        The step; None where none led to the memory (h_0).
    outcome : str
        ``start`` for the first memory, else what became of the update.
    reason : str
        Why.
    memory : Memory
        h_t.
    tokens : int or None
        Its length; None where it was never counted.
    changed : bool
        Whether it is another one than before; a step whose update was kept from the memory has left it as it was.
    """

    t: int | None
    outcome: Literal["start"] | UpdateOutcome
    reason: str
    memory: Memory
    tokens: int | None
    changed: bool


def versions(records: Iterable[StepRecord]) -> Mapping[tuple[str, str], tuple[Event, ...]]:
    """Tell what happened to the memories of a run.

    Parameters
    ----------
    records : iterable of StepRecord
        A journal's steps; those of a sequence in the order of their timesteps, in which a run learns them.

    Returns
    -------
    dict of (str, str) to tuple of Event
        By method and sequence: h_0, then every step. Methods that keep no memory are left out.
    """
    histories: dict[tuple[str, str], list[Event]] = {}
    for record in records:
        after = record.memory_after
        if after is None:
            continue
        events = histories.setdefault((record.method, record.sequence), [])
        before = events[-1].memory if events else record.memory_before
        if before is not None and not events:
            events.append(Event(None, "start", "", before, before.tokens, changed=True))
        changed = before is None or (before.version, before.sections) != (after.version, after.sections)
        update = record.update
        events.append(Event(record.t, update.outcome, update.reason, after, record.memory_tokens, changed))
    return {name: tuple(events) for name, events in histories.items()}


def lessons(records: Iterable[StepRecord]) -> Mapping[tuple[str, str], tuple[Event, ...]]:
    """Tell what happened to the lessons that sequences left to those after them.

    Parameters
    ----------
    records : iterable of StepRecord
        A journal's steps; the sequences in the order in which they ran.

    Returns
    -------
    dict of (str, str) to tuple of Event
        By method and `LESSONS`: an event a sequence. Methods that share none are left out.
    """
    histories: dict[tuple[str, str], list[Event]] = {}
    for record in records:
        if record.lessons is None:
            continue
        events = histories.setdefault((record.method, LESSONS), [])
        version, old = record.lessons.version, events[-1].memory.version if events else 0
        done = record.taught.reason if record.taught else ""
        reason = f"after {record.sequence}: {done}"
        outcome: UpdateOutcome = "accepted" if version != old else "kept"
        events.append(Event(None, outcome, reason, record.lessons, record.lessons.tokens, version != old))
    return {name: tuple(events) for name, events in histories.items()}
