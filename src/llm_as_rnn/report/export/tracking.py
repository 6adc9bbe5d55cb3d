"""A run in MLflow's store: a run of MLflow's for all of it, and one beneath for each method.

It is handed over by MLflow's own client, whose store says what it takes. This is the one file that imports it.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from llm_as_rnn.catalogue import own_settings
from llm_as_rnn.core.errors import MissingExtraError, RunError, UsageError
from llm_as_rnn.engines.places import is_here
from llm_as_rnn.metrics.curves import running
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.summary import MethodSummary, summarise
from llm_as_rnn.metrics.table import Columns, tabulate
from llm_as_rnn.report.export.columns import SCHEMA
from llm_as_rnn.report.export.files import require_folder, telling
from llm_as_rnn.report.export.tables import Tables
from llm_as_rnn.runs.directory import RunInfo, RunStatus

RUN, STEPS = "llm_as_rnn.run", "llm_as_rnn.steps"
"""Tags by which a run is known again: its fingerprint, and how many steps of it are there (set when all of it is)."""

PARENT = "mlflow.parentRunId"
"""By this tag MLflow shows a run beneath another."""

ENDED: Mapping[RunStatus, str] = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
"""How MLflow calls what became of a run; one that goes on stays open."""

COSTS = ("steps", "scored", "failed", "calls", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_share",
         "seconds", "retries", "memory_tokens")  # fmt: skip
"""Figures of a method that are no scores (see `metrics.summary.MethodSummary`)."""

MOST_AT_ONCE = 500
"""Metrics that are sent at a time; the store takes no more than 1000."""

LONGEST = 500
"""Characters of a parameter's value: what every store takes."""

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3"}
"""What MLflow is told where nobody has told it anything: to count no users, and not to wait minutes for a server."""

ATTACHED = ("report.html", "scores.json", "run.json")
"""Files of the run's folder that go along; not with credentialed data, of which they hold what was seen."""


SCHEMES = ("file", "sqlite", "databricks", "databricks-uc")
"""What addresses begin with that have no ``://``."""


class Place(NamedTuple):
    """Where MLflow keeps things: its tracking address, and where files go, unless the store knows that itself."""

    address: str
    files: str | None = None

    @property
    def shown(self) -> str:
        """The address without a password.

        >>> Place("postgresql://me:secret@db.example/mlflow").shown
        'postgresql://me:***@db.example/mlflow'
        """
        password = urlsplit(self.address).password
        return self.address.replace(f":{password}@", ":***@") if password else self.address


class Tracked(NamedTuple):
    """What became of an export: where it is, under which experiment and run."""

    address: str
    experiment: str
    run: str


def place_of(out: str, *, credentialed: bool) -> Place:
    """Say where a store is.

    Parameters
    ----------
    out : str
        A folder, in which MLflow's database and files are kept; or the address of any store that MLflow knows.
    credentialed : bool
        Whether it is for data that must not leave this machine.

    Raises
    ------
    UsageError
        If such data would leave.
    RunError
        If the folder cannot be made.
    """
    scheme = out.partition(":")[0]
    if "://" not in out and scheme not in SCHEMES:
        folder = Path(out).resolve()
        with telling(folder):
            require_folder(folder, private=credentialed)
        return Place(f"sqlite:///{folder}/mlflow.db", (folder / "files").as_uri())
    try:
        host = urlsplit(out).hostname
    except ValueError as error:
        raise UsageError(f"{out} is no address of a store: {error}", "correct --out") from error
    if credentialed and not (scheme in ("sqlite", "file") or is_here(host)):
        raise UsageError(
            f"the run holds credentialed data, which must not leave this machine, and {out} may be elsewhere",
            "name a folder with --out",
        )
    return Place(out)


def track(tables: Tables, place: Place) -> Tracked:
    """Put a run into MLflow's store.

    An earlier export of the same run is replaced if it has other steps: MLflow keeps what is deleted for a while.

    Parameters
    ----------
    tables : Tables
        The run.
    place : Place
        Where to (see `place_of`).

    Raises
    ------
    MissingExtraError
        If MLflow, or what it needs for a store in a file, is not installed.
    UsageError
        If all of the run is there already.
    RunError
        If the store does not take it.
    """
    client, refusals = _client(place.address)
    try:
        return _Export(client, tables, place).make()
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "mlflow", "mlflow") from error
    except refusals as error:
        raise RunError(f"MLflow's store at {place.shown} does not take the run: {_first_line(error, place)}",
                       "see whether it is there, or name another with --out") from error  # fmt: skip


def _first_line(error: BaseException, place: Place) -> str:
    said = next(iter(str(error).splitlines()), type(error).__name__)
    password = urlsplit(place.address).password
    return said.replace(password, "***") if password else said


def _client(address: str) -> tuple[Any, type[Exception]]:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient  # noqa: PLC0415 - it is large, and only this needs it
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "mlflow", "mlflow") from None
    # It says at length how it makes its tables.
    for name in ("mlflow.store.db.utils", "mlflow.store.db_migrations", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=address), MlflowException


