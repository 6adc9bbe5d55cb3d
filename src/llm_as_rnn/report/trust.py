"""Whether what predictions said of themselves held, as a table and as pictures of all methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from llm_as_rnn.core.fields import Field, Number
from llm_as_rnn.core.figures import decimals, shown
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.curves import running
from llm_as_rnn.metrics.estimates import Trusted
from llm_as_rnn.metrics.series import Array
from llm_as_rnn.metrics.summary import MethodSummary
from llm_as_rnn.metrics.table import Columns, FieldColumns, Steps, Table, tabulate
from llm_as_rnn.metrics.trusted import PARTS, selective_risk
from llm_as_rnn.report.charts import Axis, Chart, Line, Style, line_chart, thinned
from llm_as_rnn.report.tables import NONE, Cell, Column, Results, Row

KINDS = (
    ("coverage", "coverage", "share of outcomes that lay in the interval, or among the set"),
    ("width", "width", "mean width of intervals, in the field's unit"),
    ("set_size", "set size", "mean number of options in a set"),
    ("interval_score", "interval score", "width, and a price for each outcome outside by how far; less is better"),
    ("log_loss", "log loss", "mean of -log of the chance of what came, in nats; less is better"),
    ("brier", "Brier", "squared differences between chances and what came, 0 to 2; less is better"),
    (
        "calibration_error",
        "ECE",
        "expected calibration error: how far chances are from how often such answers were right",
    ),
    (
        "calibration_by_chance",
        "ECE by chance",
        "what it would be on average if all chances were right: with few answers no less can be expected",
    ),
    ("kept", "kept", "share of answers that were not held back"),
    ("risk", "risk", "of those that were kept: the share that was wrong, or of numbers the mean absolute error"),
)
"""What the table tells of a field: attribute of `Trusted`, title, and what it means."""

CHOOSING = (
    ("steps", "steps with an outcome at which the model said how likely it holds each option"),
    ("changed", "of these, those answered otherwise than with the option that the model held likeliest"),
    ("model alone", "share of these steps at which the option that the model held likeliest was right"),
    ("as given", "share of these steps at which the answer was right"),
)
"""What is told of answers that cases had a say in (see `metrics.told`)."""

POINTS, HOVERS = 60, 16
"""How many points a line of the risk has, and how many of any line tell their value: there are many such pictures."""

SHARES = Axis("share of answers kept, the surest first", "kept")
FIFTHS = Axis("fifth of the sequences", "fifth", whole=True)


def choosing_table(task: Task, steps: Steps, looks: Sequence[Style]) -> Results | None:
    """Lay out what the pool of model and cases made of the model's own answers; None where it changed none."""
    columns: list[Column] = []
    methods = tabulate(task, steps).methods
    cells: dict[str, list[Cell]] = {look.method: [] for look in looks}
    for field in task.answer:
        found = {
            look.method: methods[look.method].fields[field.name].choosing if look.method in methods else None
            for look in looks
        }
        if not any(found.values()):
            continue
        columns += [Column(f"{field.name} {title}", about) for title, about in CHOOSING]
        for method, one in found.items():
            told = (
                (str(one.steps), f"{one.changed}", f"{one.alone:.2f}", f"{one.given:.2f}")
                if one
                else (NONE,) * len(CHOOSING)
            )
            cells[method] += map(Cell, told)
    rows = [
        Row(look.method, tuple(cells[look.method]), look.dashed)
        for look in looks
        if any(cell != NO_CELL for cell in cells[look.method])
    ]
    return Results(tuple(columns), tuple(rows)) if rows else None


def trust_table(task: Task, summaries: Sequence[MethodSummary]) -> Results | None:
    """Lay out how far predictions could be trusted: over all steps, and after the first third of each sequence.

    Returns
    -------
    Results or None
        A row a method, a column a field and score, of those that any method has; None if there are none.
    """
    columns: list[Column] = []
    cells: list[list[Cell]] = [[] for _ in summaries]
    for field in task.answer:
        found = [dict(summary.trust or {}).get(field.name) for summary in summaries]
        if any(found):
            columns.append(Column(f"{field.name} scored /steps", "answers whose outcome is known; steps in all"))
            for row, one, summary in zip(cells, found, summaries, strict=True):
                row.append(NO_CELL if one is None else Cell(f"{one.whole.steps}/{summary.steps}"))
        held_back = any(one and (one.whole.kept or 0.0) < 1 for one in found)
        for name, title, about in KINDS:
            values = [None if one is None else getattr(one.whole, name) for one in found]
            if all(value is None for value in values) or (name in ("kept", "risk") and not held_back):
                continue
            columns.append(Column(f"{field.name} {title}", about))
            for row, one in zip(cells, found, strict=True):
                row.append(NO_CELL if one is None else _cell(field, one.whole, one.later, name))
    rows = [Row(one.method, tuple(row), one.is_reference) for one, row in zip(summaries, cells, strict=True)]
    rows = [row for row in rows if any(cell != NO_CELL for cell in row.cells)]
    return Results(tuple(columns), tuple(sorted(rows, key=lambda row: row.is_reference))) if rows else None


