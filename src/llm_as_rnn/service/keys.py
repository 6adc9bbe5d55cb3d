"""Tenants, and the keys by which the service knows them.

A key is shown once, when it is made; the database has its SHA-256. Passwords need a slow hash, because people choose
ones that can be guessed; a key's secret is 256 bits drawn at random, which nobody guesses however fast the hash is. A
key is found by its digest, so that no secret is ever compared with what a caller sends: how long the search takes tells
at most about digests, which nobody can choose.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import time
from collections.abc import Iterable
from typing import NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from llm_as_rnn.service import tenant_rows
from llm_as_rnn.service.callers import SCOPES, Caller, Quotas
from llm_as_rnn.service.errors import ConflictError, NoKeyError, UnfitError
from llm_as_rnn.service.store import Store
from llm_as_rnn.service.views import Name, View

BELIEVED = 5.0
"""Seconds for which a key that was valid is taken to be so: what was revoked elsewhere works no longer than that."""
MOST_BELIEVED = 10_000
"""Keys that a process remembers at a time."""
PORTION = 20
"""Sessions that are deleted in one transaction, so that others may write meanwhile."""
LOCAL = "local"
"""The tenant of a service that has no keys, because only this machine reaches it."""

_FORM = re.compile(r"(lar_[a-z0-9]{8})_[A-Za-z0-9_-]{43}")
_HINT = len("lar_") + 8


class TenantView(View, frozen=True, kw_only=True):
    """A tenant.

    Attributes
    ----------
    name : str
        Its name.
    quotas : Quotas
        How much it may use.
    keys : int
        Its valid keys.
    sessions : int
        Its sessions, archived ones among them.
    created : float
        Seconds since 1970.
    """

    name: str
    quotas: Quotas
    keys: int
    sessions: int
    created: float


class KeyView(View, frozen=True, kw_only=True):
    """A key, without what it is known by.

    Attributes
    ----------
    tenant, name : str
        Whose it is, and what it is called.
    hint : str
        How it begins, by which people tell it.
    scopes : tuple of str
        What may be done with it.
    created : float
        Seconds since 1970.
    revoked : float or None
        Since when it is no longer valid.
    """

    tenant: str
    name: str
    hint: str
    scopes: tuple[str, ...]
    created: float
    revoked: float | None


async def create_tenant(store: Store, name: str, quotas: Quotas = Quotas()) -> None:  # noqa: B008 - frozen
    """Add a tenant.

    Raises
    ------
    UnfitError
        If the name cannot stand in a path.
    ConflictError
        If there is one of this name.
    """
    named, allowed = _name(name), msgspec.json.encode(quotas).decode()
    if await store.write(lambda connection: tenant_rows.add_tenant(connection, named, allowed)) is None:
        raise ConflictError(f"there is a tenant {name!r} already", "choose another name")


async def change_quotas(store: Store, name: str, quotas: Quotas) -> None:
    """Have a tenant use as much as is said now; other processes know of it within `BELIEVED`.

    Raises
    ------
    NotFoundError
        If there is no such tenant.
    """
    allowed = msgspec.json.encode(quotas).decode()
    await store.write(lambda connection: tenant_rows.set_quotas(connection, name, allowed))
    _forget(store)


async def list_tenants(store: Store) -> list[TenantView]:
    """List the tenants by name."""
    return [
        TenantView(
            name=row.name,
            quotas=msgspec.json.decode(row.quotas, type=Quotas),
            keys=row.keys,
            sessions=row.sessions,
            created=row.created,
        )
        for row in await store.read(tenant_rows.all_tenants)
    ]


async def delete_tenant(store: Store, name: str) -> None:
    """Delete a tenant with all that is its own. Where this is interrupted, it can be done again.

    Raises
    ------
    NotFoundError
        If there is no such tenant.
    """
    number = (await store.read(lambda connection: tenant_rows.find_tenant(connection, name))).number
    while await store.write(lambda connection: tenant_rows.delete_sessions(connection, number, PORTION)):
        pass
    await store.write(lambda connection: tenant_rows.delete_tenant(connection, number))
    _forget(store)


async def create_key(store: Store, tenant: str, name: str, scopes: Iterable[str]) -> str:
    """Make a key, and give it: there is no way to see it again.

    Parameters
    ----------
    store : Store
        The database.
    tenant, name : str
        Whose it is, and what it is called.
    scopes : iterable of str
        What may be done with it (`callers.Scope`).

    Raises
    ------
    UnfitError
        If there is no such scope, or the name cannot stand in a path.
    NotFoundError
        If there is no such tenant.
    """
    wanted, named = _scopes(scopes), _name(name)
    short = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    key = f"lar_{short}_{secrets.token_urlsafe(32)}"

    def add(connection: tenant_rows.Connection) -> None:
        number = tenant_rows.find_tenant(connection, tenant).number
        tenant_rows.add_key(connection, number, named, key[:_HINT], _digest(key), wanted)

    await store.write(add)
    return key


async def list_keys(store: Store, tenant: str | None = None) -> list[KeyView]:
    """List the keys of one tenant or of all, oldest first.

    Raises
    ------
    NotFoundError
        If there is no such tenant.
    """
    return [
        KeyView(
            tenant=row.owner,
            name=row.name,
            hint=row.hint,
            scopes=tuple(row.scopes.split()),
            created=row.created,
            revoked=row.revoked,
        )
        for row in await store.read(lambda connection: tenant_rows.all_keys(connection, tenant))
    ]


async def revoke_key(store: Store, hint: str) -> None:
    """Revoke a key: here at once, in other processes within `BELIEVED`.

    Parameters
    ----------
    store : Store
        The database.
    hint : str
        How it begins; or all of it, as somebody has it who found it where it should not be.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    await store.write(lambda connection: tenant_rows.revoke_key(connection, hint[:_HINT]))
    _forget(store)


