"""h_t as text and as JSON: what the model reads, and what it writes back.

Text form, shown in prompts and counted against the budget::

    ## Patterns
    - rain tends to follow rain (7 of 9)
    ## Corrections
    - highs were forecast 1.2 too low

Items are single lines that cannot be mistaken for a heading or another item, whatever was written into them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.core.answers import END_GBNF, END_REGEX, object_schema, read_object
from llm_as_rnn.core.calls import AnswerFormat
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields import gbnf_string, whole_words
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.hygiene import tidy_item
from llm_as_rnn.core.records import Form, Memory, Section
from llm_as_rnn.core.task import Task

MAX_ITEM_CHARS = 300
"""The longest item that is asked for, in characters; longer ones are kept as far as the budget goes."""

MORE = 2
"""Notes a section that a memory may grow by when it is written again, however many it holds."""


def initial_memory(task: Task) -> Memory:
    """Give h_0: every section of the task, saying that nothing is known yet (paper, appendix C)."""
    items = tidy_items([task.initial])
    return Memory(tuple(Section(section.name, items) for section in task.memory))


def telling(memory: Memory, task: Task) -> Memory:
    """Leave out the sections that say nothing, as a prediction is shown a memory.

    >>> from llm_as_rnn.core.task import load_task
    >>> weather = load_task("weather")
    >>> str(telling(initial_memory(weather), weather))
    ''
    >>> nothing = tidy_items([weather.initial])
    >>> print(telling(Memory((Section("Patterns", ("rain -> sun",)), Section("Corrections", nothing))), weather))
    ## Patterns
    - rain -> sun
    """
    nothing = ((), tidy_items([task.initial]))
    return Memory(tuple(section for section in memory.sections if section.items not in nothing), memory.version)


def tidy_items(texts: Iterable[str]) -> tuple[str, ...]:
    """Tidy several items; empty ones and repetitions go.

    >>> tidy_items(["rain", "", "* rain"])
    ('rain',)
    """
    return tuple(dict.fromkeys(item for item in map(tidy_item, texts) if item))


def to_json(memory: Memory) -> str:
    """Write a memory as a JSON answer would be written: section names and their items."""
    return msgspec.json.encode({section.name: section.items for section in memory.sections}).decode()


def written(memory: Memory, form: Form) -> str:
    """Write a memory in the form in which the model is asked to write one."""
    return to_json(memory) if form == "json" else str(memory)


class Bounds(NamedTuple):
    """How much of a memory a grammar lets a model write: notes in a section, and characters in a note."""

    items: int
    chars: int

    @classmethod
    def within(cls, budget: int, sections: int) -> Bounds:
        """Give the bounds that suit a budget, so that small models come to an end before it is used up.

        A note gets sixteen tokens and more; three characters a token is what short notes come to, and one may be twice
        as long as that: where a note is cut off, a small model begins another one with its rest.

        >>> Bounds.within(budget=128, sections=3)
        Bounds(items=2, chars=128)
        """
        items = min(max(budget // (16 * sections), 1), 24)
        return cls(items, min(max(6 * budget // (items * sections), 24), MAX_ITEM_CHARS))

    def beyond(self, sections: Sequence[Section]) -> Bounds:
        """Leave room for more notes than there are: a model that may only write as many can learn nothing new.

        >>> Bounds(items=2, chars=128).beyond([Section("Marks", ("bovi", "tarel"))])
        Bounds(items=4, chars=128)
        """
        longest = max((len(section.items) for section in sections), default=0)
        return self._replace(items=max(self.items, longest + MORE))


def answer_format(task: Task, form: Form, bounds: Bounds) -> AnswerFormat:
    """Say what a rewritten memory must look like, for the engine."""
    if form == "json":
        item = {"type": "string", "maxLength": bounds.chars}
        items = {"type": "array", "items": item, "maxItems": bounds.items}
        return AnswerFormat("memory", schema=object_schema({section.name: items for section in task.memory}))
    item_regex = f"[^\\n]{{1,{bounds.chars}}}"
    headings = [f"## {section.name}" for section in task.memory]
    parts = [f'{gbnf_string(heading)} ("\\n- " item){{1,{bounds.items}}}' for heading in headings]
    body = ' "\\n" '.join(parts)
    # A note has a rule of its own: llama.cpp refuses a repetition within a repetition beyond 2,000 in all.
    gbnf = f'item ::= {item_regex}\nroot ::= "\\n"? {body} {END_GBNF}'
    regex = "\\n?" + "\\n".join(f"{re.escape(heading)}(\\n- {item_regex}){{1,{bounds.items}}}" for heading in headings)
    return AnswerFormat("memory", gbnf=gbnf, regex=regex + END_REGEX)


def read_memory(text: str, task: Task, form: Form, chars: int = MAX_ITEM_CHARS) -> tuple[Section, ...]:
    """Read the sections of a memory that a model wrote.

    Parameters
    ----------
    text : str
        What it wrote.
    task : Task
        Whose sections there must be.
    form : str
        ``json``, or ``line`` for the text form.
    chars : int
        Where a grammar would have cut items off.

    Returns
    -------
    tuple of Section
        All of the task's sections in its order; what stands for an empty one is left out beside a note.

    Raises
    ------
    AnswerError
        If it is not a memory, if a section is missing, or if all of them are empty.
    """
    found = _read_json(text) if form == "json" else _read_text(text)
    by_name = {fold(name): items for name, items in found.items()}
    missing = [section.name for section in task.memory if fold(section.name) not in by_name]
    if missing:
        raise AnswerError(f"the memory lacks the section {', '.join(missing)}")
    unknown = fold(tidy_item(task.initial))

    def notes(items: list[str]) -> tuple[str, ...]:
        tidy = tidy_items(whole_words(tidy_item(item), chars) for item in items)
        return tuple(item for item in tidy if fold(item) != unknown) or tidy

    sections = tuple(Section(section.name, notes(by_name[fold(section.name)])) for section in task.memory)
    if not any(section.items for section in sections):
        raise AnswerError("every section of the memory is empty")
    return sections


def _read_json(text: str) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, items in read_object(text).items():
        if isinstance(items, str):
            items = [items]  # noqa: PLW2901 - one item without its list
        if not isinstance(items, list) or not all(_is_plain(item) for item in items):
            raise AnswerError(f"the section {name[:40]!r} must be a list of texts")
        found[name] = [str(item) for item in items]
    return found


def _is_plain(item: Any) -> bool:
    return isinstance(item, str | int | float) and not isinstance(item, bool)


def _read_text(text: str) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    items: list[str] | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("#"):
            items = found.setdefault(line.lstrip("#").removesuffix(":").strip(), [])
        elif items is not None and line:
            items.append(line)
    return found
