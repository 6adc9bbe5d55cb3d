"""A window over the history, to compare learning with."""

from __future__ import annotations

from llm_as_rnn.core.method import Calls, at_once
from llm_as_rnn.core.records import Feedback
from llm_as_rnn.recurrence.budget import Sections
from llm_as_rnn.recurrence.notes import Ledger
from llm_as_rnn.recurrence.rules.base import Itemised, Proposal, Traits, without
from llm_as_rnn.recurrence.writing import Step


class Append(Itemised):
    """Every step is kept, the oldest go: a window over the history, in place of learning."""

    name = "append"
    traits = Traits("code keeps every step", "the oldest go", keeps_cases=True)

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Append the step."""
        new, why_none = self.case_of(step)
        if why_none:
            return (yield from at_once(Proposal(None, why_none)))
        # The same line again moves to the end.
        sections = self.added(without(step.memory.sections, new, self.unknown), 0, new)
        return (yield from self.roomy(sections, ledger, step.now, new, "appended"))

    def loser(self, sections: Sections, ledger: Ledger, now: int, new: tuple[str, ...]) -> str | None:
        """Name the oldest note; what a person wrote into other sections goes where nothing else is left."""
        items = (item for section in sections for item in section.items)
        return next((item for item in items if item not in (*new, self.unknown)), None)
