"""The pictures of a sweep: what several seeds say of one sequence is one sequence's say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.curves import Scores
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.report.sweeps import charts, over_seeds

TRACKS = {f"s{number}": {t: float((number + t) % 3 == 0) for t in range(9)} for number in range(7)}


def drawn(task: Task, seeds: list[Scores]) -> str:
    metric = task_metrics(task)[0]
    cell = SimpleNamespace(method="recurrent")
    outcome: Any = SimpleNamespace(
        columns=[SimpleNamespace(metric=metric, title=metric.title)],
        cells=[cell],
        scores=lambda _row, _column: seeds,
        name=lambda row: row.method,
    )
    (chart,) = charts(outcome)
    return str(chart.svg)


def test_the_same_answers_under_more_seeds_are_no_surer(weather: Task) -> None:
    assert drawn(weather, [TRACKS, TRACKS, TRACKS]) == drawn(weather, [TRACKS])


def test_sequences_of_different_seeds_are_sequences_of_their_own(weather: Task) -> None:
    first, second = ({name: TRACKS[name] for name in names} for names in (("s0", "s1", "s2"), ("s3", "s4", "s5", "s6")))
    assert drawn(weather, [first, second]) == drawn(weather, [TRACKS])


def test_a_step_that_one_seed_alone_has_counts_as_it_is() -> None:
    found = over_seeds([{"a": {0: 1.0, 1: 1.0}}, {"a": {0: 0.0}, "b": {0: 0.5}}])
    assert found == {"a": {0: pytest.approx(0.5), 1: 1.0}, "b": {0: 0.5}}
