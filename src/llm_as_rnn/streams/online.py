"""One stream of observations whose outcomes come when they come: late, out of order, twice, or never.

A stream is a value, and what happens to it is a computation without I/O, as in `method`: `ask` predicts and leaves the
prediction waiting under its id; `tell` learns its outcome, and `correct` another one in its place. What a person does
with the memory stands in `tending`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.method import Calls, Method
from llm_as_rnn.core.records import Feedback, Memory, Observation, Record, SequenceInfo, Target, Update
from llm_as_rnn.streams.replaying import Id, Lesson, Relearned, Waiting, forget, place_of, relearn
from llm_as_rnn.streams.settings import LIMITS, Limits, Policy
from llm_as_rnn.trust.moved import read_state

AUTOMATIC = re.compile("#(0|[1-9][0-9]{0,17})")
"""What automatic ids look like: the number of their step. Nobody else's may, so that none is ever taken for another."""

UNNAMED = SequenceInfo("stream")
"""A stream of which nothing else is known."""

Fate = Literal["learned", "duplicate", "failed"]


class Version(Record, frozen=True, omit_defaults=True):
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
    author : str
        Who wrote or restored it; empty for the method.
    """

    memory: Memory
    t: int | None = None
    reason: str = ""
    author: str = ""


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
        The latest, in the order in which they were learned; kept by the policy ``replay`` alone, from the first one of
        a later step than the oldest that waits.
    learned : tuple of str or int
        The latest ids whose outcomes were learned.
    versions : tuple of Version
        The latest memories, oldest first, the present one last; none for methods without a memory.
    given_up : tuple of str or int
        The latest ids of predictions that were given up.
    abandoned : int
        Predictions that were given up so far.
    forgotten : int
        Ids of learned outcomes that are no longer remembered.
    floor : int
        Outcomes of earlier steps than this one cannot be learned in their place any more.
    """

    t: int
    state: Any
    waiting: tuple[Waiting, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    learned: tuple[Id, ...] = ()
    versions: tuple[Version, ...] = ()
    given_up: tuple[Id, ...] = ()
    abandoned: int = 0
    forgotten: int = 0
    floor: int = 0


class Told(NamedTuple):
    """What came of telling an outcome.

    Attributes
    ----------
    stream : Stream
        The stream after it.
    fate : str
        ``learned``; or, and then nothing changed: ``duplicate`` (it was learned before) or ``failed`` (the engine gave
        no answer: the prediction still waits, tell it again).
    waiting : Waiting or None
        The prediction that it belongs to, if it was learned.
    update : Update or None
        What became of the memory, if it was learned.
    feedback : Feedback or None
        e_t, where the method has any.
    again : int
        Later outcomes that were learned again.
    note : str
        What else the caller should know; empty if nothing.
    """

    stream: Stream
    fate: Fate
    waiting: Waiting | None = None
    update: Update | None = None
    feedback: Feedback | None = None
    again: int = 0
    note: str = ""


def begin(method: Method, sequence: SequenceInfo) -> Stream:
    """Start a stream."""
    state = method.start(sequence)
    return Stream(0, state, versions=_first(method.memory(state), ""))


def revive(method: Method, content: bytes, sequence: SequenceInfo = UNNAMED) -> Stream:
    """Read a stream that was written as JSON.

    One that was written before versions were kept begins its history with the memory that it holds. Advisers are
    matched by name: one that the stream does not know yet begins in it.

    Parameters
    ----------
    method : Method
        Who goes on with it.
    content : bytes
        The JSON.
    sequence : SequenceInfo
        The stream's name, and what stays the same in it.

    Raises
    ------
    UsageError
        If it is not one, or its state is not one of this method's.
    """
    try:
        plain = msgspec.json.decode(content, type=Stream)
        lessons = tuple(
            msgspec.structs.replace(lesson, before=read_state(method, lesson.before, sequence))
            if lesson.before is not None
            else lesson
            for lesson in plain.lessons
        )
        state = read_state(method, plain.state, sequence)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"the saved state cannot be read: {error}", "restore it, or begin anew") from error
    if lessons and lessons[0].before is None:
        raise UsageError("the saved state cannot be read: its first lesson has no state", "restore it, or begin anew")
    versions = plain.versions or _first(method.memory(state), "what came before it was not kept")
    return msgspec.structs.replace(plain, state=state, lessons=lessons, versions=versions)


