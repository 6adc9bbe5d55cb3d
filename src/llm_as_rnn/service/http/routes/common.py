"""What routes share: the parameters in their paths, and how their errors are described."""

from __future__ import annotations

from typing import Annotated

from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter

from llm_as_rnn.service.errors import UnfitError
from llm_as_rnn.service.http.edge import original
from llm_as_rnn.service.http.problems import MEDIA_TYPE, Problem
from llm_as_rnn.service.views import RESERVED

SessionId = Annotated[
    str,
    PathParameter(min_length=1, max_length=200, pattern=r"^[^\s/?#\x00-\x1f\x7f]+$", description="The session's id."),
]
PredictionId = Annotated[str, PathParameter(min_length=1, max_length=500, description="The prediction's id.")]
TaskName = Annotated[
    str,
    PathParameter(min_length=1, max_length=200, pattern=r"^[^\s/?#\x00-\x1f\x7f]+$", description="The task's name."),
]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="How many at most.")]
After = Annotated[
    int, QueryParameter(ge=-1, le=2**53, description="The last one that was seen; those behind it follow.")
]
Version = Annotated[int, PathParameter(ge=0, le=2**31 - 1, description="The memory's version.")]

WHY = {
    400: "The request does not fit what is described here.",
    401: "No key was shown, or none that is valid.",
    403: "The key is not good for this.",
    404: "There is no such thing, or it is another tenant's.",
    408: "The request did not come in time.",
    409: "It contradicts what is there, or the session is archived.",
    412: "The memory is another version by now.",
    413: "The body is too large.",
    422: "What was sent does not fit the task, the settings or the budget.",
    428: "If-Match is missing.",
    429: "A quota is used up; Retry-After says until when.",
    500: "The service made a mistake.",
    502: "The model gave no answer.",
    503: "The database, the model or the service is busy or away; Retry-After says when to come back.",
    504: "There was no answer in time.",
}
"""What each status of a problem means."""

ALWAYS = (400, 401, 403, 408, 413, 429, 500, 503, 504)
"""What every route that needs a key may answer."""


def problems(*statuses: int, common: bool = True) -> dict[int, ResponseSpec]:
    """Describe which problems a route may answer with.

    Parameters
    ----------
    *statuses : int
        Its own.
    common : bool
        Whether those of every route that needs a key come to these.
    """
    every = sorted({*statuses, *(ALWAYS if common else (500,))})
    return {
        int(status): ResponseSpec(Problem, generate_examples=False, description=WHY[status], media_type=MEDIA_TYPE)
        for status in every
    }


def and_ok(responses: dict[int, ResponseSpec], model: type, status: int, description: str) -> dict[int, ResponseSpec]:
    """Add a second way of answering well."""
    return {**responses, status: ResponseSpec(model, generate_examples=False, description=description)}


def named(name: str) -> str:
    """Give a prediction's id from a path as whoever predicted wrote it."""
    return original(name)


def require_free(name: str | None) -> None:
    """Refuse a session's name that a path has.

    Raises
    ------
    UnfitError
        If it is one.
    """
    if name in RESERVED:
        raise UnfitError(f"a session cannot be called {name!r}", "choose another id")
