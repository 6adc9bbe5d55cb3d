"""``llm-as-rnn report``: results again, from the journal alone."""

from __future__ import annotations

from pathlib import Path

import click

from llm_as_rnn.cli.progress import console
from llm_as_rnn.cli.results import draw, show_comparison, show_run
from llm_as_rnn.runs.directory import RunDirectory


@click.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--pictures", is_flag=True, help="Also write each chart of a run as DIR/pictures/NAME.svg.")
def report(directories: tuple[Path, ...], pictures: bool) -> None:
    """Score the runs in DIR... again from their journals, and write each one's report.html again.

    Several runs of one task are then compared in one table.
    """
    runs = [RunDirectory(directory) for directory in directories]
    for run in runs:
        show_run(run, console)
        if pictures:
            for path in draw(run):
                console.print(f"picture: {path}", soft_wrap=True)
    if len(runs) > 1:
        show_comparison(runs, console)
