"""The rows of what tenants use (see `rows`)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from llm_as_rnn.core.calls import Completion
from llm_as_rnn.service.schema import sessions, spending, tenants
from llm_as_rnn.service.store import Now, now

Connection = sa.Connection

A_DAY = 86_400
TODAY = sa.cast(sa.func.floor(Now() / A_DAY), sa.Integer)
"""The day by the clock of the database, to be written without asking for it first."""
PARTS = 16
"""Rows that a tenant's day has on PostgreSQL. A row that was written is locked until its transaction is on the disk."""


class Used(NamedTuple):
    """What a tenant used on a day.

    Attributes
    ----------
    day : int
        Days since 1970, UTC.
    requests, calls, prompt_tokens, cached_tokens, completion_tokens : int
        How many; the cached tokens are among those of prompts.
    """

    day: int
    requests: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Those that were read and written."""
        return self.prompt_tokens + self.completion_tokens


class Spent(NamedTuple):
    """What calls come to.

    Attributes
    ----------
    calls, prompt_tokens, cached_tokens, completion_tokens : int
        How many; the cached tokens are among those of prompts.
    """

    calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int

    @staticmethod
    def of(calls: Sequence[Completion]) -> Spent:
        """Add calls up."""
        return Spent(
            len(calls),
            sum(call.prompt_tokens for call in calls),
            sum(call.cached_tokens or 0 for call in calls),
            sum(call.completion_tokens for call in calls),
        )


def spent(connection: sa.Connection, tenant: int, calls: Sequence[Completion], requests: int = 0) -> None:
    """Add to what a tenant used today. It comes last in its transaction, which then waits for nobody it keeps waiting.

    Parameters
    ----------
    connection : Connection
        The database, in the transaction that keeps what the calls brought.
    tenant : int
        Whose they were.
    calls : sequence of Completion
        As they were answered.
    requests : int
        Of the tenant's, that were answered with them.
    """
    if not calls and not requests:
        return
    alone = connection.dialect.name == "sqlite"
    part = 0 if alone else random.randrange(PARTS)  # noqa: S311 - it spreads, and keeps no secret
    row = {"tenant": tenant, "part": part, "requests": requests, **Spent.of(calls)._asdict()}
    connection.execute(_ADD[connection.dialect.name], row)


def _adding(insert: sqlite.Insert | postgresql.Insert) -> sa.Insert:
    summed = ("requests", *Spent._fields)
    parameters: dict[str, Any] = {name: sa.bindparam(name) for name in ("tenant", "part", *summed)}
    insert = insert.values(day=TODAY, **parameters)
    more = {name: spending.c[name] + insert.excluded[name] for name in summed}
    return insert.on_conflict_do_update(index_elements=["tenant", "day", "part"], set_=more)


_ADD = {"sqlite": _adding(sqlite.insert(spending)), "postgresql": _adding(postgresql.insert(spending))}


def used(connection: sa.Connection, tenant: int, days: int) -> list[Used]:
    """List what a tenant used, a day each, today last; days without anything are left out.

    Parameters
    ----------
    connection : Connection
        The database.
    tenant : int
        Whose it is.
    days : int
        How many, today among them.
    """
    columns = [sa.cast(sa.func.sum(spending.c[name]), sa.BigInteger) for name in Used._fields[1:]]
    since = int(now(connection)) // A_DAY - days
    asked = sa.select(spending.c.day, *columns).where(spending.c.tenant == tenant, spending.c.day > since)
    return [Used(*row) for row in connection.execute(asked.group_by(spending.c.day).order_by(spending.c.day))]


def used_today(connection: sa.Connection, tenant: int) -> tuple[Used, float]:
    """Give what a tenant used today, and how many seconds today still has."""
    at = now(connection)
    today = int(at) // A_DAY
    found = used(connection, tenant, 1)
    return (found[-1] if found else Used(today)), (today + 1) * A_DAY - at


def sessions_of(connection: sa.Connection, tenant: int) -> int:
    """Count a tenant's sessions; until the transaction ends, nobody else who counts them can begin one."""
    own = sa.select(tenants.c.number).where(tenants.c.number == tenant)
    connection.execute(own.with_for_update(key_share=True))  # who only refers to the tenant need not wait
    return int(connection.execute(sa.select(sa.func.count()).where(sessions.c.tenant == tenant)).scalar_one())
