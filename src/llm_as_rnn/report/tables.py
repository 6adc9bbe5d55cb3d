"""What a run comes to, as tables: one content for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from statistics import median_low
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET
from rich import box
from rich.table import Table
from rich.text import Text

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.figures import shown
from llm_as_rnn.core.records import Status
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.estimates import Gain, Interval, PairedDifference
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.summary import MethodSummary, Score

if TYPE_CHECKING:
    from llm_as_rnn.metrics.table import Steps

NONE = "\N{EN DASH}"
"""What stands where there is nothing to show."""


class Column(NamedTuple):
    """A column's short title, and what it means."""

    title: str
    about: str


class Cell(NamedTuple):
    """A value, a detail that stands behind it, and whether it is the best of its column."""

    text: str
    detail: str = ""
    best: bool = False


class Row(NamedTuple):
    """One method's cells, without its name."""

    method: str
    cells: tuple[Cell, ...]
    is_reference: bool


class Results(NamedTuple):
    """A table; rows of references (methods that ask no model) come last."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


COSTS = (
    Column("scored /steps", "steps whose outcome is known, of which the scores are means; steps in all sequences"),
    Column("failed (inv.)", "steps without a usable answer, for any reason; invalid ones among them"),
    Column("calls /step", "model calls per step"),
    Column("prompt (cached)", "prompt tokens per step; the share that the engine did not have to read again"),
    Column("out /step", "tokens written per step; those of thinking among them"),
    Column("s /step", "seconds of model calls per step, summed also where they ran at the same time"),
    Column("memory max", "the longest memory, in tokens"),
)
"""What follows the scores in every results table."""

FOLLOWING = (
    Column("steps", "steps with an outcome whose prediction was made with a memory that holds cases"),
    Column("held", "share of these at which a case of the memory had the outcome that came"),
    Column("found", "share of these at which the case that was shown again, the most alike, had it"),
    Column("followed", "of the steps at which it had, the share that was answered as it said"),
    Column("misled", "of the others at which a case was shown again, the share that was answered as it said"),
)
"""What is told of memories that hold cases (see `metrics.following`)."""

KINDS_OF_EVIDENCE = ("beyond_reference", "model_adds", "gain")
"""Fields of `Score` that say how a method stands beside the others, in the order of their rows."""


def results(task: Task, summaries: Sequence[MethodSummary]) -> Results:
    """Lay out a run's results: scores with their intervals, failures and costs.

    Parameters
    ----------
    task : Task
        Which says what the scores are.
    summaries : sequence of MethodSummary
        One a method.
    """
    metrics = task_metrics(task)
    scores = zip(
        *(score_cells(metric, [summary.scores.get(metric.mean) for summary in summaries]) for metric in metrics),
        strict=True,
    )
    rows = [
        Row(summary.method, (*cells, *_cost_cells(summary)), summary.is_reference)
        for summary, cells in zip(summaries, scores, strict=True)
    ]
    columns = tuple(Column(metric.title, metric.about) for metric in metrics)
    return Results((*columns, *COSTS), tuple(sorted(rows, key=lambda row: row.is_reference)))


def results_table(task: Task, summaries: Sequence[MethodSummary]) -> Table:
    """Make a run's results a table for the terminal: less than 100 columns wide for two answer fields."""
    content = results(task, summaries)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim", padding=0)
    table.add_column("method", no_wrap=True)
    for column in content.columns:
        title = column.title.replace(" ", "\n") if column in COSTS else column.title
        table.add_column(Text(title), justify="right", no_wrap=column in COSTS)
    for is_reference, rows in groupby(content.rows, key=lambda row: row.is_reference):
        if is_reference:
            table.add_section()
        for row in rows:
            table.add_row(Text(row.method), *map(_cell_text, row.cells))
    return table


def evidence(task: Task, summaries: Sequence[MethodSummary]) -> Results | None:
    """Lay out what a run shows: against the best reference, what the model adds, gain over the strongest baseline.

    Returns
    -------
    Results or None
        Differences and gains with their intervals, and p values where a test can be made; None if there is nothing to
        compare. Intervals without zero are marked as best.
    """
    metrics = task_metrics(task)
    beyond, adds, gains = ([_found(one, metrics, kind) for one in summaries] for kind in KINDS_OF_EVIDENCE)
    free = next((one.other for cells in adds for one in cells if isinstance(one, PairedDifference)), "")
    named = [
        *((summary.method, cells) for summary, cells in zip(summaries, beyond, strict=True)),
        *((f"{summary.method} \N{MINUS SIGN} {free}", cells) for summary, cells in zip(summaries, adds, strict=True)),
        *((f"{summary.method}, gain", cells) for summary, cells in zip(summaries, gains, strict=True)),
    ]
    rows = tuple(
        Row(name, tuple(map(evidence_cell, metrics, cells)), is_reference=False)
        for name, cells in named
        if any(one is not None for one in cells)
    )
    if not rows:
        return None
    best = [
        next((one.other for one in of_metric if isinstance(one, PairedDifference)), "")
        for of_metric in zip(*beyond, strict=True)
    ]
    columns = (
        Column(f"{metric.title} \N{MINUS SIGN} {other}" if other else metric.title, metric.about)
        for metric, other in zip(metrics, best, strict=True)
    )
    return Results(tuple(columns), rows)


