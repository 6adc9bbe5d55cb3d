"""No update: a memory that never changes, to compare learning with."""

from __future__ import annotations

from llm_as_rnn.core.method import Calls, at_once
from llm_as_rnn.core.records import Feedback, Why
from llm_as_rnn.recurrence.notes import Ledger
from llm_as_rnn.recurrence.rules.base import Proposal, Traits
from llm_as_rnn.recurrence.writing import Step, Writer


class Nothing:
    """The memory stays as it is."""

    name = "none"
    traits = Traits("nobody, for comparison", "it never is", learns=False)

    def __init__(self, writer: Writer) -> None:
        """Take what every rule takes; nothing of it is needed."""

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Propose nothing."""
        return (yield from at_once(Proposal(None, Why("no update", "this rule never updates"))))
