"""A frame of another library, or rows of a program's own, as a table to look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from llm_as_rnn.core.documents import did_you_mean
from llm_as_rnn.core.door import plain_fields
from llm_as_rnn.core.errors import TaskError, UsageError
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Row
from llm_as_rnn.datasets.formats import filled
from llm_as_rnn.datasets.guessing.columns import rows_of
from llm_as_rnn.datasets.guessing.proposal import Wishes, propose


def guess(frame: Any, wishes: Mapping[str, Any]) -> Task:
    """Propose a task for a frame of pandas or polars, or for rows (see `core.task.Task.guess`)."""
    wishes = dict(wishes)
    name = str(wishes.pop("name", "table"))
    for many in ("outcome", "leave_out", "keep", "missing"):
        if isinstance(wishes.get(many), str):
            wishes[many] = (wishes[many],)
    if isinstance(wishes.get("sequence"), str):
        wishes["sequence"] = (wishes["sequence"],) if wishes["sequence"] else ()
    for wish in wishes:
        if wish not in Wishes.__struct_fields__:
            known = ("name", *Wishes.__struct_fields__)
            raise UsageError(f"nothing is known as {wish}", did_you_mean(wish, known))
    try:
        said = msgspec.convert(wishes, Wishes)
    except msgspec.ValidationError as error:
        raise UsageError(f"what is known of the table: {error}", "correct it") from error
    rows = [Row(number, _cells(number, cells)) for number, cells in enumerate(_records(frame), 1)]
    if not rows:
        raise UsageError("the table has no rows", "give some")
    found = propose(rows_of(rows), name, said)
    for doubt in found.doubts:
        choices = " or ".join(f"{doubt.about}={choice!r}" for choice in doubt.choices)
        raise TaskError(doubt.what, f"say {choices}")
    return found.task


def _records(frame: Any) -> Iterable[Any]:
    """Give the rows, by the names that frames have for that: polars first, whose other one gives columns."""
    if callable(getattr(frame, "to_dicts", None)):
        return list(frame.to_dicts())
    if callable(getattr(frame, "to_dict", None)):
        return list(frame.to_dict("records"))
    if isinstance(frame, Iterable) and not isinstance(frame, str | bytes | Mapping):
        return frame
    raise UsageError(
        f"{type(frame).__name__} is no table",
        "give a frame of pandas or polars, or a list of rows, each values by name",
    )


def _cells(number: int, cells: Any) -> dict[str, Any]:
    found = plain_fields(cells, f"row {number}")
    return {name: filled(cell) for name, cell in found.items()}
