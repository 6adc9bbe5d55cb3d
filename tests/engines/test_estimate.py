"""Estimated token counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.engines.estimate import estimate_tokens


@given(st.text(), st.text())
def test_more_text_never_counts_less(first: str, second: str) -> None:
    assert estimate_tokens(first + second) >= max(estimate_tokens(first), estimate_tokens(second))


@given(st.text())
def test_there_are_never_more_tokens_than_bytes_nor_fewer_than_words(text: str) -> None:
    assert len(text.split()) <= estimate_tokens(text) <= len(text.encode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), (" ", 0), ("a", 1), ("12.5", 4), ("rain rain", 4), ("\n\n", 2), ("a    b", 3), ("कल", 3), ("\ud800", 1)],
)
def test_by_hand(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens
