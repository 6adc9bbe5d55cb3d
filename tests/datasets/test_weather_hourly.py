"""The weather of New York's airports as sequences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.weather_hourly import (
    AIRPORTS,
    NOT_MEASURED,
    STANDARD_TIME,
    WEATHER_HOURLY,
    WIND_LIMIT,
    Station,
    _file,
    is_whole,
    load,
    read_hours,
    sequence,
)

HEADER = "origin,temp,dewp,humid,wind_speed,precip,pressure,visib,time_hour\n"


@cache
def stations() -> dict[str, Station]:
    return read_hours(_file())


def begin(name: str) -> datetime:
    """Tell a sequence's first hour, in UTC, from its name."""
    return datetime.strptime(f"2013-{name[4:]}", "%Y-%m-%d-%H").replace(tzinfo=UTC) - STANDARD_TIME


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 8), st.integers(1, 30), st.integers(0, 1000), st.sampled_from(["development", "held_out"]))
@pytest.mark.long
def test_sequences_have_no_gap_and_share_no_hour(sequences: int, steps: int, seed: int, split: str) -> None:
    found = load(Selection(sequences, steps, seed, split))  # type: ignore[arg-type]
    assert len(found) == sequences
    used: set[datetime] = set()
    for one in found:
        hours, first = stations()[one.info.id[:3]], begin(one.info.id)
        span = [first + timedelta(hours=i - 5) for i in range(6 * steps + 6)]
        assert all(hour in hours for hour in span)
        assert not used & set(span)
        used |= set(span)
        assert {(hour + STANDARD_TIME).month % 2 for hour in span} == {1 if split == "development" else 0}
        assert len({(hour + STANDARD_TIME).month for hour in span}) == 1
        assert one.info.about == {"place": AIRPORTS[one.info.id[:3]]}
        for t, (now, then) in enumerate(pairwise(one.steps)):
            seen = then.observation.fields
            assert now.target == {"rain": seen["rained"], "temperature": seen["temperature"]}
            assert now.observation.t == t
            assert (seen["hour"] - now.observation.fields["hour"]) % 24 == 6


def test_figures_are_those_of_the_file() -> None:
    hours = stations()["EWR"]
    noon = datetime(2013, 1, 2, 17, tzinfo=UTC)
    step = sequence("EWR", stations(), [noon, noon + timedelta(hours=6)]).steps[0]
    # 2013-01-02T17:00Z in the file: 32 F, dew point 12.92 F, 12.66 mph.
    assert step.observation.fields["temperature"] == 0.0
    assert step.observation.fields["dew_point"] == -10.6
    assert step.observation.fields["wind"] == 5.7
    assert (step.observation.fields["date"], step.observation.fields["hour"]) == ("January 2", 12)
    wet = next(time for time, hour in hours.items() if hour.rain > 1)
    around = [wet + timedelta(hours=h) for h in (-6, -1, 5)]
    told = [sequence("EWR", stations(), [now, now + timedelta(hours=6)]).steps[0] for now in around]
    assert told[1].target is not None
    assert told[1].target["rain"] == "yes"
    assert told[2].observation.fields["rained"] == "yes"
    assert told[2].observation.fields["rain"] == round(sum(hours[wet + timedelta(hours=h)].rain for h in range(6)), 1)


def test_nothing_after_an_hour_changes_what_is_seen_up_to_it() -> None:
    first = datetime(2013, 6, 1, 5, tzinfo=UTC)
    span = [first + timedelta(hours=6 * i) for i in range(9)]
    changed = {
        time: hour if time <= span[3] else hour._replace(temperature=-9.0, rain=9.0, pressure=None, wind=1.0)
        for time, hour in stations()["JFK"].items()
    }
    before, after = sequence("JFK", stations(), span), sequence("JFK", {"JFK": changed}, span)
    assert before.info == after.info
    assert [s.observation for s in before.steps[:4]] == [s.observation for s in after.steps[:4]]
    assert [s.target for s in before.steps[:3]] == [s.target for s in after.steps[:3]]
    assert before.steps[3].target != after.steps[3].target
    assert before.steps[4].observation != after.steps[4].observation


def test_a_gap_or_a_missing_temperature_is_no_sequence() -> None:
    first = datetime(2013, 6, 1, 5, tzinfo=UTC)
    span = [first, first + timedelta(hours=6)]
    hours = stations()["LGA"]
    assert is_whole(hours, span)
    for missing in (-5, 3, 6):
        assert not is_whole({time: h for time, h in hours.items() if time != first + timedelta(hours=missing)}, span)
    assert is_whole({time: h for time, h in hours.items() if time != first - timedelta(hours=6)}, span)
    assert not is_whole({**hours, span[1]: hours[span[1]]._replace(temperature=None)}, span)


@pytest.mark.long
def test_every_airport_and_both_parts_are_there() -> None:
    found = load(Selection(20, 24))
    assert {one.info.id[:3] for one in found} == set(AIRPORTS)
    assert not {one.info.id[4:6] for one in found} & {
        one.info.id[4:6] for one in load(Selection(20, 24, 0, "held_out"))
    }
    assert load(Selection(4, 8, 1)) == load(Selection(4, 8, 1))
    assert load(Selection(4, 8, 1)) != load(Selection(4, 8, 2))
    assert WEATHER_HOURLY.ready() == ""


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    assert max(hour.wind or 0 for station in stations().values() for hour in station.values()) < WIND_LIMIT
    path = tmp_path / "weather.csv"
    rows = [f"EWR,50,NA,60,{1048 if i == 5 else 10},0,NA,10,2013-01-01T{i:02}:00:00Z\n" for i in range(12)]
    path.write_text(HEADER + "".join(rows))
    first = datetime(2013, 1, 1, 5, tzinfo=UTC)
    (step,) = sequence("EWR", read_hours(path), [first, first + timedelta(hours=6)]).steps
    fields = step.observation.fields
    assert [fields[name] for name in ("dew_point", "wind", "pressure")] == [NOT_MEASURED] * 3
    assert "pressure not measured" in load_task("weather-hourly").show(step.observation, "line", {"place": "x"})
    assert msgspec.json.decode(msgspec.json.encode(step), type=type(step)) == step


def test_too_many_sequences_are_refused_with_what_there_is() -> None:
    with pytest.raises(DatasetError, match="hours without a gap for 6 development sequences of 100 steps, not 7"):
        load(Selection(7, 100))


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "weather.csv"
    row = "EWR,50,40,60,10,0,1000,10,2013-01-01T01:00:00Z\n"
    path.write_text(HEADER + row + row.replace("50", "x"))
    with pytest.raises(DatasetError, match="line 3"):
        read_hours(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_hours(tmp_path / "none.csv")
