"""What travels between this package and a server: sent again where that helps, bounded in size, without secrets.

The rules:

- A request goes to the address that was named: no redirect is followed. A host that is this machine is asked without a
  proxy, and what is connected to is the very address that was looked up and found to be a loopback one.
- What may pass in a moment (a busy server, a broken connection) is tried again after a short wait. A server that wants
  a longer one is not worn down: its refusal is handed on, with the time that it asks for.
- A reply is read up to a limit, packed or not.
- Keys and passwords are taken out of everything that a server says.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import random
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlencode
from urllib.request import getproxies

import msgspec

from llm_as_rnn._version import __version__
from llm_as_rnn.core.errors import EngineBusyError, EngineError, EngineUnavailableError, UsageError
from llm_as_rnn.core.records import writable
from llm_as_rnn.engines.places import is_address, is_bound, is_here, loopback
from llm_as_rnn.engines.refusals import Refusal, read_refusal
from llm_as_rnn.engines.replies import one_line
from llm_as_rnn.engines.secrecy import Address, Redactor, address, credentials

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

MOST_BYTES = 4 << 20
"""The longest reply that is read, in bytes, as it comes and unpacked."""
LONG = 100_000
"""Bytes from which on a reply is read beside the loop, so that no other call waits for it."""
FIRST_WAIT = 0.5
"""Seconds before the second attempt; twice as long before each further one."""
LONGEST_WAIT = 5.0
"""Seconds that are waited here at the most."""

CLIENTS_LOG = "httpx2"
"""The log of the HTTP client."""


class Answer(NamedTuple):
    """What came back.

    Attributes
    ----------
    content : bytes
        The body.
    refusal : Refusal or None
        What it says, if it is no answer.
    retry_after : float or None
        Seconds after which the server wants to be asked again.
    failed : int
        Attempts before this one.
    """

    content: bytes
    refusal: Refusal | None
    retry_after: float | None
    failed: int


class Reply(NamedTuple):
    """What came back, whatever it says.

    Attributes
    ----------
    status : int
        HTTP's.
    headers : mapping
        By name, in any case.
    content : bytes
        The body, unpacked.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


