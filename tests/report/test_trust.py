"""What the page tells of trust, and of each method's answers: tables and pictures, checked against the records."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET

import msgspec
import pytest

from llm_as_rnn.core.fields import Label, Number
from llm_as_rnn.core.figures import decimals
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.confusion import confusion
from llm_as_rnn.metrics.following import Following
from llm_as_rnn.metrics.summary import MethodSummary, by_method, summarise
from llm_as_rnn.metrics.trusted import calibration_error, is_covered, reliability, selective_risk
from llm_as_rnn.report.answers import answers, confusion_view, reliability_chart
from llm_as_rnn.report.charts import Style, styles
from llm_as_rnn.report.scatter import LEFT, SIDE, TOP, scatter_chart
from llm_as_rnn.report.tables import followed
from llm_as_rnn.report.trust import choosing_table, trust_charts, trust_table
from tests.metrics.steps import call, columns, step
from tests.report.journal import trusting, weather_journal

LOOK = Style("m", 2, dashed=False)
HIGH = Number("high", low=-20, high=45, unit="degrees C")
SKY = Label("sky", options=("rain", "sun", "fog"))


@pytest.fixture(scope="module")
def records() -> list[StepRecord]:
    return trusting(weather_journal(["zero_shot", "recurrent", "majority"], sequences=2, steps=24))


@pytest.fixture(scope="module")
def summaries(weather: Task, records: list[StepRecord]) -> list[MethodSummary]:
    return summarise(weather, records)


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own output


def test_the_table_tells_scores_of_all_steps_and_of_later_ones(weather: Task, summaries: list[MethodSummary]) -> None:
    table = trust_table(weather, summaries)
    assert table is not None
    titles = [column.title for column in table.columns]
    assert [row.method for row in table.rows] == ["zero_shot", "recurrent", "majority"]
    for row, summary in zip(table.rows, summaries, strict=True):
        cells = dict(zip(titles, row.cells, strict=True))
        sky, high = (dict(summary.trust or {})[name] for name in ("sky", "high"))
        assert cells["sky scored /steps"].text == f"{sky.whole.steps}/{summary.steps}"
        assert cells["sky coverage"].text == f"{sky.whole.coverage:.2f}"
        assert cells["sky coverage"].detail == f"then {sky.later.coverage:.2f}"
        assert cells["sky ECE"].text == f"{sky.whole.calibration_error:.2f}"
        assert cells["sky kept"].text == f"{sky.whole.kept:.2f}"
        score = high.whole.interval_score
        assert score is not None
        assert cells["high interval score"].text == f"{score:.{decimals(score)}f}", "three digits, as scores have"
    assert "high kept" not in titles
    assert "high ECE" not in titles
    assert trust_table(weather, summarise(weather, weather_journal(["zero_shot"], 1, 4))) is None


def test_trust_is_drawn_over_time_by_fifths_and_by_how_much_is_kept(
    weather: Task, records: list[StepRecord], summaries: list[MethodSummary]
) -> None:
    charts = trust_charts(weather, records, summaries, styles(summaries), 0.8)
    titles = [chart.title for chart in charts]
    assert titles == [
        "sky coverage, running",
        "sky options in sets, mean of the latest 2 steps",
        "sky coverage, by fifths",
        "sky share of wrong answers, the surest kept",
        "high coverage, running",
        "high width of intervals, mean of the latest 2 steps",
        "high coverage, by fifths",
        "high mean absolute error, the surest kept",
    ]
    drawn = {chart.title: parse(chart.svg) for chart in charts}
    for title, chart in drawn.items():
        assert len(chart.findall("g/path[@class='lead']")) == 3
        assert bool(chart.findall("path[@class='ideal']")) == ("coverage" in title)
    covered = _last(records, "recurrent", "high")
    assert f"recurrent, t = 23: {covered:.3g}" in _told(drawn["high coverage, running"])
    parts = dict(summaries[1].trust or {})["high"].whole.parts
    assert f"recurrent, fifth = 3: {parts[2]:.3g}" in _told(drawn["high coverage, by fifths"])
    whole = selective_risk(weather.answer[1], columns(weather.answer[1], by_method(records)["recurrent"]))
    assert f"recurrent, kept = 1: {whole.risk[-1]:.3g}" in _told(drawn["high mean absolute error, the surest kept"])


def _last(records: list[StepRecord], method: str, field: str) -> float:
    """Give the mean over sequences of the coverage over all of each one's steps."""
    found: dict[str, list[bool]] = {}
    for record in records:
        hit = is_covered(HIGH, record) if record.method == method else None
        if hit is not None:
            found.setdefault(record.sequence, []).append(hit)
    assert field == HIGH.name
    return sum(sum(hits) / len(hits) for hits in found.values()) / len(found)


