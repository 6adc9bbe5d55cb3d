"""Going back: what a stream keeps of its latest lessons, so that an outcome can be learned as if it had come in time.

A method's state before every lesson would be exact and dear: each holds a whole memory. So the state is kept before one
lesson in `CHECKPOINT`, and for those between what the model said: the same answers give the same state again, and
nothing is asked for them but token counts, which are those of the tokenizer that serves now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llm_as_rnn.core.calls import Completion, Role
from llm_as_rnn.core.method import Calls, Learned, Method
from llm_as_rnn.core.records import Observation, Prediction, Record, Status, Value

CHECKPOINT = 16
"""One lesson in so many has the state before it; up to so many less one are worked through again to reach another."""

Id = str | int
"""A caller's name for a prediction. 7 is not "7": an id is given back as it was given."""


class Waiting(Record, frozen=True):
    """A prediction that waits for its outcome.

    Attributes
    ----------
    id : str or int
        The caller's name for it, or ``#`` and the number of its step.
    observation : Observation
        x_t; its ``t`` says which step it is.
    prediction : Prediction
        y_hat_t.
    memory_version : int or None
        The version of the memory that made it.
    """

    id: Id
    observation: Observation
    prediction: Prediction
    memory_version: int | None

    @property
    def values(self) -> dict[str, Value] | None:
        """The answer by field; None where there is no usable one."""
        return self.prediction.values

    def __repr__(self) -> str:
        return f"Waiting(id={self.id!r}, status={str(self.prediction.status)!r}, values={self.values!r})"

    def _repr_html_(self) -> str:
        from llm_as_rnn.core import notebook  # noqa: PLC0415 - only notebooks ask

        version = "" if self.memory_version is None else f"by memory version {self.memory_version}"
        about = (notebook.fields(self.observation.fields), version)
        return notebook.page(notebook.title(f"prediction {self.id}", *about), notebook.prediction(self.prediction))


class Said(Record, frozen=True, array_like=True, omit_defaults=True):
    """What the engine answered to one call, as short as it can be written.

    Attributes
    ----------
    role : str
        What was asked for.
    text, prompt_tokens, completion_tokens, finish_reason, error, reasoning_tokens
        As of `Completion`.
    """

    role: Role
    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = "stop"
    error: str = ""
    reasoning_tokens: int = 0

    @classmethod
    def of(cls, role: Role, answer: Completion) -> Said:
        """Keep of an answer what a method can go by."""
        return cls(
            role,
            answer.text,
            answer.prompt_tokens,
            answer.completion_tokens,
            answer.finish_reason,
            answer.error,
            answer.reasoning_tokens,
        )

    def completion(self) -> Completion:
        """Give back what the engine answered."""
        return Completion(
            self.text,
            self.finish_reason,
            self.prompt_tokens,
            self.completion_tokens,
            error=self.error,
            reasoning_tokens=self.reasoning_tokens,
        )


class Lesson(Record, frozen=True, omit_defaults=True):
    """A learned outcome that may have to be learned again, because an earlier step still waits.

    Attributes
    ----------
    waiting : Waiting
        The prediction.
    target : dict
        Its outcome.
    before : object
        The method's state before it was learned, where this is a checkpoint, and else None; plain values after a round
        trip through JSON.
    said : tuple of Said
        What the engine answered while it was learned.
    """

    waiting: Waiting
    target: dict[str, Value]
    before: Any = None
    said: tuple[Said, ...] = ()

    @property
    def t(self) -> int:
        """The step that it belongs to."""
        return self.waiting.observation.t


class Relearned(NamedTuple):
    """What came of learning an outcome at its place among the lessons.

    Attributes
    ----------
    result : Learned
        Of the outcome itself.
    state : object
        The method's state after the last lesson.
    lessons : tuple of Lesson
        With the new one at its place, in the order in which they were learned.
    failed : bool
        Whether an engine gave no answer somewhere: then nothing of this must be kept.
    """

    result: Learned
    state: Any
    lessons: tuple[Lesson, ...]
    failed: bool


