"""Intervals and sets: they hold as often as they say, on streams of every kind and on adversarial ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llm_as_rnn.core.fields import Label, Number, Ranked
from llm_as_rnn.trust.intervals import (
    LIMIT,
    WINDOW,
    Reach,
    Tracker,
    among,
    counted,
    interval,
    most_misses,
    option_of,
    ranking,
    reached,
    scores,
    threshold,
    tracked,
)

HIGH = Number("high", low=-40, high=40)
SKY = Label("sky", options=("fog", "rain", "snow", "sun"))
COVERAGE = 0.9

Outcome = Callable[[int, float, float], float]
"""What comes at a step, of the ends of what was said: an adversary sees them."""


def live(outcome: Outcome, steps: int, coverage: float = COVERAGE, delay: int = 0) -> tuple[list[bool], list[float]]:
    """Give which outcomes lay in their intervals, and how wide these were; the answer is always 0."""
    tracker, reach = Tracker(), Reach()
    hits: list[bool] = []
    widths: list[float] = []
    out: list[tuple[float, bool]] = []
    for t in range(steps + delay):
        if t < steps:
            low, high = interval(HIGH, tracker, reach, 0.0, coverage)
            came = outcome(t, low, high)
            hits.append(low <= came <= high)
            widths.append(high - low)
            out.append((came, hits[-1]))
        if t >= delay:
            came, hit = out[t - delay]
            tracker = tracked(tracker, abs(came), covered=hit, coverage=coverage)
            reach = reached(HIGH, reach, 0.0, came)
    assert len(tracker.recent) <= WINDOW
    return hits, widths


RANDOM = np.random.default_rng(7)
NORMAL = RANDOM.standard_normal(300)
WAVES = np.sin(np.arange(300) * 2 * math.pi / 24)
STREAMS: dict[str, np.ndarray] = {
    "even": NORMAL * 2,
    "whole numbers": np.round(NORMAL),
    "mostly exact": np.round(NORMAL * 0.6),
    "exact four times in five": np.where(RANDOM.random(300) < 0.8, 0, NORMAL * 3),
    "heavy tails": RANDOM.standard_t(2, 300),
    "no mean": RANDOM.standard_cauchy(300),
    "growing": NORMAL * np.linspace(0.5, 8, 300),
    "shrinking": NORMAL * np.linspace(8, 0.5, 300),
    "a jump up": NORMAL * np.where(np.arange(300) < 150, 1, 6),
    "a jump down": NORMAL * np.where(np.arange(300) < 150, 6, 1),
    "calm and storm": NORMAL * np.where(np.arange(300) // 25 % 2, 1, 5),
    "seasons": NORMAL * (1.5 + WAVES),
    "errors in a row": np.convolve(RANDOM.standard_normal(349), 0.9 ** np.arange(50), "valid"),
    "skewed": RANDOM.exponential(2, 300),
    "ever further off": np.arange(300) * 0.1 + NORMAL,
}


@pytest.mark.parametrize("name", STREAMS)
def test_after_300_steps_coverage_is_what_was_asked_for(name: str) -> None:
    hits, _ = live(lambda t, low, high: float(STREAMS[name][t]), 300)
    assert 0.88 <= sum(hits) / 300 <= 0.92


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95, 0.99])
def test_another_coverage_can_be_asked_for(coverage: float) -> None:
    hits, _ = live(lambda t, low, high: float(STREAMS["even"][t]), 300, coverage)
    assert sum(hits) / 300 == pytest.approx(coverage, abs=0.02)


def test_the_first_interval_is_the_whole_range_and_the_later_ones_as_wide_as_need_be() -> None:
    _, widths = live(lambda t, low, high: float(STREAMS["even"][t]), 300)
    assert widths[:9] == [80.0] * 9
    assert np.median(widths[9:]) == pytest.approx(2 * 2 * 1.645, rel=0.2)  # of a normal distribution, 2 wide


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from(["in", "out", "far"]), st.floats(-40, 40)), min_size=1, max_size=200),
    st.sampled_from([0.5, 0.9, 0.95]),
    st.integers(0, 6),
)
def test_no_adversary_within_the_range_has_more_misses_than_the_bound(
    plan: list[str | float], coverage: float, delay: int
) -> None:
    def outcome(t: int, low: float, high: float) -> float:
        told = plan[t]
        if isinstance(told, float):
            return told
        outside = [end for end in (-40.0, 40.0, math.nextafter(high, 99), math.nextafter(low, -99)) if abs(end) <= 40]
        missing = [end for end in outside if not low <= end <= high]
        return {"in": 0.0, "out": missing[-1] if missing else high, "far": missing[0] if missing else low}[told]

    hits, _ = live(outcome, len(plan), coverage, delay)
    for t in range(1, len(hits) + 1):
        assert t - sum(hits[:t]) <= most_misses(coverage, t, delay) + 1e-6


@pytest.mark.parametrize("delay", [0, 5])
def test_who_always_misses_if_he_can_has_no_more_than_the_bound_in_the_long_run(delay: int) -> None:
    hits, _ = live(
        lambda t, low, high: next((end for end in (-40.0, 40.0) if not low <= end <= high), 0.0), 3000, 0.9, delay
    )
    assert 3000 - sum(hits) <= most_misses(0.9, 3000, delay)
    assert sum(hits) / 3000 == pytest.approx(0.9, abs=0.01)


def test_nor_is_coverage_above_what_was_asked_for_without_end() -> None:
    """Outcomes as near as can be, but never the answer: an adversary who makes intervals too wide if he can."""
    hits, _ = live(lambda t, low, high: 1e-9, 3000)
    assert 3000 - sum(hits) >= 0.1 * 3000 - LIMIT - 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=120))
def test_outcomes_from_anywhere_add_no_more_than_what_is_said(outcomes: list[float]) -> None:
    hits, _ = live(lambda t, low, high: outcomes[t], len(outcomes))
    largest = max(map(abs, outcomes))
    further = max(0.0, 2 + math.log2(max(largest, 1e-9) / 80)) + 1
    assert len(hits) - sum(hits) <= most_misses(0.9, len(hits)) + further


def test_until_an_outcome_comes_from_outside_nothing_outside_is_said() -> None:
    wide = Tracker(steps=20, quantile=30.0, recent=(30.0,))
    assert interval(HIGH, wide, Reach(), 25.0, COVERAGE) == (-5.0, 40.0)
    assert interval(HIGH, wide, Reach(is_outside=True), 25.0, COVERAGE) == (-5.0, 55.0)
    assert reached(HIGH, Reach(), 25.0, 41.0) == Reach(16.0, is_outside=True)
    assert interval(HIGH, Tracker(), Reach(100.0, is_outside=True), 25.0, COVERAGE) == (-175.0, 225.0)
    assert interval(HIGH, Tracker(), Reach(), 60.0, COVERAGE) == (-40.0, 60.0), "an answer is in its own interval"


@settings(max_examples=200, deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e308), st.floats(-1, 1), st.sampled_from([-1, 1])
)
def test_whatever_is_no_farther_than_the_threshold_lies_in_the_interval(
    answer: float, distance: float, share: float, side: int
) -> None:
    known = Tracker(steps=20, quantile=distance, recent=(distance,))
    low, high = interval(HIGH, known, Reach(is_outside=True), answer, COVERAGE)
    assert low <= answer <= high
    for came in (answer + share * distance, answer + side * distance):
        if math.isfinite(came) and abs(Fraction(came) - Fraction(answer)) <= Fraction(distance):
            assert low <= came <= high
    room = Fraction(distance) * (1 + Fraction(1, 10**8)) + 4 * Fraction(math.ulp(max(abs(answer), distance)))
    assert Fraction(high) - Fraction(answer) <= room and Fraction(answer) - Fraction(low) <= room


def test_no_end_is_a_zero_with_a_minus() -> None:
    share = Number("share", low=0, high=40)
    for answer in (4.0, -4.0):
        known = Tracker(steps=20, quantile=4.0, recent=(4.0,))
        ends = interval(share, known, Reach(is_outside=True), answer, COVERAGE)
        assert str(ends) == ("(0.0, 8.0)" if answer > 0 else "(-8.0, 0.0)")
    said = {str(interval(share, Tracker(), Reach(), answer / 10, COVERAGE)) for answer in range(401)}
    assert said == {"(0.0, 40.0)"}


def test_large_numbers_have_as_many_digits_as_the_distance_needs() -> None:
    field = Number("at", low=0, high=1735689600123, decimals=0)
    assert interval(field, Tracker(), Reach(), 1735689600120.0, COVERAGE) == (0.0, 1735689600123.0)
    known = Tracker(steps=20, quantile=2.5, recent=(2.5,))
    assert interval(field, known, Reach(), 1735689600100.0, COVERAGE) == (1735689600097.5, 1735689600102.5)
    tracker, reach, random, misses = Tracker(), Reach(), Random(5), 0
    for _ in range(120):
        came, answer = (float(1735689600123 - random.randrange(6)) for _ in range(2))
        low, high = interval(field, tracker, reach, answer, COVERAGE)
        covered = low <= came <= high
        misses += not covered
        tracker = tracked(tracker, abs(came - answer), covered=covered, coverage=COVERAGE)
        reach = reached(field, reach, answer, came)
    assert misses <= most_misses(COVERAGE, 120)


@settings(max_examples=100, deadline=None)
@given(
    st.floats(-1e16, 1e16),
    st.floats(1e-3, 1e16),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans()), min_size=1, max_size=80),
)
def test_the_bound_holds_over_all_steps_whatever_the_range_and_whoever_fails(
    low: float, width: float, plan: list[tuple[float, float, bool]]
) -> None:
    """Outcomes within the range; where a step has no answer its interval is the range, and the tracker is not told."""
    assume(math.isfinite(low + width) and low < low + width)
    field = Number("at", low=low, high=low + width, decimals=20)
    tracker, reach, misses = Tracker(), Reach(), 0
    for place, (one, other, fails) in enumerate(plan):
        answer, came = (min(max(low + share * width, low), field.high) for share in (one, other))
        ends = interval(field, tracker, reach, None if fails else answer, COVERAGE)
        assert field.low <= ends[0] <= ends[1] <= field.high
        if fails:
            assert ends == (field.low, field.high)
            continue
        misses += not ends[0] <= came <= ends[1]
        tracker = tracked(tracker, abs(came - answer), covered=ends[0] <= came <= ends[1], coverage=COVERAGE)
        assert misses <= most_misses(COVERAGE, place + 1) + 1e-6


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.floats(-40, 40)),
        min_size=1,
        max_size=120,
    )
)
def test_without_an_answer_outcomes_from_outside_are_missed_no_more_often_than_is_said(
    plan: list[tuple[float, bool, float]],
) -> None:
    tracker, reach, misses, largest = Tracker(), Reach(), 0, 0.0
    for came, fails, answer in plan:
        said = None if fails else answer
        low, high = interval(HIGH, tracker, reach, said, COVERAGE)
        covered = low <= came <= high
        misses += not covered
        largest = max(largest, abs(came) + 40)
        if not fails:
            tracker = tracked(tracker, abs(came - answer), covered=covered, coverage=COVERAGE)
        reach = reached(HIGH, reach, said, came)
    assert misses <= most_misses(COVERAGE, len(plan)) + max(0.0, 2 + math.log2(largest / 80)) + 1
    assert reached(HIGH, Reach(), None, 39.0) == Reach(), "what was said to be possible teaches nothing"


def test_too_many_misses_are_answered_by_everything_and_too_few_by_the_answer_alone() -> None:
    known = Tracker(steps=20, quantile=3.0, recent=(4.0,))
    at = [Tracker(20, balance, 3.0, (4.0,)) for balance in (-LIMIT, -1.0, 0.0, 1.0, LIMIT)]
    limits = [threshold(one, COVERAGE) for one in at]
    assert limits[0] == 0.0 and limits[2] == 3.0 and limits[4] is None
    assert limits[1] is not None and limits[3] is not None and 0 < limits[1] < 3 < limits[3]
    saved = tracked(Tracker(20, -LIMIT, 0.0, (0.0,)), 0.0, covered=True, coverage=COVERAGE)
    assert saved.balance == -LIMIT, "nothing is saved up by being right when no set could be smaller"
    assert tracked(known, 9.0, covered=False, coverage=COVERAGE).quantile > known.quantile


# --- options ----------------------------------------------------------------------------------------------------------


def choose(answers: Sequence[str], came: Sequence[str], chances: dict[str, float]) -> tuple[list[bool], list[int]]:
    tracker, seen = Tracker(), dict[str, int]()
    hits, sizes = [], []
    for answer, outcome in zip(answers, came, strict=True):
        order = ranking(SKY, answer, chances, seen)
        scored = scores(order, chances)
        said = among(order, scored, threshold(tracker, COVERAGE))
        assert said[0] == answer
        hits.append(outcome in said)
        sizes.append(len(said))
        tracker = tracked(tracker, scored[order.index(outcome)], covered=hits[-1], coverage=COVERAGE)
        seen = counted(SKY, seen, outcome)
    return hits, sizes


@pytest.mark.parametrize("chances", [{}, {"sun": 0.99999, "rain": 0.00001}], ids=["none", "too sure"])
@pytest.mark.parametrize("right", [0.3, 0.5, 0.7, 0.8])
def test_sets_hold_as_often_as_they_say_whoever_predicts(right: float, chances: dict[str, float]) -> None:
    random = np.random.default_rng(3)
    came = [SKY.options[place] for place in random.choice(4, 300, p=[0.1, 0.1, 0.2, 0.6])]
    answers = [outcome if random.random() < right else SKY.options[random.integers(4)] for outcome in came]
    hits, sizes = choose(answers, came, chances)
    assert 0.88 <= sum(hits) / 300 <= 0.92
    assert sizes[0] == 4 and np.mean(sizes) < 3.5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SKY.options), st.sampled_from(SKY.options)), min_size=1, max_size=200))
def test_sets_keep_the_bound_whatever_comes(pairs: list[tuple[str, str]]) -> None:
    hits, _ = choose([answer for answer, _ in pairs], [outcome for _, outcome in pairs], {})
    assert len(hits) - sum(hits) <= most_misses(COVERAGE, len(hits))


def test_who_is_nearly_always_right_says_nothing_else_and_has_no_licence_to_be_wrong() -> None:
    hits, sizes = choose(["sun"] * 700, ["sun"] * 400 + ["rain"] * 300, {})
    assert sizes[100:400] == [1] * 300
    assert 300 - sum(hits[400:]) <= most_misses(COVERAGE, 300) + LIMIT


def test_options_stand_in_the_order_in_which_they_are_to_be_believed() -> None:
    assert ranking(SKY, "RAIN", {}, {"sun": 3, "fog": 5}) == ["rain", "fog", "sun", "snow"]
    assert ranking(SKY, "sun", {"Rain": 0.6, "sun": 0.3}, {"fog": 9}) == ["sun", "rain", "fog", "snow"]
    ills = Ranked("ills", options=("flu", "gout", "cold"), top=2)
    assert ranking(ills, ("gout", "cold"), {}, {"flu": 9}) == ["gout", "cold", "flu"]
    assert counted(ills, {"flu": 1}, ("FLU", "gout")) == {"flu": 2}
    assert option_of(ills, ("ague",)) is None and counted(ills, {}, ("ague",)) == {}


@pytest.mark.parametrize("at", [0, 3, 100])
def test_one_large_error_is_not_remembered_for_ever(at: int) -> None:
    random, tracker, widths = Random(2), Tracker(), []
    for t in range(300):
        score = 90.0 if t == at else abs(random.gauss(0, 1))
        most = threshold(tracker, 0.9)
        widths.append(90.0 if most is None else most)
        tracker = tracked(tracker, score, covered=most is None or score <= most, coverage=0.9)
    assert sorted(widths[200:])[50] < 3
