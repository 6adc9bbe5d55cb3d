"""Prediction with expert advice: one answer out of several, nearly as good as the best of those who advise.

Nothing is assumed of the stream: bounds hold for every sequence of outcomes, also for one that an adversary chose.
Labels, lists and texts are voted for (`trust.votes`), numbers are averaged (`trust.means`); the bounds stand there.
Those of votes are of outcomes that come before the next prediction; that of averages has what comes late in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llm_as_rnn.core.fields import Field, Number
from llm_as_rnn.core.records import Value
from llm_as_rnn.trust import means, votes
from llm_as_rnn.trust.means import Means
from llm_as_rnn.trust.votes import Said, Votes, written

Belief = Votes | Means
"""What the advisers on one field have to show for themselves."""


class Advice(NamedTuple):
    """One answer made of several.

    Attributes
    ----------
    value : Value or None
        The answer; None where nobody has one.
    chances : dict of str to float
        The chance of each option of a field, or of each entry that was named; empty for numbers.
    believed : list of float
        The weight of each adviser in it; they add up to 1.
    """

    value: Value | None
    chances: dict[str, float]
    believed: list[float]


def at_first(field: Field, advisers: int) -> Belief:
    """Give what is known before the first outcome: nothing, of all alike."""
    return means.at_first(advisers) if isinstance(field, Number) else votes.at_first(advisers)


def fits(field: Field, belief: Belief, advisers: int) -> bool:
    """Tell whether what is known can be of so many advisers on a field."""
    if isinstance(belief, Means):
        return isinstance(field, Number) and len(belief.errors) == advisers + 1
    return not isinstance(field, Number) and len(belief.places) == advisers


def rearranged(field: Field, belief: Belief, order: Sequence[int | None]) -> Belief:
    """Give what is known to advisers who stand in another order now, of whom some may be new and others gone.

    Parameters
    ----------
    field, belief
        As for `advise`.
    order : sequence of int or None
        For each adviser, where it stood among those that the belief is about; None for a new one.
    """
    if isinstance(belief, Means):
        return means.rearranged(belief, order)
    return votes.rearranged(field, belief, order)


def advise(field: Field, belief: Belief, said: Sequence[Said]) -> Advice:
    """Make one answer of several.

    Parameters
    ----------
    field : Field
        What is answered.
    belief : Votes or Means
        What is known of the advisers.
    said : sequence of Said
        What each of them says.

    Examples
    --------
    >>> high = Number("high", low=-20, high=45)
    >>> advise(high, at_first(high, 2), [Said(10.0), Said(13.0)])
    Advice(value=11.5, chances={}, believed=[0.5, 0.5])
    """
    values = [one.value for one in said]
    if isinstance(field, Number) and isinstance(belief, Means):
        value = None if all(value is None for value in values) else means.mean(field, belief, values)
        return Advice(value, {}, means.believed(belief, values))
    assert isinstance(belief, Votes)  # noqa: S101 - what `at_first` gives for such a field
    if not any(map(written, values)):  # a text of no words is an answer, if nobody has another
        silent = next((value for value in values if value is not None), None)
        return Advice(silent, {}, [1 / len(said)] * len(said))
    return Advice(*votes.vote(field, belief, said), votes.believed(field, belief, said))


def after(field: Field, belief: Belief, said: Sequence[Said], outcome: Value, answer: Value | None = None) -> Belief:
    """Learn from an outcome.

    Parameters
    ----------
    field, belief, said
        As for `advise`.
    outcome : Value
        What came.
    answer : Value or None
        What was made of it; None for what would be made of it now. Since then more may have been learned.
    """
    if isinstance(field, Number) and isinstance(belief, Means):
        return means.after(field, belief, [one.value for one in said], outcome, answer)
    assert isinstance(belief, Votes)  # noqa: S101
    return votes.after(field, belief, said, outcome)
