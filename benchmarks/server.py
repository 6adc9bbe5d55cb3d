"""A server for measuring: in a process of its own it answers every call, at once or after a while.

Every call gets the same answer, or what an `Answering` makes of it.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol


class Clock:
    """How many calls there were, when the first of them came, and when the last answer went."""

    def __init__(self) -> None:
        self.first = self.last = 0.0
        self.calls = 0


class Reply(NamedTuple):
    """What goes back.

    Attributes
    ----------
    body : bytes
        JSON, as a rule.
    status : bytes
        The code and its words.
    headers : bytes
        Further lines, each with its end.
    cut : bool
        Whether the connection is closed instead.
    """

    body: bytes
    status: bytes = b"200 OK"
    headers: bytes = b""
    cut: bool = False


class Answering(Protocol):
    """Answers calls; it is sent to the server's process, where it may count."""

    def answer(self, path: bytes, body: bytes) -> Reply:
        """Answer what was posted to a path."""
        ...

    def tally(self) -> list[Any]:
        """Give what was counted since it was asked before."""
        ...


class Same:
    """Gives every call the same answer."""

    def __init__(self, reply: dict[str, Any]) -> None:
        self.reply = Reply(json.dumps(reply).encode())

    def answer(self, path: bytes, body: bytes) -> Reply:
        """Answer."""
        return self.reply

    def tally(self) -> list[Any]:
        """Give nothing: the clock counts calls."""
        return []


@contextmanager
def serving(answering: dict[str, Any] | Answering, delay: float = 0.0) -> Iterator[str]:
    """Serve, and give the address, without ``/v1``.

    ``POST`` is answered with the reply after ``delay`` seconds, ``GET /clock`` with the number of these calls, the
    seconds that they took since it was asked before and what was counted beside, and all else with 404.
    """
    chosen = Same(answering) if isinstance(answering, dict) else answering
    context = multiprocessing.get_context("spawn")
    hear, tell = context.Pipe(duplex=False)
    server = context.Process(target=_serve, args=(tell, chosen, delay), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{hear.recv()}"
    finally:
        server.terminate()
        server.join()


def _serve(tell: Connection, answering: Answering, delay: float) -> None:
    async def run() -> None:
        answer = partial(_answer, clock=Clock(), answering=answering, delay=delay)
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
        tell.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, clock: Clock, answering: Answering, delay: float
) -> None:
    """Answer the requests of one connection."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            content = await reader.readexactly(length)
            reply = Reply(b"{}", b"404 Not Found")
            if head.startswith(b"get /clock"):
                reply = Reply(json.dumps([clock.calls, clock.last - clock.first, *answering.tally()]).encode())
                clock.first, clock.calls = 0.0, 0
            elif head.startswith(b"post"):
                clock.first = clock.first or time.perf_counter()
                reply = answering.answer(head.split(b" ", 2)[1], content)
                if delay:
                    await asyncio.sleep(delay)
                clock.last, clock.calls = time.perf_counter(), clock.calls + 1
            if reply.cut:
                break
            writer.write(
                b"HTTP/1.1 %s\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s"
                % (reply.status, reply.headers, len(reply.body), reply.body)
            )
            await writer.drain()
    writer.close()
