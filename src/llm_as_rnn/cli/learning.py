"""What commands share that ask a model and learn: their options, and the lock on a learner's file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from filelock import FileLock, Timeout

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.records import Record
from llm_as_rnn.core.settings import AUTO, Knob, Settings, knobs
from llm_as_rnn.recurrence.rules import RULES
from llm_as_rnn.streams.saved import require_learners_file

F = TypeVar("F", bound=Callable[..., Any])

ANYWHERE: dict[str, tuple[str, ...]] = {"rule": (AUTO, *RULES)}
"""What a text may be where the declaration does not list it, because it is said elsewhere."""


def setting_options(
    *records: type[Record], only: Iterable[str] | None = None, but: Iterable[str] = ()
) -> Callable[[F], F]:
    """Give a command an option for each knob of records, as the declaration has it (see `settings.knob`).

    Parameters
    ----------
    *records : type
        `settings.Settings`, say.
    only : iterable of str, optional
        The names of those it is to have; else it gets all.
    but : iterable of str
        The names of those that mean nothing to it.
    """
    names = knobs(*records) if only is None else only
    chosen = [knobs(*records)[name] for name in names if name not in but]

    def decorate(command: F) -> F:
        for knob in reversed(chosen):
            command = _option(knob)(command)
        return command

    return decorate


def _option(knob: Knob) -> Callable[[F], F]:
    name = f"--{knob.name.replace('_', '-')}"
    choices = knob.choices or ANYWHERE.get(knob.name, ())
    told = f"{knob.description.removesuffix('.')} [default: {knob.default_in_words}]."
    if knob.type is bool and knob.default is None:
        return click.option(f"{name}/--no-{name.removeprefix('--')}", default=None, help=told)
    if knob.type is bool:
        return click.option(name, is_flag=True, default=None, help=knob.description)
    kind: Any = click.Choice(choices) if choices else knob.type
    return click.option(name, type=kind, help=told)


def take_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Take what `setting_options` gave out of a command's values: the settings that were named."""
    taken = {name: values.pop(name) for name in knobs(Settings) if name in values}
    return {name: value for name, value in taken.items() if value is not None}


remote_data_option = click.option(
    "--allow-remote-data",
    is_flag=True,
    help="Confirm that the terms of credentialed data cover a server that is not on this machine.",
)
"""Of every command that sends data to an engine (see `datasets.terms`)."""

prompts_option = click.option("--prompts", type=click.Path(path_type=Path), help="Folder with templates of your own.")
"""Of every command that asks a model."""


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
