"""Scores that a task asks for by name: those of numbers, and how those that come with a dataset are looked up."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.extras import Extra, Metric, Score, offered
from llm_as_rnn.core.fields import Field, Number
from llm_as_rnn.core.records import Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task


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


OF_NUMBERS = {
    "log": Extra("log", "number", _log_metrics, _log_score),
    # Every number has its squared error already: here it is only listed, so that its mean is reported.
    "mse": Extra("mse", "number", _mse_metrics),
}
"""The scores that any number may ask for, whatever its data (`Number.may_ask`)."""


def extra(name: str) -> Extra:
    """Look up a score by the name by which a field asks for it.

    Raises
    ------
    UsageError
        If nobody offers it any more.
    """
    found = OF_NUMBERS.get(name) or offered(name)
    if found is None:
        raise UsageError(f"there is no score {name!r}", "install the package that brings it")
    return found


def extra_metrics(field: Field) -> list[Metric]:
    """List the metrics of the scores that a field asks for."""
    return [metric for name in field.extras for metric in extra(name).metrics(field)]


def extra_scores(field: Field, answer: Value | None, outcome: Value) -> dict[str, float]:
    """Give those of the scores that a field asks for that follow from answer and outcome alone."""
    scores = [score for name in field.extras if (score := extra(name).score)]
    return {name: value for score in scores for name, value in score(field, answer, outcome).items()}


def with_data(task: Task, scores: Mapping[str, Score], record: StepRecord) -> StepRecord:
    """Add to a step the scores for which the data itself is needed, for the fields whose task asks for them."""
    added: dict[str, float] = {}
    for field in task.answer:
        outcome = (record.target or {}).get(field.name)
        for name in field.extras:
            if name in scores and outcome is not None:
                found = scores[name](field, (record.prediction or {}).get(field.name), outcome)
                added.update({f"{field.name}.{score}": value for score, value in found.items()})
    return msgspec.structs.replace(record, scores={**record.scores, **added})
