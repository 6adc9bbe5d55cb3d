"""A score: what a field of a task may ask for by name, beside what all of its kind have."""

from __future__ import annotations

from collections.abc import Mapping

from llm_as_rnn.core.extras import Extra, Metric
from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.records import Value

SHARE = 0.1
"""Of the plausible range: an answer that is no farther off counts as right."""


def metrics(field: Number) -> tuple[Metric, ...]:
    """List what it gives a field."""
    name = f"{field.name}.in_range"
    about = f"share of answers within {SHARE:.0%} of the range"
    return (Metric(name, name, f"{field.name} in range", field.name, about),)


def score(field: Number, answer: Value | None, outcome: Value) -> Mapping[str, float]:
    """Score an answer; None is one that is missing, and counts as wrong."""
    if not isinstance(answer, int | float) or not isinstance(outcome, int | float):
        return {"in_range": 0.0}
    return {"in_range": float(abs(answer - outcome) <= SHARE * (field.high - field.low))}


IN_RANGE = Extra("in_range", "number", metrics, score)
