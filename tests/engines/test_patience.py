"""An outage is waited out, and told from the failure of one call."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.calls import Completion, Message, Request
from llm_as_rnn.core.engine import small_request
from llm_as_rnn.core.errors import EngineBusyError, EngineError, EngineUnavailableError, RequestRefusedError
from llm_as_rnn.core.records import Style
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.patience import PatientEngine, Pause
from llm_as_rnn.engines.resolve import resolve
from tests.fake_server import FakeServer, Fault

REQUEST = Request("predict", (Message("user", "sun ->"),))


class Clock:
    """A clock that goes on by waiting alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class Outage:
    """An engine that is down until a time."""

    def __init__(self, clock: Clock, until: float, retry_after: float | None = None) -> None:
        self.clock = clock
        self.until = until
        self.retry_after = retry_after
        self.asked: list[float] = []
        self.info = OpenAICompatibleEngine("m", base_url="http://127.0.0.1:1/v1").info
        self.error: EngineError | None = None

    async def open(self) -> None:
        await self.complete(REQUEST)

    async def complete(self, request: Request) -> Completion:
        self.asked.append(self.clock.now)
        await asyncio.sleep(0)
        if self.clock.now < self.until:
            raise EngineBusyError("busy", retry_after=self.retry_after)
        if self.error is not None:
            raise self.error
        return Completion("fine")

    async def count_tokens(self, text: str) -> int:
        await self.complete(REQUEST)
        return 3

    async def close(self) -> None:
        pass


class Breaking(Outage):
    """An engine that breaks until a time, once it is up."""

    breaks_until = 0.0
    bad: Request | None = None
    small_error: EngineError | None = None

    def __init__(self, clock: Clock, until: float) -> None:
        super().__init__(clock, until)
        self.small: list[Request] = []

    async def complete(self, request: Request) -> Completion:
        completion = await super().complete(request)
        if self.clock.now < self.breaks_until or request == self.bad:
            raise EngineError("500: oops")
        if request == small_request(request.style):
            self.small.append(request)
            if self.small_error is not None:
                raise self.small_error
        return completion


def patient(engine: Outage, patience: float = 600.0) -> tuple[PatientEngine, list[Pause | None]]:
    pauses: list[Pause | None] = []
    return PatientEngine(engine, patience, pauses.append, clock=engine.clock, sleep=engine.clock.sleep), pauses


