"""What a sweep comes to: one table of all its runs and models, and the figures that others published beside ours.

A *cell* of a sweep is a method with a model on a run: methods with settings of their own are methods like others (see
`core.variants`), and what was run with several seeds is one run. A second table holds each cell against the best of its
column, step by step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.figures import mean
from llm_as_rnn.metrics.bands import band
from llm_as_rnn.metrics.comparisons import across, corrected, difference
from llm_as_rnn.metrics.curves import Scores, running, strongest
from llm_as_rnn.metrics.estimates import PairedDifference
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.series import Series, mean_of
from llm_as_rnn.metrics.summary import MethodSummary, Score, score_of
from llm_as_rnn.metrics.table import Table
from llm_as_rnn.report.charts import COLOURS, Chart, Line, Style, line_chart
from llm_as_rnn.report.html import STYLES, asset, environment
from llm_as_rnn.report.tables import Cell, Column, Results, Row, difference_cell, markdown, score_cells
from llm_as_rnn.runs.directory import RunInfo
from llm_as_rnn.runs.sweep import Planned, Published, Sweep

OURS_WITHOUT = "no model"
"""What stands for a reference's model."""

PUBLISHED = "published"

BEST = "best"

STRIDE = 1_000_000
"""What the timesteps of one seed's run are apart from those of the next, where both are put together."""

FAR = 1_000_000 * STRIDE
"""The same of runs, each of which may have several seeds."""

MOST_LINES = COLOURS
"""Cells that one chart shows: each needs a colour and a marker of its own."""


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
    scores : mapping
        Every step's scores, by method and the metric's name (see `scores_of`).
    """

    planned: Planned
    model: str
    folder: str
    info: RunInfo
    summaries: list[MethodSummary]
    scores: Mapping[tuple[str, str], Scores]


def scores_of(table: Table) -> dict[tuple[str, str], Scores]:
    """Give the scores of all methods of a run, by method and the metric's name."""
    return {
        (method, metric.name): scores
        for metric in task_metrics(table.task)
        for method, scores in table.scored(metric).items()
    }


class _Row(NamedTuple):
    method: str
    model: str
    is_reference: bool = False
    is_published: bool = False

    @property
    def label(self) -> str:
        kind, colon, name = self.model.rpartition(":")
        return f"{self.model} ({PUBLISHED})" if self.is_published else f"{kind}{colon}{name.rpartition('/')[2]}"


class _Column(NamedTuple):
    """One metric of one run of the sweep."""

    run: str
    metric: Metric

    @property
    def title(self) -> str:
        return f"{self.run}: {self.metric.title}"


TOGETHER = _Column("together", Metric("accuracy", "accuracy", "accuracy", "", "over all data, each counting alike"))
"""Stands for the shares of right answers on all data."""


