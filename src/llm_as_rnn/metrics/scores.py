"""The scores of one step, and what they are called.

A missing answer stays in the denominator at its worst: a label is wrong, a number is off by the farther end of the
field's plausible range. So failing never pays.
"""

from __future__ import annotations

from functools import lru_cache

from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.fields import Field
from llm_as_rnn.core.records import Target
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.extras import extra_metrics, extra_scores
from llm_as_rnn.metrics.judged import judged_metrics


@lru_cache(maxsize=256)
def field_metrics(field: Field) -> tuple[Metric, ...]:
    """List the metrics of one field, the one to look at first in front.

    Those that its task asks for stand behind; where the same can be told in many ways they say more than those of the
    kind, and stand for them.

    >>> from llm_as_rnn.core.fields import Number, Ranked
    >>> [metric.mean for metric in field_metrics(Number("high", low=-20, high=45))]
    ['high.mae']
    >>> [metric.mean for metric in field_metrics(Ranked("diagnoses", top=5))]
    ['diagnoses.acc@1', 'diagnoses.acc@5']
    """
    asked = extra_metrics(field)
    if field.is_open:
        return (*judged_metrics(field), *(asked or _kind_metrics(field)))
    return (*_kind_metrics(field), *asked, *judged_metrics(field))


def _kind_metrics(field: Field) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            name=f"{field.name}.{measure.score}",
            mean=f"{field.name}.{measure.mean or measure.score}",
            title=f"{field.name} {measure.title or measure.score}",
            field=field.name,
            about=measure.about,
            higher_is_better=measure.higher_is_better,
        )
        for measure in field.measures()
        if measure.about
    )


def task_metrics(task: Task) -> tuple[Metric, ...]:
    """List the metrics of a task, in the order of its answer's fields."""
    return tuple(metric for field in task.answer for metric in field_metrics(field))


def step_scores(task: Task, prediction: Target | None, target: Target | None) -> dict[str, float]:
    """Score one prediction.

    Parameters
    ----------
    task : Task
        Which says what kind each field is.
    prediction : dict or None
        y_hat_t by field; None where there is no usable answer.
    target : dict or None
        y_t by field; fields without an outcome are not scored.

    Returns
    -------
    dict of str to float
        By field and kind: label ``accuracy``; number ``abs_error`` and ``sq_error``, in the field's unit and its
        square; ranked ``acc@1`` (the first answer is the primary outcome) and ``acc@k`` for the field's k (any answer
        is among the outcomes); text ``match``. Accuracies and matches are 0 or 1. Those of `extras` where the task asks
        for them. Empty without a target.

    Examples
    --------
    >>> from llm_as_rnn.core.task import load_task
    >>> weather = load_task("weather")
    >>> step_scores(weather, {"sky": "rain", "high": 9.0}, {"sky": "rain", "high": 12.5})
    {'sky.accuracy': 1.0, 'high.abs_error': 3.5, 'high.sq_error': 12.25}
    >>> step_scores(weather, None, {"sky": "rain", "high": 10.0})
    {'sky.accuracy': 0.0, 'high.abs_error': 35.0, 'high.sq_error': 1225.0}
    """
    scores: dict[str, float] = {}
    verdicts = task.compare(prediction, target)
    for field in task.answer:
        outcome = (target or {}).get(field.name)
        if outcome is not None:
            answer, verdict = (prediction or {}).get(field.name), verdicts.get(field.name)
            found = {measure.score: measure.of(verdict) for measure in field.measures()} if verdict else {}
            found.update(extra_scores(field, answer, outcome))
            scores.update({f"{field.name}.{score}": value for score, value in found.items()})
    return scores
