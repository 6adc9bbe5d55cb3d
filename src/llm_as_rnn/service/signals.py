"""Who waits for something to happen in a session, and is woken when it does in this process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress


class Signals:
    """Woken by number. What happens in another process wakes nobody: whoever waits looks now and then."""

    def __init__(self) -> None:
        self._waiting: defaultdict[int, set[asyncio.Future[None]]] = defaultdict(set)

    def happened(self, number: int) -> None:
        """Wake who waits for a session."""
        for future in self._waiting.pop(number, ()):
            if not future.done():
                future.set_result(None)

    async def wait(self, number: int, seconds: float) -> None:
        """Wait until something happens in a session, or for so long."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[number].add(future)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(future, seconds)
        finally:
            waiting = self._waiting.get(number)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[number]
