"""What the service refuses, each with the status that HTTP has for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from llm_as_rnn.core.errors import UsageError

P = ParamSpec("P")
T = TypeVar("T")


class ServiceError(UsageError):
    """What was asked of the service cannot be done as asked.

    Attributes
    ----------
    status : int
        HTTP's status for it.
    kind : str
        A word that programs go by; the last part of the problem's ``type``.
    """

    status = 400
    kind = "bad-request"


class NotFoundError(ServiceError):
    """There is no such thing, or it is somebody else's: the two look the same from outside."""

    status = 404
    kind = "not-found"


class ConflictError(ServiceError):
    """It contradicts what is there already."""

    status = 409
    kind = "conflict"


class ArchivedError(ServiceError):
    """The session is archived: it can be read, and goes on once it is active again."""

    status = 409
    kind = "archived"


class UnfitError(ServiceError):
    """What was sent does not fit its task, its settings, or the budget."""

    status = 422
    kind = "unfit"


class NoKeyError(ServiceError):
    """No key was shown, or one that is not valid."""

    status = 401
    kind = "no-key"


class ForbiddenError(ServiceError):
    """The key may not do this."""

    status = 403
    kind = "forbidden"


class QuotaError(ServiceError):
    """A quota of the tenant is used up.

    Parameters
    ----------
    message, hint : str
        As of every error here.
    retry_after : float
        Seconds after which it may be tried again.
    """

    status = 429
    kind = "quota"

    def __init__(self, message: str, hint: str = "", *, retry_after: float) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class StoreUnavailableError(ServiceError):
    """The database does not answer now. Nothing was changed, or it was changed wholly: ask again."""

    status = 503
    kind = "store-unavailable"


class UnreachableError(ServiceError):
    """A client gets no answer of the service: what it asked for may have been done, or not."""

    status = 503
    kind = "unreachable"


def fitting(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Do what refuses what does not fit, as an error of the service."""
    try:
        return work(*arguments, **named)
    except ServiceError:
        raise
    except UsageError as error:
        raise UnfitError(error.message, error.hint) from error
