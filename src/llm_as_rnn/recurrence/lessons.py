"""A second memory, of lessons that outlast a sequence: what one that has ended leaves to those after it.

It has a budget of its own and the task's sections, stands before the memory of the sequence in every prompt, and stays
as it is while a sequence runs. Rules by which code keeps cases carry over the cases that proved themselves; the others
have the model write the lessons anew from the memory that the sequence ended with.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from llm_as_rnn.cases.recall import Resemblance
from llm_as_rnn.core.calls import Message
from llm_as_rnn.core.method import Asker, Calls
from llm_as_rnn.core.records import Memory, Observation, Record, Update
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task
from llm_as_rnn.recurrence.budget import Sections, fit
from llm_as_rnn.recurrence.guard import refusal
from llm_as_rnn.recurrence.notes import Credit, Ledger, is_covered
from llm_as_rnn.recurrence.rules.base import Itemised
from llm_as_rnn.recurrence.writing import Writer, length


class Lessons(Record, frozen=True):
    """What earlier sequences taught.

    Attributes
    ----------
    memory : Memory
        Its text; the version counts the sequences that changed it.
    ledger : dict of str to Credit
        How often each note of it helped, over all sequences.
    """

    memory: Memory
    ledger: dict[str, Credit] = msgspec.field(default_factory=dict)


class Teacher:
    """Makes lessons of ended sequences.

    Parameters
    ----------
    asker : Asker
        Who builds requests.
    task : Task
        What is predicted.
    settings : Settings
        ``shared`` is the lessons' budget.
    keeps_cases : bool
        Whether the memories that sequences end with hold cases of code's, which can be carried over.
    """

    def __init__(self, asker: Asker, task: Task, settings: Settings, *, keeps_cases: bool) -> None:
        self.task = task
        self.settings = msgspec.structs.replace(settings, budget=settings.shared)
        self._keeps_cases = keeps_cases
        self.writer = Writer(asker, task, self.settings)
        self.items = Itemised(self.writer)

    def teach(
        self, lessons: Lessons, ended: Memory, ledger: Ledger, last: Observation
    ) -> Calls[tuple[Lessons, Update]]:
        """Give the lessons after a sequence, and what became of them.

        Parameters
        ----------
        lessons : Lessons
            Those before it.
        ended : Memory
            What it ended with.
        ledger : mapping
            Credits of its notes, and of the lessons' notes.
        last : Observation
            Its last step.
        """
        counted = {item: ledger.get(item, Credit()) for item in _items(lessons.memory)}
        if self._keeps_cases:
            return (yield from self._carry_over(lessons.memory, ended, {**ledger, **counted}, last.t))
        return (yield from self._rewrite(Lessons(lessons.memory, counted), ended, last))

    def _carry_over(self, old: Memory, ended: Memory, ledger: Ledger, t: int) -> Calls[tuple[Lessons, Update]]:
        sections, taken = old.sections, 0

        def worth(item: str) -> float:
            return ledger.get(item, Credit()).worth(t)

        proved = sorted(_items(ended), key=worth, reverse=True)
        for item in proved:
            known = Resemblance(_notes(sections))
            if item == self.items.unknown or worth(item) <= 0 or is_covered(item, known, self.task):
                continue
            place = next(n for n, section in enumerate(ended.sections) if item in section.items)
            proposal = yield from self.items.roomy(self.items.added(sections, place, item), ledger, t, item, "")
            if proposal.sections is not None and not self._loses_better(sections, proposal.sections, item, worth):
                sections, taken = proposal.sections, taken + 1
        if sections == old.sections:
            return Lessons(old, _of(old, ledger)), Update("kept", "nothing new")
        new = Memory(sections, old.version + 1, (yield from length(sections)))
        return Lessons(new, _of(new, ledger)), Update("accepted", "carried over", f"{taken} notes")

    def _loses_better(self, before: Sections, after: Sections, new: str, worth: Callable[[str], float]) -> bool:
        """Tell whether a note would drive out one of more worth that says what no other does."""
        left = Resemblance(_notes(after))
        gone = set(_notes(before)) - set(_notes(after)) - {self.items.unknown}
        return any(worth(item) > worth(new) and not is_covered(item, left, self.task) for item in gone)

    def _rewrite(self, lessons: Lessons, ended: Memory, last: Observation) -> Calls[tuple[Lessons, Update]]:
        bounds = self.writer.bounds.beyond(lessons.memory.sections)
        prompt = self.writer.asker.render(
            "recurrence/lessons",
            lessons=str(lessons.memory),
            memory=str(ended),
            bounds=bounds,
            budget=self.settings.budget,
        )
        messages = (Message("system", self.task.instructions.strip()), Message("user", prompt))
        asked = yield from self.writer.ask_memory(last, "update", messages, bounds, str(lessons.memory), str(ended))
        if asked.value is None:
            return lessons, Update("kept", asked.status, asked.problem)
        retire = self.items.retiring(_items(lessons.memory), lessons.ledger, last.t)
        fitted = yield from fit(asked.value, self.settings.budget, {"retired": retire})
        if fitted is None:
            return lessons, Update("kept", "over_budget", "not even one sentence of it fits")
        before = Memory(lessons.memory.sections, lessons.memory.version, (yield from length(lessons.memory.sections)))
        reason = refusal(before, fitted.sections, fitted.tokens, self.task, self.settings.budget)
        if reason:
            return lessons, Update("kept", *reason)
        new = Memory(fitted.sections, before.version + 1, fitted.tokens)
        return Lessons(new, _of(new, lessons.ledger)), Update("accepted", *fitted.why)


def _items(memory: Memory) -> list[str]:
    return _notes(memory.sections)


def _notes(sections: Sections) -> list[str]:
    return [item for section in sections for item in section.items]


def _of(memory: Memory, ledger: Ledger) -> dict[str, Credit]:
    # Steps are counted anew in each sequence: what was born in an earlier one was there from the start.
    kept = {item: ledger[item] for item in _items(memory) if item in ledger}
    return {item: Credit(credit.helped, credit.hurt, credit.missed, 0) for item, credit in kept.items()}
