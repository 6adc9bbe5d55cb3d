r"""Prediction with expert advice: one answer out of several, nearly as good as the best of those who advise.

Nothing is assumed of the stream: the bounds hold for every sequence of outcomes, also for one that an adversary chose.
``N`` is the number of advisers, ``T`` the number of outcomes so far.

**Labels, lists and texts** (`vote`). Each adviser stands for a distribution: how often the outcome stood at each place
of its answer so far (Krichevsky and Trofimov's estimate), and what is left is shared by all other options. They are
mixed by weight, and weights follow Bayes' rule with a fixed share (Herbster and Warmuth, Machine Learning 32, 1998):
after each outcome a share ``alpha`` of all weight is dealt out anew, so that nobody is ever written off. For every
sequence of advisers with ``m`` changes,

.. math:: \sum_t -\ln p_t(y_t) \le \sum_t -\ln p_{i_t,t}(y_t)
          + \ln N + m \ln(N / \alpha) + (T - 1 - m) \ln\frac{1}{1 - \alpha}.

**Numbers** (`mean`). Answers are averaged by ML-Poly (Gaillard, Stoltz and van Erven, COLT 2014, which the R package
``opera`` takes by default), on the gradient of the absolute error. There is no rate to choose. With ``R`` the width of
the plausible range, ``x`` an adviser's answer, taken within that range, and ``r`` what it would have won at a step by
the gradient, as a share of the range,

.. math:: \sum_t |\hat y_t - y_t| \le \sum_t |x_{i,t} - y_t| + R \sqrt{N (1 + \ln(1 + T)) (1 + \sum_t r_{i,t}^2)}.

`label_bound` and `number_bound` give these as figures; ``tests/core/test_advice.py`` holds adversarial streams to them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from llm_as_rnn.core.fields import Field, Label, Number, Ranked, entries
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.records import Record, Value

ALPHA = 0.01
"""The share of weight that is dealt out anew after each outcome: a change of the best adviser in a hundred steps."""

UNSAID = 1e-3
"""The chance of one entry that nobody named, where a task does not list what there is. It is the same for all."""

Said = Value | None
"""What an adviser answered; None where it gave no usable answer."""


class Standing(Record, frozen=True):
    """What an adviser has to show for itself in one field.

    Attributes
    ----------
    weight : float
        What it is believed by in votes; those of all advisers add up to 1.
    places : tuple of int
        How often the outcome stood at each place of its answers, best first; last, how often at none.
    regret, squares : float
        Of numbers: what it would have won so far against the answers that were given, as a share of the plausible
        range, and the same squared.
    """

    weight: float
    places: tuple[int, ...] = ()
    regret: float = 0.0
    squares: float = 0.0


Standings = tuple[Standing, ...]
"""One for each adviser, in their order."""


def at_first(advisers: int) -> Standings:
    """Give the standings before the first outcome: all are believed alike.

    >>> [standing.weight for standing in at_first(2)]
    [0.5, 0.5]
    """
    return (Standing(1 / advisers),) * advisers


def advise(field: Field, standings: Standings, said: Sequence[Said]) -> tuple[Value | None, dict[str, float]]:
    """Make one answer of several.

    Parameters
    ----------
    field : Field
        What is answered.
    standings : tuple of Standing
        Of the advisers.
    said : sequence of Value or None
        What each of them answers.

    Returns
    -------
    Value or None
        The answer; None where nobody has one.
    dict of str to float
        The chance of each option of a label, or of each entry that was named; empty for numbers.

    Examples
    --------
    >>> sky = Label("sky", options=("rain", "snow", "sun"))
    >>> value, chances = advise(sky, at_first(3), ["sun", "rain", "sun"])
    >>> value, round(chances["sun"], 2)
    ('sun', 0.5)
    >>> advise(Number("high", low=-20, high=45), at_first(2), [10.0, 13.0])
    (11.5, {})
    """
    if all(value is None for value in said):
        return None, {}
    if not any(map(_written, said)):  # a text of no words is an answer, if nobody has another
        return next(value for value in said if value is not None), {}
    if isinstance(field, Number):
        return mean(field, standings, said), {}
    return vote(field, standings, said)


def after(field: Field, standings: Standings, said: Sequence[Said], outcome: Value) -> Standings:
    """Give the standings after an outcome.

    Parameters
    ----------
    field, standings, said
        As for `advise`.
    outcome : Value
        What came.
    """
    if isinstance(field, Number):
        return _after_number(field, standings, said, float(outcome) if isinstance(outcome, int | float) else math.nan)
    return _after_vote(field, standings, said, outcome)


def believed(field: Field, standings: Standings) -> list[float]:
    """Give the weight of each adviser in the next answer; they add up to 1.

    >>> believed(Number("high", low=0, high=1), at_first(4))
    [0.25, 0.25, 0.25, 0.25]
    """
    return _shares(standings) if isinstance(field, Number) else [standing.weight for standing in standings]


# --- labels, lists and texts ------------------------------------------------------------------------------------------


def vote(field: Field, standings: Standings, said: Sequence[Said]) -> tuple[Value, dict[str, float]]:
    """Mix the distributions that advisers stand for, and answer with what is likeliest.

    >>> sky = Label("sky", options=("rain", "sun"))
    >>> vote(sky, at_first(2), ["sun", None])
    ('sun', {'rain': 0.41666666666666663, 'sun': 0.5833333333333333})
    """
    options = _options(field, said)
    chances = dict.fromkeys(options, 0.0)
    for standing, value in zip(standings, said, strict=True):
        for text, chance in _distribution(field, standing, value, options).items():
            chances[text] += standing.weight * chance
    # Of two that are as likely, the one that the foremost adviser named first.
    named = [text for value in said for text in _texts(value)]
    order = sorted(options, key=lambda text: (-round(chances[text], 12), _place(named, text)))
    best = [options[text] for text in order]
    answer: Value = tuple(best[: field.top]) if isinstance(field, Ranked) else best[0]
    return answer, {options[text]: chance for text, chance in chances.items()}


def chance(field: Field, standing: Standing, said: Said, outcome: Value) -> float:
    """Give the chance that an adviser's distribution gave to what came; for a list, to its first entry.

    >>> chance(Label("sky", options=("rain", "sun", "fog")), Standing(1.0, (3, 0)), "sun", "Sun")
    0.8888888888888888
    """
    text = _texts(outcome)[0]
    options = _options(field, [said])
    spread = _distribution(field, standing, said, options)
    if text in spread:
        return spread[text]
    return UNSAID * (_frequency(standing, _length(field), None) if said is not None else 1.0)


def _after_vote(field: Field, standings: Standings, said: Sequence[Said], outcome: Value) -> Standings:
    first = _texts(outcome)[0] if _texts(outcome) else ""
    if not first:
        return standings
    weights = [
        standing.weight * chance(field, standing, value, outcome)
        for standing, value in zip(standings, said, strict=True)
    ]
    total, size = sum(weights), len(standings)
    shared = [(1 - ALPHA) * weight / total + ALPHA / size for weight in weights]
    return tuple(
        msgspec.structs.replace(standing, weight=weight, places=_counted(field, standing, value, first))
        for standing, weight, value in zip(standings, shared, said, strict=True)
    )


def _counted(field: Field, standing: Standing, said: Said, first: str) -> tuple[int, ...]:
    places = list(standing.places or (0,) * (_length(field) + 1))
    if said is not None:
        texts = _texts(said)
        places[texts.index(first) if first in texts[: len(places) - 1] else -1] += 1
    return tuple(places)


def _distribution(field: Field, standing: Standing, said: Said, options: Mapping[str, str]) -> dict[str, float]:
    """Spread an adviser's belief over the options by how often it was right so far."""
    texts = [text for text in _texts(said) if text in options][: _length(field)]
    if not texts:
        return {text: 1 / len(options) if isinstance(field, Label) else UNSAID for text in options}
    spread = {text: _frequency(standing, _length(field), place) for place, text in enumerate(texts)}
    others = [text for text in options if text not in spread]
    left = _frequency(standing, _length(field), None)
    if isinstance(field, Label):
        return spread | {text: left / len(others) for text in others}
    return spread | dict.fromkeys(others, UNSAID * left)


