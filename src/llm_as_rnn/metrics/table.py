"""A run in columns: what its steps say, taken out of each record once, for all that is worked out of it.

Summaries, curves, comparisons, reliability and pictures go over the same few figures of every step again and again.
Here they stand in arrays, by method and field, so that a step's record is looked at once and need not be kept.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llm_as_rnn.core.chances import completed
from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.fields import Field, Number
from llm_as_rnn.core.fields.verdict import number_in
from llm_as_rnn.core.records import Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.confusion import Confusion, Counted
from llm_as_rnn.metrics.costs import Costs
from llm_as_rnn.metrics.following import Followed, Following
from llm_as_rnn.metrics.scores import field_metrics
from llm_as_rnn.metrics.series import Array, Places, Series, bounded
from llm_as_rnn.metrics.summary import FailedCalls, Failures
from llm_as_rnn.metrics.told import Choosing, Chosen, as_said
from llm_as_rnn.metrics.traces import Traces, traces
from llm_as_rnn.metrics.trusted import chance_of, error, is_among
from llm_as_rnn.trust.abstention import chance

Flags = NDArray[np.bool_]


class FieldColumns(NamedTuple):
    """What one method's steps say of one field, in the order of `Columns`; figures that a step lacks are nan.

    Attributes
    ----------
    told : array of bool
        Whether there is an outcome, and it was said how far the answer can be trusted; where there is no usable answer,
        everything was said to be possible.
    covered : array
        Whether the outcome lay in the interval or set (see `trusted.is_covered`).
    width, outside : array
        Of intervals, in the field's unit: how wide they are, and how far the outcome is outside.
    set_size : array
        Options in the set.
    chance : array
        How likely the answer, where there is one, was said to be right; ``said`` is the same as the model itself said.
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

    @property
    def scored_sequences(self) -> int:
        """How many sequences have a score under the method that has most of them: what intervals are over."""
        scored = (one.scored(name) for one in self.methods.values() for name in one.scores)
        return max(map(len, scored), default=0)

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
    for name in names:
        collected.add(steps.trace(method, name), failures)
    return collected.columns(method, tuple(names))


class _Figures:
    """Columns of figures that grow by a trace at a time; where a step lacks one, it is nan."""

    def __init__(self) -> None:
        self._columns: dict[Hashable, array[float]] = {}
        self._size = 0

    def add(self, size: int, figures: Mapping[Any, Iterable[float]]) -> None:
        """Add the figures of as many steps."""
        for name, values in figures.items():
            column = self._columns.setdefault(name, array("d"))
            column.extend([math.nan] * (self._size - len(column)))
            column.extend(values)
        self._size += size

    def whole(self, name: Hashable) -> Array:
        """Give a column with as many figures as there are steps."""
        column = self._columns.get(name)
        if column is None:
            return np.broadcast_to(math.nan, self._size)
        column.extend([math.nan] * (self._size - len(column)))
        return np.frombuffer(column)

    @property
    def names(self) -> list[Any]:
        """The columns that have any figure."""
        return list(self._columns)


class _Collected:
    """Gathers the columns of one method, a trace at a time."""

    def __init__(self, task: Task) -> None:
        self._followed = Followed(task)
        self._lengths: list[int] = []
        self._t, self._usable = array("q"), array("b")
        self._scores, self._advice = _Figures(), _Figures()
        self._fields = {field.name: _Gathered(field) for field in task.answer}
        self._costs = Costs()

    def add(self, trace: Sequence[StepRecord], failures: Failures) -> None:
        """Take out of the steps of one more sequence what is needed of them."""
        self._lengths.append(len(trace))
        self._t.extend(step.t for step in trace)
        self._usable.extend(step.status.answered for step in trace)
        scores = {name: [step.scores.get(name, math.nan) for step in trace] for name in _keys(trace, "scores")}
        self._scores.add(len(trace), scores)
        for gathered in self._fields.values():
            gathered.add(trace, scores)
        self._advice.add(len(trace), _advice(trace))
        self._costs.add(trace)
        self._followed.add(trace)
        for step in trace:
            if step.calls:
                failures.add(step.calls)

    def columns(self, method: str, names: tuple[str, ...]) -> Columns:
        """Give what was gathered."""
        return Columns(
            method,
            names,
            np.repeat(np.arange(len(names)), self._lengths),
            np.frombuffer(self._t, np.int64),
            np.frombuffer(self._usable, np.bool_),
            {name: self._scores.whole(name) for name in self._scores.names},
            {name: gathered.columns() for name, gathered in self._fields.items()},
            {name: self._advice.whole(name) for name in self._advice.names},
            self._costs,
            self._followed.found,
        )


def _keys(trace: Sequence[StepRecord], what: str) -> dict[str, None]:
    """Give all names that a mapping has at any step, in the order in which they come up."""
    return dict.fromkeys(name for step in trace for name in getattr(step, what))


def _advice(trace: Sequence[StepRecord]) -> dict[tuple[str, str], list[float]]:
    found = dict.fromkeys(
        (field, adviser) for step in trace for field, weights in step.believed.items() for adviser in weights
    )
    nobody: dict[str, float] = {}
    return {
        (field, adviser): [step.believed.get(field, nobody).get(adviser, math.nan) for step in trace]
        for field, adviser in found
    }


