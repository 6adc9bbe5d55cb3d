"""What is old goes, and nothing else; what was backed up is there again."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.service import retention
from llm_as_rnn.service.backup import backup
from llm_as_rnn.service.errors import UnfitError
from llm_as_rnn.service.keys import authenticate, create_key, create_tenant
from llm_as_rnn.service.retention import retain
from llm_as_rnn.service.schema import metadata, outcomes, predictions, tenants, versions
from llm_as_rnn.service.store import Store, now
from tests.service.postgres import Server
from tests.service.rows import add_session, add_step
from tests.service.using import read, using, write

A_DAY = 86_400.0


@pytest.fixture
def acme(database: str) -> str:
    """Give a database with a tenant and a session with one old step."""
    using(database, lambda store: create_tenant(store, "acme"))
    add_session(database, "acme", 1)
    return database


def steps(url: str, session: int = 1) -> list[object]:
    asked = sa.select(predictions.c.step).where(predictions.c.session == session).order_by(predictions.c.step)
    return [row[0] for row in read(url, asked)]


def test_steps_that_ended_go_and_what_waits_or_is_new_stays(acme: str) -> None:
    at = using(acme, lambda store: store.read(now))
    old, new = at - 31 * A_DAY, at - 29 * A_DAY
    add_step(acme, 1, 1, "learned", old)
    add_step(acme, 1, 2, "given_up", old)
    add_step(acme, 1, 3, "waiting", old, {"status": "refused"})
    add_step(acme, 1, 4, "learned", new)
    add_step(acme, 1, 5, "learned", old, {"received": old, "learned": new})
    add_step(acme, 1, 6, "learned", old, {}, {"status": "waiting", "replaces": 1})
    add_step(acme, 1, 7, "waiting", old, {"status": "waiting"})
    removed = using(acme, lambda store: retain(store, 30))
    assert removed == (3, 0)
    assert steps(acme) == [3, 4, 5, 6, 7]
    assert {row[0] for row in read(acme, sa.select(outcomes.c.step))} == {3, 4, 5, 6, 7}
    assert using(acme, lambda store: retain(store, 30)) == (0, 0)


def test_every_session_is_gone_through_in_portions(acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PORTION", 2)
    add_session(acme, "acme", 7)
    for step in range(1, 6):
        add_step(acme, 7, step, "learned", 1.0)
    assert using(acme, lambda store: retain(store, 30)).steps == 7
    assert steps(acme, 7) == []


def test_old_memories_go_but_for_the_present_one_and_the_highest_number(acme: str) -> None:
    at = using(acme, lambda store: store.read(now))
    same = {"session": 1, "content": "{}", "author": "model"}
    for revision, version, created in ((2, 1, 2.0), (3, 5, 2.0), (4, 2, at), (5, 3, 2.0), (6, 4, 2.0)):
        write(acme, sa.insert(versions).values(**same, revision=revision, version=version, created=created))
    assert using(acme, lambda store: retain(store, 30)).versions == 3
    assert [row[0] for row in read(acme, sa.select(versions.c.revision).order_by(versions.c.revision))] == [3, 4, 6]


@pytest.mark.parametrize("days", [-1, float("inf"), float("nan")])
def test_days_are_a_number_from_0_on(migrated_file: Path, days: float) -> None:
    with pytest.raises(UnfitError):
        using(f"sqlite:///{migrated_file}", lambda store: retain(store, days))


def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    return {table.name: sorted(read(url, sa.select(table)), key=repr) for table in metadata.sorted_tables}


def filled(url: str) -> str:
    """Fill a database, and give a key to it."""

    async def work(store: Store) -> str:
        await create_tenant(store, "acme")
        return await create_key(store, "acme", "ci", ["read"])

    key = using(url, work)
    add_session(url, "acme", 1)
    return key


def test_a_backup_of_sqlite_is_one_file_that_a_service_goes_on_with(tmp_path: Path, migrated_file: Path) -> None:
    url = _copy(migrated_file, tmp_path)
    key = filled(url)
    target = tmp_path / "backup" / "monday.db"
    target.parent.mkdir()
    backup(url, target)
    assert [path.name for path in target.parent.iterdir()] == ["monday.db"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    restored = f"sqlite:///{target}"
    assert contents(restored) == contents(url)
    assert using(restored, lambda store: authenticate(store, key)).name == "ci"


def test_it_is_of_one_moment_and_has_all_that_was_kept_by_then(tmp_path: Path, migrated_file: Path) -> None:
    url = _copy(migrated_file, tmp_path)
    filled(url)
    ended, more = threading.Event(), threading.Event()
    written: list[int] = []
    before: list[int] = []

    def writing() -> None:
        async def work(store: Store) -> None:
            def pair(connection: sa.Connection) -> None:
                number = len(written)
                for name in (f"a{number}", f"b{number}"):
                    connection.execute(sa.insert(tenants).values(name=name, created=1.0))

            while not ended.is_set():
                await store.write(pair)
                written.append(1)
                more.set()

        using(url, work)

    writer = threading.Thread(target=writing)
    writer.start()
    try:
        for number in range(10):
            more.clear()
            assert more.wait(30)
            before.append(len(written))
            backup(url, tmp_path / f"backup{number}.db")
    finally:
        ended.set()
        writer.join()
    for number in range(10):
        with sqlite3.connect(tmp_path / f"backup{number}.db") as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM tenants WHERE name != 'acme'")]
        connection.close()
        first = {name[1:] for name in names if name[0] == "a"}
        assert first == {name[1:] for name in names if name[0] == "b"}
        assert first >= {str(one) for one in range(before[number])}
    assert written


def test_a_backup_takes_the_place_of_nothing_and_says_what_is_wrong(tmp_path: Path, migrated_file: Path) -> None:
    url = _copy(migrated_file, tmp_path)
    there = tmp_path / "there.db"
    there.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        backup(url, there)
    assert there.read_text() == "mine"
    with pytest.raises(UsageError, match="cannot be written"):
        backup(url, tmp_path / "nowhere" / "backup.db")
    with pytest.raises(UsageError, match="there is no database"):
        backup(f"sqlite:///{tmp_path / 'missing.db'}", tmp_path / "backup.db")
    assert not (tmp_path / "missing.db").exists()
    (tmp_path / "broken.db").write_bytes(b"no database" * 1000)
    with pytest.raises(UsageError, match="cannot be written"):
        backup(f"sqlite:///{tmp_path / 'broken.db'}", tmp_path / "backup.db")
    assert not [path for path in tmp_path.iterdir() if "backup" in path.name]


def test_postgresql_is_backed_up_by_its_own_program(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pg_dump") as refused:
        backup("postgresql://me:secret@host/service", tmp_path / "backup")
    assert "secret" not in str(refused.value)


def test_pg_dump_and_pg_restore_give_it_back(postgres: Server, tmp_path: Path) -> None:
    url = postgres.create("before", "migrated")
    key = filled(url)
    expected = contents(url)
    dump = tmp_path / "monday.dump"
    postgres.program("pg_dump", "--format", "custom", "--file", str(dump), database="before")
    postgres.drop("before")
    restored = postgres.create("after")
    postgres.program("pg_restore", "--no-owner", str(dump), database="after")
    assert contents(restored) == expected
    assert using(restored, lambda store: authenticate(store, key)).name == "ci"
    asyncio.run(_still_numbered(restored))
    postgres.drop("after")


async def _still_numbered(url: str) -> None:
    """See that what counts rows goes on where it was."""
    store = await Store.open(url)
    await create_tenant(store, "another")
    await store.close()


def _copy(migrated_file: Path, folder: Path) -> str:
    path = folder / "service.db"
    path.write_bytes(migrated_file.read_bytes())
    return f"sqlite:///{path}"
