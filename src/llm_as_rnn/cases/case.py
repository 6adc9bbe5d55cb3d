"""A case: a past step as one line, ``what was seen -> what came``, and the same as a value.

The line is the form that small models imitate best, and all that a memory holds of a step. It is read once: `parse`
gives the value, with the words of what was seen, and keeps it for as long as the line is in use.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cached_property

from llm_as_rnn.cases.blanks import BLANK, blanked, filled
from llm_as_rnn.core.alignment import tokens
from llm_as_rnn.core.answers import AnswerSpec
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields import ARROW
from llm_as_rnn.core.hygiene import tidy_item
from llm_as_rnn.core.kept import Kept
from llm_as_rnn.core.records import Observation, Record, SequenceInfo, Target
from llm_as_rnn.core.task import Task
from llm_as_rnn.core.templates import MISSING

_ARROWS = re.compile(rf"(?<=\s){ARROW.strip()}(?!\S)")
"""Each of several in a row, and one at the end, which would make one of its own with what is written behind it."""

MOST_KEPT = 2_000_000
"""Characters of all notes together whose values are kept."""


class Case(Record, frozen=True, dict=True):
    """A note as a value.

    Attributes
    ----------
    text : str
        The note as the memory holds it.
    seen : str
        What was seen; of a note that is no case, all of it.
    came : str
        What came, as it is written; nothing where the note is no case.
    """

    text: str
    seen: str
    came: str

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words and marks of what was seen."""
        return tokens(self.seen)

    @cached_property
    def counted(self) -> Counter[str]:
        """How often each of these stands there; not to be changed."""
        return Counter(self.words)

    @cached_property
    def has_blank(self) -> bool:
        """Whether there is a sign for a blank in what was seen."""
        return BLANK in self.seen

    def outcome(self, task: Task) -> Target | None:
        """Give what came as values, read once for a task; None if the note tells no outcome of it."""
        spec = task.spec("line")
        for known, value in self._read:
            if known is spec:
                return value
        value = _outcome(spec, self.came)
        self._read[:] = [(spec, value)]
        return value

    @cached_property
    def _read(self) -> list[tuple[AnswerSpec, Target | None]]:
        return []


def _outcome(spec: AnswerSpec, came: str) -> Target | None:
    try:
        return spec.read_outcome(came)
    except AnswerError:
        return None


def parts(item: str) -> tuple[str, str]:
    """Split a case into what was seen and what came; a note that is no case has no second part.

    >>> parts("fog, high 9 -> sun")
    ('fog, high 9', 'sun')
    """
    seen, _, came = item.partition(ARROW)
    return seen, came


parse: Kept[Case] = Kept(lambda item: Case(item, *parts(item)), characters=MOST_KEPT)
"""Read a note."""


def cases(items: Iterable[str]) -> list[str]:
    """Pick the notes that are cases."""
    return [item for item in items if parts(item)[1]]


def came(task: Task, item: str) -> Target | None:
    """Read the outcome of a case; None if the note tells none."""
    return parse(item).outcome(task)


def line_of(task: Task, observation: Observation, sequence: SequenceInfo) -> str:
    """Write a step without its outcome as a case has it, so that the same step again fits it wholly."""
    return tidy_item(plain(task.show(observation, "case", sequence.about))) or MISSING


def case(task: Task, observation: Observation, target: Target, sequence: SequenceInfo) -> str:
    """Write a step with its outcome as one line."""
    # Written as it will be read again.
    return tidy_item(f"{line_of(task, observation, sequence)}{ARROW}{task.spec('line').show(target)}")


def plain(seen: str) -> str:
    """Write a line without what means something in a note: an arrow, which comes before an outcome, and blanks.

    >>> plain("well … -> sun")
    'well ... - sun'
    >>> plain("a -> -> b ->")
    'a - - b -'
    """
    return _ARROWS.sub("-", seen).replace(BLANK, "...")


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