def _told(chart: ET.Element) -> list[str]:
    return [circle.findtext("title") or "" for circle in chart.findall("circle")]


def test_reliability_is_drawn_as_given_and_as_the_model_said(weather: Task, records: list[StepRecord]) -> None:
    sky = weather.answer[0]
    steps = by_method(records)["recurrent"]
    chart = reliability_chart(sky, columns(sky, steps), LOOK)
    assert chart is not None
    known = [one for one in steps if one.target and one.prediction]
    ece = calibration_error(reliability(columns(sky, known)))
    assert chart.about.startswith(f"ECE {ece:.3f} over {len(known)} steps; as the model said ")
    names = [text.text for text in parse(chart.svg).findall("g/text")]
    assert sorted(filter(None, names)) == ["as given", "as the model said"]
    assert parse(chart.svg).find("path[@class='ideal']") is not None
    (reference,) = answers(weather, records, [Style("majority", 0, dashed=True)])
    assert "as the model said" not in reference.charts[0].about
    assert reliability_chart(sky, columns(sky, weather_journal(["recurrent"], 1, 4)), LOOK) is None


def test_steps_without_an_outcome_are_no_part_of_reliability() -> None:
    known = step(chance={"sky": 0.8})
    chart = reliability_chart(SKY, columns(SKY, [known, step(t=1, chance={"sky": 0.8}, target=None)]), LOOK)
    assert chart is not None
    assert chart.about == "ECE 0.200 over 1 steps"


def test_numbers_stand_at_what_came_and_what_was_said_and_misses_are_crossed() -> None:
    pairs = [(0.0, 0.0), (10.0, 5.0), (5.0, 10.0)]
    steps = [
        step(t=t, target={"high": came}, prediction={"high": said}, interval={"high": (said - 1, said + 1)})
        for t, (came, said) in enumerate(pairs)
    ]
    steps += [step(target={"high": 3.0}, prediction=None), step(target=None, prediction={"high": 3.0})]
    chart = scatter_chart(HIGH, columns(HIGH, steps), LOOK)
    assert chart is not None
    assert chart.about == "3 steps, 2 outside the interval (crosses)"
    drawn = parse(chart.svg)
    held, missed = drawn.find("g/path[@class='dots']"), drawn.find("path[@class='missed']")
    assert held is not None
    assert missed is not None
    assert held.attrib["d"] == f"M{LEFT} {TOP + SIDE}h0"
    crosses = [part.split("m")[0] for part in missed.attrib["d"].split("M")[1:]]
    assert crosses == [f"{LEFT + SIDE} {TOP + SIDE // 2}", f"{LEFT + SIDE // 2} {TOP}"]
    assert "actual, degrees C" in [text.text for text in drawn.findall("text")]


def test_without_intervals_nothing_is_crossed_and_without_answers_nothing_drawn() -> None:
    chart = scatter_chart(HIGH, columns(HIGH, [step(target={"high": 3.0}, prediction={"high": 4.0})]), LOOK)
    assert chart is not None
    assert chart.about == "1 steps"
    assert scatter_chart(HIGH, columns(HIGH, [step(target=None)]), LOOK) is None


