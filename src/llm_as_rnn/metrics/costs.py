"""What steps took, and how they ended: calls to a model, tokens and time, and what became of memories."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence

from llm_as_rnn.core.calls import Call
from llm_as_rnn.core.steps import StepRecord


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