def _frequency(standing: Standing, length: int, place: int | None) -> float:
    """Estimate how often the outcome stands at a place of an adviser's answer (None: at none of them)."""
    places = standing.places or (0,) * (length + 1)
    # Half a step at each place, as Krichevsky and Trofimov have it, and as much again at the first: a single wrong
    # answer is no reason yet to vote against whoever gave it.
    prior = 1.0 if place == 0 else 0.5
    return (places[-1 if place is None else place] + prior) / (sum(places) + (len(places) + 1) / 2)


def _length(field: Field) -> int:
    return field.top if isinstance(field, Ranked) else 1


def _options(field: Field, said: Sequence[Said]) -> dict[str, str]:
    """Give what can be voted for, as it is compared and as it is written."""
    listed = field.options if isinstance(field, Label) else [text for value in said for text in _written(value)]
    options: dict[str, str] = {}
    for text in listed:
        options.setdefault(fold(text), text)
    return options


def _texts(value: Said) -> list[str]:
    return [fold(text) for text in _written(value)]


def _written(value: Said) -> tuple[str, ...]:
    return tuple(text for text in entries(value) if text.strip())


def _place(named: Sequence[str], text: str) -> int:
    return named.index(text) if text in named else len(named)


def label_bound(advisers: int, steps: int, changes: int = 0) -> float:
    """Say by how much the log loss of votes can exceed that of the best sequence of advisers, in nats.

    Parameters
    ----------
    advisers, steps, changes : int
        How many there are; outcomes so far; changes of the best adviser.

    Examples
    --------
    >>> round(label_bound(advisers=5, steps=100), 2), round(label_bound(advisers=5, steps=100, changes=2), 2)
    (2.6, 15.01)
    """
    stay = -math.log1p(-ALPHA)
    return math.log(advisers) + changes * math.log(advisers / ALPHA) + max(steps - 1 - changes, 0) * stay


