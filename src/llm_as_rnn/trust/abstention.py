"""When no answer is the better answer: how likely an answer is to be right, and whether that is enough.

The rule is Chow's (IEEE Transactions on Information Theory 16, 1970): where a wrong answer costs 1 and no answer costs
less, it pays to say nothing as soon as the chance of being wrong is above that cost; where chances are what they say,
no other rule costs less. A number is never simply right, so it is held back where its interval is too wide for use.
"""

from __future__ import annotations

from collections.abc import Mapping

from llm_as_rnn.core.fields import Field, entries
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.records import Value


def chance(answer: Value | None, chances: Mapping[str, float], right: int, known: int) -> float:
    """Say how likely an answer is to be right; of a list, its first entry.

    Parameters
    ----------
    answer : Value or None
        The prediction; None where there is none, which is never right.
    chances : mapping of str to float
        How likely each option is. Where nobody says so, it is how often answers were right so far, by Krichevsky and
        Trofimov's estimate: half a step more of each kind than there were.
    right, known : int
        Answers that were right; answers whose outcome is known.

    Examples
    --------
    >>> chance("sun", {"sun": 0.7, "rain": 0.3}, 0, 0), chance("sun", {}, 0, 0), chance("sun", {}, 8, 9)
    (0.7, 0.5, 0.85)
    """
    if answer is None:
        return 0.0
    if not chances:
        return (right + 0.5) / (known + 1)
    first = fold(next(iter(entries(answer)), ""))
    return next((figure for text, figure in chances.items() if fold(text) == first), 0.0)


def is_right(field: Field, answer: Value, outcome: Value) -> bool:
    """Tell whether an answer was right, or the same as another one: as anywhere else (see `BaseField.compare`)."""
    verdict = field.compare(answer, outcome)
    return verdict is not None and verdict.right


def withholds(
    is_likely: float | None, said: tuple[float, float] | None, cost: float | None, widest: float | None
) -> bool:
    """Tell whether an answer is to be held back.

    Parameters
    ----------
    is_likely : float or None
        How likely it is to be right; None for a number.
    said : tuple of float or None
        A number's interval.
    cost : float or None
        What no answer costs, where a wrong one costs 1; None to hold no such answer back.
    widest : float or None
        The widest interval that a number may have, in its unit; None to hold none back.

    Examples
    --------
    >>> withholds(0.7, None, 0.2, None), withholds(0.9, None, 0.2, None), withholds(None, (10.5, 15.1), None, 4)
    (True, False, True)
    """
    if is_likely is not None:
        return cost is not None and 1 - is_likely > cost
    return said is not None and widest is not None and said[1] - said[0] > widest
