"""A run from Python: its tables as frames, what it comes to, and how it shows itself in a notebook."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.files import as_path
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.summary import MethodSummary, summarise
from llm_as_rnn.metrics.table import Table, tabulate
from llm_as_rnn.report.compared import Comparison, require_comparable
from llm_as_rnn.report.export.exporting import Exported, export
from llm_as_rnn.report.export.frames import Library, frame
from llm_as_rnn.report.export.tables import Tables
from llm_as_rnn.report.words import in_short
from llm_as_rnn.runs.directory import RunDirectory, RunInfo


class Run:
    """A run that was made, as far as it had come when it was opened; nothing is ever written to it.

    Parameters
    ----------
    directory : str or Path
        The run's folder, as ``llm-as-rnn run`` made it.

    Raises
    ------
    RunError
        If it holds no run, or its journal is damaged.

    Attributes
    ----------
    path : Path
        The folder.
    info : RunInfo
        What the run is: its spec, its task, what answered, and how it ended.

    Examples
    --------
    ::

        run = llm_as_rnn.Run("runs/mine")
        steps = run.steps()  # a frame of polars, or of pandas where polars is not installed
        steps.group_by("method").agg(polars.col("score.sky.accuracy").mean())
    """

    def __init__(self, directory: str | Path) -> None:
        self.path = as_path(directory)
        self._tables = Tables(RunDirectory(self.path))
        self.info: RunInfo = self._tables.info

    @property
    def task(self) -> Task:
        """What was predicted."""
        return self.info.task

    def steps(self, to: Library | None = None) -> Any:
        """Give a row for each step of each sequence under each method.

        Parameters
        ----------
        to : str, optional
            ``polars``, ``pandas``, or ``rows`` for a list of plain dictionaries; by default the first that is
            installed. The columns are those that ``llm-as-rnn export`` documents in ``tables.json``.

        Raises
        ------
        UsageError
            If the library is not installed, or is none of these.
        """
        return frame(self._tables.table("steps"), to)

    def calls(self, to: Library | None = None) -> Any:
        """Give a row for each call to a model (see `steps`)."""
        return frame(self._tables.table("calls"), to)

    def memories(self, to: Library | None = None) -> Any:
        """Give a row for each version of each memory (see `steps`)."""
        return frame(self._tables.table("memories"), to)

    def messages(self, to: Library | None = None) -> Any:
        """Give a row for each message that a model was shown, by the digests that calls name (see `steps`)."""
        return frame(self._tables.table("messages"), to)

    @cached_property
    def _table(self) -> Table:
        return tabulate(self.task, self._tables.traces)

    @cached_property
    def scores(self) -> list[MethodSummary]:
        """What each method comes to: scores, failures and cost, as ``scores.json`` has them."""
        return summarise(self.task, self._table, self.info.spec.settings.coverage)

    def in_short(self) -> list[str]:
        """Say in a few lines what won, by how much, what it cost and what to try next."""
        return in_short(self.info, self.scores)

    def export(self, to: str, out: str | Path | None = None) -> Exported:
        """Write the run for other programs, as ``llm-as-rnn export`` does.

        Parameters
        ----------
        to : str
            ``csv``, ``json``, ``parquet``, ``mlflow`` or ``inspect``.
        out : str or Path, optional
            The folder, by default ``export`` and the way's name in the run's own; or an address of MLflow's.

        Raises
        ------
        UsageError
            If there is no such way, a package is missing, credentialed data would leave this machine, or MLflow's store
            has the run already.
        RunError
            If it cannot be written.
        """
        return export(self._tables, to, None if out is None else str(out))

    def compare(self, *others: Run | str | Path) -> Comparison:
        """Compare the run with others or their folders, each of their methods with its counterpart here.

        Raises
        ------
        UsageError
            If there are no others, or they are not of the same task and on the same data.
        """
        if not others:
            raise UsageError("a run is compared with others", "name at least one: run.compare(FOLDER)")
        runs = [other if isinstance(other, Run) else Run(other) for other in others]
        directories = [RunDirectory(run.path) for run in (self, *runs)]
        require_comparable(directories)
        return Comparison(directories)

    def __repr__(self) -> str:
        spec = self.info.spec
        return (
            f"Run({str(self.path)!r}: {spec.task} with {spec.model}, {self.info.status}, {len(spec.methods)} methods)"
        )

    def _repr_html_(self) -> str:
        from llm_as_rnn.report.notebook import run_html  # noqa: PLC0415 - only notebooks ask

        return run_html(self.info, self._table, self.scores)
