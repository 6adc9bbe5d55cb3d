"""All ways to hand a run over, by the names that the command line and `report.opened.Run` know them by."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.report.export.files import WRITERS, write_tables
from llm_as_rnn.report.export.inspection import write_logs
from llm_as_rnn.report.export.tables import CREDENTIALED, Tables
from llm_as_rnn.report.export.tracking import place_of, track

WAYS = (*WRITERS, "mlflow", "inspect")
"""What a run can be exported to."""


class Exported(NamedTuple):
    """What was written, a place a line, and what else there is to say of it."""

    places: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def export(tables: Tables, to: str, out: str | None = None) -> Exported:
    """Hand a run over.

    Parameters
    ----------
    tables : Tables
        The run.
    to : str
        One of `WAYS`.
    out : str, optional
        The folder, by default ``export`` and the way's name in the run's own; for ``mlflow`` also a store's address.

    Raises
    ------
    UsageError
        If there is no such way, a package is missing, credentialed data would leave this machine, or MLflow's store has
        the run already.
    RunError
        If it cannot be written.
    """
    if to not in WAYS:
        raise UsageError(f"a run cannot be exported to {to!r}", f"choose from {', '.join(WAYS)}")
    out = out or str(tables.directory.path / "export" / to)
    credentialed = tables.info.credentialed
    remarks = [CREDENTIALED] if credentialed else []
    if tables.info.status != "finished":
        remarks.append(f"the run is {tables.info.status}: what is here is as far as it has come")
    if to == "mlflow":
        tracked = track(tables, place_of(out, credentialed=credentialed))
        if credentialed:
            remarks.append("MLflow has the run's settings and figures alone, no file of it")
        places = [f"MLflow run {tracked.run} of experiment {tracked.experiment} at {tracked.address}"]
        if tracked.address.startswith("sqlite:"):
            remarks.append(f"look at it: mlflow ui --backend-store-uri {tracked.address}")
    elif to == "inspect":
        places = [str(path) for path in write_logs(tables, Path(out))]
        remarks.append(f"look at them: inspect view --log-dir {out}")
    else:
        places = [str(path) for path in write_tables(tables, to, Path(out))]
    return Exported(tuple(places), tuple(remarks))
