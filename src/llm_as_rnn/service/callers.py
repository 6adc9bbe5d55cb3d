"""Who asks."""

from __future__ import annotations

from typing import NamedTuple


class Caller(NamedTuple):
    """Who asks, as a key tells it.

    Attributes
    ----------
    tenant : int
        The number of the tenant: all that is seen and changed is this one's.
    name : str
        What the key is called; it stands beside what was done with it.
    key : int
        Its number.
    scopes : frozenset of str
        What may be done with it.
    """

    tenant: int
    name: str
    key: int
    scopes: frozenset[str]
