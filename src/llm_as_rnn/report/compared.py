"""Runs of one task on the same data beside each other: what the terminal, a page and a notebook show of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.metrics.summary import MethodSummary, summarise
from llm_as_rnn.report.html import write_page
from llm_as_rnn.report.tables import Results, results
from llm_as_rnn.report.versus import SAME_DATA, Compared, paired_results, render_comparison, require_same_data
from llm_as_rnn.runs.directory import RunDirectory, RunInfo


class Comparison:
    """Runs beside each other, and each method less its counterpart in the first of them, step by step.

    Parameters
    ----------
    directories : sequence of RunDirectory
        At least two runs, of one task and on the same data (see `require_comparable`).
    """

    def __init__(self, directories: Sequence[RunDirectory]) -> None:
        infos = [directory.info() for directory in directories]
        self.task = infos[0].task
        self.credentialed = any(info.credentialed for info in infos)
        self.runs = [
            Compared(
                str(directory.path),
                _differences(info, infos),
                records,
                summarise(info.task, records, info.spec.settings.coverage),
            )
            for directory, info in zip(directories, infos, strict=True)
            for records in [directory.records()]
        ]
        self.rows: list[MethodSummary] = [
            msgspec.structs.replace(summary, method=f"{number} {summary.method}")
            for number, run in enumerate(self.runs, 1)
            for summary in run.summaries
        ]

    @property
    def named(self) -> list[str]:
        """The runs by their numbers, with the settings in which they differ."""
        return [f"{number}: {run.path}{run.settings}" for number, run in enumerate(self.runs, 1)]

    @property
    def results(self) -> Results:
        """The methods of all runs in one table."""
        return results(self.task, self.rows)

    @cached_property
    def paired(self) -> Results:
        """The differences, with intervals and tests."""
        return paired_results(self.task, self.runs)

    def write(self, page: Path) -> None:
        """Write a page with all of it.

        Raises
        ------
        RunError
            If it cannot be written.
        """
        content = render_comparison(self.task, self.runs, self.rows, credentialed=self.credentialed)
        write_page(page, content, private=self.credentialed)

    def __repr__(self) -> str:
        return f"Comparison({', '.join(repr(run.path) for run in self.runs)})"

    def _repr_html_(self) -> str:
        from llm_as_rnn.report.notebook import comparison_html  # noqa: PLC0415 - only notebooks ask

        return comparison_html(self)


def require_comparable(directories: Sequence[RunDirectory]) -> None:
    """Refuse runs that cannot be compared step by step.

    Raises
    ------
    UsageError
        If they are not of the same task, or not on the same data.
    """
    infos = [directory.info() for directory in directories]
    if len({info.spec.task_digest for info in infos}) > 1:
        names = ", ".join(sorted({info.spec.task for info in infos}))
        raise UsageError(f"runs of different tasks cannot be compared ({names})", "compare runs of one task")
    require_same_data({str(directory.path): directory.records() for directory in directories}, _as_cut(infos))


def _as_cut(infos: Sequence[RunInfo]) -> str:
    """Say which runs can be compared, and which of the options that choose steps differ in these.

    Many datasets are cut into stretches of --steps: a run of another length then has other stretches, and not more of
    the same ones.
    """
    values = {name: [str(info.spec.named[name]) for info in infos] for name in ("split", "seed", "sequences", "steps")}
    named = (f"--{name} {' and '.join(dict.fromkeys(of))}" for name, of in values.items() if len(set(of)) > 1)
    differing = ", ".join(named)
    return f"{SAME_DATA}: these are of {differing}" if differing else SAME_DATA


def _differences(info: RunInfo, infos: Sequence[RunInfo]) -> str:
    """Say in what settings a run differs from others."""
    named = info.spec.named
    names = [name for name in named if any(other.spec.named[name] != named[name] for other in infos)]
    return "".join(f", {name} {_written(named[name])}" for name in names if not name.endswith("_digest"))


def _written(value: Any) -> str:
    """Write a setting as a command line would take it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
