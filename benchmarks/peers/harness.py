"""What every program beside us is run by, in an environment of its own: nothing but the standard library.

The job comes as JSON on the standard input, and what was measured goes out as the last line of the standard output. A
program connects to a server, begins a stream by its name, and takes steps: it predicts, says what it predicted, and
learns the outcome. An exception ends the step, not the job: a program that catches none would have ended there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

MODEL = "oracle"
KEY = "none"
LABELS = ("antonym", "definition", "homophone", "sentence", "synonym")
INSTRUCTIONS = "A user asks about a word. Say what they want: " + ", ".join(LABELS) + "."
KEPT = 16
"""Past steps that are kept where a program says how many: about as many as fit 256 tokens."""
AT_ONCE = 8
"""The most streams that step at the same time."""
BUDGET = 256
"""Tokens that are kept where a program says that."""

Tell = Callable[[object], None]
Step = Callable[[str, str, Tell], Awaitable[None]]
Begin = Callable[[str], Awaitable[Step]]
Connect = Callable[[str], AbstractAsyncContextManager[Begin]]
Stream = list[list[str]]
Found = dict[str, Any]


class Outcomes:
    """What came of the steps."""

    def __init__(self) -> None:
        self.steps = self.right = self.wrong = self.lost = self.unlearned = 0
        self.raised: Counter[str] = Counter()

    async def take(self, step: Step, question: str, label: str) -> None:
        """Take a step, and note what came of it."""
        said: list[object] = []
        error = ""
        try:
            await step(question, label, said.append)
        except Exception as raised:  # noqa: BLE001 - whatever a framework raises is what is measured
            error = type(raised).__name__
            self.raised[error] += 1
        self.note(said[0] if said else None, label, learned=not error)

    def note(self, answer: object, label: str, *, learned: bool) -> None:
        """Note a step: no answer is a step lost, and another than the right one is wrong without a word."""
        answer = str(answer).strip() if answer is not None else ""
        self.steps += 1
        self.lost += not answer
        self.right += answer == label
        self.wrong += bool(answer) and answer != label
        self.unlearned += bool(answer) and not learned

    def found(self) -> Found:
        """Give all of it."""
        return {**vars(self), "raised": dict(self.raised)}


async def stepped(connect: Connect, cell: Found) -> Found:
    """Take all steps of some streams, so many streams at a time."""
    outcomes = Outcomes()
    async with connect(cell["url"]) as begin:
        await _walk(begin, "warm", cell["warm"], Outcomes())
        clock(cell["url"])
        waiting = list(enumerate(cell["streams"]))
        spent = Spent()

        async def work() -> None:
            while waiting:
                number, stream = waiting.pop(0)
                await _walk(begin, f"s{number}", stream, outcomes)

        await asyncio.gather(*(work() for _ in range(cell["in_flight"])))
        return spent.found() | outcomes.found() | clock(cell["url"])


async def _walk(begin: Begin, name: str, stream: Stream, outcomes: Outcomes) -> None:
    step = await begin(name) if stream else None
    for question, label in stream:
        assert step
        await outcomes.take(step, question, label)


class Spent:
    """The CPU and wall seconds since it was made."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def found(self) -> Found:
        """Give both."""
        return {"cpu": time.process_time() - self.cpu, "wall": time.perf_counter() - self.wall}


def clock(url: str) -> Found:
    """Give what the server counted since it was asked before."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url.removesuffix("/v1") + "/clock") as reply:
        counted = json.load(reply)
    names = ("posts", "seconds", "calls", "prompt_tokens", "completion_tokens", "faults", "first")
    return dict(zip(names, counted, strict=True))


def run(connect: Connect) -> None:
    """Do the job with a program that takes steps."""
    job(lambda cell: stepped(connect, cell))


def job(measured: Callable[[Found], Awaitable[Found]]) -> None:
    """Do the job: one cell after another."""
    logging.disable(logging.CRITICAL)
    cells = json.load(sys.stdin)["cells"]

    async def whole() -> list[Found]:
        return [{"cell": cell["name"], **await measured(cell)} for cell in cells]

    found = asyncio.run(whole())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"cells": found, "peak_bytes": peak, "cpu": time.process_time()}))
