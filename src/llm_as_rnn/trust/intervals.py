r"""How far a prediction can be trusted: intervals for numbers and sets of options, by adaptive conformal inference.

The model is not asked how sure it is. Code looks at how far its answers were off, and says how far the next one may be,
so that the outcome lies in what was said as often as was asked for (``coverage``), whatever the data do: nothing is
assumed of the stream, which may drift, jump, or be an adversary's.

The *score* of a step says how far the outcome was from the answer; it is 0 where it was the very answer. A prediction
says all outcomes whose score is at most a threshold ``q``. Outcomes move that (conformal PID control: Angelopoulos,
Candès and Tibshirani, NeurIPS 2023, `arXiv 2307.16895 <https://arxiv.org/abs/2307.16895>`_; adaptive conformal
inference is Gibbs and Candès, NeurIPS 2021): up a little at each miss, down a very little at each hit (the P of it,
quantile tracking), and by a correction that grows without limit as misses get out of balance (the I, error
integration). With ``E`` the balance, misses so far less what so many outcomes should have brought, and ``S`` the
largest score of the latest `WINDOW` steps,

.. math:: q = P + K S \tan(\frac{\pi}{2} \frac{E}{h}), \qquad
          P \leftarrow P + \eta S (\text{missed} - \alpha), \qquad \alpha = 1 - \text{coverage}.

At ``E >= h`` everything is said (the whole plausible range, or all options), at ``E <= -h`` the answer alone. So where
at most ``D`` other outcomes are out when a prediction is made, after ``T`` outcomes

.. math:: \text{misses} \le \alpha T + h + 1 + D,

and coverage over 300 steps without delay cannot be below the one that was asked for by more than 0.02. Nor can it be
above it by more than that, unless the very answer comes too often: no interval is narrower than its answer, and no set
is empty. Such hits take the balance no further down than ``-h``, or a model that was right for long would have a
licence to be wrong for as long.

A step without an answer says everything and moves nothing here (see `trust.assured`): the bound is that of the others,
and holds for all of them together, ``T`` being the larger then.

Numbers may come from outside their plausible range. Until one does, intervals are cut to that range; when everything is
said, it is the range, and at least twice as far from the answer as any outcome was so far; a missing answer counts as
the end of the range that lies farther from the outcome. So an outcome from outside can be missed beyond the bound only
if it is the first such, was out with the first, or is more than twice as far off as all before it; with ``S`` the
largest score of all and ``R`` the width of the range, that is true of ``2 + log2(S / R)`` at most. `most_misses` gives
the bound as a figure, and ``tests/core/test_intervals.py`` holds adversarial streams to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from llm_as_rnn.core.fields import Field, Number, entries
from llm_as_rnn.core.figures import LARGEST, finite
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.records import Record, Value

LIMIT = 5.0
"""h: misses more (or less) than were asked for at which everything (or the answer alone) is said."""

RATE = 0.1
"""eta: how far a miss moves the threshold, as a share of the largest recent score; the paper's own choice."""

GAIN = 0.5
"""K: how strongly the balance is corrected. Chosen on simulated streams (docs/trust.md)."""

WINDOW = 50
"""Steps that the largest recent score is taken of."""

DIGITS = 10
"""So many digits of a distance are told: a width that is off by a billionth is no other one to anybody."""


class Tracker(Record, frozen=True, omit_defaults=True):
    """What is known of the scores of one field so far.

    Attributes
    ----------
    steps : int
        Outcomes of predictions that said an interval or a set.
    balance : float
        E: misses so far, less those that were to be expected.
    quantile : float
        P: the threshold without the correction.
    recent : tuple of float
        The latest scores.
    """

    steps: int = 0
    balance: float = 0.0
    quantile: float = 0.0
    recent: tuple[float, ...] = ()


def threshold(tracker: Tracker, coverage: float) -> float | None:
    """Give the largest score of what the next prediction says; None for everything.

    It is everything, too, as long as so few outcomes are known that the largest of their scores would be too small.

    Parameters
    ----------
    tracker : Tracker
        What is known.
    coverage : float
        How often the outcome is to lie in what is said, between 0 and 1.

    Examples
    --------
    >>> threshold(Tracker(), 0.9) is None
    True
    >>> threshold(Tracker(steps=20, quantile=3.0, recent=(1.0, 4.0)), 0.9)
    3.0
    """
    if _is_short(tracker.steps, coverage) or tracker.balance >= LIMIT:
        return None
    if tracker.balance <= -LIMIT:
        return 0.0
    correction = GAIN * max(tracker.recent) * math.tan(math.pi / 2 * tracker.balance / LIMIT)
    return max(finite(tracker.quantile + correction), 0.0)


