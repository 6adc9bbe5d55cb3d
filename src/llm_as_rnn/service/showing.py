"""From rows to what the service gives."""

from __future__ import annotations

from typing import Any

import msgspec

from llm_as_rnn.core.records import Value
from llm_as_rnn.service.asked import Asked
from llm_as_rnn.service.rows import Row
from llm_as_rnn.service.step_rows import read_waiting
from llm_as_rnn.service.views import MemoryView, OutcomeView, PredictionView, SessionView, State, StepView, TaskView
from llm_as_rnn.streams.online import Version
from llm_as_rnn.streams.replaying import Id, Waiting


def task_view(row: Row, whole: bool = True) -> TaskView:
    """Show a version of a task."""
    content = msgspec.json.decode(row.content, type=dict[str, Any])
    return TaskView(
        name=row.name,
        version=row.version,
        title=content["title"],
        created=row.created,
        content=content if whole else None,
    )


def session_view(row: Row) -> SessionView:
    """Show a session."""
    return SessionView(
        id=row.id,
        task=row.task_name,
        task_version=row.task_version,
        method=row.method,
        about=msgspec.json.decode(row.about),
        settings=msgspec.json.decode(row.settings),
        status=row.status,
        steps=row.steps,
        waiting=row.waiting,
        due=row.due,
        memory_version=row.memory_version,
        revision=row.revision,
        calls=row.calls,
        prompt_tokens=row.prompt_tokens,
        cached_tokens=row.cached_tokens,
        completion_tokens=row.completion_tokens,
        created=row.created,
        changed=row.changed,
    )


def prediction_view(waiting: Waiting, state: State, created: float) -> PredictionView:
    """Show a prediction."""
    said = waiting.prediction
    return PredictionView(
        id=waiting.id,
        t=waiting.observation.t,
        status=str(said.status),
        values=said.values,
        distribution=said.distribution,
        believed=said.believed,
        interval=said.interval,
        among=said.among,
        chance=said.chance,
        abstained=said.abstained,
        problem=said.problem,
        memory_version=waiting.memory_version,
        state=state,
        created=created,
    )


def outcome_view(row: Row, name: Id) -> OutcomeView:
    """Show an outcome."""
    result: dict[str, Any] = {} if row.result is None else msgspec.json.decode(row.result)
    view = {
        "number": row.number,
        "id": name,
        "y": msgspec.json.decode(row.content, type=dict[str, Value]),
        "status": row.status,
        "replaces": row.replaces,
        "received": row.received,
        "learned": row.learned,
        **result,
    }
    return msgspec.convert(view, OutcomeView)


def memory_view(row: Row) -> MemoryView:
    """Show a version of a memory."""
    entry = msgspec.json.decode(row.content, type=Version)
    return MemoryView(
        version=row.version,
        revision=row.revision,
        tokens=entry.memory.tokens,
        sections=entry.memory.sections,
        text=str(entry.memory),
        pinned=entry.memory.pins,
        author=row.author,
        t=entry.t,
        reason=entry.reason,
        created=row.created,
    )


def step_view(row: Row, outcome: Row | None, with_prompt: bool = False) -> StepView:
    """Show a step: with the prompt where that is asked for."""
    waiting = read_waiting(row.content)
    asked = None if row.asked is None or not with_prompt else msgspec.json.decode(row.asked, type=Asked)
    return StepView(
        x=waiting.observation.fields,
        prediction=prediction_view(waiting, row.status, row.created),
        outcome=None if outcome is None else outcome_view(outcome, waiting.id),
        recalled=waiting.prediction.recalled,
        believed=waiting.prediction.believed,
        asked=asked,
    )
