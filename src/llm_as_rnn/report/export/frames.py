"""Tables as frames of polars or pandas; the one file here that imports these."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from llm_as_rnn.core.errors import MissingExtraError, UsageError
from llm_as_rnn.report.export.tables import Table

if TYPE_CHECKING:
    import polars

Library = Literal["polars", "pandas", "rows"]


def frame(table: Table, to: Library | None = None) -> Any:
    """Give a table as a frame.

    Parameters
    ----------
    table : Table
        The table.
    to : str, optional
        ``polars``, ``pandas``, or ``rows`` for a list of plain dictionaries, which needs neither; by default the first
        of these that is installed.

    Raises
    ------
    UsageError
        If the library is not installed, or is none of these.
    """
    match to or next((name for name in ("polars", "pandas") if find_spec(name)), "rows"):
        case "polars":
            return polars_frame(table)
        case "pandas":
            return pandas_frame(table)
        case "rows":
            return list(table.rows())
        case other:
            raise UsageError(f"there are no frames of {other!r}", 'name "polars", "pandas" or "rows"')


def polars_frame(table: Table) -> polars.DataFrame:
    """Give a table as a frame of polars; JSON values are texts there.

    Raises
    ------
    MissingExtraError
        If polars is not installed.
    """
    try:
        import polars as pl  # noqa: PLC0415 - it is large, and only who asks for a frame needs it
    except ModuleNotFoundError:
        raise MissingExtraError("polars", "parquet") from None
    kinds = {
        "text": pl.String(),
        "float": pl.Float64(),
        "count": pl.Int64(),
        "flag": pl.Boolean(),
        "texts": pl.List(pl.String()),
        "json": pl.String(),
    }
    found = _columns(table)
    return pl.DataFrame(
        [pl.Series(column.name, cells, kinds[column.kind]) for column, cells in zip(table.columns, found, strict=True)]
    )


def pandas_frame(table: Table) -> Any:
    """Give a table as a frame of pandas, with types that have room for what is missing.

    Raises
    ------
    UsageError
        If pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise UsageError("this needs the package pandas, which is not installed", "pip install pandas") from None
    kinds = {"text": "string", "float": "Float64", "count": "Int64", "flag": "boolean", "texts": "object"}
    found = _columns(table)
    return pd.DataFrame(
        {
            column.name: pd.Series(cells, dtype=kinds.get(column.kind, "string"))
            for column, cells in zip(table.columns, found, strict=True)
        }
    )


def _columns(table: Table) -> Sequence[Sequence[Any]]:
    """Give the cells by column; JSON values as text."""
    found: list[list[Any]] = [[] for _ in table.columns]
    for cells in table.cells():
        for column, cell, into in zip(table.columns, cells, found, strict=True):
            into.append(as_text(cell) if column.kind == "json" and cell is not None else cell)
    return found


def as_text(value: Any) -> str:
    """Write a value as JSON, on one line."""
    return msgspec.json.encode(value).decode()
