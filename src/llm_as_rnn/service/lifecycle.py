"""Sessions as wholes: begun, listed, forked, archived, deleted, moved to another version of their task."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from llm_as_rnn.core.door import plain_fields
from llm_as_rnn.core.records import SequenceInfo
from llm_as_rnn.recurrence.budget import require_room
from llm_as_rnn.service import rows
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.errors import ConflictError, fitting
from llm_as_rnn.service.predictors import Predictor
from llm_as_rnn.service.present import ADVANCED, bare, commit
from llm_as_rnn.service.quotas import require_session_quota
from llm_as_rnn.service.rows import Row
from llm_as_rnn.service.schema import predictions, sessions, states, versions
from llm_as_rnn.service.showing import session_view
from llm_as_rnn.service.store import now
from llm_as_rnn.service.tasks import Tasks
from llm_as_rnn.service.views import (
    NewSession,
    SessionView,
)
from llm_as_rnn.streams.live import measured, require_alike
from llm_as_rnn.streams.online import Stream, begin, handed_over

_MOVED = ADVANCED.values(task=sa.bindparam("goes_to"))
"""A session's row, once it goes on with another version of its task."""


class Lifecycle(Tasks):
    """The verbs of whole sessions."""

    async def create(self, caller: Caller, new: NewSession) -> SessionView:
        """Begin a session; again under the same name, with the same content, gives the one that is there.

        Raises
        ------
        NotFoundError
            If there is no such task.
        UnfitError
            If method or settings do not fit, or the first memory is over the budget.
        ConflictError
            If there is a session of this name that was begun otherwise.
        """
        task = await self.task_of(caller, new.task, new.task_version)
        settings = rows.text(dict(sorted(new.settings.items())))
        about = fitting(plain_fields, new.about, "what is said about the stream")
        name = secrets.token_hex(8) if new.id is None else new.id
        predictor = self.present.predictors.of(task.content, new.method, settings)
        await self.computed(require_room(predictor.task, predictor.settings.budget))
        stream = begin(predictor.method, SequenceInfo(name, about))
        stream = await self.computed(measured(predictor.method, stream, predictor.settings.budget, self.model))

        def creating(connection: sa.Connection) -> Row:
            values = {"method": new.method, "settings": settings, "about": rows.text(about), "task": task.number}
            insert_session(connection, caller, name, values, predictor, stream)
            return rows.find(connection, caller.tenant, name)

        try:
            return session_view(await self.store.write(creating))
        except IntegrityError:
            row = await self.store.read(lambda connection: rows.find(connection, caller.tenant, name))
            if (row.task, row.method, row.settings, row.about) != (task.number, new.method, settings, rows.text(about)):
                raise ConflictError(f"there is another session {name!r}", "choose another name") from None
            return session_view(row)

    async def get(self, caller: Caller, session: str) -> SessionView:
        """Show a session."""
        return session_view(await self.row(caller, session))

    async def list(
        self,
        caller: Caller,
        after: str = "",
        limit: int = 100,
        task: str | None = None,
        status: str | None = None,
        search: str | None = None,
    ) -> Sequence[SessionView]:
        """List the caller's sessions by name, those after a name."""
        found = await self.store.read(
            lambda connection: rows.page(connection, caller.tenant, after, limit, task, status, search)
        )
        return [session_view(row) for row in found]

    async def set_status(self, caller: Caller, session: str, status: str) -> SessionView:
        """Archive a session, or activate it again. What was told before is learned in an archived one, too."""

        def setting(connection: sa.Connection) -> Row:
            row = rows.find(connection, caller.tenant, session)
            connection.execute(sa.update(sessions).where(sessions.c.number == row.number).values(status=status))
            return rows.find(connection, caller.tenant, session)

        row = await self.store.write(setting)
        self.signals.happened(row.number)
        return session_view(row)

    async def delete(self, caller: Caller, session: str) -> None:
        """Delete a session with all that belongs to it."""

        def deleting(connection: sa.Connection) -> int:
            row = rows.find(connection, caller.tenant, session)
            connection.execute(sa.delete(sessions).where(sessions.c.number == row.number))
            return int(row.number)

        number = await self.store.write(deleting)
        self.present.drop(number)
        self.signals.happened(number)

    async def fork(self, caller: Caller, session: str, new: str | None = None) -> SessionView:
        """Begin another session with what this one has learned so far.

        Its memory and the history of that go along, and all else that it knows; predictions that wait stay behind.
        """
        name = secrets.token_hex(8) if new is None else new

        def forking(connection: sa.Connection) -> Row:
            rows.find(connection, caller.tenant, session, lock=True)  # state and versions are to be of one moment
            loaded = rows.load(connection, caller.tenant, session)
            row = loaded.row
            entries = rows.entries(connection, row.number, self.present.predictor(row).keeping.keep_versions)
            predictor = self.present.predictor(row)
            stream = predictor.revive((loaded.state or "").encode(), rows.sequence_of(row))
            values = {"method": row.method, "settings": row.settings, "about": row.about, "task": row.task}
            stream = msgspec.structs.replace(stream, t=row.steps, versions=entries)
            insert_session(connection, caller, name, values, predictor, stream)
            return rows.find(connection, caller.tenant, name)

        try:
            return session_view(await self.store.write(forking))
        except IntegrityError:
            raise ConflictError(f"there is a session {name!r}", "choose another name") from None

    async def move(self, caller: Caller, session: str, version: int | None = None) -> SessionView:
        """Go on with another version of the session's task, the latest where none is named.

        What was learned is kept anew as the method has it now: with another version others may advise.

        Raises
        ------
        UnfitError
            If its memory has other sections, or its answer other fields.
        """
        row = await self.row(caller, session)
        task = await self.task_of(caller, row.task_name, version)
        after = self.present.predictors.of(task.content, row.method, row.settings)

        def moving(connection: sa.Connection) -> Row:
            locked = rows.find(connection, caller.tenant, session, lock=True)  # nobody learns into it meanwhile
            before = self.present.predictor(locked)
            fitting(require_alike, before.task, after.task)
            if locked.task == task.number:
                return locked
            loaded, sequence = rows.load(connection, caller.tenant, session), rows.sequence_of(locked)
            stream = before.revive((loaded.state or "").encode(), sequence)
            stream = bare(fitting(handed_over, after.method, stream, sequence))
            commit(connection, locked, after, stream, rows.text(stream), (), "", (_MOVED, {"goes_to": task.number}))
            return rows.find(connection, caller.tenant, session)

        moved = await self.store.write(moving)
        self.present.drop(moved.number)
        self.signals.happened(moved.number)
        return session_view(moved)