def test_the_largest_numbers_can_be_drawn_and_many_are_thinned() -> None:
    largest = sys.float_info.max
    far = [
        step(target={"high": largest}, prediction={"high": -largest}),
        step(prediction={"high": 1.0}, target={"high": 2.0}),
    ]
    chart = scatter_chart(HIGH, columns(HIGH, far), LOOK)
    assert chart is not None
    assert "nan" not in chart.svg
    assert "inf" not in chart.svg
    many = [step(t=t, target={"high": float(t % 40)}, prediction={"high": 3.0}) for t in range(2500)]
    chart = scatter_chart(HIGH, columns(HIGH, many), LOOK)
    assert chart is not None
    assert chart.about == "2500 steps, 834 of them drawn"
    assert chart.svg.count("h0") == 834


def test_intervals_that_span_all_numbers_have_a_page(weather: Task) -> None:
    largest = sys.float_info.max
    steps = [
        step(
            t=t,
            target={"high": largest * (-1) ** t},
            prediction={"high": -largest},
            interval={"high": (-largest, largest)},
            scores={"high.abs_error": largest * (t % 2), "high.sq_error": largest * (t % 2)},
        )
        for t in range(12)
    ]
    summaries = summarise(weather, steps)
    charts = trust_charts(weather, steps, summaries, styles(summaries), 0.9)
    assert charts
    assert not any("nan" in chart.svg or '"inf' in chart.svg for chart in charts)


def test_of_many_labels_the_rare_ones_share_a_row_and_have_their_scores_apart() -> None:
    tag = Label("tag", options=tuple(f"tag {n}" for n in range(20)))
    steps = [
        step(target={"tag": f"tag {n}"}, prediction={"tag": f"tag {n if n % 2 else n + 1}"})
        for n in range(20)
        for _ in range(40 - n)
    ]
    view = confusion_view(tag, confusion(tag, [*steps, step(target={"tag": "tag 0"}, prediction=None)]))
    assert view is not None
    assert [row.label for row in view.rows] == [*(f"tag {n}" for n in range(12)), "8 others"]
    assert len(view.scores) == 20
    assert (view.steps, view.unanswered, view.others) == (len(steps) + 1, True, True)
    first, last = view.rows[0], view.rows[-1]
    assert first.cells[1] == ("40", False, 5)
    assert first.cells[-1].text == "1"
    assert last.score is None
    right = sum(40 - n for n in range(12, 20) if n % 2)
    assert last.cells[12].text == f"{sum(40 - n for n in range(12, 20))} ({right} right)"
    assert not last.cells[12].right, "most of it is wrong, which must not look right"
    every = [msgspec.structs.replace(one, prediction=one.target) for one in steps]
    whole = confusion_view(tag, confusion(tag, every))
    assert whole is not None
    assert whole.rows[-1].cells[-1].right
    few = confusion_view(tag, confusion(tag, steps[:40]))
    assert few is not None
    assert few.scores == []


def test_what_cases_changed_is_told_of_methods_with_a_memory(weather: Task, records: list[StepRecord]) -> None:
    table = choosing_table(weather, records, [Style("zero_shot", 0, dashed=False), Style("recurrent", 1, dashed=False)])
    assert table is not None
    (row,) = table.rows
    assert row.method == "recurrent"
    assert int(row.cells[1].text) > 0
    assert choosing_table(weather, weather_journal(["recurrent"], 1, 6), [Style("recurrent", 1, dashed=False)]) is None


def test_find_then_follow_is_a_row_for_each_method_whose_memory_has_cases(weather: Task) -> None:
    first, other = summarise(weather, weather_journal(["zero_shot", "majority"], 1, 4))
    assert followed([first, other]) is None
    told = msgspec.structs.replace(first, following=Following(30, 0.7, 0.5, 0.9, None))
    table = followed([told, other])
    assert table is not None
    (row,) = table.rows
    assert [cell.text for cell in row.cells] == ["30", "0.70", "0.50", "0.90", "\N{EN DASH}"]
    assert [column.title for column in table.columns] == ["steps", "held", "found", "followed", "misled"]


def test_an_answer_that_a_call_told_nothing_of_has_only_what_was_given() -> None:
    chart = reliability_chart(SKY, columns(SKY, [step(chance={"sky": 0.5}, calls=(call(),))]), LOOK)
    assert chart is not None
    assert "model said" not in chart.about
