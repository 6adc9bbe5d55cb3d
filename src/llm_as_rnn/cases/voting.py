"""What past cases say of the options: each votes for what came of it, the more the better it fits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

SHARPNESS = 13.0
"""How much more the better of two cases counts: e to the power of so many times the difference of their fits.

Measured on streams of intents, tags of financial figures, diagnoses and bank customers' questions, without a model: by
log loss 8 to 13 were best, by accuracy 13 to 20.
"""

DOUBT = 0.5
"""What all options together have in votes beside the cases: as much as a case that fits to about 0.03."""


def votes(options: Sequence[str], cases: Iterable[tuple[float, str]]) -> dict[str, float]:
    """Give each option's share of the votes.

    Parameters
    ----------
    options : sequence of str
        All there are.
    cases : iterable of (float, str)
        How well a case fits, in [0, 1], and what came of it. A case that does not fit at all has no vote, nor one of
        which came what is no option.

    Returns
    -------
    dict of str to float
        The chance of every option; they add up to 1. Without a case that fits, all are as likely.

    Examples
    --------
    >>> chances = votes(("rain", "sun", "fog"), [(0.9, "sun"), (0.6, "rain"), (0.0, "fog")])
    >>> {option: round(chance, 3) for option, chance in chances.items()}
    {'rain': 0.02, 'sun': 0.98, 'fog': 0.0}
    """
    shares = dict.fromkeys(options, DOUBT / len(options))
    for fit, came in cases:
        if came in shares:
            shares[came] += math.expm1(SHARPNESS * fit)
    whole = math.fsum(shares.values())
    return {option: share / whole for option, share in shares.items()}
