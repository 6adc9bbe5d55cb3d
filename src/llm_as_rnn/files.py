"""Writing files so that nobody ever sees half of one, and so that what is private stays so."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

OWNER_FOLDER, OWNER_FILE = 0o700, 0o600
"""Modes of folders and files that nobody but their owner can look into."""


def write_atomically(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all, durably: into a temporary one beside it, then renamed.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    content : bytes
        What it is to hold.
    private : bool
        Whether it is for its owner only, whatever the umask says. A file that was the owner's alone stays so anyway.

    Raises
    ------
    OSError
        If it cannot be written; what was there before stays as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(OWNER_FILE if private or _is_private(path) else 0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can look into, whatever the umask says; one that is there becomes so.

    Raises
    ------
    OSError
        If it cannot be made, or belongs to somebody else.
    """
    folder.mkdir(mode=OWNER_FOLDER, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o777 != OWNER_FOLDER:
        folder.chmod(OWNER_FOLDER)


def _is_private(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_mode & 0o077 == 0
    return False


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
