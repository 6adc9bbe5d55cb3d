"""What commands share that ask a model and learn: their options, and the lock on a learner's file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.knobs import knobs
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.streams.saved import require_learners_file


def take_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Take what `setting_options` gave out of a command's values: the settings that were named."""
    taken = {name: values.pop(name) for name in knobs(Settings) if name in values}
    return {name: value for name, value in taken.items() if value is not None}


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
