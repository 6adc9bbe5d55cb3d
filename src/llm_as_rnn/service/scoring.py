"""What a step's scores add to running sums: of the answer, and of those whose advice it went by."""

from __future__ import annotations

import math
from collections.abc import Mapping

from llm_as_rnn.core.chances import completed
from llm_as_rnn.core.records import Prediction, Value
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.scores import step_scores

LOG_LOSS = "log_loss"
COVERED = "covered"
LEAST = 1e-9
"""The least chance that a log loss goes by: what was said to be impossible is a dear mistake, not an endless one."""

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
        if isinstance(came, str):
            chances = completed(options.get(field, ()), named)
            found[f"{field}.{LOG_LOSS}"] = -math.log(max(chances.get(came, 0.0), LEAST))
    for field, (low, high) in prediction.interval.items():
        came = target.get(field)
        if isinstance(came, (int, float)):
            found[f"{field}.{COVERED}"] = float(low <= came <= high)
    for field, among in prediction.among.items():
        came = target.get(field)
        if isinstance(came, str):
            found[f"{field}.{COVERED}"] = float(came in among)
    return found


def less(change: Change) -> dict[str, tuple[int, float]]:
    """Give what takes a step's scores back.

    >>> less({"sky.accuracy": (1, 1.0)})
    {'sky.accuracy': (-1, -1.0)}
    """
    return {name: (-number, -total) for name, (number, total) in change.items()}