class Connection:
    """The way to one server, for whatever is sent there.

    Parameters
    ----------
    base_url : str
        Its address, which may hold a login (sent as Basic authentication).
    secrets : iterable of str
        What is taken out of everything that the server says, besides what the address holds.
    timeout : float
        Seconds for each step of one attempt: to connect, to send, until the next bytes come.
    most : int
        The longest reply that is read, in bytes.
    proxies : bool
        Whether a proxy that the environment names may stand between.
    """

    def __init__(
        self,
        base_url: str,
        secrets: Iterable[str],
        *,
        timeout: float,
        most: int | None = None,
        proxies: bool = True,
    ) -> None:
        self.address: Address = address(base_url)
        self.where = self.address.url  # as messages call it
        self.hide = Redactor([*secrets, *credentials(self.address)])
        self.answered = False
        """Whether the server ever did."""
        self._timeout = timeout
        self._most = most
        self._proxies = proxies
        self._client: httpx2.AsyncClient | None = None
        self._logged = _Logged(self.hide)

    async def open(self) -> None:
        """Make ready to connect.

        Raises
        ------
        UsageError
            If the environment names a proxy, or certificates, that cannot be used.
        """
        import httpx2  # noqa: PLC0415 - it takes a while

        host = self.address.host
        here = await asyncio.to_thread(is_here, host) or is_bound(host)
        direct = here or not self._proxies
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        with usable_environment(proxies=not direct):
            transport: httpx2.AsyncBaseTransport | None = None
            if direct:
                secure = self.address.scheme == "https"
                # Where there is no TLS no certificates are needed, and to read those of the system takes a while.
                transport = httpx2.AsyncHTTPTransport(verify=secure, trust_env=secure, limits=limits)
            if here and transport is not None:
                transport = _on_this_machine(transport)
            self._client = httpx2.AsyncClient(
                follow_redirects=False,
                trust_env=not direct,
                transport=transport,
                limits=limits,
                timeout=self._timeout,
                auth=self.address.login,
                headers={"User-Agent": f"llm-as-rnn/{__version__}", "Accept-Encoding": "gzip"},
            )
        if self.address.query:
            logging.getLogger(CLIENTS_LOG).addFilter(self._logged)

    async def ask(
        self,
        method: str,
        url: str,
        content: bytes | None,
        headers: Mapping[str, str],
        *,
        timeout: float | None = None,
    ) -> Reply:
        """Send one request, once, and read the reply to its end; another time limit holds for each step of this one.

        Raises
        ------
        httpx2.TransportError, httpx2.InvalidURL
            If no whole reply came; `broken` says what the first means.
        EngineUnavailableError
            If the connection is not open.
        EngineError
            If the reply is too long, or packed in a way that was not asked for.
        """
        if self._client is None:
            raise EngineUnavailableError(f"the connection to {self.where} is not open")
        wait = self._timeout if timeout is None else timeout
        async with self._client.stream(method, url, content=content, headers=headers, timeout=wait) as reply:
            body = await self._read(reply)
        self.answered = True
        return Reply(reply.status_code, reply.headers, body)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            logging.getLogger(CLIENTS_LOG).removeFilter(self._logged)
            await client.aclose()

    async def _read(self, reply: httpx2.Response) -> bytes:
        most = MOST_BYTES if self._most is None else self._most
        packing = reply.headers.get("content-encoding", "").strip().lower()
        if packing not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise EngineError(
                f"{self.where} sends its replies packed in a way that was not asked for ({packing[:20]!r})"
            )
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress if packing not in ("", "identity") else _as_it_is
        parts, came, size = [], 0, 0
        async for chunk in reply.aiter_raw():
            try:
                part = unpack(chunk, most + 1 - size)
            except zlib.error as error:
                raise EngineError(f"{self.where} sent a reply that cannot be unpacked") from error
            came, size = came + len(chunk), size + len(part)
            if max(came, size) > most:
                raise EngineError(f"{self.where} sent a reply of more than {most >> 20} MiB")
            parts.append(part)
        return b"".join(parts)

    def broken(self, error: httpx2.TransportError) -> EngineError:
        """Say in one line what a broken connection means."""
        import httpx2  # noqa: PLC0415

        ours = self.of_environment(error)
        if ours is not None:
            return ours
        said = self.hide(one_line(str(error) or type(error).__name__))
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.UnsupportedProtocol):
            if self.answered:
                return EngineBusyError(f"there is no server at {self.where} any more: {said}", "start it again")
            through = f", or the proxy in {_proxy_variables()}" if _proxied(self._client) else ""
            return EngineUnavailableError(
                f"there is no server at {self.where}", f"start it, or check the address{through}"
            )
        if isinstance(error, httpx2.TimeoutException):
            return EngineError(f"no answer from {self.where} within {self._timeout:g} s", "allow more time: --timeout")
        broke = f"the connection to {self.where} broke: {said}"
        return EngineBusyError(broke, "it may answer later") if self.answered else EngineError(broke)

    def of_environment(self, error: httpx2.TransportError) -> EngineUnavailableError | None:
        """Tell what this machine lacks to connect, or what stands between; None if it is the server's matter."""
        import httpx2  # noqa: PLC0415

        for cause in causes(error):
            if isinstance(cause, OSError) and cause.errno in _NO_HANDLES:
                return EngineUnavailableError("too many files are open: none is left for a connection", _MORE_HANDLES)
            if isinstance(cause, ssl.SSLError):
                return EngineUnavailableError(
                    f"{self.where} cannot be reached safely: {self.hide(one_line(str(cause)))}",
                    "check http or https in the address, and its certificate (SSL_CERT_FILE)",
                )
        if isinstance(error, httpx2.ProxyError):
            said = self.hide(one_line(str(error)))
            return EngineUnavailableError(
                f"the proxy in {_proxy_variables()} gives no way to {self.where}: {said}", "check it, or unset it"
            )
        return None


