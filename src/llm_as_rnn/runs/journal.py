"""The journal: one line a step, durable before the next step starts. Everything else is read from it.

Its first line says what it is (``{"format":3,"journal":"steps",...}``), and every line ends with a check of its own
bytes (see `files.sealed`), so that damage is found and named with its line. What stands between is up to `lines`. A
process that is killed, or a power cut, leaves the beginning of a line at the end: that is no record, and is dropped.
Journals of earlier versions (format 1: no head and no checks) are read, and gone on with, as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec
from filelock import FileLock, Timeout

from llm_as_rnn.core.calls import Message
from llm_as_rnn.core.errors import DamagedError, RunError
from llm_as_rnn.core.files import is_sealed, require_file, seal_end, sealed, unsealed
from llm_as_rnn.core.records import Record
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.runs.earlier import EarlierSteps
from llm_as_rnn.runs.lines import Lines, MessageLines, Plain, StepLines

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
        for number, _, record in records_in(path, lines, version, kind.lines_of(version)):
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
    lines = lines_in(path, file)
    first = next(lines, None)
    if first is None:
        return lines, kind.format
    return chain([first], lines), format_of(path, first, kind)


def records_in(path: Path, lines: Iterable[bytes], version: int, reader: Lines[T]) -> Iterator[tuple[int, bytes, T]]:
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


def lines_in(path: Path, file: IO[bytes], first: int = 1) -> Iterator[bytes]:
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


def format_of(path: Path, first: bytes, kind: Kind[Any]) -> int:
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
