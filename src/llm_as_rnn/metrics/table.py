"""A run in columns: what its steps say, taken out of each record once, for all that is worked out of it.

Summaries, curves, comparisons, reliability and pictures go over the same few figures of every step again and again.
Here they stand in arrays, by method and field, so that a step's record is looked at once and need not be kept.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from llm_as_rnn.core.chances import completed
from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.fields import Field, Number
from llm_as_rnn.core.fields.verdict import number_in
from llm_as_rnn.core.figures import finite
from llm_as_rnn.core.records import StepRecord, Value
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.confusion import Confusion, Counted
from llm_as_rnn.metrics.costs import Costs, FailedCalls, Failures
from llm_as_rnn.metrics.following import Followed, Following
from llm_as_rnn.metrics.series import Array, Places, Series
from llm_as_rnn.metrics.told import Choosing, Chosen, as_said
from llm_as_rnn.metrics.traces import Traces, traces
from llm_as_rnn.metrics.trusted import chance_of, error, is_covered
from llm_as_rnn.trust.abstention import chance

Key = TypeVar("Key")

Flags = NDArray[np.bool_]


class FieldColumns(NamedTuple):
    """What one method's steps say of one field, in the order of `Columns`; figures that a step lacks are nan.

    Attributes
    ----------
    told : array of bool
        Whether there is an answer, of which was said how far it can be trusted, and an outcome.
    covered : array
        Whether the outcome lay in the interval or set (see `trusted.is_covered`).
    width, outside : array
        Of intervals, in the field's unit: how wide they are, and how far the outcome is outside.
    set_size : array
        Options in the set.
    chance : array
        How likely the answer was said to be right; ``said`` is the same as the model itself said it.
    error : array
        How wrong the answer was, where ``told`` (see `trusted.error`).
    kept : array of bool
        Whether the answer was not held back.
    of_outcome, squares : array
        The chance of what came, and the sum of all options' squared chances.
    came, answered : array
        Of numbers: the outcome and the answer.
    confusion : Confusion or None
        Of labels and lists: what was answered where each came.
    choosing : Chosen or None
        What became of answers that cases had a say in.
    """

    told: Flags
    covered: Array
    width: Array
    outside: Array
    set_size: Array
    chance: Array
    said: Array
    error: Array
    kept: Flags
    of_outcome: Array
    squares: Array
    came: Array
    answered: Array
    confusion: Confusion | None
    choosing: Chosen | None


FIGURES = (
    "covered", "width", "outside", "set_size", "chance", "said", "error", "of_outcome", "squares", "came", "answered",
)  # fmt: skip


class Columns(NamedTuple):
    """One method's steps, by sequence and within one by timestep.

    Attributes
    ----------
    method : str
        Its name.
    names : tuple of str
        Its sequences, in ascending order.
    sequences, t : array, (steps,)
        Each step's place in ``names``, and its timestep.
    usable : array of bool, (steps,)
        Whether there was a usable answer.
    scores : dict of str to array
        By name; nan where a step has none.
    fields : dict of str to FieldColumns
        By field.
    advice : dict of (str, str) to array
        How far each adviser was believed, by field and adviser.
    costs : Costs
        What it took, and how it ended.
    following : Following or None
        What became of its memory's cases.
    """

    method: str
    names: tuple[str, ...]
    sequences: Places
    t: Places
    usable: Flags
    scores: Mapping[str, Array]
    fields: Mapping[str, FieldColumns]
    advice: Mapping[tuple[str, str], Array]
    costs: Costs
    following: Following | None

    def series(self, values: Array, where: Flags | None = None) -> Series:
        """Give a column's figures that are there as a series; ``where`` leaves out more of them."""
        there = ~np.isnan(values) if where is None else ~np.isnan(values) & where
        return Series(self.names, self.sequences[there], self.t[there], values[there])

    def scored(self, metric: str, where: Flags | None = None) -> Series:
        """Give a score as a series."""
        found = self.scores.get(metric)
        return self.series(np.full(len(self.t), np.nan) if found is None else found, where)

    @property
    def places(self) -> Array:
        """How far into its sequence each step is, between 0 and 1."""
        starts = np.searchsorted(self.sequences, np.arange(len(self.names)))
        within = np.arange(len(self.t)) - starts[self.sequences]
        found: Array = within / self.lengths[self.sequences]
        return found

    @property
    def lengths(self) -> Places:
        """How many steps each sequence has."""
        return np.bincount(self.sequences, minlength=len(self.names))


class Table(NamedTuple):
    """A run in columns.

    Attributes
    ----------
    task : Task
        What was predicted.
    methods : dict of str to Columns
        In the order in which they first appear.
    calls : FailedCalls
        What became of all calls to a model.
    traces : Traces
        The steps themselves.
    """

    task: Task
    methods: Mapping[str, Columns]
    calls: FailedCalls
    traces: Traces

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return sum(len(one.t) for one in self.methods.values())

    @property
    def sequences(self) -> int:
        """How many sequences there are."""
        return len({name for one in self.methods.values() for name in one.names})

    @property
    def length(self) -> int:
        """One more than the last timestep."""
        return 1 + max((int(one.t.max(initial=-1)) for one in self.methods.values()), default=-1)

    def scored(self, metric: Metric) -> dict[str, Series]:
        """Give each method's scores."""
        return {method: one.scored(metric.name) for method, one in self.methods.items()}


Steps = Iterable[StepRecord] | Table
"""A run's steps: as records in any order, or as the table that was made of them."""


