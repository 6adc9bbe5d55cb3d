"""What a proposed memory has to pass before it is accepted: a step is a transaction.

Every refusal has a code, which the journal holds: ``unchanged``, ``over_budget``, ``collapsed``, ``copied``,
``steering``, ``worse``.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Many

from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.hygiene import steers
from llm_as_rnn.core.method import Calls
from llm_as_rnn.core.records import Memory, Observation, Prediction, Record, Section, Value, Why
from llm_as_rnn.core.task import Task
from llm_as_rnn.recurrence.policy import error_of

COLLAPSE = 0.5
"""A memory that shrinks below this share of its predecessor has collapsed (ACE, arXiv 2510.04618, section 2)."""

WORTH_GUARDING = 0.25
"""Share of the budget that a memory must fill before it can collapse: a short one may change as it likes."""

FEW_WORDS = 4
"""A shorter item cannot be told from one that says the same as the instructions by chance."""


class Seen(Record, frozen=True):
    """A past step with its outcome, to try a candidate memory on."""

    observation: Observation
    target: dict[str, Value]


Trial = Callable[[Memory, Observation], Calls[Prediction]]
"""Predicts a step with a memory."""


def refusal(
    before: Memory, after: tuple[Section, ...], tokens: int, task: Task, budget: int, *, by_code: bool = False
) -> Why | None:
    """Say why a candidate is not fit to be kept, by what can be seen of it; None if it is.

    Parameters
    ----------
    before : Memory
        h_{t-1}, its tokens counted.
    after : tuple of Section
        The candidate.
    tokens : int
        Its length.
    task : Task
        Whose words a note must not be a copy of.
    budget : int
        lambda, in tokens.
    by_code : bool
        Whether code decided of each note why it goes: what is much shorter then, as many cases are that became one note
        with a blank, has not collapsed.
    """
    if after == before.sections:
        return Why("unchanged")
    if tokens > budget:  # a section's "nothing is known" may be longer than the note that was dropped
        return Why("over_budget", f"{tokens} tokens")
    size = before.tokens or 0
    if not by_code and size >= WORTH_GUARDING * budget and tokens < COLLAPSE * size:
        return Why("collapsed", f"from {size} to {tokens} tokens")
    old = {item for section in before.sections for item in section.items}
    new = [item for section in after for item in section.items if item not in old]
    for item in new:
        if steers(item):
            return Why("steering", steers(item))
    copied = [item for item in new if _is_copied(item, task)]
    if copied and len(copied) == len(new):
        return Why("copied", "the notes repeat the instructions")
    return None


def flaw_of(before: Memory, after: tuple[Section, ...]) -> str:
    """Say what keeps sections from being a memory, whichever rule proposes them; nothing where they are one.

    >>> flaw_of(Memory((Section("Notes", ()),)), (Section("Other", ()),))
    'it has the sections Other, and a memory of this task has Notes'
    """
    names, own = ([section.name for section in sections] for sections in (after, before.sections))
    if names != own:
        return f"it has the sections {', '.join(names) or 'none'}, and a memory of this task has {', '.join(own)}"
    odd = next((item for section in after for item in section.items if len(item.splitlines()) != 1), None)
    return "" if odd is None else f"a note must be one line, not {odd[:40]!r}"


def _is_copied(item: str, task: Task) -> bool:
    words = fold(item)
    told = fold(" ".join([task.instructions, *(section.about for section in task.memory)]))
    return len(words.split()) >= FEW_WORDS and words.strip(" .") in told


def trial_by_replay(task: Task, trial: Trial, before: Memory, after: Memory, recent: Many[Seen]) -> Calls[Why | None]:
    """Predict the latest steps with both memories; say by how much the candidate is worse, or None.

    The steps are those before the present one: a candidate that has just copied its outcome gains nothing by that.
    """
    errors = []
    for memory in (before, after):
        total = 0.0
        for seen in recent:
            prediction = yield from trial(memory, seen.observation)
            total += error_of(task, prediction.values, seen.target)
        errors.append(total / max(len(recent), 1))
    old, new = errors
    if new <= old:
        return None
    return Why("worse", f"mean error {new:.2f} on the last {len(recent)} steps, not {old:.2f}")
