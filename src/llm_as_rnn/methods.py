"""The methods by name: the one list that the command line, the library and the service read."""

from __future__ import annotations

from collections.abc import Callable

from llm_as_rnn.baselines.history import FullHistory, MemPrompt, ZeroShot
from llm_as_rnn.baselines.references import MajoritySoFar, RepeatLast
from llm_as_rnn.errors import UsageError
from llm_as_rnn.method import Method, Settings
from llm_as_rnn.prompts import Prompts
from llm_as_rnn.recurrence.cell import Recurrent
from llm_as_rnn.task import Task

METHODS: dict[str, Callable[[Task, Settings, Prompts], Method]] = {
    method.name: method for method in (ZeroShot, FullHistory, MemPrompt, Recurrent)
}
"""Methods that ask a model, in the order in which tables show them."""

REFERENCES: dict[str, Callable[[Task, Settings, Prompts], Method]] = {
    method.name: method for method in (RepeatLast, MajoritySoFar)
}
"""References that need no model; every run has them."""


def build(name: str, task: Task, settings: Settings, prompts: Prompts) -> Method:
    """Build a method by its name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    known = {**METHODS, **REFERENCES}
    if name not in known:
        raise UsageError(f"there is no method {name!r}", f"choose from {', '.join(known)}")
    return known[name](task, settings, prompts)
