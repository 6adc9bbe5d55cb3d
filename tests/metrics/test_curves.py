"""Prequential curves, and what follows a wrong step."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.figures import LARGEST
from llm_as_rnn.metrics.bands import band
from llm_as_rnn.metrics.curves import by_sequence, curve, regret, running, self_correction
from tests.metrics.steps import step, track

tracks = st.lists(st.lists(st.integers(0, 1).map(float), min_size=1, max_size=8), min_size=1, max_size=4)


def test_a_curve_is_the_mean_over_sequences_of_each_ones_mean_so_far() -> None:
    records = [*track("a", [1, 0, 0, 1]), *track("b", [1, 1])]
    assert curve(records, "score") == [(0, 1.0), (1, 0.75), (2, pytest.approx((1 / 3 + 1) / 2)), (3, 0.75)]


def test_a_window_forgets_what_lies_behind_it() -> None:
    records = [*track("a", [1, 0, 0, 1]), *track("b", [1, 1])]
    assert curve(records, "score", window=2) == [(0, 1.0), (1, 0.75), (2, 0.5), (3, 0.5)]
    assert curve(records, "score", window=1) == [(0, 1.0), (1, 0.5), (2, 0.0), (3, 1.0)]


def test_steps_without_the_score_are_left_out() -> None:
    records = [step(t=0, scores={"score": 1.0}), step(t=1), step(t=2, scores={"score": 0.0})]
    assert curve(records, "score") == [(0, 1.0), (2, 0.5)]
    assert curve(records, "other") == []


@given(tracks, st.integers(1, 9), st.randoms(use_true_random=False))
def test_a_curve_stays_within_its_scores_in_any_order(
    scores: list[list[float]], window: int, rng: random.Random
) -> None:
    records = [record for i, one in enumerate(scores) for record in track(f"s{i}", one)]
    ordered = [curve(records, "score"), curve(records, "score", window)]
    rng.shuffle(records)
    assert [curve(records, "score"), curve(records, "score", window)] == ordered
    assert all(0 <= value <= 1 for points in ordered for _, value in points)
    assert [t for t, _ in ordered[0]] == list(range(max(map(len, scores))))


@given(tracks)
def test_a_window_as_long_as_the_sequence_changes_nothing(scores: list[list[float]]) -> None:
    records = [record for i, one in enumerate(scores) for record in track(f"s{i}", one)]
    assert curve(records, "score", window=8) == curve(records, "score")


def test_self_correction_counts_right_steps_after_wrong_ones_within_a_sequence() -> None:
    records = [*track("a", [0, 1, 0, 0]), *track("b", [1, 0])]
    found = self_correction(by_sequence(records, "score"))
    assert (found.wrong, found.corrected, found.share) == (2, 1, 0.5)


def test_a_step_that_is_not_the_very_next_is_no_correction() -> None:
    records = [step(t=0, scores={"score": 0.0}), step(t=1), step(t=2, scores={"score": 1.0})]
    found = self_correction(by_sequence(records, "score"))
    assert (found.wrong, found.corrected, found.share) == (0, 0, None)


def test_regret_counts_what_the_reference_would_have_saved() -> None:
    ours = {"a": {0: 0.0, 1: 1.0, 2: 0.0}, "b": {0: 0.0, 1: 0.0}, "c": {0: 1.0}}
    theirs = {"a": {0: 1.0, 1: 1.0, 2: 0.0}, "b": {0: 1.0, 1: 1.0, 2: 1.0}}
    found = regret(ours, theirs, higher_is_better=True)
    assert found.rows == [[1.0, 1.0, 1.0], [1.0, 2.0, 2.0]], "b has ended, and keeps its sum; c is not in both"
    assert found.curve == [(0, 1.0), (1, 1.5), (2, 1.5)]
    assert regret(ours, theirs, higher_is_better=False).curve == [(0, -1.0), (1, -1.5), (2, -1.5)]
    assert regret(ours, {}, higher_is_better=True).rows == []


def test_regret_of_the_largest_errors_is_finite() -> None:
    ours, theirs = ({"a": dict.fromkeys(range(50), value)} for value in (LARGEST, -LARGEST))
    assert all(math.isfinite(value) for _, value in regret(ours, theirs, higher_is_better=False).curve)


def test_a_band_lies_around_its_curve_and_is_wider_where_sequences_differ() -> None:
    values = {"a": 0.1, "b": 0.4, "c": 0.7, "d": 1.0}
    tracks = running({name: {0: 0.5, 1: value, 2: value} for name, value in values.items()})
    found = band(tracks)
    assert found[0] == (0, 0.5, 0.5)
    widths = [high - low for _, low, high in found]
    assert widths[0] < widths[1] < widths[2]
    for (t, mean), (same, low, high) in zip(tracks.curve, found, strict=True):
        assert t == same
        assert low <= mean <= high


def test_a_band_takes_two_sequences_at_a_timestep() -> None:
    assert band(running({"a": {0: 0.5}})) == []
    found = band(running({"a": {0: 0.5, 9: 1.0}, "b": {0: 0.25}, "c": {9: 0.5}}, window=2))
    assert [t for t, _, _ in found] == [0, 9]
    assert [t for t, _, _ in band(running({"a": {0: 0.5, 9: 1.0}, "b": {0: 0.25}}, window=2))] == [0]


@pytest.mark.parametrize("few", [2, 3])
def test_a_band_goes_by_the_sequences_that_a_timestep_has(few: int) -> None:
    """Two of twenty tell no more of the truth than two of two."""
    drawing, held = np.random.default_rng(5), 0
    for _ in range(100):
        levels = drawing.normal(size=20)
        scores = {
            f"s{place:02}": {t: level + drawing.normal() for t in range(0 if place < few else 1, 2)}
            for place, level in enumerate(levels)
        }
        (first, low, high), *_ = band(running(scores))
        assert first == 0
        held += low <= 0 <= high
    assert held >= 90


@pytest.mark.parametrize(("sequences", "there"), [(2, [0, 2]), (4, [0, 2]), (6, [0, 1, 2])])
def test_a_band_leaves_out_where_few_curves_meet_by_chance(sequences: int, there: list[int]) -> None:
    rising, falling = {0: 0.0, 1: 1.0, 2: 1.0}, {0: 1.0, 1: 0.0, 2: 0.0}
    found = band(running({f"s{number}": (rising, falling)[number % 2] for number in range(sequences)}))
    assert [t for t, _, _ in found] == there
    same = band(running({f"s{number}": dict.fromkeys(range(3), 0.5) for number in range(sequences)}))
    assert same == [(t, 0.5, 0.5) for t in range(3)], "where nothing differs there is no doubt"
