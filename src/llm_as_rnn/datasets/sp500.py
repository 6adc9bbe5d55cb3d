"""Daily prices of the S&P 500, 1999 to 2018: open, high, low, close and volume that the package ``arch`` carries.

x is what a trading day's end shows, y the next trading day's return and its direction. Development is 1999 to 2008,
held out 2009 to 2018. Dates are shown to no model, which have read the newspapers of those years, but in reports.
"""

from __future__ import annotations

import csv
import gzip
from datetime import date, datetime
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from llm_as_rnn.core.errors import DatasetError, MissingExtraError
from llm_as_rnn.core.records import Observation, SequenceInfo, Value
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence, Step, stretches

YEARS = {"development": (1999, 2008), "held_out": (2009, 2018)}

LOOK_BACK = 5
"""Trading days before a step's own that its observation needs."""


class Day(NamedTuple):
    """One trading day: prices in index points, volume in shares."""

    day: date
    high: float
    low: float
    close: float
    volume: float


def load(selection: Selection) -> list[Sequence]:
    """Cut sequences of consecutive trading days that do not overlap, nor look back into each other.

    Raises
    ------
    MissingExtraError
        If ``arch`` is not installed.
    DatasetError
        If its file is not as expected, or there are not enough days.
    """
    first, last = YEARS[selection.split]
    days = [day for day in read_days(_file()) if first <= day.day.year <= last]
    length = LOOK_BACK + selection.steps + 1  # the last step's outcome is one more day
    return [sequence(stretch) for stretch in stretches("sp500", days, selection, length)]


def read_days(path: Path) -> list[Day]:
    """Read the file, oldest day first.

    Raises
    ------
    DatasetError
        If it cannot be read, or a line of it is not a trading day; the message names the line.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            return [_day(row, path, number) for number, row in enumerate(csv.DictReader(file), 2)]
    except (OSError, EOFError) as error:
        raise DatasetError(f"{path} cannot be read: {error}", "install arch again") from error


def sequence(days: list[Day]) -> Sequence:
    """Make a sequence: the first `LOOK_BACK` days have no step of their own, and the last is only an outcome."""
    name = days[LOOK_BACK].day.isoformat()
    places = range(LOOK_BACK, len(days) - 1)
    return Sequence(SequenceInfo(name), tuple(_step(name, t, days, place) for t, place in enumerate(places)))


def _step(name: str, t: int, days: list[Day], place: int) -> Step:
    # The observation is made of these days alone: of nothing after its own.
    seen = days[place - LOOK_BACK : place + 1]
    returns = [_change(one.close, other.close) for one, other in pairwise(seen)]
    before, today = seen[-2:]
    fields = {
        "weekday": f"{today.day:%A}",
        "today": round(returns[-1], 2),
        "went": _direction(returns[-1]),
        "one_day_ago": round(returns[-2], 2),
        "two_days_ago": round(returns[-3], 2),
        "week": round(_change(seen[0].close, today.close), 2),
        "day_range": round(100 * (today.high - today.low) / before.close, 2),
        "volume_change": round(_change(before.volume, today.volume)),
    }
    outcome = _change(today.close, days[place + 1].close)
    target: dict[str, Value] = {"direction": _direction(outcome), "change": round(outcome, 2)}
    return Step(Observation(name, t, fields), target, today.day.isoformat())


def _change(before: float, after: float) -> float:
    """Give a change in percent."""
    return 100 * (after / before - 1)


def _direction(change: float) -> str:
    return "up" if change > 0 else "down"


def _day(row: dict[str, str], path: Path, number: int) -> Day:
    try:
        # No time zone: the file tells the exchange's own days.
        day = datetime.strptime(row["Date"], "%m/%d/%Y").date()  # noqa: DTZ007
        return Day(day, *(float(row[name]) for name in ("High", "Low", "Close", "Volume")))
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}, line {number}: not a trading day ({error})", "install arch again") from error


def _file() -> Path:
    # Found without importing the package, which would import pandas and statsmodels and take seconds.
    spec = find_spec("arch")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("arch", "sp500")
    return Path(spec.submodule_search_locations[0]) / "data" / "sp500" / "sp500.csv.gz"


def _ready() -> str:
    try:
        return "" if _file().is_file() else "arch lacks its file: install it again"
    except MissingExtraError as error:
        return error.hint


SP500 = Dataset(
    name="sp500",
    title="Daily returns of the S&P 500, 1999 to 2018",
    source="Yahoo Finance, as carried by the package arch",
    licence="package NCSA (University of Illinois); index values belong to S&P Dow Jones Indices",
    predicts="the next trading day's return (percent) and its direction (label)",
    size="5,031 trading days",
    load=load,
    ready=_ready,
    steps=20,
    quick_budget=256,
)
