"""Texts: an answer in a few words or sentences, and notes of a model's own."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from llm_as_rnn.core.alignment import overlap, tokens
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields.base import ARROW, BaseField, Judging, Measure, gbnf_string
from llm_as_rnn.core.fields.verdict import Verdict

MAX_CHARS = 400
"""The longest text, in characters, where the task names no other limit."""


class Text(BaseField, frozen=True, tag="text"):
    """A text on one line.

    Attributes
    ----------
    max_chars : int
        Its length, in characters, from 1 on; an outcome may be longer.

    Examples
    --------
    >>> words = Text("words")
    >>> words.compare("Rain  all day", "rain all day").error, words.compare("rain at night", "rain all day").right
    (0.0, False)
    """

    noun: ClassVar[str] = "text"
    may_judge: ClassVar[tuple[Judging, ...]] = ("align",)
    is_open: ClassVar[bool] = True

    max_chars: int = MAX_CHARS

    def __post_init__(self) -> None:
        """Refuse a text of no characters."""
        super().__post_init__()
        if self.max_chars < 1:
            raise ValueError(f"text field {self.name!r} needs max_chars from 1 on, not {self.max_chars}")

    def what(self) -> str:
        """Say how long it may be."""
        return "a short sentence" if self.max_chars < MAX_CHARS else "a few sentences on one line"

    def schema(self) -> dict[str, Any]:
        """Give a bounded text."""
        return {"type": "string", "maxLength": self.max_chars}

    def regex(self) -> str:
        """Give any characters of one line."""
        return f"[^\\n]{{1,{self.max_chars}}}"

    def gbnf(self) -> str:
        """Give the same in llama.cpp's grammar notation."""
        return f"[^\\n]{{1,{self.max_chars}}}"

    def longest(self) -> int:
        """Give its length."""
        return self.max_chars

    def read(self, value: Any) -> str:
        """Read a text, and cut off what is too long."""
        return self.as_it_came(value)[: self.max_chars]

    def as_it_came(self, value: Any) -> str:
        """Read a text, with single blanks."""
        text = " ".join(str(value).split())
        if not text:
            raise AnswerError(f"{self.name} is empty")
        return text

    def verdict(self, said: tuple[str, ...], came: tuple[str, ...]) -> Verdict:
        """Compare two texts word for word."""
        right = said == came
        return Verdict(right, 0.0 if right else 1.0 - overlap(tokens("; ".join(said)), tokens("; ".join(came))))

    def in_words(self, verdict: Verdict) -> str:
        """Say whether it is the outcome's; else only that they differ, for the same may be told in many ways."""
        return "right" if verdict.right else "in other words"

    def measures(self) -> tuple[Measure, ...]:
        """Give the share of copies."""
        about = "share of steps with exactly the outcome's text, in any case"
        return (Measure("match", lambda verdict: float(verdict.right), about),)

    def uninformed(self, free: str = "") -> str:
        """Give the free text."""
        return free


class NoteField(Text, frozen=True):
    r"""A note of a model's own about a step: any text, or what was seen and, by the grammar, what came.

    An engine without grammars may leave out what came; then the text alone is taken. It is asked for by methods, and
    stands in no task.

    Attributes
    ----------
    seen : int
        The length of what was seen, in characters; ``max_chars`` is that of a text alone.
    came : str
        What came; empty where the note is not to tell it.

    Examples
    --------
    >>> note = NoteField("note", seen=20, came="sun")
    >>> note.regex()
    '[^\\n]{1,20} -> sun'
    >>> note.read("fog -> mist, then clouds -> sun")
    'fog - mist, then -> sun'
    """

    seen: int = 0
    came: str = ""

    def regex(self) -> str:
        """Give a regular expression for the note."""
        return f"[^\\n]{{1,{self.seen}}}{ARROW}{re.escape(self.came)}" if self.came else super().regex()

    def gbnf(self) -> str:
        """Give the same in llama.cpp's grammar notation."""
        return f"[^\\n]{{1,{self.seen}}} {gbnf_string(ARROW + self.came)}" if self.came else super().gbnf()

    def longest(self) -> int:
        """Give the length of the longer of its two forms."""
        told = self.seen + len(ARROW) + len(self.came.encode()) if self.came else 0
        return max(self.max_chars, told)

    def read(self, value: Any) -> str:
        """Check a note, and cut back one that was stopped short; of several arrows the last one is meant."""
        seen, arrow, came = " ".join(str(value).split()).rpartition(ARROW)
        if not self.came or not seen:
            return whole_words(super().read(value), self.max_chars)
        return f"{whole_words(seen.replace(ARROW, ' - ')[: self.seen], self.seen)}{arrow}{came}"


def whole_words(text: str, chars: int) -> str:
    """Cut a text that was stopped short after so many characters back to its last sentence, or its last whole word.

    >>> whole_words("Rain follows rain. Fog tends to li", chars=34)
    'Rain follows rain.'
    >>> whole_words("rain follows ra", chars=15)
    'rain follows'
    """
    if len(text) != chars or text[-1:] in ".!?;)":
        return text
    ends = [match.end() for match in re.finditer(r"[.!?;](?=\s)", text)]
    return text[: ends[-1]] if ends else text.rpartition(" ")[0] or text
