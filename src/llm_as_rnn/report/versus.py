"""Runs of one task compared step by step: each method minus its counterpart in the first run, on one page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.bands import band
from llm_as_rnn.metrics.curves import Scores, by_sequence, less, running
from llm_as_rnn.metrics.estimates import PairedDifference
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.summary import MethodSummary, by_method
from llm_as_rnn.report.charts import COLOURS, Chart, Line, Style, line_chart
from llm_as_rnn.report.html import STYLES, asset, environment
from llm_as_rnn.report.tables import Column, Results, Row, difference_cell, results

MINUS = "\N{MINUS SIGN}"
SAME_DATA = "compare runs of the same data, --split, --seed, --sequences and --steps"


class Compared(NamedTuple):
    """A run to be compared.

    Attributes
    ----------
    path : str
        Its folder.
    settings : str
        What of its settings differs between the runs, in words.
    records : sequence of StepRecord
        Its journal.
    summaries : sequence of MethodSummary
        What it comes to, one a method.
    """

    path: str
    settings: str
    records: Sequence[StepRecord]
    summaries: Sequence[MethodSummary]


class Pair(NamedTuple):
    """A method of a run, and its counterpart in the first run; runs count from 1."""

    run: int
    method: str
    counterpart: str

    def __str__(self) -> str:
        return f"{self.run} {self.method} {MINUS} 1 {self.counterpart}"


def require_same_data(runs: Mapping[str, Sequence[StepRecord]], hint: str = SAME_DATA) -> None:
    """Refuse to pair runs that were not on the same data.

    Parameters
    ----------
    runs : mapping of str to sequence of StepRecord
        Journals by folder. Runs may be of different length: what all have counts.
    hint : str
        What to do where they are not.

    Raises
    ------
    UsageError
        If a run has no step in common with the first, or another observation or outcome at the same one.
    """
    (first, known), *others = ((name, {(r.sequence, r.t): r for r in records}) for name, records in runs.items())
    for name, steps in others:
        shared = sorted(known.keys() & steps.keys())
        if not shared:
            raise UsageError(f"{name} is not on the data of {first}: they have no step in common", hint)
        for sequence, t in shared:
            if _differs(known[sequence, t], steps[sequence, t]):
                raise UsageError(
                    f"{name} is not on the data of {first}: they differ at step {t} of sequence {sequence}", hint
                )


def _differs(one: StepRecord, other: StepRecord) -> bool:
    outcomes = one.target is not None and other.target is not None and one.target != other.target
    return outcomes or one.observation != other.observation


def pairs(runs: Sequence[Compared]) -> list[Pair]:
    """Pair each method of later runs with the method of that name in the first, else with the first that asks a model.

    References are left out, as they say the same to the same data, unless no run has anything else.
    """
    models = [[one.method for one in run.summaries if not one.is_reference] for run in runs]
    named = models if any(models) else [[one.method for one in run.summaries] for run in runs]
    first = {one.method for one in runs[0].summaries}
    found = []
    for number, methods in enumerate(named[1:], 2):
        for method in methods:
            counterpart = method if method in first else next(iter(named[0]), None)
            if counterpart is not None:
                found.append(Pair(number, method, counterpart))
    return found


Differences = Mapping[tuple[Pair, str], PairedDifference]
"""Of each pair in each metric on which it has common steps."""


def paired(task: Task, runs: Sequence[Compared]) -> Differences:
    """Compare all pairs in all metrics, with intervals, and p values that are corrected for each other."""
    from llm_as_rnn.metrics.comparisons import corrected, difference  # noqa: PLC0415 - they bring numpy

    steps = [by_method(run.records) for run in runs]
    compared = {
        (pair, metric.name): difference(
            by_sequence(steps[pair.run - 1][pair.method], metric.name),
            by_sequence(steps[0][pair.counterpart], metric.name),
            f"1 {pair.counterpart}",
        )
        for pair in pairs(runs)
        for metric in task_metrics(task)
    }
    return corrected({place: found for place, found in compared.items() if found})


def paired_results(task: Task, runs: Sequence[Compared], compared: Differences | None = None) -> Results:
    """Lay out the differences of all pairs; ``compared`` is what `paired` gives, where it is there already."""
    metrics, shown = task_metrics(task), paired(task, runs) if compared is None else compared
    rows = tuple(
        Row(
            str(pair),
            tuple(difference_cell(metric, shown.get((pair, metric.name))) for metric in metrics),
            is_reference=False,
        )
        for pair in pairs(runs)
    )
    return Results(tuple(Column(metric.title, metric.about) for metric in metrics), rows)


def difference_charts(task: Task, runs: Sequence[Compared]) -> list[Chart]:
    """Draw each metric's running mean of the paired difference over time, with the band in which it may lie."""
    steps = [by_method(run.records) for run in runs]
    charts = []
    for metric in task_metrics(task):
        lines = [
            Line(Style(str(pair), place % COLOURS, dashed=False), tracks.curve, band(tracks))
            for place, pair in enumerate(pairs(runs))
            if (tracks := running(_less(pair, steps, metric))).rows
        ]
        if lines:
            title = f"{metric.title}, running mean of the difference"
            better = "above" if metric.higher_is_better else "below"
            svg = line_chart(lines, title, lower=-math.inf)
            charts.append(Chart(title, f"{better} 0 is better", svg))
    return charts


def _less(pair: Pair, steps: Sequence[Mapping[str, Sequence[StepRecord]]], metric: Metric) -> Scores:
    return less(
        by_sequence(steps[pair.run - 1][pair.method], metric.name), by_sequence(steps[0][pair.counterpart], metric.name)
    )


def render_comparison(
    task: Task, runs: Sequence[Compared], rows: Sequence[MethodSummary], *, credentialed: bool
) -> str:
    """Make the page.

    Parameters
    ----------
    task : Task
        What was predicted.
    runs : sequence of Compared
        At least two, on the same data (see `require_same_data`).
    rows : sequence of MethodSummary
        The methods of all runs, under names that tell them apart.
    credentialed : bool
        Whether the data may not be passed on; the page then says so.
    """
    compared = paired(task, runs)
    return environment.get_template("comparison.html.j2").render(
        task=task,
        runs=runs,
        credentialed=credentialed,
        results=results(task, rows),
        differences=paired_results(task, runs, compared),
        sequences=sorted(found.sequences for found in compared.values()) or [0],
        charts=difference_charts(task, runs),
        looks=[Style(str(pair), place % COLOURS, dashed=False) for place, pair in enumerate(pairs(runs))],
        style=asset(*STYLES),
    )
