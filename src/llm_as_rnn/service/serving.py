"""A service put together: database, engine, sessions, learning, routes; begun in this order and ended in the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.errors import LlmAsRnnError, UsageError
from llm_as_rnn.engines.pool import OUTAGE, Pool
from llm_as_rnn.engines.resolve import resolve, split_model
from llm_as_rnn.engines.spending import Price, read_prices
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.door import Door
from llm_as_rnn.service.figures import Figures
from llm_as_rnn.service.http.app import Application, make_app
from llm_as_rnn.service.http.metrics import Metrics
from llm_as_rnn.service.http.parts import Health, Stopping
from llm_as_rnn.service.http.server import run
from llm_as_rnn.service.learning import Learning
from llm_as_rnn.service.migrating import prepare
from llm_as_rnn.service.quotas import Admission
from llm_as_rnn.service.sessions import Sessions
from llm_as_rnn.service.store import Store, now
from llm_as_rnn.service.tracing import TracedEngine, Tracing, begin_tracing

log = logging.getLogger("llm_as_rnn.service")

READY = 5.0
"""Seconds in which the database has to answer for the service to count as ready."""


class Service(NamedTuple):
    """What a service is made of, while it runs.

    Attributes
    ----------
    app : ASGI application
        What answers requests.
    sessions : Sessions
        What it does.
    learning : Learning
        What is done in the background.
    stopping : Stopping
        By which streams learn that it ends.
    said : str
        Who may come in, where that is anybody.
    """

    app: Application
    sessions: Sessions
    learning: Learning
    stopping: Stopping
    said: str


async def serve(settings: ServiceSettings, database: str, say: Callable[[str], None]) -> None:
    """Serve until the task is cancelled.

    Parameters
    ----------
    settings : ServiceSettings
        What was chosen.
    database : str
        The address of the database.
    say : callable
        Told what whoever started it should know.

    Raises
    ------
    UsageError
        If the database is none that this program works with, the address is taken, or anybody could come in.
    EngineUnavailableError
        If the model cannot be asked.
    """
    async with assembled(settings, database) as service:

        def listening(url: str) -> None:
            more = f"watched at {url}/ui, described at {url}/v1/openapi.json"
            say(f"serving at {url}, {more}{service.said}; Ctrl-C ends it")

        await run(service.app, settings, service.stopping, _nothing, listening)


@asynccontextmanager
async def assembled(settings: ServiceSettings, database: str, engine: Engine | None = None) -> AsyncIterator[Service]:
    """Put a service together; at the end what is being learned is learned to its end, and what is due stays due.

    Parameters
    ----------
    settings, database
        As of `serve`.
    engine : Engine, optional
        An engine of one's own in the place of the model; it is opened and closed here.
    """
    async with AsyncExitStack() as stack:
        store = await Store.open(database)
        stack.push_async_callback(store.close)
        await prepare(store, make=store.url.get_backend_name() == "sqlite")
        door = Door(store)
        said = await door.begin(loopback=settings.loopback)
        price = _price(settings)
        engine = engine or _engine(settings)
        await engine.open()
        stack.push_async_callback(engine.close)
        metrics, stopping = Metrics(), Stopping()
        figures = Figures(metrics.registry)
        tracing = begin_tracing()
        stack.callback(tracing.close)
        sessions = Sessions(store, engine, _seats(engine, tracing), engine.info.model, figures)
        learning = Learning(sessions, tracing=tracing)
        learning.start()
        stack.push_async_callback(learning.close)
        watching = asyncio.create_task(figures.watch(store))
        stack.push_async_callback(_ended, watching)
        admission = Admission(store, engine.info.model, price)
        app = make_app(
            sessions,
            authenticate=door.authenticate,
            health=lambda: _health(store, engine),
            settings=settings,
            admit=admission.admit,
            stopping=stopping,
            metrics=metrics,
            tracing=tracing,
        )
        yield Service(app, sessions, learning, stopping, said)


def _engine(settings: ServiceSettings) -> Engine:
    """Make the engine that is asked: a pool where several servers are named.

    Raises
    ------
    UsageError
        If the model is not on servers, and several are named.
    """
    if len(settings.base_url) <= 1:
        return resolve(
            settings.model,
            base_url=settings.base_url[0] if settings.base_url else None,
            context=settings.context,
            cache_reuse=settings.cache_reuse,
            timeout=settings.timeout,
            patience=settings.patience,
        )
    kind, name = split_model(settings.model)
    if kind != "openai":
        raise UsageError(f"{settings.model} is on no server", "name no --base-url, or a model as openai:NAME")
    patience = OUTAGE if settings.patience is None else settings.patience
    return Pool.of(name, settings.base_url, context=settings.context, timeout=settings.timeout, patience=patience)


def _seats(engine: Engine, tracing: Tracing) -> Callable[[int], Engine]:
    """Give where each session is asked: at the server that has its prefix, where there are several."""

    def seat(number: int) -> Engine:
        own = engine.seat(str(number)) if isinstance(engine, Pool) else engine
        return TracedEngine(own, tracing) if tracing.on else own

    return seat


def _price(settings: ServiceSettings) -> Price | None:
    """Give what the model costs, where a table of prices says so."""
    return None if settings.prices is None else read_prices(Path(settings.prices)).get(settings.model)


async def _health(store: Store, engine: Engine) -> Health:
    """Look whether database and engine can be used."""
    checks = {"database": "ok", "engine": "ok"}
    try:
        await asyncio.wait_for(store.read(now), READY)
    except TimeoutError:
        checks["database"] = f"no answer within {READY:g} seconds"
    except LlmAsRnnError as error:
        checks["database"] = "it does not answer"  # and why is nothing for everybody
        log.warning("the database does not answer: %s", error)
    if isinstance(engine, Pool) and not any(server.healthy for server in engine.health()):
        checks["engine"] = "no server answers"
    return Health(checks)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _nothing() -> None:
    """Leave closing to whoever assembled the service."""
