"""What a step costs to keep: python benchmarks/journal.py TASK [BUDGET [STEPS]].

A run of `cases` on a script that answers as the case shown last does. Its steps are then written again: in the format
before this one, in today's, and with the prompts beside it; bytes a step, and time a step, with the disk and without.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

from llm_as_rnn.core.calls import Message, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.asked import RunJournal
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import Options, execute
from llm_as_rnn.runs.journal import STEPS
from llm_as_rnn.runs.writing import Journal

METHOD = "recurrent:cases"
ROUNDS = 5


class Unwatched:
    """Nobody who watches the run."""

    def begin(self, methods: object, steps: int, past: object) -> None:
        """Hear nothing."""

    def step(self, record: StepRecord) -> None:
        """Hear nothing."""

    def set_aside(self, steps: int) -> None:
        """Hear nothing."""


def main(name: str, budget: str = "256", steps: str = "120") -> None:
    """Print a line for each way of keeping steps."""
    task = load_task(name)
    first = task.spec("line").show({field.name: field.options[0] if field.options else 9.0 for field in task.answer})

    def answer(request: Request) -> str:
        *shown, _ = [line for line in request.messages[-1].content.splitlines() if line.strip()]
        return " " + (shown[-1].rpartition(" -> ")[2] if shown else first)

    with tempfile.TemporaryDirectory() as folder:
        directory = RunDirectory(Path(folder) / "run")
        settings = {"budget": int(budget), "form": "line"}
        options = Options(name, (METHOD,), sequences=1, steps=int(steps), settings=settings)
        engine = ScriptedEngine(answer, EngineInfo("scripted", context_window=16384))
        asyncio.run(execute(options, engine, directory, resume=False, watcher=Unwatched()))
        records = [record for record in directory.records() if record.method == METHOD]
        messages = directory.prompts().messages
        for way, write in (("before", before), ("today", today), ("with prompts", with_prompts)):
            figures = [measure(write, Path(folder), records, messages, sync) for sync in (True, False)]
            size, durable, quick = figures[0][0], figures[0][1], figures[1][1]
            print(f"{way:13} {size:7.0f} bytes a step, {durable:6.0f} µs a step, {quick:5.0f} without the disk")


Messages = Mapping[str, Message]
Write = Callable[[Path, list[StepRecord], Messages], None]


def measure(
    write: Write, folder: Path, records: list[StepRecord], messages: Messages, sync: bool
) -> tuple[float, float]:
    """Give bytes and the least microseconds a step."""
    least = float("inf")
    with nullcontext() if sync else mock.patch("os.fsync"):
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory(dir=folder) as out:
                begun = time.perf_counter()
                write(Path(out), records, messages)
                least = min(least, time.perf_counter() - begun)
                size = sum(path.stat().st_size for path in Path(out).glob("*.jsonl"))
    return size / len(records), least / len(records) * 1e6


def before(folder: Path, records: list[StepRecord], messages: Messages) -> None:
    """Write format 2, without the feedback that it had at every step."""
    (folder / "steps.jsonl").write_bytes(STEPS.head_of(2) + b"\n")
    today(folder, records, messages)


def today(folder: Path, records: list[StepRecord], messages: Messages) -> None:
    """Write the format that the file is in, or today's."""
    with Journal(folder / "steps.jsonl") as journal:
        for record in records:
            journal.append(record)


def with_prompts(folder: Path, records: list[StepRecord], messages: Messages) -> None:
    """Write today's format, and what was asked."""
    with RunJournal(folder / "steps.jsonl", folder / "prompts.jsonl") as journal:
        for record in records:
            for names in record.asked:
                journal.hear(Request("predict", tuple(messages[name] for name in names)))
            journal.append(record)


if __name__ == "__main__":
    main(*sys.argv[1:])
