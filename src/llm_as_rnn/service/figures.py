"""Figures of what goes on behind the routes, for Prometheus: learning, its lag, calls to the model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from llm_as_rnn.core.calls import Call
from llm_as_rnn.core.records import Update
from llm_as_rnn.service import step_rows
from llm_as_rnn.service.errors import StoreUnavailableError
from llm_as_rnn.service.store import Store

EVERY = 5.0
"""Seconds after which what waits in the database is looked at again."""
LAGS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


class Figures:
    """The figures of one process; what waits is that of the whole database.

    Parameters
    ----------
    registry : CollectorRegistry
        Where they are put.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._learned = Counter(
            "llm_as_rnn_outcomes_learned",
            "Outcomes learned, by what became of the memory.",
            ("update",),
            registry=registry,
        )
        self._failed = Counter(
            "llm_as_rnn_learning_failures", "Attempts to learn that failed, and are made again.", registry=registry
        )
        self._lag = Histogram(
            "llm_as_rnn_learning_lag_seconds",
            "Seconds from an outcome's arrival until it was learned.",
            buckets=LAGS,
            registry=registry,
        )
        self._calls = Counter("llm_as_rnn_calls", "Calls to the model.", ("role", "finish"), registry=registry)
        self._tokens = Counter("llm_as_rnn_tokens", "Tokens, by kind.", ("kind",), registry=registry)
        self._memory = Histogram(
            "llm_as_rnn_memory_share",
            "How much of its budget a memory takes after an outcome was learned.",
            buckets=(0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
            registry=registry,
        )
        self._due = Gauge("llm_as_rnn_outcomes_due", "Outcomes that have come and are not learned.", registry=registry)
        self._oldest = Gauge(
            "llm_as_rnn_oldest_due_seconds", "For how long the oldest of these has been due.", registry=registry
        )

    def called(self, calls: Sequence[Call]) -> None:
        """Count calls to the model."""
        for call in calls:
            self._calls.labels(call.role, call.finish_reason).inc()
            self._tokens.labels("prompt").inc(call.prompt_tokens)
            self._tokens.labels("cached").inc(call.cached_tokens or 0)
            self._tokens.labels("completion").inc(call.completion_tokens)

    def learned(self, update: Update, lag: float, share: float | None) -> None:
        """Count an outcome as learned.

        Parameters
        ----------
        update : Update
            What became of the memory.
        lag : float
            Seconds since it came.
        share : float or None
            How much of its budget the memory takes.
        """
        self._learned.labels(update.outcome).inc()
        self._lag.observe(max(lag, 0.0))
        if share is not None:
            self._memory.observe(share)

    def failed(self) -> None:
        """Count an attempt to learn as failed."""
        self._failed.inc()

    async def watch(self, store: Store) -> None:
        """Look now and then what waits, until it is cancelled."""
        while True:
            with suppress(StoreUnavailableError):
                due, seconds = await store.read(step_rows.backlog)
                self._due.set(due)
                self._oldest.set(seconds)
            await asyncio.sleep(EVERY)
