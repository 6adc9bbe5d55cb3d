"""Items of a memory as notes that earn their place: which one fits a step, how often it helped, which one goes first.

A *case* is a note in the form of an answered line, ``what was seen -> what came``: the form that small models imitate
best. Notes in other words are the model's own. Nothing here reads or writes anything but text, so that the memory stays
what a person sees; how often each note helped is counted beside it, under the note's own text.

After instance-based learning (Aha, Kibler and Albert 1991, https://doi.org/10.1007/BF00153759): keep the cases that the
others get wrong, count how each one does, and let go of those that do worst.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from llm_as_rnn.alignment import MOST_KEPT, overlap, shared_words, tokens
from llm_as_rnn.answers import ARROW
from llm_as_rnn.errors import AnswerError
from llm_as_rnn.records import Observation, Record, Section, SequenceInfo, Target, Value
from llm_as_rnn.recurrence.blanks import BLANK, aligned, blanked, filled
from llm_as_rnn.recurrence.memory import tidy_item
from llm_as_rnn.task import Task

CLOSE = 0.5
"""How alike two lines must be for one to bear on the other; 1 is equal."""

SAME_FRAME = 0.48
"""How much two cases must resemble each other to be about the same thing, words weighted."""

AS_ALIKE = 0.1
"""How much less than the best one a case may resemble a line and still be shown beside it."""

LATEST = 4
"""Of how many of the latest outcomes it is remembered whether a case foretold them."""

CHANGED = 3
"""How many of these have to have come otherwise for the world to have changed."""

TOLERANCE = 0.05
"""Share of a number's plausible range within which two outcomes count as the same."""


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


def case(task: Task, observation: Observation, target: Target, sequence: SequenceInfo) -> str:
    """Write a step with its outcome as one line."""
    shown = plain(task.show(observation, "case", sequence.about))
    # Written as it will be read again.
    return tidy_item(f"{shown}{ARROW}{task.spec('line').show(target)}")


def plain(seen: str) -> str:
    """Write a line without what means something in a note: an arrow, which comes before an outcome, and blanks.

    >>> plain("well … -> sun")
    'well ... - sun'
    """
    return seen.replace(ARROW, " - ").replace(BLANK, "...")


def parts(item: str) -> tuple[str, str]:
    """Split a case into what was seen and what came; a note that is no case has no second part.

    >>> parts("fog, high 9 -> sun")
    ('fog, high 9', 'sun')
    """
    seen, _, came = item.partition(ARROW)
    return seen, came


def cases(items: Iterable[str]) -> list[str]:
    """Pick the notes that are cases."""
    return [item for item in items if parts(item)[1]]


def merged(one: str, other: str) -> str | None:
    """Make one note of two cases that differ in one place and had the same outcome; None if they do not.

    >>> merged("< ship > can be used how ? -> sentence", "< flag > can be used how ? -> sentence")
    '… can be used how ? -> sentence'
    """
    (seen, outcome), (also_seen, same) = parts(one), parts(other)
    line = blanked(seen, also_seen) if outcome == same else None
    return line and f"{line}{ARROW}{outcome}"


def as_asked(item: str, shown: str, echo: int = 1) -> list[str]:
    """Write a case as it is shown before a line: ``echo`` times, or filled in where it has a blank and fits.

    >>> as_asked("… means what ? -> definition", "< ship > means what ?")[:2]
    ['< bovi > means what ? -> definition', '< tarel > means what ? -> definition']
    >>> as_asked("< flag > means what ? -> definition", "< ship > means what ?")
    ['< flag > means what ? -> definition']
    """
    seen, came = parts(item)
    return [f"{line}{ARROW}{came}" for line in filled(seen, shown)] or [item] * echo


def came(task: Task, item: str) -> dict[str, Value] | None:
    """Read the outcome of a case; None if the note tells none."""
    try:
        return task.spec("line").read_outcome(parts(item)[1])
    except AnswerError:
        return None


def _counted(text: str) -> Counter[str]:
    return _counted_before(text) if len(text) <= MOST_KEPT else Counter(tokens(text))


@lru_cache(maxsize=4096)
def _counted_before(text: str) -> Counter[str]:
    return Counter(tokens(text))


def is_close(one: str, other: str) -> bool:
    """Tell whether one line may bear on the other.

    >>> is_close("what is like < ship > ?", "what is like < flag > ?"), is_close("fog", "sun")
    (True, False)
    """
    # Words in common, whatever their order, bound the likeness from above and are counted ten times faster.
    ones, others = _counted(one), _counted(other)
    common = sum(min(number, others[token]) for token, number in ones.items() if token in others)
    return 2 * common >= CLOSE * (ones.total() + others.total()) and likeness(one, other) >= CLOSE


def likeness(one: str, other: str) -> float:
    """Say how alike two lines are, word for word in their order: 0 for nothing in common, 1 for the same.

    The order of very long lines counts for nothing (see `alignment`).

    >>> likeness("what is like < ship > ?", "what is like < flag > ?")
    0.8571428571428571
    """
    return overlap(tokens(one), tokens(other))


