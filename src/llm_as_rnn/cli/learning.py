"""What commands share that let the recurrent method learn: its options, and the lock on a learner's file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
from filelock import FileLock, Timeout

from llm_as_rnn.errors import UsageError
from llm_as_rnn.method import RuleName, Updating
from llm_as_rnn.online import LIMITS
from llm_as_rnn.saved import require_learners_file

F = TypeVar("F", bound=Callable[..., Any])

FEEDBACK_HELP = (
    "Criticism by the model, exact figures by code (scorecard), a judge without the outcome; or several, joined by +. "
    "auto: the model's where notes are in its own words, else figures."
)

_OPTIONS = [
    click.option(
        "--rule",
        type=click.Choice(get_args(RuleName)),
        help="How the memory is updated [default: auto, which is cases for answers in lines and rewrite for JSON].",
    ),
    click.option(
        "--when", help="When the memory is updated: every step, on_error, surprise, or every:K steps [default: every]."
    ),
    click.option("--allowance", type=int, help="Most tokens a step that learning may cost on average [default: any]."),
    click.option(
        "--recall",
        type=int,
        help="Cases shown again right before the question [default: 1 where notes are cases, else 0].",
    ),
    click.option("--echo", type=int, help="How often each of them is shown [default: as suits the model]."),
    click.option(
        "--recheck", type=int, help="Past steps that a new memory must predict no worse than the old one [default: 0]."
    ),
    click.option(
        "--watch", is_flag=True, default=None, help="After a lasting fall of the score, go back to the best memory."
    ),
]


remote_data_option = click.option(
    "--allow-remote-data",
    is_flag=True,
    help="Confirm that the terms of credentialed data cover a server that is not on this machine.",
)
"""Of every command that sends data to an engine (see `runs.remote`)."""


def updating_options(command: F) -> F:
    """Give a command the options of `Updating`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_LIMITS = [
    click.option(f"--{name.replace('_', '-')}", type=click.IntRange(min=1), help=f"{what} [default: {default}].")
    for name, what, default in (
        ("max_waiting", "Predictions that may wait", LIMITS.max_waiting),
        ("remember", "Ids of learned outcomes that are remembered", LIMITS.remember),
        ("keep_versions", "Versions of the memory that are kept", LIMITS.keep_versions),
        ("replay_limit", "Later outcomes that --policy replay learns again for a late one", LIMITS.replay_limit),
    )
]


def limits_options(command: F) -> F:
    """Give a command the options of `online.Limits`."""
    for option in reversed(_LIMITS):
        command = option(command)
    return command


shared_option = click.option(
    "--shared", type=int, help="Tokens of a second memory, of lessons that sequences leave to later ones [default: 0]"
)
"""For commands that run several sequences."""


def take_updating(choices: dict[str, Any]) -> Updating:
    """Take what `updating_options` gave out of a command's values."""
    taken = {name: choices.pop(name) for name in Updating.__struct_fields__}
    return Updating(**{"rule": "auto", **{name: value for name, value in taken.items() if value is not None}})


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep other commands from using a learner's file meanwhile.

    Raises
    ------
    UsageError
        If one is using it, it is no file, or the lock cannot be written beside it.
    """
    require_learners_file(file)
    # Two names for one file share its lock: that lies beside what a link points to.
    target = Path(os.path.realpath(file))
    lock = FileLock(target.with_name(f".{target.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(f"another process is using {file}", "wait for it, or stop it") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", "check the folder, or use another") from error
    with lock:
        yield
