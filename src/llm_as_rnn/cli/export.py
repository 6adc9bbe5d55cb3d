"""What ``llm-as-rnn export`` does."""

from __future__ import annotations

from pathlib import Path

from llm_as_rnn.cli.main import DONE
from llm_as_rnn.cli.progress import console, say, waiting
from llm_as_rnn.report.opened import Run
from llm_as_rnn.runs.directory import RunDirectory


def export(directory: Path, to: str, out: str | None) -> int:
    """Do what ``llm-as-rnn export`` is told to."""
    RunDirectory(directory).info()  # what is no run is refused without waiting for what reads it
    with waiting(f"exporting {directory}"):
        run = Run(directory)
        exported = run.export(to, out)
    for line in exported.places:
        console.print(line, soft_wrap=True)
    for remark in exported.remarks:
        say(remark)
    return DONE
