"""Exact figures on how it went so far, kept by code: what a small model cannot work out, and need not.

For each field of the answer: how often it was right or how far off, what simply repeating the last known value would
have scored, and which value followed which.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from llm_as_rnn.core.fields import NO_ANSWER, Field, Label, Number
from llm_as_rnn.core.figures import finite, shown
from llm_as_rnn.core.outcomes import last_value
from llm_as_rnn.core.records import Observation, Record, Target, Value
from llm_as_rnn.core.task import Task


class Tally(Record, frozen=True):
    """The figures of one field; a missing answer counts as wrong, and not towards mean errors.

    Attributes
    ----------
    steps, answered, right : int
        Outcomes seen; answers among them; right ones (see `fields.Verdict`).
    error, abs_error : float
        Sums over the answered steps, in the field's unit; error is prediction minus outcome. Sums that would leave
        the range of floats stay at its end.
    repeated, repeat_right : int
        Steps at which a last value was known; how often it was the outcome.
    repeat_abs_error : float
        Sum over those, in the field's unit.
    followed : dict of str to dict of str to int
        How often which label followed which.
    latest : str or float or None
        The outcome of the latest step that has one.
    latest_t : int
        That step; -1 before the first outcome.
    """

    steps: int = 0
    answered: int = 0
    right: int = 0
    error: float = 0.0
    abs_error: float = 0.0
    repeated: int = 0
    repeat_right: int = 0
    repeat_abs_error: float = 0.0
    followed: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    latest: Value | None = None
    latest_t: int = -1


Scorecard = Mapping[str, Tally]
"""A tally for each field of the answer."""


def empty(task: Task) -> dict[str, Tally]:
    """Start a scorecard."""
    return {field.name: Tally() for field in task.answer}


def add(
    card: Scorecard, task: Task, observation: Observation, values: Target | None, target: Target
) -> dict[str, Tally]:
    """Give the scorecard after one more outcome."""
    return {field.name: _add(card[field.name], field, observation, values, target) for field in task.answer}


def _add(tally: Tally, field: Field, observation: Observation, values: Target | None, target: Target) -> Tally:
    outcome, answer = target.get(field.name), (values or {}).get(field.name)
    verdict = field.compare(answer, outcome)
    if verdict is None or outcome is None:
        return tally
    # An outcome that comes after those of later steps came before them: what is the latest by now, it did not follow.
    is_late = observation.t < tally.latest_t
    before = last_value(field, observation.fields, None if is_late else tally.latest)
    repeat = field.compare(before, outcome) or NO_ANSWER
    error, repeat_error = (of.off or 0.0 if of.answered else 0.0 for of in (verdict, repeat))
    return Tally(
        steps=tally.steps + 1,
        answered=tally.answered + verdict.answered,
        right=tally.right + verdict.right,
        error=finite(tally.error + error),
        abs_error=finite(tally.abs_error + abs(error)),
        repeated=tally.repeated + repeat.answered,
        repeat_right=tally.repeat_right + repeat.right,
        repeat_abs_error=finite(tally.repeat_abs_error + abs(repeat_error)),
        followed=_follow(tally.followed, str(before), str(outcome))
        if isinstance(field, Label) and before
        else tally.followed,
        latest=tally.latest if is_late else outcome,
        latest_t=max(tally.latest_t, observation.t),
    )


def _follow(followed: Mapping[str, Mapping[str, int]], before: str, outcome: str) -> dict[str, dict[str, int]]:
    row = followed.get(before, {})
    return {
        **{name: dict(counts) for name, counts in followed.items()},
        before: {**row, outcome: row.get(outcome, 0) + 1},
    }


def to_text(card: Scorecard, task: Task) -> str:
    """Write the figures as lines, in words that a model can copy."""
    lines: list[str] = []
    for field in task.answer:
        tally = card[field.name]
        if tally.steps:
            lines.append(_number_line(field, tally) if isinstance(field, Number) else _label_line(field, tally))
        lines.extend(
            f"{field.name}: after {before} came {_counts(counts)}" for before, counts in sorted(tally.followed.items())
        )
    return "\n".join(lines)


def _label_line(field: Field, tally: Tally) -> str:
    repeat = f"; repeating the last would be right {tally.repeat_right} of {tally.repeated}" if tally.repeated else ""
    return f"{field.name}: right {tally.right} of {tally.steps}{repeat}"


def _number_line(field: Number, tally: Tally) -> str:
    digits = max(field.decimals, 1)  # means of whole numbers have one
    repeat = f"; repeating the last {shown(tally.repeat_abs_error / tally.repeated, digits)}" if tally.repeated else ""
    if not tally.answered:
        return f"{field.name}: no usable answers{repeat}"
    bias = tally.error / tally.answered
    way = "too high" if bias > 0 else "too low"
    return (
        f"{field.name}: answers {shown(abs(bias), digits)} {way} on average; "
        f"mean error {shown(tally.abs_error / tally.answered, digits)}{repeat}"
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
