"""e_t: what was right, what was missed, why, and what to do differently.

What can be computed is computed here (which fields are right, by how much a number is off), because language models
do arithmetic badly; a critic is asked for what code cannot say. Where no outcome may be shown, a judge says how good
the answer is by the task's rubric (the paper's open-ended kind).
"""

from __future__ import annotations

import re
from typing import Any

from llm_as_rnn.core.answers import AnswerSpec
from llm_as_rnn.core.calls import Role
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields import Field, Label, Number, Ranked, Text
from llm_as_rnn.core.method import Asked, Calls, said
from llm_as_rnn.core.outcomes import SENTENCE
from llm_as_rnn.core.records import Feedback, Form, Value
from llm_as_rnn.core.settings import feedback_kinds
from llm_as_rnn.core.task import Task
from llm_as_rnn.recurrence.scorecard import Scorecard, to_text
from llm_as_rnn.recurrence.writing import Step, Writer

YES_NO = ("yes", "no")

RUBRIC = "whether the answer is plausible, precise, and follows from what was known and from the memory"
"""What a judge goes by where the task has no rubric of its own."""


def critic_fields(task: Task, form: Form) -> tuple[Field, ...]:
    """List what the critic is asked for (paper, appendix C)."""
    has_list = any(isinstance(field, Ranked) for field in task.answer)
    any_correct = (Label("any_correct", "any of those named is right", options=YES_NO),) if has_list else ()
    return (
        Label("correct", "the answer is right", options=YES_NO),
        *any_correct,
        Text("missed", "what was missed", max_chars=SENTENCE[form]),
        Text("why", "why it was missed", max_chars=SENTENCE[form]),
        Text("suggestion", "what to do differently next time", max_chars=SENTENCE[form]),
    )


def judge_fields(form: Form) -> tuple[Field, ...]:
    """List what a judge is asked for: the reason before the figure, so that the figure follows from it."""
    return (
        Text("critique", "what is good and what is doubtful about the answer", max_chars=SENTENCE[form]),
        Text("suggestion", "what to do differently next time", max_chars=SENTENCE[form]),
        Number("score", "how good it is, from 0 to 100", low=0, high=100, decimals=0),
    )


class Reflection:
    """Gives a step's feedback, by the kinds that the settings name.

    Parameters
    ----------
    writer : Writer
        Who asks.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.kinds = feedback_kinds(writer.settings.feedback)
        form = writer.settings.form
        self.critic = writer.asker.block("feedback", critic_fields(writer.task, form))
        self.judge = writer.asker.block("judgement", judge_fields(form))

    def of(self, step: Step, card: Scorecard) -> Calls[tuple[Step, Feedback]]:
        """Give e_t, and the step with the conversation that led to it."""
        remarks: list[str] = []
        fields: dict[str, Any] = {}
        given: dict[str, Any]
        # The judge comes first: a chained conversation in which a critic has spoken holds the outcome.
        for kind in sorted(self.kinds, key=lambda kind: kind != "judge"):
            if kind == "judge":
                step, asked = yield from self._asked(
                    step, "judge", self.judge, rubric=self.writer.task.rubric or RUBRIC
                )
                given = {f"judge_{name}": value for name, value in (asked.value or {}).items()}
                remarks += [f"{name}: {asked.value[name]}" for name in ("critique", "suggestion") if asked.value]
            elif step.target is None:
                continue  # the other kinds compare with an outcome
            elif kind == "model":
                step, asked = yield from self._asked(step, "reflect", self.critic)
                given = dict(asked.value or {})
                remarks += [f"{name}: {asked.value[name]}" for name in ("missed", "why", "suggestion") if asked.value]
            else:
                given = {name: _figures(tally) for name, tally in card.items()}
                remarks.append(f"So far:\n{to_text(card, self.writer.task)}")
            fields |= given
            if kind != "scorecard" and asked.value is None:
                fields["problem"] = f"{asked.status}: {asked.problem}"
        return step, Feedback("+".join(self.kinds), step.facts, tuple(remarks), fields)

    def _asked(
        self, step: Step, role: Role, spec: AnswerSpec, **values: Any
    ) -> Calls[tuple[Step, Asked[dict[str, Value]]]]:
        messages = self.writer.turn(step, role, spec=spec, **values)
        read = read_judgement if role == "judge" else AnswerSpec.read
        asked = yield from self.writer.ask_fields(step, role, spec, messages, lambda text: read(spec, text))
        return step._replace(messages=(*messages, said(asked.raw))), asked


def read_judgement(spec: AnswerSpec, text: str) -> dict[str, Value]:
    """Read a judgement: a figure that stands there twice, or is written in another way than asked for, is none.

    Raises
    ------
    AnswerError
        If it is no judgement.
    """
    values = spec.read(text)
    for field in spec.fields:
        if isinstance(field, Number) and not _stands_once(spec, field.name, values[field.name], text):
            raise AnswerError(f"{field.name} must be one whole number from {field.low:g} to {field.high:g}")
    return values


def _stands_once(spec: AnswerSpec, name: str, value: Value, text: str) -> bool:
    """Say whether the only figure of this name in the text is the one that was read, a plain whole number."""
    json = spec.notation == "json"
    pattern = rf'"{name}"\s*:\s*("[^"]*"|[^,}}\s]+)' if json else rf"(?im)^[ \t*-]*{name}[ \t*-]*:(.*)$"
    figures = [figure.strip().strip('"').strip() for figure in re.findall(pattern, text)]
    plain = len(set(figures)) == 1 and re.fullmatch(r"[0-9]{1,3}(\.0+)?", figures[0])
    # Compared as well: a key in other letters (JSON escapes) can hide a second figure from the pattern.
    return bool(plain) and float(figures[0]) == value


def _figures(tally: Any) -> dict[str, Any]:
    return {name: getattr(tally, name) for name in tally.__struct_fields__ if name not in ("followed", "latest")}
