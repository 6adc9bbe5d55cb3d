"""``llm-as-rnn data``: what can be predicted without bringing data."""

from __future__ import annotations

import click
from rich.table import Table

from llm_as_rnn.cli.progress import console
from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.registry import DATASETS, dataset
from llm_as_rnn.errors import UsageError
from llm_as_rnn.task import load_task


@click.group()
def data() -> None:
    """List and show the shipped datasets."""


@data.command("list")
def list_() -> None:
    """List the datasets: what is predicted, from where, on what terms, and whether they are ready here."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("task", "predicts", "size", "source", "licence", "ready"):
        table.add_column(heading)
    for entry in DATASETS.values():
        table.add_row(entry.name, entry.predicts, entry.size, entry.source, entry.licence, entry.ready() or "yes")
    console.print(table)


@data.command()
@click.argument("name")
@click.option("--steps", type=int, default=3, show_default=True, help="How many steps.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the sequence.")
def show(name: str, steps: int, seed: int) -> None:
    """Show the first steps of a sequence of NAME: what the model sees, and the outcome."""
    if steps < 1:
        raise UsageError(f"steps must be at least 1, not {steps}", "correct --steps")
    source = dataset(name)
    task = load_task(source.name)
    sequence = source.load(Selection(1, steps, seed))[0]
    console.print(f"{source.title}, sequence {sequence.info.id}", highlight=False)
    for step in sequence.steps:
        outcome = task.spec("line").show(step.target) if step.target else "unknown"
        console.print(f"  {task.show(step.observation, 'line', sequence.info.about)} -> {outcome}", highlight=False)
