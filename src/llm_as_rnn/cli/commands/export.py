"""``llm-as-rnn export``: a run as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llm_as_rnn.cli.commands.later import body


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--to",
    type=click.Choice(["csv", "json", "parquet", "mlflow", "inspect"]),
    default="csv",
    show_default=True,
    help="What reads it: CSV, JSON lines or Parquet tables, an MLflow store, or Inspect's logs.",
)
@click.option(
    "--out",
    help="The folder to write to; for mlflow also the address of a tracking store.  [default: DIR/export/TO]",
)
def export(**given: Any) -> Any:
    """Write the run in DIR for other programs, as far as it has come.

    csv, json and parquet are tidy tables: steps, calls, memories and messages, with a row for each; tables.json says
    what each column is. mlflow makes a run with one beneath for each method, and inspect writes a log for each method.
    What was exported to a folder before is replaced.

    \b
    Examples:
      llm-as-rnn export runs/mine
      llm-as-rnn export runs/mine --to parquet --out tables
      llm-as-rnn export runs/mine --to mlflow --out http://localhost:5000
    """
    return body("export:export")(**given)
