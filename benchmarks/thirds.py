"""A table of how well methods learned: python benchmarks/thirds.py RUN|FILE.csv [RUN|FILE.csv ...].

From the journals of runs of one task and model, or from files that ``keep.py`` made of them. A sequence that a method
has not ended is left out; of steps that several sources have, the last one counts. For each method: the score in each
third of a sequence with the last third's 95 % interval over sequences, its difference to full history on the same steps
there, tokens and seconds a step, tokens a step in the last third alone (where full history is long), the longest
memory, and the smallest ratio of an accepted memory's length to its predecessor's, with those that were refused as
collapsed.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

import keep
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.metrics.comparisons import paired
from llm_as_rnn.metrics.intervals import interval
from llm_as_rnn.runs.directory import RunDirectory

BASE = "full_history"
COLUMNS = (
    "method", "sequences", "{} by thirds", "last third", "less full history", "all", "prompt tokens",
    "in the last third", "written", "calls", "s", "memory", "shrank to",
)  # fmt: skip


def main(sources: list[str]) -> None:
    """Print a table for each score of the task."""
    records = complete(record for source in sources for record in steps(Path(source)))
    print(f"\n{', '.join(sources)}")
    for metric in dict.fromkeys(name for record in records for name in record.scores):
        print(f"\n| {' | '.join(COLUMNS).format(metric)} |")
        print("|---" * len(COLUMNS) + "|")
        for method in dict.fromkeys(record.method for record in records):
            print(row(method, records, metric))


def steps(source: Path) -> Iterable[StepRecord]:
    """Read a run's folder or a file of steps."""
    return RunDirectory(source).records() if source.is_dir() else keep.read(source)


def complete(records: Iterable[StepRecord]) -> list[StepRecord]:
    """Give the records of sequences that are as long as the longest one, each step once."""
    last = {(record.method, record.sequence, record.t): record for record in records}
    lengths: dict[tuple[str, str], int] = defaultdict(int)
    for method, sequence, _ in last:
        lengths[method, sequence] += 1
    longest = max(lengths.values())
    return [record for (method, sequence, _), record in last.items() if lengths[method, sequence] == longest]


def row(method: str, everything: Sequence[StepRecord], metric: str) -> str:
    """Give one method's line."""
    records = [record for record in everything if record.method == method]
    length = max(record.t for record in records) + 1
    thirds = [[r for r in records if r.t * 3 // length == third] for third in range(3)]
    scores = [fmean(r.scores[metric] for r in part if metric in r.scores) for part in (*thirds, records)]
    calls = [call for record in records for call in record.calls]
    sure = interval(thirds[2], metric)
    late = [record for record in everything if record.t * 3 // length == 2]
    less = paired(late, method, BASE, metric) if method != BASE else None
    cells = [
        method,
        str(len({record.sequence for record in records})),
        ", ".join(f"{value:.2f}" for value in scores[:3]),
        f"{scores[2]:.2f} [{sure.low:.2f}, {sure.high:.2f}]" if sure else f"{scores[2]:.2f}",
        f"{less.mean:+.2f} [{less.interval.low:+.2f}, {less.interval.high:+.2f}]" if less and less.interval else "",
        f"{scores[3]:.3f}",
        f"{sum(c.prompt_tokens or 0 for c in calls) / len(records):.0f}",
        f"{sum(c.prompt_tokens or 0 for r in thirds[2] for c in r.calls) / len(thirds[2]):.0f}",
        f"{sum(c.completion_tokens or 0 for c in calls) / len(records):.0f}",
        f"{len(calls) / len(records):.2f}",
        f"{sum(c.seconds for c in calls) / len(records):.2f}",
        str(max((r.memory_tokens or 0 for r in records), default=0) or "none"),
        shrank(records),
    ]
    return f"| {' | '.join(cells)} |"


def shrank(records: Iterable[StepRecord]) -> str:
    """Say how far memories shrank in one step: the smallest ratio accepted, and the refused ones."""
    accepted: list[float] = []
    refused: list[float] = []
    for record in records:
        before, after = record.memory_before, record.memory_after
        found = re.match(r"collapsed: from (\d+) to (\d+)", record.update.reason)
        if found:
            refused.append(int(found[2]) / int(found[1]))
        elif record.update.outcome == "accepted" and before and after and before.tokens and after.tokens:
            accepted.append(after.tokens / before.tokens)
    note = f"; {len(refused)} refused, down to {min(refused):.2f}" if refused else ""
    return f"{min(accepted):.2f}{note}" if accepted else note


if __name__ == "__main__":
    main(sys.argv[1:])
