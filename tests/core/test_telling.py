"""Telling: which words of a line go with one outcome."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.recurrence.notes import Resemblance
from llm_as_rnn.recurrence.telling import UNPROVEN, Telling, in_places

WORDS = st.sampled_from(["a", "box", "jar", "marked", "bovi", "tarel"])
CASES = st.lists(st.tuples(st.lists(WORDS, max_size=5).map(" ".join), st.sampled_from(["tea", "coal"])), max_size=7)


def test_a_word_that_nothing_is_known_of_is_unproven() -> None:
    assert Telling([]).rate("box", after="a") == UNPROVEN
    assert Telling([("a box", "tea")]).rate("jar", after="a") == UNPROVEN  # one case is no pair


@pytest.mark.parametrize(
    ("outcomes", "rate"),
    [
        (["tea", "tea"], (1 + UNPROVEN) / 2),
        (["tea", "coal"], UNPROVEN / 2),
        (["tea", "tea", "coal"], (1 + UNPROVEN) / 4),
        (["tea", "tea", "tea", "coal"], (3 + UNPROVEN) / 7),
    ],
)
def test_a_word_tells_as_much_as_pairs_that_share_it_agree(outcomes: list[str], rate: float) -> None:
    telling = Telling([("box", outcome) for outcome in outcomes])
    assert telling.rate("box", after="") == pytest.approx(rate)
    assert telling.rate("box", after="a") == UNPROVEN  # at another place it is another word


def test_a_word_is_first_judged_by_others_at_its_place_and_never_by_itself_twice() -> None:
    cases = [("a box", "tea"), ("a box", "coal"), ("a jar", "tea"), ("a jar", "tea"), ("the box", "tea")]
    telling = Telling(cases)
    box, jar = (0 + UNPROVEN) / 2, (1 + UNPROVEN) / 2  # one pair each
    assert telling.rate("crate", after="a") == pytest.approx((1 + UNPROVEN) / 3)
    assert telling.rate("jar", after="a") == pytest.approx((1 + box) / 2)
    assert telling.rate("box", after="a") == pytest.approx((0 + jar) / 2)
    assert telling.rate("box", after="the") == UNPROVEN


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("sun, 12.8", "Sun, 3", 1), ("sun, 3", "fog, 3", 0), ("3", "3", 1), ("3", "4", 0), ("雨, 3", "雨, 4", 1)],
)
def test_numbers_beside_words_are_not_compared(one: str, other: str, same: int) -> None:
    assert Telling([("a box", one), ("a box", other)]).rate("box", after="a") == (same + UNPROVEN) / 2


def test_a_word_that_stands_twice_in_a_line_is_no_pair() -> None:
    assert Telling([("box box box", "tea")]).rate("box", after="box") == UNPROVEN


@given(CASES, st.data())
def test_rates_are_shares_and_order_does_not_matter(cases: list[tuple[str, str]], data: st.DataObject) -> None:
    others = data.draw(st.permutations(cases))
    for before, word in in_places("a jar marked bovi box"):
        rate = Telling(cases).rate(word, before)
        assert 0 < rate < 1
        assert Telling(others).rate(word, before) == rate


def test_what_told_nothing_so_far_does_not_make_a_case_the_nearest() -> None:
    boxes = ["a box marked bovi -> tea", "a box marked tarel -> coal", "a jar marked ulo -> rice"]
    assert Resemblance(boxes).closest("a box marked ulo", 1) == boxes[2:]
    assert Resemblance([*boxes, "a jar marked nesk -> silk"]).same("a jar marked fipug") == []
