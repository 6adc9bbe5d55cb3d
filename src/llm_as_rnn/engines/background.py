"""A thread in which async work is done for code that is not async."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, NamedTuple, TypeVar

from llm_as_rnn.core.errors import UsageError

T = TypeVar("T")


class Gone(NamedTuple):
    """What is said where nothing can be done any more.

    Attributes
    ----------
    closed, forked : str
        After the end, and in a forked process.
    instead, anew : str
        The hints that go with them.
    """

    closed: str
    forked: str
    instead: str
    anew: str


class Background:
    """A thread with an event loop of its own: `asyncio.run` would fail inside a notebook's loop.

    Parameters
    ----------
    gone : Gone
        What is said where nothing can be done any more.
    """

    def __init__(self, gone: Gone) -> None:
        self._gone = gone
        self._loop = asyncio.new_event_loop()
        # A daemon, so that a thread that nobody ended does not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm-as-rnn", daemon=True)
        self._process = os.getpid()
        self._ended = False

    @property
    def usable(self) -> bool:
        """Whether anything can be done: not after the end, and not in a forked process."""
        return not self._ended and os.getpid() == self._process

    def require_usable(self) -> None:
        """Refuse what would wait for ever.

        Raises
        ------
        UsageError
            After the end, and in a forked process.
        """
        if os.getpid() != self._process:
            raise UsageError(self._gone.forked, self._gone.anew)
        if self._ended:
            raise UsageError(self._gone.closed, self._gone.instead)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something there, and wait for what comes of it; whoever is interrupted ends the work too."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            self.require_usable()
            raise
        except BaseException:
            future.cancel()  # Ctrl-C ends the waiting; this ends the work
            raise

    def end(self, last: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """End it; what other threads wait for is cancelled.

        Parameters
        ----------
        last : callable, optional
            What is done there before the end, when nothing else is done any more.
        """
        self._ended = True
        try:
            asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
            if last is not None:
                asyncio.run_coroutine_threadsafe(last(), self._loop).result()
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result()  # connections close a turn later
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
