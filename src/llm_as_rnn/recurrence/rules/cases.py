"""Code keeps the steps that teach something, as cases."""

from __future__ import annotations

from llm_as_rnn.cases.blanks import blanked
from llm_as_rnn.cases.case import came, merged, parse
from llm_as_rnn.cases.recall import resemblance
from llm_as_rnn.core.method import Calls, at_once
from llm_as_rnn.core.outcomes import same_outcome
from llm_as_rnn.core.records import Feedback, Why
from llm_as_rnn.recurrence.budget import Sections, measured
from llm_as_rnn.recurrence.notes import Credit, Ledger, is_doubtful, spare
from llm_as_rnn.recurrence.rules.base import Itemised, Proposal, Traits, without
from llm_as_rnn.recurrence.writing import Step, length


class Cases(Itemised):
    """Code keeps the step itself as a case, where the memory would have got it wrong.

    When the budget is full, cases of the same outcome that differ in one place become one note with a blank there.
    """

    name = "cases"
    traits = Traits(
        "code keeps the step itself, `what was seen -> what came`, where the memory would have got it wrong",
        "cases that differ in one place become one note with a blank; else the worst notes go",
        keeps_cases=True,
        is_usual=True,
    )

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Compare the step with the case most like it, and keep what is new."""
        new, why_none = self.case_of(step)
        if why_none:
            return (yield from at_once(Proposal(None, why_none)))
        same = resemblance(step.items).same(parse(new).seen)
        wrong = [item for item in same if not same_outcome(self.task, came(self.task, item), step.target)]
        if same and not wrong:
            return (yield from self._known(step, new, same, ledger))
        doubted = [item for item in wrong if is_doubtful(ledger.get(item, Credit()), changed=step.changed)]
        if wrong and not doubted:
            return Proposal(None, Why("disputed", f"what was seen {len(same)} times says otherwise"))
        sections = step.memory.sections
        for item in doubted:
            sections = without(sections, item, self.unknown)
        sections = self.added(sections, 0, new)
        if doubted:
            return (yield from self.roomy(sections, ledger, step.now, new, "corrected"))
        return (yield from self.make_room(step, feedback, sections, ledger, new))

    def make_room(
        self, step: Step, feedback: Feedback, sections: Sections, ledger: Ledger, new: str
    ) -> Calls[Proposal]:
        """Make a memory fit that holds one case more."""
        return (yield from self.roomy(sections, ledger, step.now, new, "added"))

    def _known(self, step: Step, new: str, same: list[str], ledger: Ledger) -> Calls[Proposal]:
        """Make one note of cases that say the same when the memory is full; or give one company."""
        sections = self.added(step.memory.sections, 0, new)
        general = self._general(step, new, same)
        if general and (yield from length(sections)) > self.writer.settings.budget:
            merger = yield from self._merger(step, new, general)
            if merger:
                return merger
        if not step.error:
            return Proposal(None, Why("known", "a case like it is there"))
        return (yield from self._one_more(step, sections, new, ledger))

    def _general(self, step: Step, new: str, same: list[str]) -> str | None:
        """Give the note with a blank that says what these cases say, if it is new and nothing speaks against it."""
        general = next(filter(None, (merged(item, new) for item in same)), None)
        return None if general is None or general in step.items or self._says_otherwise(general, step) else general

    def _merger(self, step: Step, new: str, general: str) -> Calls[Proposal | None]:
        """Put a note with a blank in the place of the cases it was made of, if that makes the memory shorter."""
        sections = step.memory.sections
        for item in step.items:
            if merged(item, new) == general:
                sections = without(sections, item, self.unknown)
        sections = self.added(sections, 0, general)
        tokens = yield from length(sections)
        return Proposal(sections, Why("merged"), tokens) if tokens < (yield from measured(step.memory)) else None

    def _says_otherwise(self, general: str, step: Step) -> bool:
        """Tell whether a note with a blank would fit a case of the memory that had another outcome."""
        return any(
            not same_outcome(self.task, came(self.task, item), step.target)
            and blanked(parse(general).seen, parse(item).seen) == parse(general).seen
            for item in step.items
        )

    def _one_more(self, step: Step, sections: Sections, new: str, ledger: Ledger) -> Calls[Proposal]:
        """Give a case company that the model did not follow; only notes that say nothing of their own make room."""
        while (tokens := (yield from length(sections))) > self.writer.settings.budget:
            loser = spare(sections, ledger, self.task, step.now, but=(new, self.unknown))
            if loser is None:
                return Proposal(None, Why("known", "a case like it is there, and no room for another"))
            sections = without(sections, loser, self.unknown)
        return Proposal(sections, Why("added", "another example"), tokens)
