"""How a run grows with its engines on Ray: python benchmarks/ray_scaling.py [--delay SECONDS] [ENGINES ...].

Each engine is an actor that answers 4 calls at a time after 50 ms (or the seconds that are given), and has a step of
`recurrent` with `cases` made beside it, a call each. As many sequences run as there are slots. Counted are the seconds
from the first record to the last, and the CPU time between them: of the driver, which writes the journal, and of all
actors. `ideal` is what engines would do for which nobody computes anything: 4 / 50 ms each.

All of it shares this machine's cores: where a line says that more of them were wanted than there are, it shows these,
and not the executor. With a longer delay the same steps ask for fewer cores.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import ray

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.engines.spending import Meter
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import Options, execute
from llm_as_rnn.runs.fleet import Fleet
from llm_as_rnn.runs.on_ray import RayCluster
from run_overhead import ANSWER, TASK, Silent

SLOTS = 4
WARM = 5
"""Steps of each sequence before the clock runs, and after it: a process's first steps take longer."""

INFO = EngineInfo("scripted:slow", digest="slow", slots=SLOTS, form="line", style="completion", host="")
TICKS = os.sysconf("SC_CLK_TCK")


class Slow(ScriptedEngine):
    """Takes its time, and leaves a note of its process."""

    def __init__(self, delay: float, notes: Path) -> None:
        super().__init__(lambda request: f" {ANSWER}", INFO)
        self._delay = delay
        self._notes = notes

    async def open(self) -> None:
        """Leave the note."""
        (self._notes / str(os.getpid())).touch()

    async def complete(self, request: Request) -> Completion:
        """Answer after a while."""
        await asyncio.sleep(self._delay)
        self.requests.clear()
        return await super().complete(request)


def make(delay: float, notes: Path, *, meter: Meter | None, patience: float) -> Slow:
    """Make an engine where it runs."""
    del meter, patience
    return Slow(delay, notes)


class Clock(NamedTuple):
    """Seconds that have passed, and of CPU that the driver and all actors had."""

    wall: float
    driver: float
    actors: float


class Timing(Silent):
    """Notes the time of the records of `recurrent`, once each sequence is warm."""

    def __init__(self, sequences: int, steps: int, notes: Path) -> None:
        self._sequences = sequences
        self._steps = steps
        self._notes = notes
        self._warm = 0
        self.steps = 0
        self.first: Clock | None = None
        self.last: Clock | None = None

    def step(self, record: StepRecord) -> None:
        """Hear of a record."""
        if record.method != "recurrent":
            return
        if self.first is not None:
            self.steps += 1
            if self.steps == self._sequences * (self._steps - 2 * WARM):
                self.last = self._now()
        self._warm += record.t == WARM
        if self.first is None and self._warm == self._sequences:
            self.first = self._now()

    def _now(self) -> Clock:
        return Clock(
            time.perf_counter(), time.process_time(), sum(_cpu(int(one.name)) for one in self._notes.iterdir())
        )


def _cpu(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS


class Measured(NamedTuple):
    """Steps a second, and milliseconds of CPU that a step took the driver and its actor."""

    rate: float
    driver: float
    actors: float


async def measure(engines: int, delay: float, steps: int) -> Measured:
    """Make one run on so many engines."""
    sequences = engines * SLOTS
    settings = {"form": "line", "style": "completion", "rule": "cases", "budget": 256}
    options = Options(TASK, methods=("recurrent",), sequences=sequences, steps=steps, settings=settings)
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        notes.mkdir()
        cluster = RayCluster([partial(make, delay, notes)], engines=engines)
        fleet, timing = Fleet(INFO, cluster), Timing(sequences, steps, notes)
        directory = RunDirectory(Path(folder) / "run")
        await execute(options, fleet, directory, resume=False, watcher=timing, executor=fleet)
    assert timing.first is not None
    assert timing.last is not None
    wall, driver, actors = (last - first for first, last in zip(timing.first, timing.last, strict=True))
    counted = sequences * (steps - 2 * WARM)
    return Measured(counted / wall, 1000 * driver / counted, 1000 * actors / counted)


def main() -> None:
    """Measure each number of engines, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engines", nargs="*", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--steps", type=int, default=60)
    chosen = parser.parse_args()
    ray.init(num_cpus=max(chosen.engines), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    print(f"{os.cpu_count()} cores; an engine answers {SLOTS} calls at a time after {chosen.delay * 1000:g} ms")
    print(
        f"{'engines':>7} {'steps/s':>8} {'of ideal':>8} {'of one':>7} {'driver, ms':>10} {'actor, ms':>9} {'cores':>6}"
    )
    one = None
    for engines in chosen.engines:
        found = asyncio.run(measure(engines, chosen.delay, chosen.steps))
        one = one or found.rate / engines
        ideal = found.rate / (engines * SLOTS / chosen.delay)
        cores = found.rate * (found.driver + found.actors) / 1000
        print(
            f"{engines:>7} {found.rate:>8.0f} {ideal:>8.2f} {found.rate / engines / one:>7.2f} {found.driver:>10.2f} "
            f"{found.actors:>9.2f} {cores:>6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
