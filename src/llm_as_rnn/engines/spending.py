"""What may be spent on a model: each call is counted, and none is sent once a limit is reached."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import EngineUnavailableError, UsageError
from llm_as_rnn.core.files import read_file
from llm_as_rnn.core.records import Record
from llm_as_rnn.engines.estimate import estimate_tokens

A_MILLION = 1_000_000


class Price(Record, frozen=True, forbid_unknown_fields=True):
    """What a model's tokens cost: of each kind a million, in whatever currency.

    Attributes
    ----------
    prompt, completion : float
        Of tokens that it reads and writes.
    cached : float or None
        Of those that it reads from its cache; None where they cost as much as any.
    """

    prompt: float
    completion: float
    cached: float | None = None

    def __post_init__(self) -> None:
        """Refuse what nothing can cost."""
        if not all(0 <= price < math.inf for price in (self.prompt, self.completion, self.cached or 0.0)):
            raise ValueError("a price is a number from 0 on")

    def of(self, prompt: float, cached: float, completion: float) -> float:
        """Give what tokens cost; the cached ones are among those of prompts, and no more of them count.

        Examples
        --------
        >>> Price(prompt=2.0, completion=8.0, cached=0.5).of(1_000_000, 800_000, 100_000)
        1.6
        """
        cached = min(cached, prompt)
        rate = self.prompt if self.cached is None else self.cached
        return ((prompt - cached) * self.prompt + cached * rate + completion * self.completion) / A_MILLION


def read_prices(path: Path) -> dict[str, Price]:
    """Read a table of prices: TOML, a table for each model, named as for ``--model``.

    Raises
    ------
    UsageError
        If it cannot be read, or is none.
    """
    try:
        return msgspec.toml.decode(read_file(path), type=dict[str, Price])
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = 'write ["openai:MODEL"] and below it prompt = 0.4, completion = 1.6, cached = 0.1'
        raise UsageError(f"{path} is no table of prices: {error}", hint) from error


class Limits(Record, frozen=True):
    """What one command may spend on models; None for as much as it takes.

    Attributes
    ----------
    tokens : int or None
        Read and written, those from a cache among them.
    cost : float or None
        In the currency of the prices.
    seconds : float or None
        From its beginning.
    """

    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None


class Meter:
    """Counts what a command spends, over all its runs and models.

    Parameters
    ----------
    limits : Limits
        What it may spend.
    prices : mapping of str to Price
        By model string.
    clock : callable
        The time in seconds.
    """

    def __init__(
        self, limits: Limits, prices: Mapping[str, Price], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits
        self.prices = prices
        self._clock = clock
        self._began = clock()
        self.tokens = 0
        self.cost = 0.0

    def watch(self, engine: Engine) -> Engine:
        """Give an engine whose calls are counted, and refused where a limit is reached.

        Raises
        ------
        UsageError
            If the cost is limited, and nobody says what this model costs.
        """
        if self.limits == Limits():
            return engine
        model = engine.info.model
        if self.limits.cost is not None and model not in self.prices:
            raise UsageError(f"nobody says what {model} costs", "name a table with its price: --prices FILE")
        return MeteredEngine(engine, self)

    def count(self, model: str, completion: Completion) -> None:
        """Count a call."""
        cost = 0.0
        if model in self.prices:
            cost = self.prices[model].of(
                completion.prompt_tokens, completion.cached_tokens or 0, completion.completion_tokens
            )
        self.add(completion.prompt_tokens + completion.completion_tokens, cost)

    def add(self, tokens: int, cost: float) -> None:
        """Count what somebody else counted: a meter in another process."""
        self.tokens += tokens
        self.cost += cost

    @property
    def left(self) -> Limits:
        """What may still be spent, for a meter in another process; the time is kept here."""
        tokens, cost = self.limits.tokens, self.limits.cost
        return Limits(
            None if tokens is None else tokens - self.tokens,
            None if cost is None else cost - self.cost,
        )

    @property
    def reached(self) -> str:
        """Which limit is reached, in words; empty while there is something left."""
        seconds = self._clock() - self._began
        if self.limits.tokens is not None and self.tokens >= self.limits.tokens:
            return f"{self.tokens:,} tokens were used, of {self.limits.tokens:,} (--max-tokens)"
        if self.limits.cost is not None and self.cost >= self.limits.cost:
            return f"{self.cost:.4g} was spent, of {self.limits.cost:g} (--max-cost)"
        if self.limits.seconds is not None and seconds >= self.limits.seconds:
            return f"{seconds:.0f} s have passed, of {self.limits.seconds:g} (--max-time)"
        return ""

    def require_some_left(self) -> None:
        """Refuse what would go beyond a limit.

        Raises
        ------
        EngineUnavailableError
            If one is reached.
        """
        if self.reached:
            raise EngineUnavailableError(self.reached, "go on with --resume")


def _counted(request: Request, completion: Completion) -> Completion:
    """Estimate the figures that an engine does not give: a limit must hold there, too."""
    if completion.finish_reason == "error":
        return completion
    return replace(
        completion,
        prompt_tokens=completion.prompt_tokens or estimate_tokens(request.prompt),
        completion_tokens=completion.completion_tokens or estimate_tokens(completion.text),
    )


class MeteredEngine:
    """Hands calls on to an engine as long as there is something left to spend.

    Calls that are under way when a limit is reached are answered: as many as the engine has slots.

    Parameters
    ----------
    engine : Engine
        Who answers.
    meter : Meter
        Who counts.
    """

    def __init__(self, engine: Engine, meter: Meter) -> None:
        self._engine = engine
        self._meter = meter

    @property
    def info(self) -> EngineInfo:
        """What the engine is."""
        return self._engine.info

    async def open(self) -> None:
        """Open the engine, unless nothing is left to spend on it.

        Raises
        ------
        EngineUnavailableError
            If a limit is reached.
        """
        self._meter.require_some_left()
        await self._engine.open()

    async def complete(self, request: Request) -> Completion:
        """Answer a request.

        Raises
        ------
        EngineUnavailableError
            If a limit is reached.
        """
        self._meter.require_some_left()
        completion = await self._engine.complete(request)
        self._meter.count(self.info.model, _counted(request, completion))
        return completion

    async def count_tokens(self, text: str) -> int:
        """Count the tokens of a text: that is free."""
        return await self._engine.count_tokens(text)

    async def close(self) -> None:
        """Close the engine."""
        await self._engine.close()
