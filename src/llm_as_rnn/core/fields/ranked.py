"""A ranked list: the few most likely, best first."""

from __future__ import annotations

from typing import Any, ClassVar

from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields.base import Judging, Measure
from llm_as_rnn.core.fields.options import OfOptions
from llm_as_rnn.core.fields.verdict import Verdict, entries
from llm_as_rnn.core.records import Value

FREE_BYTES = 80
"""What an entry that is free text may take."""


class Ranked(OfOptions, frozen=True, tag="ranked"):
    """The ``top`` best, best first; of ``options``, or free text where there are none.

    Attributes
    ----------
    top : int
        How many entries an answer has, from 1 on; an outcome may have more.

    Examples
    --------
    >>> codes = Ranked("codes", top=1)
    >>> codes.read("a; b"), codes.read_outcome("a; b")
    (('a',), ('a', 'b'))
    >>> codes.compare(("flu", "gout"), ("Gout", "flu")).place
    1
    """

    noun: ClassVar[str] = "ranked list"
    may_judge: ClassVar[tuple[Judging, ...]] = ("same",)
    no_outcome: ClassVar[tuple[type, ...]] = (dict,)

    top: int = 5

    def __post_init__(self) -> None:
        """Refuse a list of nothing, and options that hold what separates them."""
        super().__post_init__()
        if self.top < 1:
            raise ValueError(f"ranked field {self.name!r} needs top from 1 on, not {self.top}")
        for option in self.options:
            if ";" in option:
                raise self.unreadable(option, "a semicolon, which separates the entries of a list: write it without")

    def to_json(self, value: Value) -> tuple[str, ...]:
        """Give the entries."""
        return entries(value)

    def what_of(self, options: str) -> str:
        """Say how many, and of what."""
        of = f" of {options}" if options else ""
        return f"the {self.top} most likely{of}, best first"

    def schema(self) -> dict[str, Any]:
        """Give an array of so many texts."""
        item: dict[str, Any] = {"type": "string"}
        if self.options:
            item["enum"] = list(self.options)
        return {"type": "array", "items": item, "minItems": self.top, "maxItems": self.top}

    def regex(self) -> str:
        """Give so many entries, with a semicolon between them."""
        one = self.option_regex() if self.options else f"[^;\\n]{{1,{FREE_BYTES}}}"
        return f"{one}(; {one}){{{self.top - 1}}}"

    def gbnf(self) -> str:
        """Give the same in llama.cpp's grammar notation."""
        one = self.option_gbnf() if self.options else f"[^;\\n]{{1,{FREE_BYTES}}}"
        return f'{one} ("; " {one}){{{self.top - 1}}}'

    def longest(self) -> int:
        """Give the length of as many of the longest entry, with what stands between them."""
        return self.top * (max((len(option.encode()) for option in self.options), default=FREE_BYTES) + 4)

    def read(self, value: Any) -> tuple[str, ...]:
        """Read a list, and take its ``top`` first entries."""
        return self.as_it_came(value)[: self.top]

    def as_it_came(self, value: Any) -> tuple[str, ...]:
        """Read a list, or a text with semicolons; an entry that comes twice counts once."""
        parts = value if isinstance(value, list | tuple) else str(value).split(";")
        texts = [" ".join(str(part).split()) for part in parts]
        ranked = tuple(dict.fromkeys(self.read_option(text) if self.options else text for text in texts if text))
        if not ranked:
            raise AnswerError(f"{self.name} must list the {self.top} most likely, best first")
        return ranked

    def may_end_at(self, beginning: str) -> bool:
        """Tell that any comma may be taken for the end."""
        return True

    def verdict(self, said: tuple[str, ...], came: tuple[str, ...]) -> Verdict:
        """Compare two lists: what counts is the first entry, and where the first hit stands.

        A hit at place p of k has the error p / (k + 1): above 0, because the first entry is not the first outcome, and
        below 1, because it is a hit.

        >>> codes = Ranked("codes", top=3)
        >>> codes.compare(("asthma", "flu"), ("gout", "asthma"))
        Verdict(right=False, error=0.25, answered=True, off=None, place=1)
        >>> codes.compare(("flu",), ("gout", "asthma")).error
        1.0
        """
        outcomes = frozenset(came)
        place = next((place for place, text in enumerate(said, start=1) if text in outcomes), None)
        if said[0] == came[0]:
            return Verdict(right=True, error=0.0, place=place)
        # An answer of an earlier version of the task may be longer than what is asked for now.
        return Verdict(right=False, error=place / (max(self.top, len(said)) + 1) if place else 1.0, place=place)

    def in_words(self, verdict: Verdict) -> str:
        """Say where the first hit stands, if it is not the first outcome."""
        if verdict.right or verdict.place is None:
            return super().in_words(verdict)
        return f"wrong at first but number {verdict.place} is right" if verdict.place > 1 else "right but not the first"

    def measures(self) -> tuple[Measure, ...]:
        """Give the accuracy of the first entry, and of all of them."""
        first = Measure(
            "acc@1", lambda verdict: float(verdict.right), "share of steps whose first answer is the primary outcome"
        )
        among = Measure(
            f"acc@{self.top}",
            lambda verdict: float(verdict.among),
            "share of steps with any outcome among the answers",
        )
        return (first, among) if self.top > 1 else (first,)

    def uninformed(self, free: str = "") -> tuple[str, ...]:
        """Give the first options."""
        return (self.options or entries(free or None))[: self.top]

    def canary(self, number: int) -> tuple[str, ...]:
        """Give a list with one entry."""
        return (f"canary{number}",)
