"""Line charts as inline SVG, drawn here so that the page needs no library and shows them without JavaScript.

Colours come from the page's style sheet (``--series-0`` and so on), so that they suit light and dark. Lines differ by
marker as well, and references are dashed: no reader has to tell colours apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple, TypeVar

import numpy as np
from markupsafe import Markup

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.figures import LARGEST
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.bands import band
from llm_as_rnn.metrics.curves import running
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.series import Series, mean_of
from llm_as_rnn.metrics.summary import MethodSummary
from llm_as_rnn.metrics.table import Columns, Steps, tabulate

Point = TypeVar("Point")

WIDTH, HEIGHT = 540, 270
LEFT, RIGHT, TOP, BOTTOM = 46, 146, 12, 40
"""Margins: ticks on the left and below, line names on the right."""

LONGEST = 18
"""Characters of a name that the margin holds."""

COLOURS = 8
LABEL_GAP = 15
"""Least distance of two line names."""

MARKERS = (
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
    "M-3 -3h6v6h-6z",
    "M0 -4.2L4 3H-4z",
    "M0 -4.4L4.4 0L0 4.4L-4.4 0z",
    "M0 4.2L4 -3H-4z",
    "M-4 -1.3h2.7v-2.7h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7z",
    "M0 -4.4L4.2 -1.3L2.6 3.7H-2.6L-4.2 -1.3z",
    "M-4.4 0L-1 -1L0 -4.4L1 -1L4.4 0L1 1L0 4.4L-1 1z",
)
"""Outlines around the origin, one a colour."""

MARKS_A_LINE = 7
FEW_POINTS = 12
"""A line of no more points than these has a mark at each."""
HOVERS_A_LINE = 60
"""How many points of a line tell their value; more would only make the page heavy."""


class Style(NamedTuple):
    """How one method's lines look in all charts."""

    method: str
    colour: int
    dashed: bool

    @property
    def swatch(self) -> Markup:
        """The line and marker, for a legend."""
        return Markup(
            '<svg class="swatch series-{}" viewBox="0 0 30 10" aria-hidden="true"><path class="line{}" d="M0 5H30"/>'
            '<path class="mark" transform="translate(15 5)" d="{}"/></svg>'
        ).format(self.colour, " dashed" if self.dashed else "", MARKERS[self.colour])


class Axis(NamedTuple):
    """What runs along the bottom: its title, what a point on it is called, and whether there are whole numbers only."""

    title: str
    short: str
    whole: bool = False


TIME = Axis("timestep t", "t", whole=True)


class Line(NamedTuple):
    """One method's curve: t and score; around it the band in which the truth may lie: t, lower and upper end."""

    style: Style
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[int, float, float]] = ()


class Chart(NamedTuple):
    """A chart's title, what it shows, and its SVG."""

    title: str
    about: str
    svg: Markup


