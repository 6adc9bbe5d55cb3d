"""Several servers as one engine: who is asked, who is left alone, and what becomes of calls meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.calls import Completion, Message, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import (
    EngineBusyError,
    EngineError,
    EngineUnavailableError,
    RequestRefusedError,
    UsageError,
)
from llm_as_rnn.engines.dialects import Server
from llm_as_rnn.engines.members import LONGEST_AGAIN
from llm_as_rnn.engines.pool import IN_A_ROW, Pool, ranked
from tests.fake_server import FakeServer, Fault, busy, refuse

REQUEST = Request("predict", (Message("user", "sun ->"),))
LATER = EngineBusyError("away", "it may come back")
KEYS = [f"session-{number}" for number in range(300)]


class Local:
    """A server inside the test: ``answer`` is what it does when it is asked, ``state`` how it is."""

    def __init__(self, where: str, *, slots: int = 2, window: int | None = 1024, digest: str = "one") -> None:
        self.where = where
        self.said = Server(window=window, slots=slots, digest=digest)
        self.info = EngineInfo("openai:fake", digest, window or 8192, slots, host="127.0.0.1")
        self.state: EngineError | None = None
        self.answer: Callable[[], Awaitable[Completion]] = self.fine
        self.opened = self.checked = self.asked = 0

    async def fine(self) -> Completion:
        await asyncio.sleep(0)
        return Completion(self.where, prompt_tokens=10, cached_tokens=8)

    async def open(self) -> None:
        self.opened += 1
        if self.state is not None:
            raise self.state

    async def check(self) -> None:
        self.checked += 1
        if self.state is not None:
            raise self.state

    async def complete(self, request: Request) -> Completion:
        self.asked += 1
        if self.state is not None:
            raise self.state
        return await self.answer()

    async def count_tokens(self, text: str) -> int:
        if self.state is not None:
            raise self.state
        return len(text.split())

    async def close(self) -> None:
        self.opened -= 1


class Naps:
    """Stands in for sleep: it notes how long, and lets a server be tried again when it is told to."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.over.clear()
        await self.over.wait()


def raising(error: EngineError) -> Callable[[], Awaitable[Completion]]:
    async def fail() -> Completion:
        await asyncio.sleep(0)
        raise error

    return fail


async def never() -> Completion:
    await asyncio.Event().wait()
    return Completion("")


