"""What all verbs of the service share: the database, the engine, the present states, and who is woken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from prometheus_client import CollectorRegistry

from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.method import Calls
from llm_as_rnn.engines.drive import drive
from llm_as_rnn.service import rows
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.errors import ServiceError, UnfitError
from llm_as_rnn.service.figures import Figures
from llm_as_rnn.service.present import Present
from llm_as_rnn.service.rows import Row
from llm_as_rnn.service.signals import Signals
from llm_as_rnn.service.store import Store

T = TypeVar("T")


class Desk:
    """What can be done.

    Parameters
    ----------
    store : Store
        The database.
    engine : Engine
        What answers; open already.
    seat : callable, optional
        Gives the engine for a session, by its number, where a session should stay with the server that has its prefix.
    model : str
        What the engine is called in files that leave the service.
    figures : Figures, optional
        Where it is counted what goes on.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        seat: Callable[[int], Engine] | None = None,
        model: str | None = None,
        figures: Figures | None = None,
    ) -> None:
        self.store = store
        self.engine = engine
        self.seat = seat or (lambda number: engine)
        self.model = engine.info.model if model is None else model
        self.present = Present(engine.info)
        self.signals = Signals()
        self.figures = figures or Figures(CollectorRegistry())
        self.due = asyncio.Event()
        """Set when an outcome has come that is to be learned."""

    async def row(self, caller: Caller, session: str) -> Row:
        """Find a session of the caller's."""
        return await self.store.read(lambda connection: rows.find(connection, caller.tenant, session))

    async def computed(self, calls: Calls[T]) -> T:
        """Compute what may count tokens; what it refuses does not fit."""
        try:
            return await drive(calls, self.engine)
        except ServiceError:
            raise
        except UsageError as error:
            raise UnfitError(error.message, error.hint) from error
