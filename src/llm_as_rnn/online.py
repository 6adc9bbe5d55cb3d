"""One stream of observations whose outcomes come when they come: late, out of order, twice, or never.

A stream is a value, and what happens to it is a computation without I/O, as in `method`: `ask` predicts and leaves the
prediction waiting under its id; `tell` learns its outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from llm_as_rnn.errors import UsageError
from llm_as_rnn.method import Calls, Learned, Method
from llm_as_rnn.records import Feedback, Observation, Prediction, Record, SequenceInfo, Status, Target, Update, Value

Policy = Literal["apply", "replay"]
"""How an outcome is learned that comes after others were learned.

``apply``: what it teaches is written into the present memory. One outcome, one lesson: the cheap way.
``replay``: go back to the memory before the first outcome of a later step, learn this one there, then learn the later
ones again. The memory is what it would be if outcomes had come in order; the price is their calls, once more.
"""

MAX_WAITING = 1000
"""Predictions that may wait. When there are more, the oldest is given up: its outcome will never be learned."""

REMEMBERED = 1000
"""Ids of learned outcomes that are remembered, to tell one that comes twice from one that nobody asked for."""

Fate = Literal["learned", "duplicate", "unknown", "failed"]


class Waiting(Record, frozen=True):
    """A prediction that waits for its outcome.

    Attributes
    ----------
    id : str
        The caller's name for it.
    observation : Observation
        x_t; its ``t`` says which step it is.
    prediction : Prediction
        y_hat_t.
    memory_version : int or None
        The version of the memory that made it.
    """

    id: str
    observation: Observation
    prediction: Prediction
    memory_version: int | None

    @property
    def values(self) -> dict[str, Value] | None:
        """The answer by field; None where there is no usable one."""
        return self.prediction.values


class Lesson(Record, frozen=True):
    """A learned outcome that may have to be learned again, because an earlier step still waits.

    Attributes
    ----------
    waiting : Waiting
        The prediction.
    target : dict
        Its outcome.
    before : object
        The method's state before it was learned; plain values after a round trip through JSON.
    """

    waiting: Waiting
    target: dict[str, Any]
    before: Any


class Stream(Record, frozen=True):
    """All that is carried from one call to the next.

    Attributes
    ----------
    t : int
        The next step.
    state : object
        The method's state.
    waiting : tuple of Waiting
        Oldest step first.
    lessons : tuple of Lesson
        Of later steps than the oldest that waits, in order of steps; kept by the policy ``replay`` alone.
    learned : tuple of str
        The latest ids whose outcomes were learned.
    """

    t: int
    state: Any
    waiting: tuple[Waiting, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    learned: tuple[str, ...] = ()


class Told(NamedTuple):
    """What came of telling an outcome.

    Attributes
    ----------
    stream : Stream
        The stream after it.
    fate : str
        ``learned``; or, and then nothing changed: ``duplicate`` (it was learned before), ``unknown`` (no prediction
        waits under this id) or ``failed`` (the engine gave no answer: the prediction still waits, tell it again).
    waiting : Waiting or None
        The prediction that it belongs to, if it was learned.
    update : Update or None
        What became of the memory, if it was learned.
    feedback : Feedback or None
        e_t, where the method has any.
    again : int
        Later outcomes that were learned again.
    """

    stream: Stream
    fate: Fate
    waiting: Waiting | None = None
    update: Update | None = None
    feedback: Feedback | None = None
    again: int = 0


def begin(method: Method, sequence: SequenceInfo) -> Stream:
    """Start a stream."""
    return Stream(0, method.start(sequence))


def revive(method: Method, content: bytes) -> Stream:
    """Read a stream that was written as JSON.

    Raises
    ------
    UsageError
        If it is not one, or its state is not one of this method's.
    """
    try:
        plain = msgspec.json.decode(content, type=Stream)
        lessons = tuple(
            msgspec.structs.replace(lesson, before=msgspec.convert(lesson.before, method.state_type))
            for lesson in plain.lessons
        )
        state = msgspec.convert(plain.state, method.state_type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the saved state cannot be read: {error}", "restore it, or begin anew") from error
    return msgspec.structs.replace(plain, state=state, lessons=lessons)


def ask(
    method: Method, stream: Stream, sequence: str, fields: Mapping[str, Any], name: str
) -> Calls[tuple[Stream, Waiting]]:
    """Predict the outcome of an observation, and let the prediction wait.

    Asking again under the id of a prediction that waits gives that prediction: nothing is asked of the model twice.

    Parameters
    ----------
    method : Method
        Who predicts.
    stream : Stream
        Where it belongs.
    sequence : str
        The sequence's name.
    fields : mapping
        x_t.
    name : str
        The id under which the outcome will come.

    Raises
    ------
    UsageError
        If the id was used for another observation, or its outcome has been learned.
    """
    observation = Observation(sequence, stream.t, dict(fields))
    for waiting in stream.waiting:
        if waiting.id == name:
            if waiting.observation.fields != observation.fields:
                raise UsageError(f"the id {name!r} belongs to another observation", "give each prediction its own id")
            return stream, waiting
    if name in stream.learned:
        raise UsageError(f"the outcome of {name!r} has been learned", "give each prediction its own id")
    memory = method.memory(stream.state)
    prediction = yield from method.predict(stream.state, observation)
    waiting = Waiting(name, observation, prediction, memory.version if memory else None)
    kept = (*stream.waiting, waiting)[-MAX_WAITING:]
    return msgspec.structs.replace(stream, t=stream.t + 1, waiting=kept), waiting


def tell(method: Method, stream: Stream, name: str, target: Target, policy: Policy) -> Calls[Told]:
    """Learn the outcome of the prediction with an id.

    Parameters
    ----------
    method : Method
        Who learns.
    stream : Stream
        Where the prediction waits.
    name : str
        Its id.
    target : mapping
        y_t.
    policy : str
        What to do if outcomes of later steps were learned before.
    """
    waiting = next((waiting for waiting in stream.waiting if waiting.id == name), None)
    if waiting is None:
        return Told(stream, "duplicate" if name in stream.learned else "unknown")
    left = tuple(other for other in stream.waiting if other is not waiting)
    learned = (*stream.learned, name)[-REMEMBERED:]
    outcome = dict(target)
    if policy == "apply":
        result = yield from _learn(method, stream.state, waiting, outcome)
        if _failed(result):
            return Told(stream, "failed", waiting, result.update)
        after = msgspec.structs.replace(stream, state=result.state, waiting=left, learned=learned)
        return Told(after, "learned", waiting, result.update, result.feedback)
    t = waiting.observation.t
    earlier = [lesson for lesson in stream.lessons if lesson.waiting.observation.t < t]
    later = [lesson for lesson in stream.lessons if lesson.waiting.observation.t > t]
    state = later[0].before if later else stream.state
    lessons = [*earlier, Lesson(waiting, outcome, state)]
    result = yield from _learn(method, state, waiting, outcome)
    state = result.state
    failed = _failed(result)
    for lesson in later:
        lessons.append(msgspec.structs.replace(lesson, before=state))
        again = yield from _learn(method, state, lesson.waiting, lesson.target)
        state, failed = again.state, failed or _failed(again)
    if failed:
        return Told(stream, "failed", waiting, result.update)
    oldest = left[0].observation.t if left else stream.t
    kept = tuple(lesson for lesson in lessons if lesson.waiting.observation.t > oldest)
    after = Stream(stream.t, state, left, kept, learned)
    return Told(after, "learned", waiting, result.update, result.feedback, len(later))


def _learn(method: Method, state: Any, waiting: Waiting, target: dict[str, Any]) -> Calls[Learned]:
    return (yield from method.learn(state, waiting.observation, waiting.prediction, target))


def _failed(result: Learned) -> bool:
    """Tell an outcome that taught nothing because no model answered from one that was learned."""
    return result.update.outcome == "kept" and result.update.reason.startswith(Status.ENGINE_ERROR)
