"""Figures for Prometheus. Each app has a registry of its own, into which others may put theirs."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST.partition("; charset")[0]

UNMATCHED = "unmatched"
"""Stands for all paths that there is nothing under: else whoever asks for many would make as many rows."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""The bounds between which requests are counted."""


class Metrics:
    """The figures of one service.

    Attributes
    ----------
    registry : CollectorRegistry
        Where all of them are, and others may be added.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.answered("/v1/tasks", "GET", 200, 0.004)
    >>> "llm_as_rnn_requests_total" in metrics.text().decode()
    True
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._known: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "llm_as_rnn_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "llm_as_rnn_request_seconds",
            "Seconds from a request until its answer began.",
            ("route", "method"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.under_way = Gauge("llm_as_rnn_requests_under_way", "Requests under way.", registry=self.registry)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request.

        Parameters
        ----------
        route : str
            The path with names in the place of ids.
        method : str
            HTTP's method; what is none counts as ``other``.
        status : int
            Of the answer.
        seconds : float
            Until the answer began.
        """
        known = method if method in METHODS else "other"
        named = (route, known, str(status))
        found = self._known.get(named)
        if found is None:
            found = self._known[named] = (self._requests.labels(*named), self._seconds.labels(route, known))
        found[0].inc()
        found[1].observe(seconds)

    def text(self) -> bytes:
        """Give all figures as Prometheus reads them."""
        return generate_latest(self.registry)


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
