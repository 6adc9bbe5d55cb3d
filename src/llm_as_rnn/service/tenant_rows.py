"""The rows of tenants and of their keys (see `rows`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from llm_as_rnn.service.errors import NotFoundError
from llm_as_rnn.service.schema import keys, sessions, tasks, tenants
from llm_as_rnn.service.store import now

Row = sa.Row[Any]
Connection = sa.Connection


def find_tenant(connection: sa.Connection, name: str) -> Row:
    """Find a tenant by its name.

    Raises
    ------
    NotFoundError
        If there is none of it.
    """
    row = connection.execute(sa.select(tenants).where(tenants.c.name == name)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no tenant {name!r}", f"run llm-as-rnn serve tenants create {name}")
    return row


def add_tenant(connection: sa.Connection, name: str, quotas: str) -> int | None:
    """Add a tenant, and give its number; None where there is one of this name."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    values = {"name": name, "quotas": quotas, "created": now(connection)}
    added = insert(tenants).values(values).on_conflict_do_nothing(index_elements=["name"])
    return connection.execute(added.returning(tenants.c.number)).scalar_one_or_none()


def set_quotas(connection: sa.Connection, name: str, quotas: str) -> None:
    """Have a tenant use as much as is said now."""
    number = find_tenant(connection, name).number
    connection.execute(sa.update(tenants).where(tenants.c.number == number).values(quotas=quotas))


def all_tenants(connection: sa.Connection) -> Sequence[Row]:
    """List the tenants by name, each with the numbers of its keys that are valid and of its sessions."""
    valid = sa.select(sa.func.count()).where(keys.c.tenant == tenants.c.number, keys.c.revoked.is_(None))
    begun = sa.select(sa.func.count()).where(sessions.c.tenant == tenants.c.number)
    counted = (valid.scalar_subquery().label("keys"), begun.scalar_subquery().label("sessions"))
    return connection.execute(sa.select(tenants, *counted).order_by(tenants.c.name)).all()


def delete_sessions(connection: sa.Connection, tenant: int, most: int) -> int:
    """Delete some of a tenant's sessions with all that belongs to them; give how many there were."""
    some = sa.select(sessions.c.number).where(sessions.c.tenant == tenant).limit(most)
    return connection.execute(sa.delete(sessions).where(sessions.c.number.in_(some))).rowcount


def delete_tenant(connection: sa.Connection, tenant: int) -> None:
    """Delete a tenant with all that is left of it. Sessions go before the tasks that they are about."""
    connection.execute(sa.delete(sessions).where(sessions.c.tenant == tenant))
    connection.execute(sa.delete(tasks).where(tasks.c.tenant == tenant))
    connection.execute(sa.delete(tenants).where(tenants.c.number == tenant))


def add_key(connection: sa.Connection, tenant: int, name: str, hint: str, digest: str, scopes: str) -> None:
    """Add a key."""
    values = {"tenant": tenant, "name": name, "hint": hint, "digest": digest, "scopes": scopes}
    connection.execute(sa.insert(keys).values({**values, "created": now(connection)}))


def all_keys(connection: sa.Connection, tenant: str | None) -> Sequence[Row]:
    """List the keys of one tenant or of all, oldest first, each with its tenant's name."""
    owner = tenants.c.name.label("owner")
    asked = sa.select(keys, owner).join(tenants, tenants.c.number == keys.c.tenant).order_by(keys.c.number)
    if tenant is not None:
        asked = asked.where(keys.c.tenant == find_tenant(connection, tenant).number)
    return connection.execute(asked).all()


def find_key(connection: sa.Connection, digest: str) -> Row | None:
    """Find a valid key by its digest, with its tenant's quotas."""
    asked = (
        sa.select(keys, tenants.c.quotas)
        .join(tenants, tenants.c.number == keys.c.tenant)
        .where(keys.c.digest == digest, keys.c.revoked.is_(None))
    )
    return connection.execute(asked).one_or_none()


def has_keys(connection: sa.Connection) -> bool:
    """Tell whether there ever was a key."""
    return connection.execute(sa.select(keys.c.number).limit(1)).first() is not None


def revoke_key(connection: sa.Connection, hint: str) -> None:
    """Revoke the key that begins so. One that was revoked stays so, as of then.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    if connection.execute(sa.select(keys.c.number).where(keys.c.hint == hint)).first() is None:
        raise NotFoundError(f"no key begins with {hint!r}", "see llm-as-rnn serve keys list")
    valid = sa.update(keys).where(keys.c.hint == hint, keys.c.revoked.is_(None))
    connection.execute(valid.values(revoked=now(connection)))
