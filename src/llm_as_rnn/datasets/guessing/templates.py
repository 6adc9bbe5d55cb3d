"""How a row is shown: in full, in one line, and in a shorter one where a memory keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llm_as_rnn.datasets.guessing.columns import Column

RESERVED = frozenset(
    {
        "about", "fields", "and", "or", "not", "if", "elif", "else", "for", "in", "is", "true", "false", "none", "True",
        "False", "None", "loop", "self", "super", "recursive", "import", "include", "block", "macro", "set", "call",
        "filter", "with", "without", "context", "ignore", "missing", "do",
    }
)  # fmt: skip
"""Words that mean something else in a template."""

IN_LINE, IN_CASE = 200, 80
"""Characters of a long text that a line and a case keep."""

IN_FULL = 4000
"""Characters of a long text that are shown in full: about a thousand tokens."""

LONG_LINE = 160
"""Characters of a typical line from which on a shorter case is proposed."""

MOST_IN_LINE = 1000
"""Characters of a typical line from which on it has the first columns alone."""

SELDOM = 0.3
"""Share of empty cells from which on a column is only mentioned where it holds something."""


class Templates(NamedTuple):
    """The templates of a task; ``case`` is empty where the line is short enough to be kept.

    ``line`` has the first ``columns`` alone of what is shown, where all of it would be too long.
    """

    observation: str
    line: str
    case: str
    columns: int


def templates(about: Sequence[Column], shown: Sequence[Column], units: Mapping[str, str]) -> Templates:
    """Write the templates for some columns.

    Parameters
    ----------
    about, shown : sequence of Column
        What stays the same in a sequence, and what changes.
    units : mapping of str to str
        What is written behind a column's numbers.
    """
    rows = [f"- {_label(column)}: {_value(column, units, about=True)}" for column in about]
    rows += [_full(column, units) for column in shown]
    line = ", ".join(_short(column, units, IN_LINE, about=True) for column in about)
    in_line = _kept(shown, IN_LINE, MOST_IN_LINE)
    line = _joined([(column, _short(column, units, IN_LINE)) for column in in_line], line, in_line)
    if not rows:  # nothing is known but what came before
        return Templates("the next one", "the next one", "", 0)
    case = ""
    if any(column.kind == "long texts" for column in shown) or _length(shown, IN_LINE) > LONG_LINE:
        kept = _kept(shown, IN_CASE, LONG_LINE)
        case = _joined([(column, _short(column, units, IN_CASE)) for column in kept], "", kept)
    return Templates("\n".join(rows) + "\n", line, case, len(in_line))


def _kept(shown: Sequence[Column], longest: int, most: int) -> list[Column]:
    """Choose the columns of a line or a case: from the first on, as many as are short together."""
    kept: list[Column] = []
    for column in shown:
        if kept and _length([*kept, column], longest) > most:
            break
        kept.append(column)
    return kept


def _length(columns: Sequence[Column], longest: int) -> float:
    """Give the characters of a typical line."""
    return sum(len(column.name) + 3 + min(_typical(column), longest) for column in columns)


def _typical(column: Column) -> float:
    texts = [len(text) for text in column.texts if text is not None]
    return sum(texts) / len(texts) if texts else 0.0


def _joined(parts: Sequence[tuple[Column, str]], line: str, shown: Sequence[Column]) -> str:
    """Join parts by commas; what is seldom there brings its own comma."""
    alone = len(shown) == 1 and not line
    for column, part in parts:
        comma = ", " if line else ""
        written = _reference(column) if alone and column.kind == "texts" else part
        if _is_seldom(column) and line:
            line += f"{{% if {_name(column)} is not none %}}{comma}{written}{{% endif %}}"
        else:
            line += f"{comma}{written}"
    return line


def _full(column: Column, units: Mapping[str, str]) -> str:
    row = f"- {_label(column)}: {_value(column, units)}"
    if column.kind == "long texts" and max(len(text) for text in column.texts if text is not None) > IN_FULL:
        row = f"- {_label(column)}: {{{{ {_name(column)} | string | truncate({IN_FULL}) }}}}"
    if not _is_seldom(column):
        return row
    return f"{{% if {_name(column)} is not none %}}\n{row}\n{{% endif %}}"


def _is_seldom(column: Column) -> bool:
    return column.filled.count(False) > SELDOM * max(len(column.filled), 1)


def _short(column: Column, units: Mapping[str, str], longest: int, *, about: bool = False) -> str:
    name = _name(column, about=about)
    if column.kind == "long texts":
        return f"{_label(column)} {{{{ {name} | string | truncate({longest}) }}}}"
    return f"{_label(column)} {_value(column, units, about=about)}"


def _value(column: Column, units: Mapping[str, str], *, about: bool = False) -> str:
    unit = f" {_literal(units[column.name])}" if column.name in units else ""
    if column.kind == "lists":
        name = _name(column, about=about)
        joined = f'{name} | join("; ") if {name} is not none else {name}'
        return f"{{{{ {joined if any(isinstance(cell, list) for cell in column.there) else name} }}}}"
    return f"{{{{ {_name(column, about=about)} }}}}{unit}"


def _reference(column: Column) -> str:
    return f"{{{{ {_name(column)} }}}}"


def _name(column: Column, *, about: bool = False) -> str:
    """Write how a template names a column."""
    name = column.name
    plain = name.isidentifier() and name not in RESERVED and not name.startswith("_")
    if about:
        return f"about.{name}" if plain else f"about[{json.dumps(name, ensure_ascii=False)}]"
    return name if plain else f"fields[{json.dumps(name, ensure_ascii=False)}]"


def _label(column: Column) -> str:
    return _literal(" ".join(column.name.replace("_", " ").split()))


def _literal(text: str) -> str:
    """Write a text that a template has to show as it is.

    >>> _literal("wind"), _literal("{{ x }}")
    ('wind', '{{ "{{ x }}" }}')
    """
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if "{" in text or "#" in text else text
