"""Whether what predictions said of themselves held: against figures that are worked out by hand."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from llm_as_rnn.core.fields import Label, Number, Ranked
from llm_as_rnn.core.records import Status
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.estimates import Trust, Trusted
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.metrics.table import tabulate
from llm_as_rnn.metrics.trusted import (
    FLOOR,
    Bin,
    calibration_by_chance,
    calibration_error,
    is_covered,
    reliability,
    selective_risk,
    trust,
)
from tests.metrics.steps import columns, step

HIGH = Number("high", low=-20, high=45)
SKY = Label("sky", options=("rain", "snow", "sun"))
ILLS = Ranked("ills", options=("cold", "flu"), top=1)


def number(t: int, came: float, low: float, high: float, **more: Any) -> StepRecord:
    return step(
        t=t, target={"high": came}, prediction={"high": (low + high) / 2}, interval={"high": (low, high)}, **more
    )


def label(t: int, came: str, chances: dict[str, float], **more: Any) -> StepRecord:
    said = max(chances, key=lambda option: chances[option])
    told = {"distribution": {"sky": chances}, "chance": {"sky": chances[said]}, "among": {"sky": (said,)}}
    return step(t=t, target={"sky": came}, prediction={"sky": said}, **{**told, **more})


def of(weather: Task, *fields: Any) -> Task:
    return msgspec.structs.replace(weather, answer=fields)


def trusted(task: Task, steps: list[StepRecord], coverage: float) -> dict[str, Trust]:
    (found,) = tabulate(task, steps).methods.values()
    return trust(task, found, coverage)


def test_coverage_width_and_interval_score_of_numbers(weather: Task) -> None:
    steps = [number(t, 12.0, 10.0, 14.0) for t in range(4)] + [number(t, 15.0, 10.0, 14.0) for t in range(4, 10)]
    found = trusted(of(weather, HIGH), steps, 0.8)["high"]
    assert found.whole.steps == 10
    assert found.whole.coverage == 0.4
    assert found.whole.parts == (1.0, 1.0, 0.0, 0.0, 0.0)
    assert found.whole.width == 4.0
    assert found.whole.interval_score == pytest.approx(4 + 0.6 * 2 / 0.2 * 1)
    assert (found.whole.kept, found.whole.risk) == pytest.approx((1.0, 0.6 * 3))
    assert (found.later.steps, found.later.coverage) == (6, 0.0)
    assert found.whole.set_size is found.whole.log_loss is found.whole.calibration_error is None


def test_stretches_and_thirds_are_those_of_each_sequence(weather: Task) -> None:
    steps = [number(t, 12.0 if t < 5 else 99.0, 10.0, 14.0, sequence=one) for one in "ab" for t in range(10)]
    found = trusted(of(weather, HIGH), list(reversed(steps)), 0.9)["high"]
    assert found.whole.parts == (1.0, 1.0, 0.5, 0.0, 0.0)
    assert found.later.steps == 12


def test_chances_are_scored_by_what_came(weather: Task) -> None:
    sure, wrong = {"rain": 0.0, "snow": 0.2, "sun": 0.8}, {"rain": 0.0, "snow": 0.4, "sun": 0.6}
    found = trusted(of(weather, SKY), [label(0, "Sun", sure), label(1, "rain", wrong)], 0.9)["sky"].whole
    assert found.log_loss == pytest.approx((-math.log(0.8) - math.log(FLOOR)) / 2)
    assert found.brier == pytest.approx((0.2**2 + 0.2**2 + 1 + 0.4**2 + 0.6**2) / 2)
    assert found.calibration_error == pytest.approx((0.2 + 0.6) / 2)
    assert (found.coverage, found.set_size, found.risk) == (0.5, 1.0, 0.5)
    assert found.width is None and found.interval_score is None


def test_failures_stay_in_the_denominator_and_make_no_chance_look_better(weather: Task) -> None:
    wide: dict[str, Any] = {"prediction": None, "status": Status.INVALID, "interval": {"high": (-20.0, 45.0)}}
    steps = [number(t, 15.0, 10.0, 14.0) for t in range(3)] + [step(t=3, target={"high": 15.0}, **wide)]
    whole = trusted(of(weather, HIGH), steps, 0.8)["high"].whole
    assert (whole.steps, whole.coverage, whole.width) == (4, 0.25, (3 * 4 + 65) / 4)
    assert whole.risk == pytest.approx((3 * 3 + 35) / 4), "as far off as can be"
    silent: dict[str, Any] = {"prediction": None, "status": Status.INVALID, "chance": {"sky": 0.0}}
    silent |= {"among": {"sky": SKY.options}}
    labels = [label(t, "rain" if t else "sun", {"rain": 0.2, "sun": 0.8}) for t in range(2)]
    answered = trusted(of(weather, SKY), labels, 0.9)["sky"].whole
    labels += [step(t=2 + t, target={"sky": "rain"}, **silent) for t in range(2)]
    whole = trusted(of(weather, SKY), labels, 0.9)["sky"].whole
    assert (whole.steps, whole.coverage, whole.set_size, whole.risk) == (4, 0.75, 2.0, 0.75)
    assert (whole.calibration_error, whole.log_loss) == (answered.calibration_error, answered.log_loss)
    kept = selective_risk(SKY, columns(SKY, labels))
    assert kept.share.tolist() == [0.5, 1.0] and kept.risk.tolist() == [0.5, 0.75]
    assert kept.limit.tolist() == [0.8, 0.0]


def test_what_says_nothing_of_itself_has_no_scores(weather: Task) -> None:
    plain = step(target={"sky": "rain", "high": 3.0}, prediction={"sky": "rain", "high": 4.0})
    assert trusted(weather, [plain], 0.9) == {}
    assert summarise(weather, [plain])[0].trust is msgspec.UNSET
    assert b"trust" not in msgspec.json.encode(summarise(weather, [plain]))
    never = number(0, 1.0, 0.0, 2.0)
    assert trusted(of(weather, HIGH), [msgspec.structs.replace(never, target=None)], 0.9) == {}


def test_scores_stand_in_the_summary_by_the_coverage_that_was_asked_for(weather: Task) -> None:
    steps = [number(t, 15.0, 10.0, 14.0) for t in range(3)]
    (summary,) = summarise(of(weather, HIGH), steps, 0.5)
    assert summary.trust is not msgspec.UNSET
    assert summary.trust["high"].whole.interval_score == 8.0
    assert msgspec.json.decode(msgspec.json.encode(summary.trust["high"].whole), type=Trusted).width == 4.0


def test_of_a_list_its_first_entry_is_to_be_among_the_set() -> None:
    one = step(target={"ills": ("FLU", "cold")}, prediction={"ills": ("cold",)}, among={"ills": ("cold",)})
    assert is_covered(ILLS, one) is False
    assert is_covered(ILLS, msgspec.structs.replace(one, among={"ills": ("cold", "flu")})) is True
    assert is_covered(ILLS, msgspec.structs.replace(one, target=None)) is None


def test_bins_hold_about_as_many_and_never_part_what_is_as_sure() -> None:
    steps = [label(t, "sun" if t % 2 else "rain", {"sun": 0.5 + t / 100, "snow": 0.5 - t / 100}) for t in range(20)]
    bins = reliability(columns(SKY, steps), bins=5)
    assert [one.steps for one in bins] == [4] * 5
    assert bins[0] == pytest.approx((0.515, 0.5, 4))
    same = [label(t, "sun", {"sun": 0.7, "snow": 0.3}) for t in range(20)]
    (one,) = reliability(columns(SKY, same), bins=5)
    assert one == pytest.approx((0.7, 1.0, 20))
    assert reliability(columns(SKY, [step()])) == [] and calibration_error([]) is None


def test_answers_of_two_chances_are_in_two_bins_wherever_the_bins_would_end() -> None:
    sure, unsure = {"sun": 0.9, "rain": 0.1}, {"sun": 0.55, "rain": 0.45}
    steps = [label(t, "sun" if t < 50 else "rain", unsure) for t in range(55)]
    steps += [label(55 + t, "sun" if t < 20 else "rain", sure) for t in range(45)]
    bins = reliability(columns(SKY, steps))
    assert bins == [pytest.approx((0.55, 50 / 55, 55)), pytest.approx((0.9, 20 / 45, 45))]
    assert calibration_error(bins) == pytest.approx((abs(50 - 0.55 * 55) + abs(20 - 0.9 * 45)) / 100)


@given(st.lists(st.sampled_from([0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) | st.floats(0.4, 1), min_size=1), st.integers(1, 12))
def test_a_bin_holds_more_than_its_share_only_by_what_is_as_sure_as_its_last(chances: list[float], most: int) -> None:
    steps = [label(t, "sun", {"sun": chance}) for t, chance in enumerate(chances)]
    bins = reliability(columns(SKY, steps), bins=most)
    assert len(bins) <= most and sum(one.steps for one in bins) == len(chances)
    places = [0, *accumulate(one.steps for one in bins)]
    for begin, end in pairwise(places):
        own = sorted(chances)[begin:end]
        assert end == len(chances) or own[-1] < sorted(chances)[end]
        assert len(own) - own.count(own[-1]) <= -(-len(chances) // most)


def test_the_surest_answers_are_kept_first() -> None:
    steps = [
        label(0, "sun", {"sun": 0.9}),
        label(1, "rain", {"sun": 0.6}),
        label(2, "sun", {"sun": 0.6}),
        label(3, "rain", {"sun": 0.5}),
    ]
    found = selective_risk(SKY, columns(SKY, steps))
    assert found.share.tolist() == [0.25, 0.75, 1.0]
    assert found.risk.tolist() == pytest.approx([0.0, 1 / 3, 0.5])
    assert found.limit.tolist() == [0.9, 0.6, 0.5]
    wide = [number(0, 12.0, 10.0, 14.0), number(1, 12.5, 11.0, 13.0)]
    assert [part.tolist() for part in selective_risk(HIGH, columns(HIGH, wide))] == [
        [0.5, 1.0],
        [0.5, 0.25],
        [2.0, 4.0],
    ]
    assert [part.tolist() for part in selective_risk(SKY, columns(SKY, [step()]))] == [[], [], []]


def test_answers_that_were_held_back_are_not_at_risk(weather: Task) -> None:
    steps = [
        label(0, "sun", {"sun": 0.9}),
        label(1, "rain", {"sun": 0.6}, abstained=("sky",)),
        label(2, "rain", {"sun": 0.8}),
    ]
    found = trusted(of(weather, SKY), steps, 0.9)["sky"].whole
    assert (found.kept, found.risk) == pytest.approx((2 / 3, 0.5))


@given(
    st.lists(
        st.tuples(st.floats(0.001, 0.999) | st.sampled_from([0.0, 1.0]), st.integers(1, 60)), min_size=1, max_size=4
    )
)
def test_what_chance_alone_makes_of_a_calibration_error_is_its_mean(parts: list[tuple[float, int]]) -> None:
    bins = [Bin(chance, 0.0, steps) for chance, steps in parts]
    total = sum(steps for _, steps in parts)
    exact = sum(
        binom.pmf(right, steps, chance) * abs(right - steps * chance)
        for chance, steps in parts
        for right in range(steps + 1)
    )
    assert calibration_by_chance(bins) == pytest.approx(exact / total, abs=1e-9)
    assert calibration_by_chance([]) is None