class Resemblance:
    """How much a line resembles the cases of a memory: a word counts for more, the fewer cases have it.

    So what a case is about (the mark on a box, the turn of a phrase) decides, and not what all of them share.

    Parameters
    ----------
    items : iterable of str
        The memory's notes; those that are no cases are left out.

    Examples
    --------
    >>> marks = Resemblance(["a box marked bovi -> red", "a crate marked tarel -> blue", "a box marked ulo -> red"])
    >>> marks.closest("a box marked tarel", most=1)
    ['a crate marked tarel -> blue']
    """

    def __init__(self, items: Iterable[str]) -> None:
        self.cases = cases(items)
        self._in = Counter(token for item in self.cases for token in set(tokens(parts(item)[0])))

    def closest(self, shown: str, most: int, *, but: str = "") -> list[str]:
        """Give the cases most like a line, the best one last and the later of equals; those less alike stay out.

        Parameters
        ----------
        shown : str
            The line.
        most : int
            How many to give.
        but : str
            A case that is not meant.
        """
        scored = sorted(self._scored(shown, but))
        enough = scored[-1][0] - AS_ALIKE if scored else 0.0
        return [item for score, _, item in scored[-most:] if score >= enough] if most else []

    def ranked(self, shown: str) -> list[str]:
        """Give all cases that bear on a line, the most alike last."""
        return [item for _, _, item in sorted(self._scored(shown, ""))]

    def same(self, shown: str, *, but: str = "") -> list[str]:
        """Give the cases most like a line, if they are so alike that they are about the same thing."""
        scored = list(self._scored(shown, but))
        best = max((score for score, _, _ in scored), default=0.0)
        return [item for score, _, item in scored if score == best] if best >= SAME_FRAME else []

    def _scored(self, shown: str, but: str) -> Iterator[tuple[float, int, str]]:
        for place, item in enumerate(self.cases):
            one, other = aligned(parts(item)[0], shown)
            if item != but and is_close(one, other):
                yield self._weighted(tokens(one), tokens(other)), place, item

    def _weighted(self, one: tuple[str, ...], asked: tuple[str, ...]) -> float:
        # The line counts as one more case: else a word of its own would weigh more than one of a single case.
        known = set(asked)

        def weight(token: str) -> float:
            return math.log((len(self.cases) + 2) / (self._in[token] + (token in known) + 0.5))

        shared = sum(map(weight, shared_words(one, asked)))
        whole = sum(map(weight, one)) + sum(map(weight, asked))
        return 2 * shared / whole if whole else 1.0


def same_outcome(task: Task, one: Target | None, other: Target | None) -> bool:
    """Tell whether two outcomes teach the same, in all fields that both have: of lists, the first entry does."""
    shared = [verdict for verdict in task.compare(one, other).values() if verdict.answered]
    return bool(shared) and all(v.right or (v.off is not None and v.error <= TOLERANCE) for v in shared)


def credit(
    ledger: Ledger, items: Iterable[str], task: Task, shown: str, target: Target, *, right: bool, now: int
) -> dict[str, Credit]:
    """Count an outcome for the notes that bore on it.

    That is the case most like the observation, by its own outcome; and each other note with most of its telling words
    in the observation, by whether the answer was right.
    """
    items = list(items)
    # What was made of two cases has helped: that is when they were merged.
    ledger = {item: ledger.get(item, Credit(helped=int(BLANK in item), born=now)) for item in items}
    memory = Resemblance(items)
    for item in memory.same(shown) or memory.closest(shown, 1):
        ledger[item] = ledger[item].after(right=same_outcome(task, came(task, item), target), followed=right)
    for item in items:
        if not parts(item)[1] and _bears_on(item, shown):
            ledger[item] = ledger[item].after(right=right)
    return ledger


def _bears_on(note: str, shown: str) -> bool:
    telling = {word for word in tokens(note) if len(word) > 3 or word.isdigit()}  # noqa: PLR2004 - skips "the", "of"
    return bool(telling) and len(telling & set(tokens(shown))) * 2 >= len(telling)


def foretold(items: Iterable[str], task: Task, shown: str, target: Target) -> tuple[bool, ...]:
    """Say whether an outcome is in line with a case about the same thing; nothing where there is none.

    The parameters are those of `credit`.
    """
    same = Resemblance(items).same(shown)
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
    items = [item for section in sections for item in section.items]
    memory = Resemblance(items)
    spares = [item for item in memory.cases if item not in but and is_covered(item, memory, task)]

    def order(item: str) -> tuple[int, float]:
        credit = ledger.get(item, Credit())
        return credit.ignored, credit.worth(now)

    return min(spares, key=order, default=None)


def is_covered(item: str, memory: Resemblance, task: Task) -> bool:
    """Tell whether other cases are about the same thing as this one, and all of the same outcome."""
    same = memory.same(parts(item)[0], but=item)
    return bool(same) and all(same_outcome(task, came(task, other), came(task, item)) for other in same)
