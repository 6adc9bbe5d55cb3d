"""The server: listens, and stops in good order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import uvicorn
from litestar.types import ASGIApp

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.service.config import ServiceSettings
from llm_as_rnn.service.http.parts import Stopping

KEEP_ALIVE = 75
"""Seconds for which a connection is kept that asks nothing."""


class _Server(uvicorn.Server):
    """One that leaves signals to whoever runs it, and tells streams that it stops."""

    def __init__(self, config: uvicorn.Config, stopping: Stopping) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; streams of events would go on for ever."""
        self._stopping.stop()
        await super().shutdown(sockets)


async def run(
    app: ASGIApp,
    settings: ServiceSettings,
    stopping: Stopping,
    close: Callable[[], Awaitable[None]],
    listening: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until the task is cancelled: then take no further connection, let requests end, and close.

    Parameters
    ----------
    app : ASGIApp
        What answers.
    settings : ServiceSettings
        Where to listen, and how long requests have to end.
    stopping : Stopping
        That of the app.
    close : callable
        Called when no request is under way any more.
    listening : callable
        Told the address once connections are taken.

    Raises
    ------
    UsageError
        If the address cannot be listened at.
    """
    try:
        with _listener(settings) as taken:
            server = _Server(
                uvicorn.Config(
                    app,
                    loop="none",
                    http="httptools",
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    timeout_keep_alive=KEEP_ALIVE,
                    timeout_graceful_shutdown=int(max(1, settings.shutdown_seconds)),
                ),
                stopping,
            )
            listening(_url(taken))
            serving = asyncio.create_task(server.serve([taken]))
            try:
                await asyncio.shield(serving)
            except asyncio.CancelledError:
                server.should_exit = True
                await serving
                raise
    finally:
        await close()


@contextmanager
def _listener(settings: ServiceSettings) -> Iterator[socket.socket]:
    """Take the address that is to be listened at."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise UsageError(
                f"{where} cannot be listened at: {error.strerror}", "choose another --port or --host"
            ) from error
        taken.listen(2048)
        taken.setblocking(False)
        yield taken


def _url(taken: socket.socket) -> str:
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
