"""Find, then follow: whether the memory held the right case, whether it was found, and what the answer made of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llm_as_rnn.cases.case import came
from llm_as_rnn.core.outcomes import same_outcome
from llm_as_rnn.core.records import Record, Target
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.memories import predicting
from llm_as_rnn.metrics.traces import Held


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
    followed = Followed(task)
    held = Held(records)
    for name in held.names:
        followed.add(held.trace(*name))
    return followed.found


class Followed:
    """Counts what became of the cases that one method's memory held, a sequence at a time (see `following`)."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._steps, self._held = 0, 0
        self._right: list[bool] = []
        self._wrong: list[bool] = []

    def add(self, trace: Sequence[StepRecord]) -> None:
        """Take the steps of one more sequence into account."""
        memories = predicting(trace)
        told: dict[str, Target | None] = {}
        for record in trace if memories else ():
            memory = memories.get((record.method, record.sequence, record.t))
            items = [item for section in memory.sections for item in section.items] if memory else []
            told.update({item: came(self._task, item) for item in items if item not in told})
            cases = [outcome for item in items if (outcome := told[item]) is not None]
            if record.target and cases:
                self._count(record, record.target, cases)

    def _count(self, record: StepRecord, target: Target, cases: Sequence[Target]) -> None:
        self._steps += 1
        self._held += any(same_outcome(self._task, case, target) for case in cases)
        shown = came(self._task, record.recalled[-1]) if record.recalled else None
        if shown is not None:
            as_shown = same_outcome(self._task, record.prediction, shown)
            (self._right if same_outcome(self._task, shown, target) else self._wrong).append(as_shown)

    @property
    def found(self) -> Following | None:
        """What there was so far; None for a method without cases."""
        steps, right = self._steps, self._right
        if not steps:
            return None
        return Following(steps, self._held / steps, len(right) / steps, _share(right), _share(self._wrong))


def _share(answers: list[bool]) -> float | None:
    return sum(answers) / len(answers) if answers else None
