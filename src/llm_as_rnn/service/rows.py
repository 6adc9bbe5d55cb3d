"""What is read from the tables and written into them: plain functions of a connection (see `store`).

Every one that concerns a tenant takes the tenant's number and asks for no row of another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from llm_as_rnn.core.records import Call
from llm_as_rnn.service.errors import ConflictError, NotFoundError
from llm_as_rnn.service.schema import outcomes, predictions, sessions, states, sums, tasks, versions
from llm_as_rnn.service.spending_rows import spent
from llm_as_rnn.service.store import clock, now
from llm_as_rnn.streams.online import Version
from llm_as_rnn.streams.replaying import Id, Waiting

Row = sa.Row[Any]

BLOCKS = (100, 10_000)
"""Steps whose scores are summed up in one row: each step in a small block and in a large one."""
MOST_SMALL = 50_000
"""Steps up to which a curve is shown by small blocks: so that it never has more than some hundreds of points."""

encode = msgspec.json.Encoder().encode
_waiting = msgspec.json.Decoder(Waiting)
_sums = msgspec.json.Decoder(dict[str, tuple[int, float]])


def text(value: Any) -> str:
    """Write a value as JSON."""
    return encode(value).decode()


def read_waiting(content: str) -> Waiting:
    """Read a prediction as its row has it."""
    return _waiting.decode(content)


def read_sums(content: str) -> dict[str, tuple[int, float]]:
    """Read sums of scores as their row has them."""
    return _sums.decode(content)


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


def _with_task(*further: sa.ColumnElement[Any]) -> sa.Select[Any]:
    task = (
        tasks.c.name.label("task_name"),
        tasks.c.version.label("task_version"),
        tasks.c.content.label("task_content"),
    )
    return sa.select(sessions, *task, *further).join(tasks, tasks.c.number == sessions.c.task)


def find(connection: sa.Connection, tenant: int, session: str, lock: bool = False) -> Row:
    """Find a tenant's session by its name; locked, nobody else changes it before the transaction ends.

    Raises
    ------
    NotFoundError
        If this tenant has none of this name.
    """
    asked = _with_task().where(sessions.c.tenant == tenant, sessions.c.id == session)
    row = connection.execute(asked.with_for_update(of=sessions) if lock else asked).one_or_none()
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


def find_prediction(connection: sa.Connection, session: int, name: Id) -> Row:
    """Find a prediction by its id; where a text is none, by the number that it reads as.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    row = prediction(connection, session, name)
    if row is None and isinstance(name, str) and name.lstrip("-").isascii() and name.lstrip("-").isdigit():
        row = prediction(connection, session, int(name))
    if row is None:
        raise NotFoundError(f"there is no prediction {name!r}", "predict first, or correct the id")
    return row


def prediction(connection: sa.Connection, session: int, name: Id) -> Row | None:
    """Find a prediction by its id, if there is one."""
    asked = sa.select(predictions).where(predictions.c.session == session, predictions.c.id == text(name))
    return connection.execute(asked).one_or_none()


def add_prediction(
    connection: sa.Connection,
    row: Row,
    made: Waiting,
    named: bool,
    asked: str | None,
    calls: Sequence[Call],
    most: int,
) -> tuple[Waiting, float]:
    """Keep a prediction, as the session's next step.

    Parameters
    ----------
    connection : Connection
        The database.
    row : Row
        Its session.
    made : Waiting
        The prediction, as of the step that seemed to be the next when it was asked for.
    named : bool
        Whether its id is the caller's; else it is made of the step's number.
    asked : str, optional
        What the model was asked.
    calls : sequence of Call
        What it cost.
    most : int
        How many may wait; the oldest is given up where there are more.

    Returns
    -------
    tuple
        The prediction with the step that it came to have, and the time.

    Raises
    ------
    ConflictError
        If the session is not active any more.
    """
    session = row.number
    counted = {"steps": sessions.c.steps + 1, "waiting": sessions.c.waiting + 1, **_spent(calls)}
    active = sa.update(sessions).where(sessions.c.number == session, sessions.c.status == "active").values(counted)
    at = clock(connection).label("at")
    next_one = connection.execute(active.returning(sessions.c.steps, sessions.c.waiting, at)).one_or_none()
    if next_one is None:
        raise ConflictError("the session was archived or deleted meanwhile", "activate it, or begin another")
    t = next_one.steps - 1
    observation = msgspec.structs.replace(made.observation, t=t)
    made = msgspec.structs.replace(made, observation=observation, id=made.id if named else f"#{t}")
    values = {
        "session": session,
        "step": t,
        "id": text(made.id),
        "content": text(made),
        "status": "waiting",
        "asked": asked,
        "created": next_one.at,
    }
    connection.execute(sa.insert(predictions).values(values))
    if next_one.waiting > most:
        _give_up(connection, session, next_one.waiting - most)
    spent(connection, row.tenant, calls, requests=1)
    return made, next_one.at


