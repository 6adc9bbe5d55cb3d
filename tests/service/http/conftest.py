"""Databases for tests of the routes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.conftest import ONE_OF_BOTH, fresh


@pytest.fixture(params=ONE_OF_BOTH)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of a database that has its tables, and nothing in them."""
    yield from fresh(request, tmp_path)
