"""What commands share that ask an engine: how long they wait for it, and how they are given again."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from llm_as_rnn.core.errors import LlmAsRnnError
from llm_as_rnn.engines.secrecy import HIDDEN, address

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


_ONE_SERVER = click.option("--base-url", help="URL of an OpenAI-compatible server [default: OPENAI_BASE_URL].")

_SERVERS = click.option(
    "--base-url",
    "servers",
    multiple=True,
    help="URL of an OpenAI-compatible server; on Ray several times for several [default: OPENAI_BASE_URL].",
)

_OPTIONS = [
    click.option("--context", type=click.IntRange(min=1), help="Context window in tokens, for the embedded engine."),
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
    """Give a command what `engines.resolve` takes under the same names: where the model is, and how long to wait."""
    return _with(command, [_ONE_SERVER, *_OPTIONS])


def servers_options(command: F) -> F:
    """Give a command the same, for a model that may be on several servers."""
    return _with(command, [_SERVERS, *_OPTIONS])


def _with(command: F, options: Sequence[Callable[[F], F]]) -> F:
    for option in reversed(options):
        command = option(command)
    return command


BASE_URL = "--base-url"


def given_again(words: Iterable[str]) -> str:
    """Write a command as it can be given again, without what its server's address must not show.

    Parameters
    ----------
    words : iterable of str
        The command, without the program's name.

    Examples
    --------
    >>> given_again(["judge", "my run"])
    "llm-as-rnn judge 'my run'"
    >>> print(given_again(["run", "weather", "--base-url", "http://ann:secret@localhost/v1"]))
    llm-as-rnn run weather --base-url http://localhost/v1
    (put the login or query of --base-url back in, which is not shown)
    """
    shown, hidden, before = [], False, ""
    for word in words:
        option, equals, url = word.partition("=") if word.startswith(f"{BASE_URL}=") else (before, "", word)
        if option == BASE_URL:
            safe = _safe(url)
            hidden |= safe != url
            shown.append(f"{option}={safe}" if equals else safe)
        else:
            shown.append(word)
        before = word
    note = f"\n(put the login or query of {BASE_URL} back in, which is not shown)" if hidden else ""
    return shlex.join(["llm-as-rnn", *shown]) + note


def _safe(url: str) -> str:
    """Give an address without what must not be shown; as it is, where there is nothing of the kind."""
    try:
        shown = address(url).url
    except LlmAsRnnError:
        return HIDDEN
    return url if shown == url.strip().rstrip("/") else shown
