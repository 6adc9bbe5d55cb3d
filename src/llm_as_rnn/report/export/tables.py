"""A run's tables: the rows of the journal under the columns of `columns`, read a sequence at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.metrics.traces import Traces
from llm_as_rnn.report.export.columns import (
    CALL,
    MEMORY,
    MESSAGE,
    SCHEMA,
    Column,
    Digested,
    OneCall,
    OneMemory,
    step_columns,
)
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.versions import Event, versions

NAMES = ("steps", "calls", "memories", "messages")
"""The tables of a run."""

CREDENTIALED = "the files hold credentialed data: they are for their owner only, and must not be shared"
"""What is said wherever such data is written."""


class Table(NamedTuple):
    """A table that can be gone through as often as is needed.

    Attributes
    ----------
    name : str
        One of `NAMES`.
    about : str
        What a row is.
    columns : tuple of Column
        What stands in it.
    items : callable
        Gives what the rows are made of, from the first one on.
    """

    name: str
    about: str
    columns: tuple[Column, ...]
    items: Callable[[], Iterator[Any]]

    def cells(self) -> Iterator[tuple[Any, ...]]:
        """Give the rows as tuples in the order of the columns, each cell a JSON value or None."""
        for item in self.items():
            yield tuple(plain(column, column.of(item)) for column in self.columns)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Give the rows by the columns' names."""
        names = [column.name for column in self.columns]
        for cells in self.cells():
            yield dict(zip(names, cells, strict=True))


def plain(column: Column, value: Any) -> Any:
    """Give a cell as the kind of its column has it.

    >>> plain(Column("tokens", "float", "", None), 3), plain(Column("notes", "texts", "", None), ("a", "b"))
    (3.0, ['a', 'b'])
    """
    if value is None:
        return None
    match column.kind:
        case "float":
            return float(value)
        case "texts":
            return [value] if isinstance(value, str) else list(value)
        case _:
            return value


class Tables:
    """The tables of a run, as far as it has come.

    Parameters
    ----------
    directory : RunDirectory
        The run's folder.

    Raises
    ------
    RunError
        If it holds no run, or its journal is damaged.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.info: RunInfo = directory.current()
        self.traces: Traces = directory.steps()

    def table(self, name: str) -> Table:
        """Give one of the tables in `NAMES`."""
        makers: Mapping[str, Callable[[], Table]] = {
            "steps": self._steps,
            "calls": self._calls,
            "memories": self._memories,
            "messages": self._messages,
        }
        return makers[name]()

    def all(self) -> list[Table]:
        """Give every table."""
        return [self.table(name) for name in NAMES]

    def _steps(self) -> Table:
        columns = step_columns(self.info.task, self.traces)
        return Table("steps", "a step of a sequence under a method", columns, lambda: iter(self.traces))

    def _calls(self) -> Table:
        return Table("calls", "a call to a model", CALL, lambda: every_call(self.traces))

    def _memories(self) -> Table:
        return Table("memories", "a version of a memory", MEMORY, self._every_memory)

    def _messages(self) -> Table:
        def messages() -> Iterator[Digested]:
            return iter(self.directory.prompts().messages.items())

        return Table("messages", "a message that a model was shown, once", MESSAGE, messages)

    def _every_memory(self) -> Iterator[OneMemory]:
        for name in self.traces.names:
            yield from _changes(versions(self.traces.trace(*name)))
        yield from _changes(self.directory.lessons())


def _changes(histories: Mapping[tuple[str, str], tuple[Event, ...]]) -> Iterator[OneMemory]:
    for (method, sequence), events in histories.items():
        yield from (OneMemory(method, sequence, event) for event in events if event.changed)


def every_call(steps: Iterator[StepRecord] | Traces) -> Iterator[OneCall]:
    """Go through the calls of steps."""
    for step in steps:
        for place, call in enumerate(step.calls):
            yield OneCall(step, place, call)


def described(tables: Tables, rows: Mapping[str, int]) -> dict[str, Any]:
    """Say what a run's tables are, for a file that lies beside them.

    Parameters
    ----------
    tables : Tables
        The tables.
    rows : mapping of str to int
        How many rows of each were written.
    """
    info = tables.info
    return {
        "schema": SCHEMA,
        "run": {
            "task": info.task.name,
            "status": info.status,
            "started": info.started,
            "spec": msgspec.to_builtins(info.spec),
            "versions": info.versions,
        },
        **({"credentialed": CREDENTIALED} if info.credentialed else {}),
        "tables": {
            table.name: {
                "a_row_is": table.about,
                "rows": rows[table.name],
                "columns": [
                    {"name": column.name, "kind": column.kind, "about": column.about} for column in table.columns
                ],
            }
            for table in tables.all()
            if table.name in rows
        },
    }
