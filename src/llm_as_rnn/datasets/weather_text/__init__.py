"""The same days as `weather`, tomorrow told in a sentence or two.

The outcome is written from the next day's record by code, in one fixed form: sky, high and low in whole degrees C,
rain by the day's sum, wind by its mean speed. docs/judging.md shows the bounds. Forecasts in English, these and any
others, are read by `forecasts` for the score ``facts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import msgspec

from llm_as_rnn.core.extras import Extra, Metric
from llm_as_rnn.core.fields import Text
from llm_as_rnn.core.records import Value
from llm_as_rnn.datasets.base import Selection, Sequence, Step
from llm_as_rnn.datasets.weather import WEATHER, Day, cut, sequence_of

SKIES = {"sun": "Sunny", "rain": "Rainy", "drizzle": "Drizzly", "fog": "Foggy", "snow": "Snowy"}
"""How each sky of the data is written."""

AMOUNTS = ((1.0, "a trace of"), (5.0, "light"), (15.0, "moderate"))
"""Words for a day's precipitation below so many mm; from the last bound on it is heavy. The bounds are our own."""

WINDS = ((1.6, "light air"), (3.4, "a light breeze"), (5.5, "a gentle breeze"), (8.0, "a moderate breeze"))
"""Words for a wind below so many m/s, as in Beaufort's scale (WMO); from the last bound on it is a fresh breeze."""


def describe(day: Day) -> str:
    """Tell a day's record in words.

    >>> from datetime import date
    >>> describe(Day(date(2012, 1, 2), 10.9, 10.6, 2.8, 4.5, "rain"))
    'Rainy with a high of 11 and a low of 3 degrees C. Moderate rain and a gentle breeze.'
    """
    sky = SKIES.get(day.sky, day.sky.capitalize())
    wind = next((words for bound, words in WINDS if day.wind < bound), "a fresh breeze")
    rain = _precipitation(day).capitalize()
    return f"{sky} with a high of {round(day.high)} and a low of {round(day.low)} degrees C. {rain} and {wind}."


def _precipitation(day: Day) -> str:
    what = "snow" if day.sky == "snow" else "rain"
    if day.precipitation == 0:
        # Some days of the data are rain, drizzle or snow without an amount.
        return f"a trace of {what}" if day.sky in ("rain", "drizzle", "snow") else "no rain"
    return f"{next((words for bound, words in AMOUNTS if day.precipitation < bound), 'heavy')} {what}"


def load(selection: Selection) -> list[Sequence]:
    """Cut the sequences that `weather` has for the same selection, with outcomes in words.

    x holds today in words as well, as ``words``: not for the models, whose template leaves it out, but for the
    reference that repeats it.

    Raises
    ------
    MissingExtraError
        If ``vega-datasets`` is not installed.
    DatasetError
        If its file is not as expected, or there are not enough days.
    """
    return [_told(days) for days in cut(selection)]


def _told(days: list[Day]) -> Sequence:
    plain = sequence_of(days)
    steps = (_step(step, *pair) for step, pair in zip(plain.steps, pairwise(days), strict=True))
    return Sequence(plain.info, tuple(steps))


def _step(plain: Step, today: Day, tomorrow: Day) -> Step:
    fields = {**plain.observation.fields, "words": describe(today)}
    observation = msgspec.structs.replace(plain.observation, fields=fields)
    return Step(observation, {"forecast": describe(tomorrow)})


def _facts_metrics(field: Text) -> tuple[Metric, ...]:
    name, about = f"{field.name}.facts", "sky, temperatures and rain as read from the forecast by code, 0 to 100"
    return (Metric(name, name, f"{field.name} facts", field.name, about, best=100.0),)


def _facts_score(_field: Text, answer: Value | None, outcome: Value) -> Mapping[str, float]:
    from llm_as_rnn.datasets.weather_text.forecasts import compare  # noqa: PLC0415 - its patterns take time to compile

    return compare(answer if isinstance(answer, str) else "", outcome if isinstance(outcome, str) else "")


WEATHER_TEXT = msgspec.structs.replace(
    WEATHER,
    name="weather-text",
    title="Daily weather in Seattle in words, 2012 to 2015",
    predicts="tomorrow's weather in a sentence or two (text), scored by a judge and by code",
    load=load,
    quick_budget=512,
    extras=(Extra("facts", "text", _facts_metrics, _facts_score),),
)
"""The dataset; source, licence and size are `weather`'s."""
