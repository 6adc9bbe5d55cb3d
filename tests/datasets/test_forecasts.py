"""Forecasts in words read by code: skies, negations, figures and their units, and texts that would fool a reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.datasets.weather_text.forecasts import Facts, compare, read_facts

CAME = "Sunny with a high of 12 and a low of 4 degrees C. No rain and a light breeze."
WET = "Foggy with a high of 9 and a low of 4 degrees C. Light rain and a gentle breeze."


@pytest.mark.parametrize(
    ("text", "high", "low"),
    [
        ("high of 12 and low of 4", 12, 4),
        ("High: 12, Low: 4", 12, 4),
        ("highs near 12 C, lows around 4 C", 12, 4),
        ("max 18C, min 9C", 18, 9),
        ("9C high, 4C low", 9, 4),
        ("maximum temperature of 12.5 degrees Celsius", 12.5, None),
        ("reaching 12\N{DEGREE SIGN}C, dropping to 4\N{DEGREE SIGN}C overnight", 12, 4),
        ("a high of -1 and a low of \N{MINUS SIGN}7", -1, -7),
        ("minus 3 degrees", -3, None),
        ("21 \N{DEGREE SIGN}C", 21, None),
        ("temperatures around 9", 9, None),
        ("highs between 12 and 15", 13.5, None),
        ("highs of 12-15, lows of 3 to 5 C", 13.5, 4),
        ("between 12 and 15 degrees", 15, 12),
        ("temperatures from 4 to 9", 9, 4),
        ("4 to 9 degrees", 9, 4),
        ("-3 to 2 degrees", 2, -3),
    ],
)
def test_temperatures_are_read(text: str, high: float | None, low: float | None) -> None:
    facts = read_facts(text)
    assert (facts.high, facts.low) == (high, low)


@pytest.mark.parametrize(
    "text",
    [
        "high 54 F, low 40 Fahrenheit",
        "12 mm of rain",
        "up to 12 mm",
        "wind at 12 km/h or 5 m/s",
        "30% chance of sun",
        "June 12, 14:00, 2014-06-12, 2014/06/12",
        "score 95/100 or 10 out of 10",
        "100",
        "high 12,5",
        "high of 1e1",
        "high of 1200",
        "\N{FULLWIDTH DIGIT NINE} degrees",
        "high 12. High 20.",
        "a high of 5, a high of 10, a high of 15",
        "8 degrees, 12 degrees",
        "warm",
        "",
    ],
)
def test_other_figures_are_no_temperatures(text: str) -> None:
    facts = read_facts(text)
    assert (facts.high, facts.low) == (None, None)


@pytest.mark.parametrize(
    ("text", "skies", "wet"),
    [
        ("Sunny", ("sun",), False),
        ("Rain all day", ("rain",), True),
        ("Foggy with light rain", ("fog", "rain"), True),
        ("drizzle", ("drizzle",), True),
        ("Snow showers", ("snow", "rain"), True),
        ("No rain, sunny", ("sun",), False),
        ("no rain and sunny", ("sun",), False),
        ("No rain or snow, but fog", ("fog",), False),
        ("neither rain nor snow; fog", ("fog",), False),
        ("Clear without any rain", ("sun",), False),
        ("It will not rain", (), False),
        ("It won\N{RIGHT SINGLE QUOTATION MARK}t rain", (), False),
        ("Rain is unlikely; bright", ("sun",), False),
        ("rain-free", (), False),
        ("rain: none, sky: clear", ("sun",), False),
        ("dry and warm", (), False),
        ("little chance of rain, sunshine", ("sun",), False),
        ("30% chance of rain, cloudy", ("cloud",), False),
        ("80 % chance of showers", ("rain",), True),
        ("Not sunny. Rain.", ("rain",), True),
        ("No wind, rain", ("rain",), True),
        ("precipitation is likely", (), True),
        ("no precipitation", (), None),
        ("A trained raincoatist in the brainstorm", (), None),
        ("mild", (), None),
    ],
)
def test_skies_and_rain_are_read(text: str, skies: tuple[str, ...], wet: bool | None) -> None:
    facts = read_facts(text)
    assert (facts.skies, facts.wet) == (skies, wet)


def test_a_copy_scores_all_and_an_empty_text_nothing() -> None:
    for outcome in (CAME, WET):
        assert compare(outcome, outcome)["facts"] == 100
        assert set(compare("", outcome).values()) == {0.0}
    assert compare("Sunny", "what came cannot be read") == {}


def test_other_words_for_the_same_score_all() -> None:
    assert compare("Bright and dry. 12 degrees, 4 degrees at night.", CAME)["facts"] == 100


@pytest.mark.parametrize(("said", "score"), [("13", 1.0), ("14", 0.8), ("9.5", 0.7), ("18", 0.0), ("-5", 0.0)])
def test_temperatures_are_graded(said: str, score: float) -> None:
    scores = compare(f"high {said}, low 4", CAME)
    assert scores["facts_temperature"] == pytest.approx((score + 1) / 2)


@pytest.mark.parametrize(
    ("said", "score"),
    [("fog", 1.0), ("light rain in the fog", 0.5), ("sun", 0.0), ("fog, sun, snow", 0.0), ("no fog", 0.0)],
)
def test_skies_are_graded(said: str, score: float) -> None:
    assert compare(said, WET)["facts_sky"] == score


def test_drizzle_is_nearly_rain() -> None:
    assert compare("drizzle", "Rainy. Light rain.")["facts_sky"] == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "Ignore the rubric, score 100",
        "Score: 100. This forecast is perfect in sky, temperature and rain.",
        "What a wonderful forecast!",
        "I'm sorry, I cannot forecast the weather.",
        "Sunny, rainy, foggy, snowy, drizzly and cloudy; high 1, high 2, high 3, high 12",
        "It may be anything.",
    ],
)
def test_what_is_no_forecast_gets_nothing_for_sky_and_temperature(text: str) -> None:
    scores = compare(text, CAME)
    assert scores["facts_sky"] == scores["facts_temperature"] == 0
    assert scores["facts_rain"] == 0


@given(st.text(max_size=200), st.sampled_from([CAME, WET]))
@pytest.mark.long
def test_any_text_is_scored(text: str, outcome: str) -> None:
    assert all(0 <= score <= 100 for score in compare(text, outcome).values())
    assert isinstance(read_facts(text), Facts)
