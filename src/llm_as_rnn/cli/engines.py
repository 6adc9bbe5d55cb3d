"""What commands share that ask an engine: how long they wait for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Seconds(click.ParamType[float]):
    """A time span in seconds.

    Parameters
    ----------
    zero : bool
        Whether none at all may be meant.
    """

    name = "seconds"

    def __init__(self, *, zero: bool = False) -> None:
        self._zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        try:
            seconds = float(value)
        except ValueError:
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        if not (math.isfinite(seconds) and (seconds > 0 or (self._zero and seconds == 0))):
            self.fail(f"{value} is not {'at least 0' if self._zero else 'more than 0'} seconds", param, ctx)
        return seconds


_OPTIONS = [
    click.option(
        "--timeout",
        type=Seconds(),
        help="Seconds for one attempt of a call [default: 120 on a server, 300 on this machine].",
    ),
    click.option(
        "--patience",
        type=Seconds(zero=True),
        help="Seconds to wait for a server that cannot serve, before stopping; 0 for no wait [default: 600].",
    ),
]


def engine_options(command: F) -> F:
    """Give a command ``--timeout`` and ``--patience``, which `engines.resolve` takes under these names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
