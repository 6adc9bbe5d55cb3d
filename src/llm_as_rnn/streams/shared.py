"""An engine that several learners share: one model in memory, or one server, for many streams."""

from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import Any, Self

from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.engines.drive import CLOSED, FORKED, SyncDriver
from llm_as_rnn.engines.naming import DEFAULT_MODEL
from llm_as_rnn.engines.resolve import resolve
from llm_as_rnn.streams.fetching import in_notebook


class SharedEngine:
    """An engine for several learners. Whoever makes it opens and closes it, and learners leave it as it is.

    Learners of several threads may ask at the same time: an engine answers as many calls at once as it has slots.

    Parameters
    ----------
    model : str
        The model string, as on the command line.
    engine : Engine, optional
        An engine of your own in its place; it is opened and closed here.
    **server
        What else `engines.resolve.resolve` takes: ``base_url``, ``context``, ``timeout``, ``patience``, ...

    Raises
    ------
    UsageError
        If it is used by a learner before it was entered, after its exit, in a forked process, or in another event loop
        than the one in which it was entered.
    EngineUnavailableError
        On entry: if the model cannot be asked.

    Examples
    --------
    >>> from llm_as_rnn import Learner
    >>> from llm_as_rnn.engines.scripted import ScriptedEngine
    >>> with SharedEngine(engine=ScriptedEngine(lambda request: '{"sky": "sun", "high": "20"}')) as engine:
    ...     seattle, york = (Learner("weather", engine=engine, method="zero_shot", sequence=name) for name in "sy")
    ...     today = {"date": "May 1", "sky": "rain", "high": 11, "low": 7, "precipitation": 3, "wind": 2}
    ...     [learner.predict_one(today).values["high"] for learner in (seattle, york)]
    [20.0, 20.0]

    For `AsyncLearner` it is entered by ``async with``.
    """

    def __init__(self, model: str = DEFAULT_MODEL, *, engine: Engine | None = None, **server: Any) -> None:
        self.engine = resolve(model, **{"progress": in_notebook(model), **server}) if engine is None else engine
        self._driver: SyncDriver | None = None
        self._home: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._ended = False

    @property
    def info(self) -> EngineInfo:
        """What the engine is."""
        return self.engine.info

    @property
    def driver(self) -> SyncDriver:
        """What a `Learner` asks it through."""
        if self._driver is None:
            raise self._not_entered("with")
        self._driver.require_usable()
        return self._driver

    def require_here(self) -> None:
        """Refuse an `AsyncLearner` that could not ask it from the running event loop."""
        if self._home is None:
            raise self._not_entered("async with")
        process, loop = self._home
        if os.getpid() != process:
            raise UsageError(FORKED, "make one in each process")
        if loop is not asyncio.get_running_loop():
            raise UsageError("the shared engine belongs to another event loop", "make one in each")

    def _not_entered(self, how: str) -> UsageError:
        if self._ended:
            return UsageError(CLOSED, "make another")
        return UsageError("the shared engine was not entered", f"write: {how} SharedEngine(...) as engine")

    def _begin(self) -> None:
        if self._ended or self._driver or self._home:
            raise UsageError("a shared engine is entered once", "make another")

    def __enter__(self) -> Self:
        self._begin()
        driver = SyncDriver(self.engine)
        driver.__enter__()
        self._driver = driver
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._driver is not None and self._driver.usable:
            self._driver.__exit__(kind, error, trace)
        self._ended = True

    async def __aenter__(self) -> Self:
        self._begin()
        await self.engine.open()
        self._home = (os.getpid(), asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._home is not None and self._home[0] == os.getpid():
            self._home = None
            self._ended = True
            await self.engine.close()
