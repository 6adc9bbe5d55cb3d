"""Each verb of the service over HTTP: what goes in, what comes out, and with which status and headers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from llm_as_rnn.core.task import load_task
from tests.service.conftest import KINDS
from tests.service.http.trying import CAME, DAY, Tried, begun, with_service

pytestmark = pytest.mark.parametrize("database", KINDS, indirect=True)


def test_a_session_from_its_beginning_to_its_end(database: str) -> None:
    async def work(tried: Tried) -> None:
        ask = tried.client
        await begun(tried, "oslo")
        again = await ask.post("/v1/sessions", json={"task": "weather", "id": "oslo", "settings": {"form": "line"}})
        assert (again.status_code, again.json()["title"]) == (409, "Conflict")
        made = await ask.post("/v1/sessions/oslo/predictions", json={"id": "a", "x": DAY})
        same = await ask.post("/v1/sessions/oslo/predictions", json={"id": "a", "x": DAY})
        assert (made.status_code, same.json()) == (200, made.json())
        assert made.json()["distribution"]["sky"]["rain"] > 0
        assert made.json()["interval"]["high"]
        other = await ask.post("/v1/sessions/oslo/predictions", json={"id": "a", "x": DAY | {"sky": "sun"}})
        assert other.status_code == 409
        told = await ask.put("/v1/sessions/oslo/predictions/a/outcome", params={"wait": 30}, json={"y": CAME})
        assert (told.status_code, told.json()["status"]) == (200, "learned")
        twice = await ask.put("/v1/sessions/oslo/predictions/a/outcome", json={"y": CAME})
        assert (twice.status_code, twice.json()["number"]) == (202, told.json()["number"])
        assert (await ask.get("/v1/sessions/oslo/predictions/a/outcome")).json() == told.json()
        step = (await ask.get("/v1/sessions/oslo/predictions/a")).json()
        assert (step["x"], step["outcome"]) == (DAY, told.json())
        assert [one["prediction"]["id"] for one in (await ask.get("/v1/sessions/oslo/steps")).json()] == ["a"]
        assert (await ask.get("/v1/sessions/oslo/steps", params={"after": 0})).json() == []
        assert (await ask.get("/v1/sessions/oslo/scores")).json()["total"]["sky.accuracy"] == [1, 0.0]
        assert (await ask.get("/v1/spend", params={"days": 2})).status_code == 200
        assert (await ask.delete("/v1/sessions/oslo")).status_code == 204
        assert (await ask.get("/v1/sessions/oslo")).status_code == 404

    with_service(database, work)


def test_an_outcome_that_nobody_waits_for_is_answered_before_it_is_learned(database: str) -> None:
    async def work(tried: Tried) -> None:
        await begun(tried)
        await tried.client.post("/v1/sessions/s/predictions", json={"id": "a", "x": DAY})
        told = await tried.client.put("/v1/sessions/s/predictions/a/outcome", json={"y": CAME})
        assert (told.status_code, told.json()["status"]) == (202, "waiting")
        wrong = await tried.client.put("/v1/sessions/s/predictions/a/outcome", json={"y": CAME | {"sky": "fog"}})
        assert wrong.status_code == 409
        right = {"y": CAME | {"sky": "fog"}, "replaces": told.json()["number"]}
        corrected = await tried.client.put("/v1/sessions/s/predictions/a/outcome", json=right)
        assert corrected.json()["replaces"] == told.json()["number"]

    with_service(database, work)


@pytest.mark.parametrize("name", ["a/b", "%2F", "2026-05-02 12:00", "ü?#&=+", '"', "7"])
def test_a_prediction_is_found_under_whatever_id_it_has(database: str, name: str) -> None:
    async def work(tried: Tried) -> None:
        await begun(tried)
        await tried.client.post("/v1/sessions/s/predictions", json={"id": name, "x": DAY})
        found = await tried.client.get(f"/v1/sessions/s/predictions/{quote(name, safe='')}")
        assert found.json()["prediction"]["id"] == name
        unnamed = (await tried.client.post("/v1/sessions/s/predictions", json={"x": DAY})).json()["id"]
        found = await tried.client.get(f"/v1/sessions/s/predictions/{quote(unnamed, safe='')}")
        assert found.json()["prediction"]["id"] == unnamed

    with_service(database, work)


def test_sessions_are_listed_a_page_at_a_time(database: str) -> None:
    async def work(tried: Tried) -> None:
        ask = tried.client
        for name in ("a1", "a2", "b1"):
            await begun(tried, name)
        assert (await ask.post("/v1/sessions/a2/archive")).json()["status"] == "archived"

        async def names(**asked: Any) -> list[str]:
            return [one["id"] for one in (await ask.get("/v1/sessions", params=asked)).json()]

        assert await names() == ["a1", "a2", "b1"]
        assert await names(limit=2) == ["a1", "a2"]
        assert await names(after="a2") == ["b1"]
        assert await names(search="a") == ["a1", "a2"]
        assert await names(status="archived", task="weather") == ["a2"]
        assert await names(task="other") == []
        refused = await ask.post("/v1/sessions/a2/predictions", json={"x": DAY})
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "archived")
        assert (await ask.post("/v1/sessions/a2/activate")).json()["status"] == "active"
        assert (await ask.post("/v1/sessions/a2/predictions", json={"x": DAY})).status_code == 200

    with_service(database, work)


def test_a_task_has_versions_and_a_session_is_moved_on_purpose(database: str) -> None:
    content = msgspec.to_builtins(load_task("weather"))

    async def work(tried: Tried) -> None:
        ask = tried.client
        first = await ask.put("/v1/tasks/mine", json=content | {"name": "mine"})
        assert (first.status_code, first.json()["version"]) == (200, 1)
        assert (await ask.put("/v1/tasks/mine", json=content | {"name": "mine"})).json()["version"] == 1
        await ask.post("/v1/sessions", json={"task": "mine", "id": "s"})
        better = content | {"name": "mine", "instructions": "You forecast."}
        assert (await ask.put("/v1/tasks/mine", json=better)).json()["version"] == 2
        assert [one["version"] for one in (await ask.get("/v1/tasks")).json()] == [1, 2]
        assert (await ask.get("/v1/tasks/mine")).json()["content"]["instructions"] == "You forecast."
        old = (await ask.get("/v1/tasks/mine", params={"version": 1})).json()
        assert old["content"]["instructions"] == content["instructions"]
        assert (await ask.get("/v1/sessions/s")).json()["task_version"] == 1
        assert (await ask.post("/v1/sessions/s/move", json={})).json()["task_version"] == 2
        assert (await ask.put("/v1/tasks/mine", json={"name": "mine"})).status_code == 422

    with_service(database, work)


def test_a_session_goes_out_as_a_learners_file_and_comes_back(database: str) -> None:
    async def work(tried: Tried) -> None:
        ask = tried.client
        await begun(tried)
        await ask.post("/v1/sessions/s/predictions", json={"id": "a", "x": DAY})
        await ask.put("/v1/sessions/s/predictions/a/outcome", params={"wait": 30}, json={"y": CAME})
        file = await ask.get("/v1/sessions/s/export")
        assert file.headers["content-type"] == "application/octet-stream"
        back = await ask.post("/v1/sessions/import", params={"id": "t"}, content=file.content)
        assert (back.status_code, back.json()["id"], back.json()["steps"]) == (201, "t", 1)
        texts = [(await ask.get(f"/v1/sessions/{name}/memory")).json()["text"] for name in "st"]
        assert texts[0] == texts[1]
        assert (await ask.post("/v1/sessions/import", content=b"no file")).status_code == 422
        forked = await ask.post("/v1/sessions/s/fork", json={"id": "u"})
        assert (forked.status_code, forked.json()["id"]) == (201, "u")
        reserved = await ask.post("/v1/sessions/s/fork", json={"id": "import"})
        assert reserved.status_code == 422

    with_service(database, work)


def test_a_memory_can_be_read_compared_edited_and_put_back(database: str) -> None:
    async def work(tried: Tried) -> None:
        ask, memory = tried.client, "/v1/sessions/s/memory"
        await begun(tried)
        await ask.post("/v1/sessions/s/predictions", json={"id": "a", "x": DAY})
        await ask.put("/v1/sessions/s/predictions/a/outcome", params={"wait": 30}, json={"y": CAME})
        found = await ask.get(memory)
        assert found.headers["etag"] == f'"{found.json()["version"]}"' == '"1"'
        assert (await ask.get(memory, headers={"If-None-Match": '"1"'})).status_code == 304
        assert (await ask.get(memory, headers={"If-None-Match": '"0"'})).status_code == 200
        versions = (await ask.get(f"{memory}/versions")).json()
        assert [one["version"] for one in versions] == [0, 1]
        behind = (await ask.get(f"{memory}/versions", params={"after": versions[0]["revision"]})).json()
        assert behind == versions[1:]
        assert (await ask.get(f"{memory}/versions/0")).json() == versions[0]
        assert (await ask.get(f"{memory}/versions/9")).status_code == 404
        change = (await ask.get(f"{memory}/diff", params={"from": 0})).json()
        assert (change["before"], change["after"]) == (0, 1)
        assert change["sections"][0]["added"] == ["rain follows rain"]
        lines = await ask.get(f"{memory}/diff", params={"from": 0, "to": 1}, headers={"Accept": "text/x-diff"})
        assert lines.text.splitlines()[:2] == ["--- v0", "+++ v1"]
        assert "+- rain follows rain" in lines.text.splitlines()
        restored = await ask.post(f"{memory}/restore", json={"version": 0})
        assert (restored.status_code, restored.headers["etag"]) == (200, '"2"')
        assert restored.json()["sections"] == versions[0]["sections"]

    with_service(database, work)


def test_an_edit_says_which_version_it_is_of(database: str) -> None:
    new = {"sections": [{"name": "Patterns", "items": ["fog lifts"]}]}

    async def work(tried: Tried) -> None:
        ask, memory = tried.client, "/v1/sessions/s/memory"
        await begun(tried)
        statuses = {}
        for condition in (None, '"7"', "seven", '"0"', '"0" ', 'W/"1"', "*"):
            headers = {} if condition is None else {"If-Match": condition}
            answer = await ask.put(memory, json=new, headers=headers)
            statuses[condition] = answer.status_code
        assert statuses == {
            None: 428, '"7"': 412, "seven": 422, '"0"': 200, '"0" ': 412, 'W/"1"': 200, "*": 200,
        }  # fmt: skip
        note = (await ask.get(memory)).json()["sections"][0]["items"][0]
        assert (await ask.put(f"{memory}/pins", json={"item": note})).status_code == 200
        assert (await ask.delete(f"{memory}/pins", params={"item": note})).status_code == 200
        assert (await ask.delete(f"{memory}/pins", params={"item": "no such note"})).status_code == 404

    with_service(database, work)
