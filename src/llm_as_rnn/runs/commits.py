"""Group commit: one sync of the disk makes all records durable that came while the sync before was under way.

A sync takes milliseconds, in which a run with many sequences gets many records. Each of these still waits until it is
on the disk before its sequence goes on; but they wait together, and the event loop does other things meanwhile. That is
worth it where this process has little else to do than to write what others computed. One that makes the walks itself is
faster without: to sync in a thread it waits for the interpreter several times, and what it would do meanwhile is little
(with 8 calls of 50 ms in flight a run took 1.65 times as long as a bare client's loop so, and 1.27 times with a sync at
once; `benchmarks/run_overhead.py`). There a step that asked nobody, as those of all references are, waits for no sync
of its own: what a crash of the machine could take of it is computed again for nothing, and it is durable with the next
one that was paid for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.runs.asked import RunJournal


class _Written(NamedTuple):
    """A record that is written, and who waits until it is durable."""

    record: StepRecord
    durable: asyncio.Future[None]


class Commits:
    """Makes records durable.

    Parameters
    ----------
    journal : RunJournal
        Where they are written; it is open as long as this is used, and until `settle` has returned.
    told : callable
        Is told of each record once it is durable, in the order in which they were written; also where nobody waits for
        it any more.
    grouped : bool
        Whether records share syncs; else each for which somebody was asked is synced at once.
    """

    def __init__(self, journal: RunJournal, told: Callable[[StepRecord], None], *, grouped: bool = True) -> None:
        self._grouped = grouped
        self._journal = journal
        self._told = told
        self._written: list[_Written] = []
        self._syncing: asyncio.Task[None] | None = None

    async def keep(self, record: StepRecord) -> None:
        """Commit a record: when this returns, it is on the disk, or took no call and will be there with the next one.

        Raises
        ------
        RunError
            If it cannot be written; and what ``told`` raised.
        """
        if not self._grouped:
            self._journal.append(record, durably=bool(record.calls))
            self._told(record)
            return
        self._journal.append(record, durably=False)
        durable = asyncio.get_running_loop().create_future()
        self._written.append(_Written(record, durable))
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.create_task(self._sync())
        await durable

    async def settle(self) -> None:
        """Wait until nothing is under way; to be called before the journal is closed."""
        while self._syncing is not None and not self._syncing.done():
            await asyncio.wait([self._syncing])

    async def _sync(self) -> None:
        while self._written:
            group, self._written = self._written, []
            try:
                await asyncio.to_thread(self._journal.sync)
            except Exception as error:  # noqa: BLE001 - each of those who wait is told
                for one in group:
                    _settle(one.durable, error)
                continue
            for one in group:
                try:
                    self._told(one.record)
                except Exception as error:  # noqa: BLE001 - it is told to whoever waits for this record
                    _settle(one.durable, error)
                else:
                    _settle(one.durable, None)


def _settle(waiting: asyncio.Future[None], error: Exception | None) -> None:
    if waiting.done():  # whoever waited was told to stop
        return
    if error is None:
        waiting.set_result(None)
    else:
        waiting.set_exception(error)
