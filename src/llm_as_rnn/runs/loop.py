"""The loop: it alone holds the outcomes, and reveals each one after the prediction that it belongs to."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Many
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from llm_as_rnn.datasets.base import Sequence, Step
from llm_as_rnn.drive import drive, replay
from llm_as_rnn.engines.base import Engine, EngineInfo
from llm_as_rnn.errors import EngineUnavailableError, LlmAsRnnError, RunError, SpecMismatchError
from llm_as_rnn.method import Calls, Learned, Method, Sharing
from llm_as_rnn.metrics.scores import step_scores
from llm_as_rnn.records import Call, Memory, Prediction, StepRecord
from llm_as_rnn.task import Task

logger = logging.getLogger(__name__)

T = TypeVar("T")

Commit = Callable[[StepRecord], None]


async def run_sequence(
    method: Method,
    sequence: Sequence,
    task: Task,
    engine: Engine,
    past: Many[StepRecord],
    commit: Commit,
    *,
    delay: int = 0,
    lessons: Any = None,
) -> Any:
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
        Makes a step durable. It is called when the step's outcome has been learned.
    delay : int
        How late outcomes come, in steps (see `schedule`).
    lessons : object
        What earlier sequences taught, for a method whose sequences share a memory.

    Returns
    -------
    object
        The lessons after this sequence; None where none are shared.

    Raises
    ------
    EngineUnavailableError
        If no call can be answered. Nothing is recorded of the step on which that happens.
    SpecMismatchError
        If the journal's steps cannot have come from this method and sequence.
    """
    sharing = method if isinstance(method, Sharing) and method.shares else None
    state = sharing.start_with(sequence.info, lessons) if sharing else method.start(sequence.info)
    waiting: dict[int, _Made] = {}
    for what, t in schedule(len(sequence.steps), delay):
        step = sequence.steps[t]
        record = past[t] if t < len(past) else None
        if what == "predict":
            source = _Source(engine, record)
            prediction = await source.run(method.predict(state, step.observation))
            waiting[t] = _Made(prediction, method.memory(state), source)
            continue
        made = waiting.pop(t)
        # Only now does the method get to see the outcome.
        learned = await made.source.run(method.learn(state, step.observation, made.prediction, step.target))
        result = _record(method, task, state, step, made, learned)
        if sharing and t == len(sequence.steps) - 1:
            # The sequence's own calls go into its last record, so that a resumed run gets the same lessons from them.
            lessons, done = await made.source.run(sharing.conclude(learned.state, step.observation))
            notes = (*result.notes, f"lessons: {done}")
            calls = tuple(made.source.calls)
            counts = dict(made.source.counts)
            result = msgspec.structs.replace(result, lessons=lessons.memory, notes=notes, calls=calls, counts=counts)
        if record is None:
            commit(result)
        else:
            _require_same(result, record)
        state = learned.state
    return lessons


def schedule(steps: int, delay: int) -> Iterator[tuple[Literal["predict", "learn"], int]]:
    """Say in which order steps are predicted and learned, when outcomes come ``delay`` steps late.

    As River counts it (`river.stream.simulate_qa`): the outcome of step t is there just before step t + delay is
    predicted; without a delay, right after its own prediction. What is still out at the end comes then, in order.

    >>> list(schedule(3, delay=2))
    [('predict', 0), ('predict', 1), ('learn', 0), ('predict', 2), ('learn', 1), ('learn', 2)]
    """
    for t in range(steps):
        if delay and t >= delay:
            yield "learn", t - delay
        yield "predict", t
        if not delay:
            yield "learn", t
    for t in range(max(steps - delay, 0), steps if delay else 0):
        yield "learn", t


def _in_turn(method: Method, sequences: Many[Sequence]) -> Iterator[tuple[Method, Many[Sequence]]]:
    """Group the sequences that must run one after the other: all of a method that shares lessons, else none."""
    if isinstance(method, Sharing) and method.shares:
        yield method, sequences
    else:
        yield from ((method, [sequence]) for sequence in sequences)


