"""The model adds, changes or drops one note at a step."""

from __future__ import annotations

from llm_as_rnn.cases.case import parse
from llm_as_rnn.cases.recall import Resemblance, likeness
from llm_as_rnn.core.fields import Field, Label, Number
from llm_as_rnn.core.hygiene import tidy_item
from llm_as_rnn.core.method import Calls, at_once
from llm_as_rnn.core.outcomes import note_field
from llm_as_rnn.core.prompts import examples_in
from llm_as_rnn.core.records import Feedback, Section, Why
from llm_as_rnn.recurrence.budget import Sections
from llm_as_rnn.recurrence.memory import tidy_items
from llm_as_rnn.recurrence.notes import Ledger
from llm_as_rnn.recurrence.rules.base import Itemised, Proposal, Traits, without
from llm_as_rnn.recurrence.writing import Step, length

SAME_NOTE = 0.9
"""How alike two notes of the model's own must be for the later one to be a repetition."""


class Delta(Itemised):
    """The model adds, changes or drops one note; code merges, and lets the worst go (after ACE, arXiv 2510.04618)."""

    name = "delta"
    traits = Traits(
        "the model adds, changes or drops one note; in lines its end, by the grammar, is the step's outcome",
        "the worst notes go",
        tells_outcomes=True,
    )

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Ask for one change, and make it."""
        notes = [
            (place, item)
            for place, section in enumerate(step.memory.sections)
            for item in section.items
            if item != self.unknown
        ]
        form, case = self.writer.settings.form, step.case(self.task)
        note = note_field("note", "the new or changed note", self.task, form, case)
        open_to = self._open_to_change(notes, case) if note.came else {item for _, item in notes}
        fields = self._fields(len(notes) if open_to else 0, wrong=step.error > 0)
        spec = self.writer.asker.block("delta", (*fields, note))
        messages = self.writer.turn(step, "delta", feedback=feedback, notes=notes, spec=spec)
        asked = yield from self.writer.ask_fields(step, "update", spec, messages)
        if asked.value is None:
            return Proposal(None, Why(asked.status, asked.problem))
        change = {name: str(value) for name, value in asked.value.items()}
        if change.get("action") in ("change", "drop") and notes[int(float(change["number"])) - 1][1] not in open_to:
            if change["action"] == "drop":
                return Proposal(None, Why("nothing to change", "the step says nothing of the note to drop"))
            change["action"] = "add"
        examples = examples_in(messages, *step.own(self.task, feedback))
        if change.get("action") not in ("drop", "nothing") and tidy_item(change["note"]) in examples:
            return Proposal(None, Why("copied", "the note is one of the examples"))
        return (yield from self._apply(step, notes, change, ledger))

    def _open_to_change(self, notes: list[tuple[int, str]], case: str) -> set[str]:
        """Give the notes that a step may change or drop: cases about the same thing, and what is no case.

        Small models overwrite any note with what the latest step taught.
        """
        items = [item for _, item in notes]
        return {*Resemblance(items).same(parse(case).seen), *(item for item in items if not parse(item).came)}

    def _fields(self, notes: int, *, wrong: bool) -> tuple[Field, ...]:
        names = tuple(section.name for section in self.task.memory)
        # A wrong answer has something to teach: small models would choose to do nothing every time.
        actions = ("add", "change", "drop") if notes > 1 else ("add",)
        actions = actions if wrong else (*actions, "nothing")
        fields: list[Field] = [Label("action", "what to do", options=actions)] if len(actions) > 1 else []
        if notes > 1:  # a single note is no choice; it can go when there is a second one
            fields.append(Number("number", "the note to change or drop", low=1, high=notes, decimals=0))
        if len(names) > 1:
            fields.append(Label("section", "where a new note goes", options=names))
        return tuple(fields)

    def _apply(
        self, step: Step, notes: list[tuple[int, str]], change: dict[str, str], ledger: Ledger
    ) -> Calls[Proposal]:
        new, sections = tidy_item(change["note"]), step.memory.sections
        action = change.get("action", "add")
        if action == "nothing":
            return (yield from at_once(Proposal(None, Why("nothing to change"))))
        if action == "add":
            names = [section.name for section in self.task.memory]
            place = names.index(change["section"]) if "section" in change else 0
            return (yield from self._insert(step, self.added(sections, place, new), notes, new, ledger))
        place, old = notes[int(float(change["number"])) - 1]
        if action == "drop":
            shorter = without(sections, old, self.unknown)
            return Proposal(shorter, Why("dropped"), (yield from length(shorter)))
        changed = tuple(
            Section(section.name, tidy_items(new if item == old else item for item in section.items))
            for section in sections
        )
        return (yield from self._insert(step, changed, [n for n in notes if n[1] != old], new, ledger))

    def _insert(
        self, step: Step, sections: Sections, others: list[tuple[int, str]], new: str, ledger: Ledger
    ) -> Calls[Proposal]:
        if new in ("", self.unknown):
            return Proposal(None, Why("invalid", "the note is empty"))
        if any(parse(new).came == parse(item).came and likeness(new, item) >= SAME_NOTE for _, item in others):
            return Proposal(None, Why("known", "the same note is there"))
        return (yield from self.roomy(sections, ledger, step.now, new, "added or changed"))
