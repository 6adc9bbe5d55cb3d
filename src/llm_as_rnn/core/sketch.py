"""Tasks that a program makes of a few words, checked as task files are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec

from llm_as_rnn.core.errors import TaskError
from llm_as_rnn.core.shapes import labels_of

OBSERVATION = "{% for name, value in fields.items() %}\n- {{ name }}: {{ value }}\n{% endfor %}\n"
"""Shows whatever fields there are, a line each."""

LINE = (
    "{% for name, value in fields.items() %}{% if loop.length > 1 %}{{ name }} {% endif %}{{ value }}"
    "{% if not loop.last %}, {% endif %}{% endfor %}"
)
"""Shows whatever fields there are in one line; of one alone not the name."""

SECTIONS = (
    {"name": "Patterns", "about": "what tends to follow what, with figures"},
    {"name": "Recent", "about": "how it has gone just now"},
    {"name": "Corrections", "about": "errors of past predictions and how to avoid them"},
)

Check = Callable[[Any], None]
"""Refuses the content of a task by `msgspec.ValidationError`."""


def content_of(instructions: Any, answer: list[dict[str, Any]], name: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """Give the content of a task file: what was said, and for the rest what suits any data."""
    first = next(iter(str(instructions).strip().splitlines()), name)
    base = {"name": name, "title": first, "observation": OBSERVATION, "line": LINE, "memory": list(SECTIONS)}
    return {**base, **more, "instructions": instructions, "answer": answer}


def made(content: Mapping[str, Any], kind: type[Any], check: Check) -> Any:
    """Make a task of the content of a file.

    Raises
    ------
    TaskError
        If it is none; the message says what is wrong with which part.
    """
    name = content.get("name")
    try:
        plain = msgspec.to_builtins(content, enc_hook=_plain)
        check(plain)
        return msgspec.convert(plain, kind)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise TaskError(f"task {name}: {error}", "correct what was given for it") from error


def _plain(value: Any) -> Any:
    raise TypeError(f"{value!r} is nothing that a task file could hold")


def options_of(labels: Any) -> list[Any]:
    """List labels, which are texts, members of an enumeration, or a type that has them.

    >>> options_of(("spam", "ham"))
    ['spam', 'ham']
    """
    found = labels_of(labels)
    if found:
        return found
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise TaskError(f"labels cannot be {labels!r}", 'give a list of texts: labels=["spam", "ham"]')
    return [label.value if isinstance(label, Enum) else label for label in labels]
