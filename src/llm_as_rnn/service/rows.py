"""What is read from the tables of sessions, tasks and memories, and written into them (see `store`).

All of it is plain functions of a connection. Every one that concerns a tenant takes the tenant's number and asks for
no row of another. Statements that every step needs are made once, with parameters: SQLAlchemy takes longer to make one
than to run it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from llm_as_rnn.core.records import SequenceInfo
from llm_as_rnn.service.errors import NotFoundError
from llm_as_rnn.service.schema import sessions, states, tasks, versions
from llm_as_rnn.service.store import now
from llm_as_rnn.streams.online import Version

Row = sa.Row[Any]

encode = msgspec.json.Encoder().encode


def text(value: Any) -> str:
    """Write a value as JSON."""
    return encode(value).decode()


class Loaded(NamedTuple):
    """A session, as much of it as a step needs.

    Attributes
    ----------
    row : Row
        All of ``sessions``, and of its task ``task_name``, ``task_version`` and ``task_content``.
    state : str or None
        Its state; None where the revision is the one that was said to be known.
    """

    row: Row
    state: str | None


def sequence_of(row: Row) -> SequenceInfo:
    """Give what stays the same in a session."""
    return SequenceInfo(row.id, msgspec.json.decode(row.about, type=dict[str, Any]))


def _with_task(*further: sa.ColumnElement[Any]) -> sa.Select[Any]:
    task = (
        tasks.c.name.label("task_name"),
        tasks.c.version.label("task_version"),
        tasks.c.content.label("task_content"),
    )
    return sa.select(sessions, *task, *further).join(tasks, tasks.c.number == sessions.c.task)


_FOUND = _with_task().where(sessions.c.tenant == sa.bindparam("tenant"), sessions.c.id == sa.bindparam("session"))
_LOCKED = _FOUND.with_for_update(of=sessions)


def find(connection: sa.Connection, tenant: int, session: str, lock: bool = False) -> Row:
    """Find a tenant's session by its name; locked, nobody else changes it before the transaction ends.

    Raises
    ------
    NotFoundError
        If this tenant has none of this name.
    """
    row = connection.execute(_LOCKED if lock else _FOUND, {"tenant": tenant, "session": session}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no session {session!r}", "list sessions, or begin it")
    return row


_STATE = sa.case((sessions.c.revision == sa.bindparam("known"), sa.null()), else_=states.c.content).label("state")
_LOADED = _with_task(_STATE).join(states, states.c.session == sessions.c.number)
_BY_NAME = _LOADED.where(sessions.c.tenant == sa.bindparam("tenant"), sessions.c.id == sa.bindparam("session"))
_BY_NUMBER = _LOADED.where(sessions.c.number == sa.bindparam("number"))


def load(connection: sa.Connection, tenant: int, session: str, known: int = -1) -> Loaded:
    """Load a session with its state, both of one moment.

    Parameters
    ----------
    connection : Connection
        The database.
    tenant, session
        Whose and which.
    known : int
        The revision whose state is known already.

    Raises
    ------
    NotFoundError
        If this tenant has none of this name.
    """
    row = connection.execute(_BY_NAME, {"tenant": tenant, "session": session, "known": known}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no session {session!r}", "list sessions, or begin it")
    return Loaded(row, row.state)


def load_number(connection: sa.Connection, number: int, known: int = -1) -> Loaded | None:
    """Load a session by its number, if it is still there."""
    row = connection.execute(_BY_NUMBER, {"number": number, "known": known}).one_or_none()
    return None if row is None else Loaded(row, row.state)


def page(
    connection: sa.Connection,
    tenant: int,
    after: str,
    limit: int,
    task: str | None = None,
    status: str | None = None,
    search: str | None = None,
) -> Sequence[Row]:
    """List a tenant's sessions by name, those after a name."""
    asked = _with_task().where(sessions.c.tenant == tenant, sessions.c.id > after)
    if task is not None:
        asked = asked.where(tasks.c.name == task)
    if status is not None:
        asked = asked.where(sessions.c.status == status)
    if search is not None:
        asked = asked.where(sessions.c.id.contains(search, autoescape=True))
    return connection.execute(asked.order_by(sessions.c.id).limit(limit)).all()


def task_row(connection: sa.Connection, tenant: int, name: str, version: int | None) -> Row | None:
    """Find a version of a task, the latest where none is named."""
    asked = sa.select(tasks).where(tasks.c.tenant == tenant, tasks.c.name == name)
    if version is not None:
        asked = asked.where(tasks.c.version == version)
    return connection.execute(asked.order_by(tasks.c.version.desc()).limit(1)).one_or_none()


def put_task(connection: sa.Connection, tenant: int, name: str, content: str) -> Row:
    """Keep a task: as a new version, unless the latest one is the same."""
    latest = task_row(connection, tenant, name, None)
    if latest is not None and latest.content == content:
        return latest
    version = 1 if latest is None else latest.version + 1
    new = {"tenant": tenant, "name": name, "version": version, "content": content, "created": now(connection)}
    return connection.execute(sa.insert(tasks).values(new).returning(tasks)).one()


def version_row(session: int, revision: int, entry: Version, author: str, at: float) -> dict[str, Any]:
    """Give the row of a version."""
    return {
        "session": session,
        "revision": revision,
        "version": entry.memory.version,
        "content": text(entry),
        "author": author,
        "created": at,
    }


def upsert(
    connection: sa.Connection, table: sa.Table, values: Sequence[Mapping[str, Any]], keys: Collection[str]
) -> None:
    """Insert rows, or put their values in the place of those that stand under the same keys."""
    connection.execute(_upserting(connection.dialect.name, table, tuple(values[0]), tuple(keys)), values)


@lru_cache
def _upserting(dialect: str, table: sa.Table, columns: tuple[str, ...], keys: tuple[str, ...]) -> sa.Insert:
    statement = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)
    others = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=others)


def present_version(connection: sa.Connection, session: int, version: int | None) -> Row:
    """Find a version of a session's memory, the present one where none is named; the latest where several have it.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    asked = sa.select(versions).where(versions.c.session == session)
    if version is not None:
        asked = asked.where(versions.c.version == version)
    row = connection.execute(asked.order_by(versions.c.revision.desc()).limit(1)).one_or_none()
    if row is None:
        which = "" if version is None else f" of version {version}"
        raise NotFoundError(f"there is no memory{which}", "list its versions; a method without a memory has none")
    return row


def entries(connection: sa.Connection, session: int, most: int) -> tuple[Version, ...]:
    """Give the latest versions of a memory, the oldest first."""
    asked = sa.select(versions.c.content).where(versions.c.session == session)
    latest = connection.execute(asked.order_by(versions.c.revision.desc()).limit(most)).scalars()
    return tuple(msgspec.json.decode(content, type=Version) for content in latest)[::-1]


def note_again(connection: sa.Connection, session: int, entry: Version) -> None:
    """Put an entry in the place of that of the present version, whose text it has."""
    last = sa.select(sa.func.max(versions.c.revision)).where(versions.c.session == session).scalar_subquery()
    present = sa.update(versions).where(versions.c.session == session, versions.c.revision == last)
    connection.execute(present.values(content=text(entry)))
