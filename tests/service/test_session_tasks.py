"""Sessions that move to another version of their task: who advises then, and what their sums come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn import Learner
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.service.views import NewSession
from tests.service.house import SETTINGS, House, answer, came, day, in_house


@pytest.mark.parametrize("policy", ["apply", "replay"])
def test_a_session_moves_to_a_version_of_its_task_with_other_advisers(
    database: str, tmp_path: Path, policy: str
) -> None:
    path = tmp_path / "learner.json"

    async def work(one: House) -> None:
        settings = SETTINGS | {"policy": policy}
        await one.sessions.create(one.me, NewSession(task="weather", id="seattle", method="advised", settings=settings))
        for number in range(4):
            await one.predict(number)
        for number in (1, 2):
            await one.tell(f"#{number}", came(number))
        await one.learn()
        before = await one.sessions.memory(one.me, "seattle")
        task: Any = (await one.sessions.task(one.me, "weather")).content
        high = task["answer"][1] | {"low": -45.0, "high": 45.0}
        await one.sessions.put_task(one.me, "weather", task | {"answer": [task["answer"][0], high]})
        assert (await one.sessions.move(one.me, "seattle")).task_version == 2
        assert (await one.sessions.move(one.me, "seattle")).task_version == 2
        assert (await one.predict(4)).values
        for number in (0, 3, 4):
            await one.tell(f"#{number}", came(number))
        assert await one.learn() == 3
        assert (await one.sessions.get(one.me, "seattle")).waiting == 0
        assert (await one.sessions.memory(one.me, "seattle")).revision > before.revision
        path.write_bytes(await one.sessions.dump(one.me, "seattle"))
        with Learner.load(path, engine=ScriptedEngine(answer)) as learner:
            assert learner.stream.state.own.advisers[-1] == "zero"
            assert learner.predict_one(day(5)).values
        assert (await one.sessions.move(one.me, "seattle", 1)).task_version == 1
        assert (await one.predict(5)).values

    in_house(database, work)


def test_sums_take_back_what_they_were_given_whatever_the_task_is_by_now(database: str) -> None:
    """A corrected outcome was scored with other options and another range than there are when it is corrected."""

    async def work(one: House) -> None:
        await one.begin()
        numbers = []
        for number in range(3):
            await one.predict(number, str(number))
            numbers.append((await one.tell(str(number), {"sky": "snow", "high": 30.0})).number)
        await one.learn()
        scored = (await one.sessions.scores(one.me, "seattle")).total
        task: Any = (await one.sessions.task(one.me, "weather")).content
        sky, high = task["answer"]
        fewer = [sky | {"options": ["sun", "rain", "hail"]}, high | {"low": -200.0, "high": 100.0}]
        await one.sessions.put_task(one.me, "weather", task | {"answer": fewer})
        await one.sessions.move(one.me, "seattle")
        await _require_curves_come_to(one, scored)
        for number, told in enumerate(numbers):
            numbers[number] = (await one.tell(str(number), {"high": 1.0}, replaces=told)).number
        await _require_curves_come_to(one, scored)  # no correction was learned yet
        await one.learn()
        only = (await one.sessions.scores(one.me, "seattle")).total
        assert {name for name, (count, _) in only.items() if count} == {name for name in scored if "high" in name}
        assert all(value == pytest.approx(0.0, abs=1e-9) for count, value in only.values() if not count)
        await _require_curves_come_to(one, only)

    in_house(database, work)


async def _require_curves_come_to(one: House, total: dict[str, tuple[int, float]]) -> None:
    blocks = (await one.sessions.curves(one.me, "seattle")).blocks.values()
    for name, (count, value) in total.items():
        parts = [block.get(name, (0, 0.0)) for block in blocks]
        assert sum(part[0] for part in parts) == count, name
        assert sum(part[1] for part in parts) == pytest.approx(value, abs=1e-9), name