def handed_over(method: Method, stream: Stream, sequence: SequenceInfo) -> Stream:
    """Give a stream as another method of the same kind has it: that of another version of the task, say.

    Parameters
    ----------
    method : Method
        Who goes on with it.
    stream : Stream
        As it was left.
    sequence : SequenceInfo
        The stream's name, and what stays the same in it.

    Raises
    ------
    UsageError
        If its state is none of this method's.
    """
    left = msgspec.structs.replace(stream, waiting=(), versions=())  # these are the same for every method
    taken = revive(method, msgspec.json.encode(left), sequence)
    return msgspec.structs.replace(stream, state=taken.state, lessons=taken.lessons)


def with_tokens(method: Method, stream: Stream, memory: Memory, tokens: int) -> Stream:
    """Note how many tokens the present memory holds, in the state and in the history.

    Parameters
    ----------
    method : Method
        One that keeps a memory.
    stream : Stream
        Its stream.
    memory : Memory
        The present one.
    tokens : int
        As they were counted now.
    """
    if memory.tokens == tokens:
        return stream
    counted = msgspec.structs.replace(memory, tokens=tokens)
    state = method.with_memory(stream.state, counted)
    versions = tuple(
        msgspec.structs.replace(entry, memory=counted) if entry.memory == memory else entry for entry in stream.versions
    )
    return msgspec.structs.replace(stream, state=state, versions=versions)


def without_lessons(stream: Stream, number: int) -> Stream:
    """Leave the first lessons out: nothing goes back behind them any more.

    Parameters
    ----------
    stream : Stream
        Where they are.
    number : int
        How many; what remains must begin with a checkpoint.
    """
    lost = max((lesson.t for lesson in stream.lessons[:number]), default=-1)
    return msgspec.structs.replace(stream, lessons=stream.lessons[number:], floor=max(stream.floor, lost))


def was_learned(stream: Stream, name: Id) -> bool:
    """Tell whether the outcome of a prediction has been learned, as far as that is remembered.

    Automatic ids count up: once ids have been forgotten, one of an earlier step that is not known counts as learned.
    """
    if name in stream.learned:
        return True
    if not stream.forgotten or name in stream.given_up or any(waiting.id == name for waiting in stream.waiting):
        return False
    automatic = AUTOMATIC.fullmatch(name) if isinstance(name, str) else None
    return automatic is not None and int(automatic[1]) < stream.t


def given_up_since(before: Stream, after: Stream) -> tuple[Id, ...]:
    """Name the predictions that were given up from one state of a stream to a later one, however many."""
    if after.abandoned == before.abandoned:
        return ()
    left = {waiting.id for waiting in after.waiting}.union(after.learned)
    return tuple(waiting.id for waiting in before.waiting if waiting.id not in left)


def ask(
    method: Method,
    stream: Stream,
    sequence: str,
    fields: Mapping[str, Any],
    name: Id | None = None,
    limits: Limits = LIMITS,
) -> Calls[tuple[Stream, Waiting]]:
    """Predict the outcome of an observation, and let the prediction wait.

    Asking again under the id of a prediction that waits gives that prediction: nothing is asked of the model twice.
    Only where the model gave no answer at all it is asked again, and the new prediction takes the place of the old one;
    also where others answered in its place (`Prediction.is_unheard`).

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
    name : str or int, optional
        The id under which the outcome will come; by default an automatic one.
    limits : Limits
        How many may wait.

    Raises
    ------
    UsageError
        If the id was used for another observation, its outcome has been learned, or it looks like an automatic one.
    """
    observation, old = Observation(sequence, stream.t, dict(fields)), None
    if name is not None:
        old = _waiting(stream, name)
        if old is None:
            _require_new(stream, name)
        elif old.observation.fields != observation.fields:
            raise UsageError(f"the id {name!r} belongs to another observation", "give each prediction its own id")
        elif not old.prediction.is_unheard:
            return stream, old
        else:
            observation = old.observation
    memory = method.memory(stream.state)
    prediction = yield from method.predict(stream.state, observation)
    name = f"#{stream.t}" if name is None else name
    made = Waiting(name, observation, prediction, memory.version if memory else None)
    if old is not None:
        replaced = tuple(made if waiting is old else waiting for waiting in stream.waiting)
        return msgspec.structs.replace(stream, waiting=replaced), made
    return _with_waiting(stream, made, limits), made