def replace_prediction(
    connection: sa.Connection, row: Row, old: Row, made: Waiting, asked: str | None, calls: Sequence[Call]
) -> bool:
    """Put another prediction in the place of one that the model had not answered; tell whether that is still there.

    Where somebody else was first it was acknowledged already, and stays.
    """
    if calls:  # sessions come first, as in all that is written: two that lock in turn would wait for each other
        connection.execute(sa.update(sessions).where(sessions.c.number == row.number).values(_spent(calls)))
    same = (
        predictions.c.session == row.number,
        predictions.c.step == old.step,
        predictions.c.status == "waiting",
        predictions.c.content == old.content,
    )
    replaced = connection.execute(sa.update(predictions).where(*same).values(content=text(made), asked=asked))
    spent(connection, row.tenant, calls, requests=1)
    return bool(replaced.rowcount)


def _give_up(connection: sa.Connection, session: int, number: int) -> None:
    """Give up the oldest predictions that wait and whose outcome has not come."""
    told = sa.select(outcomes.c.number).where(outcomes.c.session == session, outcomes.c.step == predictions.c.step)
    oldest = (
        sa.select(predictions.c.step)
        .where(predictions.c.session == session, predictions.c.status == "waiting", ~told.exists())
        .order_by(predictions.c.step)
        .limit(number)
    )
    gone = connection.execute(
        sa.update(predictions)
        .where(predictions.c.session == session, predictions.c.step.in_(oldest))
        .values(status="given_up")
    )
    less = sa.update(sessions).where(sessions.c.number == session).values(waiting=sessions.c.waiting - gone.rowcount)
    connection.execute(less)


def _spent(calls: Sequence[Call]) -> dict[str, Any]:
    """Give what calls add to a session's own figures."""
    added = {
        "calls": len(calls),
        "prompt_tokens": sum(call.prompt_tokens for call in calls),
        "cached_tokens": sum(call.cached_tokens or 0 for call in calls),
        "completion_tokens": sum(call.completion_tokens for call in calls),
    }
    return {name: sessions.c[name] + number for name, number in added.items() if number}


def told(connection: sa.Connection, session: int, t: int) -> Sequence[Row]:
    """List the outcomes of a step, in the order in which they came."""
    asked = sa.select(outcomes).where(outcomes.c.session == session, outcomes.c.step == t).order_by(outcomes.c.number)
    return connection.execute(asked).all()


def add_outcome(connection: sa.Connection, session: int, t: int, content: str, replaces: int | None) -> Row:
    """Keep an outcome, to be learned when its turn comes."""
    at = now(connection)
    values = {
        "session": session,
        "step": t,
        "content": content,
        "replaces": replaces,
        "status": "waiting",
        "received": at,
    }
    row = connection.execute(sa.insert(outcomes).values(values).returning(outcomes)).one()
    since = sa.func.coalesce(sessions.c.due_since, at)
    due = sa.update(sessions).where(sessions.c.number == session).values(due=sessions.c.due + 1, due_since=since)
    connection.execute(due)
    return row


def supersede(connection: sa.Connection, session: int, number: int) -> bool:
    """Take an outcome back that was not learned yet; tell whether it was not."""
    taken = connection.execute(
        sa.update(outcomes)
        .where(outcomes.c.number == number, outcomes.c.session == session, outcomes.c.status == "waiting")
        .values(status="superseded")
    )
    if taken.rowcount:
        connection.execute(sa.update(sessions).where(sessions.c.number == session).values(due=sessions.c.due - 1))
    return bool(taken.rowcount)


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


def upsert(connection: sa.Connection, table: sa.Table, values: Mapping[str, Any], keys: Collection[str]) -> None:
    """Insert a row, or put its values in the place of those that stand under the same keys."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table).values(values)
    others = {name: statement.excluded[name] for name in values if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=others))


def add_scores(connection: sa.Connection, session: int, t: int, change: Mapping[str, tuple[int, float]]) -> None:
    """Add to the sums of a step's blocks.

    Parameters
    ----------
    connection : Connection
        The database.
    session, t : int
        Which step.
    change : mapping
        By score, how many more there are and how much more they come to.
    """
    own = [sa.and_(sums.c.size == size, sums.c.block == t // size) for size in BLOCKS]
    asked = sa.select(sums.c.size, sums.c.content).where(sums.c.session == session, sa.or_(*own))
    kept = {size: read_sums(content) for size, content in connection.execute(asked)}
    for size in BLOCKS:
        content = text(added(kept.get(size, {}), change))
        row = {"session": session, "size": size, "block": t // size, "content": content}
        upsert(connection, sums, row, ("session", "size", "block"))


def curve(connection: sa.Connection, session: Row) -> tuple[int, dict[int, dict[str, tuple[int, float]]]]:
    """Give a session's sums by block, and how many steps a block has: the more, the longer the session is."""
    size = BLOCKS[0] if session.steps <= MOST_SMALL else BLOCKS[1]
    own = (sums.c.session == session.number, sums.c.size == size)
    asked = sa.select(sums.c.block, sums.c.content).where(*own).order_by(sums.c.block)
    return size, {block: read_sums(content) for block, content in connection.execute(asked)}