class Outcome:
    """A sweep's figures, by row and column.

    Parameters
    ----------
    sweep : Sweep
        Which says what was published.
    planned : sequence of Planned
        All its runs, those that could not be made among them.
    done : sequence of Done
        Those that were made.
    """

    def __init__(self, sweep: Sweep, planned: Sequence[Planned], done: Sequence[Done]) -> None:
        self.sweep = sweep
        self.done = done
        plans: dict[str, Planned] = {}
        for plan in planned:
            plans.setdefault(plan.run.name, plan)
        self.plans = list(plans.values())
        self.rows = self._rows()
        self.columns = [_Column(plan.run.name, metric) for plan in self.plans for metric in _metrics(plan)]

    def _rows(self) -> list[_Row]:
        ours = dict.fromkeys(
            _Row(one.method, OURS_WITHOUT if one.is_reference else run.model, one.is_reference)
            for run in self.done
            for one in run.summaries
        )
        there = {plan.run.name for plan in self.plans}
        theirs = dict.fromkeys(
            _Row(one.method, one.model, is_published=True) for one in self.sweep.published if one.run in there
        )
        every = [*ours, *theirs]
        named = [method for plan in self.plans for method in plan.options.methods]
        methods = list(dict.fromkeys([*self.sweep.methods, *named, *(row.method for row in every)]))
        return sorted(every, key=lambda row: (row.is_reference, methods.index(row.method), row.is_published))

    @property
    def cells(self) -> list[_Row]:
        """The rows of ours that asked a model."""
        return [row for row in self.rows if not (row.is_reference or row.is_published)]

    def name(self, row: _Row) -> str:
        """Name a cell where there is no column for the model: it is named where there are several."""
        return row.method if len({one.model for one in self.cells}) == 1 else f"{row.method}, {row.label}"

    def seeds(self, run: str) -> int:
        """Tell with how many seeds a run was made."""
        return len(self._folders(run))

    def data(self, run: str) -> tuple[str, str]:
        """Tell what a run's data is: the dataset, and the fingerprint of the user's own."""
        info = next(one.info for one in self.done if one.planned.run.name == run)
        return info.task.dataset, info.spec.data_digest

    def published(self, row: _Row, column: _Column) -> Published | None:
        """Give the figure that others published."""
        place = (column.run, column.metric.mean, row.method, row.model)
        found = (one for one in self.sweep.published if (one.run, one.metric, one.method, one.model) == place)
        return next(found, None) if row.is_published else None

    def score(self, row: _Row, column: _Column) -> Score | None:
        """Give our figure: over the steps of all seeds."""
        found = self._of(row, column)
        if len(found) > 1:
            return score_of(of_seeds(self.scores(row, column)))
        summaries = (one for run in found.values() for one in run.summaries if one.method == row.method)
        return next((one.scores.get(column.metric.mean) for one in summaries), None)

    def scores(self, row: _Row, column: _Column) -> list[Scores]:
        """Give every step's score, seed by seed, the same seeds for all cells of a run: none where a cell lacks one."""
        found, key = self._of(row, column), (row.method, column.metric.name)
        return [found[folder].scores[key] if folder in found else {} for folder in self._folders(column.run)]

    def _folders(self, run: str) -> list[str]:
        """Name the folders of a run, one a seed."""
        return list(dict.fromkeys(one.planned.folder for one in self.done if one.planned.run.name == run))

    def _of(self, row: _Row, column: _Column) -> dict[str, Done]:
        """Give the runs that a cell is made of, by folder, one a seed: references say the same beside every model."""
        found: dict[str, Done] = {}
        for run in self.done:
            mine = run.planned.run.name == column.run and (row.is_reference or run.model == row.model)
            if mine and not row.is_published and (row.method, column.metric.name) in run.scores:
                found.setdefault(run.planned.folder, run)
        return found


def _metrics(plan: Planned) -> list[Metric]:
    """List a run's main metrics, in the order in which it names them."""
    there = {metric.mean: metric for metric in task_metrics(plan.task)}
    return [there[name] for name in plan.run.metrics or there]


def together(seeds: Sequence[Scores], apart: int = STRIDE) -> Scores:
    """Put the scores of several seeds' runs together, whose timesteps are then so far apart.

    What a sequence has under one seed and under another stays one sequence, and so one unit that is resampled: the data
    may be the same.

    >>> together([{"a": {0: 1.0}}, {"a": {0: 0.0}, "b": {0: 1.0}}])
    {'a': {0: 1.0, 1000000: 0.0}, 'b': {1000000: 1.0}}
    """
    found: dict[str, dict[int, float]] = {}
    for number, scores in enumerate(seeds):
        for sequence, own in scores.items():
            found.setdefault(sequence, {}).update({t + number * apart: score for t, score in own.items()})
    return found


def of_seeds(seeds: Sequence[Scores]) -> Scores:
    """Put the scores of several seeds' runs together; of one sequence that is all there is, give each step's mean.

    The steps of a lone sequence are what is resampled. Under another seed they are no further stretches of it.

    >>> of_seeds([{"a": {0: 1.0}}, {"a": {0: 0.0}}])
    {'a': {0: 0.5}}
    """
    several = len({sequence for scores in seeds for sequence in scores}) > 1
    return together(seeds) if several else over_seeds(seeds)


def over_seeds(seeds: Sequence[Scores]) -> Scores:
    """Give each step's mean over the seeds that have it, so that a sequence is drawn as one, however many they are.

    >>> over_seeds([{"a": {0: 1.0}}, {"a": {0: 0.0}, "b": {0: 1.0}}])
    {'a': {0: 0.5}, 'b': {0: 1.0}}
    """
    found: dict[str, dict[int, list[float]]] = {}
    for scores in seeds:
        for sequence, own in scores.items():
            for t, score in own.items():
                found.setdefault(sequence, {}).setdefault(t, []).append(score)
    return {sequence: {t: mean(own) for t, own in steps.items()} for sequence, steps in found.items()}


