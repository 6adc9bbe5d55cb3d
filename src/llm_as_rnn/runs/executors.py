"""Executors: who makes the walks of a run, in this process or elsewhere. A run is the same with each of them.

An executor is given one walk after the other and hands its records over one at a time; a walk's next step begins when
the record of the one before was kept. Which walks there are, their order, the journal, limits and the run's end are not
its business (`loop.run_all`, `execute`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from collections.abc import Sequence as Many
from typing import Any, NamedTuple, Protocol

from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.method import Method
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.engines.drive import Walk, drive_walk
from llm_as_rnn.runs.walk import walk

Keep = Callable[[StepRecord], Awaitable[None]]
"""Makes a record durable; when it has been awaited, it is."""

Hear = Callable[[Request], None]
"""Is told what is asked."""


class Leg(NamedTuple):
    """A walk that is to be made.

    Attributes
    ----------
    method : Method
        Who walks.
    sequence : Sequence
        Over what.
    past : sequence of StepRecord
        What was kept of its first steps, in order.
    lessons : object
        What earlier sequences taught.
    """

    method: Method
    sequence: Sequence
    past: Many[StepRecord]
    lessons: Any = None


class Cast(NamedTuple):
    """Who takes part in a run, and what they have said so far.

    Attributes
    ----------
    task : Task
        What is predicted.
    methods : list of Method
        Who predicts.
    said : dict of (str, str, int) to StepRecord
        The records so far, by method, sequence and timestep; methods that go by advice read them there.
    delay : int
        How late outcomes come, in steps.
    """

    task: Task
    methods: list[Method]
    said: dict[tuple[str, str, int], StepRecord]
    delay: int = 0

    def walk(self, leg: Leg) -> Walk:
        """Give the generator of a walk."""
        return walk(leg.method, leg.sequence, self.task, leg.past, delay=self.delay, lessons=leg.lessons)

    def told(self, leg: Leg) -> dict[tuple[str, str, int], StepRecord]:
        """Give what the method of a walk is told of others: what they said in its sequence; nothing for most."""
        if not leg.method.takes_advice:
            return {}
        name, steps = leg.sequence.info.id, range(len(leg.sequence.steps))
        keys = [(method.name, name, t) for method in self.methods for t in steps]
        return {key: self.said[key] for key in keys if key in self.said}


class Executor(Protocol):
    """Makes walks.

    Attributes
    ----------
    elsewhere : bool
        Whether they are made in other processes.
    """

    elsewhere: bool

    def lanes(self, concurrency: int | None) -> int:
        """Say how many walks to make at a time.

        Parameters
        ----------
        concurrency : int or None
            How many the user wants at most, of each engine.
        """
        ...

    def begin(self, cast: Cast) -> None:
        """Hear who takes part, before any of them has said anything."""
        ...

    async def go(self, leg: Leg, keep: Keep, hear: Hear) -> Any:
        """Make a walk to its end.

        Returns
        -------
        object
            The lessons after its sequence; None where there are none.

        Raises
        ------
        EngineUnavailableError
            If no call can be answered at all.
        """
        ...


class InProcess:
    """Makes walks in this process.

    Parameters
    ----------
    engine : Engine
        Who answers; it is open when walks are made.
    """

    def __init__(self, engine: Engine) -> None:
        self.elsewhere = False
        self._engine = engine
        self._cast: Cast | None = None

    def lanes(self, concurrency: int | None) -> int:
        """Say how many walks to make at a time: more than the engine has slots would destroy its prefix cache."""
        slots = self._engine.info.slots
        return min(concurrency or slots, slots)

    def begin(self, cast: Cast) -> None:
        """Hear who takes part."""
        self._cast = cast

    async def go(self, leg: Leg, keep: Keep, hear: Hear) -> Any:
        """Make a walk to its end."""
        assert self._cast is not None  # noqa: S101 - a run begins before it walks
        return await drive_walk(self._cast.walk(leg), self._engine, keep, hear)
