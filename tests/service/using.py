"""A store for the length of one computation, as tests need it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import sqlalchemy as sa

from llm_as_rnn.service.store import Store

T = TypeVar("T")


def using(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Open a database, do something with it, and close it."""

    async def whole() -> T:
        store = await Store.open(url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(whole())


def write(url: str, *statements: sa.Executable) -> None:
    """Carry out statements in one transaction."""

    def work(connection: sa.Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    using(url, lambda store: store.write(work))


def read(url: str, statement: sa.Executable) -> list[tuple[object, ...]]:
    """Give the rows of a statement."""

    def work(connection: sa.Connection) -> list[tuple[object, ...]]:
        return [tuple(row) for row in connection.execute(statement)]

    return using(url, lambda store: store.read(work))
