"""``llm-as-rnn report``: results again, from the journal alone."""

from __future__ import annotations

from pathlib import Path

from llm_as_rnn.cli.progress import console
from llm_as_rnn.runs.directory import RunDirectory


def report(directories: tuple[Path, ...], pictures: bool, sequences: tuple[str, ...], page: Path | None) -> None:
    """Do what ``llm-as-rnn report`` is told to."""
    runs = [RunDirectory(directory) for directory in directories]
    for run in runs:
        run.info()
    # What is no run is refused without waiting for what makes reports.
    from llm_as_rnn.cli.results import draw, show_comparison, show_run  # noqa: PLC0415
    from llm_as_rnn.report.compared import require_comparable  # noqa: PLC0415

    if len(runs) > 1:
        require_comparable(runs)
    for run in runs:
        show_run(run, console, sequences)
        if pictures:
            for path in draw(run):
                console.print(f"picture: {path}", soft_wrap=True)
    if len(runs) > 1:
        show_comparison(runs, console, page or directories[0] / "comparison.html")
