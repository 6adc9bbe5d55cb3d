"""One method's answers looked at closely: which labels it takes for which, numbers against outcomes, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llm_as_rnn.core.fields import Field, Number
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.confusion import Confusion, LabelScore, Matrix, label_scores, macro_f1, matrix
from llm_as_rnn.metrics.table import Columns, FieldColumns, Steps, tabulate
from llm_as_rnn.metrics.trusted import Bin, calibration_error, reliability
from llm_as_rnn.report.charts import COLOURS, Axis, Chart, Line, Style, line_chart
from llm_as_rnn.report.scatter import scatter_chart

SHADES = 5
"""Steps from an empty cell to one that holds all of its row."""

CHANCE = Axis("chance that the answer was said to have", "chance")

AS_SAID, AS_GIVEN = "as the model said", "as given"


class MatrixCell(NamedTuple):
    """A cell: its text, whether it is of answers that are right, most of them at least, and how dark it is."""

    text: str
    right: bool
    shade: int


class MatrixRow(NamedTuple):
    """What was answered where a label came, and how well that label was told; nothing is said of others together."""

    label: str
    cells: tuple[MatrixCell, ...]
    score: LabelScore | None


class ConfusionView(NamedTuple):
    """A field's confusion under one method.

    Attributes
    ----------
    field : str
        Which.
    steps : int
        Steps with an outcome.
    macro_f1 : float
        The mean F1 of the labels that came.
    rows : list of MatrixRow
        The most frequent labels, then the others together.
    others, unanswered : bool
        Whether there is a column for these.
    scores : list of LabelScore
        Of all labels; empty where the rows have them all.
    """

    field: str
    steps: int
    macro_f1: float
    rows: list[MatrixRow]
    others: bool
    unanswered: bool
    scores: list[LabelScore]


class AnswersView(NamedTuple):
    """All that is shown of one method."""

    look: Style
    confusions: list[ConfusionView]
    charts: list[Chart]


def answers(task: Task, steps: Steps, looks: Sequence[Style]) -> list[AnswersView]:
    """Look at each method's answers; methods of which there is nothing to show are left out.

    Parameters
    ----------
    task : Task
        What was predicted.
    steps : iterable of StepRecord, or Table
        The journal.
    looks : sequence of Style
        How methods look, in the order in which they are to be shown.
    """
    methods = tabulate(task, steps).methods
    views = [_answers(task, methods[look.method], look) for look in looks if look.method in methods]
    return [view for view in views if view.confusions or view.charts]


def _answers(task: Task, columns: Columns, look: Style) -> AnswersView:
    confusions: list[ConfusionView | None] = []
    charts: list[Chart | None] = []
    for field in task.answer:
        own = columns.fields[field.name]
        if isinstance(field, Number):
            charts.append(scatter_chart(field, own, look))
        elif not field.is_open:
            confusions.append(confusion_view(field, own.confusion))
            charts.append(reliability_chart(field, own, look))
    return AnswersView(look, [one for one in confusions if one], [one for one in charts if one])


def confusion_view(field: Field, found: Confusion | None) -> ConfusionView | None:
    """Lay out one method's confusion in a field; None if no outcome is known."""
    if found is None:
        return None
    scores, shown = label_scores(found), matrix(found)
    names = [*shown.labels, f"{shown.others} others"][: len(shown.rows)]
    known = {row.label: row for row in scores}
    rows = [
        MatrixRow(name, _cells(shown, place), known.get(name) if place < len(shown.labels) else None)
        for place, name in enumerate(names)
    ]
    total = sum(found.counts.values())
    return ConfusionView(
        field.name, total, macro_f1(scores), rows, bool(shown.others), shown.unanswered, scores if shown.others else []
    )


def _cells(shown: Matrix, place: int) -> tuple[MatrixCell, ...]:
    row, total = shown.rows[place], sum(shown.rows[place])
    mixed = place == len(shown.labels)  # right and wrong answers among the others share a cell

    def is_right(column: int, count: int) -> bool:
        return column == place and (not mixed or 2 * shown.others_right >= count)

    def text(column: int, count: int) -> str:
        return f"{count} ({shown.others_right} right)" if mixed and column == place and count else str(count or "")

    return tuple(
        MatrixCell(text(column, count), is_right(column, count), -(-SHADES * count // total) if total else 0)
        for column, count in enumerate(row)
    )


def reliability_chart(field: Field, own: FieldColumns, look: Style) -> Chart | None:
    """Draw how often answers of a chance were right: as they were given, and as the model said it where that is known.

    None if no answer with an outcome has a chance.
    """
    given, said = reliability(own), reliability(own, as_said=True)
    if not given:
        return None
    parts = [Line(Style(AS_GIVEN, look.colour, dashed=False), _points(given))]
    about = f"ECE {calibration_error(given):.3f} over {_steps(given)} steps"
    if said:
        other = Style(AS_SAID, (look.colour + 1) % COLOURS, dashed=True)
        parts.append(Line(other, _points(said)))
        about += f"; as the model said {calibration_error(said):.3f} over {_steps(said)}"
    title = f"{field.name}: reliability, {look.method}"
    drawn = line_chart(parts, title, upper=1.0, axis=CHANCE, ideal=((0.0, 0.0), (1.0, 1.0)))
    return Chart(title, about, drawn)


def _points(bins: Sequence[Bin]) -> list[tuple[float, float]]:
    return [(one.chance, one.right) for one in bins]


def _steps(bins: Sequence[Bin]) -> int:
    return sum(one.steps for one in bins)
