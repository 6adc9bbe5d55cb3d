"""``llm-as-rnn report``: results again, from the journal alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llm_as_rnn.cli.commands.later import body


@click.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--pictures", is_flag=True, help="Also write each chart of a run as DIR/pictures/NAME.svg.")
@click.option(
    "--sequence",
    "sequences",
    metavar="NAME",
    multiple=True,
    help="Put the steps of this sequence on a run's page, whether there is room for all or not; may be repeated.",
)
@click.option(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the comparison of several runs is written [default: comparison.html in the first DIR].",
)
def report(**given: Any) -> Any:
    """Score the runs in DIR... again from their journals, and write each one's report.html again.

    Several runs of one task, on the same data, are then compared step by step: every method with its counterpart in the
    first run, with intervals and tests, here and as a page.

    \b
    Examples:
      llm-as-rnn report runs/mine
      llm-as-rnn report runs/mine --sequence may --pictures
      llm-as-rnn report runs/mine runs/other
    """
    return body("report:report")(**given)
