"""What is shown to whoever watches a session, beside what the API gives: the same steps, versions and sums."""

from __future__ import annotations

from llm_as_rnn.service.callers import Caller
from llm_as_rnn.service.keys import authenticate
from tests.service.http.trying import DAY, Tried, begun, with_service


async def stepped(tried: Tried, steps: int, learned: int) -> None:
    """Begin a session with some steps, the first of which are learned."""
    await begun(tried)
    for step in range(steps):
        new = {"id": f"a{step}", "x": DAY | {"date": f"May {step}"}}
        assert (await tried.client.post("/v1/sessions/s/predictions", json=new)).is_success
        if step < learned:
            y = {"sky": "sun" if step % 2 else "rain", "high": 10.0 + step}
            path = f"/v1/sessions/s/predictions/a{step}/outcome?wait=30"
            assert (await tried.client.put(path, json={"y": y})).status_code == 200


def test_steps_are_those_of_the_api(database: str) -> None:
    async def work(tried: Tried) -> None:
        await stepped(tried, 6, 4)
        steps = (await tried.client.get("/v1/sessions/s/steps")).json()
        part = (await tried.client.get("/ui/sessions/s/steps")).json()
        (trace,) = part["traces"]
        assert trace["t"] == [step["prediction"]["t"] for step in steps]
        assert trace["steps"]["id"] == [step["prediction"]["id"] for step in steps]
        assert trace["steps"]["waits"] == [None, None, None, None, "waiting", "waiting"]
        came = [step["outcome"] and step["outcome"]["y"]["sky"] for step in steps]
        assert trace["answers"]["sky"]["came"] == came
        assert trace["steps"]["outcome"][:4] == [step["outcome"]["update"]["outcome"] for step in steps[:4]]
        versions = [memory and memory["version"] for memory in trace["steps"]["memory"]]
        assert versions == [step["outcome"] and step["outcome"]["memory_version"] for step in steps]
        later = (await tried.client.get("/ui/sessions/s/steps?after=3&limit=1")).json()
        assert later["traces"][0]["t"] == [4]
        assert (await tried.client.get("/ui/sessions/s/steps?after=5")).json()["traces"] == []
        assert part["budget"] > 0

    with_service(database, work)


def test_steps_are_listed_by_what_became_of_them(database: str) -> None:
    async def work(tried: Tried) -> None:
        await stepped(tried, 5, 3)
        for state, expected in (("learned", [0, 1, 2]), ("waiting", [3, 4]), ("given_up", [])):
            found = (await tried.client.get(f"/v1/sessions/s/steps?state={state}")).json()
            assert [step["prediction"]["t"] for step in found] == expected
        assert (await tried.client.get("/v1/sessions/s/steps?state=other")).status_code == 400

    with_service(database, work)


def test_changes_of_the_memory_are_those_of_its_versions_a_page_at_a_time(database: str) -> None:
    async def work(tried: Tried) -> None:
        await stepped(tried, 2, 2)
        for version in (0, 1, 0):
            answer = await tried.client.post("/v1/sessions/s/memory/restore", json={"version": version})
            assert answer.is_success
        versions = (await tried.client.get("/v1/sessions/s/memory/versions")).json()[::-1]
        changes = (await tried.client.get("/ui/sessions/s/memories")).json()
        named = ("version", "revision", "author", "created")
        assert [[one[name] for name in named] for one in changes] == [[one[name] for name in named] for one in versions]
        paged, before = [], ""
        while found := (await tried.client.get(f"/ui/sessions/s/memories?limit=2{before}")).json():
            paged += found
            before = f"&before={found[-1]['revision']}"
        assert [one["revision"] for one in paged] == [one["revision"] for one in changes]
        for change, version in zip(paged, versions, strict=True):
            left = [
                [item[3] if item[2] != "~" else "".join(text for mark, text in item[3] if mark != "-") for item in items
                 if item[2] != "-"]
                for _, items in change["sections"]
            ]  # fmt: skip
            assert left == [section["items"] for section in version["sections"]]
        first = changes[0]["sections"][0][1]
        assert {item[2] for item in first} == {"+", "-"}

    with_service(database, work)


def test_curves_of_a_short_session_come_to_its_sums(database: str) -> None:
    async def work(tried: Tried) -> None:
        await stepped(tried, 8, 7)
        found = await tried.sessions.curves(await owner(tried), "s")
        total = (await tried.client.get("/v1/sessions/s/scores")).json()["total"]
        assert found.steps_in_block == 5
        assert set(found.blocks) == {0, 1}
        for score, (number, value) in total.items():
            parts = [block[score] for block in found.blocks.values() if score in block]
            assert sum(part[0] for part in parts) == number
            assert abs(sum(part[1] for part in parts) - value) < 1e-9

    async def owner(tried: Tried) -> Caller:

        return await authenticate(tried.sessions.store, tried.keys["all"])

    with_service(database, work)