@asynccontextmanager
async def opened(*servers: Any, **options: Any) -> AsyncIterator[Pool]:
    pool = Pool(servers, **options)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def until(holds: Callable[[], bool]) -> None:
    """Let others go on until something holds."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


def key_of(where: str, *names: str) -> str:
    """Give a key whose foremost server is this one."""
    return next(key for key in KEYS if ranked(key, names)[0] == where)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(limited())


# --------------------------------------------------------------------------------------------------------- affinity

NAMES = st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=8, unique=True)


@given(NAMES, st.lists(st.text(max_size=20), max_size=20), st.data())
def test_a_server_that_goes_moves_its_own_sessions_alone(names: list[str], keys: list[str], data: Any) -> None:
    gone = data.draw(st.sampled_from(names))
    left = data.draw(st.permutations([name for name in names if name != gone]))
    for key in keys:
        before, after = ranked(key, names), ranked(key, left)
        assert after == [name for name in before if name != gone], "the others keep their order"
        if before[0] != gone:
            assert after[0] == before[0]
        assert ranked(key, [*left, gone]) == before, "and it gets back those that it had"


def test_sessions_are_spread_over_all_servers() -> None:
    share = Counter(ranked(key, ["http://a/v1", "http://b/v1", "http://c/v1"])[0] for key in KEYS)
    assert min(share.values()) > len(KEYS) / 5


def test_a_session_stays_with_its_server_and_others_go_elsewhere() -> None:
    async def test() -> None:
        with FakeServer() as one, FakeServer() as two:
            pool = Pool.of("fake", [one.url, two.url], timeout=10)
            await pool.open()
            for server in (one, two):
                seat = pool.seat(key_of(server.url, one.url, two.url))
                before = len(server.seen("completions"))
                for _ in range(3):
                    assert (await seat.complete(REQUEST)).text == "fine"
                    assert await seat.count_tokens("two words") == 2
                assert len(server.seen("completions")) == before + 3
            await pool.close()

    run(test)


def test_a_call_waits_a_while_for_its_own_server_and_no_longer() -> None:
    async def test() -> None:
        a, b = Local("a", slots=1), Local("b", slots=1)
        mine, go_on = key_of("a", "a", "b"), asyncio.Event()

        async def slow() -> Completion:
            await go_on.wait()
            return Completion("slow")

        async with opened(a, b, stay=0.0) as pool:
            a.answer = slow
            first = asyncio.create_task(pool.complete(REQUEST, mine))
            await until(lambda: a.asked == 1)
            assert (await pool.complete(REQUEST, mine)).text == "b"
            go_on.set()
            await first
        go_on.clear()
        async with opened(a, b, stay=1000.0) as pool:
            first = asyncio.create_task(pool.complete(REQUEST, mine))
            await until(lambda: a.asked == 2)
            second = asyncio.create_task(pool.complete(REQUEST, mine))
            other = await pool.complete(REQUEST, key_of("b", "a", "b"))
            assert (other.text, pool.waiting, b.asked) == ("b", 1, 2)
            go_on.set()
            assert [(await first).text, (await second).text] == ["slow", "slow"]

    run(test)


def test_no_server_has_more_calls_than_slots_and_those_who_wait_are_served_in_order() -> None:
    async def test() -> None:
        servers = [Local("a", slots=2), Local("b", slots=3)]
        most: Counter[str] = Counter()
        order: list[int] = []

        async with opened(*servers, stay=0.0) as pool:

            async def ask(number: int) -> None:
                task = asyncio.create_task(pool.complete(REQUEST))
                await asyncio.sleep(0)
                for health in pool.health():
                    most[health.address] = max(most[health.address], health.in_flight)
                await task
                order.append(number)

            await asyncio.gather(*map(ask, range(40)))
            assert (most, order) == ({"a": 2, "b": 3}, sorted(order))
            assert all(health.in_flight == 0 for health in pool.health())

    run(test)


def test_a_call_that_is_cancelled_takes_no_slot_with_it() -> None:
    async def test() -> None:
        a = Local("a", slots=1)
        go_on = asyncio.Event()

        async def slow() -> Completion:
            await go_on.wait()
            return Completion("slow")

        a.answer = slow
        async with opened(a) as pool:
            first, second, third = (asyncio.create_task(pool.complete(REQUEST, "key")) for _ in range(3))
            await until(lambda: pool.waiting == 2)
            second.cancel()
            first.cancel()
            await asyncio.gather(first, second, return_exceptions=True)
            go_on.set()
            assert (await third).text == "slow"
            assert (pool.waiting, pool.health()[0].in_flight) == (0, 0)

    run(test)


def test_a_call_that_is_cancelled_as_it_gets_its_slot_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        a, go_on = Local("a", slots=1), asyncio.Event()

        async def slow() -> Completion:
            await go_on.wait()
            return Completion("slow")

        a.answer = slow
        async with opened(a) as pool:
            first, second = (asyncio.create_task(pool.complete(REQUEST, "key")) for _ in range(2))
            await until(lambda: pool.waiting == 1)
            offer = pool._offer

            def offered() -> None:
                offer()
                second.cancel()

            monkeypatch.setattr(pool, "_offer", offered)
            go_on.set()
            await asyncio.gather(first, second, return_exceptions=True)
            assert second.cancelled()
            assert pool.health()[0].in_flight == 0

    run(test)


def test_tokens_are_counted_without_a_slot() -> None:
    async def test() -> None:
        a = Local("a", slots=1)
        a.answer = never
        async with opened(a) as pool:
            call = asyncio.create_task(pool.seat("key").complete(REQUEST))
            await until(lambda: a.asked == 1)
            assert await pool.seat("key").count_tokens("one two three") == 3
            call.cancel()

    run(test)


# ----------------------------------------------------------------------------------------------------------- health


def test_sessions_of_a_server_that_is_killed_go_elsewhere_and_come_back_with_it() -> None:
    async def test() -> None:
        naps = Naps()
        with FakeServer() as two:
            one = FakeServer().__enter__()
            pool = Pool.of("fake", [one.url, two.url], timeout=10)
            pool._sleep = naps
            await pool.open()
            mine, its = key_of(one.url, one.url, two.url), key_of(two.url, one.url, two.url)
            await pool.complete(REQUEST, mine)
            one.__exit__()
            for _ in range(2):
                await pool.complete(REQUEST, mine)
                await pool.complete(REQUEST, its)
            ill, well = pool.health()
            assert (ill.healthy, well.healthy, ill.failures, well.calls) == (False, True, 1, 4)
            assert one.url in ill.problem
            with FakeServer(port=int(one.url.split(":")[2].split("/")[0])) as again:
                naps.over.set()
                await until(lambda: pool.health()[0].healthy)
                for _ in range(2):
                    await pool.complete(REQUEST, mine)
                    await pool.complete(REQUEST, its)
                assert (len(again.seen("completions")), len(two.seen("completions"))) == (2, 6)
            await pool.close()

    run(test)


def test_a_server_that_hangs_costs_its_calls_a_wait_and_then_gets_none() -> None:
    async def test() -> None:
        stall = Fault("stall", times=IN_A_ROW)
        with FakeServer(faults=[stall]) as one, FakeServer() as two:
            pool = Pool.of("fake", [one.url, two.url], timeout=0.2)
            naps = pool._sleep = Naps()
            await pool.open()
            mine = key_of(one.url, one.url, two.url)
            for _ in range(IN_A_ROW + 2):
                assert (await pool.complete(REQUEST, mine)).text == "fine"
            assert (pool.health()[0].healthy, pool.health()[0].failures) == (False, IN_A_ROW)
            assert (len(one.seen("completions")), len(two.seen("completions"))) == (IN_A_ROW, IN_A_ROW + 2)
            naps.over.set()
            await until(lambda: pool.health()[0].healthy)
            assert (await pool.complete(REQUEST, mine)).text == "fine"
            assert pool.health()[0].calls == 1
            await pool.close()

    run(test)


def test_calls_in_flight_on_a_server_that_is_lost_are_asked_elsewhere() -> None:
    async def test() -> None:
        a, b = Local("a"), Local("b")
        mine = key_of("a", "a", "b")
        async with opened(a, b, sleep=Naps()) as pool:
            a.answer = never
            hanging = asyncio.create_task(pool.complete(REQUEST, mine))
            await until(lambda: a.asked == 1)
            a.state = LATER
            assert (await pool.complete(REQUEST, mine)).text == "b"
            assert (await hanging).text == "b"
            assert [health.in_flight for health in pool.health()] == [0, 0]

    run(test)


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_busy_server_is_left_alone_for_longer_each_time(status: int) -> None:
    async def test() -> None:
        with FakeServer(faults=[busy(status, 8)]) as one, FakeServer() as two:
            pool = Pool.of("fake", [one.url, two.url], timeout=10)
            naps = pool._sleep = Naps()
            await pool.open()
            mine = key_of(one.url, one.url, two.url)
            for _ in range(8):
                assert (await pool.complete(REQUEST, mine)).text == "fine"
                assert (await pool.complete(REQUEST, mine)).text == "fine"
                await until(lambda: bool(naps.seconds) and not naps.over.is_set())
                naps.over.set()
                await until(lambda: pool.health()[0].healthy)
            assert naps.seconds == [0.5, 1.0, 2.0, 4.0, 8.0, LONGEST_AGAIN, LONGEST_AGAIN, LONGEST_AGAIN]
            assert len(one.seen("completions")) == 8, "it got one call after each pause"
            assert (await pool.complete(REQUEST, mine)).text == "fine"
            assert len(one.seen("completions")) == 9
            one.faults.append(busy(status))
            await pool.complete(REQUEST, mine)
            await until(lambda: len(naps.seconds) == 9)
            assert naps.seconds[-1] == 0.5, "an answer shows that it is well"
            await pool.close()

    run(test)


def test_a_server_that_is_back_gets_one_call_at_a_time_until_it_has_answered_one() -> None:
    async def test() -> None:
        a, naps, go_on = Local("a", slots=4), Naps(), asyncio.Event()

        async def slow() -> Completion:
            await go_on.wait()
            return Completion("slow")

        async with opened(a, sleep=naps) as pool:
            a.state = LATER
            calls = [asyncio.create_task(pool.complete(REQUEST, "key")) for _ in range(4)]
            await until(lambda: bool(naps.seconds))
            a.state, a.answer, asked = None, slow, a.asked
            naps.over.set()
            await until(lambda: a.asked == asked + 1)
            assert (pool.health()[0].in_flight, pool.waiting) == (1, 3)
            go_on.set()
            assert [call.text for call in await asyncio.gather(*calls)] == ["slow"] * 4

    run(test)


def test_where_no_server_is_well_calls_wait_and_are_given_up() -> None:
    async def test() -> None:
        a, b, naps = Local("a"), Local("b"), Naps()
        async with opened(a, b, sleep=naps, patience=1000.0) as pool:
            a.state = b.state = LATER
            calls = [asyncio.create_task(pool.complete(REQUEST, key)) for key in KEYS[:20]]
            await until(lambda: pool.waiting == 20)
            assert not any(health.healthy for health in pool.health())
            b.state = None
            naps.over.set()
            assert {call.text for call in await asyncio.gather(*calls)} == {"b"}
        async with opened(Local("a"), sleep=Naps(), patience=0.0) as pool:
            pool._members[0].server.state = LATER  # type: ignore[attr-defined]
            for _ in range(2):
                with pytest.raises(EngineBusyError, match="none of 1 servers can answer now: away"):
                    await pool.complete(REQUEST)

    run(test)


def test_a_server_that_says_it_is_well_and_never_has_time_is_given_up_too() -> None:
    async def test() -> None:
        now = [0.0]

        async def nap(seconds: float) -> None:
            now[0] += seconds

        a = Local("a")
        a.answer = raising(LATER)
        async with opened(a, sleep=nap, clock=lambda: now[0], patience=30.0) as pool:
            with pytest.raises(EngineBusyError, match="away"):
                await pool.complete(REQUEST)
            assert now[0] >= 30.0

    run(test)


def test_waiting_is_of_no_use_where_no_server_gives_access() -> None:
    async def test() -> None:
        async with opened(Local("a"), sleep=Naps()) as pool:
            pool._members[0].server.state = EngineUnavailableError("no access", "check the key")  # type: ignore[attr-defined]
            with pytest.raises(EngineUnavailableError, match="no access") as refused:
                await pool.complete(REQUEST)
            assert not isinstance(refused.value, EngineBusyError)

    run(test)


def test_a_call_that_breaks_all_servers_fails_and_leaves_them_be() -> None:
    async def test() -> None:
        faults = [[refuse("a bug", 500, times=9)] for _ in range(3)]
        with (
            FakeServer(faults=faults[0]) as one,
            FakeServer(faults=faults[1]) as two,
            FakeServer(faults=faults[2]) as three,
        ):
            pool = Pool.of("fake", [one.url, two.url, three.url], timeout=10)
            await pool.open()
            with pytest.raises(EngineError, match="answered 500: a bug") as broken:
                await pool.complete(REQUEST, "key")
            assert not isinstance(broken.value, EngineUnavailableError)
            assert sorted(len(server.seen("completions")) for server in (one, two, three)) == [0, 1, 1]
            assert all(health.healthy for health in pool.health())
            await pool.close()

    run(test)


def test_a_call_that_ends_every_server_is_given_up() -> None:
    async def test() -> None:
        async def nap(seconds: float) -> None:
            for server in servers:
                server.state = None

        servers = [Local("a"), Local("b")]

        def deadly(server: Local) -> Callable[[], Awaitable[Completion]]:
            async def crash() -> Completion:
                server.state = LATER
                raise LATER

            return crash

        for server in servers:
            server.answer = deadly(server)
        async with opened(*servers, sleep=nap) as pool:
            with pytest.raises(EngineError, match="away") as given_up:
                await pool.complete(REQUEST, "key")
            assert not isinstance(given_up.value, EngineUnavailableError)
            assert sum(server.asked for server in servers) == len(servers) + 2

    run(test)


def test_what_is_refused_for_what_stands_in_it_is_refused_once() -> None:
    async def test() -> None:
        with FakeServer(faults=[refuse("too long: exceeds the context", 413)]) as one, FakeServer() as two:
            pool = Pool.of("fake", [one.url, two.url], timeout=10)
            await pool.open()
            with pytest.raises(RequestRefusedError):
                await pool.complete(REQUEST, key_of(one.url, one.url, two.url))
            assert (two.seen("completions"), pool.health()[0].healthy) == ([], True)
            await pool.close()

    run(test)


# ------------------------------------------------------------------------------------------------ the same, and open


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Local("b", digest="two"), "b serves another model than others"),
        (Local("b", window=2048), "b takes prompts of 2048 tokens, and a of 1024"),
    ],
)
def test_servers_that_are_not_the_same_are_refused(other: Local, said: str) -> None:
    async def test() -> None:
        first, other.opened = Local("a"), 0
        with pytest.raises(UsageError, match=said):
            await Pool([first, other]).open()
        assert (first.opened, other.opened) == (0, 0), "both were closed again"

    run(test)


def test_what_a_server_does_not_say_is_held_against_none() -> None:
    async def test() -> None:
        async with opened(Local("a", slots=3), Local("b", window=None, digest="")) as pool:
            assert (pool.info.slots, pool.info.context_window, pool.info.host) == (5, 1024, "127.0.0.1")
        async with opened(Local("a"), Local("b", window=2048), context=512):
            pass

    run(test)


def test_servers_of_other_models_are_told_by_what_they_list() -> None:
    async def test() -> None:
        with FakeServer() as one, FakeServer("vllm") as two:
            pool = Pool.of("fake", [one.url, two.url], timeout=10)
            with pytest.raises(UsageError, match="serves another model than others"):
                await pool.open()

    run(test)


def test_a_server_that_comes_back_with_another_model_gets_no_call() -> None:
    async def test() -> None:
        a, b, naps = Local("a"), Local("b"), Naps()
        mine = key_of("a", "a", "b")
        async with opened(a, b, sleep=naps) as pool:
            a.state = LATER
            assert (await pool.complete(REQUEST, mine)).text == "b"
            a.state, a.said = None, Server(window=1024, digest="another")
            await until(lambda: len(naps.seconds) == 1)
            naps.over.set()
            await until(lambda: len(naps.seconds) == 2)
            assert (await pool.complete(REQUEST, mine)).text == "b"
            assert "another model" in pool.health()[0].problem
            a.said = b.said
            naps.over.set()
            await until(lambda: pool.health()[0].healthy)
            assert (await pool.complete(REQUEST, mine)).text == "a"

    run(test)


def test_a_pool_opens_as_long_as_one_server_does() -> None:
    async def test() -> None:
        gone, well = Local("a"), Local("b")
        gone.state = EngineUnavailableError("there is no server at a", "start it")
        async with opened(gone, well, sleep=(naps := Naps())) as pool:
            assert (await pool.complete(REQUEST, key_of("a", "a", "b"))).text == "b"
            gone.state = None
            naps.over.set()
            await until(lambda: pool.health()[0].healthy)
            assert (await pool.complete(REQUEST, key_of("a", "a", "b"))).text == "a"
        gone.state = EngineUnavailableError("there is no server at a", "start it")
        with pytest.raises(EngineUnavailableError, match="there is no server at a"):
            await Pool([gone]).open()
        gone.state = LATER
        with pytest.raises(EngineBusyError, match="none of 1 servers"):
            await Pool([gone], patience=0.0).open()

    run(test)


def test_a_pool_names_its_servers_once_each() -> None:
    with pytest.raises(UsageError, match="no server is named"):
        Pool([])
    with pytest.raises(UsageError, match="the server a is named twice"):
        Pool([Local("a"), Local("a")])


def test_health_tells_figures_and_no_password() -> None:
    async def test() -> None:
        a, b = Local("a"), Local("b")
        async with opened(a, b) as pool:
            await pool.complete(REQUEST, key_of("a", "a", "b"))
            one, two = pool.health()
            assert (one.calls, one.prompt_tokens, one.cached_tokens, one.cached_share) == (1, 10, 8, 0.8)
            assert (two.calls, two.cached_share, two.problem) == (0, None, "")
        secret = Pool.of("fake", ["http://user:secret@127.0.0.1:9/v1"])
        assert "secret" not in str(secret.health())

    run(test)
