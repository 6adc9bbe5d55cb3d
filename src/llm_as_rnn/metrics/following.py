"""Find, then follow: whether the memory held the right case, whether it was found, and what the answer made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from llm_as_rnn.cases.case import came
from llm_as_rnn.core.outcomes import same_outcome
from llm_as_rnn.core.records import Record, Target
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.memories import predicting
from llm_as_rnn.metrics.traces import Held


class Following(Record, frozen=True):
    """What became of a memory's cases, as shares of steps; None where there are no such steps.

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


class CaseStep(NamedTuple):
    """What became of the cases in the memory that made one prediction.

    Attributes
    ----------
    held : bool
        Whether a case had the outcome that came.
    shown_right : bool or None
        Whether the case that was shown again had it; None where none was shown again.
    as_shown : bool or None
        Whether the answer was what that case said.
    """

    held: bool
    shown_right: bool | None = None
    as_shown: bool | None = None


def case_steps(task: Task, trace: Sequence[StepRecord]) -> Iterator[tuple[int, CaseStep]]:
    """Give what became of cases, by timestep, at steps with an outcome whose memory held some.

    Parameters
    ----------
    task : Task
        Says when two outcomes are the same.
    trace : sequence of StepRecord
        The steps of one method in one sequence, in order.
    """
    memories = predicting(trace)
    told: dict[str, Target | None] = {}
    for record in trace if memories else ():
        memory = memories.get((record.method, record.sequence, record.t))
        items = [item for section in memory.sections for item in section.items] if memory else []
        told.update({item: came(task, item) for item in items if item not in told})
        cases = [outcome for item in items if (outcome := told[item]) is not None]
        if record.target and cases:
            held = any(same_outcome(task, case, record.target) for case in cases)
            shown = came(task, record.recalled[-1]) if record.recalled else None
            if shown is None:
                yield record.t, CaseStep(held)
            else:
                right, as_shown = same_outcome(task, shown, record.target), same_outcome(task, record.prediction, shown)
                yield record.t, CaseStep(held, right, as_shown)


class Followed:
    """Counts what became of the cases that one method's memory held, a sequence at a time (see `following`)."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._steps, self._held = 0, 0
        self._right: list[bool] = []
        self._wrong: list[bool] = []

    def add(self, trace: Sequence[StepRecord]) -> None:
        """Take the steps of one more sequence into account."""
        for _, step in case_steps(self._task, trace):
            self.count(step)

    def count(self, step: CaseStep) -> None:
        """Take one step into account."""
        self._steps += 1
        self._held += step.held
        if step.as_shown is not None:
            (self._right if step.shown_right else self._wrong).append(step.as_shown)

    @property
    def found(self) -> Following | None:
        """What there was so far; None for a method without cases."""
        steps, right = self._steps, self._right
        if not steps:
            return None
        return Following(steps, self._held / steps, len(right) / steps, _share(right), _share(self._wrong))


def _share(answers: list[bool]) -> float | None:
    return sum(answers) / len(answers) if answers else None
