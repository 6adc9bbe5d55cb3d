"""Tables of how well methods learned, from the journals of runs: python benchmarks/thirds.py RUN [RUN ...].

For each method: the score in each third of a sequence, tokens and seconds a step, tokens a step in the last third alone
(where full history is long), the longest memory, and the smallest ratio of a memory's length to its predecessor's:
proposed, among those that were refused as collapsed, and accepted.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.records import StepRecord
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.task import Task

COLUMNS = (
    "| method | {} by thirds | all | prompt tokens | in the last third | written | calls | s | memory | shrank to |"
)


def main(runs: list[str]) -> None:
    """Print a table for each run."""
    for run in runs:
        directory = RunDirectory(Path(run))
        info = directory.info()
        by_method: dict[str, list[StepRecord]] = defaultdict(list)
        for record in directory.records():
            by_method[record.method].append(record)
        print(f"\n{info.spec.model}, {info.spec.split}, budget {info.spec.budget}\n")
        for metric in task_metrics(info.task):
            print(f"| {COLUMNS.format(metric.title)} |")
            print("|---" * 10 + "|")
            for method, records in by_method.items():
                print(row(info.task, method, records, metric.name))
            print()


def row(task: Task, method: str, records: list[StepRecord], score: str) -> str:
    """Give one method's line."""
    length = max(record.t for record in records) + 1
    thirds = [[r for r in records if r.t * 3 // length == third] for third in range(3)]
    scores = [fmean(r.scores[score] for r in third if score in r.scores) for third in (*thirds, records)]
    calls = [call for record in records for call in record.calls]
    memory = max((r.memory_tokens or 0 for r in records), default=0)
    cells = [
        method,
        ", ".join(f"{value:.2f}" for value in scores[:3]),
        f"{scores[3]:.3f}",
        f"{sum(c.prompt_tokens or 0 for c in calls) / len(records):.0f}",
        f"{sum(c.prompt_tokens or 0 for r in thirds[2] for c in r.calls) / len(thirds[2]):.0f}",
        f"{sum(c.completion_tokens or 0 for c in calls) / len(records):.0f}",
        f"{len(calls) / len(records):.2f}",
        f"{sum(c.seconds for c in calls) / len(records):.2f}",
        str(memory or "none"),
        shrank(records),
    ]
    return f"| {' | '.join(cells)} |"


def shrank(records: Iterable[StepRecord]) -> str:
    """Say how far memories shrank in one step: the smallest ratio accepted, and the refused ones."""
    accepted, refused = [1.0], []
    for record in records:
        before, after = record.memory_before, record.memory_after
        found = re.match(r"collapsed: from (\d+) to (\d+)", record.update.reason)
        if found:
            refused.append(int(found[2]) / int(found[1]))
        elif record.update.outcome == "accepted" and before and after and before.tokens and after.tokens:
            accepted.append(after.tokens / before.tokens)
    note = f"; {len(refused)} refused, down to {min(refused):.2f}" if refused else ""
    return f"{min(accepted):.2f}{note}"


if __name__ == "__main__":
    main(sys.argv[1:])
