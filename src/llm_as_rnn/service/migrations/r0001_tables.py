"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make them."""
    _make_tenants()
    _make_sessions()
    _make_predictions()
    _make_outcomes()
    _make_memories()


def _make_tenants() -> None:
    op.create_table(
        "tenants",
        _counted(),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("quotas", sa.Text, nullable=False, server_default="{}"),
        sa.Column("created", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "keys",
        _counted(),
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
    op.create_table(
        "spending",
        _tenant(key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        _sum("requests"),
        *_sums_of_calls(),
    )


def _make_sessions() -> None:
    op.create_table(
        "tasks",
        _counted(),
        _tenant(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.UniqueConstraint("tenant", "name", "version"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sessions",
        _counted(),
        _tenant(),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("task", NUMBER, sa.ForeignKey("tasks.number"), nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="active"),
        _sum("steps"),
        _sum("revision"),
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
        *_sums_of_calls(),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("changed", sa.Double, nullable=False),
        sa.UniqueConstraint("tenant", "id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sessions_due", "sessions", ["due_since"], **_where("due > 0"))
    op.create_table("states", _session(key=True), sa.Column("content", sa.Text, nullable=False))


def _make_predictions() -> None:
    op.create_table(
        "predictions",
        _session(key=True),
        sa.Column("step", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("asked", sa.Text),
        sa.Column("created", sa.Double, nullable=False),
        sa.UniqueConstraint("session", "id"),
    )
    op.create_index("ix_predictions_waiting", "predictions", ["session", "step"], **_where("status = 'waiting'"))


def _make_outcomes() -> None:
    op.create_table(
        "outcomes",
        _counted(),
        _session(),
        sa.Column("step", NUMBER, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("replaces", NUMBER),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("received", sa.Double, nullable=False),
        sa.Column("learned", sa.Double),
        sa.Column("revision", NUMBER),
        sa.Column("result", sa.Text),
        sa.Index(None, "session", "step"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outcomes_waiting", "outcomes", ["session", "number"], **_where("status = 'waiting'"))


def _make_memories() -> None:
    op.create_table(
        "versions",
        _session(key=True),
        sa.Column("revision", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
    )
    op.create_table(
        "sums",
        _session(key=True),
        sa.Column("size", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("block", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("content", sa.Text, nullable=False),
    )


def _counted() -> sa.Column[int]:
    return sa.Column("number", NUMBER, primary_key=True, autoincrement=True)


def _tenant(key: bool = False) -> sa.Column[int]:
    owner = sa.ForeignKey("tenants.number", ondelete="CASCADE")
    return sa.Column("tenant", NUMBER, owner, nullable=False, primary_key=key)


def _session(key: bool = False) -> sa.Column[int]:
    owner = sa.ForeignKey("sessions.number", ondelete="CASCADE")
    return sa.Column("session", NUMBER, owner, nullable=False, primary_key=key, autoincrement=False)


def _sum(name: str) -> sa.Column[int]:
    return sa.Column(name, NUMBER, nullable=False, server_default="0")


def _sums_of_calls() -> list[sa.Column[int]]:
    return [_sum(name) for name in ("calls", "prompt_tokens", "cached_tokens", "completion_tokens")]


def _where(condition: str) -> dict[str, Any]:
    """Have an index hold rows of one kind alone."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