# --- numbers ----------------------------------------------------------------------------------------------------------


def mean(field: Number, standings: Standings, said: Sequence[Said]) -> float:
    """Average numbers by the weights of ML-Poly; who has no answer is passed over."""
    pairs = zip(_shares(standings), _numbers(field, said), strict=True)
    known = [(share, value) for share, value in pairs if value is not None]
    total = sum(share for share, _ in known)
    if not total:
        return math.fsum(value for _, value in known) / len(known)
    return math.fsum(share / total * value for share, value in known)


def _shares(standings: Standings) -> list[float]:
    ahead = [max(standing.regret, 0.0) / (1 + standing.squares) for standing in standings]
    total = sum(ahead)
    return [share / total if total else 1 / len(standings) for share in ahead]


def _numbers(field: Number, said: Sequence[Said]) -> list[float | None]:
    """Take answers within the plausible range: a reference may repeat what no answer may be."""
    return [min(max(float(value), field.low), field.high) if isinstance(value, int | float) else None for value in said]


def _after_number(field: Number, standings: Standings, said: Sequence[Said], outcome: float) -> Standings:
    if not math.isfinite(outcome) or all(value is None for value in said):
        return standings
    given = mean(field, standings, said)
    slope = (given > outcome) - (given < outcome)
    width = field.high - field.low
    won = [
        0.0 if value is None else slope * (given - value) / width  # who is silent would have said what was given
        for value in _numbers(field, said)
    ]
    return tuple(
        msgspec.structs.replace(standing, regret=standing.regret + gain, squares=standing.squares + gain * gain)
        for standing, gain in zip(standings, won, strict=True)
    )


def number_bound(field: Number, standings: Standings, steps: int) -> list[float]:
    """Say by how much the summed absolute error can exceed that of each adviser, in the field's unit."""
    size = len(standings)
    spread = size * (1 + math.log1p(steps))
    return [(field.high - field.low) * math.sqrt(spread * (1 + standing.squares)) for standing in standings]
