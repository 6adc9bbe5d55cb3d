"""What a budget retains, without a model: python benchmarks/retention.py TABLE.csv|PROBE BUDGET [BUDGET ...].

The intents of `benchmarks/intents.py`, or sixty sequences of a probe, under the rule `cases`. A stand-in follows the
case that it is shown last, on intents three times in four, and guesses else. A budget is counted in words and marks
here. For each budget: the share of steps at which the nearest case is right, by thirds, and how many cases the memory
holds in the last third.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
from pathlib import Path
from statistics import fmean

from following import items, nearest
from llm_as_rnn.catalogue import build
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.fields import ARROW
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.datasets.base import Selection, Sequence
from llm_as_rnn.datasets.registry import DATASETS
from llm_as_rnn.datasets.tables import read_table
from llm_as_rnn.engines.drive import drive_walk
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.walk import walk

INTENTS = load_task("intents")
FOLLOWED = 0.75
PROBE = Selection(sequences=60, steps=24)


def main(what: str, budgets: list[int]) -> None:
    """Print a line for each budget."""
    if what in DATASETS:
        task, followed, sequences = load_task(what), 1.0, DATASETS[what].load(PROBE)
    else:
        task, followed, sequences = INTENTS, FOLLOWED, intents(what)
    for budget in budgets:
        records = asyncio.run(run(task, sequences, budget, followed))
        thirds = [[r for r in records if r.t * 3 // len(sequences[0].steps) == third] for third in range(3)]
        right = [fmean(nearest(task, record) == record.target for record in part) for part in thirds]
        held = fmean(len(items(record)) for record in thirds[2])
        print(f"budget {budget}: {', '.join(f'{share:.2f}' for share in right)}; {held:.1f} cases in the last third")


def intents(path: str) -> list[Sequence]:
    """Read all sequences of a table for tuning."""
    table = read_table(Path(path), INTENTS)
    return table.cut(Selection(table.count("development"), table.longest("development")))


async def run(task: Task, sequences: list[Sequence], budget: int, followed: float) -> list[StepRecord]:
    """Run all sequences with the stand-in."""
    chance = random.Random(0)  # noqa: S311 - a repeatable choice, not a secret

    def answer(request: Request) -> str:
        options = task.answer[0].options
        last = re.findall(f"{ARROW}({'|'.join(options)})$", request.prompt, re.MULTILINE)
        return str(last[-1] if last and chance.random() < followed else chance.choice(options))

    settings = Settings("line", "completion", budget=budget, feedback="auto", rule="cases")
    records: list[StepRecord] = []
    engine = ScriptedEngine(answer)
    engine.count_tokens = counted  # type: ignore[method-assign]
    for sequence in sequences:
        method = build("recurrent", task, settings, Prompts())
        await drive_walk(walk(method, sequence, task), engine, records.append)
    return records


async def counted(text: str) -> int:
    """Count words and marks: about what a tokenizer makes of English."""
    return len(re.findall(r"\w+|[^\w\s]", text))


if __name__ == "__main__":
    main(sys.argv[1], [int(budget) for budget in sys.argv[2:]])
