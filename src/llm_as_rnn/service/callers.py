"""Who asks, and how much that one may use."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import msgspec

from llm_as_rnn.service.errors import ForbiddenError

Scope = Literal["read", "predict", "learn", "edit", "admin"]
"""What a key may be for: to look at all of a tenant's things, to predict, to tell outcomes, to change what there is
(memories, sessions, tasks), and to delete. None of them has another one in it."""

SCOPES: tuple[Scope, ...] = get_args(Scope)


class Quotas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much a tenant may use; None or 0 for as much as it takes.

    Attributes
    ----------
    sessions : int or None
        That it has at a time, archived ones among them.
    requests : int or None
        A minute.
    tokens : int or None
        That models read and write for it on a day (UTC), those from a cache among them.
    money : float or None
        What these cost, in the currency of the table of prices.
    """

    sessions: int | None = None
    requests: int | None = None
    tokens: int | None = None
    money: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be counted."""
        if not all(0 <= quota < math.inf for quota in (getattr(self, name) or 0 for name in self.__struct_fields__)):
            raise ValueError("a quota is a number from 0 on")


class Caller(NamedTuple):
    """Who asks, as a key tells it.

    Attributes
    ----------
    tenant : int
        The number of the tenant: all that is seen and changed is this one's.
    name : str
        What the key is called; it stands beside what was done with it.
    key : int
        Its number; 0 where a service on this machine alone has no keys.
    scopes : frozenset of str
        What may be done with it.
    quotas : Quotas
        How much the tenant may use.
    """

    tenant: int
    name: str
    key: int
    scopes: frozenset[str]
    quotas: Quotas = Quotas()

    def require(self, scope: Scope) -> None:
        """Refuse what the key is not for.

        Raises
        ------
        ForbiddenError
            If it may not do this.
        """
        if scope not in self.scopes:
            may = ", ".join(name for name in SCOPES if name in self.scopes) or "nothing"
            raise ForbiddenError(f"this needs a key with the scope {scope}; {self.name} has {may}", "use another key")