class Wire(Connection):
    """Sends requests for answers of a model to one server.

    Parameters
    ----------
    base_url : str
        Its address, which may hold a login (sent as Basic authentication).
    key : str
        The API key, or nothing.
    timeout : float
        Seconds for each step of one attempt: to connect, to send, until the next bytes come.
    retries : int
        Attempts after the first one.
    sleep : callable
        Waits between them.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout: float,
        retries: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(base_url, [key], timeout=timeout)
        self._key = key
        self._retries = retries
        self._sleep = sleep

    async def send(
        self,
        url: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        retries: int | None = None,
    ) -> Answer:
        """GET a URL, or POST a body to it; again where that may help.

        Raises
        ------
        EngineBusyError
            If the server had answered before, and is gone.
        EngineUnavailableError
            If there is no server.
        EngineError
            If no whole reply came.
        """
        import httpx2  # noqa: PLC0415

        content = None if body is None else _encoded(body)
        most = self._retries if retries is None else retries
        failed = 0
        while True:
            wait = None
            try:
                answer = await self._once(url, content, query, failed)
            except httpx2.TransportError as error:
                cause = self.broken(error)
                if failed >= most or (isinstance(cause, EngineUnavailableError) and not self.answered):
                    raise cause from error
            except httpx2.InvalidURL as error:
                raise EngineUnavailableError(f"{self.where!r} is no address of a server", _ADDRESS_HINT) from error
            else:
                if answer.refusal is None or not answer.refusal.passing or failed >= most:
                    return answer
                wait = answer.retry_after
                if wait is not None and wait > LONGEST_WAIT:
                    return answer
            await self._sleep(delay(failed) if wait is None else wait)
            failed += 1

    async def _once(self, url: str, content: bytes | None, query: Mapping[str, str] | None, failed: int) -> Answer:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        if self.address.login is None:
            headers["Authorization"] = f"Bearer {self._key or 'none'}"
        asked = "&".join(filter(None, (self.address.query, urlencode(query or {}))))
        target = f"{url}?{asked}" if asked else url
        reply = await self.ask("GET" if content is None else "POST", target, content, headers)
        body = self.hide.body(reply.content)
        refusal = await beside(body, read_refusal, reply.status, body, self.hide)
        return Answer(body, refusal, retry_after(reply.headers), failed)


class _Logged(logging.Filter):
    """Takes secrets out of what the HTTP client logs, which is the whole address of every request."""

    def __init__(self, hide: Redactor) -> None:
        super().__init__()
        self._hide = hide

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._hide(record.getMessage()), ()
        return True


async def beside(content: bytes, read: Callable[..., T], *arguments: Any) -> T:
    """Call what reads a reply; in a thread of its own if the reply is long."""
    return await asyncio.to_thread(read, *arguments) if len(content) > LONG else read(*arguments)


_NO_HANDLES = {errno.EMFILE, errno.ENFILE}
_MORE_HANDLES = "raise the limit (ulimit -n), or run less at once"
_ADDRESS_HINT = "write http://HOST:PORT/v1"


@contextmanager
def usable_environment(*, proxies: bool = True) -> Iterator[None]:
    """Say in one line which variable of the environment an HTTP client cannot be made with.

    Raises
    ------
    UsageError
        If it is a proxy's address, or a file of certificates.
    """
    import httpx2  # noqa: PLC0415

    try:
        yield
    except OSError as error:  # that of a file, and those of TLS
        names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
        if error.errno in _NO_HANDLES:
            raise UsageError("too many files are open", _MORE_HANDLES) from error
        what = f"the certificates that {names[0]} names" if names else "this system's certificates"
        raise UsageError(
            f"{what} cannot be read: {error.strerror or one_line(str(error))}",
            f"name a file that is there, or unset {names[0]}" if names else "set SSL_CERT_FILE to a file of them",
        ) from error
    except ImportError as error:
        if not proxies:
            raise
        raise UsageError(
            f"{_proxy_variables('socks')} names a SOCKS proxy, which needs the package socksio",
            "pip install socksio, or unset the variable; NO_PROXY names hosts that need none",
        ) from error
    except (ValueError, httpx2.InvalidURL) as error:
        if not proxies:
            raise
        raise UsageError(
            f"{_proxy_variables()} is no address of a proxy", "write http://HOST:PORT, or unset the variable"
        ) from error


def _proxy_variables(like: str = "") -> str:
    """Name the variables that name proxies, those of a kind first; their values may hold passwords."""
    there = [name for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY") for name in (name, name.lower())]
    there = [name for name in there if os.environ.get(name)]
    return (
        " or ".join([name for name in there if os.environ[name].startswith(like)] or there) or "the system's settings"
    )


def _proxied(client: httpx2.AsyncClient | None) -> bool:
    return client is not None and client.trust_env and any(scheme != "no" for scheme in getproxies())


def _on_this_machine(inner: httpx2.AsyncBaseTransport) -> httpx2.AsyncBaseTransport:
    """Let a transport connect to loopback addresses alone, whatever a name comes to stand for."""
    import httpx2  # noqa: PLC0415

    class Loopback(httpx2.AsyncBaseTransport):
        """Looks a name up, and hands on the address that was approved, never the name."""

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            host = request.url.host
            # Only a name may take time to be looked up.
            there = loopback(host) if is_address(host) else await asyncio.to_thread(loopback, host)
            if not there:
                raise EngineUnavailableError(f"{host} no longer stands for this machine", "name 127.0.0.1 instead")
            request.extensions = {**request.extensions, "sni_hostname": host}  # for TLS it keeps its name
            url = request.url
            for place, found in enumerate(there):
                request.url = url if found == host else url.copy_with(host=found)
                try:
                    return await inner.handle_async_request(request)
                except httpx2.ConnectError:
                    if place == len(there) - 1:
                        raise
            raise AssertionError("there is an address")

        async def aclose(self) -> None:
            await inner.aclose()

    return Loopback()


def _as_it_is(chunk: bytes, most: int) -> bytes:
    return chunk


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:  # a lone surrogate, which no request can hold
        return writable(json.dumps(body, ensure_ascii=False)).encode()


def delay(failed: int) -> float:
    """Give the seconds to wait, a little different each time, so that calls do not come back together."""
    return min(FIRST_WAIT * 2.0**failed, LONGEST_WAIT) * random.uniform(0.75, 1.0)  # noqa: S311 - nothing secret


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read after how many seconds a server wants to be asked again; None if it does not say."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        said = headers.get(name, "").strip()
        try:
            seconds = float(said) * scale
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Go through what an error came from."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else []
