"""How an answer did: the one comparison with an outcome that scores, facts, scorecard, credits and policy all go by.

Each function compares one kind of answer field; `fields.Field.compare` calls the one that fits its kind, and
`task.Task.compare` all of a task's fields. Texts are compared as `folding` has them. What is missing has one meaning:

- A missing answer (None, an empty list, no number where one should be) is wrong, and as far off as can be.
- Of a missing outcome (the same) nothing can be said: there is no verdict, and nothing is counted or scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from llm_as_rnn.alignment import overlap, tokens
from llm_as_rnn.figures import finite
from llm_as_rnn.folding import fold
from llm_as_rnn.records import Value


class Verdict(NamedTuple):
    """How one field of an answer did.

    Attributes
    ----------
    right : bool
        A label or text: the outcome's, whatever its case, blanks and Unicode form. A number: the outcome's, as the
        field shows both. A ranked list: its first entry is the first of the outcome's (Acc@1).
    error : float
        How far off, from 0 to 1. A label is right (0) or wrong (1). A number is off by a share of its plausible range,
        1 at most. A text lacks a share of the words. A ranked list is the more off the later its first hit comes, and 1
        without a hit. What is right has 0; so has a text that differs only in blanks around its marks.
    answered : bool
        Whether there was an answer of the field's kind; a missing one is wrong, and its error is 1.
    off : float or None
        Of numbers, answer minus outcome in the field's unit, a difference that leaves the range of floats at its end;
        for a missing answer, that of the end of the plausible range that lies farther from the outcome. None for other
        kinds.
    place : int or None
        Of ranked lists, the place (from 1) of the first entry that is any of the outcome's; None where none is.
    """

    right: bool
    error: float
    answered: bool = True
    off: float | None = None
    place: int | None = None

    @property
    def among(self) -> bool:
        """Whether any entry of a ranked list is any of the outcome's (Acc@k)."""
        return self.place is not None


NO_ANSWER = Verdict(right=False, error=1.0, answered=False)
"""The verdict on a missing answer; of a number it says how far off as well."""


def compare_labels(answer: Value | None, outcome: Value | None) -> Verdict | None:
    r"""Compare two labels.

    >>> compare_labels("Cafe\u0301", "caf\u00e9").right, compare_labels("tea", "caf\u00e9").error
    (True, 1.0)
    """
    said, came = _texts(answer), _texts(outcome)
    if not came:
        return None
    return Verdict(said == came, float(said != came)) if said else NO_ANSWER


def compare_texts(answer: Value | None, outcome: Value | None) -> Verdict | None:
    """Compare two texts word for word.

    >>> compare_texts("Rain  all day", "rain all day").error, compare_texts("rain at night", "rain all day").right
    (0.0, False)
    """
    said, came = _texts(answer), _texts(outcome)
    if not came:
        return None
    if not said:
        return NO_ANSWER
    right = said == came
    return Verdict(right, 0.0 if right else 1.0 - overlap(tokens("; ".join(said)), tokens("; ".join(came))))


def compare_ranked(answer: Value | None, outcome: Value | None, top: int) -> Verdict | None:
    """Compare two ranked lists: what counts is the first entry, and where the first hit stands.

    A hit at place p of k has the error p / (k + 1): above 0, because the first entry is not the first outcome, and
    below 1, because it is a hit.

    >>> compare_ranked(("gout", "flu"), ("Gout", "asthma"), 5)
    Verdict(right=True, error=0.0, answered=True, off=None, place=1)
    >>> compare_ranked(("asthma", "flu"), ("gout", "asthma"), 3), compare_ranked(("flu",), ("gout", "asthma"), 3).error
    (Verdict(right=False, error=0.25, answered=True, off=None, place=1), 1.0)
    """
    said, came = _texts(answer), _texts(outcome)
    if not came:
        return None
    if not said:
        return NO_ANSWER
    outcomes = frozenset(came)
    place = next((place for place, text in enumerate(said, start=1) if text in outcomes), None)
    if said[0] == came[0]:
        return Verdict(right=True, error=0.0, place=place)
    # An answer of an earlier version of the task may be longer than what is asked for now.
    return Verdict(right=False, error=place / (max(top, len(said)) + 1) if place else 1.0, place=place)


def compare_numbers(
    answer: Value | None, outcome: Value | None, low: float, high: float, show: Callable[[float], str]
) -> Verdict | None:
    """Compare two numbers.

    Parameters
    ----------
    answer, outcome : number, text or None
        Texts that are written as numbers count as these.
    low, high : float
        The ends of the plausible range.
    show : callable
        Writes a number with the digits that tell numbers apart here.

    Examples
    --------
    >>> compare_numbers(9.5, 12.0, -10, 40, "{:.1f}".format)
    Verdict(right=False, error=0.05, answered=True, off=-2.5, place=None)
    >>> compare_numbers(12.04, 12.0, -10, 40, "{:.1f}".format).right
    True
    """
    said, came = _number(answer), _number(outcome)
    if came is None:
        return None
    if said is None:
        return NO_ANSWER._replace(off=max(finite(low - came), finite(high - came), key=abs))
    off = finite(said - came)
    # Compared as numbers, once shown: there is a 0 with a minus before it.
    right = said == came or float(show(said)) == float(show(came))
    return Verdict(right, 0.0 if right else min(abs(off) / (high - low), 1.0), off=off)


def _texts(value: Value | None) -> tuple[str, ...]:
    """Give texts as they are compared; none where there is no value."""
    if value is None:
        return ()
    return tuple(fold(str(text)) for text in (value if isinstance(value, tuple | list) else (value,)))


def _number(value: Value | None) -> float | None:
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
