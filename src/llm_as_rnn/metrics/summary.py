"""What a run comes to, by method: scores, failures and cost. ``scores.json`` is the encoding of this."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, get_args

import msgspec
from msgspec import UNSET, UnsetType

from llm_as_rnn.core.figures import mean
from llm_as_rnn.core.records import Call, Record, Status, StepRecord, UpdateOutcome
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.curves import Scores, SelfCorrection, by_sequence, self_correction
from llm_as_rnn.metrics.estimates import Gain, Interval, PairedDifference
from llm_as_rnn.metrics.following import Following, following
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.metrics.trusted import Trust, trust


class Score(Record, frozen=True):
    """A mean score over all steps that have an outcome.

    Attributes
    ----------
    value : float
        The mean, in the score's unit.
    interval : Interval or None
        Its 95 % bootstrap interval, over sequences, or over the steps of the one that there is; None where that is too
        short.
    steps : int
        How many steps it is the mean of: those whose outcome is known, in this field.
    beyond_reference : PairedDifference, optional
        The score less that of the best reference of its field, on the same steps; for methods that are none.
    model_adds : PairedDifference, optional
        What the model adds: the score of a method that takes a model's advice, less that of the one that takes the same
        advice without the model.
    gain : Gain, optional
        The relative gain over the strongest baseline that asks a model; for methods that are neither.
    """

    value: float
    interval: Interval | None = None
    steps: int = 0
    beyond_reference: PairedDifference | UnsetType = UNSET
    model_adds: PairedDifference | UnsetType = UNSET
    gain: Gain | UnsetType = UNSET


class MethodSummary(Record, frozen=True):
    """One method's part of a run.

    Attributes
    ----------
    method : str
        Its name.
    sequences, steps, scored : int
        Sequences; steps in all of them; steps with an outcome, in any field.
    scores : dict of str to Score
        By ``field.kind``: ``accuracy``, ``acc@1``, ``acc@k`` and ``match`` between 0 and 1; ``mae`` and ``rmse`` in the
        field's unit, with missing answers at their worst, and what the task asks for; ``mae_answered`` and the like for
        other errors without them. What has no steps is absent.
    self_correction : dict of str to SelfCorrection
        What came after wrong steps, by score.
    statuses : dict of str to int
        Steps by `Status`; every status is there.
    failed : int
        Steps without a usable answer.
    updates : dict of str to int
        Steps by what became of the memory; every outcome is there.
    calls : float
        Model calls per step, as are the following three.
    prompt_tokens, completion_tokens : float
        Tokens read and written.
    cached_tokens : float or None
        Prompt tokens that the engine did not have to read again; None where it never says.
    cached_share : float or None
        Their share in the prompt tokens of the calls for which the engine says.
    seconds : float
        Seconds of calls per step, summed also where they ran at the same time.
    retries : int
        Attempts that failed, in all calls.
    memory_tokens : int or None
        The longest memory, in tokens; None for methods without one.
    reasoning_tokens : float
        Those of ``completion_tokens`` that went into thinking.
    by_advice : bool, optional
        Set where it took the advice of a method that asked a model, and whose cost stands there.
    following : Following, optional
        What became of its memory's cases, for a method whose memory has some (see `metrics.following`).
    trust : dict of str to Trust, optional
        By field, whether what its predictions said of themselves held (see `metrics.trusted`).
    """

    method: str
    sequences: int
    steps: int
    scored: int
    scores: dict[str, Score]
    self_correction: dict[str, SelfCorrection]
    statuses: dict[str, int]
    failed: int
    updates: dict[str, int]
    calls: float
    prompt_tokens: float
    completion_tokens: float
    cached_tokens: float | None
    cached_share: float | None
    seconds: float
    retries: int
    memory_tokens: int | None
    reasoning_tokens: float = 0.0
    by_advice: bool | UnsetType = UNSET
    following: Following | UnsetType = UNSET
    trust: dict[str, Trust] | UnsetType = UNSET

    @property
    def is_reference(self) -> bool:
        """Whether there is no model behind it: it asked none, and took no advice of one."""
        return self.calls == 0 and self.by_advice is UNSET

    @property
    def is_baseline(self) -> bool:
        """Whether it asks a model and has no memory: what the paper's method is to be better than."""
        return self.calls > 0 and self.memory_tokens is None and self.by_advice is UNSET


class FailedCalls(NamedTuple):
    """What became of a run's calls to a model.

    Attributes
    ----------
    calls, failed : int
        All of them; those that got no answer, or were declined.
    reasons : dict of str to int
        How often each reason was given, in the server's own words, commonest first; no more than `MOST_REASONS`.
    """

    calls: int
    failed: int
    reasons: dict[str, int]

    @property
    def all_failed(self) -> bool:
        """Whether there were calls, and none got an answer."""
        return 0 < self.calls == self.failed

    def __str__(self) -> str:
        """Name the commonest reason; empty if no call failed."""
        if not self.failed:
            return ""
        reason, times = next(iter(self.reasons.items()))
        often = f", {times} of them" if 1 < times < self.failed else ""
        return f"{self.failed} of {self.calls} calls failed, most often{often}: {reason}"


MOST_REASONS, REASON_CHARS = 10, 300
"""Reasons that are kept, and characters of each: servers have been seen to send whole pages."""


