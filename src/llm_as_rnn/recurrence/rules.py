"""Update rules: how h_{t-1} and a step become a proposal for h_t. All keep to the same sections, text form and budget.

================ ================================================ =========================
rule             who writes                                       when the budget is full
================ ================================================ =========================
``rewrite``      the model, everything anew (the paper)           the worst old notes go, or the
                                                                  model compresses it
``delta``        the model, one note added, changed or dropped    the worst notes go
``cases``        code: the step itself, where it teaches anything cases that differ in one
                                                                  place become one note,
                                                                  else the worst notes go
``hybrid``       as ``cases``                                     the same, and the model
                                                                  rewrites all now and then
``append``       code: every step itself                          the oldest notes go
``none``         nobody                                           never
================ ================================================ =========================
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from llm_as_rnn.cases.blanks import blanked
from llm_as_rnn.cases.case import came, merged, parse
from llm_as_rnn.cases.recall import Resemblance, likeness
from llm_as_rnn.errors import UsageError
from llm_as_rnn.fields import Field, Label, Number
from llm_as_rnn.hygiene import tidy_item
from llm_as_rnn.method import Calls, at_once
from llm_as_rnn.outcomes import note_field
from llm_as_rnn.records import Feedback, Section
from llm_as_rnn.recurrence.budget import Sections, Way, fit, measured
from llm_as_rnn.recurrence.guard import COLLAPSE
from llm_as_rnn.recurrence.memory import tidy_items
from llm_as_rnn.recurrence.notes import Credit, Ledger, is_doubtful, same_outcome, spare, worst
from llm_as_rnn.recurrence.writing import Step, Writer, examples_in, length

SAME_NOTE = 0.9
"""How alike two notes of the model's own must be for the later one to be a repetition."""

BETWEEN_CONSOLIDATIONS = 16
"""Steps from one consolidation to the next: a rewrite costs as much as many single notes."""


class Proposal(NamedTuple):
    """What a rule proposes: sections within the budget, or None and why there is nothing to propose.

    Attributes
    ----------
    sections : tuple of Section or None
        The candidate.
    reason : str
        A code, and what was done or what stood in the way.
    tokens : int
        The candidate's length.
    consolidated : bool
        Whether the model was asked to consolidate the memory, whatever came of it.
    """

    sections: Sections | None
    reason: str = ""
    tokens: int = 0
    consolidated: bool = False


class Rule(Protocol):
    """A way to propose the next memory."""

    name: str

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Propose h_t from h_{t-1}, the step and its feedback."""
        ...


class Itemised:
    """What the rules share that change single notes: placing one, and making room for it."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.task = writer.task
        self.unknown = tidy_item(writer.task.initial)

    def added(self, sections: Sections, place: int, item: str) -> Sections:
        """Put a note at the end of a section: what stands before it stays in the engine's prefix cache."""
        return tuple(
            Section(section.name, tidy_items([*(i for i in section.items if i != self.unknown), item]))
            if number == place
            else section
            for number, section in enumerate(sections)
        )

    def case_of(self, step: Step) -> tuple[str, str]:
        """Write the step as a case; or say why it makes none."""
        if step.target is None:
            return "", "no outcome"
        missing = [field.name for field in self.task.answer if field.name not in step.target]
        if missing:
            return "", f"no case: the outcome lacks {', '.join(missing)}"
        return step.case(self.task), ""

    def roomy(self, sections: Sections, ledger: Ledger, now: int, new: str, reason: str) -> Calls[Proposal]:
        """Let the worst notes go until the rest fits."""
        alone = tuple(Section(section.name, tuple(i for i in section.items if i == new)) for section in sections)
        if (yield from length(alone)) > self.writer.settings.budget // 2:
            return Proposal(None, "over_budget: this note alone would take more than half of it")
        left, tokens, gone = yield from self.lighter(sections, ledger, now, (new,))
        if tokens > self.writer.settings.budget:
            return Proposal(None, "over_budget: the note does not fit beside the headings")
        return Proposal(left, f"{reason}, {gone} retired" if gone else reason, tokens)

    def lighter(
        self, sections: Sections, ledger: Ledger, now: int, new: tuple[str, ...]
    ) -> Calls[tuple[Sections, int, int]]:
        """Let notes go until the rest fits or all others are new; give the rest, its length, and how many went."""
        gone = 0
        while (tokens := (yield from length(sections))) > self.writer.settings.budget:
            loser = self.loser(sections, ledger, now, new)
            if loser is None:
                break
            sections = without(sections, loser, self.unknown)
            gone += 1
        return sections, tokens, gone

    def retiring(self, old: Collection[str], ledger: Ledger, now: int) -> Way:
        """Give a way to make a memory fit that the model wrote: of the ``old`` notes in it, the worst go.

        What was just learned stays, or a memory that is full would never change again.
        """

        def retire(sections: Sections, _: int) -> Calls[Sections | None]:
            new = tuple(item for section in sections for item in section.items if item not in old)
            lighter, tokens, _gone = yield from self.lighter(sections, ledger, now, new)
            return lighter if tokens <= self.writer.settings.budget else None

        return retire

    def loser(self, sections: Sections, ledger: Ledger, now: int, new: tuple[str, ...]) -> str | None:
        """Name the note that is to go next."""
        return worst(sections, ledger, self.task, now, but=(*new, self.unknown))


