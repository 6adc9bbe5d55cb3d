"""A frozen language model as a recurrent predictor (arXiv 2601.13352).

>>> import llm_as_rnn
>>> task = llm_as_rnn.load_task("weather")
>>> [field.name for field in task.answer]
['sky', 'high']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llm_as_rnn._version import __version__
from llm_as_rnn.core.above import Above, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llm_as_rnn.client.asynchronous import AsyncClient
    from llm_as_rnn.client.synchronous import Client
    from llm_as_rnn.core.errors import LlmAsRnnError
    from llm_as_rnn.core.extras import Extra
    from llm_as_rnn.core.task import Task, load_task
    from llm_as_rnn.report.opened import Run
    from llm_as_rnn.streams.learner import AsyncLearner, Learner
    from llm_as_rnn.streams.shared import SharedEngine

__all__ = [
    "AsyncClient",
    "AsyncLearner",
    "Client",
    "Learner",
    "LlmAsRnnError",
    "Run",
    "SharedEngine",
    "Task",
    "__version__",
    "load_task",
]

_HOMES = {
    "AsyncClient": "client.asynchronous",
    "AsyncLearner": "streams.learner",
    "Client": "client.synchronous",
    "Learner": "streams.learner",
    "LlmAsRnnError": "core.errors",
    "Run": "report.opened",
    "SharedEngine": "streams.shared",
    "Task": "core.task",
    "load_task": "core.task",
}


def _extras() -> Iterator[Extra]:
    from llm_as_rnn.datasets.registry import extras  # noqa: PLC0415 - only a task that asks for a score needs it

    return extras()


def _guess(frame: Any, wishes: Mapping[str, Any]) -> Task:
    from llm_as_rnn.datasets.guessing.frames import guess  # noqa: PLC0415 - only who has a table needs it

    return guess(frame, wishes)


# Fields are checked and tasks made in the core, which knows no dataset: this is where the two are put together.
tell(Above(_extras, _guess))


def __getattr__(name: str) -> Any:
    """Import a public name when it is used: the command line's help need not wait for the library."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