class _Export:
    """One export of a run."""

    def __init__(self, client: Any, tables: Tables, place: Place) -> None:
        self._client = client
        self._place = place
        self._directory = tables.directory
        self._info = tables.info
        self._table = tabulate(tables.info.task, tables.traces)
        self._name = tables.info.task.name

    def make(self) -> Tracked:
        info, name = self._info, self._directory.path.resolve().name
        experiment = self._experiment()
        self._require_new(experiment)
        begun, ended = _times(info)
        tags = {"mlflow.note.content": info.task.title, RUN: fingerprint(info), "llm_as_rnn.schema": str(SCHEMA)}
        run = self._client.create_run(experiment, start_time=begun, tags=tags, run_name=name).info.run_id
        try:
            self._log(run, params=parameters(info), metrics=[("seconds", info.seconds, 0)])
            if not info.credentialed:
                self._attach(run)
            for summary in summarise(info.task, self._table, info.spec.settings.coverage):
                tags = {PARENT: run, "llm_as_rnn.method": summary.method}
                beneath = self._client.create_run(experiment, start_time=begun, tags=tags, run_name=summary.method)
                own = msgspec.to_builtins(own_settings(summary.method, info.spec.settings))
                figures = [*totals(summary), *self._curves(self._table.methods[summary.method])]
                of_method = {"method": summary.method, "model": info.spec.model, **own}
                self._log(beneath.info.run_id, params=of_method, metrics=figures)
                self._end(beneath.info.run_id, ended)
        except BaseException:
            self._client.set_terminated(run, "FAILED")
            raise
        self._client.set_tag(run, STEPS, str(self._table.steps))
        self._end(run, ended)
        return Tracked(self._place.shown, self._name, run)

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._name)
        if found is None:
            return str(self._client.create_experiment(self._name, artifact_location=self._place.files))
        if found.lifecycle_stage != "active":
            raise RunError(f"the experiment {self._name} was deleted in MLflow's store at {self._place.shown}",
                           "restore it there, or name another store with --out")  # fmt: skip
        return str(found.experiment_id)

    def _require_new(self, experiment: str) -> None:
        """Refuse what is there already, and remove what is there of the run as it was before."""
        wanted = f"tags.`{RUN}` = '{fingerprint(self._info)}'"
        for earlier in self._client.search_runs([experiment], filter_string=wanted):
            run = earlier.info.run_id
            if earlier.data.tags.get(STEPS) == str(self._table.steps):
                raise UsageError(f"MLflow's store at {self._place.shown} has this run already, as {run}",
                                 "delete it there, or name another store with --out")  # fmt: skip
            for beneath in self._client.search_runs([experiment], filter_string=f"tags.`{PARENT}` = '{run}'"):
                self._client.delete_run(beneath.info.run_id)
            self._client.delete_run(run)

    def _curves(self, columns: Columns) -> Iterator[tuple[str, float, int]]:
        for metric in task_metrics(self._info.task):
            for t, value in running(columns.scored(metric.name)).curve:
                yield f"{metric.mean} so far", value, t

    def _log(self, run: str, *, params: Mapping[str, Any], metrics: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric, Param  # noqa: PLC0415 - as above

        at, _ = _times(self._info)
        given = [Param(key_of(name), str(value)[:LONGEST]) for name, value in params.items()]
        for place in range(0, len(given), 100):
            self._client.log_batch(run, params=given[place : place + 100])
        found = [Metric(key_of(name), value, at, step) for name, value, step in metrics if math.isfinite(value)]
        for place in range(0, len(found), MOST_AT_ONCE):
            self._client.log_batch(run, metrics=found[place : place + MOST_AT_ONCE])

    def _attach(self, run: str) -> None:
        for name in ATTACHED:
            path = self._directory.path / name
            if path.is_file():
                self._client.log_artifact(run, str(path))

    def _end(self, run: str, ended: int) -> None:
        if self._info.status in ENDED:
            self._client.set_terminated(run, ENDED[self._info.status], ended)


def key_of(name: str) -> str:
    """Write a name in signs that every store of MLflow's takes.

    >>> key_of("diagnoses.acc@5"), key_of("high.mae so far")
    ('diagnoses.acc_5', 'high.mae so far')
    """
    return re.sub(r"[^A-Za-z0-9_. /-]", "_", name)


def parameters(info: RunInfo) -> dict[str, Any]:
    """Give all that a run's results depend on, by name."""
    return {**info.spec.named, **{f"version {name}": value for name, value in info.versions.items()}}


def totals(summary: MethodSummary) -> Iterator[tuple[str, float, int]]:
    """Give what a method comes to: its scores with the ends of their intervals, and what it took."""
    for name, score in summary.scores.items():
        yield name, score.value, 0
        if score.interval:
            yield f"{name} low", score.interval.low, 0
            yield f"{name} high", score.interval.high, 0
    for name in COSTS:
        value = getattr(summary, name)
        if value is not None:
            yield name, float(value), 0


def fingerprint(info: RunInfo) -> str:
    """Give what tells a run from all others: what it is, and when it was begun."""
    return hashlib.sha256(msgspec.json.encode((info.spec, info.started))).hexdigest()[:16]


def _times(info: RunInfo) -> tuple[int, int]:
    """Say when a run was begun and how long it took in all, in milliseconds since 1970."""
    begun = datetime.fromisoformat(info.started) if info.started else datetime.fromtimestamp(0, UTC)
    first = int(begun.timestamp() * 1000)
    return first, first + int(info.seconds * 1000)
