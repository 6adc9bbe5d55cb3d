"""The library: a learner for one stream, with the verbs of River (https://riverml.xyz)."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, NoReturn, Self

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.records import Memory
from llm_as_rnn.core.task import Task
from llm_as_rnn.engines.drive import CLOSED, FORKED, SyncDriver, drive
from llm_as_rnn.streams.live import Learnt, Live, warn
from llm_as_rnn.streams.replaying import Id, Waiting

NOT_ENTERED = ("the learner was not entered", "write: async with AsyncLearner(...) as learner")
"""Message and hint where an `AsyncLearner` is used that has no stream yet."""


class Learner(Live):
    """Predicts a stream step by step, and learns outcomes in any order and as late as they come.

    Parameters
    ----------
    task : Task or str
        What is to be predicted: the name of a shipped task, the path of a task file, or a `Task`.
    method : str
        Who predicts: ``advised`` unless another is named, which goes by the model and its memory and by what costs
        nothing (repeating, looking up), as far as outcomes bear each out; ``recurrent`` for the model and its memory
        alone, another one of `catalogue.METHODS`, or the name of a reference, for which no model is loaded.
    model : str
        The model string, as on the command line; by default the small model that is fetched once.
    engine : Engine or SharedEngine, optional
        An engine of your own, which takes the place of the model; a shared one is opened and closed by its owner.
    base_url : str, optional
        The address of an OpenAI-compatible server.
    context : int, optional
        The context window in tokens, for the embedded engine.
    cache_reuse : int
        Tokens from which on the embedded engine takes a stretch of a prompt from its cache that has moved since; 0 for
        never. It is faster, and answers may differ slightly (docs/models.md).
    timeout : float, optional
        How many seconds one attempt of a call may take.
    patience : float, optional
        How many seconds a server that cannot answer now is waited for, before it counts as gone.
    on_pause : callable, optional
        It is called when a server is waited for, and when the wait is over (see `engines.resolve.resolve`).
    sequence : str
        A name for the stream.
    about : mapping, optional
        What stays the same in the stream; the task's templates can show it.
    prompts : str or Path, optional
        A folder with templates that replace the shipped ones of the same names.
    allow_remote_data : bool
        Whether the terms of credentialed data cover an engine that is not on this machine; without it, such an engine
        is refused.
    **choices
        The fields of `core.settings.Settings` and `streams.settings.StreamSettings` by their names: ``budget=512``,
        ``rule="delta"``, ``form="line"``, ``policy="replay"``, ``max_waiting=5000``, and so on. What is left out is
        chosen to suit the model.

    Raises
    ------
    UsageError
        If any of it does not fit together.
    EngineUnavailableError
        If the model cannot be asked.

    Examples
    --------
    >>> from llm_as_rnn.engines.scripted import ScriptedEngine
    >>> today = {"date": "May 1", "sky": "rain", "high": 11, "low": 7, "precipitation": 3, "wind": 2}
    >>> with Learner("weather", method="repeat_last", engine=ScriptedEngine(lambda request: "")) as learner:
    ...     p = learner.predict_one(today)
    ...     p.id, p.values
    ...     learner.learn_one(p.id, {"sky": "sun", "high": 13.5}).fate
    ('#0', {'sky': 'rain', 'high': 11.0})
    'learned'
    """

    def __init__(self, task: Task | str, **options: Any) -> None:
        super().__init__(task, **options)
        self._lock = threading.Lock()
        self._closed = False
        if self._shared:
            self._driver = self._shared.driver
        else:
            self._driver = SyncDriver(self._engine)
            self._driver.__enter__()
        try:
            self._driver.run(self._begin())
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one call after the other in, and none where nothing could answer it."""
        self._driver.require_usable()  # in a fork the lock may be held for ever
        with self._lock:
            if self._closed:
                raise UsageError(CLOSED, "make another, or load what was saved")
            yield

    def predict_one(self, x: Mapping[str, Any], id: Id | None = None) -> Waiting:  # noqa: A002 - the caller's word
        """Predict the outcome of an observation.

        Asked again under the id of a prediction that waits, it gives that one; if the engine gave no answer then, or
        none to one of its advisers, it is asked again.

        Parameters
        ----------
        x : mapping
            The observation's fields.
        id : str or int, optional
            The name under which its outcome will be told; else ``#`` and the step's number.

        Returns
        -------
        Waiting
            With ``id``, ``values`` (None where there was no usable answer) and ``prediction``.

        Raises
        ------
        UsageError
            If the observation is not values by name, or has one that no file could hold; if the id belongs to another
            observation, was learned, or looks like an automatic one; after `close`, and in a forked process.

        Warns
        -----
        GivenUpWarning
            If the oldest prediction was given up, because too many wait.
        """
        with self._alone():
            before = self.stream
            made = self._driver.run(self._ask(x, id))
            warn(self.losses(before))
            return made

    def learn_one(self, id: Id, y: Mapping[str, Any]) -> Learnt:  # noqa: A002 - the caller's word
        """Learn the outcome of the prediction with an id; a second time under the same id changes nothing.

        Raises
        ------
        UsageError
            If no prediction waits under the id and none was learned, or the outcome is none of this task's; after
            `close`, and in a forked process.

        Warns
        -----
        GivenUpWarning
            If ids of learned outcomes begin to be forgotten.
        """
        with self._alone():
            before = self.stream
            learnt = self._driver.run(self._tell(id, y))
            warn(self.losses(before))
            return learnt

    def restore(self, version: int, author: str = "") -> Memory:
        """Put an earlier version of the memory back, as a new version; predictions go on waiting.

        Parameters
        ----------
        version : int
            A number in ``versions``.
        author : str
            Who restores it, for the history.

        Returns
        -------
        Memory
            The present memory: the old text under a new number.

        Raises
        ------
        UsageError
            If there is no such version (the hint says which there are), it does not fit the budget, or the method keeps
            no memory; after `close`, and in a forked process.
        """
        with self._alone():
            return self._driver.run(self._restore(version, author))

    def edit(self, sections: Mapping[str, Sequence[str]], author: str = "") -> Memory:
        """Put what a person wrote into the memory, as a new version; predictions go on waiting.

        Parameters
        ----------
        sections : mapping of str to sequence of str
            All notes of each section that is to be another; sections that are not named stay as they are.
        author : str
            Who wrote it, for the history.

        Returns
        -------
        Memory
            The present memory.

        Raises
        ------
        UsageError
            If a section is none of the task's; if a note is no single plain line, reads as an order to the model, or is
            there twice; if a pinned note is left out; if all is over the budget; if the method keeps no memory; after
            `close`, and in a forked process.
        """
        with self._alone():
            return self._driver.run(self._edit(sections, author))

    def pin(self, note: str, pinned: bool = True) -> Memory:
        """Pin a note of the memory, so that no rule drops, merges or changes it; or let it go again.

        Parameters
        ----------
        note : str
            The note, word for word.
        pinned : bool
            Whether it is to stay.

        Returns
        -------
        Memory
            The present memory; its ``pins`` are all notes that are pinned.

        Raises
        ------
        UsageError
            If there is no such note; if all pinned notes would take more than half the budget; if the method keeps no
            memory, or heeds no pins; after `close`, and in a forked process.
        """
        with self._alone():
            return self._driver.run(self._pin(note, pinned))

    def close(self) -> None:
        """Give the model back, unless it is shared.

        What was learned is lost unless it was saved. In a forked process it does nothing.
        """
        if self._driver.usable:
            with self._lock:  # a call under way comes to its end
                self._closed = True
                if not self._shared:
                    self._driver.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncLearner(Live):
    """`Learner` for async code: ``async with AsyncLearner("weather") as learner: await learner.predict_one(x)``.

    Parameters and errors are those of `Learner`; the engine is opened on entry, and closed on exit once a call under
    way has come to its end. Calls wait for each other. It belongs to the event loop in which it was entered.
    """

    def __init__(self, task: Task | str, **options: Any) -> None:
        super().__init__(task, **options)
        self._lock = asyncio.Lock()
        self._home: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        if self._closed or self._home:
            raise UsageError("a learner is entered once", "make another, or load what was saved")
        self._home = (os.getpid(), asyncio.get_running_loop())
        try:
            if self._shared:
                self._shared.require_here()
                await drive(self._begin(), self._engine)
                return self
            await self._engine.open()
            try:
                await drive(self._begin(), self._engine)
            except BaseException:
                await self._engine.close()
                raise
        except BaseException:
            self._closed = True
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A fork has no engine, as in Learner: its parent, which has, closes it.
        if self._closed or (self._home and os.getpid() != self._home[0]):
            return
        self._require_usable()
        async with self._lock:
            if not self._closed:
                self._closed = True
                if not self._shared:
                    await self._engine.close()

    def __getattr__(self, name: str) -> NoReturn:
        """Say why there is nothing to be read or saved yet: only an open engine says what suits it."""
        if name in ("stream", "method", "_settings"):
            raise UsageError(*NOT_ENTERED)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Let one call after the other in, and none where nothing could answer it."""
        self._require_usable()
        async with self._lock:
            self._require_usable()
            yield

    def _require_usable(self) -> None:
        if self._home is None:
            raise UsageError(*NOT_ENTERED)
        process, loop = self._home
        if os.getpid() != process:
            raise UsageError(FORKED, "make one in each process, or load what was saved")
        if self._closed:
            raise UsageError(CLOSED, "make another, or load what was saved")
        if self._shared:
            self._shared.require_here()
        if asyncio.get_running_loop() is not loop:
            raise UsageError("the learner belongs to another event loop", "make one in each, or use Learner")

    async def predict_one(self, x: Mapping[str, Any], id: Id | None = None) -> Waiting:  # noqa: A002 - as in Learner
        """Predict the outcome of an observation (see `Learner.predict_one`)."""
        async with self._alone():
            before = self.stream
            made = await drive(self._ask(x, id), self._engine)
            warn(self.losses(before))
            return made

    async def learn_one(self, id: Id, y: Mapping[str, Any]) -> Learnt:  # noqa: A002 - as in Learner
        """Learn the outcome of the prediction with an id (see `Learner.learn_one`)."""
        async with self._alone():
            before = self.stream
            learnt = await drive(self._tell(id, y), self._engine)
            warn(self.losses(before))
            return learnt

    async def restore(self, version: int, author: str = "") -> Memory:
        """Put an earlier version of the memory back, as a new version (see `Learner.restore`)."""
        async with self._alone():
            return await drive(self._restore(version, author), self._engine)

    async def edit(self, sections: Mapping[str, Sequence[str]], author: str = "") -> Memory:
        """Put what a person wrote into the memory, as a new version (see `Learner.edit`)."""
        async with self._alone():
            return await drive(self._edit(sections, author), self._engine)

    async def pin(self, note: str, pinned: bool = True) -> Memory:
        """Pin a note of the memory, or let it go again (see `Learner.pin`)."""
        async with self._alone():
            return await drive(self._pin(note, pinned), self._engine)
