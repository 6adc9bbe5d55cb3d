"""A watch on the running score: after a lasting fall, back to the best version of the memory.

The detector is River's ADWIN (Bifet and Gavalda 2007, https://doi.org/10.1137/1.9781611972771.42), run anew over the
errors since the last alarm at each step: what is carried from step to step stays plain values.
"""

from __future__ import annotations

from typing import Any

from llm_as_rnn.core.errors import MissingExtraError
from llm_as_rnn.core.records import Memory, Record

KEPT = 20
"""Versions that are remembered; of more, the worst goes."""

LONGEST = 256
"""Errors that are remembered since the last alarm."""

PROVED = 5
"""Steps that a version must have predicted before it can be the best."""

CONFIDENCE = 0.01
"""ADWIN's delta: how likely a false alarm may be."""


class Served(Record, frozen=True):
    """How a version of the memory did: the steps that it predicted, and the sum of their errors."""

    memory: Memory
    steps: int = 0
    error: float = 0.0

    @property
    def mean(self) -> float:
        """The mean error."""
        return self.error / max(self.steps, 1)


class Watch(Record, frozen=True):
    """What the watch remembers.

    Attributes
    ----------
    errors : tuple of float
        Since the last alarm, oldest first.
    served : tuple of Served
        The versions that predicted, in order.
    """

    errors: tuple[float, ...] = ()
    served: tuple[Served, ...] = ()

    def after(self, memory: Memory, error: float) -> Watch:
        """Give the watch after one more step that a memory predicted."""
        last = self.served[-1] if self.served else Served(memory)
        earlier = self.served[:-1]
        if last.memory.sections != memory.sections:
            earlier, last = self.served, Served(memory)
        served = (*earlier, Served(last.memory, last.steps + 1, last.error + error))
        if len(served) > KEPT:
            # The latest is still being tried, and one without a record is nobody's loss.
            loser = max(served[:-1], key=lambda one: (one.steps < PROVED, one.mean))
            served = tuple(one for one in served if one is not loser)
        return Watch((*self.errors, error)[-LONGEST:], served)

    def best(self) -> Served | None:
        """Give the version with the least mean error among those that proved themselves, the latest of equals."""
        proved = [one for one in self.served if one.steps >= PROVED]
        return min(reversed(proved), key=lambda one: one.mean, default=None)


def has_fallen(errors: tuple[float, ...]) -> bool:
    """Tell whether the latest errors are lastingly larger than those before.

    Raises
    ------
    MissingExtraError
        If River is not installed.
    """
    try:
        from river import drift  # noqa: PLC0415 - an extra, and only for those who watch
    except ImportError as missing:
        raise MissingExtraError("river", "river") from missing
    detector: Any = drift.ADWIN(delta=CONFIDENCE)  # type: ignore[no-untyped-call]
    alarmed = False
    for error in errors:
        before = detector.estimation
        detector.update(error)
        # An alarm over falling errors is good news.
        alarmed = detector.drift_detected and detector.estimation > before
    return alarmed
