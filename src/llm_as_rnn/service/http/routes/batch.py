"""Batches: many predictions or outcomes in one request, answered in their order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
from litestar import post
from litestar.response import Stream

from llm_as_rnn.service.bodies import BatchOutcome, BatchPrediction
from llm_as_rnn.service.errors import ServiceError
from llm_as_rnn.service.http.parts import Asker, Incoming, Parts, needs
from llm_as_rnn.service.http.problems import TimeOutError, TooLargeError, report, told
from llm_as_rnn.service.http.routes.common import problems
from llm_as_rnn.service.views import NewOutcome, NewPrediction, OutcomeView, PredictionView

MEDIA_TYPE = "application/x-ndjson"

MOST = 1000
"""Items of one batch."""

INTERNAL = 500

I = TypeVar("I", BatchPrediction, BatchOutcome)  # noqa: E741 - an item


class MalformedError(ServiceError):
    """A batch, or an item of it, is no JSON or does not fit what is described."""


@post(
    "/batch/predictions",
    opt=needs("predict"),
    status_code=200,
    media_type=MEDIA_TYPE,
    responses=problems(),
    tags=["batch"],
)
async def predict_batch(by: Asker, request: Incoming) -> Stream:
    """Predict up to 1,000 outcomes.

    The body is a JSON array or a line of JSON for each item, which says its session. Each line of the answer is a
    prediction, or a problem, which has a `type`, in the order of the items. Sessions are worked on at the same time,
    the items of each one in their order.
    """
    items = read_items(await request.body(), BatchPrediction)

    async def predicted(item: BatchPrediction) -> PredictionView:
        return await by.sessions.predict(by.caller, item.session, NewPrediction(x=item.x, id=item.id))

    return await _answered(by, request, items, predicted)


@post(
    "/batch/outcomes", opt=needs("learn"), status_code=200, media_type=MEDIA_TYPE, responses=problems(), tags=["batch"]
)
async def tell_batch(by: Asker, request: Incoming) -> Stream:
    """Tell up to 1,000 outcomes.

    It goes as for predictions. An outcome is durable when its line is answered, and learned in the background.
    """
    items = read_items(await request.body(), BatchOutcome)

    async def kept(item: BatchOutcome) -> OutcomeView:
        return await by.sessions.tell(by.caller, item.session, item.id, NewOutcome(y=item.y, replaces=item.replaces))

    return await _answered(by, request, items, kept)


def read_items(body: bytes, kind: type[I]) -> list[I | ServiceError]:
    r"""Read a batch: an array, or lines. An item that cannot be read is an error in its place.

    Raises
    ------
    MalformedError
        If an array is none.
    TooLargeError
        If there are too many items.

    Examples
    --------
    >>> read_items(b'{"session": "s", "x": {}}\n\n{"session": 7}', BatchPrediction)
    [BatchPrediction(x={}, id=None, session='s'), MalformedError(...)]
    """
    if body.lstrip()[:1] == b"[":
        try:
            found: Sequence[Any] = msgspec.json.decode(body, type=list[msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as error:
            raise MalformedError(f"the batch is no JSON array: {error}", "send one, or a line for each item") from error
    else:
        found = [line for line in body.splitlines() if line.strip()]
    if len(found) > MOST:
        raise TooLargeError(f"a batch has {MOST} items at most, and this one {len(found)}", "send several")
    decoder = msgspec.json.Decoder(kind)
    return [_read(decoder, number, item) for number, item in enumerate(found, 1)]


def _read(decoder: msgspec.json.Decoder[I], number: int, item: Any) -> I | ServiceError:
    try:
        return decoder.decode(item)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return MalformedError(f"item {number}: {error}", "see /v1/openapi.json")


async def _answered(
    by: Asker,
    request: Incoming,
    items: Sequence[I | ServiceError],
    do: Callable[[I], Awaitable[Any]],
) -> Stream:
    if len(items) > 1:  # one was counted at the door
        await by.parts.admit(by.caller, len(items) - 1, True)
    batch = _Batch(by.parts, request.scope["state"]["request_id"])
    return Stream(batch.lines(items, do), media_type=MEDIA_TYPE)


class _Batch:
    """One batch on its way."""

    def __init__(self, parts: Parts, request_id: str) -> None:
        self._parts, self._request_id = parts, request_id
        self._slots = asyncio.Semaphore(parts.settings.batch_concurrency)

    async def lines(self, items: Sequence[I | ServiceError], do: Callable[[I], Awaitable[Any]]) -> AsyncIterator[bytes]:
        """Give a line for each item, in their order, as soon as those before it are there."""
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[bytes]] = [loop.create_future() for _ in items]
        sessions: defaultdict[str, list[tuple[I, asyncio.Future[bytes]]]] = defaultdict(list)
        for item, answer in zip(items, answers, strict=True):
            if isinstance(item, ServiceError):
                answer.set_result(self._problem(item))
            else:
                sessions[item.session].append((item, answer))
        working = [asyncio.create_task(self._session(rows, do)) for rows in sessions.values()]
        try:
            for answer in answers:
                yield await answer + b"\n"
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    async def _session(
        self, rows: Sequence[tuple[I, asyncio.Future[bytes]]], do: Callable[[I], Awaitable[Any]]
    ) -> None:
        async with self._slots:
            for item, answer in rows:
                answer.set_result(await self._item(item, do))

    async def _item(self, item: I, do: Callable[[I], Awaitable[Any]]) -> bytes:
        try:
            async with asyncio.timeout(self._parts.settings.request_seconds):
                return msgspec.json.encode(await do(item))
        except TimeoutError:
            return self._problem(TimeOutError("there was no answer in time", "send this item again"))
        except Exception as error:  # noqa: BLE001 - it is this item's alone
            return self._problem(error)

    def _problem(self, error: Exception) -> bytes:
        problem = told(error, self._request_id).problem
        if problem.status >= INTERNAL:
            report(error, self._request_id)
        return msgspec.json.encode(problem)


ROUTES = (predict_batch, tell_batch)
