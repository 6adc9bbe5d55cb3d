"""Runs compared: what is paired, what is refused, and what the page says."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.report.remarks import of_intervals
from llm_as_rnn.report.versus import (
    Compared,
    Pair,
    difference_charts,
    paired_results,
    pairs,
    render_comparison,
    require_same_data,
)
from tests.metrics.steps import call, step
from tests.report.journal import weather_journal
from tests.report.page import Page


def journal(tracks: Mapping[str, Sequence[Sequence[float]]]) -> list[StepRecord]:
    """Give steps of methods that ask a model, but for those whose names begin with "free"."""
    return [
        step(
            method=method,
            sequence=f"s{number}",
            t=t,
            observation={"day": f"{number}-{t}"},
            scores={"sky.accuracy": score},
            calls=() if method.startswith("free") else (call(),),
        )
        for method, sequences in tracks.items()
        for number, scores in enumerate(sequences)
        for t, score in enumerate(scores)
    ]


def run(task: Task, path: str, records: list[StepRecord]) -> Compared:
    return Compared(path, "", records, summarise(task, records))


def noisy(shift: float, seed: int) -> list[list[float]]:
    rng = random.Random(seed)
    return [[float(rng.random() < 0.5 + shift) for _ in range(12)] for _ in range(8)]


def test_methods_are_paired_by_name_and_else_with_the_first_that_asks_a_model(weather: Task) -> None:
    one = run(weather, "a", journal({"free": [[1.0]], "plain": [[1.0]], "other": [[1.0]]}))
    two = run(weather, "b", journal({"other": [[1.0]], "new": [[1.0]], "free": [[0.0]]}))
    assert pairs([one, two]) == [Pair(2, "other", "other"), Pair(2, "new", "plain")]
    assert str(Pair(2, "new", "plain")) == "2 new \N{MINUS SIGN} 1 plain"
    free = run(weather, "c", journal({"free": [[1.0]]}))
    assert pairs([free, free, free]) == [Pair(2, "free", "free"), Pair(3, "free", "free")]
    assert pairs([free, run(weather, "d", journal({"plain": [[1.0]]}))]) == []


def test_runs_of_the_same_data_pass_also_when_one_is_longer_or_an_outcome_has_not_come() -> None:
    short, long = journal({"m": [[1.0]]}), journal({"n": [[1.0, 0.0], [1.0, 0.0]]})
    late = [msgspec.structs.replace(record, target=None) for record in short]
    require_same_data({"a": short, "b": long, "c": late})


@pytest.mark.parametrize("change", [{"observation": {"day": "another"}}, {"target": {"sky": "sun"}}])
def test_other_data_is_refused_in_one_line_that_names_the_step(change: dict[str, object]) -> None:
    one = journal({"m": [[1.0, 1.0], [1.0, 1.0]]})
    two = [*one[:3], msgspec.structs.replace(one[3], **change)]
    with pytest.raises(UsageError, match="b is not on the data of a: they differ at step 1 of sequence s1") as caught:
        require_same_data({"a": one, "b": two})
    assert "\n" not in str(caught.value)
    assert "--seed" in caught.value.hint


def test_runs_without_a_common_step_are_refused() -> None:
    one = journal({"m": [[1.0]]})
    with pytest.raises(UsageError, match="they have no step in common"):
        require_same_data({"a": one, "b": [msgspec.structs.replace(record, sequence="z") for record in one]})


def test_differences_are_paired_and_p_values_are_corrected_for_each_other(weather: Task) -> None:
    base, better = noisy(0.0, 2), [[1.0] * 12] * 8
    one = run(weather, "a", journal({"m": base, "n": base}))
    two = run(weather, "b", journal({"m": better, "n": base}))
    content = paired_results(weather, [one, two])
    assert [row.method for row in content.rows] == ["2 m \N{MINUS SIGN} 1 m", "2 n \N{MINUS SIGN} 1 n"]
    up, same = (row.cells[0] for row in content.rows)
    mean = 1 - sum(map(sum, base)) / 96
    assert (up.text, up.best) == (f"{mean:+.2f}", True)
    assert up.detail.endswith(f"p {2 * 2 / 2**8:.2g}"), "the least that eight sequences can give, times two tests"
    assert (same.text, same.best, same.detail.split()[-1]) == ("0.00", False, "1")


def test_the_page_says_what_is_resampled_of_the_steps_that_both_runs_have(weather: Task) -> None:
    four = weather_journal(["recurrent"], 4, 40)
    first = min(record.sequence for record in four)

    def page(*journals: Sequence[StepRecord]) -> str:
        runs = [run(weather, str(number), list(records)) for number, records in enumerate(journals)]
        return Page(render_comparison(weather, runs, runs[0].summaries, credentialed=False)).text("p")

    alone = [record for record in four if record.sequence == first]
    for said in (page(four, alone), page(alone, four)):
        assert "from resampling blocks of steps of the one sequence" in said
        assert "none can be below" not in said
    assert "with 4 sequences none can be below 0.12" in page(four, four)
    mixed = page(four, four, alone)
    assert "from resampling whole sequences, and of a lone one blocks of its steps" in mixed
    (said,) = of_intervals([*summarise(weather, four), *summarise(weather, alone)])
    assert said == (
        "in brackets: 95 % bootstrap intervals over sequences, and over stretches of a lone one, not over others"
    )


def test_each_metric_has_a_chart_of_the_difference_with_a_band(weather: Task) -> None:
    runs = [run(weather, name, weather_journal(["recurrent"], 4, 8, seed=0)) for name in ("a", "b")]
    charts = difference_charts(weather, runs)
    assert [chart.title for chart in charts] == [
        "sky accuracy, running mean of the difference",
        "high MAE, running mean of the difference",
    ]
    assert all("2 recurrent \N{MINUS SIGN} 1" in chart.svg and 'class="band' in chart.svg for chart in charts)
    assert [chart.about for chart in charts] == ["above 0 is better", "below 0 is better"]


def test_the_page_has_it_all_and_asks_for_nothing(weather: Task) -> None:
    records = weather_journal(["recurrent", "majority"], 4, 8)
    hostile = "</style><script>alert(1)</script>"
    runs = [run(weather, name, records) for name in ("runs/a", hostile)]
    rows = [
        msgspec.structs.replace(summary, method=f"{number} {summary.method}")
        for number, one in enumerate(runs, 1)
        for summary in one.summaries
    ]
    text = render_comparison(weather, runs, rows, credentialed=False)
    page = Page(text)
    for said in (
        "runs/a",
        hostile,
        "2 recurrent \N{MINUS SIGN} 1 recurrent",
        "2 majority",
        "with 4 sequences none can be",
    ):
        assert said in page.text()
    assert page.scripts == []
    assert "do not share" not in text
    assert "do not share" in render_comparison(weather, runs, rows, credentialed=True)
    assert sum(attributes.get("class") == "chart" for tag, attributes in page.tags if tag == "svg") == 2


def test_runs_with_nothing_to_pair_have_a_page_that_says_so(weather: Task) -> None:
    runs = [run(weather, "a", journal({"free": [[1.0]]})), run(weather, "b", journal({"m": [[1.0]]}))]
    assert "There are no two methods to compare." in render_comparison(weather, runs, [], credentialed=False)