class Rewrite(Itemised):
    """The paper's rule: the model writes the whole memory anew."""

    name = "rewrite"

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Ask for the memory, and make it fit."""
        asked = yield from self.writer.rewrite(step, feedback)
        if asked.value is None:
            return Proposal(None, f"{asked.status}: {asked.problem}")

        def compress(sections: Sections, tokens: int) -> Calls[Sections | None]:
            return self.writer.compress(step, sections, tokens)

        # No call where a few notes too many are the matter: asked to shorten these, a small model copies them.
        ways = {"retired": self.retiring(step.items, ledger, step.now), "compressed": compress}
        fitted = yield from fit(asked.value, self.writer.settings.budget, ways)
        if fitted is None:
            return Proposal(None, "over_budget: not even one sentence of it fits")
        return Proposal(fitted.sections, fitted.how, fitted.tokens)


class Cases(Itemised):
    """Code keeps the step itself as a case, where the memory would have got it wrong.

    When the budget is full, cases of the same outcome that differ in one place become one note with a blank there.
    """

    name = "cases"

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Compare the step with the case most like it, and keep what is new."""
        new, why_none = self.case_of(step)
        if why_none:
            return (yield from at_once(Proposal(None, why_none)))
        same = Resemblance(step.items).same(parse(new).seen)
        wrong = [item for item in same if not same_outcome(self.task, came(self.task, item), step.target)]
        if same and not wrong:
            return (yield from self._known(step, new, same, ledger))
        doubted = [item for item in wrong if is_doubtful(ledger.get(item, Credit()), changed=step.changed)]
        if wrong and not doubted:
            return Proposal(None, f"disputed: what was seen {len(same)} times says otherwise")
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
            return Proposal(None, "known: a case like it is there")
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
        return Proposal(sections, "merged", tokens) if tokens < (yield from measured(step.memory)) else None

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
                return Proposal(None, "known: a case like it is there, and no room for another")
            sections = without(sections, loser, self.unknown)
        return Proposal(sections, "added: another example", tokens)


class Hybrid(Cases):
    """Cases by code, consolidated by the model when the budget is full."""

    name = "hybrid"

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
            return Proposal(shorter, "consolidated", tokens, consolidated=True)
        proposal = yield from self.roomy(sections, ledger, step.now, new, "added")
        return proposal._replace(reason=f"{proposal.reason}; not consolidated: {why_not}", consolidated=True)

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


class Append(Itemised):
    """Every step is kept, the oldest go: a window over the history, in place of learning."""

    name = "append"

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Append the step."""
        new, why_none = self.case_of(step)
        if why_none:
            return (yield from at_once(Proposal(None, why_none)))
        # The same line again moves to the end.
        sections = self.added(without(step.memory.sections, new, self.unknown), 0, new)
        return (yield from self.roomy(sections, ledger, step.now, new, "appended"))

    def loser(self, sections: Sections, ledger: Ledger, now: int, new: tuple[str, ...]) -> str | None:
        """Name the oldest note."""
        return next((item for item in sections[0].items if item not in (*new, self.unknown)), None)


class Delta(Itemised):
    """The model adds, changes or drops one note; code merges, and lets the worst go (after ACE, arXiv 2510.04618)."""

    name = "delta"

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
            return Proposal(None, f"{asked.status}: {asked.problem}")
        change = {name: str(value) for name, value in asked.value.items()}
        if change.get("action") in ("change", "drop") and notes[int(float(change["number"])) - 1][1] not in open_to:
            if change["action"] == "drop":
                return Proposal(None, "nothing to change: the step says nothing of the note to drop")
            change["action"] = "add"
        examples = examples_in(messages, *step.own(self.task, feedback))
        if change.get("action") not in ("drop", "nothing") and tidy_item(change["note"]) in examples:
            return Proposal(None, "copied: the note is one of the examples")
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
            return (yield from at_once(Proposal(None, "nothing to change")))
        if action == "add":
            names = [section.name for section in self.task.memory]
            place = names.index(change["section"]) if "section" in change else 0
            return (yield from self._insert(step, self.added(sections, place, new), notes, new, ledger))
        place, old = notes[int(float(change["number"])) - 1]
        if action == "drop":
            shorter = without(sections, old, self.unknown)
            return Proposal(shorter, "dropped", (yield from length(shorter)))
        changed = tuple(
            Section(section.name, tidy_items(new if item == old else item for item in section.items))
            for section in sections
        )
        return (yield from self._insert(step, changed, [n for n in notes if n[1] != old], new, ledger))

    def _insert(
        self, step: Step, sections: Sections, others: list[tuple[int, str]], new: str, ledger: Ledger
    ) -> Calls[Proposal]:
        if new in ("", self.unknown):
            return Proposal(None, "invalid: the note is empty")
        if any(parse(new).came == parse(item).came and likeness(new, item) >= SAME_NOTE for _, item in others):
            return Proposal(None, "known: the same note is there")
        return (yield from self.roomy(sections, ledger, step.now, new, "added or changed"))


class Nothing:
    """The memory stays as it is."""

    name = "none"

    def __init__(self, writer: Writer) -> None:
        """Take what every rule takes; nothing of it is needed."""

    def propose(self, step: Step, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        """Propose nothing."""
        return (yield from at_once(Proposal(None, "this rule never updates")))


def without(sections: Sections, item: str, unknown: str) -> Sections:
    """Drop a note; a section that it leaves empty says again that nothing is known."""
    return tuple(
        Section(section.name, tuple(i for i in section.items if i != item) or tidy_items([unknown]))
        if item in section.items
        else section
        for section in sections
    )


RULES: dict[str, Callable[[Writer], Rule]] = {
    rule.name: rule for rule in (Rewrite, Delta, Cases, Hybrid, Append, Nothing)
}
"""The rules by name, in the order in which help lists them."""


def build_rule(name: str, writer: Writer) -> Rule:
    """Build a rule by its name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if name not in RULES:
        raise UsageError(f"there is no update rule {name!r}", f"choose from {', '.join(RULES)}")
    return RULES[name](writer)
