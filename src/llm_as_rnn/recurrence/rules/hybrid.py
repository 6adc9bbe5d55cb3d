"""Cases by code, consolidated by the model now and then."""

from __future__ import annotations

from llm_as_rnn.cases.case import came, parse
from llm_as_rnn.cases.recall import Resemblance
from llm_as_rnn.core.method import Calls
from llm_as_rnn.core.outcomes import same_outcome
from llm_as_rnn.core.records import Feedback, Why
from llm_as_rnn.recurrence.budget import Sections
from llm_as_rnn.recurrence.guard import COLLAPSE
from llm_as_rnn.recurrence.notes import Ledger
from llm_as_rnn.recurrence.rules.base import Proposal, Traits
from llm_as_rnn.recurrence.rules.cases import Cases
from llm_as_rnn.recurrence.writing import Step, length

BETWEEN_CONSOLIDATIONS = 16
"""Steps from one consolidation to the next: a rewrite costs as much as many single notes."""


class Hybrid(Cases):
    """Cases by code, consolidated by the model when the budget is full."""

    name = "hybrid"
    traits = Traits("as `cases`", "the same, and the model consolidates it now and then", keeps_cases=True)

    def make_room(
        self, step: Step, feedback: Feedback, sections: Sections, ledger: Ledger, new: str
    ) -> Calls[Proposal]:
        """Have the memory rewritten now and then; where that does not make room, the worst notes go."""
        tokens = yield from length(sections)
        due = step.now - step.consolidated >= BETWEEN_CONSOLIDATIONS
        if tokens <= self.writer.settings.budget or not due:
            return (yield from self.roomy(sections, ledger, step.now, new, "added"))
        shorter = yield from self.writer.compress(step, sections, tokens)
        tokens = (yield from length(shorter)) if shorter else 0
        why_not = self._why_not(sections, shorter, tokens)
        if shorter and not why_not:
            return Proposal(shorter, Why("consolidated"), tokens, consolidated=True)
        proposal = yield from self.roomy(sections, ledger, step.now, new, "added")
        detail = "; ".join(filter(None, (proposal.why.detail, f"not consolidated: {why_not}")))
        return proposal._replace(why=Why(proposal.why.code, detail), consolidated=True)

    def _why_not(self, sections: Sections, shorter: Sections | None, tokens: int) -> str:
        """Say why a consolidation is not to be taken; nothing if it is."""
        budget = self.writer.settings.budget
        if shorter is None:
            return "no answer"
        if not COLLAPSE * budget <= tokens <= budget:
            return f"{tokens} tokens"
        told = Resemblance(item for section in shorter for item in section.items)
        if any(self._overrules(told, item) for section in sections for item in section.items):
            return "it overrules a case"
        return ""

    def _overrules(self, told: Resemblance, item: str) -> bool:
        """Tell whether notes say otherwise than a case, which has an outcome behind it and not a model's word."""
        seen, outcome = parse(item).seen, came(self.task, item)
        same = told.same(seen) if outcome else []
        return bool(same) and not any(same_outcome(self.task, came(self.task, note), outcome) for note in same)
