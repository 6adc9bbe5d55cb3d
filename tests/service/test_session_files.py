"""Sessions that come as files from somewhere else, and go there."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_as_rnn import Learner
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.service.errors import (
    ConflictError,
    NotFoundError,
    UnfitError,
)
from llm_as_rnn.service.retention import retain
from tests.service.house import SETTINGS, House, answer, came, day, in_house


def test_a_notebooks_learner_goes_in_and_comes_back(database: str, tmp_path: Path) -> None:
    engine = ScriptedEngine(answer)
    learner = Learner("weather", engine=engine, sequence="seattle", **SETTINGS)
    for number in range(6):
        learner.predict_one(day(number), id=number if number == 4 else None)
        if number < 4:
            learner.learn_one(f"#{number}", came(number))
    learner.save(tmp_path / "before")

    async def work(one: House) -> None:
        view = await one.sessions.load(one.me, (tmp_path / "before").read_bytes())
        assert (view.id, view.steps, view.waiting) == ("seattle", 6, 2)
        assert (await one.sessions.memory(one.me, "seattle")).text == str(learner.memory)
        with pytest.raises(ConflictError):
            await one.sessions.load(one.me, (tmp_path / "before").read_bytes())
        with pytest.raises(NotFoundError):
            await one.tell("nobody's", came(0))
        with pytest.raises(ConflictError, match="'#1' was learned before the session came here"):
            await one.tell("#1", came(1))
        await one.tell("4", came(4))
        with pytest.raises(ConflictError, match="still to be learned"):
            await one.sessions.dump(one.me, "seattle")
        assert await one.learn() == 1
        (tmp_path / "after").write_bytes(await one.sessions.dump(one.me, "seattle"))

    in_house(database, work)
    learner.learn_one(4, came(4))
    back = Learner.load(tmp_path / "after", engine=engine)
    assert str(back.memory) == str(learner.memory)
    assert [waiting.id for waiting in back.waiting] == ["#5"]
    assert back.versions == learner.versions
    assert back.predict_one(day(6)).values == learner.predict_one(day(6)).values
    assert back.learn_one("#2", came(2)).fate == "duplicate"
    back.close()
    learner.close()


@pytest.mark.parametrize("name", ["my stream", "a/b", "import", "", "n" * 300])
def test_a_stream_that_is_called_as_no_session_can_be_gets_another_name(
    database: str, tmp_path: Path, name: str
) -> None:
    with Learner("weather", engine=ScriptedEngine(answer), sequence=name, **SETTINGS) as learner:
        learner.save(tmp_path / "learner")

    async def work(one: House) -> None:
        content = (tmp_path / "learner").read_bytes()
        with pytest.raises(UnfitError, match=r"is called '.*', and a session cannot be"):
            await one.sessions.load(one.me, content)
        assert await one.sessions.list(one.me) == []
        assert (await one.sessions.load(one.me, content, "mine")).id == "mine"

    in_house(database, work)


def test_a_file_of_a_session_whose_old_steps_were_deleted_knows_that_there_were_more(
    database: str, tmp_path: Path
) -> None:
    async def work(one: House) -> None:
        await one.begin()
        for number in range(4):
            await one.predict(number)
            if number < 3:
                await one.tell(f"#{number}", came(number))
        await one.learn()
        await retain(one.sessions.store, 0)
        (tmp_path / "kept").write_bytes(await one.sessions.dump(one.me, "seattle"))

    in_house(database, work)
    back = Learner.load(tmp_path / "kept", engine=ScriptedEngine(answer))
    assert back.stream.forgotten == 3
    assert back.learn_one("#1", came(1)).fate == "duplicate"
    assert [waiting.id for waiting in back.waiting] == ["#3"]
    back.close()
