"""The one door for values from outside: plain JSON values come in, and what no file could hold is refused here.

Learner, River, pipe, tables and tasks all pass what they are given through `plain`, so that the same value means the
same everywhere, and nothing is taken today that cannot be written or read tomorrow.

============================================ ==============================================
what is given                                what it becomes
============================================ ==============================================
text                                         itself, without a byte order mark before it; lone
                                             surrogates become ``?``
true, false, whole numbers of 64 bits        themselves
finite numbers                               themselves
not a number; NumPy's and pandas' NaN, NaT, NA  nothing (None): a missing value
infinite numbers, larger whole numbers       refused
scalars and arrays of NumPy and pandas       the plain value; lists
`decimal.Decimal`                            the number
dates, times, timestamps                     their ISO 8601 text
spans of time                                their text
enumeration members, UUIDs, paths            their value; their text
lists, tuples, mappings                      lists and objects of plain values
anything else (bytes, sets, other objects)   refused
============================================ ==============================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.records import writable

LARGEST, SMALLEST = 2**64 - 1, -(2**63)
"""The whole numbers that JSON keeps exact here."""

DEEPEST = 32
"""Lists and objects within each other; nobody's data is deeper, and readers give up somewhere beyond."""

BYTE_ORDER_MARK = "\ufeff"
"""What some programs write before a text; it is no part of it."""

_MISSING = ("NaTType", "NAType")
"""What pandas calls a time and a value that are missing."""


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """Give a value as JSON holds it and gives it back.

    Parameters
    ----------
    value : object
        Anything.
    where : str
        What an error calls it.
    depth : int
        How deep in lists and objects it lies.

    Returns
    -------
    None, bool, int, float, str, list or dict

    Raises
    ------
    UsageError
        If it has no plain form; the message begins with ``where``.

    Examples
    --------
    >>> plain({"sky": "sun", "highs": (9, float("nan"))}, "x")
    {'sky': 'sun', 'highs': [9, None]}
    >>> plain(float("inf"), "the field 'high'")
    Traceback (most recent call last):
        ...
    llm_as_rnn.core.errors.UsageError: the field 'high' is infinite (give a finite number, or leave it out)
    """
    if depth > DEEPEST:
        raise UsageError(f"{where} is nested more than {DEEPEST} levels deep", "give flatter data")
    match value:
        case None | bool():
            found: Any = value
        case Enum():
            found = plain(value.value, where, depth)
        case str():
            found = plain_text(value)
        case int():
            found = _whole(int(value), where)
        case float() | Decimal():
            found = _number(value, where)
        case Mapping():
            found = _entries(value, where, depth)
        case list() | tuple():
            found = [plain(part, where, depth + 1) for part in value]
        case _:
            found = _foreign(value, where, depth)
    return found


def plain_text(text: str) -> str:
    r"""Give a text as every file can hold it: without a byte order mark before it, and without lone surrogates.

    >>> plain_text("\ufeffsun"), plain_text("sun \ud800")
    ('sun', 'sun ?')
    """
    return str(text) if text.isascii() else writable(text).lstrip(BYTE_ORDER_MARK)


def plain_fields(x: Any, what: str) -> dict[str, Any]:
    """Give named values in plain form: an observation, what is constant in a sequence, an outcome.

    Parameters
    ----------
    x : mapping
        Values by name; an instance of a dataclass or a Pydantic model has them too.
    what : str
        What an error calls it.

    Raises
    ------
    UsageError
        If it is no mapping, two of its names are the same as texts, or a value has no plain form.

    Examples
    --------
    >>> plain_fields({"sky": "sun", 7: 1.5}, "the observation")
    {'sky': 'sun', '7': 1.5}
    >>> plain_fields("sun", "the observation")
    Traceback (most recent call last):
        ...
    llm_as_rnn.core.errors.UsageError: the observation is 'sun', not values by name (give a dict such as {"sky": "sun"})
    """
    x = _named(x)
    if not isinstance(x, Mapping):
        raise UsageError(f"{what} is {_short(x)}, not values by name", 'give a dict such as {"sky": "sun"}')
    return _entries(x, what, 0)


def _named(x: Any) -> Any:
    """Give the values of an instance of a class that names them; anything else as it is."""
    if isinstance(x, type | Mapping):
        return x
    if is_dataclass(x):
        return {field.name: getattr(x, field.name) for field in fields(x)}
    return x.model_dump() if callable(getattr(x, "model_dump", None)) else x


def plain_id(name: Any) -> str | int:
    """Give an id as it was given, if it is one: text or a whole number.

    Raises
    ------
    UsageError
        If it is anything else, or a text that could not come back as it was given.

    Examples
    --------
    >>> plain_id("7"), plain_id(7)
    ('7', 7)
    """
    if isinstance(name, str) and not isinstance(name, Enum):
        if writable(name) != name:
            raise UsageError(f"the id {_short(name)} holds half a character, which no file can", "give whole ones")
        return str(name)
    value = plain(name, "the id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError(f"the id {_short(name)} is neither text nor a whole number", "give one of these")
    return value


def _entries(value: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in value.items():
        key = plain_text(str(name.value if isinstance(name, Enum) else name))
        if key in found:
            raise UsageError(f"{where} has the name {key!r} twice", "give each value a name of its own")
        found[key] = plain(part, f"{where}, {key!r}" if depth else f"{where}'s {key!r}", depth + 1)
    return found


def _whole(value: int, where: str) -> int:
    if not SMALLEST <= value <= LARGEST:
        raise UsageError(f"{where} is a whole number of more than 64 bits", "give it as text")
    return value


def _number(value: float | Decimal, where: str) -> float | int | None:
    if value.is_nan() if isinstance(value, Decimal) else math.isnan(value):
        return None
    number = float(value)
    if math.isinf(number):
        raise UsageError(f"{where} is infinite", "give a finite number, or leave it out")
    if isinstance(value, Decimal) and value == value.to_integral_value() and SMALLEST <= value <= LARGEST:
        return int(value)
    return number


def _foreign(value: Any, where: str, depth: int) -> Any:
    """Give a value of another library in plain form, without importing that library."""
    kind = type(value).__name__
    if kind in _MISSING:
        return None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID | PurePath | timedelta):
        return plain_text(str(value))
    if kind in ("datetime64", "timedelta64"):  # of NumPy: ``tolist`` would make figures of them
        text = str(value)
        return None if text == "NaT" else text
    if hasattr(value, "tolist") and not isinstance(value, type):
        listed = _listed(value)
        if type(listed) is not type(value):
            return plain(listed, where, depth + 1)
    raise UsageError(f"{where} is {_short(value)}, of the type {kind}", "give text, numbers, lists or dicts")


def _listed(value: Any) -> Any:
    """Give a scalar or an array of NumPy, or a column of pandas, in plainer values; itself where there are none."""
    if getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):  # ``tolist`` would make figures of times
        return list(value) if getattr(value, "ndim", 1) else value[()]
    listed = value.tolist()
    # A long double gives itself: a float is as near as others come.
    return float(listed) if type(listed) is type(value) and hasattr(listed, "__float__") else listed


def _short(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - of a stranger's class, and only to be named
        text = "something"
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - enough to recognise it
