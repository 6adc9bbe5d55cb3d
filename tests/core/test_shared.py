"""An engine that several learners share: opened and closed by its owner, once, whatever the learners do."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn import AsyncLearner, Learner, SharedEngine
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.engines.scripted import ScriptedEngine
from tests.helpers import good_answer

DAY = {"date": "May 1", "sky": "rain", "high": 11.0, "low": 7.0, "precipitation": 3.0, "wind": 2.0}
OUTCOME = {"sky": "sun", "high": 13.5}


class Counting(ScriptedEngine):
    """Counts how often it is opened and closed."""

    opened = closed = 0

    async def open(self) -> None:
        self.opened += 1

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture(name="engine")
def counting_engine() -> Counting:
    return Counting(good_answer("json"))


def test_it_is_opened_and_closed_by_its_owner_alone(engine: Counting) -> None:
    with SharedEngine(engine=engine) as shared:
        assert (engine.opened, engine.closed) == (1, 0)
        with Learner("weather", engine=shared, method="recurrent") as one:
            other = Learner("weather", engine=shared, method="memprompt")
            assert one.predict_one(DAY).values == {"sky": "rain", "high": 9.5}
        with pytest.raises(UsageError, match="after close"):
            one.predict_one(DAY)
        p = other.predict_one(DAY)
        assert other.learn_one(p.id, OUTCOME).fate == "learned"
        other.close()
        assert (engine.opened, engine.closed) == (1, 0)
        later = Learner("weather", engine=shared, method="zero_shot")
        assert later.predict_one(DAY).values is not None
    assert (engine.opened, engine.closed) == (1, 1)
    with pytest.raises(UsageError, match="after close"):
        later.predict_one(DAY)
    later.close()
    assert engine.closed == 1


def test_learners_of_several_threads_are_answered_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=20)

    class Meeting(Counting):
        async def complete(self, request: Request) -> Completion:
            await asyncio.to_thread(together.wait)  # nobody gets an answer before all have asked
            return await super().complete(request)

    engine = Meeting(good_answer("json"))
    with SharedEngine(engine=engine) as shared:
        learners = [Learner("weather", engine=shared, method="zero_shot", sequence=str(n)) for n in range(4)]
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda learner: learner.predict_one(DAY), learners))
    assert [waiting.values for waiting in made] == [{"sky": "rain", "high": 9.5}] * 4


def test_streams_that_share_it_learn_as_they_would_alone(engine: Counting, tmp_path: Path) -> None:
    def learned(given: Any, place: str) -> bytes:
        learner = Learner("weather", engine=given, sequence=place)
        for _ in range(3):
            learner.learn_one(learner.predict_one(DAY).id, OUTCOME)
        return learner.dump()

    with SharedEngine(engine=engine) as shared:
        both = learned(shared, "a"), learned(shared, "b")
    assert both == (learned(Counting(good_answer("json")), "a"), learned(Counting(good_answer("json")), "b"))


def test_what_was_saved_goes_on_with_it(engine: Counting, tmp_path: Path) -> None:
    with SharedEngine(engine=engine) as shared:
        with Learner("weather", engine=shared) as one:
            p = one.predict_one(DAY)
            one.save(tmp_path / "one.json")
        again = Learner.load(tmp_path / "one.json", engine=shared)
        assert again.learn_one(p.id, OUTCOME).fate == "learned"
    assert engine.closed == 1


def test_it_is_entered_first_and_once(engine: Counting) -> None:
    shared = SharedEngine(engine=engine)
    with pytest.raises(UsageError, match="was not entered"):
        Learner("weather", engine=shared)
    with shared, pytest.raises(UsageError, match="entered once"), shared:
        pass
    with pytest.raises(UsageError, match="entered once"), shared:
        pass
    with pytest.raises(UsageError, match="after close"):
        Learner("weather", engine=shared)
    assert (engine.opened, engine.closed) == (1, 1)


def test_a_learner_that_could_not_begin_leaves_it_open(engine: Counting) -> None:
    with SharedEngine(engine=engine) as shared:
        with pytest.raises(UsageError, match="the first memory"):
            Learner("weather", engine=shared, budget=3)
        assert engine.closed == 0
        assert Learner("weather", engine=shared, method="zero_shot").predict_one(DAY).values is not None


def test_async_learners_share_one_too(engine: Counting) -> None:
    async def stream(shared: SharedEngine, name: str) -> object:
        async with AsyncLearner("weather", engine=shared, sequence=name) as learner:
            p = await learner.predict_one(DAY)
            return (await learner.learn_one(p.id, OUTCOME)).fate

    async def all_of_them() -> list[object]:
        async with SharedEngine(engine=engine) as shared:
            with pytest.raises(UsageError, match="write: with SharedEngine"):
                Learner("weather", engine=shared)
            fates = await asyncio.gather(*(stream(shared, name) for name in "abc"))
            assert engine.closed == 0
        with pytest.raises(UsageError, match="after close"):
            await stream(shared, "d")
        return list(fates)

    assert asyncio.run(all_of_them()) == ["learned"] * 3
    assert (engine.opened, engine.closed) == (1, 1)


def test_another_event_loop_is_refused(engine: Counting) -> None:
    async def entered() -> SharedEngine:
        return await SharedEngine(engine=engine).__aenter__()

    shared = asyncio.run(entered())

    async def elsewhere() -> None:
        async with AsyncLearner("weather", engine=shared):
            pass

    with pytest.raises(UsageError, match="another event loop"):
        asyncio.run(elsewhere())


def test_a_forked_process_is_refused_and_closes_nothing(engine: Counting) -> None:
    with SharedEngine(engine=engine) as shared:
        child = os.fork()
        if child == 0:
            try:
                Learner("weather", engine=shared)
            except UsageError as error:
                shared.__exit__(None, None, None)
                os._exit(0 if "forked" in str(error) and not engine.closed else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert Learner("weather", engine=shared, method="zero_shot").predict_one(DAY).values is not None
