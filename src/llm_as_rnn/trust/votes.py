r"""Chances of labels, lists and texts out of what several advise, nearly as good as the best of them, whatever comes.

Up to three experts stand for what advisers say, each with a chance for every option:

- an adviser's **record**: how often the outcome stood at each place of its answers so far (Krichevsky and Trofimov's
  estimate); what is left is shared by all other options;
- an adviser's own **chances**, where it tells some;
- for fields with options, a **pool** of all these (see `trust.pool`), which adds their evidence up.

They are mixed by weight, and weights follow Bayes' rule with a fixed share (Herbster and Warmuth, Machine Learning 32,
1998): after each outcome a share ``alpha`` of all weight is dealt out anew, so that nobody is ever written off. With
``w`` the least share that is dealt to any (`least_share`), for every sequence of experts with ``m`` changes that have
something to say at each of its ``T`` steps,

.. math:: \sum_t -\ln p_t(y_t) \le \sum_t -\ln p_{i_t,t}(y_t)
          + \ln \frac{1}{w} + m \ln\frac{1}{w \alpha} + (T - 1 - m) \ln\frac{1}{1 - \alpha}.

`excess` gives the last three terms; ``tests/core/test_advice.py`` holds adversarial streams to it. An adviser without
an answer at a step stands for all options being as likely.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import msgspec

from llm_as_rnn.core.chances import full
from llm_as_rnn.core.fields import Field, Ranked, entries
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.records import Record, Value
from llm_as_rnn.trust import pool as pools
from llm_as_rnn.trust.pool import Pool

T = TypeVar("T")

ALPHA = 0.01
"""The share of weight that is dealt out anew after each outcome: a change of the best expert in a hundred steps."""

UNSAID = 1e-3
"""The chance of one entry that nobody named, where a task does not list what there is. It is the same for all."""

POOLED = 0.5
"""The share of the pool in what is dealt out; records and chances of all advisers get what is left, alike."""

POOL = "pool"

AT_FIRST_RECORD, AT_FIRST_CHANCES = 0.1, 0.5
"""What they weigh in the pool when they are first heard: who tells chances says more than who names an answer."""


class Said(NamedTuple):
    """What an adviser says of one field.

    Attributes
    ----------
    value : Value or None
        Its answer; None where it has no usable one.
    chances : mapping of str to float
        The chances that it tells of options; those that it does not name share what is left of 1. Empty where it tells
        none.
    """

    value: Value | None
    chances: Mapping[str, float] = MappingProxyType({})


class Votes(Record, frozen=True, tag="votes"):
    """What advisers on a label, a list or a text have to show for themselves.

    Attributes
    ----------
    places : tuple of tuple of int
        For each adviser, how often the outcome stood at each place of its answers, best first; last, how often at none.
    weights : dict of str to float
        What each expert that was heard is believed by: an adviser's record by its number, its chances by the number
        and ``*``, and `POOL`.
    pool : Pool
        What experts weigh in the pool.
    """

    places: tuple[tuple[int, ...], ...]
    weights: dict[str, float] = msgspec.field(default_factory=dict)
    pool: Pool = Pool()


Spread = dict[str, float]
"""The chance of each option, by its folded text."""


def at_first(advisers: int) -> Votes:
    """Begin: nobody has a record."""
    return Votes(((),) * advisers)


def rearranged(field: Field, votes: Votes, order: Sequence[int | None]) -> Votes:
    """Give what is known to advisers who stand in another order now, of whom some may be new and others gone.

    A new one has no record, and its first weight when it is first heard. The weight of those that are gone goes to all
    others in proportion. Where the list that is answered has another length, records are of that length from now on.

    Parameters
    ----------
    field : Field
        What is answered.
    votes : Votes
        What the advisers had to show for themselves.
    order : sequence of int or None
        For each adviser, where it stood among them; None for a new one.

    Examples
    --------
    >>> from llm_as_rnn.core.fields import Label
    >>> sky = Label("sky", options=("rain", "sun"))
    >>> rearranged(sky, Votes(((3, 1), (2, 2)), {"0": 0.5, "1": 0.25, "pool": 0.25}), (None, 1))
    Votes(places=((), (2, 2)), weights={'1': 0.5, 'pool': 0.5}, pool=Pool(weights={}, curvature={}))
    """
    names = {POOL: POOL}
    for now, before in enumerate(order):
        names |= {} if before is None else {str(before): str(now), f"{before}*": f"{now}*"}
    weights = _renamed(votes.weights, names)
    left = math.fsum(weights.values())
    scale = math.fsum(votes.weights.values()) / left if left else 1.0
    curvature = {name: _renamed(row, names) for name, row in _renamed(votes.pool.curvature, names).items()}
    return Votes(
        tuple(() if before is None else _refitted(votes.places[before], _length(field)) for before in order),
        {name: weight * scale for name, weight in weights.items()},
        Pool(_renamed(votes.pool.weights, names), curvature),
    )


def vote(field: Field, votes: Votes, said: Sequence[Said]) -> tuple[Value, dict[str, float]]:
    """Mix the experts' chances, and answer with what is likeliest.

    Parameters
    ----------
    field : Field
        What is answered.
    votes : Votes
        What advisers have to show for themselves.
    said : sequence of Said
        What each of them says; at least one has an answer.

    Returns
    -------
    Value
        The answer.
    dict of str to float
        The chance of each option, or of each entry that was named.

    Examples
    --------
    >>> from llm_as_rnn.core.fields import Label
    >>> sky = Label("sky", options=("rain", "sun"))
    >>> answer, chances = vote(sky, at_first(2), [Said("sun"), Said("sun")])
    >>> answer, round(chances["sun"], 2)
    ('sun', 0.58)
    """
    options = _options(field, said)
    experts = _experts(field, votes, said, options)
    shares = _shares(votes, experts)
    chances = {
        text: math.fsum(shares[name] * spread.get(text, 0.0) for name, spread in experts.items()) for text in options
    }
    # Of two that are as likely, the one that the foremost adviser named first.
    named = [text for one in said for text in _texts(one.value)]
    order = sorted(options, key=lambda text: (-round(chances[text], 12), _place(named, text)))
    best = [options[text] for text in order]
    answer: Value = tuple(best[: field.top]) if isinstance(field, Ranked) else best[0]
    return answer, {options[text]: chance for text, chance in chances.items()}


def believed(field: Field, votes: Votes, said: Sequence[Said]) -> list[float]:
    """Give the weight of each adviser in an answer; they add up to 1.

    What the pool is believed by goes to its sources, as they weigh in it.
    """
    experts = _experts(field, votes, said, _options(field, said))
    shares = _shares(votes, experts)
    trust = [shares[str(number)] + shares.get(f"{number}*", 0.0) for number in range(len(said))]
    sources = {name: weight for name, weight in _heard(votes.pool, experts).weights.items() if name in experts}
    whole = math.fsum(sources.values())
    for name, weight in sources.items():
        trust[int(name.rstrip("*"))] += shares.get(POOL, 0.0) * (weight / whole if whole else 1 / len(sources))
    return trust


def after(field: Field, votes: Votes, said: Sequence[Said], outcome: Value) -> Votes:
    """Learn from what came; of a list, its first entry counts."""
    texts = _texts(outcome)
    if not texts:
        return votes
    options = _options(field, said)
    experts = _experts(field, votes, said, options)
    prior = _dealt(votes, experts)
    shares = _shares(votes, experts)
    likely = {name: shares[name] * _chance(field, votes, name, spread, texts[0]) for name, spread in experts.items()}
    whole = math.fsum(likely.values())
    awake = math.fsum(votes.weights.get(name, prior[name]) for name in experts)
    weights = {name: awake * ((1 - ALPHA) * likely[name] / whole + ALPHA * prior[name]) for name in experts}
    sources = {name: spread for name, spread in experts.items() if name != POOL}
    return Votes(
        tuple(_counted(field, places, one.value, texts[0]) for places, one in zip(votes.places, said, strict=True)),
        {**votes.weights, **weights},
        pools.after(_heard(votes.pool, sources), sources, texts[0]) if POOL in experts else votes.pool,
    )


def chance(field: Field, votes: Votes, said: Sequence[Said], expert: str, outcome: Value) -> float:
    """Give the chance that an expert gave to what came; for a list, to its first entry.

    >>> from llm_as_rnn.core.fields import Label
    >>> sky = Label("sky", options=("rain", "sun", "fog"))
    >>> round(chance(sky, Votes(((3, 0),)), [Said("sun")], "0", "Sun"), 2)
    0.89
    """
    experts = _experts(field, votes, said, _options(field, said))
    return _chance(field, votes, expert, experts[expert], _texts(outcome)[0])


def least_share(advisers: int) -> float:
    """Give the least share that is ever dealt out to an expert, when all have something to say."""
    return (1 - POOLED) / (2 * advisers)


def excess(advisers: int, steps: int, changes: int = 0) -> float:
    """Say by how much the log loss can exceed that of the best sequence of experts, in nats.

    Parameters
    ----------
    advisers, steps, changes : int
        How many there are; outcomes so far; changes of the best expert.

    Examples
    --------
    >>> round(excess(advisers=5, steps=100), 2), round(excess(advisers=5, steps=100, changes=2), 2)
    (3.99, 19.17)
    """
    dealt = -math.log(least_share(advisers))
    return dealt + changes * (dealt - math.log(ALPHA)) - max(steps - 1 - changes, 0) * math.log1p(-ALPHA)


# --- experts ----------------------------------------------------------------------------------------------------------


def _experts(field: Field, votes: Votes, said: Sequence[Said], options: Mapping[str, str]) -> dict[str, Spread]:
    experts = {}
    for number, (places, one) in enumerate(zip(votes.places, said, strict=True)):
        experts[str(number)] = _record(field, places, one.value, options)
        if one.chances and field.options:
            told = full(field.options, one.chances)
            experts[f"{number}*"] = {fold(option): chance for option, chance in told.items()}
    if field.options:
        experts[POOL] = pools.pooled(_heard(votes.pool, experts), dict(experts))
    return experts


def _heard(pool: Pool, experts: Mapping[str, Spread]) -> Pool:
    """Give the pool with a first weight for experts that it has not heard yet."""
    first = {name: AT_FIRST_CHANCES if name.endswith("*") else AT_FIRST_RECORD for name in experts if name != POOL}
    return Pool({**first, **pool.weights}, pool.curvature)


def _dealt(votes: Votes, experts: Mapping[str, Spread]) -> dict[str, float]:
    """Deal out shares of 1 to experts, as before the first outcome."""
    each = least_share(len(votes.places))
    shares = {name: POOLED if name == POOL else each for name in experts}
    whole = math.fsum(shares.values())
    return {name: share / whole for name, share in shares.items()}


def _shares(votes: Votes, experts: Mapping[str, Spread]) -> dict[str, float]:
    """Give what experts are believed by at this step; they add up to 1."""
    dealt = _dealt(votes, experts)
    weights = {name: votes.weights.get(name, dealt[name]) for name in experts}
    whole = math.fsum(weights.values())
    return {name: weight / whole for name, weight in weights.items()}


def _record(field: Field, places: tuple[int, ...], said: Value | None, options: Mapping[str, str]) -> Spread:
    """Spread the belief in an adviser's answer over the options by how often it was right so far."""
    length = _length(field)
    texts = [text for text in _texts(said) if text in options][:length]
    listed = bool(field.options)
    if not texts:
        return dict.fromkeys(options, 1 / len(options) if listed else UNSAID)
    spread = {text: _frequency(places, length, place) for place, text in enumerate(texts)}
    others = [text for text in options if text not in spread]
    left = 1 - math.fsum(spread.values()) if listed else UNSAID * _frequency(places, length, None)
    return spread | dict.fromkeys(others, left / len(others) if listed and others else left)


