"""Methods compared on the same steps: differences, their tests, and the gain over the strongest."""

from __future__ import annotations

import random
from itertools import product
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, ttest_ind

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.metrics.comparisons import across, corrected, gain, paired
from llm_as_rnn.metrics.curves import Scores, by_sequence, strongest
from llm_as_rnn.metrics.estimates import Interval, PairedDifference
from llm_as_rnn.metrics.resampling import EXACT, sign_flip
from tests.metrics.steps import track

scores = st.lists(st.lists(st.floats(0, 1, width=16), min_size=1, max_size=5), min_size=2, max_size=6)
ACCURACY = Metric("score", "score", "score", "sky", "share of right answers")
ERROR = Metric("score", "score", "score", "high", "mean error", higher_is_better=False)


def journal(tracks: list[list[float]], method: str = "m") -> list[StepRecord]:
    return [record for i, one in enumerate(tracks) for record in track(f"s{i:03}", one, method)]


def scored(tracks: list[list[float]]) -> Scores:
    return by_sequence(journal(tracks), "score")


def test_a_paired_difference_uses_the_steps_that_both_have() -> None:
    records = [*journal([[1, 1, 1], [1, 1]], "a"), *journal([[0, 1], [0, 0, 0]], "b"), *journal([[9, 9]], "c")]
    found = paired(records, "a", "b", "score")
    assert found is not None
    assert (found.mean, found.steps, found.sequences) == (0.75, 4, 2)
    assert found.interval == Interval(0.0, 1.0)


def test_few_sequences_with_the_same_difference_have_no_interval_but_their_test() -> None:
    found = paired([*journal([[1, 1], [1, 1]], "a"), *journal([[0, 1], [1, 0]], "b")], "a", "b", "score")
    assert found is not None
    assert (found.mean, found.interval, found.p) == (0.5, None, 0.5)


def test_methods_that_answer_alike_differ_by_nothing_for_sure() -> None:
    found = paired([*journal([[1, 0], [0, 0]], "a"), *journal([[1, 0], [0, 0]], "b")], "a", "b", "score")
    assert found is not None
    assert (found.mean, found.interval, found.p) == (0.0, Interval(0.0, 0.0), 1.0)


def test_pairing_removes_what_sequences_have_in_common() -> None:
    hard, easy = [0.1, 0.2], [0.8, 0.9]
    better = [[score + 0.1 for score in one] for one in (hard, easy)]
    found = paired([*journal(better, "a"), *journal([hard, easy], "b")], "a", "b", "score")
    assert found is not None
    assert found.interval is not None
    assert found.interval.low == pytest.approx(0.1)
    assert found.interval.high == pytest.approx(0.1)


def test_a_paired_difference_needs_a_shared_step_and_two_sequences_or_many_steps_for_an_interval() -> None:
    assert paired([*track("x", [1], "a"), *track("y", [1], "b")], "a", "b", "score") is None
    found = paired([*track("x", [1, 0], "a"), *track("x", [0, 0], "b")], "a", "b", "score")
    assert found is not None
    assert (found.mean, found.interval, found.p) == (0.5, None, None)
    found = paired([*track("x", [1, 0, 0] * 14, "a"), *track("x", [0, 0, 0] * 14, "b")], "a", "b", "score")
    assert found is not None
    assert found.interval is not None
    assert (found.interval.over, found.other) == ("steps", "b")
    assert found.p is not None


@given(scores, scores)
def test_swapping_the_methods_turns_the_sign(ours: list[list[float]], theirs: list[list[float]]) -> None:
    records = [*journal(ours, "a"), *journal(theirs, "b")]
    one, other = paired(records, "a", "b", "score", draws=50), paired(records, "b", "a", "score", draws=50)
    assert one is not None
    assert other is not None
    assert one.mean == pytest.approx(-other.mean)
    assert (one.steps, one.sequences) == (other.steps, other.sequences)


def test_the_p_value_is_the_share_of_signs_that_do_as_much() -> None:
    rng = random.Random(4)
    differences = [rng.gauss(0.4, 1) for _ in range(7)]
    found = paired([*journal([[d] for d in differences], "a"), *journal([[0.0]] * 7, "b")], "a", "b", "score")
    assert found is not None
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in product((1, -1), repeat=7)]
    assert found.p == pytest.approx(fmean(total >= abs(sum(differences)) - 1e-12 for total in sums))


@pytest.mark.parametrize("sequences", [4, 6, 12, 20])
def test_the_smallest_p_value_is_that_of_all_sequences_going_one_way(sequences: int) -> None:
    found = paired([*journal([[1.0]] * sequences, "a"), *journal([[0.0]] * sequences, "b")], "a", "b", "score")
    assert found is not None
    assert found.p == pytest.approx(max(2 / 2**sequences, 2e-4))


