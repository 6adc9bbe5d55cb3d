"""What sessions cost is their tenant's, and a quota of sessions holds however they begin."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from llm_as_rnn.service.callers import Quotas
from llm_as_rnn.service.errors import QuotaError
from llm_as_rnn.service.schema import sessions
from llm_as_rnn.service.views import NewSession
from tests.service.test_sessions import SETTINGS, House, came, in_house
from tests.service.using import read

FIGURES = ("calls", "prompt_tokens", "cached_tokens", "completion_tokens")


def test_a_tenant_spends_what_its_sessions_do_and_no_other_does(database: str) -> None:
    async def work(house: House) -> None:
        for name in ("seattle", "portland"):
            await house.begin(name)
            for number in range(3):
                await house.predict(number, f"p{number}", name)
                await house.predict(number, f"p{number}", name)  # the same again, which costs nothing
                await house.tell(f"p{number}", came(number), name)
            assert await house.learn(name) == 3
        (today,) = await house.sessions.spend(house.me, 1)
        assert today.date == datetime.fromtimestamp(time.time(), UTC).date().isoformat()
        assert today.requests == 6
        assert today.calls > 6
        total = sa.select(*(sa.func.sum(sessions.c[name]) for name in FIGURES))
        assert await house.sessions.store.read(lambda connection: tuple(connection.execute(total).one())) == tuple(
            getattr(today, name) for name in FIGURES
        )
        assert await house.sessions.spend(house.other, 30) == []

    in_house(database, work)


def test_a_quota_of_sessions_holds_for_new_ones_forks_and_files(database: str) -> None:
    async def work(house: House) -> None:
        await house.begin("one")
        file = await house.sessions.dump(house.me, "one")
        house.me = house.me._replace(quotas=Quotas(sessions=2))
        await house.begin("two")
        await house.begin("two")  # it is there already
        with pytest.raises(QuotaError):
            await house.begin("three")
        with pytest.raises(QuotaError):
            await house.sessions.fork(house.me, "one", "three")
        with pytest.raises(QuotaError):
            await house.sessions.load(house.me, file, "three")
        await house.sessions.create(house.other, NewSession(task="weather", id="one", settings=SETTINGS))
        await house.sessions.delete(house.me, "one")
        await house.begin("three")

    in_house(database, work)
    assert sorted(read(database, sa.select(sessions.c.id))) == [("one",), ("three",), ("two",)]


def test_what_was_spent_is_told_as_json(migrated_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "service.db"
    path.write_bytes(migrated_file.read_bytes())

    async def work(house: House) -> None:
        await house.begin()
        await house.predict(0)
        told = msgspec.json.decode(msgspec.json.encode(await house.sessions.spend(house.me, 1)))
        assert [sorted(one) for one in told] == [sorted(("date", "requests", *FIGURES))]

    in_house(f"sqlite:///{path}", work)
