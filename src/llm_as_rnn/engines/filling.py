"""An answer to any request, made from what the request says that its answer must look like.

Nothing is understood and nothing is drawn: of options it is the first, of digits a 0, and wherever any text may stand,
it is the text that is given. So a script can answer methods that it knows nothing of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from llm_as_rnn.core.calls import AnswerFormat

_TOKEN = re.compile(r"\\(?P<escaped>.)|\[(?P<members>\^?\]?(?:\\.|[^\]\\])*)\]|(?P<other>.)", re.DOTALL)
_TIMES = re.compile(r"\{(\d*)(,?)(\d*)\}|[?*+]")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "d": "0", "s": " ", "w": "a", "b": "", "B": "", "A": "", "Z": ""}


def fill(answer: AnswerFormat, text: str, times: int = 1) -> str:
    r"""Write an answer.

    Parameters
    ----------
    answer : AnswerFormat
        What it must look like. A grammar alone is not read.
    text : str
        What is written wherever any text may stand, however long it is: as by an engine that knows no lengths.
    times : int
        How often what may stand there several times is repeated, as far as it may; where it need not stand in a line at
        all, it never does.

    Examples
    --------
    >>> fill(AnswerFormat(regex=r"\n?## Marks(\n- [^\n]{1,80}){1,9}\nsure: (yes|no), -?[0-9]{1,2}\.[0-9]"), "wet", 2)
    '## Marks\n- wet\n- wet 2\nsure: yes, 00.0'
    >>> fill(AnswerFormat(schema={"properties": {"why": {"type": "string"}, "sky": {"enum": ["sun", "fog"]}}}), "wet")
    '{"why":"wet","sky":"sun"}'
    """
    if answer.schema is not None:
        return msgspec.json.encode(_value({"type": "object", **answer.schema}, text, times)).decode()
    if answer.choices:
        return answer.choices[0]
    return text if answer.regex is None else _Pattern(answer.regex, text, times).written()


def _value(schema: Mapping[str, Any], text: str, times: int) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _value(part, text, times) for name, part in schema.get("properties", {}).items()}
        case "array":
            number = max(schema.get("minItems", 1), min(times, schema.get("maxItems", times)))
            return [_value(schema.get("items", {}), _copy(text, place), times) for place in range(number)]
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return True
    return _Pattern(schema["pattern"], text, times).written() if "pattern" in schema else text


def _copy(text: str, place: int) -> str:
    return f"{text} {place + 1}" if place else text


class _Pattern:
    """Writes what a regular expression fits: its dialect is what engines are asked to hold answers to."""

    def __init__(self, pattern: str, text: str, times: int) -> None:
        self.pattern, self.text, self.times = pattern, text, times
        self.at = 0

    def written(self) -> str:
        """Write the first of the alternatives that begin here, and go behind the last."""
        first = self._row()
        while self._passes("|"):
            self._row()
        return first

    def _row(self) -> str:
        parts = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            parts.append(self._item())
        return "".join(parts)

    def _item(self) -> str:
        begin = self.at
        part, is_free = self._atom()
        end = self.at
        least, most = self._bounds()
        if is_free:
            return part if most else ""
        number = max(least, min(self.times, most)) if least else 0
        more = (_Pattern(self.pattern[begin:end], _copy(self.text, place), 1).written() for place in range(1, number))
        return "".join([part, *more]) if number else ""

    def _atom(self) -> tuple[str, bool]:
        """Write one character, class or group, and say whether any text may stand there."""
        if self._passes("("):
            self._passes("?:")
            part = self.written()
            self._passes(")")
            return part, False
        found = _TOKEN.match(self.pattern, self.at)
        assert found is not None  # noqa: S101 - the last alternative takes any character
        self.at = found.end()
        escaped, members, other = found["escaped"], found["members"], found["other"]
        if other == "." or (members or "").startswith("^"):
            return self.text, True
        if members:
            escaped, other = (members[1], None) if members.startswith("\\") else (None, members[0])
        return (_ESCAPED.get(escaped, escaped) if escaped else "" if other in ("^", "$") else other), False

    def _bounds(self) -> tuple[int, int]:
        found = _TIMES.match(self.pattern, self.at)
        if found is None:
            return 1, 1
        self.at = found.end()
        endless = max(self.times, 1)
        match found[0]:
            case "?":
                return 0, 1
            case "*":
                return 0, endless
            case "+":
                return 1, endless
        least = int(found[1] or 0)
        return least, (int(found[3]) if found[3] else endless) if found[2] else least

    def _passes(self, sign: str) -> bool:
        passed = self.pattern.startswith(sign, self.at)
        self.at += len(sign) * passed
        return passed
