"""Writing files so that nobody ever sees half of one, so that what is private stays so, and damage is noticed."""

from __future__ import annotations

import os
import re
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

from llm_as_rnn.errors import DamagedError

OWNER_FOLDER, OWNER_FILE = 0o700, 0o600
"""Modes of folders and files that nobody but their owner can look into."""

_SEAL = re.compile(rb',"check":"([0-9a-f]{8})"\}\Z')


def sealed(content: bytes) -> bytes:
    """Give a JSON object with a check of its own bytes as its last entry, so that damage is noticed.

    The check is a CRC-32 over all bytes before it: it finds every single flipped bit, and of other damage all but one
    case in four thousand million.

    Parameters
    ----------
    content : bytes
        A JSON object with at least one entry, without white space at its end.

    Examples
    --------
    >>> sealed(b'{"t":0}')
    b'{"t":0,"check":"b7c26b55"}'
    """
    body = content[:-1]
    return b'%s,"check":"%08x"}' % (body, zlib.crc32(body))


def unsealed(content: bytes) -> bytes:
    """Give back what was sealed.

    Raises
    ------
    DamagedError
        If there is no check at its end, or the bytes are not those that it was made of.

    Examples
    --------
    >>> unsealed(b'{"t":0,"check":"b7c26b55"}')
    b'{"t":0}'
    """
    found = _SEAL.search(content[-20:])
    if found is None:
        raise DamagedError("there is no check at its end", "restore it from a copy")
    body = content[: len(content) - len(found[0])]
    if zlib.crc32(body) != int(found[1], 16):
        raise DamagedError("its bytes are not those that were written", "restore it from a copy")
    return body + b"}"


def is_sealed(content: bytes) -> bool:
    """Tell whether there is a check at the end of a JSON object, whatever it says."""
    return _SEAL.search(content[-20:]) is not None


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
