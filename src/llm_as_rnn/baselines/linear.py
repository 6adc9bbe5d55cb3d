"""The arithmetic of online linear models, as values: River's, with its defaults, in plain numbers that survive JSON.

A model of a number is ``TargetStandardScaler(LinearRegression())``, one of a label ``OneVsRestClassifier(
LogisticRegression())``, both behind ``SelectType(Number) | StandardScaler()`` for numbers and ``OneHotEncoder()`` for
words. Written out here, they need no package: every run has them, with the same figures. A test compares them with
River's own (Montiel et al., "River: machine learning for streaming data in Python", JMLR 2021).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from llm_as_rnn.core.records import Record

RATE = 0.01
"""The learning rate of weights and intercept."""

STEEPEST = 1e12
"""Gradients are cut off there, so that a model that diverges stays finite."""

LARGEST = 1e100
"""Larger numbers are left out, of features and outcomes alike: their squares would overflow."""

SUREST = 30.0
"""Log odds beyond this are no other chance than 0 or 1."""
FARTHEST = 1e12
"""Scaled numbers are cut off there: so far out they come from a variance that is as good as none."""

LONGEST = 60
"""Longer texts are no categories, but prose, in characters."""

Features = Mapping[str, float]


class Moments(Record, frozen=True):
    """Count, mean and variance (of the population) of what was seen of a quantity."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def after(self, value: float) -> Moments:
        """Give the moments with one more value."""
        count = self.count + 1
        mean = self.mean + (value - self.mean) / count
        spread = (value - self.mean) * (value - mean)
        return Moments(count, mean, max(0.0, self.variance + (spread - self.variance) / count))

    @property
    def sample(self) -> float:
        """The sample's standard deviation: 0 for fewer than two values."""
        return math.sqrt(self.variance * self.count / (self.count - 1)) if self.count > 1 else 0.0

    def scaled(self, value: float) -> float:
        """Scale a value to mean 0 and variance 1; to 0 where there is no variance."""
        scaled = (value - self.mean) / math.sqrt(self.variance) if self.variance else 0.0
        return max(-FARTHEST, min(FARTHEST, scaled))


class Weights(Record, frozen=True):
    """A linear model of features."""

    slopes: dict[str, float] = msgspec.field(default_factory=dict)
    intercept: float = 0.0

    def raw(self, x: Features) -> float:
        """Give the model's value."""
        return self.intercept + sum(self.slopes.get(name, 0.0) * value for name, value in x.items())

    def after(self, x: Features, gradient: float) -> Weights:
        """Take one step down the loss's gradient by the model's value."""
        step = RATE * max(-STEEPEST, min(STEEPEST, gradient))
        slopes = {name: self.slopes.get(name, 0.0) - step * value for name, value in x.items()}
        return Weights({**self.slopes, **slopes}, self.intercept - step)


class NumberModel(Record, frozen=True):
    """A model of a number that it knows scaled by those seen."""

    seen: Moments = Moments()
    weights: Weights = Weights()

    def predict(self, x: Features) -> float:
        """Predict, in the number's own unit."""
        return self.seen.mean + self.weights.raw(x) * self.seen.sample

    def after(self, x: Features, y: float) -> NumberModel:
        """Learn from one outcome, by squared loss."""
        if abs(y) > LARGEST:
            return self
        seen = self.seen.after(y)
        wanted = max(-FARTHEST, min(FARTHEST, (y - seen.mean) / seen.sample)) if seen.sample else 0.0
        return NumberModel(seen, self.weights.after(x, 2 * (self.weights.raw(x) - wanted)))


class LabelModel(Record, frozen=True):
    """A model of each label that was seen, against all others."""

    weights: dict[str, Weights] = msgspec.field(default_factory=dict)

    def predict(self, x: Features) -> str:
        """Give the most likely label; of equals, the one seen first."""
        return max(self.weights, key=lambda label: self.weights[label].raw(x))

    def chances(self, x: Features) -> dict[str, float]:
        """Give how likely each label is that was seen, as shares of the chances that their models give."""
        raw = {label: max(-SUREST, min(SUREST, weights.raw(x))) for label, weights in self.weights.items()}
        return {label: 1 / (1 + math.exp(-value)) for label, value in raw.items()}

    def after(self, x: Features, y: str) -> LabelModel:
        """Learn from one outcome, by logistic loss."""
        known = {**self.weights, y: self.weights.get(y, Weights())}
        return LabelModel({
            label: weights.after(x, _logistic_gradient(weights.raw(x), 1 if label == y else -1))
            for label, weights in known.items()
        })  # fmt: skip


def _logistic_gradient(raw: float, sign: int) -> float:
    margin = raw * sign
    # Far out, one of the terms is below what a float can tell apart, and the exponential above what it can hold.
    if abs(margin) > 18:  # noqa: PLR2004 - as River has it
        return -sign * (math.exp(-margin) if margin > 0 else 1.0)
    return -sign / (math.exp(margin) + 1.0)


def split_fields(fields: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Split an observation's fields into numbers and categories, a 1 for each one that holds.

    >>> split_fields({"sky": "rain", "high": 9, "wet": True, "days": [1, 2]})
    ({'high': 9.0}, {'sky=rain': 1.0, 'wet=True': 1.0})
    """
    numbers, categories = dict[str, float](), dict[str, float]()
    for name, value in fields.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            if abs(value) <= LARGEST:  # not so for NaN
                numbers[name] = float(value)
        elif isinstance(value, bool) or (isinstance(value, str) and len(value) <= LONGEST):
            categories[f"{name}={value}"] = 1.0
    return numbers, categories