def failed_calls(calls: Iterable[Call]) -> FailedCalls:
    """Count the calls that got no answer, or were declined, by reason.

    Examples
    --------
    >>> refused = Call("", "error", error="400: too hot", role="predict")
    >>> str(failed_calls([refused, refused]))
    '2 of 2 calls failed, most often: 400: too hot'
    """
    number, reasons = 0, Counter[str]()
    for call in calls:
        number += 1
        reason = " ".join(call.error.split())
        if call.finish_reason == "content_filter":
            reasons[_bounded(f"declined: {reason}" if reason else "declined")] += 1
        elif call.finish_reason == "error" or reason:
            reasons[_bounded(reason or "no reason was given")] += 1
    return FailedCalls(number, reasons.total(), dict(reasons.most_common(MOST_REASONS)))


def _bounded(text: str) -> str:
    return text if len(text) <= REASON_CHARS else f"{text[: REASON_CHARS - 3]}..."


def by_method(records: Iterable[StepRecord]) -> dict[str, list[StepRecord]]:
    """Sort records by method, methods in the order in which they first appear."""
    found: dict[str, list[StepRecord]] = {}
    for record in records:
        found.setdefault(record.method, []).append(record)
    return found


def summarise(task: Task, records: Sequence[StepRecord], coverage: float = 0.9) -> list[MethodSummary]:
    """Sum up a journal.

    Parameters
    ----------
    task : Task
        Which says what the scores are.
    records : sequence of StepRecord
        Steps of any methods, at least one each.
    coverage : float
        What intervals were asked to hold (`settings.Settings`), by which they are scored.

    Returns
    -------
    list of MethodSummary
        One a method, in the journal's order.
    """
    from llm_as_rnn.metrics.evidence import with_evidence  # noqa: PLC0415 - it brings numpy, which takes a while

    steps = by_method(records)
    summaries = {method: _summarise(task, method, own, coverage) for method, own in steps.items()}
    asking = {method for method, summary in summaries.items() if summary.calls}
    advisers = {method: _advisers(own) for method, own in steps.items()}
    told = [
        msgspec.structs.replace(summary, by_advice=True) if asking & advisers[method] else summary
        for method, summary in summaries.items()
    ]
    return with_evidence(task, steps, told, [method for method in steps if advisers[method]])


def _advisers(steps: Sequence[StepRecord]) -> set[str]:
    return {adviser for step in steps for weights in step.believed.values() for adviser in weights}


def _summarise(task: Task, method: str, steps: Sequence[StepRecord], coverage: float) -> MethodSummary:
    calls = [call for step in steps for call in step.calls]
    statuses = Counter(step.status for step in steps)
    updates = Counter(step.update.outcome for step in steps)
    telling = [call for call in calls if call.cached_tokens is not None]
    cached = sum(call.cached_tokens or 0 for call in telling)
    readable = _total(telling, "prompt_tokens")
    shares = [metric.name for metric in task_metrics(task) if metric.is_share]
    return MethodSummary(
        method=method,
        sequences=len({step.sequence for step in steps}),
        steps=len(steps),
        scored=sum(bool(step.target) for step in steps),
        scores=_scores(task, steps),
        self_correction={name: self_correction(steps, name) for name in shares},
        statuses={status.value: statuses[status] for status in Status},
        failed=sum(count for status, count in statuses.items() if not status.answered),
        updates={outcome: updates[outcome] for outcome in get_args(UpdateOutcome)},
        calls=len(calls) / len(steps),
        prompt_tokens=_total(calls, "prompt_tokens") / len(steps),
        completion_tokens=_total(calls, "completion_tokens") / len(steps),
        reasoning_tokens=_total(calls, "reasoning_tokens") / len(steps),
        cached_tokens=cached / len(steps) if telling else None,
        cached_share=cached / readable if readable else None,
        seconds=_total(calls, "seconds") / len(steps),
        retries=sum(call.retries for call in calls),
        memory_tokens=max((step.memory_tokens for step in steps if step.memory_tokens is not None), default=None),
        following=following(task, steps) or UNSET,
        trust=trust(task, steps, coverage) or UNSET,
    )


def _total(calls: Iterable[Call], name: str) -> float:
    return math.fsum(getattr(call, name) for call in calls)


def _scores(task: Task, steps: Sequence[StepRecord]) -> dict[str, Score]:
    answered = [step for step in steps if step.status.answered]
    scores: dict[str, Score | None] = {}
    for metric in task_metrics(task):
        scores[metric.mean] = _score(steps, metric.name)
        if not metric.higher_is_better:
            scores[f"{metric.field}.rmse"] = _root(_score(steps, f"{metric.field}.sq_error"))
            scores[f"{metric.mean}_answered"] = _score(answered, metric.name)
    return {name: score for name, score in scores.items() if score}


def _score(steps: Iterable[StepRecord], metric: str) -> Score | None:
    return score_of(by_sequence(steps, metric))


def score_of(found: Scores) -> Score | None:
    """Give the mean of scores by sequence and timestep, with its interval; None where there are none."""
    from llm_as_rnn.metrics.intervals import interval_of  # noqa: PLC0415 - as above

    scores = [score for steps in found.values() for score in steps.values()]
    return Score(mean(scores), interval_of(found), len(scores)) if scores else None


def _root(squares: Score | None) -> Score | None:
    """Take the root of a mean square; its percentiles keep their order, so the interval's ends may be rooted too."""
    if squares is None:
        return None
    ends = squares.interval
    rooted = Interval(math.sqrt(ends.low), math.sqrt(ends.high), ends.over) if ends is not None else None
    return Score(math.sqrt(squares.value), rooted, squares.steps)
