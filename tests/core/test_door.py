"""The one door for values from outside: what comes in can be written and read again, and the rest is refused."""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.calls import Completion
from llm_as_rnn.core.door import DEEPEST, LARGEST, SMALLEST, plain, plain_fields, plain_id
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.records import Observation, SequenceInfo

pd: Any = pytest.importorskip("pandas")


class Sky(Enum):
    """A choice as users write them."""

    SUN = "sun"


class Level(IntEnum):
    """A number with a name."""

    HIGH = 3


VALUES = [
    (None, None),
    (True, True),
    (np.bool_(False), False),
    (7, 7),
    (LARGEST, LARGEST),
    (SMALLEST, SMALLEST),
    (np.int64(-3), -3),
    (np.uint64(2**64 - 1), 2**64 - 1),
    (1.7e308, 1.7e308),
    (np.float32(0.5), 0.5),
    (np.float64(2.5), 2.5),
    (math.nan, None),
    (np.float32("nan"), None),
    (Decimal("NaN"), None),
    (Decimal("sNaN"), None),
    (pd.NA, None),
    (pd.NaT, None),
    (np.datetime64("NaT", "s"), None),
    (np.timedelta64("NaT", "s"), None),
    (Decimal("1.50"), 1.5),
    (Decimal("2.00"), 2),
    (Decimal("-1e19"), -1e19),
    ("sun", "sun"),
    (np.str_("sun"), "sun"),
    ("sun \ud800", "sun ?"),
    ("\ufeff\ufeffsun", "sun"),
    (date(2024, 5, 31), "2024-05-31"),
    (datetime(2024, 5, 31, 7, 30, tzinfo=UTC), "2024-05-31T07:30:00+00:00"),
    (pd.Timestamp("2024-05-31"), "2024-05-31T00:00:00"),
    (np.datetime64("2024-05-31"), "2024-05-31"),
    (time(7, 30), "07:30:00"),
    (timedelta(hours=2), "2:00:00"),
    (pd.Timedelta("2h"), "0 days 02:00:00"),
    (Sky.SUN, "sun"),
    (Level.HIGH, 3),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Path("a/b"), "a/b"),
    ((1, [math.nan]), [1, [None]]),
    (np.array([[1.5, math.nan]]), [[1.5, None]]),
    (np.array(3), 3),
    (np.array(["2024-05-31", "NaT"], "datetime64[ns]"), ["2024-05-31T00:00:00.000000000", None]),
    (pd.Series([1.0, None]), [1.0, None]),
    (pd.Series([pd.Timestamp("2024-05-31"), pd.NaT]), ["2024-05-31T00:00:00", None]),
    (OrderedDict({"a": np.int8(1), 7: {"\ufeffb": pd.NA}}), {"a": 1, "7": {"b": None}}),
]


@pytest.mark.parametrize(
    ("value", "found"), VALUES, ids=[f"{number} {type(v).__name__}" for number, (v, _) in enumerate(VALUES)]
)
def test_what_is_given_becomes_plain(value: Any, found: Any) -> None:
    became = plain(value, "x")
    assert became == found
    assert type(became) is type(found)
    assert msgspec.json.decode(msgspec.json.encode(became)) == found
    assert plain(became, "x") == became


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


class Endless:
    """Gives itself as its plain form."""

    def tolist(self) -> Endless:
        return self


CIRCLE: dict[str, Any] = {}
CIRCLE["round"] = [CIRCLE]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (math.inf, "is infinite"),
        (np.float32("-inf"), "is infinite"),
        (Decimal("Infinity"), "is infinite"),
        (Decimal("1e400"), "is infinite"),
        (LARGEST + 1, "64 bits"),
        (SMALLEST - 1, "64 bits"),
        (10**5000, "64 bits"),
        ([1, {"a": math.inf}], "'a' is infinite"),
        (np.array([1.0, math.inf]), "is infinite"),
        (b"sun", "of the type bytes"),
        ({1, 2}, "of the type set"),
        (object(), "of the type object"),
        (1j, "of the type complex"),
        (int, "of the type type"),
        (pd.DataFrame({"a": [1]}), "of the type DataFrame"),
        (nested(DEEPEST + 2), "nested"),
        (CIRCLE, "nested"),
        (Endless(), "of the type Endless"),
        ({"1": "a", 1: "b"}, "the name '1' twice"),
        ({"a": 1, "\ufeffa": 2}, "the name 'a' twice"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_file_could_hold_is_refused_in_one_line(value: Any, says: str) -> None:
    with pytest.raises(UsageError, match=r"^the field 'high'") as caught:
        plain(value, "the field 'high'")
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.hint


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(SMALLEST, LARGEST) | st.floats(allow_infinity=False)
    | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text(st.characters(exclude_categories=[]), max_size=6), JSON, max_size=5))
def test_what_comes_in_comes_back_from_any_file(fields: dict[str, Any]) -> None:
    try:
        came = plain_fields(fields, "the observation")
    except UsageError as error:
        assert "twice" in error.message
        return
    observation, info = Observation("s", 0, came), SequenceInfo("s", came)
    assert observation.fields is came or observation.fields == came
    assert msgspec.json.decode(msgspec.json.encode(observation), type=Observation) == observation
    assert msgspec.json.decode(msgspec.json.encode(info), type=SequenceInfo) == info


@given(st.dictionaries(st.text(st.characters(exclude_categories=[]), max_size=6), JSON, max_size=5))
def test_records_can_be_written_whatever_came_in_without_the_door(fields: dict[str, Any]) -> None:
    for record in (Observation("s\ud800", 0, fields), SequenceInfo("s\ud800", fields)):
        msgspec.json.encode(record)


def test_a_lone_surrogate_in_an_engines_error_can_be_written() -> None:
    assert Completion("", "error", error="no \ud800").error == "no ?"


@pytest.mark.parametrize("name", ["7", 7, "", "\ufeffa", np.int64(7), np.str_("a")])
def test_an_id_comes_back_as_it_was_given(name: Any) -> None:
    found = plain_id(name)
    assert found == name
    assert type(found) in (str, int)
    assert msgspec.json.decode(msgspec.json.encode(found)) == name


@pytest.mark.parametrize("name", [None, True, 1.5, ["a"], {}, "a\ud800", math.nan, 2**70, object()])
def test_what_is_no_id_is_refused(name: Any) -> None:
    with pytest.raises(UsageError, match="the id"):
        plain_id(name)


@pytest.mark.parametrize("x", ["sun", None, 3, ["sun"], [("sky", "sun")]])
def test_what_is_no_mapping_is_refused(x: Any) -> None:
    with pytest.raises(UsageError, match=r"the observation is .* not values by name"):
        plain_fields(x, "the observation")
