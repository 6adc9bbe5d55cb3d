"""What a model's answer must look like, how to ask an engine for it, and how to read it.

One list of fields, three notations of it: ``json`` (an object), ``line`` (values with a comma between them, as small
models imitate best) and ``block`` (a line a field). Engines ignore parts of a schema or grammar silently, so every
answer is validated here again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import msgspec

from llm_as_rnn.core.calls import AnswerFormat, Place
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields import Field, Label
from llm_as_rnn.core.records import Record, Value

Notation = Literal["json", "line", "block"]

_OBJECT_BEGINS = re.compile(r'\{\s*["}]')
"""Braces in prose, as in ``{name}``, are none."""

_EXTENT = json.JSONDecoder(parse_float=str, parse_int=str)
"""Finds where an object ends; no figure is computed, however long it is."""

_FENCE = re.compile(r"(?:```|~~~)\s*+\w*+")
"""A line that only marks what stands beside it as an answer."""

END_GBNF = '"\\n"? "\\n"?'
"""How an answer of several lines may end: a model that is shown others ends its own with an empty line, as they do."""

END_REGEX = "\\n?\\n?"
"""The same as a regular expression."""


class AnswerSpec(Record, frozen=True, dict=True):
    """The fields of an answer and the notation it is asked for in.

    Attributes
    ----------
    name : str
        A short name, for engines.
    fields : tuple of Field
        In the order in which they are written.
    notation : str
        ``json``, ``line`` or ``block``.

    Examples
    --------
    >>> from llm_as_rnn.core.fields import Number
    >>> sky = Label("sky", options=("rain", "sun"))
    >>> high = Number("high", low=-20, high=45)
    >>> line = AnswerSpec("forecast", (sky, high), "line")
    >>> line.read(" rain, 12.8")
    {'sky': 'rain', 'high': 12.8}
    >>> line.show({"sky": "sun", "high": 9})
    'sun, 9.0'
    >>> AnswerSpec("forecast", (sky, high), "json").show({"sky": "sun", "high": 9})
    '{"sky":"sun","high":"9.0"}'
    """

    name: str
    fields: tuple[Field, ...]
    notation: Notation = "json"

    @cached_property
    def format(self) -> AnswerFormat:
        """What to ask an engine to hold the answer to."""
        if self.notation == "json":
            return AnswerFormat(self.name, schema=object_schema({f.name: f.schema() for f in self.fields}))
        if self.notation == "line":
            regex = ", ".join(field.regex() for field in self.fields)
            body = ' ", " '.join(field.gbnf() for field in self.fields)
            only = self.fields[0]
            choices = only.options if len(self.fields) == 1 and isinstance(only, Label) else ()
            return AnswerFormat(self.name, gbnf=f'root ::= " "? {body}', regex=f" ?{regex}", choices=choices)
        regex = "\\n".join(f"{field.name}: {field.regex()}" for field in self.fields)
        body = ' "\\n" '.join(f'"{field.name}: " {field.gbnf()}' for field in self.fields)
        return AnswerFormat(self.name, gbnf=f'root ::= "\\n"? {body} {END_GBNF}', regex=f"\\n?{regex}{END_REGEX}")

    @cached_property
    def places(self) -> tuple[Place, ...]:
        r"""Where values stand that are one of a few options, or of a list the first.

        >>> AnswerSpec("forecast", (Label("sky", options=("rain", "sun")),), "json").places[0].lead
        '"sky"\\s*+:\\s*+\\[?\\s*+"'
        """
        # What is passed over is never tried again in another way (`*+`): a server may send blanks without end.
        found, before = [], "^\\s*+"
        for field in self.fields:
            lead = {
                "json": f'"{field.name}"\\s*+:\\s*+\\[?\\s*+"',
                "line": before,
                "block": f"(?m:^){field.name}: *",
            }[self.notation]
            if field.options:
                found.append(Place(field.name, lead, field.options, self.notation == "json"))
            # Any other value ends at its first comma, where the line is split when it is read (`BaseField.first_of`).
            before += f"(?:{field.regex()}|[^,\\n]*+),\\s*+" if field.options else "[^,\\n]*+,\\s*+"
        return tuple(found)

    def describe(self) -> str:
        """Say in words what an answer looks like; llama.cpp never shows the schema to the model.

        Lines are for small models, which a grammar holds to the options: many options are not listed there.
        """
        if self.notation == "json":
            keys = ", ".join(f'"{field.name}"' for field in self.fields)
            return f"one JSON object with {keys}:\n" + "\n".join(f"- {f.describe()}" for f in self.fields)
        if self.notation == "line":
            names = ", ".join(field.name for field in self.fields)
            return f"one line, {names}:\n" + "\n".join(f"- {f.describe(in_short=True)}" for f in self.fields)
        return "one line each:\n" + "\n".join(f.describe() for f in self.fields)

    def show(self, values: Mapping[str, Value]) -> str:
        """Write values as a correct answer would be written, for examples and outcomes."""
        given = [field for field in self.fields if field.name in values]
        if self.notation == "json":
            return msgspec.json.encode({field.name: field.to_json(values[field.name]) for field in given}).decode()
        shown = {field.name: field.show(values[field.name]) for field in given}
        if self.notation == "line":
            return ", ".join(shown.values())
        return "\n".join(f"{name}: {value}" for name, value in shown.items())

    def max_tokens(self) -> int:
        """Tokens to allow an answer: a token a byte for short ones (no tokenizer needs more), half of that beyond."""
        chars = sum(field.longest() + len(field.name) + 8 for field in self.fields)
        return min(chars, 64 + chars // 2)

    def read(self, text: str) -> dict[str, Value]:
        """Read an answer.

        Raises
        ------
        AnswerError
            If it is not one; the message says what is wrong, in words a model can act on.
        """
        parts = self._parts(text)
        return {field.name: field.read(parts[field.name]) for field in self.fields}

    def read_outcome(self, text: str) -> dict[str, Value]:
        """Read an outcome that was written by `show`, however implausible it is.

        Raises
        ------
        AnswerError
            If it is none.
        """
        parts = self._parts(text)
        return {field.name: field.read_outcome(parts[field.name]) for field in self.fields}

    def _parts(self, text: str) -> dict[str, Any]:
        parts = {"json": self._split_json, "line": self._split_line, "block": self._split_block}[self.notation](text)
        missing = [field.name for field in self.fields if field.name not in parts]
        if missing:
            raise AnswerError(f"{', '.join(missing)} missing in the answer")
        return parts

    def _split_json(self, text: str) -> dict[str, Any]:
        return read_object(text)

    def _split_line(self, text: str) -> dict[str, Any]:
        lines = [line for line in map(str.strip, text.strip().splitlines()) if not _FENCE.fullmatch(line)]
        rest = lines[0] if lines else None
        parts = {}
        for field in self.fields[:-1]:
            if rest is not None:
                parts[field.name], rest = field.first_of(rest)
        # The last field takes what is left, so that a text with commas in it stays whole.
        parts[self.fields[-1].name] = rest or ""
        return {name: part.strip() for name, part in parts.items() if part.strip()}

    def _split_block(self, text: str) -> dict[str, Any]:
        names = {field.name.casefold(): field.name for field in self.fields}
        found: dict[str, Any] = {}
        for line in text.splitlines():
            name, colon, value = line.partition(":")
            key = names.get(name.strip(" -*").casefold())
            if colon and key and key not in found:
                found[key] = value
        return found


def object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """Wrap properties as the strict object schema that every engine takes: all required, none extra."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read_object(text: str) -> dict[str, Any]:
    r"""Read the one JSON object of an answer, whatever fence or prose stands around it.

    Raises
    ------
    AnswerError
        If there is none, or more than one: then nobody knows which is meant.

    Examples
    --------
    >>> read_object('Sure!\n```JSON\n{"sky": "sun"}\n```\nIt may change.')
    {'sky': 'sun'}
    """
    try:
        # Stricter than the standard library, which lets NaN and lone surrogates in.
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # msgspec's errors and those of other decoders are ValueErrors
        return _only_object(text)
    if not isinstance(value, dict):
        raise AnswerError("the answer is JSON, but not an object")
    return value


def _only_object(text: str) -> dict[str, Any]:
    """Read the only thing in a text that begins as a JSON object does; in linear time, whatever the text."""
    begin = _OBJECT_BEGINS.search(text)
    if begin is None:
        raise AnswerError("the answer is not one valid JSON object")
    try:
        _, end = _EXTENT.raw_decode(text, begin.start())
        value = msgspec.json.decode(text[begin.start() : end])
    except (ValueError, RecursionError):
        raise AnswerError("the answer is not one valid JSON object") from None
    if _OBJECT_BEGINS.search(text, end):
        raise AnswerError("the answer holds more than one JSON object")
    object_: dict[str, Any] = value
    return object_
