"""Lines with a blank: what two lines have in common, and which lines one fits."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llm_as_rnn.cases.blanks import BLANK, FILLERS, aligned, blanked, filled
from llm_as_rnn.core.alignment import tokens
from llm_as_rnn.core.hygiene import tidy_item

LINES = st.lists(
    st.sampled_from(["means", "what", "like", "<", ">", "?", '"', ",", "7", "天", "気", "ship", "İ", "ß", BLANK]),
    max_size=9,
).map(" ".join)
WORDS = st.lists(st.sampled_from(["ship", "flag", "wind", "9", "船", "ß"]), min_size=1, max_size=3).map(" ".join)
FRAMES = st.sampled_from(
    ["< {} > means what ?", "tell me of {}", 'what is "{}" then ?', "{} kya hota hai?", "「{}」とは何"]
)


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("What is like < ship > ?", "what is LIKE < big flag > ?", "What is like … ?"),
        ("a box marked bovi", "a crate marked bovi", "a … marked bovi"),
        ("give me ship ?", "give me flag ?", "give me … ?"),  # a mark on one side alone stays
        ("tell (« ship ») to me", "tell (« flag ») to me", "tell … to me"),
        ("tell me … now", "tell me < ship > now", "tell me … now"),
        ("今日は晴れです", "今日は雨です", "今日は…です"),
        ("What is akin to < ship > ?", "What is similar to < flag > ?", None),  # two places
        ("rain, high 9", "fog, high 8", None),
        ("ship wind", "flag wind", None),  # one word says too little
        ("tell me this", "tell me this", None),  # nothing differs
        ("tell me this", "tell me this now", None),  # nothing stands in the place of "now"
        ("What is … to < ship > ?", "What is akin to < flag > ?", None),  # one blank and no more
        ("", "", None),
    ],
)
def test_what_two_lines_have_in_common(one: str, other: str, common: str | None) -> None:
    assert blanked(one, other) == common


@given(FRAMES, WORDS, WORDS)
def test_what_two_lines_have_in_common_fits_both(frame: str, one: str, other: str) -> None:
    lines = frame.format(one), frame.format(other)
    common = blanked(*lines)
    assume(common is not None)  # they may be the same, or one of them longer and else the same
    assert common
    assert common.count(BLANK) == 1
    assert tidy_item(common) == common, "a memory keeps it as it is"
    rest = tokens(common.replace(BLANK, " "))
    for line in lines:
        assert tuple(map(tokens, aligned(common, line))) == (tokens(common), rest)
        assert tuple(map(tokens, aligned(line, common))) == (rest, tokens(common))
        assert blanked(common, line) == common


@given(FRAMES, st.sampled_from(["ship", "big flag"]), st.sampled_from(["wind", "9"]), st.sampled_from(["tree", "船"]))
def test_a_line_with_a_blank_fits_whatever_comes_there(frame: str, one: str, other: str, third: str) -> None:
    common = blanked(frame.format(one), frame.format(other))
    assert common
    assert blanked(common, frame.format(third)) == common
    assert tokens(aligned(common, frame.format(third))[1]) == tokens(common.replace(BLANK, " "))
    assert filled(common, frame.format(third)) == [frame.format(filler) for filler in FILLERS]


@given(LINES, LINES)
def test_lines_without_blanks_are_compared_whole(one: str, other: str) -> None:
    assume(BLANK not in one + other)
    assert aligned(one, other) == (one, other)
    assert filled(one, other) == []


@pytest.mark.parametrize(
    ("line", "pattern", "first"),
    [
        ("< big ship > means what ?", "… means what ?", "< bovi > means what ?"),
        ("ship means what ?", "… means what ?", "bovi means what ?"),
        ("tell (« ship ») to me", "tell … to me", "tell (« bovi ») to me"),
        ("今日は雨です", "今日は…です", "今日はboviです"),
    ],
)
def test_a_blank_is_filled_in_the_marks_of_a_line_that_it_fits(line: str, pattern: str, first: str) -> None:
    assert filled(pattern, line) == [first.replace("bovi", filler) for filler in FILLERS]


@pytest.mark.parametrize("line", ["< > means what ?", "what is < ship > ?", "means what ?", ""])
def test_a_line_that_does_not_fit_fills_nothing(line: str) -> None:
    assert filled("… means what ?", line) == []


@given(LINES, LINES)
def test_filling_changes_nothing_else(line: str, pattern: str) -> None:
    before, blank, after = pattern.partition(BLANK)
    for text in filled(pattern, line):
        assert blank
        assert text.startswith(before)
        assert text.endswith(after)
