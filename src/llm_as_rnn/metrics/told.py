"""What a model said of its options before anything was corrected, as its calls in the journal keep it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from llm_as_rnn.core.chances import completed
from llm_as_rnn.core.fields import Field
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.trust.abstention import is_right


def as_said(field: Field, step: StepRecord) -> dict[str, float]:
    """Give the chance of each option as the model said it, at its last attempt; empty where it did not.

    Of an answer that was made by advice there is none either: several may have been asked for it.

    Parameters
    ----------
    field : Field
        A label or a list whose task names the options.
    step : StepRecord
        Whose calls to look at.
    """
    if field.name in step.believed:
        return {}
    said = [call.chances[field.name] for call in step.calls if call.role == "predict" and field.name in call.chances]
    told = said[-1] if said else {}
    return completed(field.options, told)


class Chosen(NamedTuple):
    """What became of a field's answers where cases had a say in them.

    Attributes
    ----------
    steps : int
        Steps with a memory and an outcome at which the model said its chances.
    changed : int
        Of these, those answered otherwise than with the option that the model held likeliest.
    alone, given : float
        The share of these steps at which that option was right, and at which the answer was.
    """

    steps: int
    changed: int
    alone: float
    given: float


def chosen_otherwise(field: Field, steps: Iterable[StepRecord]) -> Chosen | None:
    """Compare the answers that were given with those that the model by itself held likeliest.

    Parameters
    ----------
    field : Field
        A label or a list.
    steps : iterable of StepRecord
        Of one method.

    Returns
    -------
    Chosen or None
        None if no answer was another than the model's own: then nobody else had a say. Methods without a memory have
        no cases that could have one.
    """
    choosing = Choosing(field)
    for step in steps:
        if said := as_said(field, step):
            choosing.add(step, said)
    return choosing.found


class Choosing:
    """Counts what became of one field's answers, a step at a time (see `chosen_otherwise`)."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._steps = self._changed = self._alone = self._given = 0

    def add(self, step: StepRecord, said: Mapping[str, float]) -> None:
        """Take one more step into account; ``said`` is what `as_said` gives of it, and not empty."""
        field = self._field
        outcome, answer = (step.target or {}).get(field.name), (step.prediction or {}).get(field.name)
        if step.memory_version is None or outcome is None or answer is None:
            return
        own = max(said, key=lambda option: said[option])
        self._steps += 1
        self._changed += not is_right(field, answer, own)
        self._alone += is_right(field, own, outcome)
        self._given += is_right(field, answer, outcome)

    @property
    def found(self) -> Chosen | None:
        """What there was so far; None if no answer was another than the model's own."""
        steps = self._steps
        return Chosen(steps, self._changed, self._alone / steps, self._given / steps) if self._changed else None
