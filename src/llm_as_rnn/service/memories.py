"""Memories: looked at, put back, edited by people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import sqlalchemy as sa

from llm_as_rnn.core.method import Calls, count_tokens
from llm_as_rnn.service import rows
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.desk import Desk
from llm_as_rnn.service.errors import ConflictError
from llm_as_rnn.service.predictors import Predictor
from llm_as_rnn.service.present import Lost, bare, commit
from llm_as_rnn.service.rows import Loaded, Row
from llm_as_rnn.service.schema import versions
from llm_as_rnn.service.showing import memory_view
from llm_as_rnn.service.views import (
    MemoryView,
)
from llm_as_rnn.streams.online import Stream, Version, restore

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
            tokens = yield from count_tokens(str(entry.memory))
            return restore(predictor.method, stream, version, predictor.settings.budget, tokens, predictor.keeping)

        return await self._change(caller, session, change, (entry,))

    async def _change(
        self,
        caller: Caller,
        session: str,
        change: Callable[[Predictor, Stream], Calls[Stream]],
        entries: tuple[Version, ...] = (),
    ) -> MemoryView:
        """Have a person's change take the place of the present state, and show the memory that it brought.

        The stream that is changed has the entries, and the present one, for its versions.
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
        loaded, latest = await self.store.read(lambda connection: self._with_latest(connection, caller, session))
        row = loaded.row
        predictor, stream = self.present.of(loaded)
        stream = msgspec.structs.replace(stream, versions=(*entries, *latest))
        after = await self.computed(change(predictor, stream))
        new = after.versions[len(entries) + len(latest) :]

        def keeping(connection: sa.Connection) -> tuple[int, Row]:
            revision = commit(connection, row, predictor, bare(after), new, caller.name)
            return revision, rows.present_version(connection, row.number, None)

        revision, shown = await self.store.write(keeping)
        self.present.keep(row, revision, bare(after))
        self.signals.happened(row.number)
        return memory_view(shown)

    def _with_latest(
        self, connection: sa.Connection, caller: Caller, session: str
    ) -> tuple[Loaded, tuple[Version, ...]]:
        known = self.present.known(caller.tenant, session)
        loaded = rows.load(connection, caller.tenant, session, known)
        asked = sa.select(versions.c.content).where(versions.c.session == loaded.row.number)
        highest = connection.execute(asked.order_by(versions.c.version.desc()).limit(1)).scalars()
        return loaded, tuple(msgspec.json.decode(content, type=Version) for content in highest)
