"""The pictures of a sweep: what several seeds say of one sequence is one sequence's say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.curves import Scores
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.metrics.table import tabulate
from llm_as_rnn.report.sweeps import Done, Outcome, against_best, charts, over_seeds, scores_of
from tests.metrics.steps import call, step

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


def swept(task: Task, seeds: list[dict[str, dict[str, str]]]) -> Outcome:
    """Give the outcome of a sweep's run: of each seed the methods, and by sequence which of their answers are right."""
    run = SimpleNamespace(name="r", metrics=("sky.accuracy",))
    plans, done = [], []
    for number, methods in enumerate(seeds):
        plan: Any = SimpleNamespace(
            run=run, task=task, folder=f"r-seed{number}", options=SimpleNamespace(methods=("a", "b"))
        )
        steps = [
            step(method=method, sequence=name, t=t, scores={"sky.accuracy": float(sign == "+")}, calls=(call(),))
            for method, sequences in methods.items()
            for name, signs in sequences.items()
            for t, sign in enumerate(signs)
        ]
        table = tabulate(task, steps)
        info: Any = SimpleNamespace(task=task, spec=SimpleNamespace(data_digest=""))
        plans.append(plan)
        done.append(Done(plan, "model", plan.folder, info, summarise(task, table), scores_of(table)))
    sweep: Any = SimpleNamespace(published=(), methods=())
    return Outcome(sweep, plans, done)


def test_further_seeds_of_one_sequence_are_no_further_stretches_of_it(weather: Task) -> None:
    answers = {"a": {"s": "++-+-+++-+" * 6}, "b": {"s": "-+--+-+--+" * 6}}
    once, again = (swept(weather, [answers] * times) for times in (1, 4))
    (a, b), (column,) = once.cells, once.columns
    for cell in (a, b):
        one, four = once.score(cell, column), again.score(cell, column)
        assert one is not None and four is not None and one.interval is not None
        assert four.interval == one.interval
        assert four.value == pytest.approx(one.value)
    first, second = against_best(once), against_best(again)
    assert first is not None and second is not None
    assert second.found[b, column] == first.found[b, column]


def test_a_cell_that_lacks_a_seed_is_paired_by_the_others(weather: Task) -> None:
    same = {"s": "++++", "z": "----"}
    outcome = swept(weather, [{"a": {"s": "++++", "z": "++++"}}, {"a": same, "b": same}, {"a": same, "b": same}])
    (_, b), (column,) = outcome.cells, outcome.columns
    found = against_best(outcome)
    assert found is not None
    assert (found.found[b, column].mean, found.found[b, column].steps) == (0.0, 16), "they answer alike"
    assert [len(scores) for scores in outcome.scores(b, column)] == [0, 2, 2]