def sweep_table(outcome: Outcome) -> Results:
    """Lay out a sweep: a row for each method and model, a column for each main metric of each run.

    Published figures have rows of their own, below ours of the same method; references that no model is behind come
    last, and once, whichever models there are. A column that nobody has a figure for is left out.
    """
    columns, cells = [], []
    for column in outcome.columns:
        ours = [outcome.score(row, column) for row in outcome.rows]
        theirs = [outcome.published(row, column) for row in outcome.rows]
        if any(ours) or any(theirs):
            columns.append(Column(column.title, column.metric.about))
            shown = zip(theirs, score_cells(column.metric, ours), strict=True)
            cells.append([cell if one is None else Cell(f"{one.value:g}") for one, cell in shown])
    named = [
        Row(row.method, (Cell(row.label), *line), row.is_reference)
        for row, *line in zip(outcome.rows, *cells, strict=True)
    ]
    return Results((Column("model", "who was asked"), *columns), tuple(named))


class Against(NamedTuple):
    """Each cell against the best of its column.

    Attributes
    ----------
    best : mapping
        The best cell of each column that has two.
    found : mapping
        The differences of the others to it, by cell and column.
    """

    best: Mapping[_Column, _Row]
    found: Mapping[tuple[_Row, _Column], PairedDifference]


def against_best(outcome: Outcome) -> Against | None:
    """Take each cell's difference to the best of its column, on the steps that both have; None if there are no two.

    The best is found on these very steps, and the best of several is partly the luckiest: differences to it are
    somewhat too large. Their p values are corrected for all comparisons of the table by Holm's method. Where several
    runs have a share of right answers, there is a column for all of them together.
    """
    scores = {column: several for column in outcome.columns if len(several := _scores(outcome, column)) > 1}
    best = {column: first for column, several in scores.items() if (first := strongest(several, column.metric))}
    found: dict[tuple[_Row, _Column], PairedDifference] = {}
    for column, first in best.items():
        for row, own in scores[column].items():
            compared = difference(own, scores[column][first], outcome.name(first)) if row != first else None
            if compared:
                found[row, column] = compared
    first_of_all, behind = _over_all(outcome, scores)
    if first_of_all:
        best[TOGETHER] = first_of_all
        found |= {(row, TOGETHER): one for row, one in behind.items()}
    return Against(best, corrected(found)) if found else None


def _scores(outcome: Outcome, column: _Column) -> dict[_Row, Scores]:
    """Give the scores of a column's cells, those of all seeds together."""
    return {row: of_seeds(seeds) for row in outcome.cells if any(seeds := outcome.scores(row, column))}


def _over_all(
    outcome: Outcome, scores: Mapping[_Column, Mapping[_Row, Scores]]
) -> tuple[_Row | None, dict[_Row, PairedDifference]]:
    """Compare over all data by each run's first share of right answers: give the best cell, and the others.

    Runs of the same data are one stream: their sequences are the same, and say less than others would. Cells that are
    not in all of these runs are left out: means of other runs are no better or worse.
    """
    shares: dict[str, Mapping[_Row, Scores]] = {}
    for column, found in scores.items():
        if column.metric.is_share:
            shares.setdefault(column.run, found)
    rows = [row for row in outcome.cells if all(row in found for found in shares.values())]
    runs: dict[tuple[str, str], list[Mapping[_Row, Scores]]] = {}
    for name, found in shares.items():
        runs.setdefault(outcome.data(name), []).append(found)
    if len(runs) < 2 or len(rows) < 2:  # noqa: PLR2004 - several are two at least
        return None, {}
    streams = {row: [together([found[row] for found in same], FAR) for same in runs.values()] for row in rows}
    means = {row: sum(mean_of(Series.of(own).figures) for own in each) for row, each in streams.items()}
    first = max(rows, key=lambda row: means[row])
    compared = {row: across(zip(streams[row], streams[first], strict=True)) for row in rows if row != first}
    behind = {row: msgspec.structs.replace(one, other=outcome.name(first)) for row, one in compared.items() if one}
    return (first, behind) if behind else (None, {})


def against_table(outcome: Outcome, against: Against) -> Results:
    """Lay the differences to the best out, a row for each cell."""

    def cell(row: _Row, column: _Column) -> Cell:
        return (
            Cell(BEST)
            if against.best[column] == row
            else difference_cell(column.metric, against.found.get((row, column)))
        )

    return Results(
        tuple(Column(column.title, column.metric.about) for column in against.best),
        tuple(Row(outcome.name(row), tuple(cell(row, one) for one in against.best), False) for row in outcome.cells),
    )


