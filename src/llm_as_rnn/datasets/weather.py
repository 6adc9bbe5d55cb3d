"""Daily weather in Seattle, 2012 to 2015: observations that the package ``vega-datasets`` carries.

x is a day's record, y the next day's sky and high. Development is 2012 and 2013, held out 2014 and 2015.
"""

from __future__ import annotations

import csv
from datetime import date
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from llm_as_rnn.core.errors import DatasetError, MissingExtraError
from llm_as_rnn.core.records import Observation, SequenceInfo
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence, Step, stretches

YEARS = {"development": (2012, 2013), "held_out": (2014, 2015)}


class Day(NamedTuple):
    """One day's record: temperatures in degrees C, precipitation in mm, wind in m/s."""

    day: date
    precipitation: float
    high: float
    low: float
    wind: float
    sky: str


def load(selection: Selection) -> list[Sequence]:
    """Cut sequences: each of their steps is a day, and the next day's sky and high.

    Raises as `cut` does.
    """
    return [sequence_of(days) for days in cut(selection)]


def cut(selection: Selection) -> list[list[Day]]:
    """Cut spans of consecutive days that do not overlap, each one day longer than a sequence.

    Raises
    ------
    MissingExtraError
        If ``vega-datasets`` is not installed.
    DatasetError
        If its file is not as expected, or there are not enough days.
    """
    first, last = YEARS[selection.split]
    days = [day for day in read_days(_file()) if first <= day.day.year <= last]
    return stretches("weather", days, selection, selection.steps + 1)  # the last step's outcome is one more day


def read_days(path: Path) -> list[Day]:
    """Read the file, oldest day first.

    Raises
    ------
    DatasetError
        If it cannot be read, or a line of it is not a day's record; the message names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            return [_day(row, path, number) for number, row in enumerate(rows, 2)]
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}", "install vega-datasets again") from error


def _day(row: dict[str, str], path: Path, number: int) -> Day:
    try:
        return Day(
            date.fromisoformat(row["date"].replace("/", "-")),
            float(row["precipitation"]),
            float(row["temp_max"]),
            float(row["temp_min"]),
            float(row["wind"]),
            row["weather"],
        )
    except (KeyError, TypeError, ValueError) as error:
        message = f"{path}, line {number}: not a day's record ({error})"
        raise DatasetError(message, "install vega-datasets again") from error


def sequence_of(days: list[Day]) -> Sequence:
    """Make a sequence of consecutive days; the last one is an outcome only."""
    name = days[0].day.isoformat()
    steps = (_step(name, t, today, tomorrow) for t, (today, tomorrow) in enumerate(pairwise(days)))
    return Sequence(SequenceInfo(name, {"place": "Seattle"}), tuple(steps))


def _step(sequence: str, t: int, today: Day, tomorrow: Day) -> Step:
    fields = {
        "date": f"{today.day:%B} {today.day.day}",
        "sky": today.sky,
        "high": today.high,
        "low": today.low,
        "precipitation": today.precipitation,
        "wind": today.wind,
    }
    return Step(Observation(sequence, t, fields), {"sky": tomorrow.sky, "high": tomorrow.high})


def _file() -> Path:
    # Found without importing the package, which would import pandas and take a second.
    spec = find_spec("vega_datasets")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("vega-datasets", "weather")
    return Path(spec.submodule_search_locations[0]) / "_data" / "seattle-weather.csv"


def _ready() -> str:
    try:
        return "" if _file().is_file() else "vega-datasets lacks its file: install it again"
    except MissingExtraError as error:
        return error.hint


WEATHER = Dataset(
    name="weather",
    title="Daily weather in Seattle, 2012 to 2015",
    source="NOAA, as carried by the package vega-datasets",
    licence="public domain (US government); package BSD-3-Clause",
    predicts="tomorrow's sky (label) and high (degrees C)",
    size="1,461 days",
    load=load,
    ready=_ready,
)
