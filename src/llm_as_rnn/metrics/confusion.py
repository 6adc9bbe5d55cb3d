"""Which labels were taken for which, and how well each one was told: precision, recall and F1.

Of a list its first entry counts, as in Acc@1. A step without a usable answer stays in: its label was missed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from llm_as_rnn.core.fields import Field, entries
from llm_as_rnn.core.figures import mean
from llm_as_rnn.core.folding import chosen, fold
from llm_as_rnn.core.records import Value
from llm_as_rnn.core.steps import StepRecord

MOST_LABELS = 12
"""So many labels have a row and a column of their own; a larger matrix could not be read."""


class Confusion(NamedTuple):
    """How often each label was answered where each came.

    Attributes
    ----------
    labels : tuple of str
        All that came or were answered, those that came most often first.
    counts : mapping of (str, str or None) to int
        Steps by what came and what was answered; None where there was no usable answer.
    """

    labels: tuple[str, ...]
    counts: Mapping[tuple[str, str | None], int]


class LabelScore(NamedTuple):
    """How well one label was told.

    Attributes
    ----------
    label : str
        Which.
    precision : float or None
        How many of the answers that said so were right; None if none did.
    recall : float or None
        At how many of the steps at which it came it was the answer; None if it never came.
    f1 : float or None
        Their harmonic mean, 0 where either is missing; None if it never came.
    support : int
        Steps at which it came.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class Matrix(NamedTuple):
    """A confusion that can be looked at.

    Attributes
    ----------
    labels : tuple of str
        The most frequent ones.
    rows : tuple of tuple of int
        One a label that came, and one for all others if there are any; one figure a label that was answered, then one
        for all others if there are any, then one for no usable answer if that happened.
    others : int
        How many labels share one row and column.
    unanswered : bool
        Whether the last column is that of no usable answer.
    others_right : int
        Steps at which one of the others came and was the answer: its count stands among those that mix up the others.
    """

    labels: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    others: int
    unanswered: bool
    others_right: int


def confusion(field: Field, steps: Iterable[StepRecord]) -> Confusion | None:
    """Count what was answered where each label came.

    Parameters
    ----------
    field : Field
        A label or a list.
    steps : iterable of StepRecord
        Of one method.

    Returns
    -------
    Confusion or None
        None if no outcome is known.

    Examples
    --------
    >>> from llm_as_rnn.core.fields import Label
    >>> found = confusion(Label("sky", options=("rain", "sun")), [])
    >>> found is None
    True
    """
    counted, name = Counted(field), field.name
    counted.add(((step.target or {}).get(name), (step.prediction or {}).get(name)) for step in steps)
    return counted.found


class Counted:
    """Counts what was answered where each label came, some steps at a time (see `confusion`)."""

    def __init__(self, field: Field) -> None:
        self._options = field.options
        self._names: dict[str, str] = {}
        self._counts: Counter[tuple[str, str | None]] = Counter()

    def add(self, pairs: Iterable[tuple[Value | None, Value | None]]) -> None:
        """Take what came and what was answered at some more steps into account."""
        for (came, answer), times in Counter(pairs).items():
            label = self._name(came)
            if label is not None:
                self._counts[label, self._name(answer)] += times

    def _name(self, value: Value | None) -> str | None:
        first = next(iter(entries(value)), None)
        if first is None or first in self._options:
            return first
        return chosen(first, self._options) or self._names.setdefault(fold(first), first)

    @property
    def found(self) -> Confusion | None:
        """What there was so far; None if no outcome is known."""
        counts = self._counts
        if not counts:
            return None
        support, said = _came(counts), _said(counts)
        labels = sorted({*support, *said}, key=lambda label: (-support[label], -said[label], label))
        return Confusion(tuple(labels), counts)


def label_scores(found: Confusion) -> list[LabelScore]:
    """Score each label, in the order of the confusion.

    >>> one = Confusion(("sun", "rain"), {("sun", "sun"): 3, ("sun", "rain"): 1, ("rain", "rain"): 1})
    >>> [(row.label, row.precision, row.recall, round(row.f1, 2), row.support) for row in label_scores(one)]
    [('sun', 1.0, 0.75, 0.86, 4), ('rain', 0.5, 1.0, 0.67, 1)]
    """
    support, said = _came(found.counts), _said(found.counts)
    rows = []
    for label in found.labels:
        right = found.counts.get((label, label), 0)
        f1 = 2 * right / (support[label] + said[label]) if support[label] else None
        rows.append(
            LabelScore(
                label,
                right / said[label] if said[label] else None,
                right / support[label] if support[label] else None,
                f1,
                support[label],
            )
        )
    return rows


def macro_f1(scores: Iterable[LabelScore]) -> float:
    """Give the mean F1 of the labels that came, each weighing the same however rare it is."""
    return mean([row.f1 for row in scores if row.f1 is not None])


def matrix(found: Confusion, most: int = MOST_LABELS) -> Matrix:
    """Lay a confusion out, the most frequent labels by themselves and the others together.

    >>> one = Confusion(("sun", "rain", "fog"), {("sun", "sun"): 3, ("sun", "rain"): 1, ("fog", "fog"): 1})
    >>> matrix(one, most=1)
    Matrix(labels=('sun',), rows=((3, 1), (0, 1)), others=2, unanswered=False, others_right=1)
    """
    shown, others = found.labels[:most], found.labels[most:]
    unanswered = any(said is None for _, said in found.counts)
    place = {label: min(number, most) for number, label in enumerate(found.labels)}
    size = len(shown) + bool(others)
    rows = [[0] * (size + unanswered) for _ in range(size)]
    for (came, said), count in found.counts.items():
        rows[place[came]][size if said is None else place[said]] += count
    right = sum(found.counts.get((label, label), 0) for label in others)
    return Matrix(shown, tuple(map(tuple, rows)), len(others), unanswered, right)


def _came(counts: Mapping[tuple[str, str | None], int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (came, _), count in counts.items():
        found[came] += count
    return found


def _said(counts: Mapping[tuple[str, str | None], int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (_, said), count in counts.items():
        if said is not None:
            found[said] += count
    return found
