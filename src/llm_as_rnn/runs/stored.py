"""The steps of a run as they lie on the disk, read a sequence at a time: there may be more than fit in memory.

A journal has the steps of all methods and sequences in the order in which they were made. It is gone through once, to
check each line and to note where it begins; after that any sequence can be read by itself, as often as it is needed.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.records import StepRecord
from llm_as_rnn.metrics.traces import Name, Traces
from llm_as_rnn.runs.earlier import EarlierSteps
from llm_as_rnn.runs.journal import (
    RESTORE,
    SPARSE,
    STEPS,
    Expected,
    Inspection,
    begun,
    content_of,
    opened,
    read_line,
)  # fmt: skip
from llm_as_rnn.runs.lines import LinesOfSteps, StepLines


class _Lines(NamedTuple):
    """Where the lines of a trace begin in the file, and their numbers."""

    begins: array[int]
    numbers: array[int]


class StoredSteps(Traces):
    """The steps of a journal, by method and sequence.

    Parameters
    ----------
    path : Path
        The journal; where there is none, there are no steps.
    expected : Expected
        What the run has, its methods in the order in which they are shown.

    Raises
    ------
    RunError
        As `journal.read_journal` does; what a line says beyond whose step it is is read when it is asked for.
    """

    def __init__(self, path: Path, expected: Expected) -> None:
        self._path = path
        self._places: dict[Name, _Lines] = {}
        self._names: list[Name] = []
        self._format = STEPS.format
        self._lines: LinesOfSteps = StepLines()
        with opened(path) as file:
            if file is None:
                return
            lines, self._format = begun(path, file, STEPS)
            self._lines = StepLines() if self._format >= SPARSE else EarlierSteps()
            inspected, begin = Inspection(path, expected), 0
            for number, line in enumerate(lines, 1):
                content = content_of(path, number, line, self._format)
                if content:
                    step = read_line(path, number, content, self._lines.names)
                    inspected.next(number, step)
                    place = self._places.get((step.method, step.sequence))
                    if place is None:
                        place = self._places[step.method, step.sequence] = _Lines(array("Q"), array("Q"))
                    place.begins.append(begin)
                    place.numbers.append(number)
                begin += len(line) + 1
        order = {method: place for place, method in enumerate(expected.methods)}
        self._names = sorted(self._places, key=lambda name: (order[name[0]], name[1]))

    @property
    def names(self) -> Sequence[Name]:
        """The method and sequence of each trace: methods in the run's order, sequences by name."""
        return self._names

    def __len__(self) -> int:
        """How many steps there are."""
        return sum(len(place.begins) for place in self._places.values())

    def trace(self, method: str, sequence: str) -> list[StepRecord]:
        """Read the steps of one sequence under one method.

        Raises
        ------
        RunError
            If a line is damaged, or the journal is not the one that it was.
        """
        found: list[StepRecord] = []
        self._lines.begin()
        with opened(self._path) as file:
            if file is None:
                raise RunError(f"{self._path} is not there any more", RESTORE)
            for begin, number in zip(*self._places[method, sequence], strict=True):
                file.seek(begin)
                line = file.readline().rstrip(b"\n\0")
                content = content_of(self._path, number, line, self._format)
                record = read_line(self._path, number, content, self._lines.record)
                self._lines.passed(record)
                found.append(record)
        return found
