"""How much a tenant may use (`callers.Quotas`), and what it is told once it has: when to come again.

Requests a minute are counted in the memory of each process: with three processes a tenant has up to three times as
many. The rest is counted in the database, for all processes together. Calls that are under way when a day's quota is
reached are answered and learned from, and a process looks what has been used no more often than every `SEEN` seconds:
a quota may be passed by what is used in that time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from llm_as_rnn.engines.spending import Price
from llm_as_rnn.service.callers import Caller, Quotas
from llm_as_rnn.service.errors import QuotaError
from llm_as_rnn.service.spending_rows import Used, sessions_of, used_today
from llm_as_rnn.service.store import Store

if TYPE_CHECKING:
    from llm_as_rnn.service.spending_rows import Connection

SEEN = 1.0
"""Seconds for which what a tenant used today is taken to be what it was."""
A_MINUTE = 60.0
LATER = 3600.0
"""Seconds after which it may be tried again where somebody has to do something first, and nobody knows when."""


class Admission:
    """Lets a tenant's requests pass as long as its quotas have something left.

    Parameters
    ----------
    store : Store
        The database.
    model, price
        The model that answers, and what it costs; None where nobody says so (`engines.spending.read_prices`).
    clock : callable
        The time in seconds.
    """

    def __init__(
        self, store: Store, model: str, price: Price | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._model = model
        self._price = price
        self._clock = clock
        self._buckets: dict[int, _Bucket] = {}
        self._days: dict[int, _Day] = {}

    async def admit(self, caller: Caller, requests: int = 1, costs: bool = True) -> None:
        """Let a request pass.

        Parameters
        ----------
        caller : Caller
            Whose it is.
        requests : int
            As how many it counts: a batch is as many as it has things in it.
        costs : bool
            Whether a model may be asked for it. What only reads passes when a day's tokens or money are used up.

        Raises
        ------
        QuotaError
            If a quota is used up, with the seconds after which that is over.
        """
        quotas = caller.quotas
        if costs and (quotas.tokens or quotas.money):
            await self._require_left_today(caller.tenant, quotas)
        if quotas.requests:
            self._take(caller.tenant, quotas.requests, requests)

    def _take(self, tenant: int, a_minute: int, requests: int) -> None:
        """Take from a bucket that holds a minute's requests and fills up again as time goes by.

        More than it ever holds are let through where it is full; what follows them waits the longer.
        """
        at = self._clock()
        bucket = self._buckets.get(tenant, _Bucket(float(a_minute), at))
        level = min(float(a_minute), bucket.level + (at - bucket.at) * a_minute / A_MINUTE)
        lacking = min(requests, a_minute) - level
        if lacking > 0:
            raise QuotaError(
                f"{a_minute:,} requests a minute are this tenant's quota",
                "come again a little later",
                retry_after=lacking * A_MINUTE / a_minute,
            )
        self._buckets[tenant] = _Bucket(level - requests, at)

    async def _require_left_today(self, tenant: int, quotas: Quotas) -> None:
        at = self._clock()
        day = self._days.get(tenant)
        if day is None or at >= min(day.read + SEEN, day.ends):
            today, left = await self._store.read(lambda connection: used_today(connection, tenant))
            day = self._days[tenant] = _Day(today, at, at + left)
        reached = self._reached(day.used, quotas)
        if reached:
            raise QuotaError(reached, "come again tomorrow (UTC), or ask for more", retry_after=max(1.0, day.ends - at))
        if quotas.money and self._price is None:
            raise QuotaError(
                f"this tenant may spend {quotas.money:g} a day, and nobody says what {self._model} costs",
                "whoever runs the service names a table with its price: llm-as-rnn serve --prices FILE",
                retry_after=LATER,
            )

    def _reached(self, today: Used, quotas: Quotas) -> str:
        """Tell which of a day's quotas is used up, in words; empty where none is."""
        if quotas.tokens and today.tokens >= quotas.tokens:
            return f"{today.tokens:,} tokens were used today, of {quotas.tokens:,}"
        if quotas.money and self._price is not None:
            cost = self._price.of(today.prompt_tokens, today.cached_tokens, today.completion_tokens)
            if cost >= quotas.money:
                return f"{cost:.4g} was spent today, of {quotas.money:g}"
        return ""


def require_session_quota(connection: Connection, caller: Caller) -> None:
    """Refuse the session that was just begun, where it is one too many; its transaction is undone by that.

    Raises
    ------
    QuotaError
        If it is.
    """
    most = caller.quotas.sessions
    if most and sessions_of(connection, caller.tenant) > most:
        raise QuotaError(f"{most:,} sessions are this tenant's quota", "delete one, or ask for more", retry_after=LATER)


class _Bucket(NamedTuple):
    level: float
    at: float


class _Day(NamedTuple):
    used: Used
    read: float
    ends: float
