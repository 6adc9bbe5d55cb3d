"""What the memory knew and what the model made of it: python benchmarks/following.py RUN METHOD.

From the journal of a method that keeps cases, for each third of a sequence: steps at which the memory's nearest case
had the right label, how many of these were answered right, and how many cases the memory held.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean

from llm_as_rnn.cases.case import came
from llm_as_rnn.cases.recall import Resemblance
from llm_as_rnn.core.records import Observation
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.runs.directory import RunDirectory


def main(run: str, method: str) -> None:
    """Print a line for each third."""
    directory = RunDirectory(Path(run))
    task = directory.info().task
    records = [record for record in directory.records() if record.method == method]
    length = max(record.t for record in records) + 1
    for third in range(3):
        part = [record for record in records if record.t * 3 // length == third]
        known = [record for record in part if nearest(task, record) == record.target]
        right = sum(record.prediction == record.target for record in known)
        held = fmean(len(items(record)) for record in part)
        share = f"nearest case right {len(known) / len(part):.2f}, of these answered right {right / len(known):.2f}"
        print(f"third {third + 1}: {len(part)} steps, {share}, {held:.1f} cases held")


def nearest(task: Task, record: StepRecord) -> object:
    """Give the outcome of the memory's case most like the step; None if there is none."""
    shown = task.show(Observation(record.sequence, record.t, record.observation), "line")
    found = Resemblance(items(record)).closest(shown, 1)
    return came(task, found[0]) if found else None


def items(record: StepRecord) -> list[str]:
    """List the notes that the prediction was made with."""
    return [item for section in record.memory_before.sections for item in section.items] if record.memory_before else []


if __name__ == "__main__":
    main(*sys.argv[1:])
