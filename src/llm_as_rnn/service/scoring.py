"""What a step's scores add to running sums: of the answer, and of those whose advice it went by."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from llm_as_rnn.core.chances import completed
from llm_as_rnn.core.fields.verdict import number_in
from llm_as_rnn.core.records import Prediction, Value
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.scores import step_scores
from llm_as_rnn.metrics.trusted import FLOOR, chance_of, is_among

LOG_LOSS = "log_loss"
COVERED = "covered"

_read_values = msgspec.json.Decoder(dict[str, Value]).decode

Change = Mapping[str, tuple[int, float]]
"""By score, how many more there are and how much more they come to."""


def scored(task: Task, prediction: Prediction, target: Mapping[str, Value]) -> dict[str, tuple[int, float]]:
    """Score a step.

    Parameters
    ----------
    task : Task
        What was predicted.
    prediction : Prediction
        What was said.
    target : mapping
        What came.

    Returns
    -------
    dict
        By score, how often (once) and how much. The answer's own scores have their names (``sky.accuracy``), those of
        an adviser its name before them (``repeat_last:sky.accuracy``).
    """
    change = {name: (1, value) for name, value in step_scores(task, prediction.values, target).items()}
    change |= {name: (1, value) for name, value in _trusted(task, prediction, target).items()}
    names = next(iter(prediction.believed.values()), {})
    for name, said in zip(names, prediction.advisers, strict=False):
        scores = step_scores(task, said.values, target)
        change |= {f"{name}:{score}": (1, value) for score, value in scores.items()}
    return change


def _trusted(task: Task, prediction: Prediction, target: Mapping[str, Value]) -> dict[str, float]:
    """Score chances and intervals."""
    found: dict[str, float] = {}
    options = {field.name: field.options for field in task.answer}
    for field, named in prediction.distribution.items():
        came = target.get(field)
        if came is not None and named:
            chance = chance_of(came, completed(options.get(field, ()), named))
            found[f"{field}.{LOG_LOSS}"] = -math.log(max(chance, FLOOR))
    for field, (low, high) in prediction.interval.items():
        number = number_in(target.get(field))
        if number is not None:
            found[f"{field}.{COVERED}"] = float(low <= number <= high)
    for field, among in prediction.among.items():
        came = target.get(field)
        if came is not None:
            found[f"{field}.{COVERED}"] = float(is_among(came, among))
    return found


class _Kept(msgspec.Struct):
    """What is kept of a learned outcome, as far as it is looked at here."""

    scores: dict[str, float] | None = None


_read_kept = msgspec.json.Decoder(_Kept).decode


def kept(change: Change) -> dict[str, float]:
    """Give the scores of one step as they are kept with its outcome (see `scored_then`)."""
    return {name: value for name, (_, value) in change.items()}


def scored_then(task: Task, prediction: Prediction, outcome: str, result: str | None) -> dict[str, tuple[int, float]]:
    """Give the scores of a step as they were when its outcome was learned.

    They are kept with the outcome: the session may have another version of its task by now, with other options or
    another range, and what it would score is not what stands in the sums.

    Parameters
    ----------
    task, prediction
        As for `scored`; the task as it is now, where nothing was kept.
    outcome : str
        What came, as its row has it.
    result : str or None
        What became of it, as its row has it.
    """
    scores = None if result is None else _read_kept(result).scores
    if scores is None:
        return scored(task, prediction, _read_values(outcome))
    return {name: (1, value) for name, value in scores.items()}


def less(change: Change) -> dict[str, tuple[int, float]]:
    """Give what takes a step's scores back.

    >>> less({"sky.accuracy": (1, 1.0)})
    {'sky.accuracy': (-1, -1.0)}
    """
    return {name: (-number, -total) for name, (number, total) in change.items()}
