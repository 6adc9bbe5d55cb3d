"""The journal: one line a step, durable before the next step starts. Everything else is read from it.

Its first line says what it is (``{"format":3,"journal":"steps",...}``), and every line ends with a check of its own
bytes (see `files.sealed`), so that damage is found and named with its line. What stands between is up to `lines`. A
process that is killed, or a power cut, leaves the beginning of a line at the end: that is no record, and is dropped.
Journals of earlier versions (format 1: no head and no checks) are read, and gone on with, as they are.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, NamedTuple, Protocol, Self, TypeVar

import msgspec
from filelock import FileLock, Timeout

from llm_as_rnn.core.errors import DamagedError, RunError
from llm_as_rnn.core.files import OWNER_FILE, is_sealed, require_file, seal_end, sealed, sync, unsealed
from llm_as_rnn.core.records import Message, Record, StepRecord
from llm_as_rnn.runs.lines import EarlierSteps, Lines, MessageLines, Plain, StepLines

T = TypeVar("T", bound=Record)
S = TypeVar("S")

CHECKED = 2
"""The first format with a head, and a check in each line."""

RESTORE = "restore the file from a copy, or begin a new run"
OUR_FAULT = "this is a fault of llm-as-rnn: report it"

LOCK = ".lock"
"""What the name of the file ends in that a journal's writer holds locked."""


class Kind(NamedTuple, Generic[T]):
    """What a journal's lines are.

    Attributes
    ----------
    name : str
        What its head calls them.
    record : type
        A line's content.
    settles : callable
        What a record says that no other can say again; None where it may be said again.
    format : int
        The version of the format that is written.
    lines : callable, optional
        Gives what turns records into lines of a format, and back; by default a line says all of its record.
    """

    name: str
    record: type[T]
    settles: Callable[[T], Hashable] = lambda record: None
    format: int = CHECKED
    lines: Callable[[int], Lines[T]] | None = None

    @property
    def head(self) -> bytes:
        """The first line of such a journal."""
        return self.head_of(self.format)

    def head_of(self, version: int) -> bytes:
        """Give the first line of such a journal in a format that has one."""
        return sealed(b'{"format":%d,"journal":"%s"}' % (version, self.name.encode()))

    def lines_of(self, version: int) -> Lines[T]:
        """Give what turns records into lines of a format, and back, for one way through a journal."""
        return Plain(self.record) if self.lines is None else self.lines(version)


SPARSE = 3
"""The first format of steps whose lines say nothing twice, and name the prompts that are kept beside them."""

STEPS = Kind(
    "steps", StepRecord, format=SPARSE, lines=lambda version: StepLines() if version >= SPARSE else EarlierSteps()
)
PROMPTS = Kind("prompts", Message, lambda message: message.digest, lines=lambda version: MessageLines())


class Whose(Protocol):
    """A step, by its place in the run."""

    @property
    def method(self) -> str:
        """Under which method it was."""

    @property
    def sequence(self) -> str:
        """Of which sequence it is."""

    @property
    def t(self) -> int:
        """Which one of it it is."""


class Expected(NamedTuple):
    """Which steps a run can have; what is None is not known.

    Attributes
    ----------
    methods : collection of str
        The run's methods.
    steps : int, optional
        The most steps of a sequence.
    lengths : mapping of str to int, optional
        The run's sequences, and how many steps each has.
    """

    methods: Collection[str]
    steps: int | None = None
    lengths: Mapping[str, int] | None = None

    def problem(self, step: Whose) -> str:
        """Say why a step cannot be one of the run; nothing if it can."""
        if step.method not in self.methods:
            return f"it is of the method {step.method!r}, which the run does not have"
        if self.lengths is not None and step.sequence not in self.lengths:
            return f"it is of the sequence {step.sequence!r}, which the run does not have"
        most = self.steps if self.lengths is None else self.lengths[step.sequence]
        if most is not None and step.t >= most:
            return f"it is step {step.t} of {step.sequence!r}, of which the run has {most}"
        return ""


def read_journal(path: Path, expected: Expected | None = None) -> list[StepRecord]:
    """Read all complete steps, in the order in which they were committed.

    Parameters
    ----------
    path : Path
        The file; where there is none, there are no steps.
    expected : Expected, optional
        What the run has; else steps of any method and sequence are taken.

    Raises
    ------
    RunError
        As `read_lines` does; and if a step is missing, there twice, out of order, or none of this run. The message
        names the line.
    """
    steps: list[StepRecord] = []
    inspected = Inspection(path, expected)
    for number, step in numbered(path, STEPS):
        inspected.next(number, step)
        steps.append(step)
    return steps


class Inspection:
    """Looks at steps as they stand in a journal: none may be missing, there twice, out of order, or of another run.

    Parameters
    ----------
    path : Path
        The journal, for messages.
    expected : Expected, optional
        What the run has.
    """

    def __init__(self, path: Path, expected: Expected | None) -> None:
        self._path = path
        self._expected = expected
        self._counts: dict[tuple[str, str], int] = defaultdict(int)

    def next(self, number: int, step: Whose) -> None:
        """Look at the step of the next line.

        Raises
        ------
        RunError
            If it cannot stand there.
        """
        whose = (step.method, step.sequence)
        problem = self._expected.problem(step) if self._expected else ""
        if not problem and step.t != self._counts[whose]:
            twice = "once more" if step.t < self._counts[whose] else f"before step {self._counts[whose]}"
            problem = f"step {step.t} of {step.method}/{step.sequence} stands there {twice}"
        if problem:
            raise _damaged(self._path, number, problem)
        self._counts[whose] += 1


