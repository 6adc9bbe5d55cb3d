"""What stands in the database, as plain rows, for whoever checks it."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from llm_as_rnn.service.schema import outcomes, predictions, sessions, spending, states, sums, tasks, tenants, versions
from llm_as_rnn.service.store import Store

Row = sa.Row[Any]


class Session(NamedTuple):
    """A session with all that belongs to it, each in the order in which it came about."""

    tenant: str
    row: Row
    task: str
    state: str
    predictions: list[Row]
    outcomes: list[Row]
    versions: list[Row]
    sums: list[Row]

    @property
    def name(self) -> tuple[str, str]:
        """By whom and as what it is known."""
        return self.tenant, self.row.id

    @property
    def learned(self) -> list[Row]:
        """Outcomes that were learned, in the order of learning."""
        return sorted((one for one in self.outcomes if one.status == "learned"), key=lambda one: one.revision or 0)

    @property
    def first_versions(self) -> list[Row]:
        """The memories that it was begun with: more than one in a fork."""
        return [one for one in self.versions if one.created == self.row.created]


class Tables(NamedTuple):
    """All sessions, and what each tenant used by the table of that: calls, prompt tokens, tokens written."""

    sessions: list[Session]
    spent: dict[str, tuple[int, int, int]]


async def read_tables(store: Store) -> Tables:
    """Read everything."""
    return await store.read(_read)


async def due(store: Store) -> int:
    """Count outcomes that came and are not learned, by their rows."""
    asked = sa.select(sa.func.count()).where(outcomes.c.status == "waiting")
    return await store.read(lambda connection: int(connection.execute(asked).scalar_one()))


def _read(connection: sa.Connection) -> Tables:
    def every(table: sa.Table, *order: sa.Column[Any]) -> dict[int, list[Row]]:
        found: dict[int, list[Row]] = {}
        for row in connection.execute(sa.select(table).order_by(*order)):
            found.setdefault(row.session, []).append(row)
        return found

    names = {row.number: row.name for row in connection.execute(sa.select(tenants))}
    contents = {row.number: row.content for row in connection.execute(sa.select(tasks))}
    kept = every(states, states.c.session)
    said, told = every(predictions, predictions.c.step), every(outcomes, outcomes.c.number)
    memories, scores = every(versions, versions.c.revision), every(sums, sums.c.block)
    found = [
        Session(
            names[row.tenant],
            row,
            contents[row.task],
            kept[row.number][0].content,
            said.get(row.number, []),
            told.get(row.number, []),
            memories.get(row.number, []),
            scores.get(row.number, []),
        )
        for row in connection.execute(sa.select(sessions).order_by(sessions.c.number))
    ]
    spent: dict[str, tuple[int, int, int]] = {}
    for row in connection.execute(sa.select(spending)):
        before = spent.get(names[row.tenant], (0, 0, 0))
        more = (row.calls, row.prompt_tokens, row.completion_tokens)
        spent[names[row.tenant]] = (before[0] + more[0], before[1] + more[1], before[2] + more[2])
    return Tables(found, spent)


def plain(content: str) -> Any:
    """Read JSON."""
    return msgspec.json.decode(content)


def as_json(value: Any) -> Any:
    """Give a value as it is once it was written and read."""
    return plain(msgspec.json.encode(value).decode())
