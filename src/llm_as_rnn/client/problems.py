"""Problems (RFC 9457) that a service answers with, as the errors that its own verbs raise."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

import msgspec

from llm_as_rnn.core.errors import EngineBusyError, EngineError, EngineUnavailableError, LlmAsRnnError
from llm_as_rnn.engines.replies import one_line
from llm_as_rnn.engines.secrecy import Redactor
from llm_as_rnn.engines.wire import Reply, retry_after
from llm_as_rnn.service.errors import (
    ArchivedError,
    ConflictError,
    ForbiddenError,
    NoKeyError,
    NotFoundError,
    QuotaError,
    ServiceError,
    StoreUnavailableError,
    UnfitError,
    UnreachableError,
)

AGAIN = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may be answered."""

READ = 2000
"""Bytes that are read of an answer that is no problem."""

_KINDS: dict[str, type[ServiceError]] = {
    **{
        error.kind: error
        for error in (
            ArchivedError,
            ConflictError,
            ForbiddenError,
            NoKeyError,
            NotFoundError,
            StoreUnavailableError,
            UnfitError,
        )
    },
    "failed-condition": ConflictError,  # as the verb has it; to HTTP it is a condition
}
_OF_ENGINES: dict[str, type[EngineError]] = {
    "engine-busy": EngineBusyError,
    "engine-unavailable": EngineUnavailableError,
    "engine-error": EngineError,
}


class Problem(msgspec.Struct, frozen=True):
    """What is wrong, as far as a client goes by it."""

    status: int
    detail: str
    type: str = ""
    hint: str = ""
    request_id: str = ""
    errors: tuple[str, ...] = ()


class Refused(NamedTuple):
    """What a service answered that did not do what it was asked.

    Attributes
    ----------
    error : LlmAsRnnError
        What it means.
    passing : bool
        Whether the same request may be answered later.
    after : float or None
        Seconds after which it may be asked again, if it says.
    """

    error: LlmAsRnnError
    passing: bool
    after: float | None = None


def refused(reply: Reply, where: str, hide: Redactor) -> Refused:
    """Read an answer that has no status of success.

    Parameters
    ----------
    reply : Reply
        The answer.
    where : str
        What messages call the service.
    hide : Redactor
        Takes the key out of what it says.
    """
    after = retry_after(reply.headers)
    try:
        problem = msgspec.json.decode(reply.content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refused(_foreign(reply, where, hide), reply.status in AGAIN, after)
    return Refused(error_of(problem, hide, after), reply.status in AGAIN, after)


def error_of(problem: Problem, hide: Redactor, after: float | None = None) -> LlmAsRnnError:
    """Give the error that a problem was made from.

    Examples
    --------
    >>> problem = Problem(409, "there is another session 'a'", "urn:problem-type:llm-as-rnn:conflict", "choose another")
    >>> error_of(problem, Redactor([]))
    ConflictError("there is another session 'a'")
    """
    kind = problem.type.rpartition(":")[2]
    said = "; ".join([problem.detail, *problem.errors])
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR and problem.request_id:
        said += f" (request {problem.request_id})"
    message, hint = hide(one_line(said, READ)), hide(one_line(problem.hint, READ))
    if kind == QuotaError.kind:
        return QuotaError(message, hint, retry_after=after or 0.0)
    if kind == "engine-busy":
        return EngineBusyError(message, hint, retry_after=after)
    if kind in _OF_ENGINES:
        return _OF_ENGINES[kind](message, hint)
    error = _KINDS.get(kind, ServiceError)(message, hint)
    error.status, error.kind = problem.status, kind or error.kind
    return error


def _foreign(reply: Reply, where: str, hide: Redactor) -> UnreachableError:
    """Say what an answer means that no service gave: that of a proxy, or of another server."""
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        return UnreachableError(
            f"{where} answered {reply.status}: it points to another address",
            "requests go to the address that was named and nowhere else: name the one that it points to",
        )
    said = hide(one_line(reply.content[:READ].decode("utf-8", "replace"))) or "nothing"
    return UnreachableError(
        f"{where} answered {reply.status}, and not as a service does: {said}", "check the address of the service"
    )
