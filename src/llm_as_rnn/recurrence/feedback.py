"""e_t: what was right, what was missed, why, and what to do differently.

What can be computed is computed here (which fields are right, by how much a number is off), because language models
do arithmetic badly; the critic is asked for what code cannot say.
"""

from __future__ import annotations

from typing import Any

from llm_as_rnn.answers import Field
from llm_as_rnn.method import Asked
from llm_as_rnn.outcomes import SENTENCE
from llm_as_rnn.records import Feedback, Form, Value
from llm_as_rnn.recurrence.scorecard import Scorecard, to_text
from llm_as_rnn.task import Task


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
