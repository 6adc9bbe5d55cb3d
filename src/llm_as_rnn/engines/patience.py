"""Waiting for a server that cannot serve now: an outage is no fact about a model, and costs no step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Pause(NamedTuple):
    """A wait for a server.

    Attributes
    ----------
    why : str
        What it said, in one line.
    until : float
        When it is asked again, in the seconds of the engine's clock (``time.monotonic``).
    left : float
        Seconds after this wait for which it is waited on.
    """

    why: str
    until: float
    left: float


OnPause = Callable[[Pause | None], None]
"""Told of each pause when it begins, and None when work goes on or is given up."""
