"""The file of steering patterns: each one finds its own example, and says why."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core import hygiene
from llm_as_rnn.core.hygiene import SteeringPattern, SteeringPatterns, steering_patterns, steers

FOUND = steering_patterns()
EVERY = [*FOUND.order, *FOUND.mark]
FINDERS = (*hygiene._steering().in_words.each, *hygiene._steering().marks)


@pytest.mark.parametrize("place", range(len(EVERY)), ids=[pattern.name for pattern in EVERY])
def test_a_pattern_finds_its_example(place: int) -> None:
    pattern, (why, finder) = EVERY[place], FINDERS[place]
    assert re.search(finder, hygiene._folded(pattern.example))
    assert why == steers(pattern.example) == pattern.why
    # It is the order that is found, and not whatever stands beside it.
    assert not re.search(finder, "sun follows rain when pressure rises; after fog it stays cloudy -> sun, 12.5")


@given(words=st.lists(st.sampled_from([word for one in EVERY for word in one.example.split()]), max_size=8), joined=...)
def test_all_orders_together_are_found_where_any_is(words: list[str], joined: bool) -> None:
    orders = hygiene._steering().in_one if joined else hygiene._steering().in_words
    text = hygiene._folded(("" if joined else " ").join(words))
    assert bool(re.search(orders.any, text)) == any(re.search(finder, text) for _, finder in orders.each)


@pytest.mark.parametrize("pattern", FOUND.order, ids=[pattern.name for pattern in FOUND.order])
def test_all_orders_together_are_found_by_each_example(pattern: SteeringPattern) -> None:
    assert re.search(hygiene._steering().in_words.any, hygiene._folded(pattern.example))


def test_there_is_one_finder_for_each_pattern_and_names_differ() -> None:
    assert len(FINDERS) == len(EVERY) == len({pattern.name for pattern in EVERY})


def test_every_word_stands_in_a_pattern() -> None:
    assert all(any(f"{{{word}}}" in pattern.how for pattern in FOUND.order) for word in FOUND.words)


def test_the_file_is_decoded_strictly() -> None:
    given = msgspec.to_builtins(FOUND.order[0])
    with pytest.raises(msgspec.ValidationError, match="required field `example`"):
        msgspec.convert({name: value for name, value in given.items() if name != "example"}, SteeringPattern)
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'nonsense'"):
        msgspec.convert({**given, "why": "nonsense"}, SteeringPattern)
    with pytest.raises(msgspec.ValidationError, match="unknown field `orders`"):
        msgspec.convert({"words": {}, "order": [], "mark": [], "orders": []}, SteeringPatterns)
