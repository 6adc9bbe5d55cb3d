"""A service without its door, to be tried: verbs on a database, and an engine that answers by its prompt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import EngineError
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.learning import Learning
from llm_as_rnn.service.schema import tenants
from llm_as_rnn.service.sessions import Sessions
from llm_as_rnn.service.store import Store
from llm_as_rnn.service.views import NewOutcome, NewPrediction, NewSession

SETTINGS: dict[str, Any] = {"form": "line", "budget": 256}
SKIES = ("sun", "rain", "fog", "drizzle", "snow")


def day(number: int) -> dict[str, Any]:
    return {
        "date": f"May {number + 1}",
        "sky": SKIES[number % 3],
        "high": 10 + number % 7,
        "low": 5,
        "precipitation": number % 4,
        "wind": 2,
    }


def came(number: int) -> dict[str, Any]:
    return {"sky": SKIES[(number + 1) % 3], "high": 10.5 + number % 5}


def answer(request: Request) -> str:
    """Answer by the prompt, so that another memory gives another answer."""
    text = request.messages[-1].content if request.messages else ""
    return f" {SKIES[len(text) % 5]}, {len(text) % 20}.5"


class Flaky(ScriptedEngine):
    """Gives no answer while it is told not to."""

    away = False

    async def complete(self, request: Request) -> Completion:
        if self.away:
            raise EngineError("no answer")
        return await super().complete(request)


class House:
    """A service without HTTP: two tenants, and an engine."""

    def __init__(self, sessions: Sessions, engine: Flaky, callers: tuple[Caller, Caller]) -> None:
        self.sessions, self.engine = sessions, engine
        self.me, self.other = callers

    async def begin(self, name: str = "seattle", **settings: Any) -> None:
        await self.sessions.create(self.me, NewSession(task="weather", id=name, settings=SETTINGS | settings))

    async def predict(self, number: int, name: str | None = None, session: str = "seattle") -> Any:
        return await self.sessions.predict(self.me, session, NewPrediction(x=day(number), id=name))

    async def tell(self, name: str, y: dict[str, Any], session: str = "seattle", replaces: int | None = None) -> Any:
        return await self.sessions.tell(self.me, session, name, NewOutcome(y=y, replaces=replaces))

    async def learn(self, session: str = "seattle") -> int:
        """Learn all that is due, as a worker does, and say how many outcomes that were."""
        learning = Learning(self.sessions)
        row = await self.sessions.row(self.me, session)
        number = 0
        while await learning.learn_next(row.number):
            number += 1
        return number


def failing_first(
    complete: Callable[[Request], Awaitable[Completion]], errors: Iterator[Exception]
) -> Callable[[Request], Awaitable[Completion]]:
    async def completing(request: Request) -> Completion:
        for error in errors:
            raise error
        return await complete(request)

    return completing


@asynccontextmanager
async def house(database: str) -> AsyncIterator[House]:
    store = await Store.open(database)
    engine = Flaky(answer)
    await engine.open()

    def two(connection: sa.Connection) -> list[int]:
        found = connection.execute(sa.select(tenants.c.number).order_by(tenants.c.number)).scalars().all()
        if found:
            return list(found)
        new = [{"name": name, "created": 0.0} for name in ("mine", "other")]
        return [
            connection.execute(sa.insert(tenants).values(one).returning(tenants.c.number)).scalar_one() for one in new
        ]

    mine, other = await store.write(two)
    callers = tuple(Caller(number, "somebody", 1, frozenset()) for number in (mine, other))
    try:
        yield House(Sessions(store, engine), engine, (callers[0], callers[1]))
    finally:
        await engine.close()
        await store.close()


def in_house(database: str, work: Callable[[House], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        async with house(database) as one:
            await work(one)

    asyncio.run(all_of_it())
