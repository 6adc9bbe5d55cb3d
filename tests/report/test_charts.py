"""Charts: their geometry, their words, and what stands in for colour."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.curves import curve
from llm_as_rnn.metrics.summary import by_method, summarise
from llm_as_rnn.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MARKERS,
    RIGHT,
    TOP,
    WIDTH,
    Line,
    Style,
    advice_charts,
    line_chart,
    nice_ticks,
    score_charts,
    spread,
    styles,
)
from llm_as_rnn.report.regrets import regret_charts
from tests.metrics.steps import step
from tests.report.journal import METHODS, weather_journal


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own output


def style(index: int, method: str = "m") -> Style:
    return Style(method, index, dashed=False)


points = st.lists(st.floats(0, 1), min_size=1, max_size=40).map(lambda values: list(enumerate(values)))


@given(st.lists(points, min_size=1, max_size=20))
def test_all_that_is_drawn_lies_inside_the_frame(tracks: list[list[tuple[int, float]]]) -> None:
    chart = parse(line_chart([Line(style(i % 8), track) for i, track in enumerate(tracks)], "accuracy", upper=1.0))
    circles = chart.findall("circle")
    assert circles
    for circle in circles:
        assert LEFT <= float(circle.attrib["cx"]) <= WIDTH - RIGHT
        assert TOP <= float(circle.attrib["cy"]) <= HEIGHT - BOTTOM
    names = [float(text.attrib["y"]) for text in chart.findall("g/text")]
    assert len(names) in (0, len(tracks))
    assert all(b - a >= 14.9 for a, b in pairwise(names))


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(2, 8))
def test_ticks_span_the_range_evenly(low: float, width: float, count: int) -> None:
    ticks = nice_ticks(low, low + width, count)
    step = ticks[1] - ticks[0]
    slack = 1e-6 * max(1.0, abs(low), width)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + width - slack
    assert 2 <= len(ticks) <= count + 2
    assert all(abs(b - a - step) <= slack for a, b in pairwise(ticks))


@given(st.lists(st.floats(0, 200), max_size=10).map(sorted))
def test_names_are_spread_within_bounds_and_in_order(places: list[float]) -> None:
    moved = spread(places, 15, 0, 200)
    assert all(b - a >= 15 - 1e-9 for a, b in pairwise(moved))
    assert all(-1e-9 <= place <= 200 + 1e-9 for place in moved)
    if all(b - a >= 15 for a, b in pairwise(places)):
        assert all(abs(a - b) < 1e-9 for a, b in zip(places, moved, strict=True))


def test_a_line_rises_with_its_score() -> None:
    chart = parse(line_chart([Line(style(0), [(0, 0.2), (4, 0.8)])], "accuracy"))
    first, last = chart.findall("circle")
    assert float(first.attrib["cx"]) == LEFT
    assert float(last.attrib["cx"]) == WIDTH - RIGHT
    assert float(first.attrib["cy"]) > float(last.attrib["cy"])
    assert [circle.findtext("title") for circle in (first, last)] == ["m, t = 0: 0.2", "m, t = 4: 0.8"]


def test_ticks_are_whole_timesteps_and_scores_within_bounds() -> None:
    chart = parse(line_chart([Line(style(0), [(0, 0.9), (1, 1.0), (2, 0.97)])], "accuracy", upper=1.0))
    shown = [text.text for text in chart.findall("text")]
    assert shown[-4:] == ["0", "1", "2", "timestep t"]
    assert max(float(text or "") for text in shown[:-4]) == 1.0


def test_no_tick_is_a_score_that_cannot_be() -> None:
    for value in (0.0, 1.0):
        chart = parse(line_chart([Line(style(0), [(0, value), (1, value)])], "accuracy", upper=1.0))
        ticks = [float(text.text or "") for text in chart.findall("text[@text-anchor='end']")]
        assert value in ticks
        assert all(0 <= tick <= 1 for tick in ticks)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_scores_beyond_what_is_usual_are_drawn_with_ticks_all_the_same(first: float, last: float) -> None:
    chart = parse(line_chart([Line(style(0), [(0, first), (1, last)])], "log score", upper=1.0))
    assert chart.findall("text[@text-anchor='end']")
    assert all(TOP - 0.1 <= float(circle.attrib["cy"]) <= HEIGHT - BOTTOM + 0.1 for circle in chart.findall("circle"))


def test_methods_differ_by_more_than_colour_and_references_are_dashed(weather: Task) -> None:
    looks = styles(summarise(weather, weather_journal(steps=2)))
    assert [look.method for look in looks] == list(METHODS)
    assert [look.dashed for look in looks] == [False] * 4 + [True] * 2
    assert len({MARKERS[look.colour] for look in looks}) == len(looks)
    assert 'class="line dashed"' in looks[-1].swatch
    assert 'class="line"' in looks[0].swatch
    chart = parse(line_chart([Line(looks[0], [(0, 0.5)]), Line(looks[-1], [(0, 0.5)])], "accuracy"))
    lines = [path.attrib["class"] for path in chart.findall("g/path") if path.attrib["class"].startswith("line")]
    assert lines == ["line", "line dashed"]


def test_each_metric_has_a_running_mean_and_a_recent_one_where_sequences_are_long(weather: Task) -> None:
    for steps, titles in (
        (8, ["sky accuracy, running mean", "high MAE, running mean"]),
        (
            24,
            [
                "sky accuracy, running mean",
                "sky accuracy, mean of the latest 6 steps",
                "high MAE, running mean",
                "high MAE, mean of the latest 6 steps",
            ],
        ),
    ):
        records = weather_journal(sequences=2, steps=steps)
        charts = score_charts(weather, records, styles(summarise(weather, records)))
        assert [chart.title for chart in charts] == titles
        assert charts[0].about == "higher is better"
        assert charts[-1].about == "lower is better"
        assert all(len(parse(chart.svg).findall("g/path[@class='lead']")) == len(METHODS) for chart in charts)


def test_long_lines_keep_few_points_to_hover_and_the_last_one() -> None:
    chart = parse(line_chart([Line(style(0), [(t, t / 1000) for t in range(1001)])], "error"))
    circles = chart.findall("circle")
    assert len(circles) <= 60
    assert circles[-1].findtext("title") == "m, t = 1000: 1"


def test_many_lines_go_without_names_at_their_ends() -> None:
    lines = [Line(style(i % 8, f"m{i}"), [(0, 0.1), (1, 0.1)]) for i in range(30)]
    assert parse(line_chart(lines, "error")).findall("g/text") == []
    assert len(parse(line_chart(lines[:10], "error")).findall("g/text")) == 10


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=15))
def test_names_are_text_never_markup(name: str) -> None:
    chart = parse(line_chart([Line(style(0, name), [(0, 0.5)])], name))
    assert {element.tag for element in chart.iter()} == {"svg", "path", "text", "g", "circle", "title"}
    assert chart.findtext("g/text") == name


def test_belief_is_drawn_for_those_who_take_advice(weather: Task) -> None:
    weights = [{"sky": {"linear": 0.5 + t / 10, "majority": 0.5 - t / 10}} for t in range(4)]
    records = [step(method="advised", t=t, believed=row) for t, row in enumerate(weights)]
    looks = [style(0, "linear"), style(1, "majority"), style(2, "advised")]
    (chart,) = advice_charts(weather, [*records, step(method="linear", t=0)], looks)
    assert chart.title == "advised: who was believed in sky"
    drawn = parse(str(chart.svg))
    titles = [title.text for title in drawn.iter() if title.tag.endswith("title")]
    assert "linear, t = 3: 0.8" in titles
    assert "majority, t = 3: 0.2" in titles
    assert not any("advised" in str(title) for title in titles)


def test_an_adviser_that_is_no_method_of_the_run_has_a_line_too(weather: Task) -> None:
    weights = {"sky": {"linear": 0.25, "recurrent": 0.75}}
    records = [step(method="advised", t=t, believed=weights) for t in range(3)]
    (chart,) = advice_charts(weather, records, [style(0, "advised"), style(1, "linear")])
    drawn = parse(str(chart.svg))
    titles = [title.text for title in drawn.iter() if title.tag.endswith("title")]
    assert "recurrent, t = 2: 0.75" in titles
    names = {text.text: group.attrib["class"] for group in drawn.findall("g") for text in group.findall("text")}
    assert names == {"linear": "series-1", "recurrent": "series-2"}


def test_bands_lie_within_the_frame_and_belong_to_their_line() -> None:
    line = Line(style(2), [(0, 0.5), (1, 0.6)], [(0, -3.0, 0.7), (1, 0.2, 9.0)])
    chart = parse(line_chart([line, Line(style(1), [(0, 0.4)])], "accuracy", upper=1.0))
    (drawn,) = [path for path in chart.findall("path") if path.attrib["class"].startswith("band")]
    assert drawn.attrib["class"] == "band series-2"
    places = [tuple(map(float, point.split())) for point in drawn.attrib["d"].strip("Mz").split("L")]
    assert len(places) == 4
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in places)


def test_methods_have_bands_and_references_none(weather: Task) -> None:
    records = weather_journal(["recurrent", "majority"], sequences=4, steps=6)
    for chart in score_charts(weather, records, styles(summarise(weather, records))):
        assert str(chart.svg).count('class="band') == 1


def test_regret_is_drawn_for_methods_against_the_best_reference(weather: Task) -> None:
    records = weather_journal(["recurrent", "repeat_last", "majority"], sequences=4, steps=12)
    looks = styles(summarise(weather, records))
    charts = regret_charts(weather, records, looks)
    steps = by_method(records)
    best = min((look.method for look in looks[1:]), key=lambda name: curve(steps[name], "high.abs_error")[-1][1])
    assert charts[-1].title == f"high MAE, cumulative regret against {best}"
    drawn = parse(charts[-1].svg)
    last = drawn.findall("circle")[-1].findtext("title")
    theirs = {(r.sequence, r.t): r.scores for r in records if r.method == best}
    total = sum(
        r.scores["high.abs_error"] - theirs[r.sequence, r.t]["high.abs_error"]
        for r in records
        if r.method == "recurrent" and r.scores
    )
    assert last == f"recurrent, t = 11: {total / 4:.3g}"
    assert regret_charts(weather, [r for r in records if r.method == "recurrent"], looks[:1]) == []
