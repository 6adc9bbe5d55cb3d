"""The steps of a run as they lie on the disk, read a sequence at a time: there may be more than fit in memory.

A journal has the steps of all methods and sequences in the order in which they were made. It is gone through once, to
check each line and to note where it begins; after that any sequence can be read by itself, as often as it is needed.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import islice
from os import SEEK_END
from pathlib import Path
from typing import NamedTuple

from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.steps import StepRecord
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
    lines_in,
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
        self._inspection = Inspection(path, expected)
        self._order = {method: place for place, method in enumerate(expected.methods)}
        self._end, self._count = 0, 0  # where the next line begins, and how many there are before it
        self.grow()

    def grow(self) -> bool:
        """Take notice of the lines that were written since it was last looked; say whether there are any.

        A line that is only half written is left for the next time.

        Raises
        ------
        RunError
            As for all steps; and if the journal is shorter than it was.
        """
        before = self._count
        with opened(self._path) as file:
            if file is None:
                return False
            if self._end > file.seek(0, SEEK_END) + 1:  # a last line may have lacked its end
                raise RunError(f"{self._path} is not the journal that it was", "look at the folder again")
            file.seek(self._end)
            lines = lines_in(self._path, file, self._count + 1)
            if not self._end:
                lines, self._format = begun(self._path, file, STEPS)
                self._lines = StepLines() if self._format >= SPARSE else EarlierSteps()
            for line in lines:
                self._note(line)
        self._names = sorted(self._places, key=lambda name: (self._order[name[0]], name[1]))
        return self._count > before

    def _note(self, line: bytes) -> None:
        """Take notice of a line."""
        number = self._count + 1
        content = content_of(self._path, number, line, self._format)
        if content:
            step = read_line(self._path, number, content, self._lines.names)
            self._inspection.next(number, step)
            place = self._places.get((step.method, step.sequence))
            if place is None:
                place = self._places[step.method, step.sequence] = _Lines(array("Q"), array("Q"))
            place.begins.append(self._end)
            place.numbers.append(number)
        self._count = number
        self._end += len(line) + 1

    @property
    def names(self) -> Sequence[Name]:
        """The method and sequence of each trace: methods in the run's order, sequences by name."""
        return self._names

    def __len__(self) -> int:
        """How many steps there are."""
        return sum(len(place.begins) for place in self._places.values())

    def length(self, method: str, sequence: str) -> int:
        """Tell how many steps there are of one sequence under one method."""
        place = self._places.get((method, sequence))
        return 0 if place is None else len(place.begins)

    def trace(self, method: str, sequence: str, most: int | None = None) -> list[StepRecord]:
        """Read the steps of one sequence under one method, all of them or so many.

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
            for begin, number in islice(zip(*self._places[method, sequence], strict=True), most):
                file.seek(begin)
                line = file.readline().rstrip(b"\n\0")
                content = content_of(self._path, number, line, self._format)
                record = read_line(self._path, number, content, self._lines.record)
                self._lines.passed(record)
                found.append(record)
        return found
