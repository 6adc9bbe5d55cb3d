"""The loop: it runs walks over sequences, some at a time, and makes their records durable."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from collections.abc import Sequence as Many
from typing import Any

from llm_as_rnn.core.errors import EngineUnavailableError, LlmAsRnnError, RunError
from llm_as_rnn.core.method import Method
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.runs.executors import Leg

logger = logging.getLogger(__name__)

Go = Callable[[Leg], Awaitable[Any]]


def _in_turn(method: Method, sequences: Many[Sequence]) -> Iterator[tuple[Method, Many[Sequence]]]:
    """Group the sequences that must run one after the other: all of a method that shares lessons, else none."""
    if method.shares:
        yield method, sequences
    else:
        yield from ((method, [sequence]) for sequence in sequences)


async def run_all(
    methods: Many[Method],
    sequences: Many[Sequence],
    go: Go,
    past: Many[StepRecord],
    *,
    concurrency: int,
) -> Mapping[str, str]:
    """Run every method over every sequence, some sequences at a time.

    Parameters
    ----------
    go : callable
        Makes a walk to its end, and gives its lessons (see `executors.Executor.go`).
    past : sequence of StepRecord
        What was kept of earlier sittings.
    concurrency : int
        Walks at a time.

    Returns
    -------
    dict of str to str
        Why sequences ended early, by ``method/sequence``; empty if none did.

    Raises
    ------
    RunError
        If the journal cannot be written: everything stops.
    """
    done: dict[tuple[str, str], list[StepRecord]] = defaultdict(list)
    for record in sorted(past, key=lambda record: record.t):
        done[record.method, record.sequence].append(record)
    waiting = iter([group for method in methods for group in _in_turn(method, sequences)])
    failures: dict[str, str] = {}
    lost: list[EngineUnavailableError] = []

    async def work() -> None:
        for method, group in waiting:
            lessons: Any = None
            for number, sequence in enumerate(group):
                why = str(lost[0]) if lost else ""
                try:
                    if not lost:
                        begun = done[method.name, sequence.info.id]
                        lessons = await go(Leg(method, sequence, begun, lessons))
                except RunError:
                    raise
                except Exception as error:
                    logger.debug("%s/%s failed", method.name, sequence.info.id, exc_info=True)
                    lost.extend([error] if isinstance(error, EngineUnavailableError) else [])
                    why = str(error) if isinstance(error, LlmAsRnnError) else f"{type(error).__name__}: {error}"
                if why:
                    # Those after it in a group would learn from less than they should; they wait for --resume.
                    failures.update({f"{method.name}/{left.info.id}": why for left in group[number:]})
                    break

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return failures
