"""What a run comes to, by method: scores, failures and cost. ``scores.json`` is the encoding of this."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, get_args

import msgspec
from msgspec import UNSET, UnsetType

from llm_as_rnn.core.calls import Call
from llm_as_rnn.core.records import Record, Status, UpdateOutcome
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.estimates import Gain, Interval, PairedDifference, SelfCorrection, Trust
from llm_as_rnn.metrics.following import Following
from llm_as_rnn.metrics.scores import task_metrics

if TYPE_CHECKING:
    from llm_as_rnn.metrics.curves import Scores
    from llm_as_rnn.metrics.table import Columns, Steps


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
    failures = Failures()
    failures.add(calls)
    return failures.found


class Failures:
    """Counts calls, and those of them that failed by reason, as `failed_calls` does."""

    def __init__(self) -> None:
        self._calls = 0
        self._reasons: Counter[str] = Counter()

    def add(self, calls: Iterable[Call]) -> None:
        """Count more of them."""
        for call in calls:
            self._calls += 1
            reason = " ".join(call.error.split())
            if call.finish_reason == "content_filter":
                self._reasons[_bounded(f"declined: {reason}" if reason else "declined")] += 1
            elif call.finish_reason == "error" or reason:
                self._reasons[_bounded(reason or "no reason was given")] += 1

    @property
    def found(self) -> FailedCalls:
        """What there was so far."""
        return FailedCalls(self._calls, self._reasons.total(), dict(self._reasons.most_common(MOST_REASONS)))


def _bounded(text: str) -> str:
    return text if len(text) <= REASON_CHARS else f"{text[: REASON_CHARS - 3]}..."


def by_method(records: Iterable[StepRecord]) -> dict[str, list[StepRecord]]:
    """Sort records by method, methods in the order in which they first appear."""
    found: dict[str, list[StepRecord]] = {}
    for record in records:
        found.setdefault(record.method, []).append(record)
    return found


def summarise(task: Task, steps: Steps, coverage: float = 0.9) -> list[MethodSummary]:
    """Sum up a journal.

    Parameters
    ----------
    task : Task
        Which says what the scores are.
    steps : iterable of StepRecord, or Table
        Steps of any methods, at least one each, or what was taken out of them (see `metrics.table`).
    coverage : float
        What intervals were asked to hold (`settings.Settings`), by which they are scored.

    Returns
    -------
    list of MethodSummary
        One a method, in the journal's order.
    """
    from llm_as_rnn.metrics.evidence import with_evidence  # noqa: PLC0415 - it brings numpy, which takes a while
    from llm_as_rnn.metrics.table import tabulate  # noqa: PLC0415 - as above

    table = tabulate(task, steps)
    summaries = {method: _summarise(task, columns, coverage) for method, columns in table.methods.items()}
    asking = {method for method, summary in summaries.items() if summary.calls}
    advisers = {method: columns.costs.advisers for method, columns in table.methods.items()}
    told = [
        msgspec.structs.replace(summary, by_advice=True) if asking & advisers[method] else summary
        for method, summary in summaries.items()
    ]
    return with_evidence(table, told, [method for method in table.methods if advisers[method]])


def _summarise(task: Task, columns: Columns, coverage: float) -> MethodSummary:
    from llm_as_rnn.metrics.curves import self_correction  # noqa: PLC0415 - as above
    from llm_as_rnn.metrics.trusted import trust  # noqa: PLC0415 - as above

    costs = columns.costs
    steps, statuses = costs.steps, costs.statuses
    shares = [metric.name for metric in task_metrics(task) if metric.is_share]
    return MethodSummary(
        method=columns.method,
        sequences=len(columns.names),
        steps=steps,
        scored=costs.scored,
        scores=_scores(task, columns),
        self_correction={name: self_correction(columns.scored(name)) for name in shares},
        statuses={status.value: statuses[status] for status in Status},
        failed=sum(count for status, count in statuses.items() if not Status(status).answered),
        updates={outcome: costs.updates[outcome] for outcome in get_args(UpdateOutcome)},
        calls=costs.calls / steps,
        prompt_tokens=costs.prompt_tokens / steps,
        completion_tokens=costs.completion_tokens / steps,
        reasoning_tokens=costs.reasoning_tokens / steps,
        cached_tokens=costs.cached / steps if costs.telling else None,
        cached_share=costs.cached / costs.readable if costs.readable else None,
        seconds=costs.seconds / steps,
        retries=costs.retries,
        memory_tokens=costs.memory_tokens,
        following=columns.following or UNSET,
        trust=trust(task, columns, coverage) or UNSET,
    )


def _scores(task: Task, columns: Columns) -> dict[str, Score]:
    scores: dict[str, Score | None] = {}
    for metric in task_metrics(task):
        found = scores[metric.mean] = score_of(columns.scored(metric.name))
        if not metric.higher_is_better:
            scores[f"{metric.field}.rmse"] = _root(score_of(columns.scored(f"{metric.field}.sq_error")))
            answered = found if columns.usable.all() else score_of(columns.scored(metric.name, columns.usable))
            scores[f"{metric.mean}_answered"] = answered
    return {name: score for name, score in scores.items() if score}


def score_of(found: Scores) -> Score | None:
    """Give the mean of scores by sequence and timestep, with its interval; None where there are none."""
    from llm_as_rnn.metrics.intervals import interval_of  # noqa: PLC0415 - as above
    from llm_as_rnn.metrics.series import Series, mean_of  # noqa: PLC0415 - as above

    figures = Series.of(found).figures
    return Score(mean_of(figures), interval_of(found), len(figures)) if len(figures) else None


def _root(squares: Score | None) -> Score | None:
    """Take the root of a mean square; its percentiles keep their order, so the interval's ends may be rooted too."""
    if squares is None:
        return None
    ends = squares.interval
    rooted = Interval(math.sqrt(ends.low), math.sqrt(ends.high), ends.over) if ends is not None else None
    return Score(math.sqrt(squares.value), rooted, squares.steps)