def _chance(field: Field, votes: Votes, expert: str, spread: Spread, text: str) -> float:
    if text in spread:
        return spread[text]
    if expert == POOL or expert.endswith("*"):
        return UNSAID
    return UNSAID * _frequency(votes.places[int(expert)], _length(field), None)


def _frequency(places: tuple[int, ...], length: int, place: int | None) -> float:
    """Estimate how often the outcome stands at a place of an adviser's answer (None: at none of them)."""
    places = places or (0,) * (length + 1)
    # Half a step at each place, as Krichevsky and Trofimov have it, and as much again at the first: a single wrong
    # answer is no reason yet to vote against whoever gave it.
    prior = 1.0 if place == 0 else 0.5
    return (places[-1 if place is None else place] + prior) / (sum(places) + (len(places) + 1) / 2)


def _counted(field: Field, places: tuple[int, ...], said: Value | None, first: str) -> tuple[int, ...]:
    counts = list(places or (0,) * (_length(field) + 1))
    if said is not None:
        texts = _texts(said)
        counts[texts.index(first) if first in texts[: len(counts) - 1] else -1] += 1
    return tuple(counts)


def _refitted(places: tuple[int, ...], length: int) -> tuple[int, ...]:
    """Give a record for answers of another length: what stood behind its end stands nowhere then."""
    if not places or len(places) == length + 1:
        return places
    *at, nowhere = places
    return (*at[:length], *(0,) * (length - len(at)), nowhere + sum(at[length:]))


def _renamed(known: Mapping[str, T], names: Mapping[str, str]) -> dict[str, T]:
    """Give what is known of those that have a name now, by that name."""
    return {names[name]: value for name, value in known.items() if name in names}


def _length(field: Field) -> int:
    return field.top if isinstance(field, Ranked) else 1


def _options(field: Field, said: Sequence[Said]) -> dict[str, str]:
    """Give what can be voted for, as it is compared and as it is written."""
    listed = field.options or [text for one in said for text in written(one.value)]
    options: dict[str, str] = {}
    for text in listed:
        options.setdefault(fold(text), text)
    return options


def _texts(value: Value | None) -> list[str]:
    return [fold(text) for text in written(value)]


def written(value: Value | None) -> tuple[str, ...]:
    """Give the entries of a value that have words in them."""
    return tuple(text for text in entries(value) if text.strip())


def _place(named: Sequence[str], text: str) -> int:
    return named.index(text) if text in named else len(named)