def read_lines(path: Path, kind: Kind[T]) -> list[T]:
    """Read all complete records of a journal, in the order in which they were committed.

    A torn last line, as a killed process leaves it, is no record and is left out.

    Raises
    ------
    RunError
        If the file cannot be read, was written by a newer version, or a complete line of it is not a record, or there
        once more; the message names the line.
    """
    records: list[T] = []
    settled: dict[Hashable, int] = {}
    for number, record in numbered(path, kind):
        what = kind.settles(record)
        if what is not None and settled.setdefault(what, number) != number:
            raise _damaged(path, number, f"line {settled[what]} settled the same already")
        records.append(record)
    return records


def numbered(path: Path, kind: Kind[T]) -> Iterator[tuple[int, T]]:
    """Give the complete records of a journal, each with the number of its line, as far as they are not damaged.

    Raises
    ------
    RunError
        As `read_lines` does, where the damage is.
    """
    with opened(path) as file:
        if file is None:
            return
        lines, version = begun(path, file, kind)
        for number, _, record in _records(path, lines, version, kind.lines_of(version)):
            yield number, record


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes] | None]:
    """Open a journal to be read line by line; None where there is none.

    Raises
    ------
    RunError
        If it cannot be read.
    """
    try:
        require_file(path)
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        yield None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}", "check the folder") from error


def begun(path: Path, file: IO[bytes], kind: Kind[Any]) -> tuple[Iterator[bytes], int]:
    """Give a journal's complete lines, its head among them, and its format.

    Raises
    ------
    RunError
        If it is of another kind, or of a newer version; and where a line is damaged, when it comes to that.
    """
    lines = _lines(path, file)
    first = next(lines, None)
    if first is None:
        return lines, kind.format
    return chain([first], lines), _format(path, first, kind)


def _records(path: Path, lines: Iterable[bytes], version: int, reader: Lines[T]) -> Iterator[tuple[int, bytes, T]]:
    """Give the records of a journal's lines with their numbers and the lines themselves."""
    for number, line in enumerate(lines, 1):
        content = content_of(path, number, line, version)
        if content:
            record = read_line(path, number, content, reader.record)
            reader.passed(record)
            yield number, line, record


def content_of(path: Path, number: int, line: bytes, version: int) -> bytes:
    """Give what a line says without its check; nothing of a head, and of the empty lines that earlier readers passed.

    Raises
    ------
    RunError
        If its bytes are not those that were written.
    """
    if version < CHECKED:
        return line if line.strip() else b""
    return b"" if number == 1 else _checked(path, number, line)


def rest(path: Path, file: IO[bytes], before: int) -> Iterator[bytes]:
    """Give a journal's complete lines from where the file stands, behind so many.

    Raises
    ------
    RunError
        Where a line is damaged, when it comes to that.
    """
    return _lines(path, file, before + 1)


def _lines(path: Path, file: IO[bytes], first: int = 1) -> Iterator[bytes]:
    """Split a journal into its complete lines, without their ends.

    What stands behind the last line end is complete if it lacks nothing but its own end, and torn if it is the
    beginning of a line: a power cut can leave zeros in place of the rest. Anything else is damage.
    """
    for number, line in enumerate(file, first):
        if line.endswith(b"\n"):
            yield line[:-1]
            continue
        rest = line.rstrip(b"\0")
        end = seal_end(rest)
        if end == len(rest):
            yield rest
        elif end is not None or not (rest or b"{").startswith(b"{"):
            raise _damaged(path, number, "its end is not what was written")


def _format(path: Path, first: bytes, kind: Kind[Any]) -> int:
    """Tell the format of a journal from its first line."""
    for version in range(CHECKED, kind.format + 1):
        if first == kind.head_of(version):
            return version
    try:
        head = msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 1  # and so no record: whoever reads the line says what is wrong with it
    if not isinstance(head, dict) or "format" not in head:
        return 1
    if is_sealed(first):
        _checked(path, 1, first)
    if isinstance(head["format"], int) and head["format"] > kind.format:
        raise RunError(f"{path} was written by a newer version, in format {head['format']}", "upgrade llm-as-rnn")
    if head.get("journal") != kind.name:
        raise RunError(f"{path} holds {head.get('journal')!r}, not {kind.name}", RESTORE)
    raise _damaged(path, 1, "it is no head of a journal")


def _checked(path: Path, number: int, line: bytes) -> bytes:
    try:
        return unsealed(line)
    except DamagedError as error:
        raise _damaged(path, number, error.message) from error


def read_line(path: Path, number: int, content: bytes, read: Callable[[bytes], S]) -> S:
    """Read what a line says.

    Raises
    ------
    RunError
        If it says nothing that can be read; the message names the line.
    """
    try:
        return read(content)
    except DamagedError as error:
        raise _damaged(path, number, error.message) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path, number, str(error)) from error


def _damaged(path: Path, number: int, why: str) -> RunError:
    return RunError(f"{path}, line {number} is damaged: {why}", RESTORE)


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
            lines = list(_lines(self.path, BytesIO(content)))
            self.format = _format(self.path, lines[0], self._kind) if lines else self._kind.format
            self._lines = self._kind.lines_of(self.format)
            for _ in _records(self.path, lines, self.format, self._lines):
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
        end = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(content):
                written += os.write(self._file, content[written:])
            if durably:
                os.fsync(self._file)
            self._behind = not durably
        except OSError:
            with suppress(OSError):  # what cannot even be cut off is a torn line, which is dropped on resume
                os.ftruncate(self._file, end)
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
