"""Keys: shown once, kept as a digest, for what they are for, and no longer than they are valid."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from llm_as_rnn.service import keys as module
from llm_as_rnn.service.callers import SCOPES, Caller, Quotas
from llm_as_rnn.service.errors import ConflictError, ForbiddenError, NoKeyError, NotFoundError, UnfitError
from llm_as_rnn.service.keys import (
    authenticate,
    change_quotas,
    create_key,
    create_tenant,
    delete_tenant,
    list_keys,
    list_tenants,
    open_door,
    revoke_key,
)
from llm_as_rnn.service.schema import keys, metadata
from llm_as_rnn.service.store import Store
from tests.service.postgres import Server
from tests.service.rows import add_session
from tests.service.using import read, using, write


async def with_key(store: Store, *scopes: str) -> str:
    await create_tenant(store, "acme", Quotas(sessions=3))
    return await create_key(store, "acme", "ci", scopes or ("read", "predict"))


def test_a_key_tells_whose_it_is_and_what_it_is_for(database: str) -> None:
    async def work(store: Store) -> tuple[str, Caller]:
        key = await with_key(store)
        return key, await authenticate(store, key)

    key, caller = using(database, work)
    assert re.fullmatch(r"lar_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", key)
    assert caller.name == "ci"
    assert caller.scopes == {"read", "predict"}
    assert caller.quotas == Quotas(sessions=3)


def test_the_database_does_not_have_it(database: str) -> None:
    key = using(database, with_key)
    (row,) = read(database, sa.select(keys))
    assert key[:12] in row
    assert not any(key[13:] in str(value) for value in row)


def test_each_key_is_another_one(database: str) -> None:
    async def work(store: Store) -> set[str]:
        await with_key(store)
        return {await create_key(store, "acme", "ci", ["read"]) for _ in range(5)}

    assert len({key[4:12] for key in using(database, work)}) == 5


@pytest.mark.parametrize(
    "shown", [None, "", "lar_", "lar_abcdefgh_" + "A" * 43, "x" * 100_000, "lar_ab\udc80", "é" * 56]
)
def test_what_is_no_key_is_refused_and_not_repeated(migrated_file: Path, shown: str | None) -> None:
    with pytest.raises(NoKeyError) as refused:
        using(f"sqlite:///{migrated_file}", lambda store: authenticate(store, shown))
    assert refused.value.status == 401
    assert refused.value.hint
    assert not shown or shown == "lar_" or shown not in str(refused.value)


def test_a_revoked_key_stops_at_once_in_the_process_that_revokes_it(database: str) -> None:
    async def work(store: Store) -> None:
        key = await with_key(store)
        await authenticate(store, key)
        await revoke_key(store, key[:12])
        with pytest.raises(NoKeyError):
            await authenticate(store, key, believed=3600)

    using(database, work)


def test_and_elsewhere_when_it_is_no_longer_believed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    async def work(here: Store) -> None:
        elsewhere = await Store.open(database)
        key = await with_key(here)
        before = await authenticate(elsewhere, key)
        await revoke_key(here, key)
        clock[0] += module.BELIEVED - 0.1
        assert await authenticate(elsewhere, key) == before
        clock[0] += 0.2
        with pytest.raises(NoKeyError):
            await authenticate(elsewhere, key)
        await elsewhere.close()

    using(database, work)


def test_one_that_is_revoked_while_it_is_looked_up_is_not_remembered(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(store: Store) -> None:
        key = await with_key(store)
        plain = store.read

        async def then_revoked(work: Callable[[sa.Connection], object]) -> object:
            found = await plain(work)
            await revoke_key(store, key)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(store, "read", then_revoked)
            await authenticate(store, key)
        with pytest.raises(NoKeyError):
            await authenticate(store, key)

    using(database, work)


def test_a_known_key_does_not_ask_the_database_again(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(store: Store) -> None:
        key = await with_key(store)
        known = await authenticate(store, key)

        async def away(work: object) -> object:
            raise AssertionError("the database was asked")

        monkeypatch.setattr(store, "read", away)
        assert await authenticate(store, key) == known

    using(database, work)


def test_more_keys_than_are_remembered_are_known_all_the_same(
    migrated_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "MOST_BELIEVED", 2)
    (tmp_path / "copy.db").write_bytes(migrated_file.read_bytes())

    async def work(store: Store) -> None:
        await create_tenant(store, "acme")
        made = [await create_key(store, "acme", f"key{number}", ["read"]) for number in range(5)]
        for _ in range(2):
            assert [(await authenticate(store, key)).name for key in made] == [f"key{number}" for number in range(5)]

    using(f"sqlite:///{tmp_path / 'copy.db'}", work)


def test_keys_are_listed_without_what_they_are_known_by(database: str) -> None:
    async def work(store: Store) -> None:
        key = await with_key(store, "read", "learn")
        await create_tenant(store, "other")
        await create_key(store, "other", "ops", SCOPES)
        await revoke_key(store, key[:12])
        listed = await list_keys(store)
        assert [(one.tenant, one.name, one.scopes) for one in listed] == [
            ("acme", "ci", ("read", "learn")),
            ("other", "ops", SCOPES),
        ]
        assert listed[0].hint == key[:12]
        assert listed[0].revoked is not None
        assert listed[1].revoked is None
        assert key[13:] not in repr(listed)
        assert [one.name for one in await list_keys(store, "other")] == ["ops"]
        with pytest.raises(NotFoundError):
            await list_keys(store, "nobody")

    using(database, work)


def test_revoking_twice_keeps_the_first_time_and_an_unknown_one_is_named(database: str) -> None:
    async def work(store: Store) -> None:
        key = await with_key(store)
        await revoke_key(store, key[:12])
        first = await list_keys(store)
        await revoke_key(store, key[:12])
        assert await list_keys(store) == first
        with pytest.raises(NotFoundError, match="lar_00000000"):
            await revoke_key(store, "lar_00000000")

    using(database, work)


@pytest.mark.parametrize("scopes", [(), ("read", "fly")])
def test_scopes_are_those_that_there_are(migrated_file: Path, scopes: tuple[str, ...]) -> None:
    with pytest.raises(UnfitError, match="choose from read, predict, learn, edit, admin"):
        using(f"sqlite:///{migrated_file}", lambda store: create_key(store, "acme", "ci", scopes))


def test_a_key_is_for_its_scopes_alone() -> None:
    caller = Caller(1, "ci", 1, frozenset({"read", "admin"}))
    caller.require("admin")
    with pytest.raises(ForbiddenError, match="the scope edit; ci has read, admin") as refused:
        caller.require("edit")
    assert refused.value.status == 403


def test_tenants_and_their_quotas(database: str) -> None:
    async def work(store: Store) -> None:
        key = await with_key(store)
        await create_tenant(store, "Zoë")
        with pytest.raises(ConflictError):
            await create_tenant(store, "acme")
        with pytest.raises(UnfitError):
            await create_tenant(store, "a/b")
        with pytest.raises(NotFoundError, match="serve tenants create nobody"):
            await create_key(store, "nobody", "ci", ["read"])
        await authenticate(store, key)
        await change_quotas(store, "acme", Quotas(tokens=7))
        assert (await authenticate(store, key)).quotas == Quotas(tokens=7)
        listed = await list_tenants(store)
        assert sorted((one.name, one.quotas, one.keys) for one in listed) == [
            ("Zoë", Quotas(), 0),
            ("acme", Quotas(tokens=7), 1),
        ]

    using(database, work)


def test_a_deleted_tenant_is_really_gone_and_another_one_stays(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PORTION", 2)
    key = using(database, with_key)
    kept = using(database, _other)
    for number in range(5):
        add_session(database, "acme", number + 1)
    add_session(database, "other", 9)

    async def work(store: Store) -> None:
        await authenticate(store, key)
        await delete_tenant(store, "acme")
        with pytest.raises(NoKeyError):
            await authenticate(store, key)
        assert (await authenticate(store, kept)).name == "ops"
        with pytest.raises(NotFoundError):
            await delete_tenant(store, "acme")

    using(database, work)
    counted = {
        table.name: read(database, sa.select(sa.func.count()).select_from(table))[0][0]
        for table in metadata.sorted_tables
    }
    assert {name: number for name, number in counted.items() if number != 1} == {"spending": 0, "sums": 0}


async def _other(store: Store) -> str:
    await create_tenant(store, "other")
    return await create_key(store, "other", "ops", ["read"])


def test_nothing_of_it_is_left_in_sqlites_files(tmp_path: Path, migrated_file: Path) -> None:
    path = tmp_path / "service.db"
    path.write_bytes(migrated_file.read_bytes())
    url = f"sqlite:///{path}"
    using(url, with_key)
    add_session(url, "acme", 1, '{"patient": "Ermintrude"}')
    assert b"Ermintrude" in path.read_bytes()
    using(url, lambda store: delete_tenant(store, "acme"))
    left = [file.name for file in tmp_path.iterdir() if b"Ermintrude" in file.read_bytes()]
    assert left == []


def test_the_door_is_open_as_long_as_there_never_was_a_key(database: str) -> None:
    async def work(store: Store) -> None:
        first = await open_door(store)
        assert first is not None
        assert (first.name, first.key, first.scopes) == ("local", 0, frozenset(SCOPES))
        assert await open_door(store) == first
        key = await create_key(store, "local", "ci", ["read"])
        assert await open_door(store) is None
        await revoke_key(store, key)
        assert await open_door(store) is None

    using(database, work)


def test_two_processes_that_open_the_door_at_once_give_one_tenant(database: str) -> None:
    async def work(store: Store) -> None:
        elsewhere = await Store.open(database)
        both = await asyncio.gather(open_door(store), open_door(elsewhere))
        assert both[0] == both[1]
        await elsewhere.close()

    using(database, work)


def test_a_key_does_not_work_where_its_rows_were_changed_by_hand(postgres: Server) -> None:
    url = postgres.create("by_hand", "migrated")
    key = using(url, with_key)
    write(url, sa.update(keys).values(digest="0" * 64))
    with pytest.raises(NoKeyError):
        using(url, lambda store: authenticate(store, key))
    postgres.drop("by_hand")
