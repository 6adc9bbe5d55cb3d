"""Items of a memory as notes that earn their place: which one fits a step, how often it helped, which one goes first.

A *case* is a note in the form of an answered line, ``what was seen -> what came``: the form that small models imitate
best. Notes in other words are the model's own. Nothing here reads or writes anything but text, so that the memory stays
what a person sees; how often each note helped is counted beside it, under the note's own text.

After instance-based learning (Aha, Kibler and Albert 1991, https://doi.org/10.1007/BF00153759): keep the cases that the
others get wrong, count how each one does, and let go of those that do worst.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from llm_as_rnn.cases.blanks import BLANK
from llm_as_rnn.cases.case import came, parse
from llm_as_rnn.cases.recall import Resemblance, resemblance
from llm_as_rnn.core.alignment import tokens
from llm_as_rnn.core.outcomes import same_outcome
from llm_as_rnn.core.records import Record, Section, Target
from llm_as_rnn.core.task import Task

LATEST = 4
"""Of how many of the latest outcomes it is remembered whether a case foretold them."""

CHANGED = 3
"""How many of these have to have come otherwise for the world to have changed."""


class Credit(Record, frozen=True):
    """How a note did on the steps that it bore on.

    Attributes
    ----------
    helped, hurt : int
        Steps whose outcome it was in line with, and the others.
    missed : int
        Of the latest of these, how many in a row it was not in line with.
    ignored : int
        Of those it was in line with, how many were answered wrongly all the same.
    born : int
        What the clock said when it was first counted (see `RecurrentState.now`).
    """

    helped: int = 0
    hurt: int = 0
    missed: int = 0
    ignored: int = 0
    born: int = 0

    def after(self, *, right: bool, followed: bool = True) -> Credit:
        """Give the credit after one more step that it bore on."""
        if right:
            return Credit(self.helped + 1, self.hurt, 0, self.ignored + (not followed), self.born)
        return Credit(self.helped, self.hurt + 1, self.missed + 1, self.ignored, self.born)

    def worth(self, now: int) -> float:
        """Estimate how much it helps a step; a new note is given a few steps to prove itself.

        Whatever order outcomes come in, no note is younger than new: an age below 0 would make the best note the worst.

        >>> Credit(helped=3, born=9).worth(9), Credit(helped=3, born=9).worth(5)
        (1.0, 1.0)
        """
        return (self.helped - self.hurt + 1) / (max(now - self.born, 0) + 4)


Ledger = Mapping[str, Credit]
"""Credits by a note's text."""


def credit(
    ledger: Ledger,
    items: Iterable[str],
    task: Task,
    shown: str,
    target: Target,
    *,
    right: bool,
    now: int,
    helped: bool | None = None,
) -> dict[str, Credit]:
    """Count an outcome for the notes that bore on it.

    That is the case most like the observation, by its own outcome; and each other note with most of its telling words
    in the observation, by whether it helped: whether the outcome was expected more than most, where the model tells
    chances (``helped``), else whether the answer was right.
    """
    items = tuple(items)
    # What was made of two cases has helped: that is when they were merged.
    ledger = {item: ledger.get(item, Credit(helped=int(BLANK in item), born=now)) for item in items}
    memory = resemblance(items)
    for item in memory.same(shown) or memory.closest(shown, 1):
        ledger[item] = ledger[item].after(right=same_outcome(task, came(task, item), target), followed=right)
    for item in items:
        if not parse(item).came and _bears_on(item, shown):
            ledger[item] = ledger[item].after(right=right if helped is None else helped)
    return ledger


def _bears_on(note: str, shown: str) -> bool:
    telling = {word for word in tokens(note) if len(word) > 3 or word.isdigit()}  # noqa: PLR2004 - skips "the", "of"
    return bool(telling) and len(telling & set(tokens(shown))) * 2 >= len(telling)


def foretold(items: Iterable[str], task: Task, shown: str, target: Target) -> tuple[bool, ...]:
    """Say whether an outcome is in line with a case about the same thing; nothing where there is none.

    The parameters are those of `credit`.
    """
    same = resemblance(tuple(items)).same(shown)
    return (any(same_outcome(task, came(task, item), target) for item in same),) if same else ()


def has_changed(latest: Sequence[bool]) -> bool:
    """Tell from the latest outcomes, whether each was `foretold`, that what the cases say holds no more.

    >>> has_changed([True, False, False, False]), has_changed([False, True, False]), has_changed([])
    (True, False, False)
    """
    return latest.count(False) >= CHANGED


def is_doubtful(credit: Credit, *, changed: bool = False) -> bool:
    """Tell whether a case that an outcome speaks against is to give way.

    One miss may be noise; two in a row are a change, or one where other cases are missing too.
    """
    return changed or not credit.helped or credit.missed > 1


def worst(
    sections: Iterable[Section], ledger: Ledger, task: Task, now: int, *, but: tuple[str, ...] = ()
) -> str | None:
    """Name the note that is missed least: one that another case says as well, else the one of least worth.

    Parameters
    ----------
    sections : iterable of Section
        The memory.
    ledger : mapping
        Credits.
    task : Task
        Says which outcomes are the same.
    now : int
        The clock that notes age by.
    but : tuple of str
        Items that are not to go: the one that was just written, and what stands for an empty section.
    """
    first = spare(sections, ledger, task, now, but=but)
    candidates = [item for section in sections for item in section.items if item not in but]
    return first or min(candidates, key=lambda item: ledger.get(item, Credit()).worth(now), default=None)


def spare(
    sections: Iterable[Section], ledger: Ledger, task: Task, now: int, *, but: tuple[str, ...] = ()
) -> str | None:
    """Name the least needed case that another one says as well; those that the model does not follow go last.

    The parameters are those of `worst`.
    """
    memory = resemblance(tuple(item for section in sections for item in section.items))

    def order(item: str) -> tuple[int, float]:
        credit = ledger.get(item, Credit())
        return credit.ignored, credit.worth(now)

    candidates = sorted((item for item in memory.cases if item not in but), key=order)
    return next((item for item in candidates if is_covered(item, memory, task)), None)


def is_covered(item: str, memory: Resemblance, task: Task) -> bool:
    """Tell whether other cases are about the same thing as this one, and all of the same outcome."""
    same = memory.same(parse(item).seen, but=item)
    return bool(same) and all(same_outcome(task, came(task, other), came(task, item)) for other in same)