def test_equal_methods_have_no_small_p_value() -> None:
    found = paired([*journal([[1.0, 0.0]] * 8, "a"), *journal([[1.0, 0.0]] * 8, "b")], "a", "b", "score")
    assert found is not None
    assert (found.mean, found.p) == (0.0, 1.0)


@pytest.mark.parametrize("sequences", [8, EXACT + 1])
def test_p_values_of_equal_methods_are_small_as_seldom_as_they_say(sequences: int) -> None:
    differences = np.random.default_rng(sequences).normal(size=(sequences, 300))
    found = sign_flip(differences, np.arange(sequences))
    assert found is not None
    assert 0.05 <= np.mean(found <= 0.1) <= 0.15


def test_p_values_of_a_table_are_corrected_for_each_other_and_those_that_are_not_tested_stay_so() -> None:
    plain = {name: PairedDifference(1.0, None, 5, 5, p=p) for name, p in (("a", 0.01), ("b", 0.04), ("c", 0.03))}
    found = corrected({**plain, "d": PairedDifference(1.0, None, 5, 1)})
    assert {name: one.p_holm for name, one in found.items()} == {"a": 0.03, "b": 0.06, "c": 0.06, "d": None}


def test_the_strongest_has_the_best_mean_whichever_way_is_better() -> None:
    others = {"x": scored([[0.1], [0.5]]), "y": scored([[0.4], [0.4]]), "none": {}}
    assert strongest(others, ACCURACY) == "y"
    assert strongest(others, ERROR) == "x"
    assert strongest({"none": {}}, ERROR) is None


def test_a_gain_is_relative_to_the_strongest_and_positive_where_better() -> None:
    others = {"x": scored([[0.2, 0.2], [0.2, 0.2]]), "y": scored([[0.4, 0.4], [0.4, 0.4]])}
    up = gain(scored([[0.5, 0.5], [0.5, 0.5]]), others, ACCURACY)
    assert up is not None
    assert (up.strongest, up.steps, up.sequences) == ("y", 4, 2)
    assert up.value == pytest.approx(0.25)
    assert up.interval is not None
    assert [up.interval.low, up.interval.high] == pytest.approx([0.25, 0.25])
    down = gain(scored([[0.1, 0.1], [0.1, 0.1]]), others, ERROR)
    assert down is not None
    assert down.strongest == "x"
    assert down.value == pytest.approx(0.5)


@given(st.integers(0, 2**32), st.integers(2, 8), st.integers(1, 4), st.booleans())
def test_the_interval_of_a_gain_is_no_narrower_for_there_being_a_choice(
    seed: int, sequences: int, baselines: int, up: bool
) -> None:
    rng, metric = np.random.default_rng(seed), ACCURACY if up else ERROR
    ours, *theirs = (scored(rng.uniform(0.2, 1, (sequences, 6)).tolist()) for _ in range(1 + baselines))
    alone = [gain(ours, {"b": one}, metric, draws=300) for one in theirs]
    found = gain(ours, {f"b{i}": one for i, one in enumerate(theirs)}, metric, draws=300)
    assert found is not None
    assert found.interval is not None
    each = [(one.value, one.interval) for one in alone if one is not None and one.interval is not None]
    assert found.value == pytest.approx(min(value for value, _ in each))
    chosen = min(each, key=lambda pair: pair[0])
    assert found.interval.low <= chosen[1].low + 1e-9
    assert found.interval.low - 1e-9 <= found.value <= found.interval.high + 1e-9
    assert found.interval.high >= min(ends.high for _, ends in each) - 1e-9


def test_a_gain_over_one_that_is_hardly_ever_right_is_bounded_by_the_others() -> None:
    others = {"x": scored([[0.0, 0.0], [0.0, 0.1], [0.0, 0.0]]), "y": scored([[0.4, 0.4], [0.5, 0.4], [0.4, 0.3]])}
    ours = scored([[0.5, 0.5], [0.6, 0.5], [0.5, 0.6]])
    found, alone = gain(ours, others, ACCURACY), gain(ours, {"y": others["y"]}, ACCURACY)
    assert found is not None
    assert alone is not None
    assert found.interval is not None
    assert alone.interval is not None
    assert found.interval.low == alone.interval.low
    assert alone.interval.high < found.interval.high < 10
    assert gain(ours, {**others, "z": scored([[0.0, 0.0]] * 3)}, ACCURACY) is not None


