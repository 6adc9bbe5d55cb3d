"""A number with its unit, its plausible range and the digits that are shown of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar

from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields.base import BaseField, Measure, brief
from llm_as_rnn.core.fields.digits import number_pattern
from llm_as_rnn.core.fields.verdict import NO_ANSWER, Verdict, number_in
from llm_as_rnn.core.figures import finite, in_full, mean
from llm_as_rnn.core.records import Value

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_EXPONENT = re.compile(r"[eE][+-]?[0-9]{1,4}\Z")

LONG = 1e16
"""Numbers beyond this, and beyond what an answer may be, are shown with an exponent: up to 309 digits tell no more."""


class Number(BaseField, frozen=True, tag="number"):
    """A number.

    Attributes
    ----------
    unit : str
        Its unit.
    low, high : float
        Its plausible range, both ends included. An answer outside is invalid, and a missing answer scores as the end
        that lies farther from the outcome. Outcomes may lie outside.
    decimals : int
        Digits after its point, from 0 on; so that there is an answer, a number of so many lies in the range.

    Examples
    --------
    >>> high = Number("high", low=-20, high=45, unit="degrees C")
    >>> high.show(12.84), high.tell(12.84), high.read_outcome("1e3")
    ('12.8', '12.8 degrees C', 1000.0)
    >>> high.compare(9.0, 12.25), high.compare(9.0, None)
    (Verdict(right=False, error=0.05, answered=True, off=-3.25, place=None), None)
    """

    noun: ClassVar[str] = "number"
    may_ask: ClassVar[tuple[str, ...]] = ("log", "mse")
    is_short: ClassVar[bool] = True

    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    decimals: int = 1

    def __post_init__(self) -> None:
        """Refuse a range that no answer could lie in, or that has no logarithm where one is asked for."""
        super().__post_init__()
        if self.decimals < 0:
            raise ValueError(f"number field {self.name!r} needs decimals from 0 on, not {self.decimals}")
        if not math.isfinite(self.high - self.low) or not self.low < self.high:
            raise ValueError(f"number field {self.name!r} needs a finite plausible range: low below high")
        least, most = self._ends()
        if least > most:
            raise ValueError(
                f"number field {self.name!r} has no answer: no number with decimals {self.decimals} lies between "
                f"{self.low} and {self.high}; give it more decimals or a wider range"
            )
        if "log" in self.extras and self.low <= 0:
            raise ValueError(f"field {self.name!r} asks for the metric log: only a number with a low above 0 has one")

    def show(self, value: Value) -> str:
        """Write a number with its decimals, or with an exponent where it is very long."""
        number = value if isinstance(value, float) else float(super().show(value))
        is_long = abs(number) > max(LONG, abs(self.low), abs(self.high))
        return repr(number) if is_long else f"{number:.{self.decimals}f}"

    def tell(self, value: Value) -> str:
        """Write a number and its unit."""
        return f"{self.show(value)}{' ' + self.unit if self.unit else ''}"

    def what(self) -> str:
        """Say how many decimals it has, and its unit."""
        digits = "a whole number" if self.decimals == 0 else f"a number with {self.decimals} decimal"
        return f"{digits}{' in ' + self.unit if self.unit else ''}"

    def schema(self) -> dict[str, Any]:
        """Give a pattern: grammars built for JSON numbers allow 12.0000000000000025e-0."""
        return {"type": "string", "pattern": f"^{self.regex()}$"}

    def regex(self) -> str:
        """Give the numbers of the plausible range: nothing else could be an answer."""
        return number_pattern(self.low, self.high, self.decimals)

    def gbnf(self) -> str:
        """Give the same in llama.cpp's grammar notation."""
        return self.regex()

    def read(self, value: Any) -> float:
        """Read a number within the plausible range, written in plain figures."""
        number = self._number(value)
        if not self.is_plausible(number):
            low, high = (in_full(end) for end in (self.low, self.high))
            raise AnswerError(f"{self.name} must lie between {low} and {high}, not {brief(value)}")
        return number

    def as_it_came(self, value: Any) -> float:
        """Read any finite number, with an exponent or without; above 0 where its logarithm is scored."""
        number = self._number(value, exponents=True)
        if "log" in self.extras and number <= 0:
            raise AnswerError(f"{self.name} is scored by its logarithm and must be above 0, not {number:g}")
        return number

    def _number(self, value: Any, *, exponents: bool = False) -> float:
        text = str(value).strip()
        if self.unit and text.endswith(self.unit):
            text = text[: -len(self.unit)].strip()
        # Stricter than float(), which takes 8_5 and full-width figures. JSON numbers may come as 1e-05.
        bare = _EXPONENT.sub("", text) if exponents else text
        plain = _NUMBER.fullmatch(bare) and not isinstance(value, bool)
        number = float(text) if plain or isinstance(value, float) else math.nan
        if not math.isfinite(number):
            raise AnswerError(f"{self.name} must be a number, not {brief(value)}")
        return number

    def is_plausible(self, value: Value) -> bool:
        """Tell whether a value is a number within the plausible range."""
        number = number_in(value)
        return number is not None and self.low <= number <= self.high

    def answer_near(self, number: float) -> float:
        """Give the answer that is nearest to a number: with its decimals, and within the plausible range.

        >>> Number("high", low=1.2, high=2.8, decimals=0).answer_near(2.7)
        2.0
        """
        least, most = (float(end / 10**self.decimals) for end in self._ends())
        return min(max(float(self.show(float(number))), least), most)

    @property
    def roughness(self) -> float:
        """How far `answer_near` may be from a number of the plausible range: half a last digit, or more at its ends.

        >>> Number("high", low=0, high=45).roughness, Number("share", low=0, high=0.95, decimals=0).roughness
        (0.05, 0.95)
        """
        least, most = (float(end / 10**self.decimals) for end in self._ends())
        return max(0.5 * 10.0**-self.decimals, self.high - most, least - self.low)

    def _ends(self) -> tuple[Fraction, Fraction]:
        """Give the least and the greatest answer, in units of its last decimal; they cross where there is none."""
        low, high = (Fraction(str(float(end))) * 10**self.decimals for end in (self.low, self.high))
        return Fraction(math.ceil(low)), Fraction(math.floor(high))

    def compare(self, answer: Value | None, outcome: Value | None) -> Verdict | None:
        """Compare two numbers; texts that are written as numbers count as these.

        >>> high = Number("high", low=-10, high=40)
        >>> high.compare("12.04", 12.0).right, high.compare(None, 30.0).off
        (True, -40.0)
        """
        said, came = number_in(answer), number_in(outcome)
        if came is None:
            return None
        if said is None:
            return NO_ANSWER._replace(off=max(finite(self.low - came), finite(self.high - came), key=abs))
        off = finite(said - came)
        # Compared as numbers, once shown: there is a 0 with a minus before it.
        right = said == came or float(self.show(said)) == float(self.show(came))
        return Verdict(right, 0.0 if right else min(abs(off) / (self.high - self.low), 1.0), off=off)

    def in_words(self, verdict: Verdict) -> str:
        """Say by how much a number is too high or too low."""
        return super().in_words(verdict) if verdict.right or verdict.off is None else self._way(verdict.off)

    def difference(self, said: Value, came: Value) -> str:
        """Say by how much a number is off, as its digits are shown."""
        off = float(self.show(said)) - float(self.show(came))
        return self._way(off) if off else "exact"

    def _way(self, off: float) -> str:
        return f"{self.show(abs(off))} too {'high' if off > 0 else 'low'}"

    def measures(self) -> tuple[Measure, ...]:
        """Give the absolute error; its square is reported where a task asks for it (``mse``)."""
        unit = f", in {self.unit}" if self.unit else ""
        about = f"mean absolute error{unit}; a missing answer counts as the farther end of the range"
        return (
            Measure("abs_error", _absolute, about, "mae", "MAE", higher_is_better=False),
            Measure("sq_error", lambda verdict: finite(_absolute(verdict) * _absolute(verdict))),
        )

    def typical(self, past: Sequence[Value]) -> float:
        """Give the mean."""
        return mean([number for value in past if (number := number_in(value)) is not None])

    def uninformed(self, free: str = "") -> float:
        """Give the middle of the plausible range."""
        return mean([self.low, self.high])

    def canary(self, number: int) -> float:
        """Give the number itself."""
        return float(number)


def _absolute(verdict: Verdict) -> float:
    return abs(verdict.off or 0.0)
