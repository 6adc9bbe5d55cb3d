"""Our project as a run: every step durable in a journal before the next, references and statistics besides."""

import csv
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import harness
from ours_learner import SETTINGS

from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.datasets.tables import part_of
from llm_as_rnn.engines.resolve import resolve
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import Options, execute


class Noting:
    """Watches a run: when its first step begins, and what its steps come to."""

    def __init__(self, outcomes: harness.Outcomes) -> None:
        self.outcomes = outcomes
        self.spent = harness.Spent()
        self.found: harness.Found = {}

    def begin(self, methods: Sequence[str], steps: int, past: Sequence[StepRecord]) -> None:
        """Begin to measure: the engine is open, and the references come first."""
        self.spent = harness.Spent()

    def step(self, record: StepRecord) -> None:
        """Note a step of the method that asks the model, and the time that it was durable."""
        if record.method == "recurrent" and record.target:
            answer = record.prediction["intent"] if record.prediction else None
            learned = record.update is not None
            self.outcomes.note(answer, str(record.target["intent"]), learned=learned)
            self.found = self.spent.found()

    def set_aside(self, steps: int) -> None:
        """Do nothing."""


async def measured(cell: harness.Found) -> harness.Found:
    """Run; the warm-up is a run of its own."""
    if cell["warm"]:
        await one(cell["url"], [cell["warm"]], 1)
    harness.clock(cell["url"])
    found = await one(cell["url"], cell["streams"], cell["in_flight"])
    return found | harness.clock(cell["url"])


def names() -> Iterator[str]:
    """Give names of streams that a run takes: a name decides whether a stream is held out."""
    return (name for name in map("s{}".format, count()) if part_of(name) == "development")


async def one(url: str, streams: list[harness.Stream], in_flight: int) -> harness.Found:
    """Make one run in a folder that is thrown away."""
    watcher = Noting(harness.Outcomes())
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "questions.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["stream", "t", "question", "intent"])
            rows.writerows(
                [name, t, question, label]
                for name, stream in zip(names(), streams, strict=False)
                for t, (question, label) in enumerate(stream)
            )
        task = str(Path(__file__).with_name("task.yaml"))
        options = Options(task, methods=("recurrent",), settings=SETTINGS, data=table, concurrency=in_flight)
        engine = resolve(f"openai:{harness.MODEL}", base_url=url, slots=in_flight)
        await execute(options, engine, RunDirectory(Path(folder) / "run"), resume=False, watcher=watcher)
    return watcher.found | watcher.outcomes.found()


if __name__ == "__main__":
    harness.job(measured)
