"""What migrations ask of a database besides the tables that they make."""

from __future__ import annotations

import sqlalchemy as sa

LOCK = 0x6C61_722D_6D69_6772
"""By which processes that migrate the same PostgreSQL database know each other: ``lar-migr``, as a number."""


def tables_of(connection: sa.Connection) -> set[str]:
    """List a database's tables."""
    return set(sa.inspect(connection).get_table_names())


def hold_alone(connection: sa.Connection) -> None:
    """Have others who would migrate the same database wait until this transaction ends, as SQLite's writers do."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))


def reveal(connection: sa.Connection) -> str:
    """Name a database as a command takes it, with its password hidden."""
    url = connection.engine.url
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