class _Gathered:
    """Gathers what a method's steps say of one field."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._first = field_metrics(field)[0]
        self._told, self._kept = array("b"), array("b")
        self._figures = _Figures()
        self._counted = Counted(field)
        self._choosing = Choosing(field)

    def add(self, trace: Sequence[StepRecord], scores: Mapping[str, list[float]]) -> None:
        """Take out of the steps of one more sequence what is needed of them; their scores are out already."""
        field, name = self._field, self._field.name
        came = [step.target.get(name) if step.target else None for step in trace]
        answers = [step.prediction.get(name) if step.prediction else None for step in trace]
        told = [
            outcome is not None and (name in step.interval or name in step.chance)
            for step, outcome in zip(trace, came, strict=True)
        ]
        # Where there is no answer, its chance of 0 is no feat: counted, it would make chances look the better, the more
        # often a model fails.
        chances = (
            math.nan if answer is None else step.chance.get(name, math.nan)
            for step, answer in zip(trace, answers, strict=True)
        )
        figures: dict[str, Iterable[float]] = {"chance": list(chances)}
        if isinstance(field, Number):
            figures["came"], figures["answered"] = map(_number, came), map(_number, answers)
        else:
            self._counted.add(zip(came, answers, strict=True))
            if any(step.calls for step in trace):
                figures["said"] = [self._model_said(step, answer) for step, answer in zip(trace, answers, strict=True)]
        figures |= self._intervals(trace) | self._sets(trace, came)
        if any(told):
            figures["error"] = self._errors(trace, told, scores.get(self._first.name))
            figures |= self._chances(trace, told, came)
        self._told.extend(told)
        self._kept.extend(name not in step.abstained for step in trace)
        self._figures.add(len(trace), figures)

    def _intervals(self, trace: Sequence[StepRecord]) -> dict[str, Iterable[float]]:
        name = self._field.name
        if not any(name in step.interval for step in trace):
            return {}
        low, high = zip(*(step.interval.get(name, NOTHING) for step in trace), strict=True)
        return {"low": low, "high": high}

    def _sets(self, trace: Sequence[StepRecord], came: Sequence[Value | None]) -> dict[str, Iterable[float]]:
        name = self._field.name
        if not any(name in step.among for step in trace):
            return {}
        sizes = [float(len(step.among[name])) if name in step.among else math.nan for step in trace]
        covered = [
            math.nan if outcome is None or name not in step.among else is_among(outcome, step.among[name])
            for step, outcome in zip(trace, came, strict=True)
        ]
        return {"set_size": sizes, "covered": covered}

    def _errors(self, trace: Sequence[StepRecord], told: Sequence[bool], scores: list[float] | None) -> list[float]:
        """Give `trusted.error` of the steps that were told, for all of them at once where they have the score."""
        if scores is None or self._field.is_open or any(math.isnan(one) for one in scores):
            return [error(self._field, step) if one else math.nan for step, one in zip(trace, told, strict=True)]
        return [1.0 - score for score in scores] if self._first.is_share else scores

    def _chances(
        self, trace: Sequence[StepRecord], told: Sequence[bool], came: Sequence[Value | None]
    ) -> dict[str, Iterable[float]]:
        field, name = self._field, self._field.name
        if not any(step.distribution.get(name) for step in trace):
            return {}
        of_outcome, squares = [math.nan] * len(trace), [math.nan] * len(trace)
        for place, (step, outcome) in enumerate(zip(trace, came, strict=True)):
            spread = step.distribution.get(name)
            if told[place] and spread and outcome is not None:
                chances = completed(field.options, spread)
                of_outcome[place] = chance_of(outcome, chances)
                squares[place] = math.fsum(one * one for one in chances.values())
        return {"of_outcome": of_outcome, "squares": squares}

    def _model_said(self, step: StepRecord, answer: Value | None) -> float:
        """Give the chance that the model itself gave to the answer, and count what became of its own answer."""
        said = as_said(self._field, step)
        if not said:
            return math.nan
        self._choosing.add(step, said)
        return math.nan if answer is None else chance(answer, said, 0, 0)

    def columns(self) -> FieldColumns:
        """Give what was gathered."""
        found = {name: self._figures.whole(name) for name in FIGURES}
        if "low" in self._figures.names:
            found |= _of_intervals(self._figures.whole("low"), self._figures.whole("high"), found)
        return FieldColumns(
            told=np.frombuffer(self._told, np.bool_),
            kept=np.frombuffer(self._kept, np.bool_),
            confusion=self._counted.found,
            choosing=self._choosing.found,
            **found,
        )


def _of_intervals(low: Array, high: Array, beside: Mapping[str, Array]) -> dict[str, Array]:
    """Work out what follows from intervals and outcomes; where there is no interval, a set may be there instead."""
    came = beside["came"]
    with np.errstate(over="ignore"):
        outside = np.maximum(np.maximum(low - came, came - high), 0.0)
        width = bounded(high - low)
    is_within = np.where(np.isnan(low) | np.isnan(came), math.nan, (low <= came) & (came <= high))
    return {
        "width": width,
        "outside": np.where(np.isnan(outside) & ~np.isnan(low), 0.0, outside),
        "covered": np.where(np.isnan(low), beside["covered"], is_within),
    }


NOTHING = (math.nan, math.nan)


def _number(value: Value | None) -> float:
    """Give the number that a value is; nan where it is none."""
    found = value if isinstance(value, float) else number_in(value)
    return math.nan if found is None else found
