"""Recalibration and the pool: what is learned of chances from a stream, and that it never breaks."""

from __future__ import annotations

import math
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.chances import LEAST
from llm_as_rnn.trust import calibration as calibrations
from llm_as_rnn.trust import pool as pools
from llm_as_rnn.trust.calibration import CORRECTED, SHARE, Calibration, adjusted, weighed
from llm_as_rnn.trust.pool import Pool, pooled

OPTIONS = ("rain", "sun", "fog")


def spread(weights: list[float]) -> dict[str, float]:
    return {option: weight / sum(weights) for option, weight in zip(OPTIONS, weights, strict=True)}


spreads = st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(any).map(spread)
streams = st.lists(st.tuples(spreads, st.none() | st.sampled_from([*OPTIONS, "hail"])), max_size=40)


@given(streams, spreads)
def test_corrected_chances_are_chances_whatever_came(
    stream: list[tuple[dict[str, float], str | None]], x: dict[str, float]
) -> None:
    known = Calibration()
    for chances, outcome in stream:
        known = calibrations.after(known, chances, outcome)
    given_now = adjusted(known, x)
    assert math.fsum(given_now.values()) == pytest.approx(1)
    assert all(0 <= chance <= 1 for chance in given_now.values())
    assert msgspec.json.decode(msgspec.json.encode(known), type=Calibration) == known
    assert known.slope >= 0


def test_nothing_is_changed_before_anything_is_known_but_for_the_first_chances_themselves() -> None:
    first = adjusted(Calibration(), spread([0.6, 0.3, 0.1]))
    assert sorted(first, key=lambda option: -first[option]) == ["rain", "sun", "fog"]


def losses(leaning: list[float], sure: float, steps: int = 300) -> tuple[float, float]:
    """Compare log losses, as said and as corrected, of a model that leans to some options and is too sure or unsure."""
    random, known, raw, fixed = Random(7), Calibration(), 0.0, 0.0
    for _ in range(steps):
        true = [random.random() ** 3 for _ in OPTIONS]
        outcome = random.choices(OPTIONS, true)[0]
        said = spread([chance**sure * lean for chance, lean in zip(true, leaning, strict=True)])
        raw -= math.log(max(said[outcome], 1e-4))
        fixed -= math.log(adjusted(known, said)[outcome])
        known = calibrations.after(known, said, outcome)
    return raw / steps, fixed / steps


@pytest.mark.parametrize(("leaning", "sure"), [([20, 1, 1], 1.0), ([1, 1, 1], 4.0), ([1, 30, 2], 3.0)])
def test_a_leaning_and_a_false_confidence_are_corrected(leaning: list[float], sure: float) -> None:
    raw, fixed = losses(leaning, sure)
    assert fixed < 0.85 * raw


def test_a_model_that_is_right_about_itself_loses_little() -> None:
    raw, fixed = losses([1, 1, 1], 1.0)
    assert fixed < 1.03 * raw


def common(random: Random, first: float) -> tuple[dict[str, float], str]:
    """Draw what an honest model says where the first option comes that often, and what comes."""
    priors = [first, *[(1 - first) / 2] * 2]
    came = random.choices(range(3), priors)[0]
    said = [prior * math.exp((place == came) + random.gauss(0, 1)) for place, prior in enumerate(priors)]
    return spread(said), OPTIONS[came]


@pytest.mark.parametrize("first", [0.6, 0.9, 0.97])
def test_a_model_that_knows_what_is_common_is_believed(first: float) -> None:
    """To divide by the mean takes that knowledge from it; the chances as told are there to be gone back to."""
    random, known, raw, fixed, told, right = Random(7), Calibration(), 0.0, 0.0, 0.0, 0
    for _ in range(300):
        said, outcome = common(random, first)
        given_now = weighed(known, said)
        answer = max(said, key=lambda option: said[option])
        raw, fixed = raw - math.log(said[outcome]), fixed - math.log(given_now[outcome])
        told, right = told + given_now[answer], right + (answer == outcome)
        known = calibrations.after(known, said, outcome)
    assert fixed < raw + 5
    assert abs(told - right) / 300 < 0.05


@given(st.lists(st.tuples(st.lists(st.floats(0.001, 1), min_size=3, max_size=3).map(spread), st.sampled_from(OPTIONS))))
def test_log_loss_exceeds_neither_that_of_what_was_told_nor_of_what_was_corrected_by_more_than_is_said(
    stream: list[tuple[dict[str, float], str]],
) -> None:
    known, losses_of = Calibration(), [0.0, 0.0, 0.0]
    for chances, outcome in stream:
        both = (weighed(known, chances), chances, adjusted(known, chances))
        losses_of = [loss - math.log(max(one[outcome], LEAST)) for loss, one in zip(losses_of, both, strict=True)]
        known = calibrations.after(known, chances, outcome)
    own, told, corrected = losses_of
    assert own <= told - math.log(1 - CORRECTED) - len(stream) * math.log(1 - SHARE * CORRECTED) + 1e-6
    assert own <= corrected - math.log(CORRECTED) - len(stream) * math.log(1 - SHARE * (1 - CORRECTED)) + 1e-6


@given(streams)
def test_the_pool_stays_a_pool_whatever_came(stream: list[tuple[dict[str, float], str | None]]) -> None:
    pool = Pool({"a": 0.5, "b": 0.1})
    for chances, outcome in stream:
        said = {"a": chances, "b": dict.fromkeys(reversed(OPTIONS), 1 / 3)}
        given_now = pooled(pool, said)
        assert math.fsum(given_now.values()) == pytest.approx(1)
        pool = pools.after(pool, said, outcome or "")
        assert all(weight >= 0 for weight in pool.weights.values())
    assert msgspec.json.decode(msgspec.json.encode(pool), type=Pool) == pool


def test_the_order_in_which_options_stand_changes_nothing() -> None:
    one = {"a": spread([0.7, 0.2, 0.1]), "b": spread([0.1, 0.2, 0.7])}
    other = {"a": one["a"], "b": dict(reversed(one["b"].items()))}
    pool = Pool({"a": 0.9, "b": 0.3})
    assert pooled(pool, one) == pytest.approx(pooled(pool, other))
    assert pools.after(pool, one, "fog").weights == pytest.approx(pools.after(pool, other, "fog").weights)


def test_who_guesses_comes_to_weigh_nothing_and_who_knows_comes_to_weigh_more() -> None:
    random, pool = Random(3), Pool({"knows": 0.5, "guesses": 0.5})
    for _ in range(300):
        outcome = random.choice(OPTIONS)
        knows = spread([3.0 if option == outcome else 1.0 for option in OPTIONS])
        if random.random() < 0.1:
            knows = spread([random.random() for _ in OPTIONS])
        pool = pools.after(pool, {"knows": knows, "guesses": spread([random.random() for _ in OPTIONS])}, outcome)
    assert pool.weights["guesses"] < 0.3
    assert pool.weights["knows"] > 1.0
