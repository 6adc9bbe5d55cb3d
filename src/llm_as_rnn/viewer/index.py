"""What a viewer is told before it loads any steps: which parts there are, and what is in each."""

from __future__ import annotations

from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.task import Task
from llm_as_rnn.viewer.trace import Shown

STRETCH = 500
"""The most steps of a sequence that are in one part: more can neither be told apart nor unpacked at once."""


class PartIndex(Shown, frozen=True):
    """What is known of a part before it is unpacked.

    Attributes
    ----------
    sequence : str
        Which one it is of.
    first, last : int
        The timesteps that it begins and ends with.
    methods : list of int
        The places of its methods among all.
    memory : tuple of int
        Those of them that have a memory.
    whole : bool
        Whether it is the whole sequence.
    """

    sequence: str
    first: int
    last: int
    methods: list[int]
    memory: tuple[int, ...] = ()
    whole: bool = True


class ViewerIndex(Shown, frozen=True):
    """What is known of all parts before any is unpacked."""

    methods: list[str]
    parts: list[PartIndex]
    units: dict[str, str]
    budget: int | None = None
    unasked: str = ""
    """Why what was asked is not there, where it is not."""


def units(task: Task) -> dict[str, str]:
    """Give the units of a task's numbers, by field."""
    return {field.name: field.unit for field in task.answer if isinstance(field, Number) and field.unit}
