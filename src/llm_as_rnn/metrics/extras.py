"""Scores that a task asks for by name, beside those that its fields have by their kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from llm_as_rnn.answers import ExtraName, Field
from llm_as_rnn.records import Record, Value


class Metric(Record, frozen=True):
    """One score of a step and its mean.

    Attributes
    ----------
    name : str
        Its key in ``StepRecord.scores``, such as ``high.abs_error``.
    mean : str
        The key of its mean in a summary, such as ``high.mae``.
    title : str
        The mean's name for people, such as ``high MAE``.
    field : str
        The answer field that it scores.
    about : str
        What it measures, in a line.
    higher_is_better : bool
        Whether it is a share of right answers (0 to 1), not an error.
    """

    name: str
    mean: str
    title: str
    field: str
    about: str
    higher_is_better: bool = True


class Extra(NamedTuple):
    """A score by code that a field's ``metrics`` can name.

    Attributes
    ----------
    metrics : callable
        Lists the metrics that it gives a field.
    score : callable
        Scores an answer (None where there is none: it counts at its worst) against an outcome, by the part of the
        metric's name after the field's.
    """

    metrics: Callable[[Field], tuple[Metric, ...]]
    score: Callable[[Field, Value | None, Value], Mapping[str, float]]


def _log_metrics(field: Field) -> tuple[Metric, ...]:
    name, about = f"{field.name}.log_error", "mean absolute error of the natural logarithm: 0.1 is about 10 %"
    return (Metric(name, f"{field.name}.log_mae", f"{field.name} log MAE", field.name, about, higher_is_better=False),)


def _log_score(field: Field, answer: Value | None, outcome: Value) -> Mapping[str, float]:
    truth, low, high = _positive(outcome), math.log(field.low), math.log(field.high)
    if truth is None:
        return {}
    said = _positive(answer)
    return {"log_error": max(truth - low, high - truth) if said is None else abs(said - truth)}


def _positive(value: Value | None) -> float | None:
    number = float(value) if isinstance(value, int | float) else 0.0
    return math.log(number) if 0 < number < math.inf else None


EXTRAS: dict[ExtraName, Extra] = {"log": Extra(_log_metrics, _log_score)}
"""The extra scores by name."""
