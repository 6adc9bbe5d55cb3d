"""A run in columns: each step's figures once, from one sequence at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.curves import by_sequence
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.series import Series
from llm_as_rnn.metrics.summary import by_method, summarise
from llm_as_rnn.metrics.table import tabulate
from llm_as_rnn.metrics.traces import Held, Name, Traces
from llm_as_rnn.metrics.trusted import error, is_covered
from tests.report.journal import trusting, weather_journal


class Counting(Traces):
    """Traces that note which of them was asked for."""

    def __init__(self, records: Sequence[StepRecord]) -> None:
        self._held = Held(records)
        self.asked: list[Name] = []

    @property
    def names(self) -> Sequence[Name]:
        return self._held.names

    def trace(self, method: str, sequence: str) -> Sequence[StepRecord]:
        self.asked.append((method, sequence))
        return self._held.trace(method, sequence)


def test_every_step_is_looked_at_once_however_much_is_worked_out(weather: Task) -> None:
    records = trusting(weather_journal(sequences=3, steps=9))
    steps = Counting(records)
    table = tabulate(weather, steps)
    assert steps.asked == steps.names
    assert tabulate(weather, table) is table
    assert summarise(weather, table) == summarise(weather, records)
    assert steps.asked == steps.names
    assert (table.steps, table.sequences, table.length) == (len(records), 3, 9)


def test_scores_are_those_of_the_records_in_whatever_order_they_come(weather: Task) -> None:
    records = weather_journal(sequences=3, steps=9)
    table = tabulate(weather, records[::-1])
    for metric in task_metrics(weather):
        for method, own in by_method(records).items():
            assert dict(table.methods[method].scored(metric.name)) == dict(by_sequence(own, metric.name))
    assert len(table.methods["majority"].scored("none")) == 0


def test_what_predictions_said_is_what_their_records_say(weather: Task) -> None:
    records = trusting(weather_journal(["recurrent"], 2, 24))
    columns = tabulate(weather, records).methods["recurrent"]
    assert columns.names == ("days-00", "days-01")
    for field in weather.answer:
        own = columns.fields[field.name]
        for place, step in enumerate(records):
            hit = is_covered(field, step)
            assert math.isnan(own.covered[place]) if hit is None else own.covered[place] == hit
            told = step.prediction is not None and step.target is not None
            assert own.told[place] == told
            assert own.kept[place] == (field.name not in step.abstained)
            if told:
                assert own.error[place] == error(field, step)
            if step.prediction and field.name == "high":
                low, high = step.interval["high"]
                assert own.width[place] == high - low
                assert own.answered[place] == step.prediction["high"]


def test_a_series_is_the_mapping_that_it_was_made_of() -> None:
    scores = {"b": {3: 0.5, 1: 1.0}, "a": {0: 0.25}, "none": {}}
    found = Series.of(scores)
    assert dict(found) == {"a": {0: 0.25}, "b": {1: 1.0, 3: 0.5}}
    assert Series.of(found) is found
    assert found.among(["b", "c"]).tolist() == [-1, 0, 0]
    assert not Series.of({})
