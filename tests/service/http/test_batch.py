"""Batches: in order, each item for itself, sessions at the same time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llm_as_rnn.core.calls import Request
from llm_as_rnn.service.http.routes.batch import MOST
from tests.service.http.trying import CAME, DAY, Tried, begun, with_service


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def ndjson(items: list[Any]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


@pytest.mark.parametrize(
    ("form", "number"), [pytest.param("array", MOST, marks=pytest.mark.long), ("array", 60), ("lines", 20)]
)
def test_many_predictions_are_answered_in_their_order(database: str, form: str, number: int) -> None:
    items = [{"session": f"s{at % 4}", "id": str(at), "x": DAY} for at in range(number)]

    async def work(tried: Tried) -> None:
        for at in range(4):
            await tried.client.post("/v1/sessions", json={"task": "weather", "id": f"s{at}", "method": "zero_shot"})
        how: dict[str, Any] = {"json": items} if form == "array" else {"content": ndjson(items)}
        answer = await tried.client.post("/v1/batch/predictions", **how)
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        got = lines(answer.text)
        assert [one["id"] for one in got] == [item["id"] for item in items]
        assert [one["t"] for one in got] == [at // 4 for at in range(number)], "those of a session in order"
        told = [{"session": item["session"], "id": item["id"], "y": CAME} for item in items[:8]]
        kept = lines((await tried.client.post("/v1/batch/outcomes", json=told)).text)
        assert [(one["id"], one["status"]) for one in kept] == [(item["id"], "waiting") for item in told]

    with_service(database, work)


def test_an_item_that_fails_is_a_problem_in_its_place(database: str) -> None:
    items = [
        b'{"session": "s", "id": "a", "x": {"sky": "sun"}}',
        json.dumps({"session": "s", "id": "b", "x": DAY}).encode(),
        b'{"session": "gone", "x": {}}',
        b"no json",
        b'{"session": "s", "x": {}, "colour": "red"}',
        b"\xff",
        json.dumps({"session": "s", "id": "c", "x": DAY}).encode(),
    ]

    async def work(tried: Tried) -> None:
        await begun(tried)
        got = lines((await tried.client.post("/v1/batch/predictions", content=b"\n".join(items))).text)
        assert [one["status"] for one in got] == [422, "ok", 404, 400, 400, 400, "ok"]
        assert got[3]["detail"].startswith("item 4: ")

    with_service(database, work)


def test_what_is_no_batch_is_refused_as_a_whole(database: str) -> None:
    async def work(tried: Tried) -> None:
        post = tried.client.post
        assert (await post("/v1/batch/predictions", content=b"[{]")).status_code == 400
        assert (await post("/v1/batch/predictions", json=[{}] * (MOST + 1))).status_code == 413
        assert (await post("/v1/batch/predictions", content=b"")).text == ""

    with_service(database, work)


def test_sessions_are_worked_on_at_the_same_time_and_the_items_of_one_in_turn(database: str) -> None:
    async def work(tried: Tried) -> None:
        for name in ("s", "t"):
            await begun(tried, name)
        together = asyncio.Barrier(2)
        complete = tried.engine.complete
        met = False

        async def meeting(request: Request) -> Any:
            nonlocal met
            if not met:
                await together.wait()  # for a call of the other session
                met = True
            return await complete(request)

        tried.engine.complete = meeting  # type: ignore[method-assign]
        items = [{"session": name, "x": DAY | {"high": number}} for number in range(3) for name in ("s", "t")]
        got = lines((await tried.client.post("/v1/batch/predictions", json=items)).text)
        assert [one["t"] for one in got] == [0, 0, 1, 1, 2, 2]

    with_service(database, work)
