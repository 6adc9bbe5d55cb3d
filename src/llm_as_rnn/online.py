"""One stream of observations whose outcomes come when they come: late, out of order, twice, or never.

A stream is a value, and what happens to it is a computation without I/O, as in `method`: `ask` predicts and leaves the
prediction waiting under its id; `tell` learns its outcome; `restore` goes back to an earlier version of the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from llm_as_rnn.errors import UsageError
from llm_as_rnn.method import Calls, Learned, Method
from llm_as_rnn.records import (
    Feedback,
    Memory,
    Observation,
    Prediction,
    Record,
    SequenceInfo,
    Status,
    Target,
    Update,
    Value,
)

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

KEPT_VERSIONS = 100
"""Versions of the memory that a stream keeps, the latest ones: more than a person looks back through, and yet a stream,
which is written whole after every outcome, stays below 2 MB with the largest memory that is usual (4096 tokens)."""

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
    target: dict[str, Value]
    before: Any


class Version(Record, frozen=True):
    """A memory that the stream went through.

    Attributes
    ----------
    memory : Memory
        h_t; its ``version`` is the number by which it is called. After a replay a number may come twice: the later one
        holds (see `tell`).
    t : int or None
        The step whose outcome led to it; None where none did: h_0, and what was restored.
    reason : str
        What else there is to say of how it came about.
    """

    memory: Memory
    t: int | None = None
    reason: str = ""


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
    versions : tuple of Version
        The latest `KEPT_VERSIONS` memories, oldest first, the present one last; none for methods without a memory.
    """

    t: int
    state: Any
    waiting: tuple[Waiting, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    learned: tuple[str, ...] = ()
    versions: tuple[Version, ...] = ()


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
    state = method.start(sequence)
    return Stream(0, state, versions=_first(method.memory(state), ""))


def revive(method: Method, content: bytes) -> Stream:
    """Read a stream that was written as JSON.

    One that was written before versions were kept begins its history with the memory that it holds.

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
    versions = plain.versions or _first(method.memory(state), "what came before it was not kept")
    return msgspec.structs.replace(plain, state=state, lessons=lessons, versions=versions)


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

    A memory that this changes is a new entry in the stream's history. With the policy ``replay``, going back makes the
    versions since then obsolete. They stay in the history, as what predictions were made with; the memory at the end of
    the replay comes after them as one entry. It has the number that the method gives it, which may be there already.

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
        after = _with_version(method, stream, after, waiting, _reason(result.update))
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
    after = msgspec.structs.replace(stream, state=state, waiting=left, lessons=kept, learned=learned)
    reason = f"replay: {len(later)} later outcomes were learned again" if later else _reason(result.update)
    after = _with_version(method, stream, after, waiting, reason)
    return Told(after, "learned", waiting, result.update, result.feedback, len(later))


def restore(method: Method, stream: Stream, version: int, budget: int | None = None) -> Stream:
    """Put the text of an earlier version of the memory back, as a new version.

    Nothing is lost: the history goes on with one more entry, under a number that no entry has. Predictions go on
    waiting. Exact figures that a state holds beside its memory (a scorecard, say) are facts, and stay as they are.

    A replay never goes back behind a restoration, which would undo it: an outcome of an earlier step that comes after
    it is learned into the restored memory.

    Parameters
    ----------
    method : Method
        Whose memory it is. A state of a method that keeps a memory has it under the name ``memory``.
    stream : Stream
        Where it belongs.
    version : int
        The number of a version in the stream's history.
    budget : int, optional
        The most tokens that a memory may hold now; the budget may have been larger when the version was accepted.

    Raises
    ------
    UsageError
        If the method keeps no memory, there is no such version, or it is over the budget.
    """
    present = method.memory(stream.state)
    if present is None:
        raise UsageError(f"the method {method.name} keeps no memory", "versions are kept of one that does: recurrent")
    found = pick((entry.memory for entry in stream.versions), version)
    if budget is not None and found.tokens is not None and found.tokens > budget:
        raise UsageError(
            f"version {version} holds {found.tokens} tokens, more than the budget of {budget}", "choose a shorter one"
        )
    number = max(present.version, *(entry.memory.version for entry in stream.versions)) + 1
    memory = Memory(found.sections, number, found.tokens)
    versions = (*stream.versions, Version(memory, None, f"version {version} restored"))[-KEPT_VERSIONS:]
    state = msgspec.structs.replace(stream.state, memory=memory)
    return msgspec.structs.replace(stream, state=state, lessons=(), versions=versions)


def pick(memories: Iterable[Memory], version: int) -> Memory:
    """Give the memory with a number, the latest where several have it.

    Raises
    ------
    UsageError
        If there is none; the hint says which there are.

    Examples
    --------
    >>> pick([Memory((), 0), Memory((), 1), Memory((), 2), Memory((), 4)], 3)
    Traceback (most recent call last):
        ...
    llm_as_rnn.errors.UsageError: there is no version 3 of the memory (there are 0 to 2, 4)
    """
    found = {memory.version: memory for memory in memories}
    if version not in found:
        known = f"there are {_ranges(sorted(found))}" if found else "none has been kept"
        raise UsageError(f"there is no version {version} of the memory", known)
    return found[version]


def _ranges(numbers: list[int]) -> str:
    """Write ascending numbers shortly: a hundred of them must fit into one line."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _first(memory: Memory | None, reason: str) -> tuple[Version, ...]:
    return () if memory is None else (Version(memory, None, reason),)


def _reason(update: Update) -> str:
    return update.reason if update.outcome == "accepted" else f"{update.outcome}: {update.reason}"


def _with_version(method: Method, before: Stream, after: Stream, waiting: Waiting, reason: str) -> Stream:
    """Note the memory, if it is another one. A replay may give another text the same number."""
    old, new = method.memory(before.state), method.memory(after.state)
    if new is None or (old is not None and (old.version, old.sections) == (new.version, new.sections)):
        return after
    versions = (*before.versions, Version(new, waiting.observation.t, reason))
    return msgspec.structs.replace(after, versions=versions[-KEPT_VERSIONS:])


def _learn(method: Method, state: Any, waiting: Waiting, target: dict[str, Any]) -> Calls[Learned]:
    return (yield from method.learn(state, waiting.observation, waiting.prediction, target))


def _failed(result: Learned) -> bool:
    """Tell an outcome that taught nothing because no model answered from one that was learned."""
    return result.update.outcome == "kept" and result.update.reason.startswith(Status.ENGINE_ERROR)
