"""What all update rules share: what a rule says of itself, what it proposes, and how single notes are placed."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

from llm_as_rnn.core.hygiene import tidy_item
from llm_as_rnn.core.method import Calls
from llm_as_rnn.core.records import Feedback, Section, Why
from llm_as_rnn.recurrence.budget import Sections, Way
from llm_as_rnn.recurrence.memory import tidy_items
from llm_as_rnn.recurrence.notes import Ledger, worst
from llm_as_rnn.recurrence.writing import Step, Writer, length


class Traits(NamedTuple):
    """What a rule says of itself: whoever treats rules differently goes by this, and never by a name.

    Attributes
    ----------
    writer : str
        Who writes the memory, for the table of the rules.
    when_full : str
        What happens when the budget is full, for the same table.
    keeps_cases : bool
        Whether code keeps cases: what was seen and what came. Then outcomes are needed.
    tells_outcomes : bool
        Whether a model's notes end in what came, where the task's form has them do so (see `outcomes.is_told`).
    learns : bool
        Whether the memory ever changes.
    is_usual : bool
        Whether this rule is taken where none is named, as long as outcomes are known.
    """

    writer: str
    when_full: str
    keeps_cases: bool = False
    tells_outcomes: bool = False
    learns: bool = True
    is_usual: bool = False

    @property
    def needs_outcomes(self) -> bool:
        """Whether there is nothing to keep where only a judge is heard, who does not know what came."""
        return self.keeps_cases

    def notes_cases(self, *, told: bool) -> bool:
        """Tell whether notes are cases: those of code, and a model's where they tell what came (``told``).

        Then no critic is needed, and small models do better when shown the nearest case again
        (docs/results/memory.md).
        """
        return self.keeps_cases or (self.tells_outcomes and told)

    def wants_critic(self, *, told: bool) -> bool:
        """Tell whether a critic's words are of use: where notes are the model's own words."""
        return self.learns and not self.notes_cases(told=told)


class Proposal(NamedTuple):
    """What a rule proposes: sections within the budget, or None and why there is nothing to propose.

    Attributes
    ----------
    sections : tuple of Section or None
        The candidate.
    why : Why
        What was done, or what stood in the way.
    tokens : int
        The candidate's length, where the rule had to count it; it is counted again before it is accepted.
    consolidated : bool
        Whether the model was asked to consolidate the memory, whatever came of it.
    """

    sections: Sections | None
    why: Why
    tokens: int = 0
    consolidated: bool = False


class Rule(Protocol):
    """A way to propose the next memory."""

    name: str
    traits: Traits

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

    def case_of(self, step: Step) -> tuple[str, Why | None]:
        """Write the step as a case; or say why it makes none."""
        if step.target is None:
            return "", Why("no outcome")
        missing = [field.name for field in self.task.answer if field.name not in step.target]
        if missing:
            return "", Why("no case", f"the outcome lacks {', '.join(missing)}")
        return step.case(self.task), None

    def roomy(self, sections: Sections, ledger: Ledger, now: int, new: str, code: str) -> Calls[Proposal]:
        """Let the worst notes go until the rest fits."""
        alone = tuple(Section(section.name, tuple(i for i in section.items if i == new)) for section in sections)
        if (yield from length(alone)) > self.writer.settings.budget // 2:
            return Proposal(None, Why("over_budget", "this note alone would take more than half of it"))
        left, tokens, gone = yield from self.lighter(sections, ledger, now, (new,))
        if tokens > self.writer.settings.budget:
            return Proposal(None, Why("over_budget", "the note does not fit beside the headings"))
        return Proposal(left, Why(code, f"{gone} retired" if gone else ""), tokens)

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


def without(sections: Sections, item: str, unknown: str) -> Sections:
    """Drop a note; a section that it leaves empty says again that nothing is known."""
    return tuple(
        Section(section.name, tuple(i for i in section.items if i != item) or tidy_items([unknown]))
        if item in section.items
        else section
        for section in sections
    )
