"""An update rule: how a memory and a step become a proposal for the next memory."""

from __future__ import annotations

from llm_as_rnn.cases.case import came, parse
from llm_as_rnn.core.method import Calls, at_once
from llm_as_rnn.core.outcomes import same_outcome
from llm_as_rnn.core.records import Feedback
from llm_as_rnn.recurrence.notes import Ledger
from llm_as_rnn.recurrence.rules.base import Itemised, Proposal, Traits, without
from llm_as_rnn.recurrence.writing import Step


class Latest(Itemised):
    """Of each outcome the latest step that had it is kept: a memory that says how each thing comes about."""

    name = "latest"
    traits = Traits("code keeps the latest step of each outcome", "the worst notes go", keeps_cases=True)

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Put the step in the place of the one that had the same outcome."""
        del feedback
        new, why_none = self.case_of(step)
        if why_none:
            return (yield from at_once(Proposal(None, why_none)))
        sections = step.memory.sections
        pinned = step.memory.pins
        for item in step.items:
            known = parse(item).came
            if known and item not in pinned and same_outcome(self.task, came(self.task, item), step.target):
                sections = without(sections, item, self.unknown)
        return (yield from self.roomy(self.added(sections, 0, new), ledger, step.now, new, "added"))
