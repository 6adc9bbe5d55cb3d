"""MemPrompt's streams: a user asks about words in phrases of their own, in English, Hindi or Punjabi.

A line of a task file names a word and the template of its question; the templates are functions in a Python file of the
same repository. It is read as text: nothing in it is run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.datasets.base import Brought, Maker, Row
from llm_as_rnn.datasets.formats import decoded
from llm_as_rnn.datasets.publishers.common import PAGE, made_by_users, rows_of, wrong

KINDS = {"syn": "synonym", "ant": "antonym", "defn": "definition", "sent": "sentence", "hom": "homophone"}
"""What is wanted, by the name of a kind of question."""

STREAM = 30
"""Questions of a sequence, where nothing else is said."""


class Phrase(NamedTuple):
    """The words of a question before and after the word that it is about."""

    before: str
    after: str


Phrases = Mapping[str, Phrase]
"""By the ids of templates."""


def rows(files: tuple[Brought, ...], language: str) -> list[Row]:
    """Read a task file and the templates: a row for each question, in the file's order."""
    tasks, templates = files
    read = rows_of(tasks, ("meta", "type", "template_id"), "a task file of MemPrompt")
    every = phrases(templates)
    language = language or tasks.path.absolute().parent.name
    if language not in every:
        raise DatasetError(
            f"{templates.path} has no templates for {language!r}, as the folder of {tasks.path} is called",
            f"name one of {', '.join(every)} with --language",
        )
    return [_question(tasks, row, every[language]) for row in read]


def _question(file: Brought, row: Row, known: Phrases) -> Row:
    meta, kind, template = (row.cells[name] for name in ("meta", "type", "template_id"))
    word = (meta.get("word") or meta.get("word1")) if isinstance(meta, dict) else None
    if not isinstance(word, str):
        raise wrong(file, row.line, "'meta' names no word")
    if not isinstance(template, str) or template not in known:
        raise wrong(file, row.line, f"there is no template {template!r}")
    phrase, kind = known[template], str(kind)
    return Row(row.line, {"question": f"{phrase.before}{word}{phrase.after}", "intent": KINDS.get(kind, kind)})


def phrases(file: Brought) -> dict[str, Phrases]:
    """Read the templates of each language from the Python file that holds them.

    Raises
    ------
    DatasetError
        If it is no Python file, or has no templates in it.
    """
    try:
        tree = ast.parse(decoded(file.path, file.content))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DatasetError(f"{file.path} cannot be read as a Python file", PAGE) from error
    found = {
        language: {name: phrase for entry in entries for name, phrase in _template(entry)}
        for language, entries in _lists(tree)
    }
    if not any(found.values()):
        raise DatasetError(f"{file.path} has none of MemPrompt's templates in it", PAGE)
    return {language: templates for language, templates in found.items() if templates}


def _lists(tree: ast.Module) -> Iterator[tuple[str, list[ast.expr]]]:
    """Find the lists that stand under a name in a table that is assigned: ``templates = {"hin": [...], ...}``."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            for key, value in zip(statement.value.keys, statement.value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.List):
                    yield str(key.value), value.elts


def _template(entry: ast.expr) -> Iterator[tuple[str, Phrase]]:
    """Give a template's id and phrase, if it is one: ``{"template_id": "syn0", "question": lambda word: f"..."}``."""
    if not isinstance(entry, ast.Dict):
        return
    parts: dict[Any, ast.expr] = {
        key.value: value for key, value in zip(entry.keys, entry.values, strict=True) if isinstance(key, ast.Constant)
    }
    name, question = parts.get("template_id"), parts.get("question")
    if isinstance(name, ast.Constant) and isinstance(question, ast.Lambda):
        text = question.body
        if isinstance(text, ast.JoinedStr):
            pieces = [part.value if isinstance(part, ast.Constant) else None for part in text.values]
            if pieces.count(None) == 1:
                place = pieces.index(None)
                yield str(name.value), Phrase("".join(map(str, pieces[:place])), "".join(map(str, pieces[place + 1 :])))


INTENTS = made_by_users(
    "intents",
    title="What a user wants to know of a word, asked in phrases of their own (MemPrompt)",
    source="madaan/memprompt (Madaan et al., EMNLP 2022)",
    licence="Apache-2.0",
    predicts="what is wanted: synonym, antonym, definition, sentence, homophone",
    size="1,000 questions in English, Hindi and Punjabi each",
    maker=Maker(
        ("a task file, tasks/LANGUAGE/tasks_N.jsonl", "the templates, src/templates/templates.py"),
        rows,
        length=STREAM,
        in_languages=True,
    ),
)
