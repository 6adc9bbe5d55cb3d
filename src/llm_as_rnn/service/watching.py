"""What a person who watches a session sees: its steps as the viewer shows them, and how its memory changed."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from llm_as_rnn.core.changes import Item, MemoryDiff
from llm_as_rnn.core.records import Memory, Update, Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.scores import step_scores
from llm_as_rnn.service import rows, step_rows, sum_rows
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.desk import Desk
from llm_as_rnn.service.rows import Row
from llm_as_rnn.service.schema import predictions, versions
from llm_as_rnn.service.scoring import scored_then
from llm_as_rnn.service.views import ScoresView
from llm_as_rnn.streams.online import Version
from llm_as_rnn.streams.replaying import Waiting
from llm_as_rnn.viewer.index import STRETCH
from llm_as_rnn.viewer.trace import (
    NOTHING,
    ItemView,
    PartView,
    Sections,
    Shown,
    ShownField,
    Stretch,
    filled,
    items_view,
    part_view,
)

EARLIER = 20
"""Versions of the memory from before the first one that the steps led to: predictions were made with them."""

MOST_VERSIONS = 2 * STRETCH
"""The most versions that are looked at for the steps of one stretch."""

SHORT_BLOCKS = (5, 10, 20, 25, 50)
"""Steps that a point of a short session's curve may stand for."""

POINTS = 20
"""The most points of a short session's curve."""

Scores = dict[str, tuple[int, float]]
"""By score, how many there are and what they come to."""

UNLEARNED = {
    "": "the outcome has not come yet",
    "waiting": "the outcome has come, and will be learned",
    "refused": "the outcome could not be learned",
}
"""What became of the memory at a step that taught it nothing, by the status of its latest outcome."""


class SessionPart(PartView, frozen=True):
    """A stretch of a session's steps, as the viewer takes it.

    Attributes
    ----------
    budget : int or None
        The most tokens that the memory may hold.
    """

    budget: int | None = None


class Change(Shown, frozen=True):
    """A version of the memory, and what changed from the one before it.

    Attributes
    ----------
    version, revision : int
        Its number, and the session's revision that brought it.
    author : str
        ``model``, or who edited or restored it.
    created : float
        Seconds since 1970.
    sections : list
        Items by section, with marks (see `viewer.trace.items_view`).
    t : int or None
        The step whose outcome led to it.
    reason : str
        How it came about.
    tokens : int or None
        Its length.
    """

    version: int
    revision: int
    author: str
    created: float
    sections: list[tuple[str, list[ItemView]]]
    t: int | None = None
    reason: str = ""
    tokens: int | None = None


class Watching(Desk):
    """The verbs of whoever watches."""

    async def curves(self, caller: Caller, session: str) -> ScoresView:
        """Give the sums of scores over time, a short session's by shorter blocks than are kept of every session."""

        def reading(
            connection: sa.Connection,
        ) -> tuple[Row, int, dict[int, Scores], Sequence[tuple[Row, Row]]]:
            row = rows.find(connection, caller.tenant, session)
            if row.steps > STRETCH:
                return row, *sum_rows.curve(connection, row), ()
            asked = sa.select(predictions).where(predictions.c.session == row.number, predictions.c.status == "learned")
            made = connection.execute(asked.order_by(predictions.c.step)).all()
            # A correction that waits, or was refused, is in no sum.
            came = step_rows.latest_told(connection, row.number, [one.step for one in made], learned=True)
            learned = [(one, came[one.step]) for one in made]
            size = next(size for size in SHORT_BLOCKS if size * POINTS >= row.steps)
            return row, size, {}, learned

        row, size, blocks, learned = await self.store.read(reading)
        if learned:
            blocks = await asyncio.to_thread(_in_blocks, self.present.predictor(row).task, learned, size)
        return ScoresView(total=sum_rows.read_sums(row.sums), blocks=blocks, steps_in_block=size)

    async def trace(self, caller: Caller, session: str, after: int = -1, limit: int = STRETCH) -> SessionPart:
        """Show the steps behind one, as the viewer takes them; none where they are not kept any more."""
        found = await self.store.read(lambda connection: _found(connection, caller.tenant, session, after, limit))
        predictor = self.present.predictor(found.row)
        view = await asyncio.to_thread(_part, predictor.task, found)
        return SessionPart(view.pool, view.traces, predictor.settings.budget)

    async def history(
        self, caller: Caller, session: str, before: int | None = None, limit: int = 20
    ) -> Sequence[Change]:
        """Show how the memory changed, the latest change first: those before a revision."""

        def reading(connection: sa.Connection) -> Sequence[Row]:
            row = rows.find(connection, caller.tenant, session)
            return _versions(connection, row.number, before, limit + 1)

        found = await self.store.read(reading)
        return (await asyncio.to_thread(_changes, found))[-limit:][::-1]