class TestPatience:
    """An outage is waited out: visibly, by one call at a time, and not for ever."""

    def test_an_outage_costs_no_call(self) -> None:
        engine = Outage(Clock(), 30.0)
        waiting, pauses = patient(engine)
        assert asyncio.run(waiting.complete(REQUEST)).text == "fine"
        told = [pause for pause in pauses if pause is not None]
        assert [pause.until for pause in told] == [1.0, 3.0, 7.0, 15.0, 31.0]
        assert told[0] == Pause("busy", 1.0, 599.0)
        assert pauses[-1] is None

    def test_a_pause_of_which_nobody_is_told_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        engine = Outage(Clock(), 2.0)
        with caplog.at_level(logging.WARNING, "llm_as_rnn"):
            asyncio.run(PatientEngine(engine, 60.0, clock=engine.clock, sleep=engine.clock.sleep).complete(REQUEST))
        assert caplog.messages == [
            "busy: asked again in 1 s, and for 59 s after that",
            "busy: asked again in 2 s, and for 57 s after that",
        ]

    def test_open_and_counts_wait_too(self) -> None:
        async def run() -> int:
            await waiting.open()
            engine.until = engine.clock.now + 10
            return await waiting.count_tokens("x")

        engine = Outage(Clock(), 30.0)
        waiting, _ = patient(engine)
        assert asyncio.run(run()) == 3
        assert engine.clock.now >= 40

    def test_the_server_says_when(self) -> None:
        engine = Outage(Clock(), 100.0, retry_after=120.0)
        waiting, _ = patient(engine)
        asyncio.run(waiting.complete(REQUEST))
        assert engine.asked == [0.0, 120.0]

    @pytest.mark.parametrize("retry_after", [None, 9999.0])
    def test_patience_ends(self, retry_after: float | None) -> None:
        engine = Outage(Clock(), 10_000.0, retry_after)
        waiting, pauses = patient(engine, 60.0)
        with pytest.raises(EngineUnavailableError, match=r"busy; that was waited out for 60 s .*--patience") as caught:
            asyncio.run(waiting.complete(REQUEST))
        assert not isinstance(caught.value, EngineBusyError)
        assert engine.clock.now == 60.0
        assert engine.asked[-1] == 60.0, "it is asked once more before it is given up"
        assert pauses[-1] is None

    def test_no_patience_at_all(self) -> None:
        engine = Outage(Clock(), 10.0)
        with pytest.raises(EngineUnavailableError, match="waited out for 0 s"):
            asyncio.run(patient(engine, 0.0)[0].complete(REQUEST))
        assert engine.clock.now == 0.0

    def test_one_call_asks_while_the_others_wait(self) -> None:
        async def run() -> list[Completion]:
            return await asyncio.gather(*(waiting.complete(REQUEST) for _ in range(20)))

        engine = Outage(Clock(), 30.0)
        waiting, _ = patient(engine)
        assert {completion.text for completion in asyncio.run(run())} == {"fine"}
        assert engine.asked.count(0.0) == 20
        assert len([when for when in engine.asked if 0 < when < 30]) == 4
        assert len(engine.asked) == 20 + 4 + 20

    def test_all_that_wait_are_told_when_patience_ends(self) -> None:
        async def run() -> list[Any]:
            return await asyncio.gather(*(waiting.complete(REQUEST) for _ in range(20)), return_exceptions=True)

        engine = Outage(Clock(), 10_000.0)
        waiting, _ = patient(engine, 60.0)
        assert {type(error) for error in asyncio.run(run())} == {EngineUnavailableError}
        assert engine.clock.now == 60.0
        assert len(engine.asked) < 30

    def test_after_it_was_given_up_each_call_asks_once(self) -> None:
        async def run() -> str:
            for _ in range(2):
                with pytest.raises(EngineUnavailableError):
                    await waiting.complete(REQUEST)
            assert engine.clock.now == 60.0
            engine.until = 0.0
            await waiting.complete(REQUEST)
            engine.until = 70.0
            return (await waiting.complete(REQUEST)).text

        engine = Outage(Clock(), 10_000.0)
        waiting, _ = patient(engine, 60.0)
        assert asyncio.run(run()) == "fine"

    def test_a_call_that_is_cancelled_hands_on(self) -> None:
        async def run() -> str:
            first = asyncio.create_task(waiting.complete(REQUEST))
            second = asyncio.create_task(waiting.complete(REQUEST))
            await entered.wait()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert None in pauses
            hold.set()
            return (await second).text

        async def sleep(seconds: float) -> None:
            entered.set()
            await hold.wait()
            await engine.clock.sleep(seconds)

        engine = Outage(Clock(), 30.0)
        entered, hold = asyncio.Event(), asyncio.Event()
        pauses: list[Pause | None] = []
        waiting = PatientEngine(engine, 600.0, pauses.append, clock=engine.clock, sleep=sleep)
        assert asyncio.run(run()) == "fine"

    def test_another_error_ends_the_wait_of_all(self) -> None:
        async def run() -> list[Any]:
            return await asyncio.gather(*(waiting.complete(REQUEST) for _ in range(3)), return_exceptions=True)

        engine = Outage(Clock(), 30.0)
        engine.error = RequestRefusedError("no")
        waiting, _ = patient(engine)
        assert [str(error) for error in asyncio.run(run())] == ["no"] * 3

    def test_none_of_the_first_calls(self) -> None:
        async def run() -> None:
            for number in range(7):
                engine.error = RequestRefusedError("odd" if number == 3 else "answered 400: go away")
                with pytest.raises(RequestRefusedError):
                    await waiting.complete(REQUEST)
            with pytest.raises(EngineUnavailableError, match=r"first 8 calls succeeded: .* 400: go away"):
                await waiting.complete(REQUEST)

        engine = Outage(Clock(), 0.0)
        waiting, _ = patient(engine)
        asyncio.run(run())

    def test_one_success_among_the_first_is_enough(self) -> None:
        async def run() -> None:
            await waiting.complete(REQUEST)
            engine.error = RequestRefusedError("no")
            for _ in range(20):
                with pytest.raises(RequestRefusedError):
                    await waiting.complete(REQUEST)

        engine = Outage(Clock(), 0.0)
        waiting, _ = patient(engine)
        asyncio.run(run())

    def test_a_server_that_breaks_costs_no_call(self) -> None:
        async def run() -> list[Completion]:
            await waiting.complete(REQUEST)
            engine.breaks_until = 100.0
            return await asyncio.gather(*(waiting.complete(REQUEST) for _ in range(5)))

        engine = Breaking(Clock(), 0.0)
        waiting, pauses = patient(engine)
        assert {completion.text for completion in asyncio.run(run())} == {"fine"}
        assert engine.clock.now >= 100.0
        assert pauses[0] is not None
        assert pauses[0].why == "500: oops"

    @pytest.mark.parametrize("style", ["chat", "completion"])
    def test_a_request_that_breaks_the_server_by_itself_fails_alone(self, style: Style) -> None:
        async def run() -> list[Any]:
            await waiting.complete(REQUEST)
            bad = msgspec.structs.replace(REQUEST, messages=(Message("user", "bad"),), style=style)
            engine.bad = bad
            asked = (waiting.complete(request) for request in (REQUEST, bad, REQUEST))
            return await asyncio.gather(*asked, return_exceptions=True)

        engine = Breaking(Clock(), 0.0)
        waiting, _ = patient(engine)
        first, failed, last = asyncio.run(run())
        assert (first.text, last.text) == ("fine", "fine")
        assert (type(failed), str(failed)) == (EngineError, "500: oops")
        assert engine.small == [small_request(style)]
        assert engine.clock.now == 3.0, "it was asked again after 1 s and after 2 s, and then at once"

    def test_a_server_that_breaks_on_everything_from_the_start_is_given_up_at_once(self) -> None:
        engine = Breaking(Clock(), 0.0)
        engine.breaks_until = 10_000.0
        waiting, pauses = patient(engine)
        with pytest.raises(EngineUnavailableError, match="500: oops, whatever is asked") as caught:
            asyncio.run(waiting.complete(REQUEST))
        assert not isinstance(caught.value, EngineBusyError)
        assert engine.clock.now == 3.0
        assert pauses[-1] is None

    def test_who_refuses_the_small_request_serves(self) -> None:
        async def run() -> None:
            engine.bad, engine.small_error = REQUEST, RequestRefusedError("too small")
            await waiting.complete(REQUEST)

        engine = Breaking(Clock(), 0.0)
        waiting, _ = patient(engine)
        with pytest.raises(EngineError, match="500: oops"):
            asyncio.run(run())

    def test_counts_that_break_wait_too(self) -> None:
        async def run() -> int:
            await waiting.complete(REQUEST)
            engine.breaks_until = 20.0
            return await waiting.count_tokens("x")

        engine = Breaking(Clock(), 0.0)
        waiting, _ = patient(engine)
        assert asyncio.run(run()) == 3
        assert engine.clock.now >= 20.0

    def test_a_server_that_breaks_while_it_comes_back_is_still_away(self) -> None:
        async def run() -> list[Completion]:
            await waiting.complete(REQUEST)
            engine.until, engine.breaks_until = 2.0, 20.0
            return await asyncio.gather(*(waiting.complete(REQUEST) for _ in range(5)))

        engine = Breaking(Clock(), 0.0)
        waiting, _ = patient(engine)
        assert {completion.text for completion in asyncio.run(run())} == {"fine"}
        assert engine.clock.now >= 20.0

    def test_breaking_for_ever_stops_so_that_one_can_go_on(self) -> None:
        async def run() -> None:
            await waiting.complete(REQUEST)
            engine.breaks_until = 10_000.0
            await waiting.complete(REQUEST)

        engine = Breaking(Clock(), 0.0)
        waiting, _ = patient(engine, 60.0)
        with pytest.raises(EngineUnavailableError, match="500: oops; that was waited out for 60 s"):
            asyncio.run(run())

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(status=500, body={"error": "oops"}),
            Fault(status=408),
            Fault(status=409),
            Fault(status=200, body="<html>Maintenance</html>"),
            Fault(status=200, body='{"choices": [{"mess'),
            Fault(status=200, body={"choices": [{"finish_reason": "error"}]}),
            Fault("stall"),
        ],
        ids=["500", "408", "409", "html", "cut", "error", "stall"],
    )
    def test_whatever_a_broken_server_sends(self, fault: Fault) -> None:
        async def run() -> list[str]:
            inner = OpenAICompatibleEngine("fake", base_url=server.url, max_retries=0, timeout=0.3)
            engine = PatientEngine(inner, clock=clock, sleep=clock.sleep)
            await engine.open()
            try:
                await engine.complete(REQUEST)
                server.faults.append(replace(fault, times=6))
                return [(await engine.complete(REQUEST)).text for _ in range(3)]
            finally:
                await engine.close()

        clock = Clock()
        with FakeServer() as server:
            assert asyncio.run(run()) == ["fine"] * 3
        assert clock.now > 0

    def test_servers_get_it_and_others_need_none(self) -> None:
        told: list[Pause | None] = []
        engine = resolve("openai:m", base_url="http://127.0.0.1:1/v1", patience=5.0, on_pause=told.append)
        assert isinstance(engine, PatientEngine)
        assert engine.patience == 5.0
        assert isinstance(resolve("openai:m"), PatientEngine)

    def test_a_server_that_is_still_loading_its_model(self) -> None:
        async def run() -> str:
            inner = OpenAICompatibleEngine("fake", base_url=server.url, max_retries=0)
            engine = PatientEngine(inner, clock=clock, sleep=clock.sleep)
            await engine.open()
            try:
                return (await engine.complete(REQUEST)).text
            finally:
                await engine.close()

        clock = Clock()
        loading = Fault(status=503, body={"error": {"message": "Loading model", "code": 503}}, path="", times=9)
        with FakeServer(faults=[loading]) as server:
            assert asyncio.run(run()) == "fine"
        assert clock.now > 0

    def test_no_server_at_all_is_said_at_once(self) -> None:
        clock = Clock()
        engine = PatientEngine(
            OpenAICompatibleEngine("m", base_url="http://127.0.0.1:1/v1"), clock=clock, sleep=clock.sleep
        )
        with pytest.raises(EngineUnavailableError, match="there is no server"):
            asyncio.run(engine.open())
        assert clock.now == 0.0

    def test_a_server_that_goes_away_and_comes_back(self) -> None:
        async def run() -> str:
            inner = OpenAICompatibleEngine("fake", base_url=server.url, max_retries=0)
            engine = PatientEngine(inner, clock=clock, sleep=clock.sleep)
            await engine.open()
            try:
                return (await engine.complete(REQUEST)).text
            finally:
                await engine.close()

        clock = Clock()
        with FakeServer(faults=[Fault("reset", times=5)]) as server:
            assert asyncio.run(run()) == "fine"
        assert clock.now >= 31.0
