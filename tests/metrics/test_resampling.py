"""What is resampled, and how far percentiles are widened."""

from __future__ import annotations

import numpy as np
import pytest

from llm_as_rnn.metrics.resampling import (
    EXACT,
    FLIPS,
    block_length,
    ends,
    enough,
    holm,
    resampled_means,
    sign_flip,
    units,
    widening,
)


def test_whole_sequences_are_resampled_and_all_methods_together() -> None:
    values = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 2.0]])
    found = units(values, np.array([3, 3, 8]))
    assert found is not None
    assert (found.over, found.drawn, found.effective) == ("sequences", 2, 2)
    means = resampled_means(found, 500)
    assert {round(float(mean), 3) for mean in means[:, 0]} == {0.0, 0.333, 1.0}
    assert np.allclose(means[:, 1] - means[:, 0], 1.0)


def test_blocks_of_a_lone_sequence_are_neighbours_and_each_step_is_in_as_many() -> None:
    steps = 60
    found = units(np.arange(steps, dtype=float)[:, None], np.zeros(steps, dtype=np.int64))
    assert found is not None
    length = block_length(steps)
    assert found.totals.shape == (steps, 1)
    assert found.totals[0, 0] == sum(range(length))
    assert found.totals[-1, 0] == steps - 1 + sum(range(length - 1)), "the last block goes on at the first step"
    assert found.totals.sum() == length * sum(range(steps))
    assert (found.over, found.drawn, found.effective) == ("steps", 5, 5.0)


@pytest.mark.parametrize(("steps", "there"), [(0, False), (1, False), (26, False), (27, True)])
def test_a_lone_sequence_takes_three_blocks(steps: int, there: bool) -> None:
    found = units(np.zeros((steps, 1)), np.zeros(steps, dtype=np.int64))
    assert (found is not None) is there


def test_percentiles_are_widened_around_the_estimate_and_keep_their_skew() -> None:
    drawn = np.linspace(0.0, 1.0, 101)[:, None] ** 2
    (low,), (high,) = ends(np.array([0.25]), drawn, 4)
    plain = np.quantile(drawn, [0.025, 0.975])
    assert low == pytest.approx(0.25 - widening(4) * (0.25 - plain[0]))
    assert high == pytest.approx(0.25 + widening(4) * (plain[1] - 0.25))
    (low,), _ = ends(np.array([-1.0]), drawn, 4)
    assert low == -1.0, "an interval holds what was found"


def test_exact_and_drawn_signs_agree() -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(0.3, 1, size=(EXACT, 3))
    exact = sign_flip(rows, np.arange(EXACT))
    drawn = sign_flip(np.vstack([rows, np.zeros((1, 3))]), np.arange(EXACT + 1))  # one more, of no account
    assert exact is not None
    assert drawn is not None
    assert exact == pytest.approx(drawn, abs=4 * 0.5 / FLIPS**0.5)


@pytest.mark.parametrize("comparisons", [1, 2, 3, 6, 10, 12])
def test_enough_sequences_are_the_fewest_whose_least_corrected_p_is_small(comparisons: int) -> None:
    def least(sequences: int) -> float:
        tested = sign_flip(np.ones((sequences, 1)), np.arange(sequences))
        assert tested is not None
        return min(holm([float(tested[0]), *[1.0] * (comparisons - 1)]))

    assert least(enough(comparisons)) <= 0.05 < least(enough(comparisons) - 1)


def test_signs_of_a_lone_sequence_are_those_of_blocks() -> None:
    steps = np.ones((60, 1))
    tested = sign_flip(steps, np.zeros(60, dtype=np.int64))
    assert tested is not None
    assert tested[0] == 2 / 2**5
