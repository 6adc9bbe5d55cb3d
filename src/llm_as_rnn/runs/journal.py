"""The journal: one line a step, durable before the next step starts. Everything else is read from it."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec
from filelock import FileLock, Timeout

from llm_as_rnn.errors import RunError
from llm_as_rnn.files import OWNER_FILE
from llm_as_rnn.records import Record, StepRecord

T = TypeVar("T")

LOCK = ".lock"
"""What the name of the file ends in that a journal's writer holds locked."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(StepRecord)


def read_journal(path: Path) -> list[StepRecord]:
    """Read all complete steps, as `read_lines` does."""
    return read_lines(path, _decoder)


def read_lines(path: Path, decoder: msgspec.json.Decoder[T]) -> list[T]:
    """Read all complete lines of a journal, in the order in which they were committed.

    A torn last line, as a killed process leaves it, is no record and is left out.

    Raises
    ------
    RunError
        If the file cannot be read, or a complete line of it is not a record; the message names the line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}", "check the folder") from error
    whole = content[: content.rfind(b"\n") + 1]
    return [_record(path, number, line, decoder) for number, line in enumerate(whole.splitlines(), 1) if line.strip()]


def _record(path: Path, number: int, line: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}, line {number} is damaged: {error}", "restore the file, or begin a new run") from error


def is_held(path: Path) -> bool:
    """Tell whether a process is writing to the journal of that name now."""
    lock = path.with_suffix(LOCK)
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # somebody else's: it cannot be told
        return True


class Journal:
    """Appends steps to a journal file, one process at a time.

    Parameters
    ----------
    path : Path
        The file; it is made if it is not there. A torn last line is cut off.
    private : bool
        Whether it is for its owner only, whatever the umask says.

    Raises
    ------
    RunError
        On entry: if another process writes to it, or the folder cannot be written.
    """

    def __init__(self, path: Path, *, private: bool = False) -> None:
        self.path = path
        self._private = private
        mode = OWNER_FILE if private else 0o644
        self._lock = FileLock(path.with_suffix(LOCK), timeout=0, mode=mode)

    def __enter__(self) -> Self:
        try:
            self._lock.acquire()
        except Timeout:
            raise RunError(f"another process is writing to {self.path.parent}", "wait for it, or stop it") from None
        except OSError as error:
            raise RunError(f"{self.path.parent} cannot be written: {error.strerror}", "check the folder") from error
        try:
            mode = OWNER_FILE if self._private else 0o666
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode)
            if self._private:
                self.path.chmod(OWNER_FILE)
            self._cut_torn_line()
        except OSError as error:
            self._lock.release()
            raise RunError(f"{self.path} cannot be written: {error.strerror}", "check the folder") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        self._lock.release()

    def append(self, record: Record) -> None:
        """Commit one record: when this returns, it is on the disk.

        Raises
        ------
        RunError
            If it cannot be written (a full disk, say); the journal then ends with the step before.
        """
        line = _encoder.encode(record) + b"\n"
        end = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, end)
            raise RunError(
                f"{self.path} cannot be written: {error.strerror}",
                "make room, then go on: the same command, for a run with --resume",
            ) from error

    def _cut_torn_line(self) -> None:
        content = self.path.read_bytes()
        os.ftruncate(self._file, content.rfind(b"\n") + 1)
