"""Patterns of the numbers within a range: what lies in it fits, what does not lie in it does not."""

from __future__ import annotations

import re
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.fields.digits import MOST_DIGITS, number_pattern

ENDS = st.decimals(-2000, 2000, places=2) | st.integers(-(10**12), 10**12).map(Decimal)


@given(ends=st.tuples(ENDS, ENDS), decimals=st.integers(0, 3), data=st.data())
def test_just_the_numbers_of_the_range_fit(ends: tuple[Decimal, Decimal], decimals: int, data: st.DataObject) -> None:
    low, high = sorted(ends)
    assume(low < high)
    places = data.draw(st.integers(0, decimals))
    near = st.decimals(low - 3, high + 3, places=places) | st.sampled_from([low, high, Decimal(0)])
    number = data.draw(near).quantize(Decimal(1).scaleb(-places))
    text = str(number)
    assume(not (number.is_zero() and text.startswith("-")))
    whole = Decimal(1).scaleb(-decimals)
    some = (low / whole).to_integral_value("ROUND_CEILING") * whole <= high  # a number with so few decimals
    assume(some)
    assert bool(re.fullmatch(number_pattern(float(low), float(high), decimals), text)) == (low <= number <= high)


def test_a_range_that_nothing_could_be_written_in_asks_for_digits() -> None:
    assert number_pattern(0.2, 0.8, 0) == "[0-9]{1,1}"


def test_of_very_long_numbers_only_digits_are_counted() -> None:
    assert number_pattern(-1, 10.0**MOST_DIGITS, 1) == "[-]?[0-9]{1,16}([.][0-9])?"


def test_the_schema_asks_for_the_whole_text() -> None:
    field = Number("examinations", low=0, high=6, decimals=0)
    assert field.schema() == {"type": "string", "pattern": "^[0-6]$"}
    assert field.gbnf() == field.regex() == "[0-6]"
