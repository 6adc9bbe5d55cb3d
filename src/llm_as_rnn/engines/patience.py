"""Waiting for a server that cannot serve now: an outage is no fact about a model, and costs no step."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import Engine, EngineInfo, small_request
from llm_as_rnn.core.errors import EngineBusyError, EngineError, EngineUnavailableError, RequestRefusedError
from llm_as_rnn.core.records import Style

PATIENCE = 600.0
"""Seconds for which an outage is waited out, where nobody says otherwise."""
FIRST_CALLS = 8
"""When none of so many first calls succeeds, none will."""
BROKEN_TRIES = 2
"""When a request broke so often, another one tells whether it is this one that breaks the server."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a server is asked again that does not say when: twice as long each time."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Pause(NamedTuple):
    """A wait for a server.

    Attributes
    ----------
    why : str
        What it said, in one line.
    until : float
        When it is asked again, in the seconds of the engine's clock (``time.monotonic``).
    left : float
        Seconds after this wait for which it is waited on.
    """

    why: str
    until: float
    left: float


OnPause = Callable[[Pause | None], None]
"""Told of each pause when it begins, and None when work goes on or is given up."""


class PatientEngine:
    """Waits while another engine cannot serve, and gives up in time.

    Parameters
    ----------
    engine : Engine
        Who answers. Its `EngineBusyError` says that it cannot now.
    patience : float
        Seconds without any answer after which it is given up.
    on_pause : callable, optional
        Told of each pause, and of its end; else a pause is logged as a warning.
    clock, sleep : callable
        What time it is, in seconds, and how to wait.

    Notes
    -----
    While an outage lasts one call at a time asks again, and the others wait for what becomes of it. A call that is
    cancelled hands this over to the next one.

    A call may break: no answer in time, an error inside the server, a page instead of an answer. It is asked again
    after a pause, like one that the server had no time for. When it broke again, another, very small request tells
    what is wrong: if that one breaks too it is an outage, which is waited out; else the call is asked once more, and
    has failed when it breaks the server that has just answered. A token count that breaks is asked for again too; the
    engine itself knows when to go on without.

    After an outage that was given up, each later call asks once, without any wait; the first that is answered ends it.

    When none of the first calls was answered, and all were refused, the server is given up too: its commonest message
    is the reason.
    """

    def __init__(
        self,
        engine: Engine,
        patience: float = PATIENCE,
        on_pause: OnPause | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.engine = engine
        self.patience = patience
        self.on_pause = on_pause or self._log_pause
        self._clock = clock
        self._sleep = sleep
        self._outage: _Outage | None = None
        self._turn: asyncio.Lock | None = None
        self._answered = False
        self._served = False
        self._refusals: Counter[str] = Counter()

    @property
    def info(self) -> EngineInfo:
        """What the engine is."""
        return self.engine.info

    async def open(self) -> None:
        """Open the engine; a server that is still loading its model is waited for.

        Raises
        ------
        EngineUnavailableError
            If there is none, or it cannot serve for too long.
        """
        self._turn = asyncio.Lock()
        await self._patiently(self.engine.open)

    async def complete(self, request: Request) -> Completion:
        """Answer a request, however long the engine cannot.

        Raises
        ------
        EngineUnavailableError
            If patience is at its end, or none of the first calls was answered.
        EngineError
            If this call got no answer.
        """
        try:
            completion = await self._patiently(self._until_plain(request))
        except EngineUnavailableError:
            raise
        except EngineError as error:
            self._note_refusal(error)
            raise
        self._answered = self._answered or completion.finish_reason != "error"
        self._served = True
        return completion

    async def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, however long the engine cannot."""

        async def ask() -> int:
            try:
                return await self.engine.count_tokens(text)
            except EngineUnavailableError:
                raise
            except EngineError as error:
                raise EngineBusyError(error.message, error.hint) from error

        return await self._patiently(ask)

    async def close(self) -> None:
        """Close the engine."""
        await self.engine.close()

    def _until_plain(self, request: Request) -> Callable[[], Awaitable[Completion]]:
        """Make a call that is asked again when it breaks, until it is plain that the request itself is to blame."""
        broken = 0

        async def ask() -> Completion:
            nonlocal broken
            if broken >= BROKEN_TRIES:
                await self._require_serving(request.style)
            try:
                return await self.engine.complete(request)
            except (EngineUnavailableError, RequestRefusedError):
                raise
            except EngineError as error:
                broken += 1
                if broken > BROKEN_TRIES:
                    raise
                raise EngineBusyError(error.message, error.hint) from error

        return ask

    async def _require_serving(self, style: Style) -> None:
        """Ask something small, to tell an outage from a request that breaks the server by itself.

        Raises
        ------
        EngineBusyError
            If that breaks as well.
        EngineUnavailableError
            If it does, and nothing was ever answered: then waiting is of no use.
        """
        try:
            await self.engine.complete(small_request(style))
        except RequestRefusedError:  # who refuses a request can read one
            pass
        except EngineUnavailableError:
            raise
        except EngineError as error:
            if self._served:
                raise EngineBusyError(error.message, error.hint) from error
            raise EngineUnavailableError(f"{error.message}, whatever is asked", error.hint) from error
        self._served = True

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        turn = self._turn = self._turn or asyncio.Lock()
        while True:
            if self._outage is None:
                try:
                    return await ask()
                except EngineBusyError as error:
                    self._note_outage(error)
            outage, began = self._outage, self._outage is not None and not self._outage.given_up
            async with turn:
                if began and outage is self._outage and outage is not None and outage.given_up:
                    raise self._spent(outage)  # it was waited for along with others
                if self._outage is not None:
                    return await self._probe(ask, self._outage)
            # The outage ended while this call waited for its turn: it asks as if there had been none.

    async def _probe(self, ask: Callable[[], Awaitable[T]], outage: _Outage) -> T:
        """Ask again and again until there is an answer, or another error; nobody else asks meanwhile."""
        try:
            while True:
                if not outage.given_up:
                    await self._pause(outage)
                try:
                    answer = await ask()
                except EngineBusyError as error:
                    outage.why = error.message
                    outage.pauses += 1
                    outage.until = self._next(error, outage)
                    if self._clock() >= outage.end:
                        outage.given_up = True
                        raise self._spent(outage) from error
                else:
                    self._outage = None
                    return answer
        except EngineError:
            if not outage.given_up:  # it answers again, if only with another error
                self._outage = None
            raise
        finally:
            self.on_pause(None)

    def _log_pause(self, pause: Pause | None) -> None:
        if pause is not None:
            seconds = pause.until - self._clock()
            _log.warning("%s: asked again in %.0f s, and for %.0f s after that", pause.why, seconds, pause.left)

    async def _pause(self, outage: _Outage) -> None:
        seconds = outage.until - self._clock()
        if seconds > 0:
            self.on_pause(Pause(outage.why, outage.until, max(0.0, outage.end - outage.until)))
            await self._sleep(seconds)

    def _note_outage(self, error: EngineBusyError) -> None:
        """Begin an outage; of several calls that meet it at once the first does."""
        if self._outage is None:
            self._outage = _Outage(error.message, self._clock() + self.patience)
            self._outage.until = self._next(error, self._outage)

    def _next(self, error: EngineBusyError, outage: _Outage) -> float:
        """Say when to ask again: when the server wants it, and once more just before patience ends."""
        pause = min(FIRST_PAUSE * 2.0 ** min(outage.pauses, 10), LONGEST_PAUSE)
        return min(self._clock() + max(pause, error.retry_after or 0.0), outage.end)

    def _spent(self, outage: _Outage) -> EngineUnavailableError:
        error = EngineUnavailableError(
            f"{outage.why}; that was waited out for {self.patience:g} s",
            "go on when it serves again, or have more patience (--patience)",
        )
        error.later = True  # whoever has other engines may go on with these, and come back
        return error

    def _note_refusal(self, error: EngineError) -> None:
        """Count what failed until something succeeds.

        Raises
        ------
        EngineUnavailableError
            If nothing has for too long.
        """
        if self._answered:
            return
        self._refusals[str(error)] += 1
        if self._refusals.total() >= FIRST_CALLS:
            said = self._refusals.most_common(1)[0][0]
            raise EngineUnavailableError(
                f"none of the first {self._refusals.total()} calls succeeded: {said}",
                "none will: see to what it says, and go on then",
            ) from error


class _Outage:
    """A time in which nothing is served.

    Attributes
    ----------
    why : str
        What the server said last.
    end : float
        When patience ends.
    until : float
        When it is asked again.
    pauses : int
        How often it was waited for.
    given_up : bool
        Whether patience is at its end.
    """

    def __init__(self, why: str, end: float) -> None:
        self.why = why
        self.end = end
        self.until = 0.0
        self.pauses = 0
        self.given_up = False
