"""The tables, as both databases have them. What changes here needs a migration (``migrations/``).

Contents are JSON as msgspec writes it, in columns of text: what was written is what is read, byte for byte, on both.
Times are seconds since 1970 by the database's own clock (see `store.now`).
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A number that counts up by itself; SQLite does that for its own kind of integer alone. Tables with rows that may go
say ``sqlite_autoincrement``, so that no number is given again: processes remember by numbers what they read."""


def _tenant() -> sa.Column[int]:
    return sa.Column("tenant", Number, sa.ForeignKey("tenants.number", ondelete="CASCADE"), nullable=False)


def _session(key: bool = False) -> sa.Column[int]:
    owner = sa.ForeignKey("sessions.number", ondelete="CASCADE")
    return sa.Column("session", Number, owner, nullable=False, primary_key=key, autoincrement=False)


tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("number", Number, primary_key=True, autoincrement=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("quotas", sa.Text, nullable=False, server_default="{}"),
    sa.Column("created", sa.Double, nullable=False),
    sqlite_autoincrement=True,
)
"""Who owns what. Each sees its own alone."""

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("number", Number, primary_key=True, autoincrement=True),
    _tenant(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("revoked", sa.Double),
    sa.Index(None, "tenant"),
    sqlite_autoincrement=True,
)
"""Keys to the service: of each its digest, never itself, and the first characters by which people tell it."""

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("number", Number, primary_key=True, autoincrement=True),
    _tenant(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.UniqueConstraint("tenant", "name", "version"),
    sqlite_autoincrement=True,
)
"""What can be predicted, by name and version. A version never changes."""

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("number", Number, primary_key=True, autoincrement=True),
    _tenant(),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("task", Number, sa.ForeignKey("tasks.number"), nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("settings", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default="active"),
    sa.Column("steps", Number, nullable=False, server_default="0"),
    sa.Column("revision", Number, nullable=False, server_default="0"),
    sa.Column("memory_version", sa.Integer),
    sa.Column("waiting", sa.Integer, nullable=False, server_default="0"),
    sa.Column("due", sa.Integer, nullable=False, server_default="0"),
    sa.Column("due_since", sa.Double),
    sa.Column("not_before", sa.Double, nullable=False, server_default="0"),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("mistakes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("worker", sa.Text),
    sa.Column("leased_until", sa.Double, nullable=False, server_default="0"),
    sa.Column("sums", sa.Text, nullable=False, server_default="{}"),
    sa.Column("calls", Number, nullable=False, server_default="0"),
    sa.Column("prompt_tokens", Number, nullable=False, server_default="0"),
    sa.Column("cached_tokens", Number, nullable=False, server_default="0"),
    sa.Column("completion_tokens", Number, nullable=False, server_default="0"),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("changed", sa.Double, nullable=False),
    sa.UniqueConstraint("tenant", "id"),
    sa.Index("ix_sessions_due", "due_since", sqlite_where=sa.text("due > 0"), postgresql_where=sa.text("due > 0")),
    sqlite_autoincrement=True,
)
"""One stream each. ``revision`` counts the changes of its state: who writes one says which it was made from."""

states = sa.Table(
    "states",
    metadata,
    _session(key=True),
    sa.Column("content", sa.Text, nullable=False),
)
"""The stream of a session (`streams.online.Stream`) without what stands in tables of its own."""

predictions = sa.Table(
    "predictions",
    metadata,
    _session(key=True),
    sa.Column("step", Number, primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("asked", sa.Text),
    sa.Column("created", sa.Double, nullable=False),
    sa.UniqueConstraint("session", "id"),
    sa.Index(
        "ix_predictions_waiting",
        "session",
        "step",
        sqlite_where=sa.text("status = 'waiting'"),
        postgresql_where=sa.text("status = 'waiting'"),
    ),
)
"""``content`` is a `streams.replaying.Waiting`; ``id`` is its id as JSON, for 7 is not "7"."""

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("number", Number, primary_key=True, autoincrement=True),
    _session(),
    sa.Column("step", Number, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("replaces", Number),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("received", sa.Double, nullable=False),
    sa.Column("learned", sa.Double),
    sa.Column("revision", Number),
    sa.Column("result", sa.Text),
    sa.Index(None, "session", "step"),
    sa.Index(
        "ix_outcomes_waiting",
        "session",
        "number",
        sqlite_where=sa.text("status = 'waiting'"),
        postgresql_where=sa.text("status = 'waiting'"),
    ),
    sqlite_autoincrement=True,
)
"""What was told, in the order in which it came. A correction is a row of its own that says what it replaces."""

versions = sa.Table(
    "versions",
    metadata,
    _session(key=True),
    sa.Column("revision", Number, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
)
"""The memories of a session (`streams.online.Version`), each under the revision that brought it."""

sums = sa.Table(
    "sums",
    metadata,
    _session(key=True),
    sa.Column("size", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("block", Number, primary_key=True, autoincrement=False),
    sa.Column("content", sa.Text, nullable=False),
)
"""Running sums of scores, a row a block of steps, so that nobody adds up a million steps; in blocks of two sizes."""

spending = sa.Table(
    "spending",
    metadata,
    sa.Column("tenant", Number, sa.ForeignKey("tenants.number", ondelete="CASCADE"), primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("requests", Number, nullable=False, server_default="0"),
    sa.Column("calls", Number, nullable=False, server_default="0"),
    sa.Column("prompt_tokens", Number, nullable=False, server_default="0"),
    sa.Column("cached_tokens", Number, nullable=False, server_default="0"),
    sa.Column("completion_tokens", Number, nullable=False, server_default="0"),
)
"""What a tenant used on a day (days since 1970, UTC), in several parts, whose sum it is: so that those who write at the
same time on PostgreSQL need not wait for each other's commits."""
