"""A proposed task as the text of a task file, with comments for whoever edits it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence

import yaml
from msgspec import UNSET, to_builtins

from llm_as_rnn.core.columns import Columns
from llm_as_rnn.core.fields import Field
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.guessing.proposal import Doubt, Proposal

WIDTH = 110
"""Columns of a line that lists things."""

_WORD = re.compile(r"[^\W\d_]\w*(?:[ -]\w+)*")


def task_text(proposal: Proposal, data: str, file: str) -> str:
    """Write a task file.

    Parameters
    ----------
    proposal : Proposal
        What was found.
    data, file : str
        The table's name and the task file's, as a command names them.
    """
    task = proposal.task
    blocks = (
        [
            f"# Proposed by looking at {_one_line(data)}: read it, and change what is wrong. Try it with",
            "#",
            f"#     llm-as-rnn data check {_one_line(file)} --data {_one_line(data)}",
            f"#     llm-as-rnn run {_one_line(file)} --data {_one_line(data)} --quick",
            *_stream(task, file),
        ],
        [f"name: {scalar(task.name)}", f"title: {scalar(task.title)}"],
        ["# What the model is told first, at every step. Say here what you would tell a person.", *_told(task)],
        _shown(proposal),
        ["# What is predicted: kinds are label, number, ranked and text.", "answer:", *_answer(task.answer)],
        ["# The sections of the memory that the model keeps.", "memory:", *_memory(task)],
        _data(proposal),
    )
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _stream(task: Task, file: str) -> list[str]:
    """Say how a live stream of such rows is predicted, with the shape of one of its lines."""
    data = task.data
    assert data is not UNSET  # noqa: S101 - what is proposed has one
    about = "".join(f" --about {shlex.quote(f'{name}=...')}" for name in data.about)
    line = {"x": dict.fromkeys(data.fields, ...), "y": dict.fromkeys((field.name for field in task.answer), ...)}
    shape = json.dumps(line, ensure_ascii=False, default=lambda _: None).replace("null", "...")
    return [
        "#",
        '# and a live stream, whose outcomes may come later ("id" then says whose), by lines such as',
        "#",
        f"#     llm-as-rnn predict {_one_line(file)} --state state.json{_one_line(about)} < lines.jsonl",
        f"#     {_one_line(shape)}",
    ]


def _told(task: Task) -> list[str]:
    return _block("instructions", task.instructions)


def _shown(proposal: Proposal) -> list[str]:
    task = proposal.task
    lines = ["# How one row is shown: in full for JSON answers, in one line for small models. An empty cell is none."]
    if "truncate(" in task.observation + task.line:
        lines.append("# truncate(N) keeps N characters of a long text: more tell more, and cost tokens at every step.")
    lines += _block("observation", task.observation)
    if task.data is not UNSET and proposal.in_line < len(task.data.fields):
        lines.append(
            f"# The first {proposal.in_line} columns alone: all of them would be too long. Choose those that tell most."
        )
    lines += [f"line: {quoted(task.line)}"]
    if task.case is not UNSET:
        lines += [
            "# How a memory of cases keeps a row: shorter than the line, which is long here.",
            f"case: {quoted(task.case)}",
        ]
    return lines


def _block(name: str, text: str) -> list[str]:
    """Write a text of several lines, as a block where that gives the very text back."""
    lines = text.split("\n")
    is_plain = text.endswith("\n") and not text.endswith("\n\n") and text.strip() and not text[0].isspace()
    if not is_plain or not all(line.isprintable() and line == line.rstrip() for line in lines):
        return [f"{name}: {quoted(text)}"]
    return [f"{name}: |", *(f"  {line}" if line else "" for line in lines[:-1])]


def _answer(fields: Sequence[Field]) -> list[str]:
    notes = {
        "options": "all that the table has; another one in a later file is refused",
        "low": "the plausible range: widen it if more may come",
        "last": "the shown column with the latest value of the same thing",
    }
    lines: list[str] = []
    for field in fields:
        given = to_builtins(field)
        names = ["name", "kind", *(name for name in given if name not in ("name", "kind"))]
        for place, name in enumerate(names):
            value = given[name]
            if value in ("", []):
                continue
            start = "  - " if place == 0 else "    "
            if name == "options":
                lines += [f"    # {notes['options']}", *_list("    options", value)]
                continue
            note = f"  # {notes[name]}" if name in notes else ""
            lines.append(f"{start}{name}: {_value(value)}{note}")
    return lines


def _memory(task: Task) -> list[str]:
    return [
        line
        for section in task.memory
        for line in (f"  - name: {scalar(section.name)}", f"    about: {scalar(section.about)}")
    ]


def _data(proposal: Proposal) -> list[str]:
    data = proposal.task.data
    assert data is not UNSET  # noqa: S101 - what is proposed has one
    lines = [
        f"# Which column means what. The table had {proposal.rows} rows"
        + (f" in {proposal.sequences} sequences." if data.apart else ", which are one sequence."),
        "data:",
    ]
    lines += [f"  sequence: {_sequence(data.apart)}"] if data.apart else []
    lines += [f"  order: {scalar(data.order)}  # sorted by"] if data.order else []
    lines += _formats(data, proposal.doubts)
    lines += ["  outcome:  # answer field: column"]
    lines += [f"    {scalar(field)}: {scalar(column)}" for field, column in data.outcome.items()]
    if data.ahead is not UNSET:
        where = "the next row of its sequence" if data.ahead == 1 else f"its sequence, {data.ahead} rows later"
        lines.append(f"  ahead: {data.ahead}  # the outcome stands in {where}")
    lines += (
        ["  # What is shown: what is known before the outcome is.", *_list("  fields", data.fields)]
        if data.fields
        else []
    )
    lines += ["  # What stays the same in a sequence.", *_list("  about", data.about)] if data.about else []
    left = [column for column in proposal.columns if column.role == "left out"]
    if left:
        lines.append("  # Left out; to show one, list it under fields and name it in the templates:")
        lines += [f"  # - {_one_line(column.name)}: {_one_line(column.why)}" for column in left]
    return lines


def _sequence(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{scalar(names[0])}  # tells sequences apart"
    return f"[{', '.join(map(_in_list, names))}]  # tell sequences apart, together"


def _formats(data: Columns, doubts: Iterable[Doubt]) -> Iterable[str]:
    for doubt in doubts:
        yield f"  # Not sure: {_one_line(doubt.what)}"
    if data.dates is not UNSET:
        yield f"  dates: {quoted(data.dates)}  # how its dates are written"
    if data.decimal is not UNSET:
        yield f"  decimal: {quoted(data.decimal)}  # before decimals"
    if data.thousands is not UNSET:
        yield f"  thousands: {quoted(data.thousands)}  # between groups of three digits"
    if data.missing is not UNSET:
        yield f"  missing: [{', '.join(map(quoted, data.missing))}]  # what stands, in any column, for nothing"
    if data.signs is not UNSET:
        yield f"  signs: [{', '.join(map(quoted, data.signs))}]  # around numbers, and no part of them"


def _list(name: str, values: Sequence[str]) -> list[str]:
    """Write a list in one line, or a line each where that would be long."""
    short = f"{name}: [{', '.join(map(_in_list, values))}]"
    if len(short) <= WIDTH:
        return [short]
    indent = " " * (len(name) - len(name.lstrip()) + 2)
    return [f"{name}:", *(f"{indent}- {scalar(value)}" for value in values)]


def _in_list(value: str) -> str:
    return scalar(value)


def _value(value: object) -> str:
    if isinstance(value, float):
        text = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        # YAML takes 1e+09 for a text: there a point has to stand before an exponent.
        return text if "e" not in text or "." in text else text.replace("e", ".0e")
    return str(value) if isinstance(value, int) else scalar(str(value))


def scalar(text: str) -> str:
    """Write a text as YAML, without quotes where it is plainly a text.

    >>> scalar("open"), scalar("no"), scalar("a: b"), scalar("12")
    ('open', '"no"', '"a: b"', '"12"')
    """
    plain = _WORD.fullmatch(text) and text.isprintable() and yaml.safe_load(text) == text
    return text if plain else quoted(text)


def quoted(text: str) -> str:
    r"""Write a text as YAML, in quotes.

    >>> print(quoted('say "hi"\u2028now'))
    "say \"hi\"\u2028now"
    """
    inner = json.dumps(text, ensure_ascii=False)[1:-1]
    return f'"{"".join(char if char.isprintable() else _escaped(char) for char in inner)}"'


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the two lengths that YAML has


def _one_line(text: str) -> str:
    """Give a text as a comment can hold it."""
    return "".join(char if char.isprintable() else " " for char in text)
