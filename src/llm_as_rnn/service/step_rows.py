"""The rows of steps: predictions, outcomes, and what both add to their session's own figures (see `rows`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy import bindparam

from llm_as_rnn.core.calls import Call
from llm_as_rnn.service.errors import ConflictError, NotFoundError
from llm_as_rnn.service.rows import Row, text
from llm_as_rnn.service.schema import outcomes, predictions, sessions
from llm_as_rnn.service.spending_rows import Spent, spent
from llm_as_rnn.service.store import Now, now
from llm_as_rnn.streams.replaying import Id, Waiting

_waiting = msgspec.json.Decoder(Waiting)


def read_waiting(content: str) -> Waiting:
    """Read a prediction as its row has it."""
    return _waiting.decode(content)


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


_PREDICTION = sa.select(predictions).where(
    predictions.c.session == bindparam("session"), predictions.c.id == bindparam("id")
)


def prediction(connection: sa.Connection, session: int, name: Id) -> Row | None:
    """Find a prediction by its id, if there is one."""
    return connection.execute(_PREDICTION, {"session": session, "id": text(name)}).one_or_none()


MORE = {name: sessions.c[name] + bindparam(f"more_{name}") for name in Spent._fields}
"""What calls add to a session's own figures, by parameters as `more` gives them."""


def more(calls: Sequence[Call]) -> dict[str, int]:
    """Give the parameters of `MORE`."""
    return {f"more_{name}": number for name, number in Spent.of(calls)._asdict().items()}


MINE = sa.update(sessions).where(sessions.c.number == bindparam("own"))
"""The row of the session whose number is the parameter ``own``, to be given values."""
_NEXT = (
    MINE.where(sessions.c.status == "active")
    .values(steps=sessions.c.steps + 1, waiting=sessions.c.waiting + 1, **MORE)
    .returning(sessions.c.steps, sessions.c.waiting, Now().label("at"))
)
_INSERT_PREDICTION = sa.insert(predictions)


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
    next_one = connection.execute(_NEXT, {"own": session, **more(calls)}).one_or_none()
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
    connection.execute(_INSERT_PREDICTION, values)
    if next_one.waiting > most:
        _give_up(connection, session, next_one.waiting - most)
    spent(connection, row.tenant, calls, requests=1)
    return made, next_one.at


def replace_prediction(
    connection: sa.Connection, row: Row, old: Row, made: Waiting, asked: str | None, calls: Sequence[Call]
) -> bool:
    """Put another prediction in the place of one that the model had not answered; tell whether that is still there.

    Where somebody else was first it was acknowledged already, and stays; so it does where its outcome came meanwhile.
    """
    add_cost(connection, row, calls)  # sessions come first: two that lock in turn would wait for each other
    same = (
        predictions.c.session == row.number,
        predictions.c.step == old.step,
        predictions.c.status == "waiting",
        predictions.c.content == old.content,
        ~_has_outcome(row.number),
    )
    replaced = connection.execute(sa.update(predictions).where(*same).values(content=text(made), asked=asked))
    return bool(replaced.rowcount)


def add_cost(connection: sa.Connection, row: Row, calls: Sequence[Call]) -> None:
    """Count what a prediction cost that is no further step: another one of its id was there, or came first."""
    if calls:
        connection.execute(MINE.values(MORE), {"own": row.number, **more(calls)})
    spent(connection, row.tenant, calls, requests=1)


def _has_outcome(session: int) -> sa.Exists:
    """Say of a prediction's row that its outcome was told."""
    return sa.exists().where(outcomes.c.session == session, outcomes.c.step == predictions.c.step)


def _give_up(connection: sa.Connection, session: int, number: int) -> None:
    """Give up the oldest predictions that wait and whose outcome has not come."""
    oldest = (
        sa.select(predictions.c.step)
        .where(predictions.c.session == session, predictions.c.status == "waiting", ~_has_outcome(session))
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


_TOLD = (
    sa.select(outcomes)
    .where(outcomes.c.session == bindparam("session"), outcomes.c.step == bindparam("step"))
    .order_by(outcomes.c.number)
)


def told(connection: sa.Connection, session: int, t: int) -> Sequence[Row]:
    """List the outcomes of a step, in the order in which they came."""
    return connection.execute(_TOLD, {"session": session, "step": t}).all()


def latest_told(
    connection: sa.Connection, session: int, steps: Collection[int], *, learned: bool = False
) -> dict[int, Row]:
    """Give the latest outcomes of steps, by step; of those that were learned, if these alone are asked for.

    They are sorted here: a database that knows little of its tables might walk through all outcomes in that order.
    """
    asked = sa.select(outcomes).where(outcomes.c.session == session, outcomes.c.step.in_(steps))
    if learned:
        asked = asked.where(outcomes.c.status == "learned")
    found = sorted(connection.execute(asked).all(), key=lambda row: int(row.number))
    return {row.step: row for row in found}


_INSERT_OUTCOME = sa.insert(outcomes).values(status="waiting", received=Now()).returning(outcomes)
_ONE_MORE_DUE = MINE.values(
    due=sessions.c.due + 1, due_since=sa.func.coalesce(sessions.c.due_since, bindparam("received"))
)


def add_outcome(connection: sa.Connection, session: int, t: int, content: str, replaces: int | None) -> Row:
    """Keep an outcome, to be learned when its turn comes."""
    values = {"session": session, "step": t, "content": content, "replaces": replaces}
    row = connection.execute(_INSERT_OUTCOME, values).one()
    connection.execute(_ONE_MORE_DUE, {"own": session, "received": row.received})
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
