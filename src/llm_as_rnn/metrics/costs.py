"""What steps took, and how they ended: calls to a model, tokens and time, failures and what became of memories."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from llm_as_rnn.core.records import Call, StepRecord


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


class Costs:
    """Adds up what one method's steps took.

    Attributes
    ----------
    steps, scored : int
        All of them; those with an outcome, in any field.
    statuses, updates : Counter of str
        Steps by how their prediction came about, and by what became of the memory.
    calls, retries : int
        Calls to a model; attempts that failed in them.
    prompt_tokens, completion_tokens, reasoning_tokens : int
        In all calls.
    telling, readable, cached : int
        Calls whose engine said how much it did not have to read again; the prompt tokens of these; as many as it said.
    memory_tokens : int or None
        The longest memory.
    advisers : set of str
        Who was believed.
    """

    def __init__(self) -> None:
        self.steps = self.scored = self.calls = self.retries = 0
        self.prompt_tokens = self.completion_tokens = self.reasoning_tokens = 0
        self.telling = self.readable = self.cached = 0
        self.statuses: Counter[str] = Counter()
        self.updates: Counter[str] = Counter()
        self.memory_tokens: int | None = None
        self.advisers: set[str] = set()
        self._seconds = array("d")

    @property
    def seconds(self) -> float:
        """Seconds of all calls."""
        return math.fsum(self._seconds)

    def add(self, steps: Sequence[StepRecord]) -> None:
        """Take more steps into account."""
        self.steps += len(steps)
        self.scored += sum(bool(step.target) for step in steps)
        self.statuses.update(step.status for step in steps)
        self.updates.update(step.update.outcome for step in steps)
        memories = [step.memory_tokens for step in steps if step.memory_tokens is not None]
        if memories:
            self.memory_tokens = max(self.memory_tokens or 0, *memories)
        for step in steps:
            for weights in step.believed.values():
                self.advisers.update(weights)
            for call in step.calls:
                self._add_call(call)

    def _add_call(self, call: Call) -> None:
        self.calls += 1
        self.retries += call.retries
        self.prompt_tokens += call.prompt_tokens
        self.completion_tokens += call.completion_tokens
        self.reasoning_tokens += call.reasoning_tokens
        self._seconds.append(call.seconds)
        if call.cached_tokens is not None:
            self.telling += 1
            self.readable += call.prompt_tokens
            self.cached += call.cached_tokens