class _Source:
    """Answers of one step: from its journal record where there is one, else from the engine."""

    def __init__(self, engine: Engine, record: StepRecord | None) -> None:
        self.counts: dict[str, int] = {} if record is None else dict(record.counts)
        self._engine = _Counted(engine, self.counts)
        self._recorded = None if record is None else list(record.calls)
        self.calls: list[Call] = [] if record is None else list(record.calls)

    async def run(self, calls: Calls[T]) -> T:
        if self._recorded is None:
            return await drive(calls, self._engine, self.calls)
        return await replay(calls, self._engine, self._recorded)


class _Counted:
    """An engine that keeps, for the journal, what it counted once its server no longer did.

    A resumed run gets the same counts then, though the server may count again.
    """

    def __init__(self, engine: Engine, counts: dict[str, int]) -> None:
        self._engine = engine
        self._counts = counts
        self.open, self.complete, self.close = engine.open, engine.complete, engine.close

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    async def count_tokens(self, text: str) -> int:
        name = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
        if name not in self._counts:
            count = await self._engine.count_tokens(text)
            if self.info.tokenizer != "lost":
                return count
            self._counts[name] = count
        return self._counts[name]


class _Made(NamedTuple):
    """A prediction that waits for its outcome."""

    prediction: Prediction
    memory: Memory | None
    source: _Source


def _require_same(result: StepRecord, record: StepRecord) -> None:
    """Refuse a journal that this method and sequence cannot have written: the state would be another one."""
    names = ("t", "observation", "target", "prediction", "memory_before", "memory_after", "memory_tokens", "lessons")
    if any(getattr(result, name) != getattr(record, name) for name in names):
        raise SpecMismatchError(
            f"step {record.t} of {record.method}/{record.sequence} comes out otherwise than the journal says",
            "the code or the data changed since: begin a new run",
        )


def _record(method: Method, task: Task, state: Any, step: Step, made: _Made, learned: Learned) -> StepRecord:
    before, after = method.memory(state), method.memory(learned.state)
    prediction = made.prediction
    return StepRecord(
        method=method.name,
        sequence=step.observation.sequence,
        t=step.observation.t,
        observation=step.observation.fields,
        target=step.target,
        prediction=prediction.values,
        status=prediction.status,
        raw=prediction.raw,
        memory_version=made.memory.version if made.memory else None,
        memory_before=before,
        memory_after=after,
        memory_tokens=after.tokens if after else None,
        update=learned.update,
        feedback=learned.feedback,
        calls=tuple(made.source.calls),
        scores=step_scores(task, prediction.values, step.target),
        problem=prediction.problem,
        notes=prediction.notes,
        counts=dict(made.source.counts),
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
    delay: int = 0,
) -> Mapping[str, str]:
    """Run every method over every sequence, some sequences at a time.

    Parameters
    ----------
    concurrency : int
        Steps in flight. More than the engine has slots would destroy its prefix cache.
    delay : int
        How late outcomes come, in steps.

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
    waiting = iter([group for method in methods for group in _in_turn(method, sequences)])
    failures: dict[str, str] = {}
    lost: list[EngineUnavailableError] = []

    async def work() -> None:
        for method, group in waiting:
            lessons: Any = None
            for number, sequence in enumerate(group):
                why = str(lost[0]) if lost else ""
                try:
                    if not lost:
                        begun = done[method.name, sequence.info.id]
                        lessons = await run_sequence(
                            method, sequence, task, engine, begun, commit, delay=delay, lessons=lessons
                        )
                except RunError:
                    raise
                except Exception as error:
                    logger.debug("%s/%s failed", method.name, sequence.info.id, exc_info=True)
                    lost.extend([error] if isinstance(error, EngineUnavailableError) else [])
                    why = str(error) if isinstance(error, LlmAsRnnError) else f"{type(error).__name__}: {error}"
                if why:
                    # Those after it in a group would learn from less than they should; they wait for --resume.
                    failures.update({f"{method.name}/{left.info.id}": why for left in group[number:]})
                    break

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return failures
