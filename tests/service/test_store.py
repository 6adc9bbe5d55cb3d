"""A store keeps what it said that it kept, whoever else is at work and whatever dies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.service.errors import StoreUnavailableError
from llm_as_rnn.service.schema import tenants
from llm_as_rnn.service.store import Store, now
from tests.service.postgres import Server
from tests.service.using import read, using

WRITES = """
import asyncio, sys
import sqlalchemy as sa
from llm_as_rnn.service.schema import tenants
from llm_as_rnn.service.store import Store

async def write(store, worker):
    number = 0
    while True:
        name = f"{sys.argv[2]}-{worker}-{number}"
        insert = sa.insert(tenants).values(name=name, created=1)
        await store.write(lambda connection: connection.execute(insert) and None)
        print(name, flush=True)
        number += 1

async def main():
    store = await Store.open(sys.argv[1])
    await asyncio.gather(*(write(store, worker) for worker in range(4)))

asyncio.run(main())
"""


def add(connection: sa.Connection, *names: str) -> None:
    for name in names:
        connection.execute(sa.insert(tenants).values(name=name, created=1.0))


def adding(*names: str) -> Callable[[sa.Connection], None]:
    return lambda connection: add(connection, *names)


def names(url: str) -> list[object]:
    return [row[0] for row in read(url, sa.select(tenants.c.name).order_by(tenants.c.name))]


def test_what_a_work_gives_is_given_and_what_it_wrote_is_there(database: str) -> None:
    async def work(store: Store) -> int:
        await store.write(lambda connection: add(connection, "a", "b"))
        return await store.read(lambda connection: len(connection.execute(sa.select(tenants)).all()))

    assert using(database, work) == 2
    assert names(database) == ["a", "b"]


def test_what_fails_is_undone_and_nothing_beside_it(database: str) -> None:
    def failing(connection: sa.Connection) -> None:
        add(connection, "lost")
        raise ValueError("as it should")

    async def work(store: Store) -> list[BaseException | None]:
        works = [adding(f"kept{n}") for n in range(5)]
        works[2:2] = [failing, adding("twice", "twice")]
        return await asyncio.gather(*(store.write(one) for one in works), return_exceptions=True)

    results = using(database, work)
    assert [type(result).__name__ for result in results if result is not None] == ["ValueError", "IntegrityError"]
    assert names(database) == [f"kept{n}" for n in range(5)]


def test_sqlite_syncs_once_for_what_came_at_the_same_time(tmp_path: Path, migrated_file: Path) -> None:
    database = _copy(migrated_file, tmp_path)
    commits: list[object] = []

    async def work(store: Store) -> None:
        sa.event.listen(store._engine, "commit", commits.append)  # type: ignore[attr-defined]
        await asyncio.gather(*(store.write(adding(str(n))) for n in range(30)))

    using(database, work)
    assert len(commits) < 15
    assert len(names(database)) == 30


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("secure_delete", 1)]
)
def test_sqlite_is_set_as_it_must_be(migrated_file: Path, pragma: str, value: object) -> None:
    async def work(store: Store) -> tuple[object, object]:
        asked = sa.text(f"PRAGMA {pragma}")
        return (
            await store.read(lambda connection: connection.execute(asked).scalar_one()),
            await store.write(lambda connection: connection.execute(asked).scalar_one()),
        )

    assert using(f"sqlite:///{migrated_file}", work) == (value, value)


def test_a_read_of_sqlites_sees_one_moment(tmp_path: Path, migrated_file: Path) -> None:
    database = _copy(migrated_file, tmp_path)

    async def work(store: Store) -> None:
        loop = asyncio.get_running_loop()

        def counting(connection: sa.Connection) -> tuple[int, int]:
            asked = sa.select(sa.func.count()).select_from(tenants)
            before = connection.execute(asked).scalar_one()
            writing = store.write(lambda connection: add(connection, "meanwhile"))
            asyncio.run_coroutine_threadsafe(writing, loop).result()
            return before, connection.execute(asked).scalar_one()

        assert await store.read(counting) == (0, 0)

    using(database, work)
    assert names(database) == ["meanwhile"]


def _copy(migrated_file: Path, folder: Path) -> str:
    path = folder / "service.db"
    path.write_bytes(migrated_file.read_bytes())
    return f"sqlite:///{path}"


def test_the_clock_is_the_databases(database: str) -> None:
    told = using(database, lambda store: store.read(now))
    assert told == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://me:secret@host/x", "sqlite://", "sqlite:///:memory:", "postgresql://"]
)
def test_what_is_no_database_is_refused_in_a_line(url: str) -> None:
    with pytest.raises((UsageError, StoreUnavailableError)) as refused:
        asyncio.run(_opened_and_closed(url))
    assert refused.value.hint
    assert "secret" not in str(refused.value)


async def _opened_and_closed(url: str) -> None:
    await (await Store.open(url)).close()


def test_a_file_that_is_no_database_is_refused_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 1000)
    with pytest.raises(UsageError, match="file is not a database"):
        asyncio.run(_opened_and_closed(f"sqlite:///{path}"))
    assert path.read_text() == "not a database\n" * 1000


def test_a_server_that_refuses_us_is_named_without_the_password(postgres: Server) -> None:
    url = postgres.url("postgres")
    for wrong, said in (
        (url.replace("service:", "service:guessed"), "password authentication failed"),
        (postgres.url("nowhere"), 'database "nowhere" does not exist'),
    ):
        with pytest.raises(UsageError, match=said) as refused:
            asyncio.run(_opened_and_closed(wrong))
        assert wrong.split(":")[2].split("@")[0] not in str(refused.value)
        assert "\n" not in str(refused.value)
        assert "sqlalche.me" not in str(refused.value)


@pytest.fixture
def own_server(postgres: Server) -> Iterator[tuple[Server, str]]:
    """Give a server that a test may kill, and a database on it that has its tables."""
    with Server(fsync=True) as server:
        url = server.create("service")
        tables = postgres.program("pg_dump", "--no-owner", database="migrated")
        server.program("psql", "-qX", database="service", given=tables)
        yield server, url


def test_a_store_goes_on_when_the_server_is_there_again(own_server: tuple[Server, str]) -> None:
    server, url = own_server

    async def work(store: Store) -> None:
        await store.write(lambda connection: add(connection, "before"))
        server.kill()
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await store.write(lambda connection: add(connection, "never"))
        server.restart()
        await store.write(lambda connection: add(connection, "after"))

    using(url, work)
    assert names(url) == ["after", "before"]


def acknowledged(database: str, kill: Callable[[], None], rounds: int = 3) -> set[str]:
    """Let processes write, kill something in the middle and then them, and give what they were told to be kept."""
    told: set[str] = set()
    for number in range(rounds):
        command = [sys.executable, "-c", WRITES, database, f"r{number}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                told.add(line.strip())
                if len(told) % 40 == 20:
                    kill()
                    process.kill()
    return told


def test_no_acknowledged_write_is_lost_where_the_process_is_killed(database: str) -> None:
    told = acknowledged(database, lambda: None)
    assert len(told) >= 60
    assert told <= set(names(database))


def test_no_acknowledged_write_is_lost_where_the_server_is_killed(own_server: tuple[Server, str]) -> None:
    server, url = own_server

    def kill() -> None:
        server.kill()
        server.restart()

    told = acknowledged(url, kill)
    assert len(told) >= 60
    assert told <= set(names(url))