NO_CELL = Cell(NONE)


def _cell(field: Field, whole: Trusted, later: Trusted, name: str) -> Cell:
    value, then = getattr(whole, name), getattr(later, name)
    if value is None:
        return NO_CELL
    digits = decimals(value) if isinstance(field, Number) and name in IN_ITS_UNIT else 2
    return Cell(shown(value, digits), "" if then is None else f"then {shown(then, digits)}")


IN_ITS_UNIT = frozenset({"width", "interval_score", "risk"})
"""What is in a number's own unit, and may be of any size."""


def trust_charts(
    task: Task,
    steps: Steps,
    summaries: Sequence[MethodSummary],
    looks: Sequence[Style],
    coverage: float,
) -> list[Chart]:
    """Draw coverage and width over time, coverage by fifths, and risk by how many answers are kept, for each field.

    Parameters
    ----------
    task : Task
        What was predicted.
    steps : iterable of StepRecord, or Table
        The journal.
    summaries : sequence of MethodSummary
        What it comes to.
    looks : sequence of Style
        How methods look.
    coverage : float
        What intervals and sets were asked to hold.
    """
    table = tabulate(task, steps)
    charts: list[Chart] = []
    for field in task.answer:
        charts += _over_time(field, table, looks, coverage)
        charts += _by_fifths(field, summaries, looks, coverage)
        charts += _selective(field, table, looks)
    return charts


def _over_time(field: Field, table: Table, looks: Sequence[Style], coverage: float) -> list[Chart]:
    aim = f"aimed at: {coverage:g}, dotted"
    covered = _lines(table, looks, lambda columns: columns.fields[field.name].covered, None)
    if not covered:
        return []
    ends = [t for line in covered for t, _ in line.points]
    title = f"{field.name} coverage, running"
    ideal = ((min(ends), coverage), (max(ends), coverage))
    charts = [Chart(title, aim, line_chart(covered, title, upper=1.0, ideal=ideal, hovers=HOVERS))]
    window = max(1, table.length // 10)
    wide = _lines(table, looks, lambda columns: _width(columns.fields[field.name]), window)
    if wide:
        what = "width of intervals" if isinstance(field, Number) else "options in sets"
        title = f"{field.name} {what}, {f'mean of the latest {window} steps' if window > 1 else 'at each step'}"
        charts.append(Chart(title, "narrower says more", line_chart(wide, title, hovers=HOVERS)))
    return charts


def _lines(table: Table, looks: Sequence[Style], values: Callable[[Columns], Array], window: int | None) -> list[Line]:
    lines = []
    for look in looks:
        columns = table.methods.get(look.method)
        if columns is not None:
            lines.append(Line(look, running(columns.series(values(columns)), window).curve))
    return [line for line in lines if line.points]


def _width(own: FieldColumns) -> Array:
    return np.where(np.isnan(own.width), own.set_size, own.width)


def _by_fifths(
    field: Field, summaries: Sequence[MethodSummary], looks: Sequence[Style], coverage: float
) -> list[Chart]:
    parts = {one.method: trust.whole.parts for one in summaries if (trust := dict(one.trust or {}).get(field.name))}
    lines = [Line(look, _told(parts.get(look.method, ()))) for look in looks]
    lines = [line for line in lines if len(line.points) > 1]
    if not lines:
        return []
    title = f"{field.name} coverage, by fifths"
    drawn = line_chart(lines, title, upper=1.0, axis=FIFTHS, ideal=((1, coverage), (PARTS, coverage)))
    return [Chart(title, f"aimed at: {coverage:g}, dotted", drawn)]


def _told(parts: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(place, share) for place, share in enumerate(parts, 1) if share is not None]


def _selective(field: Field, table: Table, looks: Sequence[Style]) -> list[Chart]:
    if field.is_open:
        return []
    lines = []
    for look in looks:
        columns = table.methods.get(look.method)
        if columns is None:
            continue
        found = selective_risk(field, columns.fields[field.name])
        if len(found.share) > 1:
            points = thinned(range(len(found.share)), POINTS)
            lines.append(Line(look, list(zip(found.share[points].tolist(), found.risk[points].tolist(), strict=True))))
    if not lines:
        return []
    is_number = isinstance(field, Number)
    title = f"{field.name} {'mean absolute error' if is_number else 'share of wrong answers'}, the surest kept"
    drawn = line_chart(lines, title, upper=math.inf if is_number else 1.0, axis=SHARES, hovers=HOVERS)
    return [Chart(title, "a line that falls to the left: doubt tells where errors are", drawn)]
