"""Seattle's weather in words: the same days as `weather`, told so that code reads them back."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets import weather, weather_text
from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.datasets.weather import Day
from llm_as_rnn.datasets.weather_text import describe
from llm_as_rnn.datasets.weather_text.forecasts import read_facts
from llm_as_rnn.metrics.scores import step_scores, task_metrics

DAY = Day(date(2012, 1, 2), 10.9, 10.6, 2.8, 4.5, "rain")


def test_the_days_are_those_of_weather() -> None:
    chosen = Selection(4, 9, 3, "held_out")
    spans = weather.cut(chosen)
    for told, plain, days in zip(weather_text.load(chosen), weather.load(chosen), spans, strict=True):
        assert told.info == plain.info
        for step, other, (today, tomorrow) in zip(told.steps, plain.steps, pairwise(days), strict=True):
            fields = dict(step.observation.fields)
            assert fields.pop("words") == describe(today)
            assert fields == other.observation.fields
            assert step.target == {"forecast": describe(tomorrow)}


def test_every_day_can_be_read_back() -> None:
    for split in ("development", "held_out"):
        for day in weather.cut(Selection(1, 700, split=split))[0]:
            facts = read_facts(describe(day))
            assert facts.skies[0] == day.sky
            assert (facts.high, facts.low) == (round(day.high), round(day.low))
            assert facts.wet == (day.precipitation > 0 or day.sky in ("rain", "drizzle", "snow"))
            assert len(describe(day)) < 160


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"precipitation": 0.0, "sky": "sun"}, "No rain and"),
        ({"precipitation": 0.0, "sky": "rain"}, "A trace of rain and"),
        ({"precipitation": 0.9}, "A trace of rain and"),
        ({"precipitation": 1.0}, "Light rain and"),
        ({"precipitation": 5.0}, "Moderate rain and"),
        ({"precipitation": 15.0}, "Heavy rain and"),
        ({"precipitation": 15.0, "sky": "snow"}, "Heavy snow and"),
        ({"wind": 0.4}, "and light air."),
        ({"wind": 8.0}, "and a fresh breeze."),
        ({"high": 0.4, "low": -0.4}, "a high of 0 and a low of 0 degrees"),
        ({"low": -7.1}, "a low of -7 degrees"),
    ],
)
def test_words_follow_the_record(change: dict[str, Any], words: str) -> None:
    assert words in describe(DAY._replace(**change))


def test_the_task_shows_what_weather_shows_and_takes_a_line() -> None:
    task, plain = load_task("weather-text"), load_task("weather")
    step = dataset("weather-text").load(Selection(1, 1))[0].steps[0]
    for form in ("json", "line"):
        assert task.show(step.observation, form) == plain.show(step.observation, form)
    text = "Foggy, a high of 9, a low of 4. Light rain, no wind."
    assert task.spec("line").read(f" {text}\nand more") == {"forecast": text}
    assert task.spec("json").read(msgspec.json.encode({"forecast": text}).decode()) == {"forecast": text}


def test_the_task_is_scored_by_code_at_once_and_by_a_judge_later() -> None:
    task = load_task("weather-text")
    assert [metric.name for metric in task_metrics(task)] == ["forecast.align", "forecast.facts"]
    assert [metric.judged for metric in task_metrics(task)] == [True, False]
    scores = step_scores(task, {"forecast": "Rainy, high 11"}, {"forecast": describe(DAY)})
    assert scores["forecast.facts"] == pytest.approx(100 * 2.5 / 3)
    assert "forecast.align" not in scores
    assert step_scores(task, None, {"forecast": describe(DAY)})["forecast.facts"] == 0
