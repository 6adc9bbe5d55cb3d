"""Who looks at tables for `Task.guess`: the core knows nobody who does, the package's root does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the root imports this module, and the command line's help need not wait for more
    from llm_as_rnn.core.task import Task

Guesser = Callable[[Any, Mapping[str, Any]], "Task"]
"""Takes a table and what is known of it, by name, and gives the task that it seems to be for."""

_guessers: list[Guesser] = []


def ask(guesser: Guesser) -> None:
    """Have `guess` ask somebody from now on."""
    _guessers[:] = [guesser]


def guess(frame: Any, wishes: Mapping[str, Any]) -> Task:
    """Ask who looks at tables."""
    (guesser,) = _guessers
    return guesser(frame, wishes)
