"""Predicted against actual numbers, drawn: exact answers are on the diagonal, outcomes outside of intervals crossed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from llm_as_rnn.core.fields import Number
from llm_as_rnn.metrics.table import FieldColumns
from llm_as_rnn.report.charts import Chart, Style, drawable, nice_ticks, thinned

SIDE = 300
LEFT, TOP, BOTTOM, RIGHT = 52, 12, 44, 16
WIDTH, HEIGHT = LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM

MOST_POINTS = 1000
"""More would only make the page heavy; they are left out evenly, and the picture says so."""


class Dot(NamedTuple):
    """What came, what was predicted, and whether it lay outside of the interval that was said."""

    came: float
    said: float
    is_missed: bool


def scatter_chart(field: Number, own: FieldColumns, look: Style) -> Chart | None:
    """Draw one method's answers in a field against what came; None if there is nothing to draw.

    Parameters
    ----------
    field : Number
        Which.
    own : FieldColumns
        The method's answers in it.
    look : Style
        How the method looks.
    """
    found = np.flatnonzero(~np.isnan(own.came) & ~np.isnan(own.answered))
    if not len(found):
        return None
    told = own.covered[found]
    is_told = bool((~np.isnan(told)).any())
    about = f"{len(found)} steps" + (f", {int((told == 0).sum())} outside the interval (crosses)" if is_told else "")
    kept = thinned(found.tolist(), MOST_POINTS)
    if len(kept) < len(found):
        about += f", {len(kept)} of them drawn"
    title = f"{field.name}: predicted against actual, {look.method}"
    dots = [
        Dot(drawable(came), drawable(said), is_missed=covered == 0)
        for came, said, covered in zip(
            own.came[kept].tolist(), own.answered[kept].tolist(), own.covered[kept].tolist(), strict=True
        )
    ]
    return Chart(title, about, _drawn(dots, look, title, field.unit))


def _drawn(found: Sequence[Dot], look: Style, title: str, unit: str) -> Markup:
    values = [value for dot in found for value in (dot.came, dot.said)]
    ticks = nice_ticks(min(values), max(values), 5)
    low, high = min(ticks[0], *values), max(ticks[-1], *values)

    def at(dot: Dot) -> str:
        return f"{LEFT + SIDE * _share(dot.came, low, high):.0f} {TOP + SIDE * (1 - _share(dot.said, low, high)):.0f}"

    held = "".join(f"M{at(dot)}h0" for dot in found if not dot.is_missed)
    missed = "".join(f"M{at(dot)}m-3-3l6 6m0-6l-6 6" for dot in found if dot.is_missed)
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
