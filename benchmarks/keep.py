"""What tables need of runs, in one small file: python benchmarks/keep.py FILE.csv RUN [RUN ...].

One row a step: its scores, tokens, seconds, and what became of the memory, without any text, since the data that a run
was made on may not be ours to pass on. What the file held before stays, unless a run has the same step, so that the
runs of several days come together. ``thirds.py`` reads such a file as it reads a run.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from llm_as_rnn.core.calls import Call
from llm_as_rnn.core.records import Memory, Status, Update
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.report.export.columns import COST, PREDICTED, STEP
from llm_as_rnn.runs.directory import RunDirectory

AS_EXPORTED = (
    "method", "sequence", "t", "status", "calls", "prompt_tokens", "cached_tokens", "completion_tokens"
)  # fmt: skip
"""Those that are the same in the tables of ``llm-as-rnn export``."""

CELLS = {column.name: column.of for column in (*STEP, *PREDICTED, *COST)}
"""What gives their cells."""

COLUMNS = (*AS_EXPORTED, "seconds", "tokens_before", "tokens_after", "outcome", "reason")
"""Those before the scores; an empty cell is unknown, or not there.

Counts and seconds are of all calls of the step, ``tokens_*`` of its memory.
"""


def main(file: str, *runs: str) -> None:
    """Add the steps of runs to a file."""
    path = Path(file)
    records = list(read(path)) if path.exists() else []
    for run in runs:
        records.extend(RunDirectory(Path(run)).records())
    write(path, {(record.method, record.sequence, record.t): record for record in records}.values())


def write(path: Path, records: Iterable[StepRecord]) -> None:
    """Write a row for each step."""
    steps = list(records)
    scores = list(dict.fromkeys(name for step in steps for name in step.scores))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS, *scores))
        for step in steps:
            given = (f"{step.scores[name]:.6g}" if name in step.scores else "" for name in scores)
            writer.writerow((*cells(step), *given))


def cells(step: StepRecord) -> tuple[object, ...]:
    """Give what stands in the columns before the scores."""
    # Other reasons than a collapse's may quote the data.
    reason = step.update.reason if step.update.reason.startswith("collapsed: ") else ""
    return (
        *(CELLS[name](step) for name in AS_EXPORTED),
        f"{CELLS['seconds'](step):.2f}",
        step.memory_before.tokens if step.memory_before else None,
        step.memory_after.tokens if step.memory_after else None,
        step.update.outcome,
        reason,
    )


def read(path: Path) -> Iterator[StepRecord]:
    """Give the steps of a file; what was counted over a step's calls stands in the first of them."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield step_of(row, {name: float(value) for name, value in row.items() if name not in COLUMNS and value})


def step_of(row: dict[str, str], scores: dict[str, float]) -> StepRecord:
    """Make a step of what stands in the columns before the scores, and of these."""
    return StepRecord(
        row["method"],
        row["sequence"],
        int(row["t"]),
        observation={},
        target=None,
        prediction=None,
        status=Status(row["status"]),
        raw="",
        memory_version=None,
        memory_before=memory(row["tokens_before"]),
        memory_after=memory(row["tokens_after"]),
        memory_tokens=int(row["tokens_after"]) if row["tokens_after"] else None,
        update=update(row["outcome"], row["reason"]),
        feedback=None,
        calls=calls(row),
        scores=scores,
    )


def update(outcome: str, reason: str) -> Update:
    """Give an update again as it was, but for what was not kept of its reason."""
    code, _, detail = reason.partition(": ")
    return msgspec.convert({"outcome": outcome, "code": code, "detail": detail}, Update)


def memory(tokens: str) -> Memory | None:
    """Give a memory of that length, of which nothing else is known."""
    return Memory((), tokens=int(tokens)) if tokens else None


def calls(row: dict[str, str]) -> tuple[Call, ...]:
    """Give as many calls as there were."""
    prompt, written = int(row["prompt_tokens"]), int(row["completion_tokens"])
    cached = int(row["cached_tokens"]) if row["cached_tokens"] else None
    first = Call("", "stop", prompt, written, cached, float(row["seconds"]), retries=0, role="predict")
    others = Call("", "stop", 0, 0, 0, 0.0, retries=0, role="predict")
    return (first, *[others] * (int(row["calls"]) - 1)) if int(row["calls"]) else ()


if __name__ == "__main__":
    main(*sys.argv[1:])
