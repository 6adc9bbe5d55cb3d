"""How an answer did: the one comparison with an outcome that scores, facts, scorecard, credits and policy all go by.

Each kind of field says in ``compare`` what is right and how far off an answer is, and `task.Task.compare` asks all of a
task's fields. Texts are compared as `folding` has them. What is missing has one meaning:

- A missing answer (None, an empty list, no number where one should be) is wrong, and as far off as can be.
- Of a missing outcome (the same) nothing can be said: there is no verdict, and nothing is counted or scored.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from llm_as_rnn.core.records import Value


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


def entries(value: Value | None) -> tuple[str, ...]:
    """Give a value as texts: the entries of a list, one of anything else, none where there is no value.

    >>> entries(("gout", "flu")), entries(9.5), entries(None)
    (('gout', 'flu'), ('9.5',), ())
    """
    if value is None:
        return ()
    return tuple(map(str, value)) if isinstance(value, tuple | list) else (str(value),)


def number_in(value: Value | None) -> float | None:
    """Give the finite number that a value is, or is written in a text; None where it is none.

    >>> number_in("9.5"), number_in(("9.5",)), number_in(math.inf)
    (9.5, None, None)
    """
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
