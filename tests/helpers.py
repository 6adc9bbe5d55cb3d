"""Answers for tests: a model that says what it should, and ways to run methods by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from llm_as_rnn.catalogue import build
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.knobs import knobs
from llm_as_rnn.core.method import Calls, Method
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Form
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import Options
from llm_as_rnn.trust.assured import Assured

T = TypeVar("T")
Answer = Callable[[Request], Completion | str]

LINES = {
    "predict": " rain, 9.5",
    "reflect": "correct: no\nmissed: the sky\nwhy: pressure\nsuggestion: look at the wind",
    "update": "## Patterns\n- rain follows rain\n## Recent days\n- wet\n## Corrections\n- highs too low",
    "compress": "## Patterns\n- rain\n## Recent days\n- wet\n## Corrections\n- none",
    "summarise": "summary: a wet day, then rain",
    "judge": "critique: bold\nsuggestion: look at the wind\nscore: 40",
    "delta": "action: add\nsection: Patterns\nnote: rain follows rain",
}
"""A good answer of each role, in the line form of the weather task."""

OBJECTS = {
    "predict": {"sky": "rain", "high": "9.5"},
    "reflect": {"correct": "no", "missed": "the sky", "why": "pressure", "suggestion": "look at the wind"},
    "update": {"Patterns": ["rain follows rain"], "Recent days": ["wet"], "Corrections": ["highs too low"]},
    "compress": {"Patterns": ["rain"], "Recent days": ["wet"], "Corrections": ["none"]},
    "summarise": {"summary": "a wet day, then rain"},
    "judge": {"critique": "bold", "suggestion": "look at the wind", "score": "40"},
    "delta": {"action": "add", "section": "Patterns", "number": "1", "note": "rain follows rain"},
}
"""The same as JSON."""


def good_answer(form: Form) -> Answer:
    """Answer every request as it should be answered."""

    def answer(request: Request) -> str:
        name = "delta" if request.answer.name == "delta" else request.role
        return LINES[name] if form == "line" else json.dumps(OBJECTS[name])

    return answer


def count(text: str) -> int:
    """Count tokens for tests: characters by fours, so that long words cannot hide."""
    return -(-len(text) // 4)


def by_hand(calls: Calls[T], answer: Answer) -> T:
    """Run a computation without any engine or driver."""
    try:
        request = next(calls)
        while True:
            if request.role == "count":
                request = calls.send(Completion("", prompt_tokens=count(request.messages[0].content)))
                continue
            answered = answer(request)
            request = calls.send(Completion(answered) if isinstance(answered, str) else answered)
    except StopIteration as end:
        value: T = end.value
        return value


def make(name: str, task: Task, **settings: Any) -> Method:
    """Build a method with the shipped prompts."""
    return build(name, task, Settings(**settings), Prompts())


def bare(name: str, task: Task, **settings: Any) -> Method:
    """Build it without what says how far its answers can be trusted: the method alone."""
    assured = make(name, task, **settings)
    assert isinstance(assured, Assured)
    return assured.method


def in_turn(answers: Iterable[Completion | str]) -> Answer:
    """Answer requests from a list, in order; an empty answer when it is used up."""
    left = iter(answers)
    return lambda request: next(left, "")


def listening(
    answer: Callable[[Request], Completion | str],
) -> tuple[Callable[[Request], Completion | str], list[Request]]:
    """Give an answerer that notes what it is asked, and its notes."""
    log: list[Request] = []

    def noting(request: Request) -> Completion | str:
        log.append(request)
        return answer(request)

    return noting, log


def content(out: Path) -> list[StepRecord]:
    """Give the journal's steps without what depends on the clock."""

    def timeless(record: StepRecord) -> StepRecord:
        calls = tuple(msgspec.structs.replace(call, seconds=0.0) for call in record.calls)
        return msgspec.structs.replace(record, calls=calls)

    return [timeless(record) for record in RunDirectory(out).records()]


def run_options(task: str, methods: tuple[str, ...] | None = None, **named: Any) -> Options:
    """Ask for a run; settings stand beside the rest."""
    settings = {name: named.pop(name) for name in knobs(Settings) if name in named}
    if methods is not None:
        named["methods"] = methods
    return Options(task, settings=settings, **named)