def _in_blocks(task: Task, learned: Sequence[tuple[Row, Row]], size: int) -> dict[int, Scores]:
    """Add up the scores of steps by blocks, from predictions and their outcomes."""
    found: dict[int, Scores] = {}
    for made, told in learned:
        prediction = step_rows.read_waiting(made.content).prediction
        change = scored_then(task, prediction, told.content, told.result)
        block = made.step // size
        found[block] = sum_rows.added(found.get(block, {}), change)
    return found


class _Found(NamedTuple):
    """Rows of a stretch: the session's, its predictions', their latest outcomes' by step, and versions', in order."""

    row: Row
    predictions: Sequence[Row]
    told: Mapping[int, Row]
    versions: Sequence[Row]


def _found(connection: sa.Connection, tenant: int, session: str, after: int, limit: int) -> _Found:
    row = rows.find(connection, tenant, session)
    asked = sa.select(predictions).where(predictions.c.session == row.number, predictions.c.step > after)
    kept = connection.execute(asked.order_by(predictions.c.step).limit(limit)).all()
    latest = step_rows.latest_told(connection, row.number, [one.step for one in kept])
    learned = [one.revision for one in latest.values() if one.revision is not None]
    if not learned:
        return _Found(row, kept, latest, ())
    first, last = min(learned), max(learned)
    earlier = _versions(connection, row.number, first, EARLIER)
    asked = sa.select(versions).where(versions.c.session == row.number, versions.c.revision.between(first, last))
    brought = connection.execute(asked.order_by(versions.c.revision).limit(MOST_VERSIONS)).all()
    return _Found(row, kept, latest, (*earlier, *brought))


def _versions(connection: sa.Connection, session: int, before: int | None, limit: int) -> Sequence[Row]:
    """Give the latest versions before a revision, the oldest first."""
    asked = sa.select(versions).where(versions.c.session == session)
    if before is not None:
        asked = asked.where(versions.c.revision < before)
    return connection.execute(asked.order_by(versions.c.revision.desc()).limit(limit)).all()[::-1]


class _Past:
    """The versions that a memory went through, and what each of them changed in the one before it.

    Parameters
    ----------
    found : sequence of Row
        Their rows, the oldest first. The first one counts as changed in nothing: what was before it is not known.
    """

    def __init__(self, found: Sequence[Row]) -> None:
        self.entries = [msgspec.json.decode(row.content, type=Version) for row in found]
        self._revisions = [int(row.revision) for row in found]
        self._numbered = {entry.memory.version: entry.memory for entry in self.entries}
        diff, before = MemoryDiff(), self.entries[0].memory if self.entries else None
        self.changes: list[Sections] = []
        for entry in self.entries:
            self.changes.append(diff.step(entry.t, before, entry.memory))
            before = entry.memory

    def numbered(self, version: int | None) -> Memory | None:
        """Give the memory of a number, the latest where several have it."""
        return None if version is None else self._numbered.get(version)

    def at(self, revision: int | None) -> tuple[Memory | None, Memory | None, Sections]:
        """Give the memory before and after a revision, and what it changed."""
        place = -1 if revision is None else bisect_right(self._revisions, revision) - 1
        if place < 0:
            return None, None, {}
        memory = self.entries[place].memory
        if self._revisions[place] != revision:
            return memory, memory, _unchanged(self.changes[place])
        return self.entries[place - 1].memory if place else None, memory, self.changes[place]


