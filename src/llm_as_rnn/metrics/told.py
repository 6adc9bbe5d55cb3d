"""What a model said of its options before anything was corrected, as its calls in the journal keep it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from llm_as_rnn.core.chances import completed
from llm_as_rnn.core.fields import Field
from llm_as_rnn.core.figures import mean
from llm_as_rnn.core.records import StepRecord
from llm_as_rnn.trust.abstention import chance, is_right


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
    alone, given, changed = list[bool](), list[bool](), 0
    for step in steps:
        said, outcome = as_said(field, step), (step.target or {}).get(field.name)
        answer = (step.prediction or {}).get(field.name)
        if step.memory_version is None or not said or outcome is None or answer is None:
            continue
        own = max(said, key=lambda option: said[option])
        changed += not is_right(field, answer, own)
        alone.append(is_right(field, own, outcome))
        given.append(is_right(field, answer, outcome))
    return Chosen(len(given), changed, mean(alone), mean(given)) if changed else None