def tabulate(task: Task, steps: Steps) -> Table:
    """Take the columns out of a run's steps; of a table, nothing is done.

    Parameters
    ----------
    task : Task
        What was predicted.
    steps : iterable of StepRecord, Traces or Table
        Of any methods. Of `Traces`, one sequence under one method is held at a time.
    """
    if isinstance(steps, Table):
        return steps
    found = traces(steps)
    by_method: dict[str, list[str]] = {}
    for method, sequence in found.names:
        by_method.setdefault(method, []).append(sequence)
    failures = Failures()
    methods = {method: _columns(task, method, sorted(names), found, failures) for method, names in by_method.items()}
    return Table(task, methods, failures.found, found)


def _columns(task: Task, method: str, names: Sequence[str], steps: Traces, failures: Failures) -> Columns:
    collected = _Collected(task)
    for place, name in enumerate(names):
        trace = steps.trace(method, name)
        collected.followed.add(trace)
        for step in trace:
            collected.add(place, step)
            failures.add(step.calls)
    return collected.columns(method, tuple(names))


class _Collected:
    """Gathers the columns of one method, a step at a time."""

    def __init__(self, task: Task) -> None:
        self.followed = Followed(task)
        self._sequences, self._t, self._usable = array("q"), array("q"), array("b")
        self._scores: dict[str, array[float]] = {}
        self._advice: dict[tuple[str, str], array[float]] = {}
        self._fields = {field.name: _Gathered(field) for field in task.answer}
        self._costs = Costs()

    def add(self, place: int, step: StepRecord) -> None:
        steps = len(self._t)
        self._sequences.append(place)
        self._t.append(step.t)
        self._usable.append(step.status.answered)
        for name, score in step.scores.items():
            _put(self._scores, name, steps, score)
        for field, weights in step.believed.items():
            for adviser, weight in weights.items():
                _put(self._advice, (field, adviser), steps, weight)
        for gathered in self._fields.values():
            gathered.add(step)
        self._costs.add(step)

    def columns(self, method: str, names: tuple[str, ...]) -> Columns:
        steps = len(self._t)
        return Columns(
            method,
            names,
            np.frombuffer(self._sequences, np.int64),
            np.frombuffer(self._t, np.int64),
            np.frombuffer(self._usable, np.bool_),
            {name: _whole(column, steps) for name, column in self._scores.items()},
            {name: gathered.columns() for name, gathered in self._fields.items()},
            {name: _whole(column, steps) for name, column in self._advice.items()},
            self._costs,
            self.followed.found,
        )


class _Gathered:
    """Gathers what a method's steps say of one field."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._is_number = isinstance(field, Number)
        self._told, self._kept = array("b"), array("b")
        self._figures: dict[str, array[float]] = {}
        self._counted = Counted(field)
        self._choosing = Choosing(field)

    def add(self, step: StepRecord) -> None:
        field, name = self._field, self._field.name
        came = step.target.get(name) if step.target else None
        answer = step.prediction.get(name) if step.prediction else None
        told = came is not None and answer is not None and (name in step.interval or name in step.chance)
        place = len(self._told)
        self._told.append(told)
        self._kept.append(name not in step.abstained)
        found = self._said(step)
        if came is not None:
            found["covered"] = is_covered(field, step)
        if told:
            found["error"] = error(field, step)
            if came is not None and (spread := step.distribution.get(name)):
                chances = completed(field.options, spread)
                found["of_outcome"] = chance_of(came, chances)
                found["squares"] = math.fsum(one * one for one in chances.values())
        if self._is_number:
            found["came"], found["answered"] = number_in(came), number_in(answer)
        else:
            self._counted.add(came, answer)
            if step.calls:
                found["said"] = self._model_said(step, answer)
        for column, figure in found.items():
            if figure is not None:
                _put(self._figures, column, place, figure)

    def _said(self, step: StepRecord) -> dict[str, float | None]:
        """Give what the prediction said of itself."""
        name = self._field.name
        found: dict[str, float | None] = {"chance": step.chance.get(name)}
        if name in step.interval:
            low, high = step.interval[name]
            came = number_in(step.target.get(name)) if step.target else None
            found["width"] = finite(high - low)
            found["outside"] = 0.0 if came is None else max(low - came, came - high, 0.0)
        if name in step.among:
            found["set_size"] = float(len(step.among[name]))
        return found

    def _model_said(self, step: StepRecord, answer: Value | None) -> float | None:
        """Give the chance that the model itself gave to the answer, and count what became of its own answer."""
        said = as_said(self._field, step)
        if not said:
            return None
        self._choosing.add(step, said)
        return None if answer is None else chance(answer, said, 0, 0)

    def columns(self) -> FieldColumns:
        steps = len(self._told)
        figures = {name: _whole(self._figures.get(name, array("d")), steps) for name in FIGURES}
        return FieldColumns(
            told=np.frombuffer(self._told, np.bool_),
            kept=np.frombuffer(self._kept, np.bool_),
            confusion=self._counted.found,
            choosing=self._choosing.found,
            **figures,
        )


def _put(columns: dict[Key, array[float]], name: Key, place: int, figure: float) -> None:
    """Put a figure at its step's place in a column, which may lack what came before."""
    column = columns.get(name)
    if column is None:
        column = columns[name] = array("d")
    if len(column) < place:
        column.extend([math.nan] * (place - len(column)))
    column.append(figure)


def _whole(column: array[float], steps: int) -> Array:
    """Give a column with as many figures as there are steps; nan where there is none."""
    found = np.full(steps, np.nan)
    found[: len(column)] = column
    return found
