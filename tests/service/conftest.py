"""Databases for tests: each of them sees its own, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_as_rnn.service.migrating import migrate
from tests.service.postgres import NoPostgreSQLError, Server

REQUIRED = "LLM_AS_RNN_REQUIRE_POSTGRESQL"
"""An environment variable: where it is set, a test that finds no PostgreSQL fails, and is not skipped."""

KINDS = ("sqlite", "postgresql")
ONE_OF_BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.long))
"""For tests of what stands before the verbs, which know nothing of databases: on the other one they are long."""
TEMPLATE = "migrated"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Give a PostgreSQL server, one for each process of the tests, with a migrated database to be copied."""
    try:
        server = Server()
    except NoPostgreSQLError as error:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set, and there is no PostgreSQL: {error}")
        pytest.skip(f"no PostgreSQL: {error}")
    with server:
        asyncio.run(migrate(server.create(TEMPLATE)))
        yield server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a migrated SQLite database that others are copies of."""
    path = tmp_path_factory.mktemp("sqlite") / "service.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of a database that has its tables, and nothing in them."""
    yield from fresh(request, tmp_path)


def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of one of the kind that is asked for."""
    if request.param == "sqlite":
        path = tmp_path / "service.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
    else:
        yield from _on_server(request.getfixturevalue("postgres"), TEMPLATE)


@pytest.fixture(params=KINDS)
def bare_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'bare.db'}"
    else:
        yield from _on_server(request.getfixturevalue("postgres"), "template0")


def _on_server(server: Server, template: str) -> Iterator[str]:
    name = f"test{next(_numbers)}"
    yield server.create(name, template)
    server.drop(name)
