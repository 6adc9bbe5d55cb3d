"""What a call costs beyond the server's own time: a bare HTTP client, and this package's engine.

The server answers at once, from another process. Each way makes the same 300 chat calls, one after another and with 4
in flight, in three rounds of which the fastest counts: ``python benchmarks/engine_overhead.py``.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import httpx2

from llm_as_rnn.core.records import Message, Request, Sampling
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine

CALLS = 300
ROUNDS = 3
WARM_UP = 20
REQUEST = Request(
    "predict", (Message("system", "Predict the sky. " * 20), Message("user", "sun, 12.5 ->")), Sampling(max_tokens=16)
)
BODY: dict[str, Any] = {
    "model": "fake",
    "messages": [{"role": message.role, "content": message.content} for message in REQUEST.messages],
    "temperature": 0.0,
    "top_p": 1.0,
    "max_tokens": 16,
    "seed": 0,
}
REPLY = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "fake",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "rain, 12.0"}}],
        "usage": {"prompt_tokens": 70, "completion_tokens": 6, "total_tokens": 76},
    }
).encode()

Call = Callable[[], Awaitable[object]]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection at once."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            await reader.readexactly(length)
            status = b"404 Not Found" if head.startswith(b"get") else b"200 OK"
            body = b"{}" if head.startswith(b"get") else REPLY
            writer.write(
                b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                % (status, len(body), body)
            )
            await writer.drain()
    writer.close()


def serve(tell: Connection) -> None:
    """Serve until the process is ended; tell the port first."""

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        tell.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def timed(call: Call, workers: int) -> float:
    """Give the milliseconds per call: the whole time divided by the number of calls."""

    async def work(calls: int) -> None:
        for _ in range(calls):
            await call()

    started = time.perf_counter()
    await asyncio.gather(*(work(CALLS // workers) for _ in range(workers)))
    return (time.perf_counter() - started) / CALLS * 1000


async def measure(url: str) -> None:
    """Measure both ways against a server, and print the table."""
    engine = OpenAICompatibleEngine("fake", base_url=url, api_key="none")
    await engine.open()
    async with httpx2.AsyncClient(trust_env=False) as bare:

        async def by_hand() -> object:
            reply = await bare.post(f"{url}/chat/completions", json=BODY)
            return json.loads(reply.content)["choices"][0]["message"]["content"]

        ways: dict[str, Call] = {
            "bare HTTP client": by_hand,
            "this engine": lambda: engine.complete(REQUEST),
        }
        for call in ways.values():
            for _ in range(WARM_UP):
                await call()
        print(f"{'ms per call':<18} {'one by one':>12} {'ratio':>6} {'4 at once':>12} {'ratio':>6}")
        best: dict[tuple[str, int], float] = {}
        for _ in range(ROUNDS):
            for name, call in ways.items():
                for workers in (1, 4):
                    spent = await timed(call, workers)
                    best[name, workers] = min(spent, best.get((name, workers), spent))
        for name in ways:
            cells = [
                f"{best[name, workers]:>12.2f} {best[name, workers] / best['bare HTTP client', workers]:>6.2f}"
                for workers in (1, 4)
            ]
            print(f"{name:<18} {' '.join(cells)}")
    await engine.close()


def main() -> None:
    """Start the server, measure, end it."""
    context = multiprocessing.get_context("spawn")
    hear, tell = context.Pipe(duplex=False)
    server = context.Process(target=serve, args=(tell,), daemon=True)
    server.start()
    try:
        asyncio.run(measure(f"http://127.0.0.1:{hear.recv()}/v1"))
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
