"""A run's steps, one sequence under one method at a time: so that nobody has to hold all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from llm_as_rnn.core.steps import StepRecord

Name = tuple[str, str]
"""Of a trace: its method and its sequence."""


@runtime_checkable
class Traces(Protocol):
    """A run's steps by method and sequence, as often as they are asked for.

    Going through it gives all steps, trace by trace.
    """

    @property
    def names(self) -> Sequence[Name]:
        """The method and sequence of each trace, in the order in which they are shown."""
        ...

    def trace(self, method: str, sequence: str) -> Sequence[StepRecord]:
        """Give the steps of one sequence under one method, in their order."""
        ...

    def __iter__(self) -> Iterator[StepRecord]:
        """Give all steps."""
        for name in self.names:
            yield from self.trace(*name)


class Held(Traces):
    """Traces of records that are there, in whatever order.

    Methods and sequences keep the order in which they first appear.

    Parameters
    ----------
    records : iterable of StepRecord
        Steps of any methods and sequences.
    """

    def __init__(self, records: Iterable[StepRecord]) -> None:
        found: dict[Name, list[StepRecord]] = {}
        for record in records:
            found.setdefault((record.method, record.sequence), []).append(record)
        self._steps = {name: sorted(steps, key=lambda step: step.t) for name, steps in found.items()}
        places = {method: place for place, method in enumerate(dict.fromkeys(method for method, _ in found))}
        self._names = sorted(self._steps, key=lambda name: places[name[0]])

    @property
    def names(self) -> Sequence[Name]:
        """The method and sequence of each trace."""
        return self._names

    def trace(self, method: str, sequence: str) -> Sequence[StepRecord]:
        """Give the steps of one sequence under one method, in their order."""
        return self._steps[method, sequence]


def traces(records: Iterable[StepRecord] | Traces) -> Traces:
    """Give records as traces, if they are not.

    >>> traces([]).names
    []
    """
    return records if isinstance(records, Traces) else Held(records)