def tracked(tracker: Tracker, score: float, *, covered: bool, coverage: float) -> Tracker:
    """Give what is known after one more outcome.

    Parameters
    ----------
    tracker : Tracker
        What was known.
    score : float
        Of the outcome, at least 0.
    covered : bool
        Whether it lay in what the prediction had said.
    coverage : float
        As for `threshold`.

    Examples
    --------
    >>> tracked(Tracker(), 2.0, covered=True, coverage=0.75)
    Tracker(steps=1, balance=-0.25, quantile=2.0, recent=(2.0,))
    """
    missed = (not covered) - (1 - coverage)
    recent = (*tracker.recent, finite(score))[-WINDOW:]
    if _is_short(tracker.steps, coverage):
        quantile = max(tracker.quantile, finite(score))
    else:
        # Never above all that came of late: one large error at the start would be remembered for ever.
        quantile = max(min(finite(tracker.quantile + RATE * max(recent) * missed), max(recent)), 0.0)
    is_saved = covered and tracker.balance <= -LIMIT  # what was said was the answer alone, and it came
    # Rounded, so that what should add up to nothing does.
    balance = tracker.balance if is_saved else round(tracker.balance + missed, 9)
    return Tracker(tracker.steps + 1, balance, quantile, recent)


def _is_short(steps: int, coverage: float) -> bool:
    """Tell whether the largest of so many scores is less than the quantile: the next is above it once in steps + 1."""
    return steps / (steps + 1) < coverage - 1e-9


def most_misses(coverage: float, steps: int, waiting: int = 0) -> float:
    """Say how many of so many outcomes can lie outside of what was said, at most, whatever they are.

    Parameters
    ----------
    coverage : float
        What was asked for.
    steps, waiting : int
        Outcomes; how many others were out at most when a prediction was made.

    Examples
    --------
    >>> most_misses(0.9, 300), most_misses(0.9, 300, waiting=5)
    (36.0, 41.0)
    """
    return round((1 - coverage) * steps + LIMIT + 1 + waiting, 6)


# --- numbers ----------------------------------------------------------------------------------------------------------


class Reach(Record, frozen=True, omit_defaults=True):
    """How far numbers went so far.

    Attributes
    ----------
    largest : float
        The largest distance of an outcome from its answer; of one from outside without an answer, from the farther end
        of the plausible range.
    is_outside : bool
        Whether an outcome came from outside the plausible range.
    """

    largest: float = 0.0
    is_outside: bool = False


def interval(
    field: Number, tracker: Tracker, reach: Reach, answer: float | None, coverage: float
) -> tuple[float, float]:
    """Say between which numbers the outcome will lie.

    Every outcome that is no farther from the answer than the threshold lies in it: ends are rounded, and never inwards.

    Parameters
    ----------
    field : Number
        What is predicted.
    tracker, reach
        What is known.
    answer : float or None
        The prediction, in the field's unit; None where there is none, of which everything is said.
    coverage : float
        As for `threshold`.

    Returns
    -------
    tuple of float
        Both ends, which belong to it.

    Examples
    --------
    >>> high = Number("high", low=-20, high=45)
    >>> interval(high, Tracker(), Reach(), 12.0, 0.9)
    (-20.0, 45.0)
    >>> interval(high, Tracker(steps=20, quantile=2.3, recent=(2.0,)), Reach(), 12.8, 0.9)
    (10.5, 15.1)
    >>> interval(high, Tracker(steps=20, quantile=2.3, recent=(2.0,)), Reach(), None, 0.9)
    (-20.0, 45.0)
    """
    # A missing answer is as far off as can be: its interval goes on from the farther end of the range, whichever it is.
    first, last = (field.high, field.low) if answer is None else (answer, answer)
    limit = None if answer is None else threshold(tracker, coverage)
    farthest = max(finite(field.high - last), finite(first - field.low), 2 * reach.largest)
    distance = farthest if limit is None else limit
    low, high = -_end(-first, distance), _end(last, distance)
    if limit is None:  # the difference of two numbers is rounded too: the range is whole whatever it came to
        low, high = min(low, field.low), max(high, field.high)
    if not reach.is_outside:
        low, high = max(low, min(field.low, first)), min(high, max(field.high, last))
    return low + 0.0, high + 0.0  # a zero has no minus before it


def reached(field: Number, reach: Reach, answer: float | None, outcome: float) -> Reach:
    """Give how far numbers went, with one more outcome.

    Without an answer, outcomes from outside the plausible range alone tell anything: all others were said to be
    possible. These must, or steps without an answer could miss such outcomes for ever.
    """
    is_outside = not field.is_plausible(outcome)
    if answer is None and not is_outside:
        return reach
    far = max(abs(finite(outcome - end)) for end in ((field.low, field.high) if answer is None else (answer,)))
    return Reach(max(reach.largest, far), reach.is_outside or is_outside)


