"""The rows by which outcomes have their turn to be learned, and those of a lesson (see `rows`, `learning`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from llm_as_rnn.core.calls import Call
from llm_as_rnn.service.present import ADVANCED
from llm_as_rnn.service.rows import Row, text
from llm_as_rnn.service.schema import outcomes, predictions, sessions
from llm_as_rnn.service.step_rows import MINE, MORE, more
from llm_as_rnn.service.store import Now
from llm_as_rnn.service.sum_rows import added, read_sums


def _is_over(until: sa.Column[float], longest: str) -> sa.ColumnElement[bool]:
    """Tell whether a time is over. One further off than any that is ever set was set before the clock was put back."""
    return sa.or_(until <= Now(), until > Now() + bindparam(longest, type_=sa.Double))


_FREE = (
    sa.select(sessions.c.number)
    .where(sessions.c.due > 0, _is_over(sessions.c.leased_until, "lease"), _is_over(sessions.c.not_before, "pause"))
    .order_by(sessions.c.due_since)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    sa.update(sessions)
    .where(sessions.c.number.in_(_FREE))
    .values(worker=bindparam("me"), leased_until=Now() + bindparam("lease", type_=sa.Double))
    .returning(sessions.c.number)
)


def claim(connection: sa.Connection, worker: str, most: int, lease: float, pause: float) -> Sequence[int]:
    """Lease the sessions whose outcomes have been due for longest, of those that are free.

    Parameters
    ----------
    connection : Connection
        The database.
    worker : str
        Who leases them.
    most : int
        How many at most.
    lease : float
        For how many seconds.
    pause : float
        The longest that a session is ever left alone after a failure, in seconds.

    Returns
    -------
    sequence of int
        The numbers of the sessions.
    """
    values = {"me": worker, "most": most, "lease": lease, "pause": pause}
    return connection.execute(_CLAIM, values).scalars().all()


def renew(connection: sa.Connection, worker: str, numbers: Collection[int], lease: float) -> None:
    """Hold sessions for so many seconds from now on."""
    mine = sa.update(sessions).where(sessions.c.number.in_(numbers), sessions.c.worker == worker)
    connection.execute(mine.values(leased_until=Now() + lease))


_LET_GO = MINE.where(sessions.c.worker == bindparam("me")).values(
    worker=None, leased_until=0.0, not_before=Now() + bindparam("wait", type_=sa.Double)
)


def let_go(connection: sa.Connection, worker: str, number: int, wait: float) -> None:
    """Free a session, to be claimed again after so many seconds."""
    connection.execute(_LET_GO, {"own": number, "me": worker, "wait": wait})


def count_failure(connection: sa.Connection, number: int, mistake: bool) -> tuple[int, int]:
    """Note that learning failed, and give how often it did in turn, and how often by no fault of an engine."""
    values = {"failures": sessions.c.failures + 1, "mistakes": sessions.c.mistakes + int(mistake)}
    mine = sa.update(sessions).where(sessions.c.number == number).values(values)
    row = connection.execute(mine.returning(sessions.c.failures, sessions.c.mistakes)).one_or_none()
    return (1, 0) if row is None else (row.failures, row.mistakes)


_WAITING = (outcomes.c.session == bindparam("session"), outcomes.c.status == "waiting")
_FIRST_DUE = sa.select(outcomes).where(*_WAITING).order_by(outcomes.c.number).limit(1)
_OF_STEP = (predictions.c.session == bindparam("session"), predictions.c.step == bindparam("step"))
_STEP = sa.select(predictions).where(*_OF_STEP)
_OLDEST = (
    sa.select(predictions.c.content)
    .where(
        predictions.c.session == bindparam("session"),
        predictions.c.status == "waiting",
        predictions.c.step != bindparam("step"),
    )
    .order_by(predictions.c.step)
    .limit(1)
)


def first_due(connection: sa.Connection, session: int) -> Row | None:
    """Find the outcome whose turn it is in a session."""
    return connection.execute(_FIRST_DUE, {"session": session}).one_or_none()


def prediction_of(connection: sa.Connection, outcome: Row) -> Row:
    """Find what was predicted of an outcome."""
    return connection.execute(_STEP, {"session": outcome.session, "step": outcome.step}).one()


def oldest_waiting(connection: sa.Connection, outcome: Row) -> str | None:
    """Give the oldest prediction that waits in a session once an outcome is learned."""
    of = {"session": outcome.session, "step": outcome.step}
    content: str | None = connection.execute(_OLDEST, of).scalar_one_or_none()
    return content


def learned_before(connection: sa.Connection, outcome: Row) -> Row | None:
    """Find the outcome of the same step that was learned last."""
    same = (outcomes.c.session == outcome.session, outcomes.c.step == outcome.step, outcomes.c.status == "learned")
    last = sa.select(outcomes).where(*same).order_by(outcomes.c.number.desc()).limit(1)
    return connection.execute(last).one_or_none()


_SINCE = sa.select(outcomes.c.received).where(
    outcomes.c.session == sessions.c.number, outcomes.c.status == "waiting", outcomes.c.number > bindparam("ended")
)
_LESS_DUE = {
    "due": sessions.c.due - 1,
    "due_since": _SINCE.order_by(outcomes.c.number).limit(1).scalar_subquery(),
    "failures": 0,
    "mistakes": 0,
}
"""What a session's own figures become where the outcome ``ended``, which was due first, is so no longer.