def remarks(outcome: Outcome, planned: Iterable[Planned]) -> list[str]:
    """Say what a reader of the table should know: what was left out, what did not end well, whose figures these are."""
    sweep, left_out = outcome.sweep, {plan.run.name: plan.missing for plan in planned if plan.missing}
    said = [f"{name} was left out: {why}" for name, why in left_out.items()]
    ends = {"failed": "it has failed", "running": "it is going on", "interrupted": "it was interrupted"}
    said += [f"{one.folder} is not complete: {ends[why]}" for one in outcome.done if (why := one.info.status) in ends]
    seeds = {name: number for name in (plan.run.name for plan in outcome.plans) if (number := outcome.seeds(name)) > 1}
    said += [f"{name}: the runs of {number} seeds together" for name, number in seeds.items()]
    said.append("ours: means over all steps with an outcome, in brackets 95 % bootstrap intervals")
    if sweep.published:
        sources = dict.fromkeys(one.source or sweep.source for one in sweep.published)
        said.append(f"{PUBLISHED}: {'; '.join(filter(None, sources))}; nothing of it was measured here")
    return [*said, *sweep.notes]


AGAINST = (
    "Each minus the best of its column, on the steps that both have. Brackets: 95 % interval; p: sign-flip test, "
    "corrected for the whole table by Holm's method. The best was chosen on these very steps, so that differences to "
    "it are somewhat too large. A column called together, if there is one, is over all data, each counting alike."
)


def as_markdown(sweep: Sweep, content: Results, compared: Results | None, said: Iterable[str]) -> str:
    """Write a sweep's tables as a page."""
    notes = "\n".join(f"- {line}" for line in said)
    page = f"# {sweep.title}\n\n{markdown(content)}\n\n{notes}\n"
    if compared:
        page += f"\n## Against the best\n\n{markdown(compared)}\n\n{AGAINST}\n"
    return page


def charts(outcome: Outcome) -> list[Chart]:
    """Draw each column's running mean over time, a line for each method and model, as many as can be told apart."""
    drawn = []
    for column in outcome.columns:
        lines = []
        for place, row in enumerate(outcome.cells[:MOST_LINES]):
            tracks = running(over_seeds(outcome.scores(row, column)))
            if tracks.rows:
                lines.append(Line(Style(outcome.name(row), place, dashed=False), tracks.curve, band(tracks)))
        if lines:
            better = "higher" if column.metric.higher_is_better else "lower"
            svg = line_chart(lines, column.title, column.metric.best if column.metric.higher_is_better else math.inf)
            drawn.append(Chart(column.title, f"running mean; {better} is better", svg))
    return drawn


def render_sweep(outcome: Outcome, content: Results, compared: Results | None, said: Sequence[str]) -> str:
    """Make the sweep's page: its tables, and its curves."""
    return environment.get_template("sweep.html.j2").render(
        title=outcome.sweep.title,
        credentialed=any(one.info.credentialed for one in outcome.done),
        results=content,
        differences=compared,
        against=AGAINST,
        remarks=said,
        charts=charts(outcome),
        looks=[Style(outcome.name(row), place, dashed=False) for place, row in enumerate(outcome.cells[:MOST_LINES])],
        hidden=max(len(outcome.cells) - MOST_LINES, 0),
        folders=[one.folder for one in outcome.done],
        style=asset(*STYLES),
    )


def as_data(outcome: Outcome, planned: Iterable[Planned], against: Against | None) -> dict[str, Any]:
    """Give all of it as plain values: each run with every score of each method, and what was published."""
    sweep = outcome.sweep
    return {
        "title": sweep.title,
        "runs": [
            {
                "name": one.planned.run.name,
                "task": one.planned.task.name,
                "model": one.model,
                "folder": one.folder,
                "seed": one.info.spec.settings.seed,
                "status": one.info.status,
                "methods": one.summaries,
            }
            for one in outcome.done
        ],
        "against_best": _compared(against) if against else [],
        "left_out": {plan.run.name: plan.missing for plan in planned if plan.missing},
        "published": [msgspec.structs.replace(one, source=one.source or sweep.source) for one in sweep.published],
        "notes": sweep.notes,
    }


def _compared(against: Against) -> list[dict[str, Any]]:
    return [
        {
            "run": column.run,
            "metric": column.metric.mean,
            "method": row.method,
            "model": row.model,
            "best": {"method": against.best[column].method, "model": against.best[column].model},
            "difference": difference,
        }
        for (row, column), difference in against.found.items()
    ]