def place_of(lessons: Sequence[Lesson], t: int) -> int:
    """Give the place of an outcome of step ``t``: before the first lesson of a later step."""
    return next((place for place, lesson in enumerate(lessons) if lesson.t > t), len(lessons))


def relearn(
    method: Method, state: Any, lessons: Sequence[Lesson], place: int, new: Lesson, replaced: int = 0
) -> Calls[Relearned]:
    """Learn an outcome at its place, then the later ones again.

    Parameters
    ----------
    method : Method
        Who learns.
    state : object
        Its state after all lessons.
    lessons : sequence of Lesson
        In the order in which they were learned; the first is a checkpoint.
    place : int
        How many of them stay as they are.
    new : Lesson
        The outcome.
    replaced : int
        How many lessons it takes the place of: one, if it corrects that.
    """
    failed = False
    if place < len(lessons):
        state, failed = yield from _state_before(method, lessons, place)
    kept = list(lessons[:place])
    results: list[Learned] = []
    for lesson in (new, *lessons[place + replaced :]):
        due = all(other.before is None for other in kept[1 - CHECKPOINT :])
        result, said = yield from learned(method, state, Lesson(lesson.waiting, lesson.target))
        kept.append(Lesson(lesson.waiting, lesson.target, state if due else None, said))
        results.append(result)
        state, failed = result.state, failed or has_failed(result)
    return Relearned(results[0], state, tuple(kept), failed)


def learned(method: Method, state: Any, lesson: Lesson) -> Calls[tuple[Learned, tuple[Said, ...]]]:
    """Learn a lesson on what the engine answered before, and ask it where there is no such answer.

    Returns
    -------
    tuple
        What was learned, and what was answered on the way.
    """
    left = list(lesson.said)
    said: list[Said] = []
    waiting = lesson.waiting
    calls = method.learn(state, waiting.observation, waiting.prediction, lesson.target)
    try:
        request = next(calls)
        while True:
            if request.role == "count":
                request = calls.send((yield request))
                continue
            if left and left[0].role == request.role:
                said.append(left.pop(0))
            else:
                left.clear()  # it asks something else than it did then: its answers fit no longer
                said.append(Said.of(request.role, (yield request)))
            request = calls.send(said[-1].completion())
    except StopIteration as end:
        return end.value, tuple(said)
    finally:
        calls.close()


def forget(lessons: tuple[Lesson, ...], oldest: int, limit: int) -> tuple[tuple[Lesson, ...], int]:
    """Leave out the lessons that nothing will go back to.

    Parameters
    ----------
    lessons : tuple of Lesson
        In the order in which they were learned.
    oldest : int
        The oldest step whose outcome may still come.
    limit : int
        How many of the latest lessons can be gone back behind. A few more stay: those since the checkpoint before.

    Returns
    -------
    tuple
        The lessons that stay, and the latest step of one that was left out because of the limit; -1 if none was.
    """
    needed = max(place_of(lessons, oldest), len(lessons) - limit)
    if needed == len(lessons):
        return (), -1
    first = next(place for place in range(needed, -1, -1) if lessons[place].before is not None)
    lost = max((lesson.t for lesson in lessons[:first] if lesson.t > oldest), default=-1)
    return lessons[first:], lost


def has_failed(result: Learned) -> bool:
    """Tell an outcome that taught nothing because no model answered from one that was learned."""
    return result.update.outcome == "kept" and result.update.code == Status.ENGINE_ERROR


def _state_before(method: Method, lessons: Sequence[Lesson], place: int) -> Calls[tuple[Any, bool]]:
    """Give the state before a lesson, from the checkpoint before it, and whether an engine failed on the way."""
    start = next(at for at in range(place, -1, -1) if lessons[at].before is not None)
    state, failed = lessons[start].before, False
    for lesson in lessons[start:place]:
        result, _ = yield from learned(method, state, lesson)
        state, failed = result.state, failed or has_failed(result)
    return state, failed
