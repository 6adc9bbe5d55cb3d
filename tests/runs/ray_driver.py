"""A run on Ray in a process of its own, in the midst of which something is killed.

Called with a JSON object: ``out`` (the run's folder), ``address`` (the cluster's), ``deed`` (what is done after `AFTER`
steps) and ``nodes`` (processes of nodes, by id). It prints what it did.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import EngineBusyError
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.engines.spending import Meter
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import execute
from llm_as_rnn.runs.fleet import Fleet
from llm_as_rnn.runs.on_ray import RayCluster
from tests.helpers import run_options
from tests.runs.test_execute import INFO, WANTED, Watch, answer

OPTIONS = run_options(**{**WANTED, "shared": 60, "methods": ("full_history", "recurrent", "advised")})
AFTER, BACK = 6, 30
"""Steps after which something is killed, and after which a server that was away is back."""


class Engine(ScriptedEngine):
    """Takes a while for an answer, leaves a note of its process, and is away while a file says so."""

    def __init__(self, notes: Path, server: int) -> None:
        super().__init__(answer, INFO)
        self._notes = notes
        self._away = notes / f"away-{server}"

    async def open(self) -> None:
        import ray  # noqa: PLC0415 - only where it runs

        if self._away.exists():
            raise EngineBusyError("it is away")
        (self._notes / f"{os.getpid()}.pid").write_text(ray.get_runtime_context().get_node_id())

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(0.01)
        if self._away.exists():
            raise EngineBusyError("it is away")
        return await super().complete(request)


def make(notes: Path, server: int, *, meter: Meter | None, patience: float) -> Engine:
    """Make an engine where it runs."""
    del meter, patience
    return Engine(notes, server)


class Killer(Watch):
    """Does what is to be done after so many steps."""

    def __init__(self, asked: dict[str, Any], notes: Path) -> None:
        super().__init__()
        self._asked = asked
        self._notes = notes

    def step(self, record: StepRecord) -> None:
        super().step(record)
        if len(self.steps) == AFTER:
            _say(self._do())
        if len(self.steps) == BACK:
            (self._notes / "away-0").unlink(missing_ok=True)

    def _do(self) -> str:
        at = {path.read_text(): int(path.stem) for path in self._notes.glob("*.pid")}
        node = next(name for name in self._asked["nodes"] if name in at)
        if self._asked["deed"] == "server":
            (self._notes / "away-0").touch()
            return "server away"
        pid = at[node] if self._asked["deed"] == "worker" else self._asked["nodes"][node]
        os.kill(pid, signal.SIGKILL)
        return f"killed {pid}"


def _say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main(asked: dict[str, Any]) -> None:
    """Make the run."""
    out = Path(asked["out"])
    notes = out.with_name("notes")
    notes.mkdir()
    cluster = RayCluster([partial(make, notes, server) for server in range(3)], asked["address"])

    async def run() -> str:
        fleet = Fleet(INFO, cluster)
        watcher = Killer(asked, notes)
        doing = execute(OPTIONS, fleet, RunDirectory(out), resume=False, watcher=watcher, executor=fleet)
        return (await doing).status

    _say(asyncio.run(run()))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
