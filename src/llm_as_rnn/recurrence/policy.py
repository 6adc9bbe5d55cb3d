"""When to update: at every step, as the paper does, or only when it is likely to pay.

Whatever the policy, exact figures are counted at every step; it decides about critic and memory, which cost calls.
"""

from __future__ import annotations

import math
from collections.abc import Generator

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.chances import full
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.fields import entries
from llm_as_rnn.core.method import Calls, T
from llm_as_rnn.core.records import Prediction, Record, Target, Why
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task

REMEMBERED = 64
"""Errors of past steps that are remembered, to tell what is surprising."""

SURPRISE = 0.75
"""The quantile of past errors, or of past surprises, above which one is a surprise."""

FEW = 4
"""Until so many errors are known, every wrong answer is a surprise."""


class Past(Record, frozen=True):
    """What a policy goes by.

    Attributes
    ----------
    errors : tuple of float
        Of the latest steps, oldest first; 0 is right, 1 is as wrong as can be.
    surprises : tuple of float
        The same in nats, of steps where the model told how likely it held the outcome to be (see `surprise_of`).
    steps : int
        Outcomes so far.
    spent : int
        Tokens that critic and updates have read and written so far.
    """

    errors: tuple[float, ...] = ()
    steps: int = 0
    spent: int = 0
    surprises: tuple[float, ...] = ()

    def after(self, error: float, surprise: float | None = None) -> Past:
        """Give the past after one more outcome."""
        surprises = self.surprises if surprise is None else (*self.surprises, surprise)[-REMEMBERED:]
        return Past((*self.errors, error)[-REMEMBERED:], self.steps + 1, self.spent, surprises)

    def is_usual(self, error: float, surprise: float | None) -> bool:
        """Tell whether an outcome was no more of a surprise than most before it; a right answer, where none is told."""
        if surprise is None or len(self.surprises) < FEW:
            return not error
        return surprise <= _quantile(self.surprises, 0.5)


def require_outcomes_unneeded(settings: Settings, *, by_rule: bool) -> None:
    """Refuse what compares answers with outcomes, for a method that is never shown one.

    Parameters
    ----------
    settings : Settings
        With the rule that is used.
    by_rule : bool
        Whether that rule needs outcomes.

    Raises
    ------
    UsageError
        Naming the setting.
    """
    needs = {
        f"--when {settings.when}": settings.when in ("on_error", "surprise"),
        "--recheck": settings.recheck > 0,
        "--watch": settings.watch,
        f"--rule {settings.rule}": by_rule,
    }
    for option, needed in needs.items():
        if needed:
            hint = "leave it out, or add another kind of feedback: --feedback judge+scorecard"
            raise UsageError(f"{option} needs outcomes, and with --feedback judge none is shown", hint)


def why_not(when: str, allowance: int, past: Past, error: float, surprise: float | None = None) -> Why | None:
    """Say why a step is not to be learned from; None if it is.

    Parameters
    ----------
    when : str
        ``every``, ``every:K``, ``on_error`` or ``surprise``.
    allowance : int
        The most tokens that learning may cost a step on average; 0 for no limit.
    past : Past
        The steps before this one.
    error, surprise : float
        Of this step; None where the model did not tell how likely it held the outcome to be.

    Examples
    --------
    >>> why_not("on_error", 0, Past(), error=0.0)
    Why(code='on_error', detail='the answer was right')
    >>> why_not("every:5", 0, Past(steps=5), error=0.0) is None
    True
    """
    if allowance and past.spent > allowance * past.steps:
        return Why("allowance", f"{past.spent} tokens spent in {past.steps} steps")
    if when.startswith("every:") and past.steps % int(when.partition(":")[2]):
        return Why("every", f"not this step, with {when}")
    if when == "on_error" and not error:
        return Why("on_error", "the answer was right")
    if when == "surprise" and surprise is not None and len(past.surprises) >= FEW:
        line = _quantile(past.surprises, SURPRISE)
        if surprise <= line:
            return Why("surprise", f"{surprise:.2f} nats are usual, up to {line:.2f}")
    elif when == "surprise":
        line = _usual(past.errors)
        if error <= line:
            return Why("surprise", f"an error of {error:.2f} is usual, up to {line:.2f}")
    return None


def _usual(errors: tuple[float, ...]) -> float:
    # An error of 1 can never lie above the quantile, so the line stays below it: all wrong is always a surprise.
    return min(_quantile(errors, SURPRISE), 0.99) if len(errors) >= FEW else 0.0


def _quantile(values: tuple[float, ...], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def surprise_of(task: Task, prediction: Prediction, target: Target) -> float | None:
    """Say how surprising an outcome was, in nats: the mean of -ln p over the fields whose chances were told.

    Returns
    -------
    float or None
        None where none were, or where what came is no option any more.
    """
    told = []
    for field in task.answer:
        chances, came = prediction.distribution.get(field.name), entries(target.get(field.name))
        if chances and came and came[0] in field.options:
            told.append(-math.log(full(field.options, chances)[came[0]]))
    return math.fsum(told) / len(told) if told else None


def error_of(task: Task, values: Target | None, target: Target) -> float:
    """Say how wrong an answer was: the mean over its fields, 0 for right and 1 for as wrong as can be."""
    errors = [verdict.error for verdict in task.compare(values, target).values()]
    return sum(errors) / len(errors) if errors else 0.0


def metered(calls: Calls[T]) -> Generator[Request, Completion, tuple[T, int]]:
    """Run a computation, and count the tokens of its calls."""
    tokens = 0
    try:
        request = next(calls)
        while True:
            completion = yield request
            if request.role != "count":
                tokens += (completion.prompt_tokens or 0) + (completion.completion_tokens or 0)
            request = calls.send(completion)
    except StopIteration as end:
        value: T = end.value
        return value, tokens
    finally:
        calls.close()
