"""One method's way over one sequence: the loop of the paper, as a generator that does no I/O.

It alone holds the outcomes, and hands each one to the method after the prediction that it belongs to. Whoever drives it
answers its requests and keeps its records: a run (`loop.run_all`), its rehearsal, the leakage check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from collections.abc import Sequence as Many
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from llm_as_rnn.core.calls import ESTIMATED, Call, Completion, Request
from llm_as_rnn.core.errors import EngineError, SpecMismatchError
from llm_as_rnn.core.method import Calls, Learned, Method
from llm_as_rnn.core.records import Memory, Prediction
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Sequence, Step
from llm_as_rnn.engines.drive import Walk
from llm_as_rnn.metrics.scores import step_scores

T = TypeVar("T")


def walk(
    method: Method,
    sequence: Sequence,
    task: Task,
    past: Many[StepRecord] = (),
    *,
    delay: int = 0,
    lessons: Any = None,
) -> Walk:
    """Go over a sequence: predict each step, learn when its outcome is due.

    Parameters
    ----------
    method : Method
        What predicts and learns.
    sequence : Sequence
        The steps with their outcomes.
    task : Task
        Says how steps are scored.
    past : sequence of StepRecord
        Records of the first steps, of an earlier walk that was interrupted. The method gets the answers that they keep;
        only tokens are counted again. Nothing is yielded for them.
    delay : int
        How late outcomes come, in steps (see `schedule`).
    lessons : object
        What earlier sequences taught, for a method whose sequences teach later ones.

    Yields
    ------
    Request or StepRecord
        What the method asks; and each step's record, once its outcome has been learned.

    Returns
    -------
    object
        The lessons after this sequence; None where there are none.

    Raises
    ------
    EngineError
        If a record of the past does not hold the answer to what is asked.
    SpecMismatchError
        If the records of the past cannot have come from this method and sequence.
    """
    state = method.start_with(sequence.info, lessons)
    waiting: dict[int, _Made] = {}
    for what, t in schedule(len(sequence.steps), delay):
        step = sequence.steps[t]
        if what == "predict":
            answers = _Answers(past[t] if t < len(past) else None)
            prediction = yield from answers.give(method.predict(state, step.observation))
            waiting[t] = _Made(prediction, method.memory(state), answers)
            continue
        made = waiting.pop(t)
        calls = len(made.answers.calls)
        # Only now does the method get to see the outcome.
        learned = yield from made.answers.give(method.learn(state, step.observation, made.prediction, step.target))
        if len(made.answers.calls) == calls and learned.feedback and learned.feedback.kind == "scorecard":
            learned = msgspec.structs.replace(learned, feedback=None)  # figures that no model was shown
        taught = None
        if t == len(sequence.steps) - 1:
            # The sequence's own calls go into its last record, so that a resumed run gets the same lessons from them.
            lessons, taught = yield from made.answers.give(method.conclude(learned.state, step.observation))
        result = _record(method, task, state, step, made, learned)
        if taught:
            result = msgspec.structs.replace(result, lessons=lessons.memory, taught=taught)
        if made.answers.record is None:
            yield result
        else:
            _require_same(result, made.answers.record)
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


class _Answers:
    """Answers of one step: from its record where there is one, else from whoever drives the walk.

    Attributes
    ----------
    record : StepRecord or None
        The record.
    calls : list of Call
        All that was asked, as the journal keeps it; token counts excepted.
    asked : list of tuple of str
        The digests of the messages of each.
    counts : dict of str to int
        What was estimated once the server no longer counted, by the text's fingerprint. With these a resumed walk goes
        by the same figures, whatever the server does then.
    """

    def __init__(self, record: StepRecord | None) -> None:
        self.record = record
        self.calls: list[Call] = []
        self.asked: list[tuple[str, ...]] = []
        self.counts: dict[str, int] = {} if record is None else dict(record.counts)

    def give(self, computation: Calls[T]) -> Generator[Request, Completion, T]:
        """Run a computation on them."""
        try:
            request = next(computation)
            while True:
                counted = request.role == "count"
                completion = yield from (self._count(request) if counted else self._answer(request))
                request = computation.send(completion)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            computation.close()

    def _answer(self, request: Request) -> Generator[Request, Completion, Completion]:
        if self.record is None:
            completion = yield request
            self.calls.append(Call.of(request.role, completion))
            self.asked.append(tuple(message.digest for message in request.messages))
            return completion
        kept = self.record.calls[len(self.calls)] if len(self.calls) < len(self.record.calls) else None
        if kept is None or kept.role != request.role:
            raise EngineError(f"the journal has no answer to a {request.role!r} call", "start a new run")
        self.calls.append(kept)
        return kept.completion()

    def _count(self, request: Request) -> Generator[Request, Completion, Completion]:
        text = request.messages[0].content.encode("utf-8", "replace")
        name = hashlib.sha256(text).hexdigest()[:16]
        if name in self.counts:
            return Completion("", ESTIMATED, prompt_tokens=self.counts[name])
        completion = yield request
        if completion.finish_reason == ESTIMATED:
            self.counts[name] = completion.prompt_tokens
        return completion


class _Made(NamedTuple):
    """A prediction that waits for its outcome."""

    prediction: Prediction
    memory: Memory | None
    answers: _Answers


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
        calls=tuple(made.answers.calls),
        scores=step_scores(task, prediction.values, step.target),
        problem=prediction.problem,
        notes=prediction.notes,
        counts=dict(made.answers.counts),
        recalled=prediction.recalled,
        asked=tuple(made.answers.asked),
        distribution=prediction.distribution,
        believed=prediction.believed,
        interval=prediction.interval,
        among=prediction.among,
        chance=prediction.chance,
        abstained=prediction.abstained,
        guessed=prediction.guessed,
        when=step.when,
    )