def _found(summary: MethodSummary, metrics: Sequence[Metric], kind: str) -> list[PairedDifference | Gain | None]:
    found = [getattr(summary.scores.get(metric.mean), kind, UNSET) for metric in metrics]
    return [None if one is UNSET else one for one in found]


def plain_table(content: Results, first: str = "difference") -> Table:
    """Make a table for the terminal of any rows.

    Parameters
    ----------
    content : Results
        What it is to show.
    first : str
        What its first column says of the rows.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for column in content.columns:
        table.add_column(Text(column.title), justify="right", overflow="fold")
    for row in content.rows:
        table.add_row(Text(row.method), *map(_cell_text, row.cells))
    return table


def markdown(content: Results, first: str = "method") -> str:
    r"""Write a table in Markdown; the best of a column are bold.

    Parameters
    ----------
    content : Results
        What it is to show.
    first : str
        What its first column says of the rows.

    Examples
    --------
    >>> row = Row("recurrent", (Cell("0.81", "[0.70, 0.90]", best=True), Cell("3|4")), is_reference=False)
    >>> print(markdown(Results((Column("accuracy", ""), Column("s /step", "")), (row,))))
    | method | accuracy | s /step |
    |---|---|---|
    | recurrent | **0.81** [0.70, 0.90] | 3\|4 |
    """
    lines = [[first, *(column.title for column in content.columns)], ["---"] * (1 + len(content.columns))]
    for row in content.rows:
        cells = ((f"**{cell.text}**" if cell.best else cell.text, cell.detail) for cell in row.cells)
        lines.append([row.method, *(" ".join(filter(None, parts)) for parts in cells)])
    head, rule, *rows = ([text.replace("|", "\\|") for text in line] for line in lines)
    return "\n".join([f"| {' | '.join(head)} |", f"|{'|'.join(rule)}|", *(f"| {' | '.join(row)} |" for row in rows)])


def differences(task: Task, steps: Steps, summaries: Sequence[MethodSummary]) -> Results | None:
    """Compare every method with the first one that asks a model, step by step on the same steps.

    Returns
    -------
    Results or None
        Differences (method minus the first) with their intervals and p values, the first one's row left out; None if
        there is nothing to compare. Intervals without zero are marked as best.
    """
    base = next((summary.method for summary in summaries if not summary.is_reference), None)
    others = sorted((s for s in summaries if s.method != base), key=lambda summary: summary.is_reference)
    if base is None or not others:
        return None
    # They bring numpy, which takes a while.
    from llm_as_rnn.metrics.comparisons import corrected, difference  # noqa: PLC0415
    from llm_as_rnn.metrics.table import tabulate  # noqa: PLC0415

    metrics = task_metrics(task)
    columns = tuple(Column(f"{metric.title} \N{MINUS SIGN} {base}", metric.about) for metric in metrics)
    places = [(other.method, metric.name) for other in others for metric in metrics]
    methods = tabulate(task, steps).methods
    compared = {
        (method, name): difference(methods[method].scored(name), methods[base].scored(name), base)
        for method, name in places
    }
    shown = corrected({place: found for place, found in compared.items() if found})
    rows = tuple(
        Row(
            other.method,
            tuple(difference_cell(metric, shown.get((other.method, metric.name))) for metric in metrics),
            other.is_reference,
        )
        for other in others
    )
    return Results(columns, rows)


def corrections(task: Task, summaries: Sequence[MethodSummary]) -> Results | None:
    """Tell how often the step after a wrong one is right; None for tasks without right and wrong."""
    metrics = [metric for metric in task_metrics(task) if metric.is_share]
    if not metrics:
        return None
    about = "share of right steps among those that follow a wrong one"
    columns = tuple(Column(metric.title, about) for metric in metrics)
    rows = [
        Row(summary.method, tuple(_correction_cell(summary, metric) for metric in metrics), summary.is_reference)
        for summary in summaries
    ]
    return Results(columns, tuple(sorted(rows, key=lambda row: row.is_reference)))


def followed(summaries: Sequence[MethodSummary]) -> Results | None:
    """Lay out what became of the cases in memories: held, found, followed, misled; None if no memory had any."""
    told = [(summary, summary.following) for summary in summaries if summary.following is not UNSET]
    rows = tuple(
        Row(
            summary.method,
            (Cell(str(found.steps)), *map(_share_cell, (found.held, found.found, found.followed, found.misled))),
            summary.is_reference,
        )
        for summary, found in told
    )
    return Results(FOLLOWING, rows) if rows else None


def _share_cell(share: float | None) -> Cell:
    return Cell(NONE if share is None else f"{share:.2f}")


def _cell_text(cell: Cell) -> Text:
    return Text.assemble((cell.text, "bold" if cell.best else ""), (f" {cell.detail}" if cell.detail else "", "dim"))


def score_cells(metric: Metric, scores: Sequence[Score | None]) -> list[Cell]:
    """Show one metric of all methods, with three digits at most; what looks equal to the best is marked like it."""
    values = [score.value for score in scores if score]
    digits = usual_decimals(metric, values)
    best = shown((max if metric.higher_is_better else min)(values, default=0.0), digits)
    rivals = len(values) > 1
    return [_score_cell(score, digits, best if rivals else "") for score in scores]


def _score_cell(score: Score | None, digits: int, best: str) -> Cell:
    if score is None:
        return Cell(NONE)
    text, ends = shown(score.value, digits), score.interval
    return Cell(text, f"[{shown(ends.low, digits)}, {shown(ends.high, digits)}]" if ends else "", text == best)


def usual_decimals(metric: Metric, values: Collection[float]) -> int:
    """Give the decimals with which all of some scores are written, by what most are like: one alone may be far off."""
    return metric.decimals(median_low(values) if values else 0.0)


def _cost_cells(summary: MethodSummary) -> tuple[Cell, ...]:
    steps = Cell(f"{_scored(summary)}/{summary.steps}")
    failed = Cell(str(summary.failed), f"({summary.statuses[Status.INVALID]})")
    if summary.is_reference:
        return (steps, failed, *[Cell(NONE)] * (len(COSTS) - 2))
    share, memory, thought = summary.cached_share, summary.memory_tokens, summary.reasoning_tokens
    return (
        steps,
        failed,
        Cell(f"{summary.calls:.1f}"),
        Cell(f"{summary.prompt_tokens:.0f}", "" if share is None else f"({share:.0%})"),
        Cell(f"{summary.completion_tokens:.0f}", f"({thought:.0f} th.)" if thought else ""),
        Cell(f"{summary.seconds:.1f}" if summary.seconds >= 1 else f"{summary.seconds:.2f}"),
        Cell(NONE if memory is None else str(memory)),
    )


def _scored(summary: MethodSummary) -> str:
    """Say of how many steps the scores are means: a range where some outcomes are known in some fields alone."""
    counts = {score.steps for name, score in summary.scores.items() if not name.endswith("_answered")}
    fewest, most = min(counts, default=0), max(counts, default=0)
    return str(most) if fewest == most else f"{fewest}\N{EN DASH}{most}"


def difference_cell(metric: Metric, found: PairedDifference | None) -> Cell:
    """Show a difference with its interval and its p value, corrected if it was; the best have no zero in it."""
    if found is None:
        return Cell(NONE)
    ends = found.interval
    digits = difference_decimals(metric, found)
    details = [difference_ends(ends, digits)] if ends else []
    p = found.p if found.p_holm is None else found.p_holm
    details += [] if p is None else [p_value(p)]
    return Cell(signed(found.mean, digits), " ".join(details), ends is not None and ends.without_zero)


def difference_decimals(metric: Metric, found: PairedDifference) -> int:
    """Give the decimals of a difference: those of its size, but no more than its interval has any use for."""
    ends = found.interval
    reach = max(abs(ends.low), abs(ends.high)) if ends else 0.0
    return metric.decimals(max(abs(found.mean), min(reach, ROUGH)))


ROUGH = 0.1
"""The size of figures that two decimals are enough for."""


def difference_ends(ends: Interval, digits: int) -> str:
    """Write the interval of a difference; where zero lies just outside, the sign of a rounded end says so.

    >>> difference_ends(Interval(0.001, 0.15), 2), difference_ends(Interval(-0.001, 0.15), 2)
    ('[+0.00, +0.15]', '[0.00, +0.15]')
    """
    shown = (
        _minus(f"{end:+.{digits}f}") if ends.without_zero else signed(end, digits) for end in (ends.low, ends.high)
    )
    return f"[{', '.join(shown)}]"


def p_value(p: float) -> str:
    """Write a p value.

    >>> p_value(0.0312), p_value(0.0002)
    ('p 0.031', 'p <0.001')
    """
    return f"p {p:.2g}" if p >= 0.001 else "p <0.001"  # noqa: PLR2004


def evidence_cell(metric: Metric, found: PairedDifference | Gain | None) -> Cell:
    """Show a difference in the score's unit, or a gain in percent, with its interval; the best have no zero in it."""
    if isinstance(found, Gain):
        ends = found.interval
        detail = f"{difference_ends(Interval(100 * ends.low, 100 * ends.high), 0)} " if ends else ""
        clear = ends is not None and ends.without_zero
        return Cell(f"{signed(100 * found.value, 0)} %", f"{detail}over {found.strongest}", clear)
    return difference_cell(metric, found)


def _correction_cell(summary: MethodSummary, metric: Metric) -> Cell:
    found = summary.self_correction[metric.name]
    return Cell(NONE if found.share is None else f"{found.share:.0%}", f"({found.corrected} of {found.wrong})")


def signed(value: float, digits: int) -> str:
    """Write a difference with its sign; what rounds to nothing has none.

    >>> signed(14.2, 0), signed(-0.1, 0)
    ('+14', '0')
    """
    text = f"{value:+.{digits}f}"
    return _minus(text) if float(text) else f"{0:.{digits}f}"


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
