"""Bootstrap intervals by sequence, and paired differences."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.core.records import StepRecord
from llm_as_rnn.metrics.intervals import KEPT, Interval, interval, paired
from tests.metrics.steps import track

scores = st.lists(st.lists(st.floats(0, 1, width=16), min_size=1, max_size=5), min_size=2, max_size=6)


def journal(tracks: list[list[float]], method: str = "m") -> list[StepRecord]:
    return [record for i, one in enumerate(tracks) for record in track(f"s{i}", one, method)]


def test_one_sequence_has_no_interval() -> None:
    assert interval(track("a", [0, 1, 0, 1]), "score") is None
    assert interval([], "score") is None


def test_equal_sequences_leave_no_doubt() -> None:
    assert interval(journal([[0, 1], [1, 0], [0, 1]]), "score") == Interval(0.5, 0.5)


def test_sequences_are_the_unit_not_steps() -> None:
    # As steps these are 40 independent draws; as sequences they are two, and they disagree completely.
    assert interval(journal([[0.0] * 20, [1.0] * 20]), "score") == Interval(0.0, 1.0)


def test_longer_sequences_weigh_more() -> None:
    found = interval(journal([[1.0] * 9, [0.0]]), "score", level=0.3, draws=4000)
    assert found is not None
    assert [found.low, found.high] == pytest.approx([0.9, 0.9])


@pytest.mark.parametrize("sequences", [2, 3, 7, KEPT + 1])
def test_intervals_are_those_of_sequences_drawn_one_by_one(sequences: int) -> None:
    rng = random.Random(sequences)
    tracks = [[rng.random() for _ in range(rng.randrange(1, 4))] for _ in range(sequences)]
    drawing, records = random.Random(5), [track(f"s{i:03}", one) for i, one in enumerate(tracks)]
    means = sorted(
        math.fsum(map(math.fsum, drawn)) / sum(map(len, drawn))
        for drawn in (drawing.choices(tracks, k=sequences) for _ in range(41))
    )
    found = interval([record for one in records for record in one], "score", level=0.9, draws=41, seed=5)
    assert found is not None
    assert [found.low, found.high] == pytest.approx([means[2], means[38]], rel=1e-12)


@settings(max_examples=40)
@given(scores)
def test_the_widest_interval_contains_the_mean_and_lies_within_the_sequences(tracks: list[list[float]]) -> None:
    found = interval(journal(tracks), "score", level=1.0, draws=500)
    assert found is not None
    means = [fmean(one) for one in tracks]
    pooled = fmean(score for one in tracks for score in one)
    assert min(means) - 1e-9 <= found.low <= pooled + 1e-9
    assert pooled - 1e-9 <= found.high <= max(means) + 1e-9


@settings(max_examples=40)
@given(scores, st.randoms(use_true_random=False))
def test_intervals_are_repeatable_nested_and_do_not_depend_on_order(
    tracks: list[list[float]], rng: random.Random
) -> None:
    records = journal(tracks)
    wide, narrow = interval(records, "score", 0.95, 200), interval(records, "score", 0.5, 200)
    rng.shuffle(records)
    assert interval(records, "score", 0.95, 200) == wide
    assert wide is not None
    assert narrow is not None
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_the_seed_matters() -> None:
    rng = random.Random(3)
    records = journal([[rng.random() for _ in range(5)] for _ in range(8)])
    assert interval(records, "score", seed=1) != interval(records, "score", seed=2)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, hits = random.Random(0), 0
    for _ in range(200):
        shifts = [rng.gauss(0, 1) for _ in range(20)]
        found = interval(
            journal([[shift + rng.gauss(0, 0.3) for _ in range(4)] for shift in shifts]), "score", 0.9, 300
        )
        assert found is not None
        hits += found.low <= 0 <= found.high
    assert 0.8 <= hits / 200 <= 0.97


def test_a_paired_difference_uses_the_steps_that_both_have() -> None:
    records = [*journal([[1, 1, 1], [1, 1]], "a"), *journal([[0, 1], [1, 0, 0]], "b"), *journal([[9, 9]], "c")]
    found = paired(records, "a", "b", "score")
    assert found is not None
    assert (found.mean, found.steps, found.sequences) == (0.5, 4, 2)
    assert found.interval == Interval(0.5, 0.5)


def test_pairing_removes_what_sequences_have_in_common() -> None:
    hard, easy = [0.1, 0.2], [0.8, 0.9]
    better = [[score + 0.1 for score in one] for one in (hard, easy)]
    found = paired([*journal(better, "a"), *journal([hard, easy], "b")], "a", "b", "score")
    assert found is not None
    assert found.interval is not None
    assert found.interval.low == pytest.approx(0.1)
    assert found.interval.high == pytest.approx(0.1)


def test_a_paired_difference_needs_a_shared_step_and_two_sequences_for_an_interval() -> None:
    assert paired([*track("x", [1], "a"), *track("y", [1], "b")], "a", "b", "score") is None
    found = paired([*track("x", [1, 0], "a"), *track("x", [0, 0], "b")], "a", "b", "score")
    assert found is not None
    assert (found.mean, found.interval) == (0.5, None)


@given(scores, scores)
def test_swapping_the_methods_turns_the_sign(ours: list[list[float]], theirs: list[list[float]]) -> None:
    records = [*journal(ours, "a"), *journal(theirs, "b")]
    one, other = paired(records, "a", "b", "score", draws=50), paired(records, "b", "a", "score", draws=50)
    assert one is not None
    assert other is not None
    assert one.mean == pytest.approx(-other.mean)
    assert (one.steps, one.sequences) == (other.steps, other.sequences)
