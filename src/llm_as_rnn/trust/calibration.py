r"""Recalibration: what a model says of its options, corrected by what came of it so far.

A model's chances lean to options that it likes whatever is asked. Two corrections, both by code, learned from the
stream alone, and without a call:

- **Its leaning.** Chances are divided by their own mean over the steps so far: batch calibration (Zhou et al., ICLR
  2024, arXiv 2309.17249), which does for a stream what contextual calibration (Zhao et al., ICML 2021, arXiv
  2102.09690) does with one more call, for an empty question.
- **Its confidence.** With :math:`z_k = \ln p_k - \ln \bar p_k`, what is given is
  :math:`q_k \propto e^{a z_k + b_k}`. The slope :math:`a` (a temperature) begins at 1 and the biases :math:`b_k` at 0;
  both are learned from outcomes, by a Newton step each on the log loss with the curvature of all steps so far (its
  diagonal), which begins at `SURE_OF_SLOPE` and `SURE_OF_BIAS`: as much as so many outcomes would tell.

A model may have a good reason to lean: where one option is common, to divide by the mean takes from the model what it
knows of that, and the biases give it back too slowly. So what was told and what was corrected are mixed by how far
each was borne out, as experts are in `trust.votes` (fixed share; Herbster and Warmuth 1998). Summed over ``T``
outcomes, each of which comes before the next prediction, the log loss of the mixture exceeds that of the chances as
they were told by no more than ``ln 1/(1 - c)`` and ``T ln 1/(1 - s c)``, where ``c`` is `CORRECTED` and ``s`` is
`SHARE`; that of the corrected ones by as much with ``1 - c`` in the place of ``c``: 5.0 and 0.4 nats after 300. Where
outcomes come late, we know of no bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from llm_as_rnn.core.chances import LEAST
from llm_as_rnn.core.records import Record

SURE_OF_SLOPE = 10.0
SURE_OF_BIAS = 20.0
"""What the curvature begins with; measured on streams of intents and weather with a small model (docs/trust.md)."""

ALIKE = 2.0
"""In so many steps, before the first, all options were as likely: one step alone tells no leaning."""


CORRECTED = 0.9
"""How far the corrected chances are believed beside the told ones before anything is known: models lean as a rule."""

SHARE = 0.01
"""The share of belief that is dealt out anew after each outcome: what was worse for long may be the better now."""


class Calibration(Record, frozen=True):
    """What is known of how a model's chances come out.

    Attributes
    ----------
    steps : int
        Predictions whose chances were seen.
    said : dict of str to float
        The sum of the chances that each option was given; of those that never were given any of their own, nothing.
    slope, slope_curvature : float
        How far the chances are drawn apart (above 1) or together, and how sure that is.
    bias, bias_curvature : dict of str to float
        The same for each option that was said or came.
    belief : float
        How far the corrected chances are believed beside those that were told, between 0 and 1.
    """

    steps: int = 0
    said: dict[str, float] = msgspec.field(default_factory=dict)
    slope: float = 1.0
    slope_curvature: float = SURE_OF_SLOPE
    bias: dict[str, float] = msgspec.field(default_factory=dict)
    bias_curvature: dict[str, float] = msgspec.field(default_factory=dict)
    belief: float = CORRECTED


def adjusted(calibration: Calibration, chances: Mapping[str, float]) -> dict[str, float]:
    """Correct the chances of one prediction.

    Parameters
    ----------
    calibration : Calibration
        What earlier ones taught.
    chances : mapping of str to float
        Every option's, as the model says (see `core.chances.full`).

    Returns
    -------
    dict of str to float
        The same options; they add up to 1.

    Examples
    --------
    >>> leaning = Calibration()
    >>> for outcome in ("sun", "rain", "sun", "rain"):
    ...     leaning = after(leaning, {"rain": 0.1, "sun": 0.9}, outcome)
    >>> {option: round(chance, 2) for option, chance in adjusted(leaning, {"rain": 0.2, "sun": 0.8}).items()}
    {'rain': 0.49, 'sun': 0.51}
    """
    return _softmax(_logits(calibration, _evidence(calibration, chances)))


def weighed(calibration: Calibration, chances: Mapping[str, float]) -> dict[str, float]:
    """Mix the corrected chances with those that were told, each as far as it was borne out.

    Parameters and result are those of `adjusted`.

    Examples
    --------
    >>> common, first = Calibration(), {"rain": 0.1, "sun": 0.9}
    >>> for _ in range(20):
    ...     common = after(common, first, "sun")
    >>> round(adjusted(common, first)["sun"], 2), round(weighed(common, first)["sun"], 2)
    (0.72, 0.87)
    """
    corrected, belief = adjusted(calibration, chances), calibration.belief
    return {option: belief * corrected[option] + (1 - belief) * chance for option, chance in chances.items()}


def after(calibration: Calibration, chances: Mapping[str, float], outcome: str | None) -> Calibration:
    """Learn from one prediction: its chances as the model said them, and what came (None if nobody knows)."""
    steps = calibration.steps + 1
    said = {option: calibration.said.get(option, 0.0) + chance for option, chance in chances.items()}
    if outcome is None or outcome not in chances:
        return msgspec.structs.replace(calibration, steps=steps, said=said)
    evidence = _evidence(calibration, chances)
    given = _softmax(_logits(calibration, evidence))
    mean = math.fsum(given[option] * evidence[option] for option in given)
    spread = math.fsum(given[option] * (evidence[option] - mean) ** 2 for option in given)
    curvature = calibration.slope_curvature + spread
    slope = max(calibration.slope - (mean - evidence[outcome]) / curvature, 0.0)
    bias, curvatures = dict(calibration.bias), dict(calibration.bias_curvature)
    for option, chance in given.items():
        curvatures[option] = curvatures.get(option, SURE_OF_BIAS) + chance * (1 - chance)
        bias[option] = bias.get(option, 0.0) - (chance - (option == outcome)) / curvatures[option]
    belief = _believed(calibration.belief, given[outcome], chances[outcome])
    return Calibration(steps, said, slope, curvature, bias, curvatures, belief)


def _believed(belief: float, corrected: float, told: float) -> float:
    """Give the belief in the corrected chances after what came, whose chance they and the told ones gave."""
    own, other = belief * max(corrected, LEAST), (1 - belief) * max(told, LEAST)
    return (1 - SHARE) * own / (own + other) + SHARE * CORRECTED


def _evidence(calibration: Calibration, chances: Mapping[str, float]) -> dict[str, float]:
    """Say by how much more than usual each option is held likely, in nats."""
    alike = ALIKE / len(chances)
    return {
        option: math.log(max(chance, LEAST) / (alike + calibration.said.get(option, 0.0) + chance))
        for option, chance in chances.items()
    }


def _logits(calibration: Calibration, evidence: Mapping[str, float]) -> dict[str, float]:
    return {option: calibration.slope * value + calibration.bias.get(option, 0.0) for option, value in evidence.items()}


def _softmax(logits: Mapping[str, float]) -> dict[str, float]:
    most = max(logits.values())
    weights = {option: math.exp(logit - most) for option, logit in logits.items()}
    whole = math.fsum(weights.values())
    return {option: weight / whole for option, weight in weights.items()}
