"""A step that comes again fits its case wholly, whatever signs stand in it, and finds it in any history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.cases import recall
from llm_as_rnn.cases.case import came, case, parts
from llm_as_rnn.cases.recall import nearest
from llm_as_rnn.core.records import Observation, SequenceInfo
from tests.core.stage import Stage, sky_task

TASK = sky_task()
SIGNS = ("->", "…", "-", "#", "1.", "box", "<", ">", "is", "?", "*", "\u200b", "•")
LINES = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=7).map(" ".join)


@given(LINES)
def test_a_case_is_read_as_it_was_written_whatever_was_seen(seen: str) -> None:
    note = case(TASK, Observation("s", 0, {"seen": seen}), {"sky": "rain"}, SequenceInfo("s"))
    assert came(TASK, note) == {"sky": "rain"}
    assert parts(note)[0]


@given(LINES)
def test_what_was_seen_before_fits_wholly_and_is_counted_for_its_case(seen: str) -> None:
    stage = Stage("cases")
    stage.meet(seen, "rain")
    (note,) = stage.items
    x = Observation("s", 1, {"seen": seen})
    ((fit, told),) = stage.method.writer.fits(SequenceInfo("s"), stage.state.memory, x)
    assert (round(fit, 9), told) == (1, {"sky": "rain"})
    stage.meet(seen, "rain", right=True)
    assert stage.state.ledger[note].helped == 1
    assert stage.state.foretold == (True,)


@pytest.mark.parametrize("rule", ["cases", "append"])
def test_three_dots_in_what_was_seen_are_no_blank_that_any_words_fit(rule: str) -> None:
    stage = Stage(rule).holding("where is the red box now ? -> rain", "tell me of ships -> fog")
    update = stage.meet("where is … now ?", "sun").update
    assert update.outcome == "accepted"
    assert "where is the red box now ? -> rain" in stage.items
    assert stage.state.foretold == ()


def test_histories_whose_zeros_differ_in_their_sign_are_found_in_alike() -> None:
    recall._histories.clear()
    lines = [f"a box marked w{place} q{place}" for place in range(6)]
    for number in range(1, 7):
        nearest(lines[:number], [{"high": 0.0}] * number, lines[0])
    assert nearest(lines, [{"high": -0.0}] * 6, lines[5])[-1].place == 5
    others = [*lines[2:], "a crate"]
    assert nearest(others, [{"high": -0.0}] * 5, lines[3])[-1].place == 1
