"""Who comes in."""

from __future__ import annotations

import time

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.keys import BELIEVED, authenticate, list_keys, open_door
from llm_as_rnn.service.store import Store

NO_KEYS = "llm-as-rnn serve tenants create TENANT, then llm-as-rnn serve keys create TENANT NAME"


class Door:
    """Tells who comes in: by a key or, as long as none was made and nobody from outside can come, as the tenant local.

    Parameters
    ----------
    store : Store
        The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._anybody: Caller | None = None
        self._until = 0.0

    async def begin(self, *, loopback: bool) -> str:
        """Open it, and say for whom.

        Raises
        ------
        UsageError
            If others could reach it and there are no keys.
        """
        if loopback:
            self._anybody, self._until = await open_door(self._store), time.monotonic() + BELIEVED
        elif not await list_keys(self._store):
            raise UsageError("others could reach the service, and there is no key yet", NO_KEYS)
        return "" if self._anybody is None else "; there are no keys, so this machine's programs may do everything"

    async def authenticate(self, key: str | None) -> Caller:
        """Tell who shows a key, or none."""
        if self._anybody is None or key is not None:
            return await authenticate(self._store, key)
        if time.monotonic() >= self._until:  # a key may have been made meanwhile, and then one is needed
            self._anybody, self._until = await open_door(self._store), time.monotonic() + BELIEVED
        return self._anybody or await authenticate(self._store, None)
