"""The fields of an answer: what each one may be, how it is shown, asked for, read, and compared with an outcome."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from llm_as_rnn.comparing import Verdict, compare_labels, compare_numbers, compare_ranked, compare_texts
from llm_as_rnn.errors import AnswerError
from llm_as_rnn.folding import chosen, clash, fold, leading
from llm_as_rnn.records import Record, Value

Kind = Literal["label", "number", "ranked", "text"]
ExtraName = Literal["log", "mse", "facts", "icd", "ccsr"]
"""Scores that a task can ask for beside those of a field's kind (see `metrics.extras`)."""

Judging = Literal["align", "same"]
"""What a judge can be asked: how well a text agrees with the outcome's, or which entries of a list mean the same (see
`metrics.judged`)."""

ARROW = " -> "
"""Between what was seen and what came, in the prompts of line answers and in notes."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_EXPONENT = re.compile(r"[eE][+-]?[0-9]{1,4}\Z")

LONG = 1e16
"""Numbers beyond this, and beyond what an answer may be, are shown with an exponent: up to 309 digits tell no more."""

MAX_CHARS = 400
"""The longest text field, in characters, where the task names no other limit."""


class Field(Record, frozen=True):
    """One field of an answer.

    Attributes
    ----------
    name : str
        Its key.
    kind : str
        ``label`` (one of ``options``), ``number``, ``ranked`` (the ``top`` best, best first) or ``text``.
    about : str
        What it means, for the prompt.
    options : tuple of str
        What a label may be; what a ranked list is made of (free text if empty).
    unit : str
        Unit of a number.
    low, high : float
        Plausible range of a number, both ends included. An answer outside is invalid, and a missing answer scores as
        the end that lies farther from the outcome. Outcomes may lie outside.
    decimals : int
        Digits after a number's point.
    top : int
        Length of a ranked list.
    max_chars : int
        Length of a text, in characters.
    last : str
        The observation's field that holds the latest known value of the same quantity, if there is one.
    metrics : tuple of str, optional
        Scores to report beside those of the kind (see `metrics.extras`).
    judged : str, optional
        What a language model judges after the run: ``align`` for a text, ``same`` for a ranked list (see
        `metrics.judged`).
    """

    name: str
    kind: Kind
    about: str = ""
    options: tuple[str, ...] = ()
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    decimals: int = 1
    top: int = 5
    max_chars: int = MAX_CHARS
    last: str = ""
    # Unset is left out of the encoding: tasks without it keep the digests that their runs were begun with.
    metrics: tuple[ExtraName, ...] | UnsetType = UNSET
    judged: Judging | UnsetType = UNSET

    @property
    def extras(self) -> tuple[ExtraName, ...]:
        """The names in ``metrics``."""
        return () if self.metrics is UNSET else self.metrics

    def __post_init__(self) -> None:
        """Refuse a field that no answer could fill."""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.name):
            raise ValueError(f"field name {self.name!r} must be a plain word")
        if self.kind == "label" and len(set(self.options)) < 2:  # noqa: PLR2004 - a choice needs two
            raise ValueError(f"label field {self.name!r} needs at least two different options")
        if not math.isfinite(self.high - self.low) or (self.kind == "number" and not self.low < self.high):
            raise ValueError(f"number field {self.name!r} needs a finite plausible range: low below high")
        self._require_metrics_that_fit()
        if self.judged is not UNSET and self.kind != (kind := {"align": "text", "same": "ranked"}[self.judged]):
            raise ValueError(f"field {self.name!r} cannot be judged by {self.judged}: only a {kind} one can")
        if any(len(option.splitlines()) != 1 or option != option.strip() for option in self.options):
            raise ValueError(f"options of field {self.name!r} must be single lines without outer spaces")
        self._require_options_apart()

    def _require_options_apart(self) -> None:
        same = clash(self.options)
        if same:
            differ = "is the same as" if same[0] == same[1] else "differs only in case, blanks or Unicode form from"
            raise ValueError(f"option {same[1]!r} of field {self.name!r} {differ} {same[0]!r}: rename or drop one")
        for option in self.options:
            holds = ""
            if self.kind == "ranked" and ";" in option:
                holds = "a semicolon, which separates the entries of a list"
            elif ARROW in f" {fold(option)} ":
                holds = "an arrow, which comes before an outcome in notes"
            if holds:
                raise ValueError(f"option {option!r} of field {self.name!r} holds {holds}: write it without")

    def require_end_in_lines(self) -> None:
        """Refuse options that a line could not tell the end of, for a field that others follow.

        Raises
        ------
        ValueError
            If one holds a comma and the field is a list, or what stands before the comma is an option as well.
        """
        whole = {fold(option) for option in self.options}
        for option in self.options:
            places = [match.start() for match in re.finditer(",", option)]
            if places and (self.kind == "ranked" or any(fold(option[:place]) in whole for place in places)):
                raise ValueError(
                    f"option {option!r} of field {self.name!r} holds a comma, which ends a field in line answers: "
                    "put the field last, or write the option without"
                )

    def _require_metrics_that_fit(self) -> None:
        if "log" in self.extras and not (self.kind == "number" and self.low > 0):
            raise ValueError(f"field {self.name!r} asks for the metric log: only a number with a low above 0 has one")
        if {"icd", "ccsr"} & set(self.extras) and self.kind != "ranked":
            raise ValueError(f"field {self.name!r} asks for the metric icd or ccsr: only a ranked list has one")
        if "mse" in self.extras and self.kind != "number":
            raise ValueError(f"field {self.name!r} asks for the metric mse: only a number has one")
        if "facts" in self.extras and self.kind != "text":
            raise ValueError(f"field {self.name!r} asks for the metric facts: only a text has one")

    def show(self, value: Value) -> str:
        """Write a value as it stands in prompts and in line answers.

        >>> Field("high", "number", low=-20, high=45).show(12.84)
        '12.8'
        """
        if self.kind == "number" and not isinstance(value, tuple):
            number = float(value)
            is_long = abs(number) > max(LONG, abs(self.low), abs(self.high))
            return repr(number) if is_long else f"{number:.{self.decimals}f}"
        return "; ".join(value) if isinstance(value, tuple) else str(value)

    def compare(self, answer: Value | None, outcome: Value | None) -> Verdict | None:
        """Say how an answer did: whether it was right, and how far off.

        Parameters
        ----------
        answer : Value or None
            As it was read; None where there is none.
        outcome : Value or None
            What came.

        Returns
        -------
        Verdict or None
            None where nothing came (see `comparing`).

        Examples
        --------
        >>> high = Field("high", "number", low=-20, high=45)
        >>> high.compare(9.0, 12.25), high.compare(9.0, None)
        (Verdict(right=False, error=0.05, answered=True, off=-3.25, place=None), None)
        >>> Field("codes", "ranked").compare(("flu", "gout"), ("Gout", "flu")).place
        1
        """
        match self.kind:
            case "label":
                return compare_labels(answer, outcome)
            case "number":
                return compare_numbers(answer, outcome, self.low, self.high, self.show)
            case "ranked":
                return compare_ranked(answer, outcome, self.top)
            case "text":
                return compare_texts(answer, outcome)

    def describe(self) -> str:
        """Say in words what may stand here."""
        about = f" ({self.about})" if self.about else ""
        match self.kind:
            case "label":
                what = f"one of {', '.join(self.options)}"
            case "number":
                digits = "a whole number" if self.decimals == 0 else f"a number with {self.decimals} decimal"
                what = f"{digits}{' in ' + self.unit if self.unit else ''}"
            case "ranked":
                of = f" of {', '.join(self.options)}" if self.options else ""
                what = f"the {self.top} most likely{of}, best first"
            case "text":
                what = "a short sentence" if self.max_chars < MAX_CHARS else "a few sentences on one line"
        return f"{self.name}{about}: {what}"

    def schema(self) -> dict[str, Any]:
        """Give the field's JSON schema, within what all engines take."""
        match self.kind:
            case "label":
                return {"type": "string", "enum": list(self.options)}
            case "number":
                # Not a JSON number: grammars built for those allow 12.0000000000000025e-0.
                return {"type": "string", "pattern": f"^{self._number_regex()}$"}
            case "ranked":
                item: dict[str, Any] = {"type": "string"}
                if self.options:
                    item["enum"] = list(self.options)
                return {"type": "array", "items": item, "minItems": self.top, "maxItems": self.top}
            case "text":
                return {"type": "string", "maxLength": self.max_chars}

    def _number_regex(self) -> str:
        digits = len(str(int(max(abs(self.low), abs(self.high)))))
        sign = "-?" if self.low < 0 else ""
        fraction = f"\\.[0-9]{{1,{self.decimals}}}" if self.decimals else ""
        return f"{sign}[0-9]{{1,{digits}}}" + (f"({fraction})?" if fraction else "")

    def regex(self) -> str:
        """Give a regular expression for the value in line and block answers."""
        match self.kind:
            case "label":
                return f"({'|'.join(re.escape(option) for option in self.options)})"
            case "number":
                return self._number_regex()
            case "ranked":
                one = f"({'|'.join(map(re.escape, self.options))})" if self.options else "[^;\\n]{1,80}"
                return f"{one}(; {one}){{{self.top - 1}}}"
            case "text":
                return f"[^\\n]{{1,{self.max_chars}}}"

    def gbnf(self) -> str:
        """Give the same in llama.cpp's grammar notation."""
        match self.kind:
            case "label":
                return _gbnf_choice(self.options)
            case "number":
                return self._number_regex().replace("\\.", '"."').replace("-?", '"-"? ')
            case "ranked":
                one = _gbnf_choice(self.options) if self.options else "[^;\\n]{1,80}"
                return f'{one} ("; " {one}){{{self.top - 1}}}'
            case "text":
                return f"[^\\n]{{1,{self.max_chars}}}"

    def read(self, value: Any) -> Value:
        """Check and convert one value, from JSON or from text.

        Raises
        ------
        AnswerError
            If it does not fit; the message says how, in words a model can act on.
        """
        match self.kind:
            case "label":
                return self._read_option(value)
            case "number":
                return self._read_number(value)
            case "ranked":
                return self._ranked(value)[: self.top]
            case "text":
                return self._text(value)[: self.max_chars]

    def read_outcome(self, value: Any) -> Value:
        """Check and convert what came: it happened, however implausible or long it is.

        Parameters
        ----------
        value : JSON value
            Any finite number, one of the options, a text, or a list; not None, which is no outcome.

        Raises
        ------
        AnswerError
            If it is of another kind, or no logarithm can be taken of a number that is scored by it.

        Examples
        --------
        >>> Field("high", "number", low=-20, high=45).read_outcome("1e3")
        1000.0
        >>> Field("codes", "ranked", top=1).read_outcome("a; b")
        ('a', 'b')
        """
        if value is None:
            raise AnswerError(f"{self.name} is missing")
        if isinstance(value, dict) or (isinstance(value, list | tuple) and self.kind != "ranked"):
            raise AnswerError(f"{self.name} must be a {self.kind}, not {_short(value)}")
        match self.kind:
            case "label":
                return self._read_option(value)
            case "number":
                number = self._number(value, exponents=True)
                if "log" in self.extras and number <= 0:
                    raise AnswerError(f"{self.name} is scored by its logarithm and must be above 0, not {number:g}")
                return number
            case "ranked":
                return self._ranked(value)
            case "text":
                return self._text(value)

    def _read_option(self, value: Any) -> str:
        option = chosen(str(value).strip(), self.options)
        if option is None:
            raise AnswerError(f"{self.name} must be one of {', '.join(self.options)}, not {_short(value)}")
        return option

    def first_of(self, line: str) -> tuple[str, str | None]:
        """Split a line into this field's value and what follows its comma; None where there is no comma.

        >>> Field("sky", "label", options=("so, so", "good")).first_of("so, so, 12")
        ('so, so', ' 12')
        """
        value, comma, rest = line.partition(",")
        if comma and self.kind == "label":
            value, rest = leading(line, self.options, comma) or (value, comma + rest)
            comma, rest = rest[:1], rest[1:]
        return value, rest if comma else None

    def _read_number(self, value: Any) -> float:
        number = self._number(value)
        if not self.low <= number <= self.high:
            raise AnswerError(f"{self.name} must lie between {self.low:g} and {self.high:g}, not {_short(value)}")
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
            raise AnswerError(f"{self.name} must be a number, not {_short(value)}")
        return number

    def _ranked(self, value: Any) -> tuple[str, ...]:
        parts = value if isinstance(value, list | tuple) else str(value).split(";")
        texts = [" ".join(str(part).split()) for part in parts]
        ranked = tuple(dict.fromkeys(self._read_option(t) if self.options else t for t in texts if t))
        if not ranked:
            raise AnswerError(f"{self.name} must list the {self.top} most likely, best first")
        return ranked

    def _text(self, value: Any) -> str:
        text = " ".join(str(value).split())
        if not text:
            raise AnswerError(f"{self.name} is empty")
        return text


class NoteField(Field, frozen=True):
    r"""A note of a model's own about a step: any text, or what was seen and, by the grammar, what came.

    An engine without grammars may leave out what came; then the text alone is taken.

    Attributes
    ----------
    seen : int
        The length of what was seen, in characters; ``max_chars`` is that of a text alone.
    came : str
        What came; empty where the note is not to tell it.

    Examples
    --------
    >>> note = NoteField("note", "text", seen=20, came="sun")
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

    def read(self, value: Any) -> str:
        """Check a note, and cut back one that was stopped short; of several arrows the last one is meant."""
        seen, arrow, came = " ".join(str(value).split()).rpartition(ARROW)
        if not self.came or not seen:
            return whole_words(str(super().read(value)), self.max_chars)
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


def gbnf_string(text: str) -> str:
    r"""Quote a text as a literal of llama.cpp's grammar notation.

    >>> print(gbnf_string('say "hi"'))
    "say \"hi\""
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _gbnf_choice(options: tuple[str, ...]) -> str:
    return f"({' | '.join(gbnf_string(option) for option in options)})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004 - enough to recognise it
