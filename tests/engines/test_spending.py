"""What may be spent: every call is counted, none is sent once a limit is reached, and what was done is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from llm_as_rnn.core.calls import Completion, Message, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineUnavailableError, UsageError
from llm_as_rnn.engines.estimate import estimate_tokens
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.engines.spending import Limits, Meter, Price, read_prices

REQUEST = Request("predict", (Message("user", "sun ->"),))
PRICES = {"openai:m": Price(prompt=1.0, completion=4.0, cached=0.5)}


def engine(model: str = "openai:m") -> ScriptedEngine:
    completion = Completion("rain", prompt_tokens=90, cached_tokens=50, completion_tokens=10)
    return ScriptedEngine(lambda request: completion, EngineInfo(model))


def asked(meter: Meter, inner: ScriptedEngine, times: int) -> int:
    """Ask up to so many times; give how often there was an answer."""

    async def ask() -> int:
        watched = meter.watch(inner)
        await watched.open()
        for number in range(times):
            try:
                await watched.complete(REQUEST)
            except EngineUnavailableError:
                return number
        return times

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("limits", "answers", "says"),
    [
        (Limits(), 9, ""),
        (Limits(tokens=300), 3, "300 tokens were used, of 300 (--max-tokens)"),
        (Limits(tokens=301), 4, "400 tokens were used, of 301 (--max-tokens)"),
        (Limits(cost=0.0003), 3, "0.000315 was spent, of 0.0003 (--max-cost)"),
    ],
)
def test_nothing_is_sent_once_a_limit_is_reached(limits: Limits, answers: int, says: str) -> None:
    meter, inner = Meter(limits, PRICES), engine()
    assert asked(meter, inner, 9) == answers == len(inner.requests)
    if says:
        with pytest.raises(EngineUnavailableError) as reached:
            meter.require_some_left()
        assert str(reached.value).startswith(says)


def test_a_limit_holds_where_an_engine_gives_no_figures() -> None:
    class Silent(ScriptedEngine):
        async def complete(self, request: Request) -> Completion:
            self.requests.append(request)
            return Completion("rain, 9.5")

    a_call = estimate_tokens(REQUEST.prompt) + estimate_tokens("rain, 9.5")
    meter = Meter(Limits(tokens=3 * a_call), {})
    inner = Silent(lambda request: "", EngineInfo("openai:m"))
    assert asked(meter, inner, 9) == 3 == len(inner.requests)


def test_a_limit_holds_over_all_models_of_a_command() -> None:
    meter = Meter(Limits(tokens=300), {})
    assert asked(meter, engine(), 2) == 2
    assert asked(meter, engine("openai:another"), 9) == 1
    with pytest.raises(EngineUnavailableError, match="go on with --resume"):
        asked(meter, engine(), 1)


def test_time_counts_from_the_beginning() -> None:
    now = [0.0]
    meter = Meter(Limits(seconds=60), {}, clock=lambda: now[0])
    assert asked(meter, engine(), 2) == 2
    now[0] = 60.0
    with pytest.raises(EngineUnavailableError, match=r"60 s have passed, of 60 \(--max-time\)"):
        asked(meter, engine(), 1)


def test_a_cost_needs_a_price() -> None:
    with pytest.raises(UsageError, match="nobody says what openai:x costs"):
        Meter(Limits(cost=1), PRICES).watch(engine("openai:x"))
    assert Meter(Limits(), {}).watch(inner := engine()) is inner


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('["openai:m"]\nprompt = 1', "is no table of prices: .*completion"),
        ('["openai:m"]\nprompt = 1\ncompletion = 1\ncahced = 1', "cahced"),
        ('["openai:m"]\nprompt = -1\ncompletion = 1', "from 0 on"),
        ("prompt = ", "is no table of prices"),
        ("\xff", "is no table of prices"),
    ],
)
def test_a_broken_table_is_named_in_one_line(tmp_path: Path, table: str, says: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_bytes(table.encode("latin-1"))
    with pytest.raises(UsageError, match=says):
        read_prices(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_prices(tmp_path / "none.toml")


def test_cached_tokens_cost_what_their_price_says(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('["openai:m"]\nprompt = 1.0\ncompletion = 4.0\ncached = 0.5\n')
    assert read_prices(path) == PRICES
    assert PRICES["openai:m"].of(90, 50, 10) == pytest.approx((40 + 25 + 40) / 1e6)
    assert Price(1.0, 4.0).of(90, 50, 10) == pytest.approx(130 / 1e6)
    assert PRICES["openai:m"].of(90, 500, 0) == PRICES["openai:m"].of(90, 90, 0) > 0
