"""What a model said of its options before anything was corrected, as its calls in the journal keep it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from llm_as_rnn.core.chances import full
from llm_as_rnn.core.fields import Field
from llm_as_rnn.core.records import StepRecord
from llm_as_rnn.trust.abstention import chance


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
    return full(field.options, told) if told and field.options else told


def before_correction(field: Field, steps: Iterable[StepRecord]) -> list[StepRecord]:
    """Give the steps with the chance that the model itself gave to the answer; those where it gave none are left out.

    The answers are the same as those whose chance was corrected, so that reliability compares like with like.

    Parameters
    ----------
    field : Field
        A label or a list.
    steps : iterable of StepRecord
        Of one method.
    """
    found = []
    for step in steps:
        said, answer = as_said(field, step), (step.prediction or {}).get(field.name)
        if said and answer is not None:
            found.append(msgspec.structs.replace(step, chance={field.name: chance(answer, said, 0, 0)}))
    return found
