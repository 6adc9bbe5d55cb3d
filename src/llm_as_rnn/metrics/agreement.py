"""How far two ways of scoring the same steps agree: a judge and a rule, or two judges."""

from __future__ import annotations

from collections.abc import Iterable

from llm_as_rnn.core.records import Record
from llm_as_rnn.core.steps import StepRecord


class Agreement(Record, frozen=True):
    """Two scores that say right or wrong, compared on the steps that have both.

    Attributes
    ----------
    steps : int
        How many have both.
    share : float
        Of these, the share on which both say the same.
    kappa : float or None
        Cohen's kappa (1960): how far that exceeds chance, 1 at most; None where either always says the same, so that
        nothing can be told.
    both, neither, first_only, second_only : int
        Steps that are right by both, by none, and by one alone.
    """

    steps: int
    share: float
    kappa: float | None
    both: int
    neither: int
    first_only: int
    second_only: int


def agreement(records: Iterable[StepRecord], first: str, second: str) -> Agreement | None:
    """Compare two scores of the same steps.

    Parameters
    ----------
    records : iterable of StepRecord
        Steps of any methods.
    first, second : str
        Keys of their scores, 1 where right and 0 where wrong.

    Returns
    -------
    Agreement or None
        None if no step has both.
    """
    return agree(
        (record.scores[first] == 1, record.scores[second] == 1)
        for record in records
        if first in record.scores and second in record.scores
    )


def agree(pairs: Iterable[tuple[bool, bool]]) -> Agreement | None:
    """Compare pairs of verdicts.

    >>> agree([(True, True), (False, False), (True, False), (False, False)])
    Agreement(steps=4, share=0.75, kappa=0.5, both=1, neither=2, first_only=1, second_only=0)
    """
    counts = {(a, b): 0 for a in (False, True) for b in (False, True)}
    for pair in pairs:
        counts[pair] += 1
    steps = sum(counts.values())
    if not steps:
        return None
    both, neither = counts[True, True], counts[False, False]
    share = (both + neither) / steps
    right = (both + counts[True, False]) / steps, (both + counts[False, True]) / steps
    chance = right[0] * right[1] + (1 - right[0]) * (1 - right[1])
    kappa = None if {0.0, 1.0} & set(right) else (share - chance) / (1 - chance)
    return Agreement(steps, share, kappa, both, neither, counts[True, False], counts[False, True])
