"""One process of the service: its parts are opened, joined, served, and closed in good order."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.engines.resolve import resolve
from llm_as_rnn.engines.spending import read_prices
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.errors import StoreUnavailableError
from llm_as_rnn.service.http.app import make_app
from llm_as_rnn.service.http.logs import log_lines
from llm_as_rnn.service.http.parts import Health, Stopping
from llm_as_rnn.service.http.server import run
from llm_as_rnn.service.keys import BELIEVED, authenticate, list_keys, open_door
from llm_as_rnn.service.learning import Learning
from llm_as_rnn.service.migrating import prepare
from llm_as_rnn.service.quotas import Admission
from llm_as_rnn.service.sessions import Sessions
from llm_as_rnn.service.store import Store, now

NO_KEYS = "llm-as-rnn serve tenants create TENANT, then llm-as-rnn serve keys create TENANT NAME"


async def serve(settings: ServiceSettings, database: str, say: Callable[[str], None]) -> None:
    """Serve until the task is cancelled.

    Parameters
    ----------
    settings : ServiceSettings
        What was chosen.
    database : str
        The address of the database.
    say : callable
        Tells whoever started it where it listens, and who may come in.

    Raises
    ------
    UsageError
        If the database is not one of this version, its address or model cannot be used, or others could reach the
        service and there are no keys.
    """
    async with AsyncExitStack() as opened:
        store = await Store.open(database)
        opened.push_async_callback(store.close)
        await prepare(store, make=settings.database is None)
        door = Door(store)
        said = await door.begin(loopback=settings.loopback)
        engine = engine_of(settings)
        opened.push_async_callback(engine.close)
        await engine.open()
        sessions = Sessions(store, engine)
        learning = Learning(sessions)
        learning.start()
        opened.push_async_callback(learning.close)
        prices = {} if settings.prices is None else read_prices(Path(settings.prices))
        stopping = Stopping()
        app = make_app(
            sessions,
            authenticate=door.authenticate,
            admit=Admission(store, engine.info.model, prices.get(engine.info.model)).admit,
            health=lambda: health(store),
            settings=settings,
            stopping=stopping,
        )
        log_lines(requests=settings.log_requests)
        await run(app, settings, stopping, opened.pop_all().aclose, lambda url: say(f"listening at {url}{said}"))


def engine_of(settings: ServiceSettings) -> Engine:
    """Make the engine that is asked; it is not open yet."""
    base_url = settings.base_url[0] if settings.base_url else None
    return resolve(
        settings.model,
        base_url=base_url,
        context=settings.context,
        cache_reuse=settings.cache_reuse,
        timeout=settings.timeout,
        patience=settings.patience,
    )


async def health(store: Store) -> Health:
    """Look whether the database answers."""
    try:
        await store.read(now)
    except StoreUnavailableError:
        return Health({"database": "it does not answer"})
    return Health({"database": "ok"})


class Door:
    """Tells who comes in: by a key or, as long as none was made and nobody from outside can come, as the tenant local.

    Parameters
    ----------
    store : Store
        The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._anybody: Caller | None = None
        self._until = 0.0

    async def begin(self, *, loopback: bool) -> str:
        """Open it, and say for whom.

        Raises
        ------
        UsageError
            If others could reach it and there are no keys.
        """
        if loopback:
            self._anybody, self._until = await open_door(self._store), time.monotonic() + BELIEVED
        elif not await list_keys(self._store):
            raise UsageError("others could reach the service, and there is no key yet", NO_KEYS)
        return "" if self._anybody is None else "; there are no keys, so this machine's programs may do everything"

    async def authenticate(self, key: str | None) -> Caller:
        """Tell who shows a key, or none."""
        if self._anybody is None or key is not None:
            return await authenticate(self._store, key)
        if time.monotonic() >= self._until:  # a key may have been made meanwhile, and then one is needed
            self._anybody, self._until = await open_door(self._store), time.monotonic() + BELIEVED
        return self._anybody or await authenticate(self._store, None)
