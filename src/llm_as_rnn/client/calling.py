"""Calls of a service: sent again where that helps, and only where it does no harm.

Everything that a client asks can be asked twice: predictions, outcomes and sessions have names, and what has none is
looked for before it is asked again (see `asynchronous`). So a call whose answer was lost on the way is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from llm_as_rnn.client.problems import Refused, refused
from llm_as_rnn.core.errors import EngineError, LlmAsRnnError, UsageError
from llm_as_rnn.engines.patience import OnPause, Pause
from llm_as_rnn.engines.secrecy import Redactor
from llm_as_rnn.engines.wire import Connection, Reply, causes, delay
from llm_as_rnn.service.errors import UnreachableError

if TYPE_CHECKING:
    import httpx2

KEY, SERVER = "LLM_AS_RNN_KEY", "LLM_AS_RNN_SERVER"
"""Variables of the environment that hold the key and the address, where neither is given."""

PATIENCE = 120.0
"""Seconds for which a service that cannot answer is asked again, where nobody says otherwise."""

TIMEOUT = 330.0
"""Seconds for each step of one attempt: a little more than a service takes by default before it gives up itself."""

MOST_BYTES = 64 << 20
"""The longest answer that is read, in bytes: a file of a learner, or a batch."""

API = "/v1"
"""What the paths of the API begin with."""

_log = logging.getLogger(__name__)


class PassingError(Exception):
    """One attempt of a call failed, and another one may not."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(refusal.error)
        self.refusal = refusal


class Tries:
    """How often a call was tried, and how long it is still tried again.

    Attributes
    ----------
    failed : int
        Attempts that failed; what they asked for may have been done all the same.
    """

    def __init__(self, patience: float, on_pause: OnPause) -> None:
        self.failed = 0
        self._patience, self._on_pause = patience, on_pause
        self._end: float | None = None

    async def again(self, refusal: Refused) -> None:
        """Wait until the next attempt.

        Raises
        ------
        LlmAsRnnError
            What was refused, if patience is at its end, or would be before the service wants to be asked again.
        """
        now = time.monotonic()
        if self._end is None:
            self._end = now + self._patience
        pause = max(delay(self.failed), refusal.after or 0.0)
        self.failed += 1
        if now + pause > self._end:
            raise refusal.error
        self._on_pause(Pause(refusal.error.message, now + pause, self._end - now - pause))
        try:
            await asyncio.sleep(pause)
        finally:
            self._on_pause(None)


class Calling:
    """Asks one service.

    Parameters
    ----------
    url : str or None
        Its address; else the variable `SERVER` of the environment has it.
    key : str or None
        The key; else the variable `KEY` of the environment may have it. It goes to this address alone: no redirect is
        followed, and without TLS no proxy stands between.
    patience, timeout : float
        Seconds.
    on_pause : callable, optional
        Told when a service is waited for, and when the wait is over (see `PatientEngine`); else it is logged.

    Raises
    ------
    UsageError
        If the address is none, or holds more than an address, or the key can be none.
    """

    def __init__(
        self, url: str | None, key: str | None, *, patience: float, timeout: float, on_pause: OnPause | None = None
    ) -> None:
        address = os.environ.get(SERVER, "") if url is None else url
        key = os.environ.get(KEY, "") if key is None else key
        if key != key.strip() or not (key.isascii() and key.isprintable()):
            raise UsageError("this can be no key: it has blanks or signs that keys have not", "give it as it was shown")
        self._key = key
        # A proxy would read the key, where there is no TLS.
        plain = not address.strip().lower().startswith("https")
        self._connection = Connection(address, [key], timeout=timeout, most=MOST_BYTES, proxies=not (plain and key))
        _require_address(self._connection)
        self.where = self._connection.where.removesuffix(API)
        """The service's address."""
        self.patience = patience
        self.timeout = timeout
        self.on_pause = on_pause or _log_pause

    @property
    def hide(self) -> Redactor:
        """Takes the key out of texts."""
        return self._connection.hide

    async def open(self) -> None:
        """Make ready; nothing is asked yet."""
        await self._connection.open()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    def tries(self) -> Tries:
        """Begin to count the attempts of a call."""
        return Tries(self.patience, self.on_pause)

    async def send(self, method: str, path: str, content: bytes | None = None, **how: Any) -> Reply:
        """Ask, and again as long as that may help.

        Parameters
        ----------
        method, path, content, **how
            As for `once`, and ``tries``, by which a caller knows whether there were others before.

        Raises
        ------
        ServiceError, EngineError
            What the service refused, or why it cannot be asked.
        """
        tries: Tries = how.pop("tries", None) or self.tries()
        while True:
            try:
                return await self.once(method, path, content, **how)
            except PassingError as error:
                await tries.again(error.refusal)

    async def once(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        wait: float = 0.0,
    ) -> Reply:
        """Ask once.

        Parameters
        ----------
        method, path : str
            What is asked; the path without the API's beginning.
        content : bytes, optional
            The body.
        query : mapping, optional
            What stands behind the question mark; None is left out.
        headers : mapping, optional
            Besides the usual ones.
        wait : float
            Seconds that the service may take beside the usual ones.

        Raises
        ------
        PassingError
            If it may help to ask again.
        ServiceError, EngineError
            What the service refused, or why it cannot be asked.
        """
        import httpx2  # noqa: PLC0415 - it takes a while

        asked = urlencode({name: value for name, value in (query or {}).items() if value is not None})
        url = f"{self.where}{API}{path}{f'?{asked}' if asked else ''}"
        known = {"Content-Type": "application/json"} if content is not None else {}
        if self._key:
            known["Authorization"] = f"Bearer {self._key}"
        told = {**known, **(headers or {})}
        try:
            reply = await self._connection.ask(method, url, content, told, timeout=self.timeout + wait)
        except httpx2.TransportError as error:
            raise self._broken(error) from error
        except (EngineError, httpx2.InvalidURL) as error:
            raise UnreachableError(self.hide(str(error)), "check the address of the service") from error
        if 200 <= reply.status < 300:  # noqa: PLR2004 - HTTP's
            return reply
        refusal = refused(reply, self.where, self.hide)
        if refusal.passing:
            raise PassingError(refusal)
        raise refusal.error

    def _broken(self, error: httpx2.TransportError) -> LlmAsRnnError | PassingError:
        """Say what a broken connection means; what this machine lacks, or a name that is none, does not pass."""
        broken = self._connection.broken(error)
        cause = UnreachableError(broken.message, broken.hint)
        unknown = any(isinstance(one, socket.gaierror) and one.errno == socket.EAI_NONAME for one in causes(error))
        lasting = self._connection.of_environment(error) is not None or (unknown and not self._connection.answered)
        return cause if lasting else PassingError(Refused(cause, True))


def _require_address(connection: Connection) -> None:
    """Refuse what names no server, and what an address should not hold.

    Raises
    ------
    UsageError
        If it does. It is not shown: a login might stand in it.
    """
    where = connection.address
    if not connection.where:
        raise UsageError("no service is named", f"give its address, http://HOST:PORT, or set {SERVER}")
    if where.login is not None or where.query:
        raise UsageError("the service's address holds more than where it is", f"give the key by itself, or set {KEY}")
    if where.scheme not in ("http", "https") or not where.host:
        raise UsageError(f"{connection.where!r} is no address of a service", "write http://HOST:PORT")


def _log_pause(pause: Pause | None) -> None:
    if pause is not None:
        seconds = pause.until - time.monotonic()
        _log.warning("%s: asked again in %.1f s, and for %.0f s after that", pause.why, seconds, pause.left)
