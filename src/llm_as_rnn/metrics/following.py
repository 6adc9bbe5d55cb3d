"""Find, then follow: whether the memory held the right case, whether it was found, and what the answer made of it."""

from __future__ import annotations

from collections.abc import Iterable

from llm_as_rnn.cases.case import came
from llm_as_rnn.core.outcomes import same_outcome
from llm_as_rnn.core.records import Memory, Record, StepRecord, Target
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.memories import predicting


class Following(Record, frozen=True):
    """What became of a memory's cases; each is a share of the one before it, None where that is none.

    Attributes
    ----------
    steps : int
        Steps with an outcome whose prediction was made with a memory that holds cases.
    held : float
        Share of these steps at which a case of the memory had the outcome that came.
    found : float
        Share of all these steps at which the case that was shown again (the one that fits best) had it.
    followed : float or None
        Of the steps at which it had, the share that was answered as it said.
    misled : float or None
        Of the others at which a case was shown again, the share that was answered as that case said.
    """

    steps: int
    held: float
    found: float
    followed: float | None
    misled: float | None


def following(task: Task, records: Iterable[StepRecord]) -> Following | None:
    """Count what became of the cases that one method's memory held.

    Parameters
    ----------
    task : Task
        Says when two outcomes are the same: in all fields, of numbers within a twentieth of the plausible range.
    records : iterable of StepRecord
        Steps of one method.

    Returns
    -------
    Following or None
        None for a method without cases.
    """
    steps, held, right, wrong = 0, 0, list[bool](), list[bool]()
    records = list(records)
    memories = predicting(records)
    for record in records:
        cases = _outcomes(task, memories.get((record.method, record.sequence, record.t)))
        if not record.target or not cases:
            continue
        steps += 1
        held += any(same_outcome(task, case, record.target) for case in cases)
        shown = came(task, record.recalled[-1]) if record.recalled else None
        if shown is not None:
            as_shown = same_outcome(task, record.prediction, shown)
            (right if same_outcome(task, shown, record.target) else wrong).append(as_shown)
    if not steps:
        return None
    return Following(steps, held / steps, len(right) / steps, _share(right), _share(wrong))


def _outcomes(task: Task, memory: Memory | None) -> list[Target]:
    """Give what came in the cases of the memory that a prediction was made with."""
    sections = memory.sections if memory else ()
    found = (came(task, item) for section in sections for item in section.items)
    return [outcome for outcome in found if outcome is not None]


def _share(answers: list[bool]) -> float | None:
    return sum(answers) / len(answers) if answers else None
