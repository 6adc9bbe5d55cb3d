"""The scores of one step, and what they are called.

A missing answer stays in the denominator at its worst: a label is wrong, a number is off by the farther end of the
field's plausible range. So failing never pays.
"""

from __future__ import annotations

from collections.abc import Mapping

from llm_as_rnn.comparing import Verdict
from llm_as_rnn.fields import Field
from llm_as_rnn.figures import finite
from llm_as_rnn.metrics.extras import EXTRAS, Metric
from llm_as_rnn.metrics.judged import judged_metrics
from llm_as_rnn.records import Target
from llm_as_rnn.task import Task


def field_metrics(field: Field) -> tuple[Metric, ...]:
    """List the metrics of one field, the one to look at first in front.

    Those that its task asks for stand behind; of a text they say more than whether it is a copy, and stand for that.

    >>> [metric.mean for metric in field_metrics(Field("high", "number", low=-20, high=45))]
    ['high.mae']
    >>> [metric.mean for metric in field_metrics(Field("diagnoses", "ranked", top=5))]
    ['diagnoses.acc@1', 'diagnoses.acc@5']
    """
    asked = [metric for name in field.extras for metric in EXTRAS[name].metrics(field)]
    if field.kind == "text":
        return (*judged_metrics(field), *(asked or _kind_metrics(field)))
    return (*_kind_metrics(field), *asked, *judged_metrics(field))


def _kind_metrics(field: Field) -> tuple[Metric, ...]:
    match field.kind:
        case "label":
            return (_share(field, "accuracy", "share of steps with the right label"),)
        case "number":
            unit = f", in {field.unit}" if field.unit else ""
            about = f"mean absolute error{unit}; a missing answer counts as the farther end of the range"
            name, title = f"{field.name}.abs_error", f"{field.name} MAE"
            return (Metric(name, f"{field.name}.mae", title, field.name, about, higher_is_better=False),)
        case "ranked":
            first = _share(field, "acc@1", "share of steps whose first answer is the primary outcome")
            among = _share(field, f"acc@{field.top}", "share of steps with any outcome among the answers")
            return (first, among) if field.top > 1 else (first,)
        case "text":
            return (_share(field, "match", "share of steps with exactly the outcome's text, in any case"),)


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
    >>> from llm_as_rnn.task import load_task
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
            answer = (prediction or {}).get(field.name)
            kinds = dict(_kind_scores(field, verdicts[field.name])) if field.name in verdicts else {}
            for name in field.extras:
                kinds.update(EXTRAS[name].score(field, answer, outcome))
            scores.update({f"{field.name}.{kind}": score for kind, score in kinds.items()})
    return scores


def _kind_scores(field: Field, verdict: Verdict) -> Mapping[str, float]:
    match field.kind:
        case "number":
            error = abs(verdict.off or 0.0)
            return {"abs_error": error, "sq_error": finite(error * error)}
        case "ranked":
            first = {"acc@1": float(verdict.right)}
            return {**first, f"acc@{field.top}": float(verdict.among)} if field.top > 1 else first
        case "label":
            return {"accuracy": float(verdict.right)}
        case "text":
            return {"match": float(verdict.right)}


def _share(field: Field, kind: str, about: str) -> Metric:
    name = f"{field.name}.{kind}"
    return Metric(name, name, f"{field.name} {kind}", field.name, about)
