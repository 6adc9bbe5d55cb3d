"""``llm-as-rnn init``: a task file for a table of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llm_as_rnn.cli.commands.later import body


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The task file [default: NAME.yaml, of NAME.csv].")
@click.option("--yes", "-y", is_flag=True, help="Take the proposal, and ask nothing.")
@click.option("--force", is_flag=True, help="Write over a file that is there already.")
@click.option("--outcome", multiple=True, metavar="COLUMN", help="What is predicted. May be repeated.")
@click.option("--order", metavar="COLUMN", help="What rows are sorted by; none: they stay as they stand.")
@click.option(
    "--sequence",
    multiple=True,
    metavar="COLUMN",
    help="What tells sequences apart; none: the table is one sequence. May be repeated, or name several: shop,product.",
)
@click.option(
    "--ahead",
    type=click.IntRange(min=0),
    help="How many rows later the outcome stands: 0 for the row itself, 1 where the next row's value is predicted.",
)
@click.option("--leave-out", multiple=True, metavar="COLUMN", help="What is not shown. May be repeated.")
@click.option(
    "--keep", multiple=True, metavar="COLUMN", help="What is shown although it looks like a leak. May be repeated."
)
@click.option("--dates", metavar="FORMAT", help="How the dates of the order are written, such as %d/%m/%Y.")
@click.option("--decimal", type=click.Choice([".", ","]), help="Which sign stands before decimals.")
@click.option(
    "--missing",
    multiple=True,
    metavar="WORD",
    help="What stands for a value that is not there, such as NA. May be repeated. "
    "[default: such words where numbers or dates have them]",
)
def init(**given: Any) -> Any:
    """Look at the table DATA (.csv, .tsv, .json, .jsonl or .parquet), and write a task file for it.

    It proposes what is predicted, the order of the rows, what tells sequences apart, what is known before the outcome
    and what looks like a leak; it recognises dates, decimal commas, thousands and currencies. What it cannot know it
    asks. The file has comments, is yours to change, and can be used at once.

    \b
    Examples:
      llm-as-rnn init tickets.csv
      llm-as-rnn init tickets.csv --yes --outcome queue --leave-out agent
      llm-as-rnn run tickets.yaml --data tickets.csv --quick
    """
    return body("init:init")(**given)
