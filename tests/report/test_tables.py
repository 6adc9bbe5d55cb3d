"""Tables: what stands in them, and how wide they are."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console
from rich.text import Text

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.records import Status
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.estimates import Gain, Interval, PairedDifference
from llm_as_rnn.metrics.summary import MethodSummary, Score, summarise
from llm_as_rnn.report.tables import (
    NONE,
    corrections,
    difference_cell,
    differences,
    evidence,
    evidence_cell,
    plain_table,
    results,
    results_table,
    score_cells,
)
from tests.metrics.steps import call, step, track
from tests.report.journal import METHODS, weather_journal

ACCURACY = Metric("a", "a", "a", "a", "")
ERROR = Metric("e", "e", "e", "e", "", higher_is_better=False)


def printed(task: Task, summaries: list[MethodSummary], width: int, *, color: bool = False) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=color, color_system="standard" if color else None)
    console.print(results_table(task, summaries))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.fixture
def summaries(weather: Task) -> list[MethodSummary]:
    return summarise(weather, weather_journal(steps=20, sequences=8))


@pytest.mark.parametrize("width", [100, 120])
def test_the_weather_table_is_at_most_100_columns_with_a_line_a_method(
    weather: Task, summaries: list[MethodSummary], width: int
) -> None:
    lines = printed(weather, summaries, width)
    assert max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines[3:] if line] == list(METHODS)
    assert not any("…" in line for line in lines)


def test_every_cell_of_the_content_is_printed(weather: Task, summaries: list[MethodSummary]) -> None:
    lines = printed(weather, summaries, 120)
    for row in results(weather, summaries).rows:
        (line,) = [line for line in lines if line.startswith(row.method)]
        assert line.split() == " ".join([row.method, *(f"{cell.text} {cell.detail}" for cell in row.cells)]).split()


def test_values_stand_with_their_intervals(weather: Task, summaries: list[MethodSummary]) -> None:
    score = summaries[0].scores["sky.accuracy"]
    assert score.interval is not None
    cell = results(weather, summaries).rows[0].cells[0]
    assert cell.text == f"{score.value:.2f}"
    assert cell.detail == f"[{score.interval.low:.2f}, {score.interval.high:.2f}]"


def test_without_intervals_there_are_no_brackets(weather: Task) -> None:
    lines = printed(weather, summarise(weather, weather_journal(sequences=1, steps=4)), 100)
    assert not any("[" in line for line in lines)


def test_the_best_of_each_metric_is_marked_and_equals_alike(weather: Task) -> None:
    tracks = {"a": [0.0, 1.0], "b": [1.0, 1.0], "c": [1.0, 1.0]}
    records = [one for name, scores in tracks.items() for one in track("s", scores, name, "sky.accuracy")]
    records += [one for name, scores in tracks.items() for one in track("z", scores, name, "high.abs_error")]
    cells = [row.cells for row in results(weather, summarise(weather, records)).rows]
    assert [row[0].best for row in cells] == [False, True, True]
    assert [row[1].best for row in cells] == [True, False, False]
    lines = printed(weather, summarise(weather, records), 100, color=True)
    assert "\x1b[1m1.00\x1b[0m" in lines[-1]
    assert "\x1b[1m0.50\x1b[0m" in lines[-3]
    assert lines[-3].count("\x1b[1m") == lines[-1].count("\x1b[1m") == 1


def test_a_method_alone_is_no_best(weather: Task) -> None:
    (row,) = results(weather, summarise(weather, weather_journal(["zero_shot"], 2, 4))).rows
    assert not any(cell.best for cell in row.cells)


def test_references_come_last_behind_a_line(weather: Task) -> None:
    records = [step(method="cheap"), step(method="model", calls=(call(),)), step(method="cheap2")]
    content = results(weather, summarise(weather, records))
    assert [(row.method, row.is_reference) for row in content.rows] == [
        ("model", False),
        ("cheap", True),
        ("cheap2", True),
    ]
    assert {cell.text for cell in content.rows[1].cells[4:]} == {NONE}
    lines = printed(weather, summarise(weather, records), 100)
    assert [line.split()[0] if line else "" for line in lines[3:]] == ["model", "", "cheap", "cheap2"]


def test_failures_are_shown_with_the_invalid_ones_among_them(weather: Task) -> None:
    failed = [Status.INVALID, Status.INVALID, Status.TRUNCATED, Status.OK]
    records = [step(t=t, status=status, calls=(call(),)) for t, status in enumerate(failed)]
    (row,) = results(weather, summarise(weather, records)).rows
    assert (row.cells[3].text, row.cells[3].detail) == ("3", "(2)")


def test_large_numbers_are_shown_with_three_digits(weather: Task) -> None:
    summary = summarise(weather, [step(calls=(call(),))])[0]
    for value, shown in ((3.14159, ("3.14", "[3.10, 3.20]")), (31.4159, ("31.4", "[31.4, 31.5]"))):
        ends = Interval(round(value, 1), round(value + 0.05, 1))
        one = msgspec.structs.replace(summary, scores={"high.mae": Score(value, ends)})
        cell = results(weather, [one]).rows[0].cells[1]
        assert (cell.text, cell.detail) == shown
    assert results(weather, [summary]).rows[0].cells[1].text == NONE


def test_names_are_not_read_as_markup(weather: Task) -> None:
    table = results_table(weather, summarise(weather, [step(method="[red]x[/red]")]))
    cell = next(iter(table.columns[0].cells))
    assert isinstance(cell, Text)
    assert cell.plain == "[red]x[/red]"


def test_an_empty_journal_has_an_empty_table(weather: Task) -> None:
    assert results(weather, []).rows == ()
    assert printed(weather, [], 100)


@pytest.mark.parametrize(
    ("low", "high", "shown", "clear"),
    [
        (-0.3, -0.001, "[\N{MINUS SIGN}0.30, \N{MINUS SIGN}0.00]", True),
        (0.002, 0.3, "[+0.00, +0.30]", True),
        (-0.001, 0.3, "[0.00, +0.30]", False),
        (0.0, 0.0, "[0.00, 0.00]", False),
    ],
)
def test_an_interval_that_leaves_out_zero_does_not_seem_to_end_there(
    low: float, high: float, shown: str, clear: bool
) -> None:
    cell = difference_cell(ACCURACY, PairedDifference(-0.1, Interval(low, high), 10, 7))
    assert (cell.detail, cell.best) == (shown, clear)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (PairedDifference(0.0012, Interval(0.0004, 0.002), 10, 7), "+0.0012 [+0.0004, +0.0020]"),
        (PairedDifference(0.004, Interval(-0.2, 0.3), 10, 7), "0.00 [~0.20, +0.30]"),
        (PairedDifference(-23.4, Interval(-30.0, -12.0), 10, 7), "~23.4 [~30.0, ~12.0]"),
    ],
)
def test_a_difference_of_errors_has_the_digits_that_its_size_needs(found: PairedDifference, said: str) -> None:
    cell = difference_cell(ERROR, found)
    assert f"{cell.text} {cell.detail}" == said.replace("~", "\N{MINUS SIGN}")
    assert difference_cell(ACCURACY, found).text.endswith(f"{abs(found.mean):.2f}"), "shares have two decimals"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.0041, 0.0042, 0.0052), ["0.0041", "0.0042", "0.0052"]),
        ((0.61, 0.58, 4021.7), ["0.61", "0.58", "4021.70"]),  # one that failed: the others still have their digits
        ((412.4, 398.2), ["412", "398"]),
        ((0.0, 0.0), ["0.00", "0.00"]),
    ],
)
def test_errors_of_any_size_can_be_told_apart(values: tuple[float, ...], said: list[str]) -> None:
    cells = score_cells(ERROR, [Score(value) for value in values])
    assert [cell.text for cell in cells] == said
    assert [cell.best for cell in cells] == [value == min(values) for value in values]


def test_differences_are_against_the_first_method_that_asks_a_model(weather: Task) -> None:
    model = (call(),)
    scores = {"a": [0.0, 0.0], "b": [1.0, 1.0], "cheap": [0.0, 0.0]}
    records = [
        step(method=name, sequence=sequence, t=t, scores={"sky.accuracy": s}, calls=() if name == "cheap" else model)
        for name in ("cheap", "a", "b")
        for sequence in ("x", "y")
        for t, s in enumerate(scores[name])
    ]
    found = differences(weather, records, summarise(weather, records))
    assert found is not None
    assert "a" in found.columns[0].title.split()
    assert [row.method for row in found.rows] == ["b", "cheap"]
    b, cheap = (row.cells[0] for row in found.rows)
    assert (b.text, b.detail, b.best) == ("+1.00", "[+1.00, +1.00] p 1", True)
    assert (cheap.text, cheap.best) == ("0.00", False)
    assert found.rows[0].cells[1].text == NONE


def test_there_is_nothing_to_compare_with_one_method_or_no_model(weather: Task) -> None:
    for records in ([step(calls=(call(),))], [step(method="a"), step(method="b")], []):
        assert differences(weather, records, summarise(weather, records)) is None


def test_corrections_show_share_and_counts(weather: Task) -> None:
    records = track("s", [0.0, 1.0, 0.0, 0.0], metric="sky.accuracy")
    found = corrections(weather, summarise(weather, records))
    assert found is not None
    assert [column.title for column in found.columns] == ["sky accuracy"]
    (cell,) = found.rows[0].cells
    assert (cell.text, cell.detail) == ("50%", "(1 of 2)")


def test_a_gain_of_nothing_has_no_sign() -> None:
    cell = evidence_cell(ACCURACY, Gain("zero_shot", -0.004, Interval(-0.08, 0.001), 40, 4))
    assert (cell.text, cell.detail) == ("0 %", "[\N{MINUS SIGN}8, 0] over zero_shot")


def test_evidence_has_a_row_for_each_comparison_and_names_whom_with(weather: Task) -> None:
    summaries = summarise(weather, weather_journal(steps=20, sequences=8))
    content = evidence(weather, summaries)
    assert content is not None
    assert [row.method for row in content.rows] == [
        "zero_shot",
        "full_history",
        "memprompt",
        "recurrent",
        "recurrent, gain",
    ]
    found = summaries[3].scores["sky.accuracy"].beyond_reference
    assert isinstance(found, PairedDifference)
    assert content.columns[0].title == f"sky accuracy \N{MINUS SIGN} {found.other}"
    assert found.p_holm is not None
    assert content.rows[3].cells[0].detail.endswith(f"] p {found.p_holm:.2g}")
    gain = summaries[3].scores["sky.accuracy"].gain
    assert isinstance(gain, Gain)
    cell = content.rows[4].cells[0]
    assert cell.text == f"{100 * gain.value:+.0f} %".replace("-", "\N{MINUS SIGN}")
    assert cell.detail.endswith(f"over {gain.strongest}")
    out = io.StringIO()
    Console(file=out, width=100).print(plain_table(content))
    assert max(map(len, out.getvalue().rstrip().splitlines())) <= 100
    assert len(out.getvalue().strip().splitlines()) == 2 + 5


def test_what_the_model_adds_has_a_row_that_names_both(weather: Task) -> None:
    records = [
        step(method=method, sequence=sequence, scores={"sky.accuracy": score}, calls=calls, believed=believed)
        for method, score, calls, believed in (
            ("model", 1.0, (call(),), {}),
            ("last", 0.0, (), {}),
            ("advised", 1.0, (), {"sky": {"model": 1.0}}),
            ("free", 0.0, (), {"sky": {"last": 1.0}}),
        )
        for sequence in "abcdef"
    ]
    content = evidence(weather, summarise(weather, records))
    assert content is not None
    (row,) = [row for row in content.rows if row.method == "advised \N{MINUS SIGN} free"]
    assert (row.cells[0].text, row.cells[0].best, row.cells[1].text) == ("+1.00", True, NONE)


def test_without_references_and_baselines_there_is_no_evidence(weather: Task) -> None:
    assert evidence(weather, summarise(weather, [step(calls=(call(),))])) is None
    assert evidence(weather, []) is None