def _end(answer: float, distance: float) -> float:
    """Give the upper end of what is no farther from an answer than a distance, in few digits.

    12.8 + 2.3 is 15.1 to everybody but a computer. An end will do where whatever lies beyond it is farther off, as
    scores have it or exactly. Digits are counted from the distance's first on, so ends of large numbers are no rougher
    than those of small ones.
    """
    if not distance or distance >= LARGEST:
        return answer if not distance else LARGEST
    near = finite(answer + distance)
    places = DIGITS - 1 - math.floor(math.log10(distance))
    for end in (_rounded(near, places), _rounded(finite(near + 10.0**-places), places), near):
        is_beyond_farther = math.nextafter(end, math.inf) - answer > distance
        if is_beyond_farther or Fraction(end) - Fraction(answer) >= Fraction(distance):
            return end
    return math.nextafter(near, math.inf)


def _rounded(number: float, places: int) -> float:
    try:
        return round(number, places)
    except OverflowError:  # a number whose neighbour with so few digits is beyond the largest float
        return number


# --- options ----------------------------------------------------------------------------------------------------------


def ranking(field: Field, answer: Value | None, chances: Mapping[str, float], seen: Mapping[str, int]) -> list[str]:
    """Line up the options, the answer first, then what is likelier or, without chances, what came more often.

    Parameters
    ----------
    field : Field
        One whose task lists the options.
    answer : Value or None
        The prediction; None where there is none.
    chances : mapping of str to float
        How likely each option is; empty where nobody says so.
    seen : mapping of str to int
        How often each option came so far.

    Examples
    --------
    >>> from llm_as_rnn.core.fields import Label
    >>> sky = Label("sky", options=("rain", "snow", "sun"))
    >>> ranking(sky, "snow", {}, {"sun": 3}), ranking(sky, "snow", {"rain": 0.4, "snow": 0.5}, {})
    (['snow', 'sun', 'rain'], ['snow', 'rain', 'sun'])
    """
    likely = {fold(text): chance for text, chance in chances.items()}
    named = [fold(text) for text in entries(answer)]
    first = named[: 1 if likely else None]

    def key(option: str) -> tuple[int, float, int]:
        text = fold(option)
        place = first.index(text) if text in first else len(first)
        return place, -likely.get(text, 0.0), -seen.get(option, 0)

    return sorted(field.options, key=key)


def scores(order: Sequence[str], chances: Mapping[str, float]) -> list[float]:
    r"""Score the options in their order: 0 for the answer, and more for what is less likely.

    The score is how likely all those before it are together (adaptive prediction sets; Romano, Sesia and Candès,
    NeurIPS 2020), and the logarithm of its place as a share of that of the last (a regularisation as in Angelopoulos et
    al., ICLR 2021), by which sets grow gently also where a model is too sure of itself, or nobody says how likely
    anything is.

    >>> [round(score, 2) for score in scores(["sun", "rain", "snow", "fog"], {"sun": 0.7, "rain": 0.2})]
    [0.0, 1.2, 1.69, 1.9]
    """
    likely = {fold(text): chance for text, chance in chances.items()}
    found, mass = [], 0.0
    for place, option in enumerate(order):
        found.append(mass + math.log(place + 1) / math.log(len(order)) if place else 0.0)
        mass += likely.get(fold(option), 0.0)
    return found


def among(order: Sequence[str], scored: Iterable[float], limit: float | None) -> tuple[str, ...]:
    """Give the options that a prediction says: those whose score is within the threshold; all of them without one.

    >>> among(["sun", "rain", "fog"], [0.0, 1.2, 1.9], 1.5), among(["sun", "rain", "fog"], [0.0, 1.2, 1.9], None)
    (('sun', 'rain'), ('sun', 'rain', 'fog'))
    """
    return tuple(option for option, score in zip(order, scored, strict=True) if limit is None or score <= limit)


def counted(field: Field, seen: Mapping[str, int], outcome: Value) -> dict[str, int]:
    """Count the first entry of an outcome, where it is an option."""
    option = option_of(field, outcome)
    return {**seen, option: seen.get(option, 0) + 1} if option is not None else dict(seen)


def option_of(field: Field, outcome: Value) -> str | None:
    """Give the option that an outcome's first entry is; None where it is none."""
    came = fold(next(iter(entries(outcome)), ""))
    return next((option for option in field.options if fold(option) == came), None)
