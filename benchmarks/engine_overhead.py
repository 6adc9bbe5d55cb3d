"""What a call costs beyond the server's own time: a bare HTTP client, and this package's engine.

The server answers at once, from another process. Each way makes the same 300 chat calls, one after another and with 4
in flight, in three rounds of which the fastest counts: ``python benchmarks/engine_overhead.py``.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

from llm_as_rnn.core.calls import Message, Request, Sampling
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from server import serving

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
REPLY = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "fake",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "rain, 12.0"}}],
    "usage": {"prompt_tokens": 70, "completion_tokens": 6, "total_tokens": 76},
}

Call = Callable[[], Awaitable[object]]


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
    with serving(REPLY) as url:
        asyncio.run(measure(f"{url}/v1"))


if __name__ == "__main__":
    main()
