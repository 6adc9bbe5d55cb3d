"""A seat: an engine and the walks of its sequences beside it, in a process of their own.

Whoever runs the walks from elsewhere (`fleet`) asks for one record after the other. A walk goes on when it is asked for
its next record, and not before: the question is the acknowledgement that the record before is durable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from collections.abc import Sequence as Many
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from llm_as_rnn._version import __version__
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import EngineBusyError, EngineUnavailableError, LlmAsRnnError, UsageError
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.engines.drive import Ended, Walk, next_record
from llm_as_rnn.engines.spending import Limits, Meter, Price
from llm_as_rnn.runs.executors import Cast, Leg


class Recipe(Protocol):
    """How an engine is made, wherever it is needed; `engines.resolve.resolve` with a model string is one."""

    def __call__(self, *, meter: Meter | None, patience: float) -> Engine:
        """Make it; it is not open yet."""
        ...


class Surroundings(NamedTuple):
    """What a process elsewhere needs to be like the one that the command was given in.

    Attributes
    ----------
    folder : str
        Where file names begin.
    variables : mapping of str to str
        What of the environment engines go by, keys of servers among it.
    version : str
        Of this package.
    """

    folder: str
    variables: Mapping[str, str]
    version: str

    @classmethod
    def here(cls) -> Surroundings:
        """Give those of this process."""
        kept = {name: os.environ[name] for name in ("OPENAI_API_KEY",) if name in os.environ}
        return cls(str(Path.cwd()), kept, __version__)

    def take(self) -> None:
        """Make this process like it.

        Raises
        ------
        UsageError
            If it runs another version of this package: a journal's records are to come from one.
        """
        if self.version != __version__:
            raise UsageError(
                f"llm-as-rnn is {__version__} there, and {self.version} here", "install the same version on every node"
            )
        if Path(self.folder).is_dir():
            os.chdir(self.folder)
        os.environ.update(self.variables)


class LostError(EngineBusyError):
    """A process that made walks is gone, and what it was at with it; another may take its place."""


class GoneError(EngineUnavailableError):
    """A process that made walks is gone, and does not come back."""


class Errand(NamedTuple):
    """A walk as it is sent to where it is made.

    Attributes
    ----------
    method : str
        Who walks, by name.
    sequence, past, lessons
        As of `executors.Leg`.
    told : mapping
        What others said in the sequence (see `executors.Cast.told`).
    """

    method: str
    sequence: Sequence
    past: Many[StepRecord]
    lessons: Any
    told: Mapping[tuple[str, str, int], StepRecord]


class Spent(NamedTuple):
    """What calls took since that was told last."""

    tokens: int
    cost: float


class Reply(NamedTuple):
    """What became of a walk.

    Attributes
    ----------
    came : StepRecord, Ended or LlmAsRnnError
        Its next record, its end, or why it cannot go on.
    heard : tuple of Request
        What was asked meanwhile; messages of which this walk told before are left out.
    spent : Spent
        What that took.
    info : EngineInfo or None
        What is known of the engine by now; None where it is not open.
    """

    came: StepRecord | Ended | LlmAsRnnError
    heard: tuple[Request, ...]
    spent: Spent
    info: EngineInfo | None


class _Underway(NamedTuple):
    """A walk that waits to be asked for its next record, and the digests of messages that were told of."""

    walk: Walk
    told: set[str]


class Seat:
    """Makes walks beside an engine, a step at a time.

    Parameters
    ----------
    recipe : callable
        Makes the engine.
    surroundings : Surroundings
        What this process is to be like.
    """

    def __init__(self, recipe: Recipe, surroundings: Surroundings) -> None:
        self._recipe = recipe
        self._surroundings = surroundings
        self._engine: Engine | None = None
        self._meter: Meter | None = None
        self._told = Spent(0, 0.0)
        self._walks: dict[int, _Underway] = {}

    async def open(self, patience: float, limits: Limits, prices: Mapping[str, Price]) -> EngineInfo | LlmAsRnnError:
        """Open the engine, another one if it was open before.

        Parameters
        ----------
        patience : float
            Seconds to wait for a server that cannot serve.
        limits, prices
            What may still be spent, and what tokens cost.

        Returns
        -------
        EngineInfo or LlmAsRnnError
            What it is, or why it cannot be opened.
        """
        try:
            self._surroundings.take()
            await self.close()
            self._meter = None if limits == Limits() else Meter(limits, prices)
            self._told = Spent(0, 0.0)
            engine = self._recipe(meter=self._meter, patience=patience)
            await engine.open()
        except LlmAsRnnError as error:
            return error
        self._engine = engine
        return engine.info

    async def start(self, number: int, cast: Cast, errand: Errand) -> Reply:
        """Begin a walk, and give its first new record.

        Parameters
        ----------
        number : int
            What it is called from then on.
        cast : Cast
            Who takes part in the run, as it began; a copy that belongs to this walk.
        errand : Errand
            The walk.
        """
        cast.said.update(errand.told)
        method = next(one for one in cast.methods if one.name == errand.method)
        walk = cast.walk(Leg(method, errand.sequence, errand.past, errand.lessons))
        self._walks[number] = _Underway(walk, set())
        return await self.go_on(number)

    async def go_on(self, number: int) -> Reply:
        """Give the next record of a walk, now that the one before is kept."""
        if number not in self._walks:
            return Reply(LostError("the process that made this walk was begun anew"), (), Spent(0, 0.0), None)
        walk, told = self._walks[number]
        heard: list[Request] = []

        def hear(request: Request) -> None:
            new = [message for message in request.messages if message.digest not in told]
            told.update(message.digest for message in new)
            if new:
                heard.append(replace(request, messages=tuple(new)))

        came: StepRecord | Ended | LlmAsRnnError
        try:
            came = await next_record(walk, self._opened(), hear)
        except LlmAsRnnError as error:
            came = error
        except Exception as error:  # noqa: BLE001 - whoever asked is told, and says it where the run is
            came = LlmAsRnnError(f"{type(error).__name__}: {error}")
        if not isinstance(came, StepRecord):
            self._walks.pop(number).walk.close()
        info = None if self._engine is None else self._engine.info
        return Reply(came, tuple(heard), self._newly_spent(), info)

    async def complete(self, request: Request) -> Completion:
        """Answer a request."""
        return await self._opened().complete(request)

    async def count_tokens(self, text: str) -> int:
        """Count the tokens of a text."""
        return await self._opened().count_tokens(text)

    async def close(self) -> None:
        """Close the engine, and leave all walks."""
        for one in self._walks.values():
            one.walk.close()
        self._walks.clear()
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()

    def _opened(self) -> Engine:
        if self._engine is None:
            raise EngineUnavailableError("this engine is not open")
        return self._engine

    def _newly_spent(self) -> Spent:
        if self._meter is None:
            return Spent(0, 0.0)
        before, self._told = self._told, Spent(self._meter.tokens, self._meter.cost)
        return Spent(self._told.tokens - before.tokens, self._told.cost - before.cost)
