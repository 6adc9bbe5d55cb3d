"""``llm-as-rnn report``: results again, from the journal alone."""

from __future__ import annotations

from pathlib import Path

import click

from llm_as_rnn.cli.progress import console
from llm_as_rnn.cli.results import draw, require_comparable, show_comparison, show_run
from llm_as_rnn.runs.directory import RunDirectory


@click.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--pictures", is_flag=True, help="Also write each chart of a run as DIR/pictures/NAME.svg.")
@click.option(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the comparison of several runs is written.  [default: comparison.html in the first DIR]",
)
def report(directories: tuple[Path, ...], pictures: bool, page: Path | None) -> None:
    """Score the runs in DIR... again from their journals, and write each one's report.html again.

    Several runs of one task, on the same data, are then compared step by step: every method with its counterpart in the
    first run, with intervals and tests, here and as a page.
    """
    runs = [RunDirectory(directory) for directory in directories]
    if len(runs) > 1:
        require_comparable(runs)
    for run in runs:
        show_run(run, console)
        if pictures:
            for path in draw(run):
                console.print(f"picture: {path}", soft_wrap=True)
    if len(runs) > 1:
        show_comparison(runs, console, page or directories[0] / "comparison.html")
