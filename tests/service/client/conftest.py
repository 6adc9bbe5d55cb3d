"""A service for each test, on the database of that test or on one of SQLite alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_as_rnn import Client
from tests.service.client.running import Running, running


@pytest.fixture
def service(migrated_file: Path, tmp_path: Path) -> Iterator[Running]:
    """Give a service on SQLite: what the client does is the same on every database."""
    path = tmp_path / "service.db"
    shutil.copyfile(migrated_file, path)
    with running(f"sqlite:///{path}") as found:
        yield found


@pytest.fixture
def client(service: Running) -> Iterator[Client]:
    """Give a client through the relay, with a key that is good for everything."""
    with Client(service.relay.url, key=service.key) as found:
        yield found


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pauses that only grow be short; what a service asks for is kept."""
    monkeypatch.setattr("llm_as_rnn.client.calling.delay", lambda failed: 0.001)
