"""The loop: it alone holds the outcomes, and reveals each one after the prediction that it belongs to."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many
from typing import Any

from llm_as_rnn.datasets.base import Sequence, Step
from llm_as_rnn.drive import drive, replay
from llm_as_rnn.engines.base import Engine
from llm_as_rnn.errors import EngineUnavailableError, RunError, SpecMismatchError
from llm_as_rnn.method import Learned, Method
from llm_as_rnn.metrics.scores import step_scores
from llm_as_rnn.records import Call, Prediction, StepRecord
from llm_as_rnn.task import Task

logger = logging.getLogger(__name__)

Commit = Callable[[StepRecord], None]


async def run_sequence(
    method: Method, sequence: Sequence, task: Task, engine: Engine, past: Many[StepRecord], commit: Commit
) -> None:
    """Run one method over one sequence, from where its journal ends.

    Parameters
    ----------
    method : Method
        What predicts and learns.
    sequence : Sequence
        The steps with their outcomes.
    task : Task
        Says how steps are scored.
    engine : Engine
        Who answers; opened.
    past : sequence of StepRecord
        The steps of this method and sequence that are already in the journal, in order.
    commit : callable
        Makes a step durable; the next step starts when it returns.

    Raises
    ------
    EngineUnavailableError
        If no call can be answered. Nothing is recorded of the step on which that happens.
    SpecMismatchError
        If the journal's steps cannot have come from this method and sequence.
    """
    state = method.start(sequence.info)
    for step, record in zip(sequence.steps, past, strict=False):
        state = await _catch_up(method, state, step, record, engine)
    for step in sequence.steps[len(past) :]:
        calls: list[Call] = []
        prediction = await drive(method.predict(state, step.observation), engine, calls)
        # Only now does the method get to see the outcome.
        learned = await drive(method.learn(state, step.observation, prediction, step.target), engine, calls)
        commit(_record(method, task, state, step, prediction, learned, tuple(calls)))
        state = learned.state


async def _catch_up(method: Method, state: Any, step: Step, record: StepRecord, engine: Engine) -> Any:
    """Give the state after a step of the journal, by running it again on the answers that it got then."""
    answers = list(record.calls)
    prediction = await replay(method.predict(state, step.observation), engine, answers)
    learned = await replay(method.learn(state, step.observation, prediction, step.target), engine, answers)
    same = (record.t, record.observation, record.prediction) == (
        step.observation.t,
        step.observation.fields,
        prediction.values,
    )
    if not same or record.memory_after != method.memory(learned.state):
        raise SpecMismatchError(
            f"step {record.t} of {record.method}/{record.sequence} comes out otherwise than the journal says",
            "the code or the data changed since: begin a new run",
        )
    return learned.state


def _record(
    method: Method,
    task: Task,
    state: Any,
    step: Step,
    prediction: Prediction,
    learned: Learned,
    calls: tuple[Call, ...],
) -> StepRecord:
    before, after = method.memory(state), method.memory(learned.state)
    return StepRecord(
        method=method.name,
        sequence=step.observation.sequence,
        t=step.observation.t,
        observation=step.observation.fields,
        target=step.target,
        prediction=prediction.values,
        status=prediction.status,
        raw=prediction.raw,
        memory_version=before.version if before else None,
        memory_before=before,
        memory_after=after,
        memory_tokens=after.tokens if after else None,
        update=learned.update,
        feedback=learned.feedback,
        calls=calls,
        scores=step_scores(task, prediction.values, step.target),
        problem=prediction.problem,
        notes=prediction.notes,
    )


async def run_all(
    methods: Many[Method],
    sequences: Many[Sequence],
    task: Task,
    engine: Engine,
    past: Many[StepRecord],
    commit: Commit,
    *,
    concurrency: int,
) -> Mapping[str, str]:
    """Run every method over every sequence, some sequences at a time.

    Parameters
    ----------
    concurrency : int
        Steps in flight. More than the engine has slots would destroy its prefix cache.

    Returns
    -------
    dict of str to str
        Why sequences ended early, by ``method/sequence``; empty if none did.

    Raises
    ------
    RunError
        If the journal cannot be written: everything stops.
    """
    done: dict[tuple[str, str], list[StepRecord]] = defaultdict(list)
    for record in sorted(past, key=lambda record: record.t):
        done[record.method, record.sequence].append(record)
    waiting = iter([(method, sequence) for method in methods for sequence in sequences])
    failures: dict[str, str] = {}
    lost: list[EngineUnavailableError] = []

    async def work() -> None:
        for method, sequence in waiting:
            name = f"{method.name}/{sequence.info.id}"
            if lost:
                failures[name] = str(lost[0])
                continue
            try:
                await run_sequence(method, sequence, task, engine, done[method.name, sequence.info.id], commit)
            except RunError:
                raise
            except EngineUnavailableError as error:
                lost.append(error)
                failures[name] = str(error)
            except Exception as error:
                logger.debug("%s failed", name, exc_info=True)
                failures[name] = str(error) or type(error).__name__

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return failures
