"""What is old goes: steps that ended long ago, and memories that later ones took the place of."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from llm_as_rnn.service.errors import UnfitError
from llm_as_rnn.service.old_rows import delete_old_steps, delete_old_versions, next_session
from llm_as_rnn.service.store import Store, now

A_DAY = 86_400.0
PORTION = 500
"""Steps that are deleted in one transaction, so that others may write meanwhile."""


class Removed(NamedTuple):
    """What was deleted.

    Attributes
    ----------
    steps : int
        Predictions, each with the outcomes that were told of it.
    versions : int
        Versions of memories.
    """

    steps: int
    versions: int


async def retain(store: Store, days: float) -> Removed:
    """Delete what ended more than so many days ago.

    Of steps these are the ones that were learned or given up, counted from the last that was told of them or learned.
    What waits stays, and so do the present version of each memory, scores and what was spent. A deleted prediction's id
    may be used again, as one that never was.

    Parameters
    ----------
    store : Store
        The database. Others may work with it meanwhile.
    days : float
        How long things are kept.

    Raises
    ------
    UnfitError
        If that is no number from 0 on.
    """
    if not 0 <= days < float("inf"):
        raise UnfitError(f"things cannot be kept for {days:g} days", "name a number from 0 on")
    before = await store.read(now) - days * A_DAY
    steps = versions = 0
    session = await store.read(partial(next_session, after=0))
    while session is not None:
        while gone := await store.write(partial(delete_old_steps, session=session, before=before, most=PORTION)):
            steps += gone
        versions += await store.write(partial(delete_old_versions, session=session, before=before))
        session = await store.read(partial(next_session, after=session))
    return Removed(steps, versions)