def added(
    kept: Mapping[str, tuple[int, float]], change: Mapping[str, tuple[int, float]]
) -> dict[str, tuple[int, float]]:
    """Add to sums.

    >>> added({"sky.accuracy": (3, 2.0)}, {"sky.accuracy": (1, 1.0), "high.abs_error": (1, 0.5)})
    {'sky.accuracy': (4, 3.0), 'high.abs_error': (1, 0.5)}
    """
    every = dict(kept)
    for name, (number, total) in change.items():
        before = every.get(name, (0, 0.0))
        every[name] = (before[0] + number, before[1] + total)
    return every


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


def count_learned(
    connection: sa.Connection, session: int, change: Mapping[str, tuple[int, float]], calls: Sequence[Call], first: bool
) -> None:
    """Count an outcome as learned, in the session's own figures.

    Parameters
    ----------
    connection : Connection
        The database.
    session : int
        Where it was learned.
    change : mapping
        What it adds to the sums of scores.
    calls : sequence of Call
        What learning it cost.
    first : bool
        Whether it is the first outcome of its prediction, which waits no longer.
    """
    kept = connection.execute(sa.select(sessions.c.sums).where(sessions.c.number == session)).scalar_one()
    values: dict[str, Any] = {
        "sums": text(added(read_sums(kept), change)),
        **less_due(session),
        **_spent(calls),
    }
    if first:
        values["waiting"] = sessions.c.waiting - 1
    connection.execute(sa.update(sessions).where(sessions.c.number == session).values(values))


def less_due(session: int) -> dict[str, Any]:
    """Give what a session's own figures become where the outcome that was due first is so no longer.

    It is due for as long as the next one that waits, and no longer: sessions have their turn by that.
    """
    waiting = (outcomes.c.session == session, outcomes.c.status == "waiting")
    since = sa.select(outcomes.c.received).where(*waiting).order_by(outcomes.c.number).limit(1).scalar_subquery()
    return {"due": sessions.c.due - 1, "due_since": since, "failures": 0, "mistakes": 0}


def entries(connection: sa.Connection, session: int, most: int) -> tuple[Version, ...]:
    """Give the latest versions of a memory, the oldest first."""
    asked = sa.select(versions.c.content).where(versions.c.session == session)
    latest = connection.execute(asked.order_by(versions.c.revision.desc()).limit(most)).scalars()
    return tuple(msgspec.json.decode(content, type=Version) for content in latest)[::-1]


def waiting(connection: sa.Connection, session: int) -> tuple[Waiting, ...]:
    """Give the predictions that wait, the oldest first."""
    asked = sa.select(predictions.c.content).where(predictions.c.session == session, predictions.c.status == "waiting")
    return tuple(map(read_waiting, connection.execute(asked.order_by(predictions.c.step)).scalars()))


def ended(connection: sa.Connection, session: int) -> dict[str, tuple[Id, ...]]:
    """Give the ids of predictions that wait no longer, by what became of them; in the order of steps."""
    asked = sa.select(predictions.c.status, predictions.c.id).where(
        predictions.c.session == session, predictions.c.status != "waiting"
    )
    found: dict[str, list[Id]] = {"learned": [], "given_up": []}
    for status, name in connection.execute(asked.order_by(predictions.c.step)):
        found[status].append(msgspec.json.decode(name, type=Id))
    return {status: tuple(names) for status, names in found.items()}


def backlog(connection: sa.Connection) -> tuple[int, float]:
    """Give how many outcomes are due, of all tenants, and for how many seconds the oldest has been."""
    asked = sa.select(sa.func.coalesce(sa.func.sum(sessions.c.due), 0), sa.func.min(sessions.c.due_since))
    due, since = connection.execute(asked.where(sessions.c.due > 0)).one()
    return int(due), 0.0 if since is None else max(now(connection) - since, 0.0)


def note_again(connection: sa.Connection, session: int, entry: Version) -> None:
    """Put an entry in the place of that of the present version, whose text it has."""
    last = sa.select(sa.func.max(versions.c.revision)).where(versions.c.session == session).scalar_subquery()
    present = sa.update(versions).where(versions.c.session == session, versions.c.revision == last)
    connection.execute(present.values(content=text(entry)))
