"""Whether texts know outcomes: what is there at each step is compared with the true ones, beyond what chance does."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Many
from functools import lru_cache
from typing import Any, NamedTuple

from llm_as_rnn.core.fields import Field, Number
from llm_as_rnn.core.records import Value
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Sequence

MIN_STEPS = 20
"""Fewer steps cannot tell knowledge from luck."""
MIN_SHARE = 0.95
"""Of the steps, how many must hold their outcome."""
MIN_KAPPA = 0.5
"""How far that must exceed chance, as a share of what was left to exceed (Cohen's kappa)."""
MAX_LEAD = 2
"""How many steps ahead observations are compared with outcomes."""
SHIFTS = 24
"""With how many other outcomes each text is compared, to learn what chance does."""

Bag = frozenset[str]
"""The words and numbers of a text, in lower case."""

_WORD = r"-?(?:\d+(?:\.\d+)?e[-+]?\d+(?!\w)|\w+(?:\.\w+)*)"
_TOKEN, _TOKEN_OR_SIGN = re.compile(_WORD), re.compile(rf"{_WORD}|[^\w\s]")


class Foreknown(NamedTuple):
    """A field of the observations that tells an outcome.

    Attributes
    ----------
    name, answer : str
        The observation's field (``about.place`` for what is known of the sequence), and the answer's that it tells.
    lead : int
        How many steps ahead.
    sequence : str
        Where it does so first.
    t : int
        The step, 0-based.
    hits, steps : int
        At how many of how many steps.
    value : str
        What the field holds there.
    """

    name: str
    answer: str
    lead: int
    sequence: str
    t: int
    hits: int
    steps: int
    value: str


class _Row(NamedTuple):
    """One step as one answer field is compared: what is shown, what was known, what is to be predicted."""

    sequence: str
    t: int
    fields: Mapping[str, Any]
    known: Value | None
    outcome: Value


def foreknown(task: Task, sequences: Many[Sequence]) -> list[Foreknown]:
    """Find fields of the observations that tell the outcome of their step or of one soon after.

    A field does so if its value holds the outcome in at least 95 % of at least 20 steps, clearly more often than it
    holds the outcomes of other steps, and not only where the outcome is the one that came just before: that is known.
    """
    found: list[Foreknown] = []
    names = dict.fromkeys(name for field in task.answer for row in _rows(sequences, field, 0) for name in row.fields)
    for field, name in itertools.product(task.answer, names):
        for lead in range(MAX_LEAD + 1):
            rows = [row for row in _rows(sequences, field, lead) if name in row.fields]
            bags = [bag(str(row.fields[name]), field) for row in rows]
            outcomes = [bag(field.show(row.outcome), field) for row in rows]
            if not tells(bags, outcomes) or _recalls(rows, bags, field):
                continue
            hits = [row for row, own, outcome in zip(rows, bags, outcomes, strict=True) if outcome <= own]
            first = hits[0]
            place = (lead, first.sequence, first.t, len(hits), len(rows), str(first.fields[name]))
            found.append(Foreknown(name, field.name, *place))
            break
    return found


def tokens(text: str, *, signs: bool = False) -> list[str]:
    """List the words and numbers of a text, in lower case, and its signs as well if these are wanted.

    >>> tokens("Sky: rain, high 12.8;"), tokens("1.5e-05 <= 2", signs=True)
    (['sky', 'rain', 'high', '12.8'], ['1.5e-05', '<', '=', '2'])
    """
    return (_TOKEN_OR_SIGN if signs else _TOKEN).findall(text.casefold())


def bag(text: str, field: Field) -> Bag:
    """Give the words of a text, numbers among them as the field shows them.

    Where options are told apart by signs alone, these count as words, and numbers as they are written.

    >>> sorted(bag("high 12.84", Number("high", low=-20, high=45)))
    ['12.8', 'high']
    >>> from llm_as_rnn.core.fields import Label
    >>> sorted(bag(">50K", Label("income", options=("<=50K", ">50K"))))
    ['50k', '>']
    """
    if _by_signs(field.options):
        return frozenset(tokens(text, signs=True))
    return frozenset(_plain(token, field) for token in tokens(text))


@lru_cache(maxsize=64)
def _by_signs(options: tuple[str, ...]) -> bool:
    """Tell whether the words of options are no words at all, or those of others too."""
    words = [frozenset(map(_figure, tokens(option))) for option in options]
    return len(set(words)) < len(words) or frozenset() in words


def tells(bags: Many[Bag], outcomes: Many[Bag]) -> bool:
    """Say whether each bag holds its own outcome, so often that chance does not explain it.

    >>> skies = [frozenset({sky}) for sky in ("sun", "rain") * 10]
    >>> tells(skies, skies)
    True
    >>> tells([frozenset({"sun", "rain"})] * 20, skies)
    False
    """
    steps = len(bags)
    if steps < MIN_STEPS:
        return False
    share = _mean(outcome <= own for own, outcome in zip(bags, outcomes, strict=True))
    if share < MIN_SHARE:
        return False
    # Spread over the whole data: outcomes of neighbouring steps are alike.
    shifts = sorted({max(1, number * steps // SHIFTS) for number in range(1, SHIFTS)})
    chance = _mean(outcomes[(i + shift) % steps] <= bags[i] for shift in shifts for i in range(steps))
    return chance < 1 and (share - chance) / (1 - chance) >= MIN_KAPPA


def _recalls(rows: Many[_Row], bags: Many[Bag], field: Field) -> bool:
    """Say whether a field merely holds what is known, which is right while outcomes stay the same."""
    changed = [
        bag(field.show(row.outcome), field) <= own
        for row, own in zip(rows, bags, strict=True)
        if row.known is not None and field.show(row.known) != field.show(row.outcome)
    ]
    return bool(changed) and 2 * sum(changed) < len(changed)


def _rows(sequences: Many[Sequence], field: Field, lead: int) -> Iterator[_Row]:
    for sequence in sequences:
        about = {f"about.{name}": value for name, value in sequence.info.about.items()}
        outcomes = [(step.target or {}).get(field.name) for step in sequence.steps]
        for i, step in enumerate(sequence.steps[: max(len(outcomes) - lead, 0)]):
            outcome = outcomes[i + lead]
            if outcome is not None:
                fields = {**step.observation.fields, **about}
                known = outcomes[i - 1] if i else None
                yield _Row(sequence.info.id, step.observation.t, fields, known, outcome)


def _plain(token: str, field: Field) -> str:
    try:
        return field.show(float(token)) if isinstance(field, Number) else _figure(token)
    except ValueError:
        return token


def _figure(token: str) -> str:
    try:
        return f"{float(token):g}"
    except ValueError:
        return token


def _mean(hits: Iterator[bool]) -> float:
    found = list(hits)
    return sum(found) / len(found)
