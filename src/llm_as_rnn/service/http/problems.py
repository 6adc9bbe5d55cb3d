"""What is answered where something is wrong: problem details (RFC 9457), the same for every error."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Send

from llm_as_rnn.core.errors import EngineBusyError, EngineError, EngineUnavailableError, UsageError
from llm_as_rnn.service.errors import QuotaError, ServiceError, StoreUnavailableError

MEDIA_TYPE = "application/problem+json"

TYPE = "urn:problem-type:llm-as-rnn:"
"""What the type of a problem begins with; its kind follows."""

SOON = 1.0
"""Seconds after which a database or a service that is busy may be asked again."""
LATER = 5.0
"""The same for a model's server, where that does not say."""
CLIENT_GONE = 499
"""The status that is counted and logged where nobody waits for the answer."""

log = logging.getLogger("llm_as_rnn.service")


class MissingConditionError(ServiceError):
    """A memory is edited without saying which version of it."""

    status = 428
    kind = "missing-condition"


class FailedConditionError(ServiceError):
    """The memory is not the version any more that was to be edited."""

    status = 412
    kind = "failed-condition"


class TooLargeError(ServiceError):
    """More was sent than is taken at once."""

    status = 413
    kind = "too-large"


class SlowRequestError(ServiceError):
    """The body of a request did not come in time."""

    status = 408
    kind = "slow-request"


class ClientGoneError(ServiceError):
    """Whoever asked was gone before the whole request had come: there is nobody to answer."""

    status = CLIENT_GONE
    kind = "client-gone"


class TimeOutError(ServiceError):
    """There was no answer in time."""

    status = 504
    kind = "time-out"


class OverloadedError(ServiceError):
    """So many requests are under way that no other one is begun."""

    status = 503
    kind = "overloaded"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wrong (RFC 9457).

    Attributes
    ----------
    type : str
        A name for the kind of problem; its last part is what programs go by.
    title : str
        The same in words.
    status : int
        HTTP's status for it.
    detail : str
        What is wrong, in one line.
    hint : str
        What to do about it, in one line.
    request_id : str
        By which the service's log names the request.
    errors : tuple of str
        What is wrong with parts of a request, where there are several.
    """

    type: str
    title: str
    status: int
    detail: str
    hint: str = ""
    request_id: str = ""
    errors: tuple[str, ...] = ()


class Answer(NamedTuple):
    """A problem, and the headers that go with it."""

    problem: Problem
    headers: dict[str, str]


class _Said(NamedTuple):
    """What is said of an error."""

    status: int
    kind: str
    detail: str
    hint: str
    headers: Mapping[str, str] = {}
    errors: tuple[str, ...] = ()


def told(error: Exception, request_id: str) -> Answer:
    """Tell what is wrong, and nothing of how the service is made.

    Examples
    --------
    >>> from llm_as_rnn.service.errors import NotFoundError
    >>> answer = told(NotFoundError("there is no session 'a'"), "r1")
    >>> answer.problem.status, answer.problem.title, answer.problem.type
    (404, 'Not found', 'urn:problem-type:llm-as-rnn:not-found')
    """
    said = _said(error)
    problem = Problem(
        type=f"{TYPE}{said.kind}",
        title=said.kind.replace("-", " ").capitalize(),
        status=said.status,
        detail=" ".join(said.detail.split()),
        hint=" ".join(said.hint.split()),
        request_id=request_id,
        errors=said.errors,
    )
    return Answer(problem, {**said.headers})


def _said(error: Exception) -> _Said:
    match error:
        case StoreUnavailableError():  # its message tells of tables and addresses
            hint = "ask again in a moment: nothing was changed, or it was changed wholly"
            said = _Said(503, error.kind, "the database does not answer now", hint, _retry(SOON))
        case ServiceError():
            said = _Said(error.status, error.kind, error.message, error.hint, _headers(error))
        case HTTPException() if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            said = _of_framework(error)
        case EngineBusyError():
            after = LATER if error.retry_after is None else error.retry_after
            hint = "ask again later: nothing was changed"
            said = _Said(503, "engine-busy", "the model does not answer now", hint, _retry(after))
        case EngineUnavailableError():
            hint = "tell whoever runs the service"
            said = _Said(503, "engine-unavailable", "the model cannot be asked", hint, _retry(LATER))
        case EngineError():
            said = _Said(502, "engine-error", "the model gave no answer", "ask again")
        case UsageError():
            said = _Said(422, "unfit", error.message, error.hint)
        case _:
            hint = "tell whoever runs the service, with the request's id"
            said = _Said(500, "internal-error", "this is a mistake of the service", hint)
    return said


def _headers(error: ServiceError) -> dict[str, str]:
    match error:
        case QuotaError():
            return _retry(error.retry_after)
        case OverloadedError():
            return _retry(SOON)
    return {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}


def _retry(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _of_framework(error: HTTPException) -> _Said:
    """Tell what the framework refused: a path, a method, a body that does not fit."""
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            detail, hint = "there is nothing under this path", "see /v1/openapi.json for what there is"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            detail, hint = "this path has no such method", "see /v1/openapi.json, or the header Allow"
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            kind, detail, hint = "too-large", "the body is larger than the service takes", "send less at once"
        case _:
            detail, hint = "the request does not fit what is described", "see /v1/openapi.json"
    return _Said(error.status_code, kind, detail, hint, error.headers or {}, _parts(error))


def _parts(error: HTTPException) -> tuple[str, ...]:
    """List what is wrong with parts of a request; a body that is no JSON is one of them."""
    if isinstance(error.extra, list):
        rows = [row for row in error.extra if isinstance(row, dict)]
        return tuple(f"{row.get('key', 'body')}: {row.get('message', '')}" for row in rows)
    cause = error.__cause__
    while cause is not None and not isinstance(cause, msgspec.MsgspecError):
        cause = cause.__cause__
    return () if cause is None else (f"body: {cause}",)


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Answer a request that failed."""
    request_id = request.scope.get("state", {}).get("request_id", "")
    problem, headers = told(error, request_id)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        report(error, request_id)
    return Response(problem, status_code=problem.status, headers=headers, media_type=MEDIA_TYPE)


def report(error: BaseException, request_id: str) -> None:
    """Log what failed by its kind and place: its message might hold contents."""
    said = str(error) if isinstance(error, EngineUnavailableError | StoreUnavailableError) else ""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
    told_of = {"request": request_id, "error": type(error).__name__, "said": said, "where": where}
    log.error("a request failed", extra={"fields": told_of})


async def send_problem(error: Exception, request_id: str, send: Send) -> int:
    """Answer with a problem where no handler does it, and give its status."""
    problem, headers = told(error, request_id)
    content = msgspec.json.encode(problem)
    named = {**headers, "Content-Type": MEDIA_TYPE, "Content-Length": str(len(content)), "Connection": "close"}
    await send(
        {
            "type": "http.response.start",
            "status": problem.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        }
    )
    await send({"type": "http.response.body", "body": content, "more_body": False})
    return problem.status
