"""Bootstrap intervals by sequence, and of blocks of steps where there is one."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.metrics.estimates import Interval
from llm_as_rnn.metrics.intervals import interval
from llm_as_rnn.metrics.resampling import widening
from tests.metrics.steps import track

FEWEST = 6
"""Fewer sequences that agree may do so by chance."""

scores = st.lists(st.lists(st.floats(0, 1, width=16), min_size=1, max_size=5), min_size=2, max_size=6)


def journal(tracks: list[list[float]], method: str = "m") -> list[StepRecord]:
    return [record for i, one in enumerate(tracks) for record in track(f"s{i}", one, method)]


def test_one_short_sequence_has_no_interval() -> None:
    assert interval(track("a", [0, 1] * 13), "score") is None
    assert interval([], "score") is None


def test_one_long_sequence_has_an_interval_over_its_steps() -> None:
    found = interval(track("a", [0, 1] * 14), "score")
    assert found is not None
    assert found.over == "steps"
    assert found.low < 0.5 < found.high
    two = interval(journal([[0, 1], [1, 1]]), "score")
    assert two is not None
    assert two.over == "sequences"


def test_steps_that_go_together_make_the_interval_of_a_lone_sequence_wider() -> None:
    rng = random.Random(2)
    mixed = [float(rng.random() < 0.5) for _ in range(240)]
    runs = sorted(mixed[:120]) + sorted(mixed[120:])
    wide, narrow = (interval(track("a", one), "score") for one in (runs, mixed))
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


@pytest.mark.parametrize("sequences", [2, 3, 5])
def test_few_sequences_that_agree_though_their_steps_differ_have_no_interval(sequences: int) -> None:
    turned: list[list[float]] = [[0, 1], [1, 0]] * 3
    assert interval(journal(turned[:sequences]), "score") is None
    longer = [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1, 0.1, 0.2, 0.3], [0.2] * 3, [0.2] * 3, [0.2] * 3]
    assert interval(journal(longer[:sequences]), "score") is None, "other sums of the same differ in their last digits"


def test_sequences_that_are_many_or_whose_steps_are_all_equal_leave_no_doubt() -> None:
    assert interval(journal([[0, 1], [1, 0]] * 3), "score") == Interval(0.5, 0.5)
    assert interval(journal([[0.5, 0.5], [0.5]]), "score") == Interval(0.5, 0.5)
    assert interval(track("a", [0.5] * 60), "score") == Interval(0.5, 0.5, "steps")


def test_few_blocks_of_a_lone_sequence_that_agree_have_no_interval() -> None:
    assert interval(track("a", [0, 1] * 30), "score") is None, "each block of twelve is as good as any"
    assert interval(track("a", [0, 1] * 150), "score") == Interval(0.5, 0.5, "steps")


def agree_by_chance(tracks: list[list[float]]) -> bool:
    means, every = [fmean(one) for one in tracks], [score for one in tracks for score in one]
    return len(tracks) < FEWEST and max(means) - min(means) < 1e-9 and max(every) > min(every)


def test_sequences_are_the_unit_not_steps() -> None:
    # As steps these are 40 independent draws; as sequences they are two, and they disagree completely.
    assert interval(journal([[0.0] * 20, [1.0] * 20]), "score") == Interval(0.0, 1.0)


def test_longer_sequences_weigh_more() -> None:
    # In half of the resamples there is one of each.
    found = interval(journal([[1.0] * 9, [0.0]]), "score", level=0.3, draws=4000)
    assert found is not None
    assert [found.low, found.high] == pytest.approx([0.9, 0.9])


@pytest.mark.parametrize("sequences", [3, 7, 40])
def test_an_interval_is_the_widened_percentiles_of_means_of_sequences_drawn_one_by_one(sequences: int) -> None:
    rng = random.Random(sequences)
    tracks = [[rng.random() for _ in range(rng.randrange(1, 4))] for _ in range(sequences)]
    draws = [rng.choices(tracks, k=sequences) for _ in range(20_000)]
    means = sorted(fmean(score for one in drawn for score in one) for drawn in draws)
    mean = fmean(score for one in tracks for score in one)
    found = interval(journal(tracks), "score", level=0.8, draws=20_000)
    assert found is not None
    ends = [mean + widening(sequences, 0.8) * (means[place] - mean) for place in (2_000, 18_000)]
    assert [found.low, found.high] == pytest.approx(ends, abs=0.01)


@settings(max_examples=40)
@given(scores)
def test_an_interval_contains_the_mean_and_lies_within_the_scores(tracks: list[list[float]]) -> None:
    found = interval(journal(tracks), "score", draws=500)
    assert (found is None) is agree_by_chance(tracks)
    if found is None:
        return
    every = [score for one in tracks for score in one]
    assert min(every) - 1e-9 <= found.low <= fmean(every) + 1e-9
    assert fmean(every) - 1e-9 <= found.high <= max(every) + 1e-9


@settings(max_examples=40)
@given(scores, st.randoms(use_true_random=False))
def test_intervals_are_repeatable_nested_and_do_not_depend_on_order(
    tracks: list[list[float]], rng: random.Random
) -> None:
    records = journal(tracks)
    wide, narrow = interval(records, "score", 0.95, 200), interval(records, "score", 0.5, 200)
    rng.shuffle(records)
    assert interval(records, "score", 0.95, 200) == wide
    assert (wide is None) is (narrow is None) is agree_by_chance(tracks)
    if wide is None or narrow is None:
        return
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_the_seed_matters() -> None:
    rng = random.Random(3)
    records = journal([[rng.random() for _ in range(5)] for _ in range(8)])
    assert interval(records, "score", seed=1) != interval(records, "score", seed=2)
