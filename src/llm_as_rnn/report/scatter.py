"""Predicted against actual numbers, drawn: exact answers are on the diagonal, outcomes outside of intervals crossed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.fields.verdict import number_in
from llm_as_rnn.core.records import StepRecord
from llm_as_rnn.metrics.trusted import is_covered
from llm_as_rnn.report.charts import Chart, Style, drawable, nice_ticks, thinned

SIDE = 300
LEFT, TOP, BOTTOM, RIGHT = 52, 12, 44, 16
WIDTH, HEIGHT = LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM

MOST_POINTS = 1000
"""More would only make the page heavy; they are left out evenly, and the picture says so."""


class Dot(NamedTuple):
    """What came, what was predicted, and whether the interval held it; None where none was said."""

    came: float
    said: float
    covered: bool | None


def dots(field: Number, steps: Iterable[StepRecord]) -> list[Dot]:
    """Pair answers with their outcomes, in the order of the steps; steps without either are left out."""
    found = []
    for step in steps:
        came = number_in((step.target or {}).get(field.name))
        said = number_in((step.prediction or {}).get(field.name))
        if came is not None and said is not None:
            found.append(Dot(drawable(came), drawable(said), is_covered(field, step)))
    return found


def scatter_chart(field: Number, steps: Iterable[StepRecord], look: Style) -> Chart | None:
    """Draw one method's answers in a field against what came; None if there is nothing to draw.

    Parameters
    ----------
    field : Number
        Which.
    steps : iterable of StepRecord
        The method's.
    look : Style
        How the method looks.
    """
    found = dots(field, steps)
    if not found:
        return None
    missed = sum(dot.covered is False for dot in found)
    told = sum(dot.covered is not None for dot in found)
    about = f"{len(found)} steps" + (f", {missed} outside the interval (crosses)" if told else "")
    kept = thinned(found, MOST_POINTS)
    if len(kept) < len(found):
        about += f", {len(kept)} of them drawn"
    title = f"{field.name}: predicted against actual, {look.method}"
    return Chart(title, about, _drawn(kept, look, title, field.unit))


def _drawn(found: Sequence[Dot], look: Style, title: str, unit: str) -> Markup:
    values = [value for dot in found for value in (dot.came, dot.said)]
    ticks = nice_ticks(min(values), max(values), 5)
    low, high = min(ticks[0], *values), max(ticks[-1], *values)

    def at(dot: Dot) -> str:
        return f"{LEFT + SIDE * _share(dot.came, low, high):.0f} {TOP + SIDE * (1 - _share(dot.said, low, high)):.0f}"

    held = "".join(f"M{at(dot)}h0" for dot in found if dot.covered is not False)
    missed = "".join(f"M{at(dot)}m-3-3l6 6m0-6l-6 6" for dot in found if dot.covered is False)
    return Markup(
        '<svg class="chart square" viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        '<path class="ideal" d="M{} {}L{} {}"/><g class="series-{}"><path class="dots" d="{}"/></g>'
        '<path class="missed" d="{}"/></svg>'
    ).format(
        WIDTH, HEIGHT, title, _axes(ticks, low, high, unit),
        LEFT, TOP + SIDE, LEFT + SIDE, TOP, look.colour, held, missed,
    )  # fmt: skip


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)


def _axes(ticks: Sequence[float], low: float, high: float, unit: str) -> Markup:
    right, bottom = LEFT + SIDE, TOP + SIDE
    parts = []
    for tick in ticks:
        x, y = LEFT + SIDE * _share(tick, low, high), TOP + SIDE * (1 - _share(tick, low, high))
        parts.append(
            Markup('<path class="grid" d="M{} {:.0f}H{}M{:.0f} {}V{}"/>').format(LEFT, y, right, x, TOP, bottom)
        )
        parts.append(
            Markup('<text class="tick" x="{}" y="{:.0f}" text-anchor="end">{:g}</text>').format(LEFT - 7, y + 4, tick)
        )
        parts.append(
            Markup('<text class="tick" x="{:.0f}" y="{}" text-anchor="middle">{:g}</text>').format(x, bottom + 17, tick)
        )
    behind = f", {unit}" if unit else ""
    parts.append(
        Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">actual{}</text>').format(
            LEFT + SIDE / 2, HEIGHT - 6, behind
        )
    )
    parts.append(
        Markup(
            '<text class="tick" transform="translate(13 {}) rotate(-90)" text-anchor="middle">predicted</text>'
        ).format(TOP + SIDE / 2)
    )
    return Markup("").join(parts)
