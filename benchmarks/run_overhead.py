"""How near a run comes to a bare client's loop: python benchmarks/run_overhead.py [IN_FLIGHT ...].

A server answers each call after 50 ms, from another process. The same number of calls is made by a bare HTTP client and
by a run of `recurrent` with `cases`, each with so many in flight; the server's clock counts, from the first call that
came to the last answer that went, so that start, references and report are apart. CPU is that of the asking process.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2

from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import Options, execute
from server import serving

CALLS = 640
DELAY = 0.05
TASK = "probe-recall"
ANSWER = load_task(TASK).answer[0].options[0]
REPLY = {
    "choices": [{"index": 0, "finish_reason": "stop", "text": f" {ANSWER}"}],
    "usage": {"prompt_tokens": 70, "completion_tokens": 2, "total_tokens": 72},
}


class Silent:
    """Watches a run, and says nothing."""

    def begin(self, methods: Sequence[str], steps: int, past: Sequence[StepRecord]) -> None:
        """Do nothing."""

    def step(self, record: StepRecord) -> None:
        """Do nothing."""

    def set_aside(self, steps: int) -> None:
        """Do nothing."""


async def bare(url: str, workers: int) -> None:
    """Make the calls with nothing but a client."""
    body: dict[str, Any] = {"model": "fake", "prompt": "what is it? -> " * 20, "max_tokens": 16, "temperature": 0.0}
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(trust_env=False, limits=limits, timeout=60) as client:

        async def work() -> None:
            for _ in range(CALLS // workers):
                reply = await client.post(f"{url}/completions", json=body)
                assert json.loads(reply.content)["choices"][0]["text"]

        await asyncio.gather(*(work() for _ in range(workers)))


async def run(url: str, workers: int) -> None:
    """Make as many by a run."""
    settings = {"form": "line", "style": "completion", "rule": "cases", "budget": 256}
    options = Options(TASK, methods=("recurrent",), sequences=workers, steps=CALLS // workers, settings=settings)
    engine = OpenAICompatibleEngine("fake", base_url=url, api_key="none", slots=workers)
    with tempfile.TemporaryDirectory() as folder:
        await execute(options, engine, RunDirectory(Path(folder) / "run"), resume=False, watcher=Silent())


async def measure(url: str, in_flight: Sequence[int]) -> None:
    """Print a line for each number of calls in flight, both ways in turn."""
    print(f"{'in flight':>9}  {'bare, s':>8} {'a run, s':>8} {'ratio':>6}")
    async with httpx2.AsyncClient(trust_env=False) as client:

        async def clock() -> tuple[int, float]:
            calls, seconds = (await client.get(f"{url.removesuffix('/v1')}/clock")).json()
            return calls, seconds

        for workers in in_flight:
            times: dict[str, list[float]] = {"bare": [], "run": []}
            for _ in range(3):
                for name, way in (("bare", bare), ("run", run)):
                    await clock()
                    await way(url, workers)
                    calls, seconds = await clock()
                    assert calls == CALLS, calls
                    times[name].append(seconds)
            one, other = min(times["bare"]), min(times["run"])
            print(f"{workers:>9}  {one:>8.2f} {other:>8.2f} {other / one:>6.2f}")


def main() -> None:
    """Start the server, measure, end it."""
    with serving(REPLY, DELAY) as url:
        asyncio.run(measure(f"{url}/v1", [int(word) for word in sys.argv[1:]] or [8, 64]))


if __name__ == "__main__":
    main()
