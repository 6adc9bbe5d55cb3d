"""The rows of what ended long ago (see `rows`, `retention`)."""

from __future__ import annotations

import sqlalchemy as sa

from llm_as_rnn.service.schema import outcomes, predictions, sessions, versions


def next_session(connection: sa.Connection, after: int) -> int | None:
    """Give the number of the next session, of whatever tenant."""
    asked = sa.select(sa.func.min(sessions.c.number)).where(sessions.c.number > after)
    number: int | None = connection.execute(asked).scalar_one()
    return number


def delete_old_steps(connection: sa.Connection, session: int, before: float, most: int) -> int:
    """Delete the first of a session's steps that ended before a time; give how many there were.

    Parameters
    ----------
    connection : Connection
        The database.
    session : int
        Whose they are.
    before : float
        Seconds since 1970.
    most : int
        How many at most.
    """
    at = sa.func.coalesce(outcomes.c.learned, outcomes.c.received)
    later = (
        sa.select(outcomes.c.number)
        .where(outcomes.c.session == predictions.c.session, outcomes.c.step == predictions.c.step)
        .where((outcomes.c.status == "waiting") | (at >= before))
    )
    old = (
        sa.select(predictions.c.step)
        .where(predictions.c.session == session, predictions.c.status.in_(("learned", "given_up")))
        .where(predictions.c.created < before, ~later.exists())
        .order_by(predictions.c.step)
        .limit(most)
    )
    own = sa.select(sessions.c.number).where(sessions.c.number == session)
    connection.execute(own.with_for_update())  # an outcome that comes meanwhile waits, and then finds no prediction
    steps = connection.execute(old).scalars().all()
    for table in (outcomes, predictions):
        connection.execute(sa.delete(table).where(table.c.session == session, table.c.step.in_(steps)))
    return len(steps)


def delete_old_versions(connection: sa.Connection, session: int, before: float) -> int:
    """Delete the versions of a session's memory that came before a time; give how many there were.

    The present one stays, and the one with the highest number, by which the next is numbered.
    """
    of = versions.c.session == session
    present = sa.select(sa.func.max(versions.c.revision)).where(of).scalar_subquery()
    highest = sa.select(sa.func.max(versions.c.version)).where(of).scalar_subquery()
    old = (of, versions.c.created < before, versions.c.revision < present, versions.c.version < highest)
    return connection.execute(sa.delete(versions).where(*old)).rowcount
