"""Migrations make the tables that the program works with, and no other database is worked with."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.service import migrations
from llm_as_rnn.service.migrating import TABLE, bring_up, migrate, prepare, require_current, state
from llm_as_rnn.service.schema import metadata
from llm_as_rnn.service.store import Store
from tests.service.postgres import Server
from tests.service.using import read, using, write

REVISIONS = sa.table(TABLE, sa.column("version_num"))


def differences(connection: sa.Connection) -> object:
    opts = {"compare_type": True, "compare_server_default": True, "version_table": TABLE}
    return compare_metadata(MigrationContext.configure(connection, opts=opts), metadata)


def test_migrations_make_the_tables_of_the_schema(database: str) -> None:
    assert using(database, lambda store: store.read(differences)) == []
    assert using(database, lambda store: store.read(state)) == "current"


def test_that_comparison_sees_a_column_that_no_migration_made(database: str) -> None:
    write(database, sa.text("ALTER TABLE keys DROP COLUMN hint"))
    assert "hint" in str(using(database, lambda store: store.read(differences)))


def test_they_make_the_very_statements_of_the_schema_on_sqlite(tmp_path: Path, migrated_file: Path) -> None:
    master = sa.table("sqlite_master", sa.column("sql"), sa.column("name"), sa.column("tbl_name"))
    made = sa.select(master.c.sql).where(master.c.tbl_name != TABLE, master.c.sql.is_not(None)).order_by(master.c.name)
    direct = f"sqlite:///{tmp_path / 'direct.db'}"
    using(direct, lambda store: store.write(metadata.create_all))
    assert read(direct, made) == read(f"sqlite:///{migrated_file}", made)


def test_they_make_the_very_tables_of_the_schema_on_postgresql(postgres: Server) -> None:
    url = postgres.create("direct")
    using(url, lambda store: store.write(metadata.create_all))

    def schema_of(name: str) -> list[str]:
        dumped = postgres.program("pg_dump", "--schema-only", "--exclude-table", TABLE, database=name)
        return [line for line in dumped.splitlines() if not line.startswith("\\")]  # newer ones draw a word at random

    assert schema_of("direct") == schema_of("migrated")
    postgres.drop("direct")


def test_migrating_again_changes_nothing(bare_database: str) -> None:
    assert asyncio.run(migrate(bare_database)) == ("0001 The first tables.",)
    assert asyncio.run(migrate(bare_database)) == ()


def test_processes_that_migrate_at_the_same_time_take_turns(bare_database: str) -> None:
    async def both() -> list[tuple[str, ...]]:
        return list(await asyncio.gather(*(migrate(bare_database) for _ in range(4))))

    assert sorted(asyncio.run(both())) == [(), (), (), ("0001 The first tables.",)]


def test_one_that_fails_leaves_the_database_as_it_was(bare_database: str) -> None:
    def failing(connection: sa.Connection) -> None:
        bring_up(connection)
        raise RuntimeError("the lights went out")

    with pytest.raises(RuntimeError, match="lights"):
        using(bare_database, lambda store: store.write(failing))
    assert using(bare_database, lambda store: store.read(state)) == "empty"


def refusal(database: str) -> str:
    with pytest.raises(UsageError) as refused:
        using(database, lambda store: store.read(require_current))
    return str(refused.value)


def test_a_database_without_tables_is_refused_with_the_command(bare_database: str) -> None:
    assert "no tables yet (run llm-as-rnn serve migrate --database " in refusal(bare_database)


def test_an_old_one_is_refused_with_the_command_and_brought_up_by_it(
    bare_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(migrate(bare_database))
    folder = tmp_path / "migrations"
    folder.mkdir()
    for path in Path(migrations.__file__).parent.glob("*.py"):
        (folder / path.name).write_text(path.read_text())
    (folder / "r9999_later.py").write_text(
        '"""A later one."""\nimport sqlalchemy as sa\nfrom alembic import op\nrevision = "9999"\n'
        f'down_revision = "{read(bare_database, sa.select(REVISIONS.c.version_num))[0][0]}"\n'
        "def upgrade() -> None:\n    op.add_column('keys', sa.Column('later', sa.Text))\n"
    )
    monkeypatch.setattr(migrations, "__file__", str(folder / "__init__.py"))
    assert "earlier version" in refusal(bare_database)
    assert "llm-as-rnn serve migrate --database " in refusal(bare_database)
    write(bare_database, sa.text("INSERT INTO tenants (name, created) VALUES ('kept', 1)"))
    assert asyncio.run(migrate(bare_database)) == ("9999 A later one.",)
    assert read(bare_database, sa.text("SELECT name FROM tenants")) == [("kept",)]
    using(bare_database, lambda store: store.read(require_current))
    monkeypatch.undo()
    assert "newer version" in refusal(bare_database)
    with pytest.raises(UsageError, match="no way down"):
        asyncio.run(migrate(bare_database))


def test_tables_of_another_program_are_left_alone(bare_database: str) -> None:
    write(bare_database, sa.text("CREATE TABLE sessions (cookie TEXT)"))
    assert "another program" in refusal(bare_database)
    with pytest.raises(UsageError, match="another program"):
        asyncio.run(migrate(bare_database))


def test_no_refusal_shows_the_password(postgres: Server) -> None:
    url = postgres.create("secretive")
    said = refusal(url)
    assert url.split(":")[2].split("@")[0] not in said
    assert "postgresql://service:***@127.0.0.1" in said
    postgres.drop("secretive")


def test_the_default_place_gets_its_tables_and_no_other_place_does(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'here.db'}"

    async def start(store: Store, make: bool) -> None:
        await prepare(store, make)

    with pytest.raises(UsageError, match="no tables yet"):
        using(url, lambda store: start(store, make=False))
    using(url, lambda store: start(store, make=True))
    using(url, lambda store: start(store, make=False))


def test_what_is_there_is_not_made_again_and_nothing_old_is_brought_up_unasked(database: str) -> None:
    write(database, sa.update(REVISIONS).values(version_num="later"))
    with pytest.raises(UsageError, match="newer version"):
        using(database, lambda store: prepare(store, make=True))


def test_revisions_are_one_line_of_descent_without_ways_down() -> None:
    files = sorted(Path(migrations.__file__).parent.glob("r*.py"))
    assert files
    for path in files:
        assert "def downgrade" not in path.read_text()
        assert "llm_as_rnn" not in path.read_text()
