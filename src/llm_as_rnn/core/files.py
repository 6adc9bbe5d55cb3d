"""Reading and writing files: nobody ever sees half of one, what is private stays so, and damage is noticed."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from llm_as_rnn.core.errors import DamagedError, UsageError

OWNER_FOLDER, OWNER_FILE = 0o700, 0o600
"""Modes of folders and files that nobody but their owner can look into."""

_SEAL = re.compile(rb',"check":"([0-9a-f]{8})"\}')

_SEAL_LENGTH = len(b',"check":"00000000"}')

_UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}\.writing")
"""Names of temporary files, as `write_atomically` gives them."""

_ABANDONED = 3600.0
"""Seconds after which nobody is taken to be still writing a temporary file; a writer needs less than one."""

_KINDS = {
    stat.S_ISDIR: "a directory",
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}


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
    body, seal = content[:-_SEAL_LENGTH], content[-_SEAL_LENGTH:]
    if seal != b',"check":"%08x"}' % zlib.crc32(body):
        wrong = "its bytes are not those that were written" if is_sealed(content) else "there is no check at its end"
        raise DamagedError(wrong, "restore it from a copy")
    return body + b"}"


def is_sealed(content: bytes) -> bool:
    """Tell whether there is a check at the end of a JSON object, whatever it says."""
    return _SEAL.fullmatch(content[-_SEAL_LENGTH:]) is not None


def seal_end(content: bytes) -> int | None:
    """Tell where the first check that is right ends; None where there is none.

    Of a sealed object without what should follow it, this is its length, and of the beginning of one it is None.

    Examples
    --------
    >>> seal_end(b'{"t":0,"check":"b7c26b55"}?'), seal_end(b'{"t":0,"check":"b7c26')
    (26, None)
    """
    check, read = 0, 0
    for found in _SEAL.finditer(content):
        check, read = zlib.crc32(content[read : found.start()], check), found.start()
        if check == int(found[1], 16):
            return found.end()
    return None


def as_path(path: Any) -> Path:
    """Give what a caller named as a path.

    Parameters
    ----------
    path : str or Path
        A file or a folder, there or not.

    Raises
    ------
    UsageError
        If it is of another type.

    Examples
    --------
    >>> as_path("learner.json").suffix
    '.json'
    """
    try:
        return Path(path)
    except TypeError as error:
        raise UsageError(
            f"a path cannot be of the type {type(path).__name__}", 'give text such as "learner.json", or a Path'
        ) from error


def require_file(path: Path) -> None:
    """Refuse what has a file's name and is none: to read a pipe waits for ever, to replace a device is worse.

    Raises
    ------
    OSError
        If there is nothing, or a directory, a named pipe, a device or a socket; and if no file can have that name.
    """
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # a null character, or half of one that takes two
        raise OSError(errno.EINVAL, f"no file can have that name: {error}", str(path)) from error
    if stat.S_ISREG(mode):
        return
    kind = next((name for is_it, name in _KINDS.items() if is_it(mode)), "something else")
    raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL, f"it is {kind}, not a file", str(path))


def read_file(path: Path) -> bytes:
    """Read a file that a user named.

    Raises
    ------
    OSError
        If there is none, it cannot be read, or something else stands in its place (see `require_file`).
    """
    require_file(path)
    return path.read_bytes()


def write_atomically(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all, durably: into a temporary one beside it, then renamed.

    Parameters
    ----------
    path, private
        As of `replacing`.
    content : bytes
        What it is to hold.

    Raises
    ------
    OSError
        If it cannot be written; what was there before stays as it was.
    """
    with replacing(path, private=private) as file:
        file.write(content)


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """Give a file to write, which takes the place of another one when it is whole, durably.

    What killed writers left in the folder is removed.

    Parameters
    ----------
    path : Path
        The file; its folder must exist. Of a symbolic link, what it points to is replaced, and the link stays.
    private : bool
        Whether it is for its owner only, whatever the umask says. A file that was the owner's alone stays so anyway.

    Raises
    ------
    OSError
        If it cannot be written; what was there before stays as it was.
    """
    target = Path(os.path.realpath(path))
    with suppress(FileNotFoundError):
        require_file(target)
    _clear_abandoned(target.parent)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".writing")
    except OSError as error:
        error.filename = str(path)  # the temporary file is nothing that a message should name
        raise
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(OWNER_FILE if private or _is_private(target) else 0o666 & ~_umask())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync(target.parent)


def sync(path: Path) -> None:
    """Make durable what a file holds, or which names a folder holds: until then a power cut can undo it.

    Raises
    ------
    OSError
        If the disk fails. Where the system does not sync folders, nothing is done.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders; and who may write to one need not be allowed to list it
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it that are missing, durably; one that is there stays as it is.

    Parameters
    ----------
    folder : Path
        Its name.
    mode : int
        Who may look into it, less what the umask takes away.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for each in reversed(missing):
        sync(each.parent)


def holds_files(folder: Path) -> bool:
    """Tell whether there is anything in a folder but what killed writers left; nothing is in one that is not there."""
    return folder.is_dir() and any(not _UNFINISHED.fullmatch(path.name) for path in folder.iterdir())


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can look into, whatever the umask says; one that is there becomes so.

    Raises
    ------
    OSError
        If it cannot be made, or belongs to somebody else.
    """
    make_folder(folder, OWNER_FOLDER)
    if folder.stat().st_mode & 0o777 != OWNER_FOLDER:
        folder.chmod(OWNER_FOLDER)


@cache
def _clear_abandoned(folder: Path) -> None:
    """Remove the temporary files of writers that were killed; once a process, as folders of caches are large."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _UNFINISHED.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    if time.time() - entry.stat().st_mtime > _ABANDONED:
                        Path(entry.path).unlink()


def _is_private(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_mode & 0o077 == 0
    return False


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
