"""What code alone can say of an outcome: which fields were right, how far off a number was, what came before.

Language models do arithmetic badly, so every method is told these facts instead of being asked for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields import ARROW, Field, NoteField, Verdict
from llm_as_rnn.core.records import Form, Prediction, Target, Value
from llm_as_rnn.core.task import Task

SENTENCE = {"json": 240, "line": 120}
"""Characters of one free text within an answer; the line form is for small models, which do not come to an end."""

SHORT = 40
"""Characters that the note on a step may have, however short the step is: the examples of prompts are not longer."""

TOLERANCE = 0.05
"""Share of a number's plausible range within which two outcomes count as the same."""


def note_field(name: str, about: str, task: Task, form: Form, case: str) -> NoteField:
    """Give the field of a note about a step: in lines it tells what was seen and, by the grammar, what came.

    Left to themselves small models leave out what came, or tell another outcome (docs/results/memory.md).

    Parameters
    ----------
    name, about : str
        What it is called, and what is to stand in it.
    task, form : Task, str
        Say whether a note tells what came (see `is_told`); else it is any text.
    case : str
        The step with its outcome as one line: the note need not be longer. Empty where no outcome is known.
    """
    seen, _, came = case.rpartition(ARROW)
    # One more, by which what was stopped short is told from what is whole.
    room = min(max(len(seen), SHORT) + 1, SENTENCE[form])
    told = came if is_told(task, form) else ""
    return NoteField(name, about, max_chars=SENTENCE[form], seen=room, came=told)


def is_told(task: Task, form: Form) -> bool:
    """Tell whether a model's notes are to tell what came: in lines, where every outcome is a word or two.

    >>> from llm_as_rnn.core.task import load_task
    >>> is_told(load_task("weather"), "line"), is_told(load_task("weather-text"), "line")
    (True, False)
    """
    return form == "line" and all(field.is_short for field in task.answer)


def facts(task: Task, prediction: Prediction, target: Target) -> str:
    """State outcome and error of each field.

    >>> from llm_as_rnn.core.records import Status
    >>> from llm_as_rnn.core.task import load_task
    >>> said = Prediction({"sky": "rain", "high": 9.0}, Status.OK)
    >>> print(facts(load_task("weather"), said, {"sky": "sun", "high": 12.5}))
    sky: sun; the answer was rain, wrong
    high: 12.5 degrees C; the answer was 9.0, 3.5 too low
    """
    values, verdicts = prediction.values or {}, task.compare(prediction.values, target)
    known = [field for field in task.answer if field.name in verdicts]
    return "\n".join(_fact(field, values.get(field.name), target[field.name], verdicts[field.name]) for field in known)


def verdict(task: Task, prediction: Prediction, target: Target) -> str:
    """Say in one line how the answer did, field by field; the outcome itself is left to a case.

    >>> from llm_as_rnn.core.records import Status
    >>> from llm_as_rnn.core.task import load_task
    >>> said = Prediction({"sky": "rain", "high": 9.0}, Status.OK)
    >>> verdict(load_task("weather"), said, {"sky": "sun", "high": 12.5})
    'The answer was rain, 9.0: wrong, 3.5 too low.'
    """
    values = prediction.values or {}
    known = {name: verdict for name, verdict in task.compare(values, target).items() if verdict.answered}
    fields = [field for field in task.answer if field.name in known]
    if not fields:
        return "There was no usable answer."
    said = ", ".join(field.show(values[field.name]) for field in fields)
    return f"The answer was {said}: {', '.join(field.in_words(known[field.name]) for field in fields)}."


def same_outcome(task: Task, one: Target | None, other: Target | None) -> bool:
    """Tell whether two outcomes teach the same, in all fields that both have: of lists, the first entry does."""
    shared = [verdict for verdict in task.compare(one, other).values() if verdict.answered]
    return bool(shared) and all(v.right or (v.off is not None and v.error <= TOLERANCE) for v in shared)


def _fact(field: Field, answer: Value | None, outcome: Value, verdict: Verdict) -> str:
    truth = f"{field.name}: {field.tell(outcome)}"
    if answer is None or not verdict.answered:
        return f"{truth}; there was no usable answer"
    return f"{truth}; the answer was {field.show(answer)}, {field.in_words(verdict)}"


def last_value(field: Field, observed: Mapping[str, Any], latest: Value | None) -> Value | None:
    """Give the latest known value of a field's quantity: from the observation, else the latest outcome.

    What an observation holds may be anything; what no outcome could be tells no value.

    >>> from llm_as_rnn.core.fields import Number
    >>> high = Number("high", low=-20, high=45, last="high")
    >>> last_value(high, {"high": "12.5"}, 9.0), last_value(high, {"high": "n/a"}, 9.0), last_value(high, {}, 9.0)
    (12.5, None, 9.0)
    """
    if not field.last or field.last not in observed:
        return latest
    try:
        return field.read_outcome(observed[field.last])
    except AnswerError:
        return None