def insert_session(
    connection: sa.Connection,
    caller: Caller,
    name: str,
    values: Mapping[str, Any],
    predictor: Predictor,
    stream: Stream,
    author: str = "model",
) -> int:
    """Insert a session with its state, what waits in it, and the versions of its memory."""
    at = now(connection)
    memory = predictor.method.memory(stream.state)
    every = {
        **values,
        "tenant": caller.tenant,
        "id": name,
        "steps": stream.t,
        "waiting": len(stream.waiting),
        "revision": len(stream.versions),
        "memory_version": None if memory is None else memory.version,
        "created": at,
        "changed": at,
    }
    inserted = sa.insert(sessions).values(every).returning(sessions.c.number)
    number: int = connection.execute(inserted).scalar_one()
    connection.execute(sa.insert(states).values(session=number, content=rows.text(bare(stream))))
    for revision, entry in enumerate(stream.versions, 1):
        connection.execute(sa.insert(versions).values(rows.version_row(number, revision, entry, author, at)))
    for waiting in stream.waiting:
        row = {"session": number, "step": waiting.observation.t, "id": rows.text(waiting.id), "created": at}
        connection.execute(sa.insert(predictions).values(row | {"content": rows.text(waiting), "status": "waiting"}))
    require_session_quota(connection, caller)  # last: one that is there already is no further one
    return number
