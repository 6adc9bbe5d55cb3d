"""Scores that a task asks for by name, beside those that its fields have by their kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from llm_as_rnn.core.fields import ExtraName, Number, Ranked, Text
from llm_as_rnn.core.records import Record, Value
from llm_as_rnn.metrics.forecasts import compare


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
        Whether it says how good answers are, and not an error.
    best : float
        The best score, where higher is better: 1 for shares of right answers.
    judged : bool
        Whether a judge gives it, after the run.
    """

    name: str
    mean: str
    title: str
    field: str
    about: str
    higher_is_better: bool = True
    best: float = 1.0
    judged: bool = False

    @property
    def is_share(self) -> bool:
        """Whether a step's score is 1 for a right answer and 0 for a wrong one."""
        return self.higher_is_better and self.best == 1


class Extra(NamedTuple):
    """A score by code that a field's ``metrics`` can name; it is given fields of the kind that may ask for it.

    Attributes
    ----------
    metrics : callable
        Lists the metrics that it gives a field.
    score : callable
        Scores an answer (None where there is none: it counts at its worst) against an outcome, by the part of the
        metric's name after the field's.
    """

    metrics: Callable[[Any], tuple[Metric, ...]]
    score: Callable[[Any, Value | None, Value], Mapping[str, float]]


def _log_metrics(field: Number) -> tuple[Metric, ...]:
    name, about = f"{field.name}.log_error", "mean absolute error of the natural logarithm: 0.1 is about 10 %"
    return (Metric(name, f"{field.name}.log_mae", f"{field.name} log MAE", field.name, about, higher_is_better=False),)


def _log_score(field: Number, answer: Value | None, outcome: Value) -> Mapping[str, float]:
    truth, low, high = _positive(outcome), math.log(field.low), math.log(field.high)
    if truth is None:
        return {}
    said = _positive(answer)
    return {"log_error": max(truth - low, high - truth) if said is None else abs(said - truth)}


def _positive(value: Value | None) -> float | None:
    number = float(value) if isinstance(value, int | float) else 0.0
    return math.log(number) if 0 < number < math.inf else None


def _mse_metrics(field: Number) -> tuple[Metric, ...]:
    name, about = f"{field.name}.sq_error", "mean squared error, in the square of the number's unit"
    return (Metric(name, f"{field.name}.mse", f"{field.name} MSE", field.name, about, higher_is_better=False),)


def _no_score(_field: Number, _answer: Value | None, _outcome: Value) -> Mapping[str, float]:
    # Every number has its squared error already: here it is only listed, so that its mean is reported.
    return {}


def _facts_metrics(field: Text) -> tuple[Metric, ...]:
    name, about = f"{field.name}.facts", "sky, temperatures and rain as read from the forecast by code, 0 to 100"
    return (Metric(name, name, f"{field.name} facts", field.name, about, best=100.0),)


def _facts_score(field: Text, answer: Value | None, outcome: Value) -> Mapping[str, float]:
    return compare(answer if isinstance(answer, str) else "", outcome if isinstance(outcome, str) else "")


def _category_metrics(level: str, what: str, field: Ranked) -> tuple[Metric, ...]:
    ways = {1: "whose first answer is of the primary outcome's", field.top: "with any answer of any outcome's"}
    names = {top: f"{field.name}.{level}.acc@{top}" for top in ways}
    return tuple(
        Metric(names[top], names[top], f"{level.upper()} acc@{top}", field.name, f"share of steps {way} {what}")
        for top, way in ways.items()
    )


def _by_the_run(_field: Ranked, _answer: Value | None, _outcome: Value) -> Mapping[str, float]:
    # Which category a text is of stands in the user's own data: the run adds these scores (see `metrics.icd`).
    return {}


EXTRAS: dict[ExtraName, Extra] = {
    "log": Extra(_log_metrics, _log_score),
    "mse": Extra(_mse_metrics, _no_score),
    "facts": Extra(_facts_metrics, _facts_score),
    "icd": Extra(partial(_category_metrics, "icd", "ICD category (three characters)"), _by_the_run),
    "ccsr": Extra(partial(_category_metrics, "ccsr", "CCSR category"), _by_the_run),
}
"""The extra scores by name."""
