"""Choosing among the options: what the model holds likely, and what came in the memory's cases, weighed together.

A small model is shown the right case and does not always follow it; a look-up always follows the nearest, right or
wrong. Both tell chances: the model by its tokens (`core.chances`), the cases by their votes (`cases.voting`). A pool
adds up the evidence of both (`trust.pool`), and learns from every outcome how far each is to be followed. It costs no
call, and a model that tells no chances answers as it did.

The model's chances are corrected (`calibration.adjusted`) and not mixed with those that it told (`weighed`), though
where one option is common that takes from them what the model knows of it. The cases know that as well, and to add up
both would count it twice: mixed chances are the better ones only where the memory tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from llm_as_rnn.cases.voting import votes
from llm_as_rnn.core.chances import full, likeliest
from llm_as_rnn.core.fields import Field, Ranked, entries
from llm_as_rnn.core.folding import chosen
from llm_as_rnn.core.records import Prediction, Record, Target, Value
from llm_as_rnn.core.task import Task
from llm_as_rnn.trust import calibration as calibrations
from llm_as_rnn.trust import pool as pools
from llm_as_rnn.trust.abstention import is_right
from llm_as_rnn.trust.calibration import Calibration, adjusted
from llm_as_rnn.trust.pool import Pool, pooled

MODEL, CASES = "model", "cases"
AT_FIRST = {MODEL: 1.0, CASES: 0.0}
"""How far they are followed before the first outcome: the model has read the cases, and is taken at its word."""


class Choice(Record, frozen=True):
    """What is known of how one field's options are chosen.

    Attributes
    ----------
    calibration : Calibration
        How the model's chances come out.
    pool : Pool
        How far the model and the cases are followed.
    """

    calibration: Calibration = Calibration()
    pool: Pool = Pool(AT_FIRST)


Choices = Mapping[str, Choice]
"""By field; a field is missing until its first outcome."""

Fits = Iterable[tuple[float, Target]]
"""How well a case fits, in [0, 1], and what came of it."""


def choose(task: Task, choices: Choices, prediction: Prediction, fits: Fits) -> Prediction:
    """Choose anew, for each field whose chances the model told, what model and cases together hold likeliest.

    Parameters
    ----------
    task : Task
        What is predicted.
    choices : mapping of str to Choice
        What earlier outcomes taught.
    prediction : Prediction
        What the model answered, with its chances.
    fits : iterable of (float, Target)
        The memory's cases.

    Returns
    -------
    Prediction
        With the chosen values, their chances, and the evidence for them; a note where the model wrote something else.
    """
    if prediction.values is None:
        return prediction
    fits = list(fits)
    values, chances, notes = dict(prediction.values), dict(prediction.distribution), list(prediction.notes)
    evidence: dict[str, dict[str, dict[str, float]]] = {}
    for field in task.answer:
        told = prediction.distribution.get(field.name)
        if not told or not field.options:
            continue
        choice = choices.get(field.name, Choice())
        said = {MODEL: full(field.options, told), CASES: votes(field.options, _of(field, fits))}
        given = pooled(choice.pool, {**said, MODEL: adjusted(choice.calibration, said[MODEL])})
        best = _best(field, given, values[field.name])
        if not is_right(field, best, values[field.name]):
            notes.append(f"{field.name}: the model wrote {field.show(values[field.name])}")
        values[field.name], chances[field.name] = best, likeliest(given)
        evidence[field.name] = {source: likeliest(spread) for source, spread in said.items()}
    return msgspec.structs.replace(
        prediction, values=values, distribution=chances, evidence=evidence, notes=tuple(notes)
    )


def learned(task: Task, choices: Choices, prediction: Prediction, target: Target) -> dict[str, Choice]:
    """Learn from an outcome how the options are chosen."""
    after = dict(choices)
    for field in task.answer:
        said, came = prediction.evidence.get(field.name), entries(target.get(field.name))
        if not said or MODEL not in said or not came:
            continue
        choice = choices.get(field.name, Choice())
        spreads = {source: full(field.options, named) for source, named in said.items()}
        outcome = chosen(came[0], field.options)
        corrected = {**spreads, MODEL: adjusted(choice.calibration, spreads[MODEL])}
        after[field.name] = Choice(
            calibrations.after(choice.calibration, spreads[MODEL], outcome),
            pools.after(choice.pool, corrected, outcome or ""),
        )
    return after


def _of(field: Field, fits: Fits) -> Iterable[tuple[float, str]]:
    for fit, target in fits:
        came = entries(target.get(field.name))
        option = chosen(came[0], field.options) if came else None
        if option is not None:
            yield fit, option


def _best(field: Field, given: Mapping[str, float], said: Value) -> Value:
    """Give the likeliest option, of equals the model's own; of a list, the likeliest in their order."""
    own = {option: -place for place, option in enumerate(entries(said))}
    order = sorted(given, key=lambda option: (-round(given[option], 12), -own.get(option, -len(own))))
    return tuple(order[: field.top]) if isinstance(field, Ranked) else order[0]
