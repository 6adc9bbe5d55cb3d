"""The paper's rule: the model writes the whole memory anew."""

from __future__ import annotations

from llm_as_rnn.core.method import Calls
from llm_as_rnn.core.records import Feedback, Why
from llm_as_rnn.recurrence.budget import Sections, fit
from llm_as_rnn.recurrence.notes import Ledger
from llm_as_rnn.recurrence.rules.base import Itemised, Proposal, Traits
from llm_as_rnn.recurrence.writing import Step


class Rewrite(Itemised):
    """The paper's rule: the model writes the whole memory anew."""

    name = "rewrite"
    traits = Traits(
        "the model writes everything anew (the paper)",
        "the worst old notes go; where all is worded anew, it is compressed by one more call",
    )

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Ask for the memory, and make it fit."""
        asked = yield from self.writer.rewrite(step, feedback)
        if asked.value is None:
            return Proposal(None, Why(asked.status, asked.problem))

        def compress(sections: Sections, tokens: int) -> Calls[Sections | None]:
            return self.writer.compress(step, sections, tokens)

        # No call where a few notes too many are the matter: asked to shorten these, a small model copies them.
        ways = {"retired": self.retiring(step.items, ledger, step.now), "compressed": compress}
        fitted = yield from fit(asked.value, self.writer.settings.budget, ways)
        if fitted is None:
            return Proposal(None, Why("over_budget", "not even one sentence of it fits"))
        return Proposal(fitted.sections, fitted.why, fitted.tokens)