def test_a_gain_of_few_sequences_that_agree_by_chance_has_no_interval() -> None:
    ours, others = scored([[1.0, 0.0], [0.0, 1.0]]), {"x": scored([[0.1, 0.3], [0.2, 0.2]])}
    found = gain(ours, others, ACCURACY)
    assert found is not None
    assert found.value == pytest.approx(1.5)
    assert found.interval is None


def test_there_is_no_gain_over_nothing() -> None:
    assert gain(scored([[1.0], [1.0]]), {"x": scored([[0.0], [0.0]])}, ACCURACY) is None
    assert gain(scored([[1.0], [1.0]]), {}, ACCURACY) is None
    found = gain(scored([[1.0], [1.0]]), {"x": scored([[0.0], [1.0]])}, ACCURACY)
    assert found is not None
    assert (found.value, found.interval) == (1.0, None)


def test_an_interval_of_a_difference_stays_within_the_differences() -> None:
    found = paired([*journal([[1.0] * 4, [0.0] * 4], "a"), *journal([[0.0] * 4] * 2, "b")], "a", "b", "score")
    assert found is not None
    assert found.interval == Interval(0.0, 1.0)


def test_streams_together_count_alike_however_many_sequences_they_have() -> None:
    few, many = [[1.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    found = across([(scored(one), scored([[0.0, 0.0]] * len(one))) for one in (few, many)])
    assert found is not None
    assert found.mean == pytest.approx((0.75 + 0.125) / 2)
    assert (found.steps, found.sequences) == (12, 6)


def test_one_stream_of_equally_long_sequences_has_the_interval_of_students_t() -> None:
    differences = [0.3, 0.1, 0.5, 0.2, -0.1]
    found = across([(scored([[one, one] for one in differences]), scored([[0.0, 0.0]] * 5))])
    alone = ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert found is not None
    assert found.interval is not None
    assert [found.interval.low, found.interval.high] == pytest.approx([alone.low, alone.high])


def test_two_streams_have_the_interval_of_welch() -> None:
    ups, downs = [0.3, 0.1, 0.5, 0.2], [0.05, -0.1, 0.02, 0.04, 0.0, 0.01]
    found = across(
        [(scored([[one] for one in ups]), scored([[0.0]] * 4)), (scored([[0.0]] * 6), scored([[d] for d in downs]))]
    )
    welch = ttest_ind(ups, downs, equal_var=False).confidence_interval(0.95)
    assert found is not None
    assert found.interval is not None
    assert [found.interval.low, found.interval.high] == pytest.approx([welch.low / 2, welch.high / 2])


def test_streams_together_can_tell_what_none_of_them_can() -> None:
    small = [(scored([[0.3], [0.2], [0.1], [0.25]]), scored([[0.1], [0.1], [0.05], [0.1]]))] * 3
    alone, together = across(small[:1]), across(small)
    assert alone is not None
    assert together is not None
    assert (alone.p, together.p) == (0.125, 2 / 2**12)


def test_what_no_stream_has_two_sequences_of_is_not_compared() -> None:
    assert across([]) is None
    assert across([(scored([[1.0] * 40]), scored([[0.0] * 40]))]) is None
    assert across([(scored([[1.0], [1.0]]), {})]) is None
    left_out, others = (scored([[1.0] * 40]), scored([[0.0] * 40])), (scored([[1.0], [1.0]]), scored([[0.0], [0.5]]))
    several = across([left_out, others, others])
    assert several is not None and several.streams == 2, "the one that is left out is not counted"
    found = across([(scored([[1.0], [1.0]]), scored([[0.0], [0.0]]))])
    assert found is not None
    assert (found.mean, found.interval, found.p) == (1.0, None, 0.5)


@given(st.lists(st.lists(st.integers(1, 4), min_size=2, max_size=5), min_size=1, max_size=3))
def test_streams_whose_sequences_all_agree_have_no_interval_however_sums_are_rounded(streams: list[list[int]]) -> None:
    told = [
        (scored([[1.0, 0.0, 1.0] * length for length in one]), scored([[0.0] * 3 * length for length in one]))
        for one in streams
    ]
    found = across(told)
    assert found is not None
    assert found.mean == pytest.approx(2 / 3)
    assert found.interval is None


def test_of_scores_that_may_be_below_nothing_there_is_no_gain() -> None:
    rising, falling = [[0.2, 0.3], [0.1, 0.4]], [[-1.0, 0.1], [-2.0, 0.3]]
    for metric in (ACCURACY, ERROR):
        assert gain(scored(rising), {"a": scored(rising)}, metric) is not None
        assert gain(scored(falling), {"a": scored(rising)}, metric) is None
        assert gain(scored(rising), {"a": scored(rising), "b": scored(falling)}, metric) is None
