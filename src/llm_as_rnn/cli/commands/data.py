"""``llm-as-rnn data``: what can be predicted without bringing data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llm_as_rnn.cli.commands.later import body


@click.group()
def data() -> None:
    """List and show the datasets, make tables of publishers' files, and check any data for leaks.

    \b
    Examples:
      llm-as-rnn data list
      llm-as-rnn data show weather
      llm-as-rnn data check my_task.yaml --data my.csv
    """


@data.command("list", short_help="List the datasets that there are.")
def list_(**given: Any) -> Any:
    """List the datasets: what is predicted, from where, on what terms, and whether they are ready here."""
    return body("data:list_")(**given)


@data.command(short_help="Make a table of a publisher's files.")
@click.argument("name")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The table, .jsonl [default: NAME.jsonl].")
@click.option(
    "--language", default="", help="For intents: a language of the templates [default: the folder's that FILE is in]."
)
@click.option("--length", type=int, help="For intents: questions of each sequence [default: 30].")
def make(**given: Any) -> Any:
    """Make the table of the dataset NAME from its publisher's own FILE, for a run's --data.

    For finer, ddxplus and banking77 one file; for intents a task file and the file of templates. None of the data is
    shipped: docs/datasets.md says where the files are, and whose.

    \b
    Examples:
      llm-as-rnn data make finer finer_val_batched_500_samples.jsonl
      llm-as-rnn data make intents tasks/hin/tasks_1000.jsonl src/templates/templates.py --out hindi.jsonl
    """
    return body("data:make")(**given)


@data.command(short_help="Show the first steps of a task's data.")
@click.argument("task_name", metavar="TASK")
@click.option("--steps", type=int, default=3, show_default=True, help="How many steps.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the sequence.")
@click.option(
    "--data",
    "file",
    type=click.Path(path_type=Path),
    help="Your own data: a table for a task file, a folder for mimic.",
)
def show(**given: Any) -> Any:
    """Show the first steps of a sequence of TASK: what the model sees, and the outcome."""
    return body("data:show")(**given)


@data.command()
@click.argument("task_name", metavar="TASK")
@click.option(
    "--data",
    "file",
    type=click.Path(path_type=Path),
    help="Your own data: a table for a task file, a folder for mimic.",
)
@click.option("--prompts", type=click.Path(path_type=Path), help="A folder of templates that replace shipped ones.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the sequences of a shipped dataset.")
def check(**given: Any) -> Any:
    """Check that nothing tells the outcomes of TASK before their time.

    Runs all methods on your templates and data with marked outcomes and without a model, searches every request, and
    compares the observations with the outcomes.

    Exit codes: 0 no leak found, 1 leaks found, 2 bad usage or bad input.
    """
    return body("data:check")(**given)
