"""A server for measuring: in a process of its own it gives every call the same answer, at once or after a while."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any


class Clock:
    """How many calls there were, when the first of them came, and when the last answer went."""

    def __init__(self) -> None:
        self.first = self.last = 0.0
        self.calls = 0


@contextmanager
def serving(reply: dict[str, Any], delay: float = 0.0) -> Iterator[str]:
    """Serve, and give the address, without ``/v1``.

    ``POST`` is answered with the reply after ``delay`` seconds, ``GET /clock`` with the number of these calls and the
    seconds that they took since it was asked before, and all else with 404.
    """
    context = multiprocessing.get_context("spawn")
    hear, tell = context.Pipe(duplex=False)
    server = context.Process(target=_serve, args=(tell, json.dumps(reply).encode(), delay), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{hear.recv()}"
    finally:
        server.terminate()
        server.join()


def _serve(tell: Connection, reply: bytes, delay: float) -> None:
    async def run() -> None:
        answer = partial(_answer, clock=Clock(), reply=reply, delay=delay)
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
        tell.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, clock: Clock, reply: bytes, delay: float
) -> None:
    """Answer the requests of one connection."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            await reader.readexactly(length)
            status, body = b"404 Not Found", b"{}"
            if head.startswith(b"get /clock"):
                status, body = b"200 OK", json.dumps([clock.calls, clock.last - clock.first]).encode()
                clock.first, clock.calls = 0.0, 0
            elif head.startswith(b"post"):
                clock.first = clock.first or time.perf_counter()
                if delay:
                    await asyncio.sleep(delay)
                clock.last, clock.calls = time.perf_counter(), clock.calls + 1
                status, body = b"200 OK", reply
            writer.write(
                b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                % (status, len(body), body)
            )
            await writer.drain()
    writer.close()