async def authenticate(store: Store, key: str | None, believed: float = BELIEVED) -> Caller:
    """Tell who shows a key.

    Parameters
    ----------
    store : Store
        The database.
    key : str, optional
        What was shown.
    believed : float
        Seconds for which what was found is taken to hold.

    Raises
    ------
    NoKeyError
        If there is none, or it is not valid.
    """
    if key is None:
        raise NoKeyError("this needs a key", "send it as Authorization: Bearer KEY")
    if _FORM.fullmatch(key) is None:
        raise NoKeyError(
            "what was sent is no key of this service", "a key begins with lar_; see that all of it was sent"
        )
    digest, known = _digest(key), _known(store)
    remembered = known.callers.get(digest)
    if remembered is not None and time.monotonic() < remembered.until:
        return remembered.caller
    generation, asked = known.generation, time.monotonic()
    row = await store.read(lambda connection: tenant_rows.find_key(connection, digest))
    if row is None:
        known.callers.pop(digest, None)
        raise NoKeyError("the key is not valid", "it was revoked, or never was one: ask for another")
    quotas = msgspec.json.decode(row.quotas, type=Quotas)
    caller = Caller(row.tenant, row.name, row.number, frozenset(row.scopes.split()), quotas)
    if generation == known.generation:  # else one was revoked after we read, perhaps this one
        known.remember(digest, _Remembered(caller, asked + believed))
    return caller


async def open_door(store: Store) -> Caller | None:
    """Give whom all calls come from where there are no keys: a tenant of this machine alone, which may do everything.

    Returns
    -------
    Caller or None
        None where keys were made: then a key is needed, also once all are revoked.
    """

    def find(connection: tenant_rows.Connection) -> Caller | None:
        if tenant_rows.has_keys(connection):
            return None
        tenant_rows.add_tenant(connection, LOCAL, "{}")
        return Caller(tenant_rows.find_tenant(connection, LOCAL).number, LOCAL, 0, frozenset(SCOPES))

    return await store.write(find)


class _Remembered(NamedTuple):
    caller: Caller
    until: float


class _Known:
    """The keys that a process has seen to be valid, by digest: the keys themselves lie nowhere."""

    def __init__(self) -> None:
        self.callers: dict[str, _Remembered] = {}
        self.generation = 0

    def remember(self, digest: str, found: _Remembered) -> None:
        if len(self.callers) >= MOST_BELIEVED:
            self.callers.clear()
        self.callers[digest] = found

    def forget(self) -> None:
        self.callers.clear()
        self.generation += 1


_KNOWN: WeakKeyDictionary[Store, _Known] = WeakKeyDictionary()


def _known(store: Store) -> _Known:
    return _KNOWN.setdefault(store, _Known())


def _forget(store: Store) -> None:
    _known(store).forget()


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _scopes(scopes: Iterable[str]) -> str:
    wanted = set(scopes)
    if not wanted or not wanted <= set(SCOPES):
        wrong = ", ".join(sorted(wanted - set(SCOPES))) or "none"
        raise UnfitError(f"a key's scopes cannot be {wrong}", f"choose from {', '.join(SCOPES)}")
    return " ".join(scope for scope in SCOPES if scope in wanted)


def _name(name: str) -> str:
    try:
        return msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        raise UnfitError(f"{name!r} is no name: {error}", "leave out blanks, slashes, ? and #") from error
