"""Drivers: the same computation, run at once, from async code, or replayed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from unittest.mock import patch

import pytest

from llm_as_rnn.catalogue import build
from llm_as_rnn.core.calls import Call, Completion, Message, Request
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, UsageError
from llm_as_rnn.core.method import Calls, count_tokens
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.engines.drive import SyncDriver, drive, drive_walk
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.walk import walk


def two_calls() -> Calls[list[str]]:
    """Ask twice, with a count between."""
    first = yield Request("predict", (Message("user", "one"),))
    tokens = yield from count_tokens("three short words")
    second = yield Request("update", (Message("user", f"{first.text} {tokens}"),))
    return [first.text or first.error, second.text]


def echo(request: Request) -> str:
    return f"<{request.messages[0].content}>"


def test_async_and_sync_drivers_agree_and_log_model_calls_only() -> None:
    log: list[Call] = []
    result = asyncio.run(drive(two_calls(), ScriptedEngine(echo), log))
    assert result == ["<one>", "<<one> 4>"]
    assert [call.role for call in log] == ["predict", "update"]
    with SyncDriver(ScriptedEngine(echo)) as driver:
        assert driver.run(two_calls()) == result
        assert driver.run(two_calls()) == result


def test_the_sync_driver_works_inside_a_running_loop() -> None:
    async def notebook() -> list[str]:
        with SyncDriver(ScriptedEngine(echo)) as driver:
            return driver.run(two_calls())

    assert asyncio.run(notebook()) == ["<one>", "<<one> 4>"]


def test_a_sync_driver_that_was_closed_answers_at_once_and_closes_once() -> None:
    closed: list[int] = []

    class Counting(ScriptedEngine):
        async def close(self) -> None:
            closed.append(1)

    with SyncDriver(Counting(echo)) as driver:
        assert driver.usable
    with pytest.raises(UsageError, match="after close"):
        driver.run(two_calls())
    driver.__exit__(None, None, None)
    assert (closed, driver.usable) == ([1], False)


def test_a_sync_driver_whose_engine_does_not_open_leaves_nothing_behind() -> None:
    class Shut(ScriptedEngine):
        async def open(self) -> None:
            raise EngineUnavailableError("no server")

    with pytest.raises(EngineUnavailableError), SyncDriver(Shut(echo)):
        pass


def test_a_failed_call_is_a_completion_and_a_lost_engine_is_not() -> None:
    def failing(request: Request) -> str:
        raise EngineError("500") if request.role == "predict" else AssertionError

    def gone(request: Request) -> str:
        raise EngineUnavailableError("refused")

    with pytest.raises(AssertionError):
        asyncio.run(drive(two_calls(), ScriptedEngine(failing)))
    calls = two_calls()
    with pytest.raises(EngineUnavailableError):
        asyncio.run(drive(calls, ScriptedEngine(gone)))
    with pytest.raises(StopIteration):
        next(calls)  # it was closed


def test_a_call_gives_back_its_completion() -> None:
    completion = Completion("text", "length", 3, 4, 2, 0.5, 1, "cut")
    assert Call.of("predict", completion).completion() == completion


class TestSlowComputations:
    """What takes long is computed beside the loop, which serves the others meanwhile."""

    @pytest.fixture(autouse=True)
    def _fresh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("llm_as_rnn.engines.drive._took", {})
        monkeypatch.setattr("llm_as_rnn.engines.drive.SLOW", 0.0)

    @staticmethod
    def waits_for(go_on: threading.Event) -> Calls[str]:
        """Compute for as long as somebody else has not done something."""
        answer = yield Request("predict", (Message("user", "one"),))
        assert go_on.wait(10), "the loop stood still"
        return answer.text

    def test_the_loop_serves_others_meanwhile(self) -> None:
        async def others() -> None:
            go_on.set()

        async def run() -> list[Any]:
            first = await drive(two_calls(), ScriptedEngine(echo))
            return [first, *(await asyncio.gather(drive(self.waits_for(go_on), ScriptedEngine(echo)), others()))]

        go_on = threading.Event()
        with patch.dict("llm_as_rnn.engines.drive._took", {self.waits_for(go_on).gi_code: 1.0}):  # type: ignore[attr-defined]
            assert asyncio.run(run()) == [["<one>", "<<one> 4>"], "<one>", None]

    def test_a_quick_one_is_not_moved(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("llm_as_rnn.engines.drive.SLOW", 60.0)
        monkeypatch.setattr(asyncio, "to_thread", None)
        assert asyncio.run(drive(two_calls(), ScriptedEngine(echo))) == ["<one>", "<<one> 4>"]

    def test_whoever_is_cancelled_leaves_no_computation_behind(self) -> None:
        def slow() -> Calls[str]:
            begun.set()
            try:
                yield from self.waits_for(go_on)
            finally:
                ended.append(True)
            return ""

        async def run() -> None:
            task = asyncio.create_task(drive(slow(), ScriptedEngine(echo)))
            await asyncio.to_thread(begun.wait)
            for _ in range(2):
                task.cancel()
                await asyncio.sleep(0)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task

        ended: list[bool] = []
        begun, go_on = threading.Event(), threading.Event()
        with patch.dict("llm_as_rnn.engines.drive._took", {slow().gi_code: 1.0}):  # type: ignore[attr-defined]
            asyncio.run(run())
        assert ended == [True]

    def test_errors_and_results_come_back_from_there(self) -> None:
        def failing() -> Calls[str]:
            yield Request("predict", (Message("user", "one"),))
            raise KeyError("x")

        with pytest.raises(KeyError):
            asyncio.run(drive(failing(), ScriptedEngine(echo)))


def test_others_come_in_after_each_step_of_a_walk_that_never_waits(weather: Task) -> None:
    """An interrupt is such another: without a turn it would be heard at the end alone."""
    method = build("repeat_last", weather, Settings(), Prompts())
    sequence = dataset("weather").load(Selection(1, 6))[0]
    turns: list[str] = []

    async def beside() -> None:
        while turns.count("step") < 6:
            turns.append("turn")
            await asyncio.sleep(0)

    async def both() -> None:
        other = asyncio.create_task(beside())
        engine = ScriptedEngine(lambda request: "")
        await drive_walk(walk(method, sequence, weather), engine, lambda record: turns.append("step"))
        await other

    asyncio.run(both())
    assert [turns[place + 1] for place, what in enumerate(turns[:-1]) if what == "step"] == ["turn"] * 5
