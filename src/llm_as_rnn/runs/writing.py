"""Writing a journal: a line a record, read back before it counts, and on the disk as soon as it has to be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from filelock import FileLock, Timeout

from llm_as_rnn.core.errors import DamagedError, RunError
from llm_as_rnn.core.files import OWNER_FILE, require_file, sealed, sync
from llm_as_rnn.core.records import Record
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.runs.journal import (
    CHECKED,
    LOCK,
    OUR_FAULT,
    STEPS,
    Kind,
    format_of,
    lines_in,
    records_in,
)
from llm_as_rnn.runs.lines import Lines

T = TypeVar("T", bound=Record)


class Journal:
    """Appends records to a journal file, one process at a time.

    Parameters
    ----------
    path : Path
        The file; it is made if it is not there. A torn last line is cut off.
    kind : Kind
        What it holds: steps, or judgements.
    private : bool
        Whether it is for its owner only, whatever the umask says.

    Raises
    ------
    RunError
        On entry: if another process writes to it, the folder cannot be written, or it is damaged.

    Attributes
    ----------
    format : int
        The version of the format that it is in, once it is open.
    """

    def __init__(self, path: Path, kind: Kind[Any] = STEPS, *, private: bool = False) -> None:
        self.path = path
        self._kind = kind
        self._private = private
        mode = OWNER_FILE if private else 0o644
        self._lock = FileLock(path.with_suffix(LOCK), timeout=0, mode=mode)
        self._behind = False  # whether the disk may lack what was written last
        self._torn: OSError | None = None  # why the file ends with the beginning of a line

    def __enter__(self) -> Self:
        try:
            self._lock.acquire()
        except Timeout:
            raise RunError(f"another process is writing to {self.path.parent}", "wait for it, or stop it") from None
        except OSError as error:
            raise RunError(f"{self.path.parent} cannot be written: {error.strerror}", "check the folder") from error
        try:
            self._open()
        except OSError as error:
            self._lock.release()
            raise RunError(f"{self.path} cannot be written: {error.strerror}", "check the folder") from error
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._behind:
                os.fsync(self._file)
        except OSError as failed:
            if error is None:  # else there is worse to tell
                raise RunError(f"{self.path} cannot be written: {failed.strerror}", "check the folder") from failed
        finally:
            os.close(self._file)
            self._lock.release()

    def kept(self, record: T) -> T:
        """Give as much of a record as will be read again: earlier formats have no place for some of it."""
        kept: T = self._lines.kept(record)
        return kept

    def append(self, record: Record, *, durably: bool = True) -> None:
        """Commit one record: when this returns, it is on the disk, and what is read there is what was given.

        Parameters
        ----------
        record : Record
            The next one.
        durably : bool
            Whether it has to be on the disk now. If not it is there when a later one is, or the journal was closed.

        Raises
        ------
        RunError
            If it cannot be written (a full disk, say), or would be read as another one. The journal then ends with
            the record before.
        """
        line = _readable(record, self._lines)
        try:
            self._write(_put(line, self.format) + b"\n", durably=durably)
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written: {error.strerror}",
                "make room, then go on: the same command, for a run with --resume",
            ) from error
        self._lines.passed(record)

    def sync(self) -> None:
        """Wait until all records are on the disk that were appended before; others may be appended meanwhile.

        Raises
        ------
        RunError
            If they cannot be put there.
        """
        try:
            os.fsync(self._file)
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written: {error.strerror}",
                "make room, then go on: the same command, for a run with --resume",
            ) from error

    def _open(self) -> None:
        """Open the file, and make it end with a whole line."""
        with suppress(FileNotFoundError):
            require_file(self.path)
        mode = OWNER_FILE if self._private else 0o666
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode)
        try:
            if self._private:
                self.path.chmod(OWNER_FILE)
            content = self.path.read_bytes()
            lines = list(lines_in(self.path, BytesIO(content)))
            self.format = format_of(self.path, lines[0], self._kind) if lines else self._kind.format
            self._lines = self._kind.lines_of(self.format)
            for _ in records_in(self.path, lines, self.format, self._lines):
                pass  # what comes is told by what was there
            whole = sum(len(line) + 1 for line in lines)
            os.ftruncate(self._file, min(whole, len(content)))
            if not lines:
                self._write(self._kind.head + b"\n")
            elif content[whole - 1 : whole] != b"\n":  # the last line is whole but for its end
                os.ftruncate(self._file, whole - 1)
                self._write(b"\n")
            sync(self.path.parent)
        except BaseException:
            os.close(self._file)
            raise

    def _write(self, content: bytes, *, durably: bool = True) -> None:
        """Write at the end wholly, or not at all."""
        if self._torn:  # the beginning of a line is dropped on resume as long as nothing stands behind it
            raise self._torn
        end = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(content):
                written += os.write(self._file, content[written:])
            if durably:
                os.fsync(self._file)
            self._behind = not durably
        except OSError as error:
            try:
                os.ftruncate(self._file, end)
            except OSError:
                self._torn = error
            raise


def whole(records: Iterable[T], kind: Kind[T], version: int | None = None) -> bytes:
    """Give a whole journal of these records at once, as `Journal` writes it line by line.

    Parameters
    ----------
    records : iterable of Record
        What it holds.
    kind : Kind
        What that is.
    version : int, optional
        The format; by default the one that is written today.

    Raises
    ------
    RunError
        If a record would be read as another one.
    """
    version = version or kind.format
    lines = kind.lines_of(version)
    content = [kind.head_of(version)] if version >= CHECKED else []
    for record in records:
        content.append(_put(_readable(record, lines), version))
        lines.passed(record)
    return b"".join(line + b"\n" for line in content)


def _put(line: bytes, version: int) -> bytes:
    """Give a line with its check, in formats that have one."""
    return sealed(line) if version >= CHECKED else line


def _readable(record: T, lines: Lines[T]) -> bytes:
    """Give a record's line if it is read as what it is: what has no JSON form would be refused for ever after."""
    record = lines.kept(record)
    try:
        line = lines.line(record)
        again = lines.record(line)
    except (msgspec.MsgspecError, DamagedError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RunError(f"{_name(record)} cannot be written: {error}", OUR_FAULT) from error
    for field in record.__struct_fields__:
        if not same(getattr(record, field), getattr(again, field)):
            raise RunError(f"{_name(record)} cannot be written: its {field} would be read as another", OUR_FAULT)
    return line


def _name(record: Record) -> str:
    """Call a record by what a reader knows it by."""
    if isinstance(record, StepRecord):
        return f"step {record.t} of {record.method}/{record.sequence}"
    return f"a {type(record).__name__.lower()}"


def same(given: Any, read: Any) -> bool:
    """Compare a value with what JSON gave back: a tuple comes back as a list where nothing says what it was."""
    if given == read:
        return True
    if isinstance(given, Mapping) and isinstance(read, Mapping):
        return given.keys() == read.keys() and all(same(given[name], read[name]) for name in given)
    if isinstance(given, list | tuple) and isinstance(read, list | tuple):
        return len(given) == len(read) and all(map(same, given, read))
    if isinstance(given, Record) and type(given) is type(read):
        return all(same(getattr(given, name), getattr(read, name)) for name in given.__struct_fields__)
    return False