class _Frame(NamedTuple):
    """Where the data's corners lie on the drawing."""

    t_low: float
    t_high: float
    low: float
    high: float

    def x(self, t: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (t - self.t_low) / (self.t_high - self.t_low)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (drawable(value) - self.low) / (self.high - self.low)


def styles(summaries: Sequence[MethodSummary]) -> list[Style]:
    """Give every method its colour and marker, in the order of the tables."""
    ordered = sorted(summaries, key=lambda summary: summary.is_reference)
    return [Style(summary.method, i % COLOURS, summary.is_reference) for i, summary in enumerate(ordered)]


def score_charts(task: Task, steps: Steps, looks: Sequence[Style]) -> list[Chart]:
    """Draw each metric over time: its running mean, and for long enough sequences the mean of the latest steps."""
    table = tabulate(task, steps)
    length = max(table.length, 1)
    window = max(5, length // 4)
    charts: list[Chart] = []
    for metric in task_metrics(task):
        scores = table.scored(metric)
        windows: list[int | None] = [None, window] if length >= 3 * window else [None]
        for latest in windows:
            lines = [_score_line(look, scores[look.method], latest) for look in looks]
            lines = [line for line in lines if line.points]
            if lines:
                charts.append(_score_chart(metric, lines, latest))
    return charts


def _score_line(look: Style, scores: Series, latest: int | None) -> Line:
    """Make a method's line; bands of references would only hide the others."""
    tracks = running(scores, latest)
    return Line(look, tracks.curve, () if look.dashed or latest else band(tracks))


def advice_charts(task: Task, steps: Steps, looks: Sequence[Style]) -> list[Chart]:
    """Draw how far each adviser was believed over time, the mean over sequences, for methods that go by advice.

    An adviser that is no method of the run, as the model is where advice alone was asked for, has a look of its own.
    """
    charts: list[Chart] = []
    methods = tabulate(task, steps).methods
    known = {look.method for look in looks}
    heard = dict.fromkeys(adviser for columns in methods.values() for _, adviser in columns.advice)
    others = (adviser for adviser in heard if adviser not in known)
    all_looks = [*looks, *(Style(name, i % COLOURS, dashed=False) for i, name in enumerate(others, len(looks)))]
    for method, columns in methods.items():
        for field in task.answer:
            lines = [Line(look, points) for look in all_looks if (points := _weights(columns, field.name, look.method))]
            if lines:
                title = f"{method}: who was believed in {field.name}"
                svg = line_chart(lines, title, upper=1.0)
                charts.append(Chart(title, "weights of advisers before each step, the mean over sequences", svg))
    return charts


def _weights(columns: Columns, field: str, adviser: str) -> list[tuple[int, float]]:
    weights = columns.advice.get((field, adviser))
    if weights is None:
        return []
    there = columns.series(weights)
    order = np.argsort(there.t, kind="stable")
    every, begins = np.unique(there.t[order], return_index=True)
    return [(int(t), mean_of(part)) for t, part in zip(every, np.split(there.figures[order], begins[1:]), strict=True)]


def _score_chart(metric: Metric, lines: Sequence[Line], latest: int | None) -> Chart:
    what = f"mean of the latest {latest} steps" if latest else "running mean"
    better = "higher" if metric.higher_is_better else "lower"
    svg = line_chart(lines, metric.title, upper=metric.best if metric.higher_is_better else math.inf)
    return Chart(f"{metric.title}, {what}", f"{better} is better", svg)


def line_chart(
    lines: Sequence[Line],
    name: str,
    upper: float = math.inf,
    lower: float = 0.0,
    *,
    axis: Axis = TIME,
    ideal: Sequence[tuple[float, float]] = (),
    hovers: int = HOVERS_A_LINE,
) -> Markup:
    """Draw lines over timesteps, or over something else.

    Parameters
    ----------
    lines : sequence of Line
        At least one, none empty.
    name : str
        What the values are.
    upper, lower : float
        The highest and the lowest value that is usual: bands and ticks end there, unless a line goes beyond.
    axis : Axis
        What they are drawn over.
    ideal : sequence of (float, float)
        The line on which all would best be, if there is one; two points or more.
    hovers : int
        How many points of a line tell their value at most.
    """
    values = [value for line in lines for _, value in (*line.points, *ideal)]
    # Scores of other packages may be below 0, as the logarithm of a chance is, and need not say what is best.
    lower, upper = min([lower, *values]), max([upper, *values])
    values += [min(max(end, lower), upper) for line in lines for _, *ends in line.band for end in ends]
    steps = [t for line in lines for t, _ in (*line.points, *ideal)]
    values = list(map(drawable, values))
    ticks = [tick for tick in nice_ticks(min(values), max(values), 5) if lower <= tick <= upper]
    first, last = min(steps), max(steps)
    last = last if last > first else first + 1
    frame = _Frame(first, last, min(ticks[0], *values), max(ticks[-1], *values))
    parts = [
        *_axes(frame, ticks, axis),
        *([_ideal(ideal, frame)] if ideal else []),
        *(_band(line, frame) for line in lines if line.band),
        *(_line(line, frame) for line in lines),
        *_names(lines, frame),
        *(_hovers(line, frame, axis, hovers) for line in lines),
    ]
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, f"{name} by {axis.title}, a line for each method", Markup("").join(parts)
    )


def drawable(value: float) -> float:
    """Keep a value so far from the ends of the range of floats that a picture of any two of them has a height."""
    return min(max(value, -LARGEST / 8), LARGEST / 8)


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Give round numbers that span a range, about as many as asked for.

    >>> nice_ticks(0.31, 0.78, 5)
    [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    >>> nice_ticks(2.0, 2.0, 5)
    [1.0, 2.0, 3.0]
    """
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-6):
        margin = abs(low) / 2 or 1.0
        low, high, count = low - margin, high + margin, 2
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    digits = max(0, 2 - math.floor(math.log10(step)))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, digits) for i in range(first, last + 1)]


def _axes(frame: _Frame, ticks: Sequence[float], axis: Axis) -> list[Markup]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    digits = max(len(f"{tick:g}".partition(".")[2]) for tick in ticks)
    parts: list[Markup] = []
    for tick in ticks:
        y = frame.y(tick)
        parts.append(Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, y, right))
        parts.append(
            Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
                LEFT - 7, y + 4, f"{tick:.{digits}f}"
            )
        )
    for t in nice_ticks(frame.t_low, frame.t_high, 6):
        if (t == int(t) or not axis.whole) and frame.t_low <= t <= frame.t_high:
            x = frame.x(t)
            parts.append(Markup('<path class="axis" d="M{:.1f} {}v4"/>').format(x, bottom))
            parts.append(
                Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                    x, bottom + 17, f"{t:.0f}" if axis.whole else f"{t:g}"
                )
            )
    parts.append(Markup('<path class="axis" d="M{} {}H{}"/>').format(LEFT, bottom, right))
    middle = (LEFT + right) / 2
    parts.append(
        Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(middle, HEIGHT - 5, axis.title)
    )
    return parts


def _ideal(points: Sequence[tuple[float, float]], frame: _Frame) -> Markup:
    path = "L".join(f"{frame.x(t):.1f} {frame.y(value):.1f}" for t, value in points)
    return Markup('<path class="ideal" d="M{}"/>').format(path)


def _line(line: Line, frame: _Frame) -> Markup:
    path = "L".join(f"{frame.x(t):.1f} {frame.y(value):.1f}" for t, value in line.points)
    marks = Markup("").join(
        Markup('<path class="mark" transform="translate({:.1f} {:.1f})" d="{}"/>').format(
            frame.x(t), frame.y(value), MARKERS[line.style.colour]
        )
        for t, value in thinned(line.points, FEW_POINTS if len(line.points) <= FEW_POINTS else MARKS_A_LINE)
    )
    return Markup('<g class="series-{}"><path class="line{}" d="M{}"/>{}</g>').format(
        line.style.colour, " dashed" if line.style.dashed else "", path, marks
    )


def _band(line: Line, frame: _Frame) -> Markup:
    """Draw where the truth may lie, as far as it is in the frame."""
    there = [*((t, low) for t, low, _ in line.band), *((t, high) for t, _, high in reversed(line.band))]
    path = "L".join(f"{frame.x(t):.1f} {frame.y(min(max(end, frame.low), frame.high)):.1f}" for t, end in there)
    return Markup('<path class="band series-{}" d="M{}z"/>').format(line.style.colour, path)


def _hovers(line: Line, frame: _Frame, axis: Axis, most: int) -> Markup:
    """Lay what can be pointed at over all lines, so that none hides another's."""
    hover = Markup('<circle class="hover" cx="{:.1f}" cy="{:.1f}" r="6"><title>{}, {} = {}: {:.3g}</title></circle>')
    return Markup("").join(
        hover.format(frame.x(t), frame.y(value), line.style.method, axis.short, t if axis.whole else f"{t:.3g}", value)
        for t, value in thinned(line.points, most)
    )


def _names(lines: Sequence[Line], frame: _Frame) -> list[Markup]:
    """Write each line's name at its end, moved apart; none where they would not all fit."""
    room = HEIGHT - BOTTOM - TOP
    if len(lines) * LABEL_GAP > room + LABEL_GAP:
        return []
    ordered = sorted(lines, key=lambda line: frame.y(line.points[-1][1]))
    places = spread([frame.y(line.points[-1][1]) for line in ordered], LABEL_GAP, TOP, HEIGHT - BOTTOM)
    names = shortened([line.style.method for line in lines])
    parts: list[Markup] = []
    for line, place in zip(ordered, places, strict=True):
        t, value = line.points[-1]
        right = WIDTH - RIGHT
        lead = f"M{frame.x(t) + 5:.1f} {frame.y(value):.1f}L{right + 12} {place:.1f}"
        parts.append(
            Markup('<g class="series-{}"><path class="lead" d="{}"/><text x="{}" y="{:.1f}">{}</text></g>').format(
                line.style.colour, lead, right + 15, place + 4, names[line.style.method]
            )
        )
    return parts


def shortened(names: Sequence[str]) -> dict[str, str]:
    """Cut names to what the margin holds; where they would then be the same, to what they differ in.

    >>> list(shortened(["zero_shot", "recurrent:budget=96:rule=cases", "recurrent:budget=256:rule=cases"]).values())
    ['zero_shot', '…96…', '…256…']
    """
    cut = {name: name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names}
    for name, short in list(cut.items()):
        alike = [other for other in cut if other[: LONGEST - 1] == name[: LONGEST - 1]]
        if short != name and len(alike) > 1:
            start = _whole(alike)
            end = _whole([other[start:][::-1] for other in alike])
            what = name[start : len(name) - end]
            most = LONGEST - 4  # digits and letters of settings are wide
            cut[name] = f"…{what[:most]}{'…' if end or len(what) > most else ''}"
    return cut


def _whole(names: Sequence[str]) -> int:
    """Count the characters that all names begin with, up to the last mark: a word or a number that goes on is left."""
    shared = [letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))]
    return max((place + 1 for place, sign in enumerate(shared) if not sign.isalnum()), default=0)


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move ascending places as little as possible until neighbours have a gap between them.

    That is a least-squares fit of ascending values (pool adjacent violators) once the gaps are taken out.

    Parameters
    ----------
    places : sequence of float
        In ascending order.
    gap : float
        The least distance of neighbours.
    low, high : float
        Bounds that have room for all of them.

    Examples
    --------
    >>> spread([10.0, 11.0, 50.0], 5.0, 0.0, 100.0)
    [8.0, 13.0, 50.0]
    >>> spread([99.0, 100.0], 5.0, 0.0, 100.0)
    [95.0, 100.0]
    """
    groups: list[tuple[float, int]] = []
    for i, place in enumerate(places):
        mean, size = place - i * gap, 1
        while groups and groups[-1][0] > mean:
            before, count = groups.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        groups.append((mean, size))
    fitted = [mean for mean, size in groups for _ in range(size)]
    last = high - (len(places) - 1) * gap
    return [min(max(place, low), last) + i * gap for i, place in enumerate(fitted)]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Keep some points, evenly spaced, the last one always."""
    stride = max(1, math.ceil(len(points) / most))
    return list(reversed(points[::-1][::stride]))