It is due for as long as the next one that waits, and no longer: sessions have their turn by that.
"""

_LEARNED = (
    sa.update(outcomes)
    .where(outcomes.c.number == bindparam("outcome"), outcomes.c.status == "waiting")
    .values(status="learned", learned=Now(), revision=bindparam("becomes"), result=bindparam("says"))
)
_NO_LONGER_WAITING = sa.update(predictions).where(
    predictions.c.session == bindparam("own"), predictions.c.step == bindparam("its")
)
_NO_LONGER_WAITING = _NO_LONGER_WAITING.values(status="learned")


def mark_learned(connection: sa.Connection, outcome: Row, revision: int, result: str) -> bool:
    """Note an outcome as learned; tell whether it waited still."""
    mine = {"outcome": outcome.number, "becomes": revision, "says": result}
    if connection.execute(_LEARNED, mine).rowcount != 1:
        return False
    connection.execute(_NO_LONGER_WAITING, {"own": outcome.session, "its": outcome.step})
    return True


def refuse_first_due(connection: sa.Connection, session: int, why: str) -> None:
    """Learn the outcome whose turn it is never, so that those behind it have theirs."""
    oldest = first_due(connection, session)
    if oldest is not None:
        refused = {"status": "refused", "result": text({"note": why})}
        connection.execute(sa.update(outcomes).where(outcomes.c.number == oldest.number).values(refused))
        connection.execute(MINE.values(_LESS_DUE), {"own": session, "ended": oldest.number})


_IS_LAST = sessions.c.due == 1
_LESSON = ADVANCED.values(
    sums=bindparam("adds_up_to"),
    waiting=sessions.c.waiting - bindparam("waits_less"),
    worker=sa.case((_IS_LAST, sa.null()), else_=sessions.c.worker),
    leased_until=sa.case((_IS_LAST, 0.0), else_=sessions.c.leased_until),
    **_LESS_DUE,
    **MORE,
)


def lesson(
    row: Row, outcome: Row, change: Mapping[str, tuple[int, float]], calls: Sequence[Call], first: bool
) -> tuple[sa.Executable, Mapping[str, Any]]:
    """Give what a lesson does to its session's own figures, for `present.commit`; the last that was due frees it.

    Parameters
    ----------
    row : Row
        The session, as the lesson found it.
    outcome : Row
        What is learned.
    change : mapping
        What the lesson adds to the sums of scores.
    calls : sequence of Call
        What it cost.
    first : bool
        Whether it is of the first outcome of its prediction, which waits no longer.
    """
    sums = text(added(read_sums(row.sums), change))
    return _LESSON, {"ended": outcome.number, "adds_up_to": sums, "waits_less": int(first), **more(calls)}
