"""What a sweep comes to: one table of all its runs and models, and the figures that others published beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.summary import MethodSummary
from llm_as_rnn.report.tables import Cell, Column, Results, Row, markdown, score_cells
from llm_as_rnn.runs.directory import RunInfo
from llm_as_rnn.runs.sweep import Planned, Published, Sweep

OURS_WITHOUT = "no model"
"""What stands for a reference's model."""

PUBLISHED = "published"


class Done(NamedTuple):
    """A run of a sweep that was made.

    Attributes
    ----------
    planned : Planned
        Which.
    model : str
        Who was asked.
    folder : str
        Where it lies, from the sweep's own folder.
    info : RunInfo
        What it is, and how it ended.
    summaries : list of MethodSummary
        What it came to.
    """

    planned: Planned
    model: str
    folder: str
    info: RunInfo
    summaries: list[MethodSummary]


def sweep_table(sweep: Sweep, planned: Sequence[Planned], done: Sequence[Done]) -> Results:
    """Lay out a sweep: a row for each method and model, a column for each main metric of each run.

    Published figures have rows of their own, below ours of the same method; references that no model is behind come
    last, and once, whichever models there are. A column that nobody has a figure for is left out.

    Parameters
    ----------
    sweep : Sweep
        Which says what was published.
    planned : sequence of Planned
        All its runs, those that could not be made among them.
    done : sequence of Done
        Those that were made.
    """
    rows = _rows(sweep, planned, done)
    columns, cells = [], []
    for plan in planned:
        for metric in _metrics(plan):
            column = [_found(sweep, plan, metric, done, row) for row in rows]
            if any(column):
                columns.append(Column(f"{plan.run.name}: {metric.title}", metric.about))
                cells.append(_cells(metric, column))
    named = [
        Row(row.method, (Cell(row.label), *line), row.is_reference) for row, *line in zip(rows, *cells, strict=True)
    ]
    return Results((Column("model", "who was asked"), *columns), tuple(named))


def _metrics(plan: Planned) -> list[Metric]:
    """List a run's main metrics, in the order in which it names them."""
    there = {metric.mean: metric for metric in task_metrics(plan.task)}
    return [there[name] for name in plan.run.metrics or there]


class _Row(NamedTuple):
    method: str
    model: str
    is_reference: bool = False
    is_published: bool = False

    @property
    def label(self) -> str:
        kind, colon, name = self.model.rpartition(":")
        return f"{self.model} ({PUBLISHED})" if self.is_published else f"{kind}{colon}{name.rpartition('/')[2]}"


def _rows(sweep: Sweep, planned: Sequence[Planned], done: Sequence[Done]) -> list[_Row]:
    ours = dict.fromkeys(
        _Row(one.method, OURS_WITHOUT if one.is_reference else run.model, one.is_reference)
        for run in done
        for one in run.summaries
    )
    there = {plan.run.name for plan in planned}
    theirs = dict.fromkeys(
        _Row(one.method, one.model, is_published=True) for one in sweep.published if one.run in there
    )
    every = [*ours, *theirs]
    named = [method for plan in planned for method in plan.options.methods]
    methods = list(dict.fromkeys([*sweep.methods, *named, *(row.method for row in every)]))
    return sorted(every, key=lambda row: (row.is_reference, methods.index(row.method), row.is_published))


def _found(sweep: Sweep, plan: Planned, metric: Metric, done: Sequence[Done], row: _Row) -> Any:
    """Find a row's figure: a `Score` of ours, a `Published` one, or None."""
    if row.is_published:
        place = (plan.run.name, metric.mean, row.method, row.model)
        return next((one for one in sweep.published if (one.run, one.metric, one.method, one.model) == place), None)
    runs = (
        one for one in done if one.planned.run.name == plan.run.name and (row.is_reference or one.model == row.model)
    )
    summaries = (one for run in runs for one in run.summaries if one.method == row.method)
    return next((one.scores[metric.mean] for one in summaries if metric.mean in one.scores), None)


def _cells(metric: Metric, column: Sequence[Any]) -> list[Cell]:
    """Show a column: the best of ours is marked, and what was published stands as it was."""
    ours = [None if isinstance(one, Published) else one for one in column]
    return [
        Cell(f"{one.value:g}") if isinstance(one, Published) else cell
        for one, cell in zip(column, score_cells(metric, ours), strict=True)
    ]


def remarks(sweep: Sweep, planned: Iterable[Planned], done: Iterable[Done]) -> list[str]:
    """Say what a reader of the table should know: what was left out, what did not end well, whose figures these are."""
    said = [f"{plan.run.name} was left out: {plan.missing}" for plan in planned if plan.missing]
    said += [f"{one.folder} is not complete: it has {one.info.status}" for one in done if one.info.status == "failed"]
    said.append("ours: means over all steps with an outcome, in brackets 95 % bootstrap intervals")
    if sweep.published:
        sources = dict.fromkeys(one.source or sweep.source for one in sweep.published)
        said.append(f"{PUBLISHED}: {'; '.join(filter(None, sources))}; nothing of it was measured here")
    return [*said, *sweep.notes]


def as_markdown(sweep: Sweep, content: Results, said: Iterable[str]) -> str:
    """Write a sweep's table as a page."""
    notes = "\n".join(f"- {line}" for line in said)
    return f"# {sweep.title}\n\n{markdown(content)}\n\n{notes}\n"


def as_data(sweep: Sweep, planned: Iterable[Planned], done: Iterable[Done]) -> dict[str, Any]:
    """Give all of it as plain values: each run with every score of each method, and what was published."""
    return {
        "title": sweep.title,
        "runs": [
            {
                "name": one.planned.run.name,
                "task": one.planned.task.name,
                "model": one.model,
                "folder": one.folder,
                "status": one.info.status,
                "methods": one.summaries,
            }
            for one in done
        ],
        "left_out": {plan.run.name: plan.missing for plan in planned if plan.missing},
        "published": [msgspec.structs.replace(one, source=one.source or sweep.source) for one in sweep.published],
        "notes": sweep.notes,
    }
