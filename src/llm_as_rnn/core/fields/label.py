"""A label: one of a few options."""

from __future__ import annotations

from typing import Any, ClassVar

from llm_as_rnn.core.fields.base import Measure
from llm_as_rnn.core.fields.options import OfOptions
from llm_as_rnn.core.fields.verdict import Verdict
from llm_as_rnn.core.folding import fold, leading


class Label(OfOptions, frozen=True, tag="label"):
    r"""One of ``options``, of which there are at least two.

    Examples
    --------
    >>> sky = Label("sky", options=("so, so", "caf\u00e9"))
    >>> sky.read("SO,  so"), sky.regex()
    ('so, so', '(so,\\ so|café)')
    >>> sky.compare("Cafe\u0301", "caf\u00e9").right, sky.compare("so, so", "caf\u00e9").error
    (True, 1.0)
    """

    noun: ClassVar[str] = "label"
    is_short: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a choice that is none."""
        super().__post_init__()
        if len(self.options) < 2:  # noqa: PLR2004 - a choice needs two
            raise ValueError(f"label field {self.name!r} needs at least two different options")

    def what_of(self, options: str) -> str:
        """Name the options."""
        return f"one of {options}"

    def schema(self) -> dict[str, Any]:
        """Give an enumeration of them."""
        return {"type": "string", "enum": list(self.options)}

    def regex(self) -> str:
        """Give an alternative of them."""
        return self.option_regex()

    def gbnf(self) -> str:
        """Give the same in llama.cpp's grammar notation."""
        return self.option_gbnf()

    def longest(self) -> int:
        """Give the length of the longest option."""
        return max(len(option.encode()) for option in self.options)

    def read(self, value: Any) -> str:
        """Read an option."""
        return self.read_option(value)

    def as_it_came(self, value: Any) -> str:
        """Read an option: nothing else can have come."""
        return self.read_option(value)

    def first_of(self, line: str) -> tuple[str, str | None]:
        """Split a line behind its option, which may hold commas itself.

        >>> Label("sky", options=("so, so", "good")).first_of("so, so, 12")
        ('so, so', ' 12')
        """
        found = leading(line, self.options, ",")
        if found is None:
            return super().first_of(line)
        return found[0], found[1][1:] if found[1] else None

    def may_end_at(self, beginning: str) -> bool:
        """Tell whether the beginning is an option as well."""
        return fold(beginning) in map(fold, self.options)

    def verdict(self, said: tuple[str, ...], came: tuple[str, ...]) -> Verdict:
        """Compare two labels: they are the same or not."""
        return Verdict(said == came, float(said != came))

    def measures(self) -> tuple[Measure, ...]:
        """Give the accuracy."""
        return (Measure("accuracy", lambda verdict: float(verdict.right), "share of steps with the right label"),)

    def uninformed(self, free: str = "") -> str:
        """Give the first option."""
        return self.options[0]
