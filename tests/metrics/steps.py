"""Journal records with nothing in them but what a test is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from llm_as_rnn.core.calls import Call
from llm_as_rnn.core.fields import Field
from llm_as_rnn.core.records import Status, Update
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.metrics.table import FieldColumns, tabulate

PLAIN = StepRecord(
    method="m",
    sequence="s",
    t=0,
    observation={},
    target={"sky": "rain"},
    prediction={"sky": "rain"},
    status=Status.OK,
    raw="rain",
    memory_version=None,
    memory_before=None,
    memory_after=None,
    memory_tokens=None,
    update=Update("skipped"),
    feedback=None,
    calls=(),
    scores={},
)


def step(**changes: Any) -> StepRecord:
    """Give a record that differs from a plain one as told."""
    return msgspec.structs.replace(PLAIN, **changes)


def track(sequence: str, scores: list[float], method: str = "m", metric: str = "score") -> list[StepRecord]:
    """Give one sequence of a method with these scores, from t = 0."""
    return [step(method=method, sequence=sequence, t=t, scores={metric: score}) for t, score in enumerate(scores)]


def call(**changes: Any) -> Call:
    """Give a call that differs from a plain one as told."""
    plain = Call("rain", "stop", 100, 10, None, 0.5, 0, role="predict")
    return msgspec.structs.replace(plain, **changes)


def columns(field: Field, steps: Iterable[StepRecord]) -> FieldColumns:
    """Give what the steps of one method say of a field."""
    task = Task("t", "T", "", "", "", (field,), (MemorySection("Patterns", ""),))
    (found,) = tabulate(task, steps).methods.values()
    return found.fields[field.name]
