"""Intervals hold the truth about as often as they say, in the simulations of ``benchmarks/coverage.py``."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


@pytest.fixture(name="simulation", scope="module")
def simulation_module() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARK))


@pytest.mark.parametrize(
    ("score", "sequences", "steps", "correlation", "least"),
    [
        ("label", 4, 60, 0.4, 0.92),
        ("label", 6, 60, 0.4, 0.92),
        ("label", 8, 60, 0.4, 0.92),
        ("label", 20, 60, 0.4, 0.92),
        ("error", 4, 60, 0.4, 0.85),  # few skewed means: no interval of four of them is much better
        ("error", 20, 60, 0.4, 0.90),
        ("label", 1, 300, 0.0, 0.92),
        ("label", 1, 300, 0.6, 0.92),
        ("error", 1, 300, 0.6, 0.90),
        ("label", 1, 60, 0.3, 0.92),
    ],
)
def test_an_interval_holds_the_truth_about_as_often_as_it_says(
    simulation: dict[str, Any], score: str, sequences: int, steps: int, correlation: float, least: float
) -> None:
    found = simulation["coverage"](simulation["Case"](score, sequences, steps, correlation), 250)
    share, _ = found["widened"]
    assert least <= share <= 0.985
    assert abs(share - 0.95) <= abs(found["percentile"][0] - 0.95) + 0.01
    assert abs(share - 0.95) <= abs(found["BCa"][0] - 0.95) + 0.01


@pytest.mark.parametrize(
    ("score", "sequences", "baselines", "apart"),
    [
        ("label", 6, 1, 0.0),
        ("label", 4, 5, 0.0),
        ("label", 6, 3, 0.0),
        ("label", 20, 5, 0.0),
        ("label", 6, 5, 0.1),
        ("error", 4, 3, 0.0),
        ("error", 6, 5, 0.0),
        ("error", 20, 3, 0.05),
    ],
)
def test_the_interval_of_a_gain_over_the_strongest_holds_the_truth_whoever_that_is(
    simulation: dict[str, Any], score: str, sequences: int, baselines: int, apart: float
) -> None:
    mean, found = simulation["gain_coverage"](simulation["Choice"](score, sequences, baselines, apart), 150)
    share, _ = found["gain"]
    assert share >= 0.91
    if baselines > 1:
        assert mean < simulation["GAINED"], "the best of several is partly the luckiest"
        assert share >= found["draw's strongest"][0]
    else:
        assert found["gain"] == pytest.approx(found["draw's strongest"])


@pytest.mark.parametrize(
    ("score", "streams", "sequences", "apart"), [("label", 3, 4, 0.1), ("label", 8, 6, 0.0), ("error", 3, 6, 0.1)]
)
def test_the_interval_over_several_streams_holds_the_truth_about_as_often_as_it_says(
    simulation: dict[str, Any], score: str, streams: int, sequences: int, apart: float
) -> None:
    share, _ = simulation["coverage_across"](simulation["Streams"](score, streams, sequences, apart), 250)
    assert 0.92 <= share <= 0.985
