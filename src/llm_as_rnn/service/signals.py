"""Who waits for a session to change is woken by whoever changes it in the same process.

It is a shortcut, and no truth: what another process changes is found by looking again now and then.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress


class Signals:
    """Those of one process, used in one event loop."""

    def __init__(self) -> None:
        self._waiting: defaultdict[tuple[int, str], set[asyncio.Event]] = defaultdict(set)
        self.stopped = False

    def changed(self, tenant: int, session: str) -> None:
        """Wake all who wait for a session of a tenant."""
        for event in self._waiting.get((tenant, session), ()):
            event.set()

    def stop(self) -> None:
        """Wake all, for the process ends; from now on nobody waits."""
        self.stopped = True
        for events in self._waiting.values():
            for event in events:
                event.set()

    async def wait(self, tenant: int, session: str, seconds: float) -> None:
        """Wait until a session changes here, but no longer than so many seconds."""
        if self.stopped:
            return
        event = asyncio.Event()
        waiting = self._waiting[tenant, session]
        waiting.add(event)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await event.wait()
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop((tenant, session), None)
