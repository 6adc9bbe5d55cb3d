"""What a budget retains, without a model: python benchmarks/retention.py TABLE.csv BUDGET [BUDGET ...].

The intents of `benchmarks/intents.py` under the rule `cases`, with a stand-in that follows the memory's nearest case
three times in four and guesses else. A budget is counted in words and marks here. For each budget: the share of steps
at which the nearest case is right, by thirds, and how many cases the memory holds in the last third.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
from pathlib import Path
from statistics import fmean

from following import items, nearest
from llm_as_rnn.datasets.base import Selection, Sequence
from llm_as_rnn.datasets.tables import read_table
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.method import Settings, Updating
from llm_as_rnn.methods import build
from llm_as_rnn.prompts import Prompts
from llm_as_rnn.records import Request, StepRecord
from llm_as_rnn.runs.loop import run_sequence
from llm_as_rnn.task import load_task

TASK = load_task(str(Path(__file__).parent / "intents.yaml"))
FOLLOWED = 0.75


def main(path: str, budgets: list[int]) -> None:
    """Print a line for each budget."""
    table = read_table(Path(path), TASK)
    sequences = table.cut(Selection(table.count("development"), table.longest("development")))
    for budget in budgets:
        records = asyncio.run(run(sequences, budget))
        thirds = [[r for r in records if r.t * 3 // len(sequences[0].steps) == third] for third in range(3)]
        right = [fmean(nearest(TASK, record) == record.target for record in part) for part in thirds]
        held = fmean(len(items(record)) for record in thirds[2])
        print(f"budget {budget}: {', '.join(f'{share:.2f}' for share in right)}; {held:.1f} cases in the last third")


async def run(sequences: list[Sequence], budget: int) -> list[StepRecord]:
    """Run all sequences with the stand-in."""
    chance = random.Random(0)  # noqa: S311 - a repeatable choice, not a secret

    def answer(request: Request) -> str:
        last = re.findall(r" -> (\w+)$", request.prompt, re.MULTILINE)
        return str(last[-1] if last and chance.random() < FOLLOWED else chance.choice(TASK.answer[0].options))

    settings = Settings("line", "completion", budget=budget, feedback="auto", updating=Updating(rule="cases"))
    records: list[StepRecord] = []
    engine = ScriptedEngine(answer)
    engine.count_tokens = counted  # type: ignore[method-assign]
    for sequence in sequences:
        method = build("recurrent", TASK, settings, Prompts())
        await run_sequence(method, sequence, TASK, engine, [], records.append)
    return records


async def counted(text: str) -> int:
    """Count words and marks: about what a tokenizer makes of English."""
    return len(re.findall(r"\w+|[^\w\s]", text))


if __name__ == "__main__":
    main(sys.argv[1], [int(budget) for budget in sys.argv[2:]])
