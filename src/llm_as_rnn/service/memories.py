"""Memories: looked at, put back, edited by people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import sqlalchemy as sa

from llm_as_rnn.core.method import Calls, count_tokens
from llm_as_rnn.core.records import Section
from llm_as_rnn.service import rows
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.desk import Desk
from llm_as_rnn.service.errors import ConflictError, NotFoundError
from llm_as_rnn.service.predictors import Predictor
from llm_as_rnn.service.present import Lost, bare, commit
from llm_as_rnn.service.rows import Loaded, Row
from llm_as_rnn.service.schema import versions
from llm_as_rnn.service.showing import memory_view
from llm_as_rnn.service.views import MemoryView
from llm_as_rnn.streams.online import Stream, Version
from llm_as_rnn.streams.settings import Limits
from llm_as_rnn.streams.tending import edit, pin, restorable, restore

ALL = Limits(keep_versions=1_000_000)
"""Versions are rows, of which none is left out here."""
ATTEMPTS = 20
"""How often a change is begun again because somebody else was first."""


class Memories(Desk):
    """The verbs of memories."""

    async def memory(self, caller: Caller, session: str, version: int | None = None) -> MemoryView:
        """Show a version of the memory, the present one where none is named."""

        def reading(connection: sa.Connection) -> MemoryView:
            row = rows.find(connection, caller.tenant, session)
            return memory_view(rows.present_version(connection, row.number, version))

        return await self.store.read(reading)

    async def versions(self, caller: Caller, session: str, after: int = -1, limit: int = 100) -> Sequence[MemoryView]:
        """List the versions of the memory that came after a revision, the oldest first."""

        def reading(connection: sa.Connection) -> Sequence[MemoryView]:
            row = rows.find(connection, caller.tenant, session)
            asked = sa.select(versions).where(versions.c.session == row.number, versions.c.revision > after)
            return [memory_view(one) for one in connection.execute(asked.order_by(versions.c.revision).limit(limit))]

        return await self.store.read(reading)

    async def restore(self, caller: Caller, session: str, version: int) -> MemoryView:
        """Put an earlier version of the memory back, as a new one.

        Raises
        ------
        NotFoundError
            If there is no such version.
        UnfitError
            If it is over the budget by now.
        """
        row = await self.row(caller, session)
        found = await self.store.read(lambda connection: rows.present_version(connection, row.number, version))
        entry = msgspec.json.decode(found.content, type=Version)

        def change(predictor: Predictor, stream: Stream) -> Calls[Stream]:
            method, budget = predictor.method, predictor.settings.budget
            tokens = yield from count_tokens(str(restorable(method, stream, version)))
            return restore(method, stream, version, budget, tokens, ALL, caller.name)

        return await self._change(caller, session, change, (entry,))

    async def edit(
        self, caller: Caller, session: str, sections: Sequence[Section], expected: int | None = None
    ) -> MemoryView:
        """Put what a person wrote in the memory's place, as a new version.

        Parameters
        ----------
        caller, session
            Who, and where.
        sections : sequence of Section
            Those that are to be others; what is not named stays.
        expected : int, optional
            The version that was edited.

        Raises
        ------
        ConflictError
            If the memory is of another version by now.
        UnfitError
            If it does not fit: the budget, the task's sections, or what is pinned.
        """
        given = {section.name: section.items for section in sections}

        def change(predictor: Predictor, stream: Stream) -> Calls[Stream]:
            present = predictor.method.memory(stream.state)
            if present is not None and expected is not None and present.version != expected:
                raise ConflictError(f"the memory is of version {present.version} by now", "look at it, and edit that")
            budget = predictor.settings.budget
            return (yield from edit(predictor.method, stream, given, budget, author=caller.name, limits=ALL))

        return await self._change(caller, session, change)

    async def pin(self, caller: Caller, session: str, item: str, pinned: bool = True) -> MemoryView:
        """Have a note stay whatever is learned, or let it go again.

        Raises
        ------
        NotFoundError
            If a note is let go that is not pinned.
        UnfitError
            If there is no such note, the method heeds no pins, or those that are pinned would take half the budget.
        """

        def change(predictor: Predictor, stream: Stream) -> Calls[Stream]:
            present = predictor.method.memory(stream.state)
            if not pinned and (present is None or item not in present.pins):
                raise NotFoundError("no such note is pinned", "give it word for word as the memory has it")
            return (yield from pin(predictor.method, stream, item, predictor.settings.budget, pinned=pinned))

        return await self._change(caller, session, change)

    async def _change(
        self,
        caller: Caller,
        session: str,
        change: Callable[[Predictor, Stream], Calls[Stream]],
        entries: tuple[Version, ...] = (),
    ) -> MemoryView:
        """Have a person's change take the place of the present state, and show the memory that it brought.

        The stream that is changed has for its versions these entries, the one with the highest number, and the present
        one, which is the last.
        """
        for _ in range(ATTEMPTS):
            try:
                return await self._changed(caller, session, change, entries)
            except Lost:
                continue
        raise ConflictError("the session changes too quickly", "ask again")

    async def _changed(
        self,
        caller: Caller,
        session: str,
        change: Callable[[Predictor, Stream], Calls[Stream]],
        entries: tuple[Version, ...],
    ) -> MemoryView:
        loaded, known = await self.store.read(lambda connection: self._with_known(connection, caller, session))
        row = loaded.row
        predictor, stream = self.present.of(loaded)
        before = (*entries, *known)
        after = await self.computed(change(predictor, msgspec.structs.replace(stream, versions=before)))
        new = after.versions[len(before) :]
        same = after.versions[: len(before)] == before

        content = rows.text(bare(after))

        def keeping(connection: sa.Connection) -> Row:
            commit(connection, row, predictor, bare(after), content, new, caller.name)
            if not same:  # of the present version something else was noted: that a note is pinned, say
                rows.note_again(connection, row.number, after.versions[len(before) - 1])
            return rows.present_version(connection, row.number, None)

        shown = await self.store.write(keeping)
        self.present.keep(row, bare(after), content)
        self.signals.happened(row.number)
        return memory_view(shown)

    def _with_known(
        self, connection: sa.Connection, caller: Caller, session: str
    ) -> tuple[Loaded, tuple[Version, ...]]:
        loaded = rows.load(connection, caller.tenant, session, self.present.known(caller.tenant, session))
        asked = sa.select(versions.c.content).where(versions.c.session == loaded.row.number)
        ways = (versions.c.version.desc(), versions.c.revision.desc())
        found = [connection.execute(asked.order_by(way, versions.c.revision.desc()).limit(1)).scalar() for way in ways]
        return loaded, tuple(msgspec.json.decode(content, type=Version) for content in found if content is not None)