def _unchanged(sections: Sections) -> Sections:
    """Give what a change left, as if it had been there before."""
    return {
        name: [Item(item.id, item.since, "=", item.text) for item in items if item.mark != "-"]
        for name, items in sections.items()
    }


def _changes(found: Sequence[Row]) -> list[Change]:
    past = _Past(found)
    return [
        Change(
            row.version,
            row.revision,
            row.author,
            row.created,
            items_view(sections),
            entry.t,
            entry.reason,
            entry.memory.tokens,
        )
        for row, entry, sections in zip(found, past.entries, past.changes, strict=True)
    ]


def _part(task: Task, found: _Found) -> PartView:
    past = _Past(found.versions)
    waiting = [step_rows.read_waiting(row.content) for row in found.predictions]
    told = [found.told.get(row.step) for row in found.predictions]
    if not waiting:
        return PartView([], [])
    fields = [ShownField(field) for field in task.answer]
    records = [_record(task, found.row, past, *both) for both in zip(waiting, told, strict=True)]
    changes = [past.at(None if one is None else one.revision)[2] for one in told]
    made = [past.numbered(one.memory_version) for one in waiting]
    more = filled(
        {
            "id": [one.id for one in waiting],
            "waits": [None if row.status == "learned" else row.status for row in found.predictions],
            "told": [None if one is None else {"number": one.number, "status": one.status} for one in told],
            "advised": [_advised(fields, one) or None for one in waiting],
        }
    )
    return part_view([Stretch(task, fields, records, made, changes, more)], NOTHING)


def _record(task: Task, session: Row, past: _Past, waiting: Waiting, told: Row | None) -> StepRecord:
    """Give a step as a run would have recorded it."""
    said = waiting.prediction
    target = None if told is None else msgspec.json.decode(told.content, type=dict[str, Value])
    result: dict[str, Any] = {} if told is None or told.result is None else msgspec.json.decode(told.result)
    status = "" if told is None else str(told.status)
    update = msgspec.convert(result.get("update"), Update | None)
    before, after, _ = past.at(None if told is None else told.revision)
    return StepRecord(
        method=session.method,
        sequence=session.id,
        t=waiting.observation.t,
        observation=waiting.observation.fields,
        target=target,
        prediction=said.values,
        status=said.status,
        raw=said.raw,
        memory_version=waiting.memory_version,
        memory_before=before,
        memory_after=after,
        memory_tokens=None if after is None else after.tokens,
        update=update or Update("skipped", UNLEARNED.get(status, "")),
        feedback=None,
        calls=(),
        scores={} if target is None else step_scores(task, said.values, target),
        problem=said.problem,
        notes=(*said.notes, *filter(None, [result.get("note")])),
        recalled=said.recalled,
        distribution=said.distribution,
        believed=said.believed,
        interval=said.interval,
        among=said.among,
        chance=said.chance,
        abstained=said.abstained,
    )


def _advised(fields: Sequence[ShownField], waiting: Waiting) -> list[tuple[str, list[tuple[str, str]]]]:
    """Tell what each adviser said, by field."""
    said = waiting.prediction
    found = []
    for field in fields:
        pairs = zip(said.believed.get(field.name, {}), said.advisers, strict=False)
        shown = [(name, field.show(one.values[field.name])) for name, one in pairs if one.values]
        if shown:
            found.append((field.name, shown))
    return found
