"""e_t: what was right, what was missed, why, and what to do differently.

What can be computed is computed here (which fields are right, by how much a number is off), because language models
do arithmetic badly; the critic is asked for what code cannot say.
"""

from __future__ import annotations

from typing import Any

from llm_as_rnn.answers import Field
from llm_as_rnn.method import Asked
from llm_as_rnn.records import Feedback, Form, Prediction, Target, Value
from llm_as_rnn.recurrence.scorecard import Scorecard, to_text
from llm_as_rnn.task import Task

SENTENCE = {"json": 240, "line": 80}
"""Characters of one free text within an answer; the line form is for small models, which do not come to an end."""


def critic_fields(task: Task, form: Form) -> tuple[Field, ...]:
    """List what the critic is asked for (paper, appendix C)."""
    yes_no = ("yes", "no")
    ranked = [field for field in task.answer if field.kind == "ranked"]
    any_correct = (Field("any_correct", "label", "any of those named is right", yes_no),) if ranked else ()
    return (
        Field("correct", "label", "the answer is right", yes_no),
        *any_correct,
        Field("missed", "text", "what was missed", max_chars=SENTENCE[form]),
        Field("why", "text", "why it was missed", max_chars=SENTENCE[form]),
        Field("suggestion", "text", "what to do differently next time", max_chars=SENTENCE[form]),
    )


def facts(task: Task, prediction: Prediction, target: Target) -> str:
    """State outcome and error of each field.

    >>> from llm_as_rnn.records import Status
    >>> from llm_as_rnn.task import load_task
    >>> said = Prediction({"sky": "rain", "high": 9.0}, Status.OK)
    >>> print(facts(load_task("weather"), said, {"sky": "sun", "high": 12.5}))
    sky: sun; the answer was rain, wrong
    high: 12.5 degrees C; the answer was 9.0, 3.5 too low
    """
    known = [field for field in task.answer if field.name in target]
    return "\n".join(_fact(field, (prediction.values or {}).get(field.name), target[field.name]) for field in known)


def _fact(field: Field, answer: Value | None, outcome: Value) -> str:
    truth = f"{field.name}: {field.show(outcome)}{' ' + field.unit if field.unit else ''}"
    if answer is None:
        return f"{truth}; there was no usable answer"
    return f"{truth}; the answer was {field.show(answer)}, {_verdict(field, answer, outcome)}"


def _verdict(field: Field, answer: Value, outcome: Value) -> str:
    if field.show(answer).casefold() == field.show(outcome).casefold():
        return "right"
    if field.kind == "number" and not isinstance(answer, tuple) and not isinstance(outcome, tuple):
        error = float(answer) - float(outcome)
        return f"{field.show(abs(error))} too {'high' if error > 0 else 'low'}"
    return "wrong"


def from_critic(known: str, asked: Asked[dict[str, Value]]) -> Feedback:
    """Put together what code knows and what the critic said; where it said nothing usable, the facts remain."""
    fields: dict[str, Any] = dict(asked.value or {})
    if asked.value is None:
        fields["problem"] = f"{asked.status}: {asked.problem}"
    said = [f"{name}: {asked.value[name]}" for name in ("missed", "why", "suggestion") if asked.value]
    return Feedback("model", "\n".join([known, *said]), fields)


def from_scorecard(known: str, card: Scorecard, task: Task) -> Feedback:
    """Put together this step's facts and the figures so far."""
    figures = {name: _figures(tally) for name, tally in card.items()}
    return Feedback("scorecard", f"{known}\nSo far:\n{to_text(card, task)}", figures)


def _figures(tally: Any) -> dict[str, Any]:
    return {name: getattr(tally, name) for name in tally.__struct_fields__ if name not in ("followed", "latest")}
