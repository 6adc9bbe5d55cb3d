"""How well and how fast past steps are found: python benchmarks/recall.py [TASK TABLE ...].

For two shipped probes and weather, or for tables of one's own (each a task file and its table): a step is asked about
before it is taken in. Printed are the shares of steps at which the past step that fits best came out the same, and at
which one of the best six and twelve did; the milliseconds of processor time of asking for the best one, of asking for
twelve, and of taking a step in; and how many past steps a question for one looks at, of how many there are. The last
column says how many times longer it takes to line up the step's words with those of every past step, as an earlier
version did; that is tried at every twentieth step.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from llm_as_rnn.cases.case import plain
from llm_as_rnn.cases.index import Index
from llm_as_rnn.cases.recall import likeness
from llm_as_rnn.core.fields import Label
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.datasets.base import Selection, Sequence, Split
from llm_as_rnn.datasets.registry import DATASETS
from llm_as_rnn.datasets.tables import read_table

SHIPPED = {"probe-recall": Selection(4, 120), "probe-drift": Selection(4, 120), "weather": Selection(5, 120)}
SPLITS: tuple[Split, ...] = ("development", "held_out")
EVERY = 20

Steps = list[tuple[str, str]]
"""What was seen, and the outcome that counts: that of the task's first label."""


class Asked(NamedTuple):
    """One question: which of the best came out the same, milliseconds, and how many steps were looked at."""

    same: list[bool]
    one: float
    twelve: float
    taking_in: float
    looked_at: int
    there: int
    scan: float | None


def shipped(task: Task) -> list[Sequence]:
    """Give the sequences of a shipped dataset."""
    return list(DATASETS[task.name].load(SHIPPED[task.name]))


def table(task: Task, path: Path) -> list[Sequence]:
    """Give the sequences of a table, whatever part they belong to."""
    data = read_table(path, task)
    parts = [part for part in SPLITS if data.count(part)]
    return [one for part in parts for one in data.cut(Selection(data.count(part), data.longest(part), split=part))]


def steps_of(task: Task, sequence: Sequence) -> Steps:
    """Give a sequence as lines and outcomes."""
    label = next(field.name for field in task.answer if isinstance(field, Label))
    return [
        (plain(task.show(step.observation, "case", sequence.info.about)), str(step.target[label]))
        for step in sequence.steps
        if step.target
    ]


def asked(steps: Steps) -> Iterator[Asked]:
    """Ask about each step before it is taken in."""
    index = Index()
    for t, (line, came) in enumerate(steps):
        begun, before = time.process_time(), index.looked_at
        index.best(line, 1)
        one, looked_at = time.process_time(), index.looked_at - before
        fits = sorted((fit.score, int(fit.key)) for fit in index.best(line, 12))[-12:]
        twelve = time.process_time()
        index.add(str(t), line, came)
        took_in = time.process_time()
        # As the reference does, the latest step counts where none has anything in common with this one.
        same = [steps[place][1] == came for _, place in fits[::-1]] or [t > 0 and steps[t - 1][1] == came]
        scan = scanned(steps[:t], line) if t and t % EVERY == 0 else None
        yield Asked(same, one - begun, twelve - one, took_in - twelve, looked_at, t, scan)


def scanned(steps: Steps, line: str) -> float:
    """Measure lining up a line with all others."""
    begun = time.process_time()
    for seen, _ in steps:
        likeness(seen, line)
    return time.process_time() - begun


def report(name: str, found: list[Asked]) -> str:
    """Write a line of the table."""
    shares = " ".join(f"{fmean(any(one.same[:most]) for one in found):.3f}" for most in (1, 6, 12))
    times = " ".join(
        f"{1e3 * fmean(taken):8.2f}"
        for taken in zip(*[(one.one, one.twelve, one.taking_in) for one in found], strict=True)
    )
    tried = [one for one in found if one.scan is not None]
    longer = fmean(one.scan or 0.0 for one in tried) / fmean(one.one for one in tried) if tried else 0.0
    looked_at = f"{fmean(one.looked_at for one in found):.0f} of {fmean(one.there for one in found):.0f}"
    return f"{name:20} {len(found):6}  {shares}  {times}  {looked_at:>12} {longer:7.1f}"


def main(arguments: list[str]) -> None:
    """Print a line for each stream."""
    print(
        f"{'stream':20} {'steps':>6}  {'of 1':>5} {'of 6':>5} {'of 12':>5}  {'1, ms':>8} {'12, ms':>8} {'add, ms':>8}",
        end="",
    )
    print(f"  {'looked at':>12} {'scan':>7}")
    pairs = list(zip(arguments[::2], arguments[1::2], strict=True)) or [(name, "") for name in SHIPPED]
    for name, path in pairs:
        task = load_task(name)
        sequences = table(task, Path(path)) if path else shipped(task)
        found = [one for sequence in sequences for one in asked(steps_of(task, sequence))]
        print(report(Path(path).stem or name, found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