def tell(
    method: Method, stream: Stream, name: Id, target: Target, policy: Policy, limits: Limits = LIMITS
) -> Calls[Told]:
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
    name : str or int
        Its id.
    target : mapping
        y_t.
    policy : str
        What to do if outcomes of later steps were learned before.
    limits : Limits
        How much is kept, and how far is gone back.

    Raises
    ------
    UsageError
        If no prediction waits under the id, and none that was learned is remembered.
    """
    waiting = _waiting(stream, name)
    if waiting is None:
        if was_learned(stream, name):
            return Told(stream, "duplicate")
        raise _unknown(stream, name)
    lessons = stream.lessons if policy == "replay" else ()
    place = place_of(lessons, waiting.observation.t)
    later, note = len(lessons) - place, ""
    if later > limits.replay_limit or waiting.observation.t < stream.floor:
        place, later = len(lessons), 0
        note = (
            "applied to the present memory and not in its place: more later outcomes had been learned than the replay "
            f"limit of {limits.replay_limit}, or a later budget left no way back"
        )
    done = yield from relearn(method, stream.state, lessons, place, Lesson(waiting, dict(target)))
    told = Told(_with_learned(stream, waiting, limits), "learned", waiting, again=later, note=note)
    return _settled(method, stream, told, done, policy, limits)


def correct(
    method: Method, stream: Stream, waiting: Waiting, target: Target, policy: Policy, limits: Limits = LIMITS
) -> Calls[Told]:
    """Learn another outcome of a prediction, whose first one was learned and turned out to be wrong.

    With the policy ``replay`` the outcome takes the place of the one that was learned, as far as that is among the
    lessons that the stream keeps: it is as if the first one had never come. Else it is learned into the present memory,
    and what was counted of the first one stays counted.

    Parameters
    ----------
    method : Method
        Who learns.
    stream : Stream
        Where the prediction belonged.
    waiting : Waiting
        The prediction. A stream does not keep those that were learned: whoever may have to correct one keeps it.
    target : mapping
        y_t, as it is known now.
    policy : str
        Whether to go back to its place.
    limits : Limits
        How much is kept, and how far is gone back.

    Returns
    -------
    Told
        The fate is ``duplicate`` where this very outcome was learned at that place, and ``failed`` where the engine
        gave no answer: then nothing changed.

    Raises
    ------
    UsageError
        If the prediction still waits for its first outcome.
    """
    if _waiting(stream, waiting.id) is not None:
        raise UsageError(f"the outcome of {waiting.id!r} has not been learned", "tell it: there is none to correct")
    lessons = stream.lessons if policy == "replay" else ()
    place = next((at for at, lesson in enumerate(lessons) if lesson.waiting == waiting), None)
    if place is not None and lessons[place].target == target:
        return Told(stream, "duplicate")
    note = "" if place is not None or policy == "apply" else "applied to the present memory: its place is lost"
    at, replaced = (len(lessons), 0) if place is None else (place, 1)
    later = len(lessons) - at - replaced
    done = yield from relearn(method, stream.state, lessons, at, Lesson(waiting, dict(target)), replaced)
    told = Told(stream, "learned", waiting, again=later, note=note)
    return _settled(method, stream, told, done, policy, limits, "corrected: ")


def _settled(
    method: Method, before: Stream, told: Told, done: Relearned, policy: Policy, limits: Limits, what: str = ""
) -> Told:
    """Let the stream go on with what was learned, unless an engine gave no answer."""
    update = done.result.update
    if done.failed or told.waiting is None:
        return Told(before, "failed", told.waiting, update)
    waiting = told.stream.waiting
    oldest = waiting[0].observation.t if waiting else before.t
    kept, lost = forget(done.lessons, oldest, limits.replay_limit) if policy == "replay" else ((), -1)
    after = msgspec.structs.replace(told.stream, state=done.state, lessons=kept, floor=max(before.floor, lost))
    reason = f"replay: {told.again} later outcomes were learned again" if told.again else _reason(update)
    after = _with_version(method, before, after, told.waiting, what + reason, limits)
    return told._replace(stream=after, update=update, feedback=done.result.feedback)


def _first(memory: Memory | None, reason: str) -> tuple[Version, ...]:
    return () if memory is None else (Version(memory, None, reason),)


def _reason(update: Update) -> str:
    return update.reason if update.outcome == "accepted" else f"{update.outcome}: {update.reason}"


def _with_version(
    method: Method, before: Stream, after: Stream, waiting: Waiting, reason: str, limits: Limits
) -> Stream:
    """Note the memory, if it is another one. A replay may give another text the same number."""
    old, new = method.memory(before.state), method.memory(after.state)
    if new is None or (old is not None and (old.version, old.sections) == (new.version, new.sections)):
        return after
    versions = (*before.versions, Version(new, waiting.observation.t, reason))
    return msgspec.structs.replace(after, versions=versions[-limits.keep_versions :])


def _waiting(stream: Stream, name: Id) -> Waiting | None:
    return next((waiting for waiting in stream.waiting if waiting.id == name), None)


def _with_waiting(stream: Stream, made: Waiting, limits: Limits) -> Stream:
    """Let a prediction wait; the oldest are given up where too many do."""
    every = (*stream.waiting, made)
    gone = tuple(waiting.id for waiting in every[: -limits.max_waiting])
    # One that was given up and is asked for again waits again.
    given_up = (*(name for name in stream.given_up if name != made.id), *gone)
    return msgspec.structs.replace(
        stream,
        t=stream.t + 1,
        waiting=every[-limits.max_waiting :],
        given_up=given_up[-limits.remember :],
        abandoned=stream.abandoned + len(gone),
    )


def _with_learned(stream: Stream, waiting: Waiting, limits: Limits) -> Stream:
    """Take a prediction from those that wait to those whose outcome was learned."""
    learned = (*stream.learned, waiting.id)
    return msgspec.structs.replace(
        stream,
        waiting=tuple(other for other in stream.waiting if other is not waiting),
        learned=learned[-limits.remember :],
        forgotten=stream.forgotten + len(learned[: -limits.remember]),
    )


def _require_new(stream: Stream, name: Id) -> None:
    """Refuse an id under which nothing waits and that is not free."""
    if was_learned(stream, name):
        raise UsageError(f"the outcome of {name!r} has been learned", "give each prediction its own id")
    if isinstance(name, str) and AUTOMATIC.fullmatch(name):
        raise UsageError(
            f"{name!r} looks like an automatic id, and no such prediction waits", "leave the id out, or choose another"
        )


def _unknown(stream: Stream, name: Id) -> UsageError:
    if name in stream.given_up:
        return UsageError(
            f"the prediction {name!r} was given up, because too many waited", "allow more: max_waiting is the limit"
        )
    other = str(name) if isinstance(name, int) else int(name) if re.fullmatch("-?[0-9]{1,18}", name) else None
    if other is not None and _waiting(stream, other):
        kind = "text" if isinstance(other, str) else "a number"
        return UsageError(f"no prediction waits under the id {name!r}", f"one does under {other!r}, which is {kind}")
    return UsageError(f"no prediction waits under the id {name!r}", "predict first, or correct the id")
