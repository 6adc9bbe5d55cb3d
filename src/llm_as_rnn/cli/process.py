"""What the process itself meets: signals, standard streams, and the machine's limits."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

import click

from llm_as_rnn.core.errors import LlmAsRnnError, UsageError

if TYPE_CHECKING:
    import asyncio

    from _typeshed import ReadableBuffer

T = TypeVar("T")

INTERRUPTED = 130
"""The exit code of a command that was told to stop; it can be given again."""

LISTENED = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what is sent by whoever ends processes: to both of them a command ends in the same way."""

BELONG_TOGETHER = 3.0
"""Seconds in which further signals to stop count as one with the first: whoever has lost patience by then may leave."""

HANDLES = 8
"""File handles that a command has to have left: an event loop takes three, a journal and its lock two."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_HINTS = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EMFILE: "raise their limit: ulimit -n",
    errno.ENFILE: "close other programs, or raise the system's limit",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EROFS: "use another folder",
}


def printable(text: str) -> str:
    r"""Show control characters instead of sending them to a terminal, which would obey them.

    >>> printable("503 \x1b[2Jbusy")
    '503 \\x1b[2Jbusy'
    """
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class Interrupts:
    """Makes one interrupt of however many signals come: the first one stops the work, those right behind it do nothing.

    Else a second signal would hit the very code that puts a run in order, as it does with Python's own handler. Signals
    that come later, when that takes too long, end the process at once: what is in the journal is durable.

    Parameters
    ----------
    clock : callable
        Gives seconds.
    leave : callable
        Ends the process at once, with an exit code.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, leave: Callable[[int], NoReturn] = os._exit
    ) -> None:
        self._clock = clock
        self._leave = leave
        self._first: float | None = None
        self._over: float | None = None
        self._stop: Callable[[], None] | None = None

    def begin(self) -> None:
        """Forget what was before."""
        self._first = self._over = None

    def listen(self) -> None:
        """Take the signals that tell a process to stop, except those that whoever started it wants ignored."""
        for number in LISTENED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.told)

    def told(self, number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
        """Hear of a signal.

        Raises
        ------
        KeyboardInterrupt
            At the first one, where no coroutine runs that can be cancelled instead.
        """
        del number, frame
        since = self._over if self._first is None else self._first
        if since is not None:
            if self._clock() - since > BELONG_TOGETHER:
                _show_cursor()
                self._leave(INTERRUPTED)
            return
        self._first = self._clock()
        if self._stop is None:
            raise KeyboardInterrupt
        self._stop()

    def done(self) -> None:
        """Let no signal disturb the rest: there is nothing left that it could stop."""
        self._over = self._clock()

    def ignore(self) -> None:
        """Have the system itself ignore the signals that are listened to.

        It is for the process's very end: there Python puts the system's own handling in place of its handlers, and a
        signal would kill the process and change its exit code. What is ignored stays so.
        """
        for number in LISTENED:
            if signal.getsignal(number) == self.told:
                signal.signal(number, signal.SIG_IGN)

    def run(
        self, work: Coroutine[Any, Any, T], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    ) -> T:
        """Run a coroutine as `asyncio.run` does; an interrupt cancels it, once.

        Parameters
        ----------
        work : coroutine
            What is run.
        loop_factory : callable, optional
            Makes the event loop; else it is Python's own.

        Raises
        ------
        KeyboardInterrupt
            If there was one, when all is put in order.
        """
        import asyncio  # noqa: PLC0415 - what only shows help has no coroutine to run, and it takes a while to import

        async def main() -> T:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None  # noqa: S101 - tells mypy that a coroutine runs in a task

            def stop() -> None:
                with suppress(RuntimeError):  # the loop is closed: it is over anyway
                    loop.call_soon_threadsafe(task.cancel)

            self._stop = stop
            if self._first is not None:
                stop()
            return await work

        self._stop = lambda: None  # until there is a task to cancel
        try:
            _require_handles()
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                result = runner.run(main())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            work.close()  # where it was never begun
            self._stop = None
        if self._first is not None:
            raise KeyboardInterrupt
        return result


def _require_handles() -> None:
    """Find out now whether there are file handles for an event loop: one that is half made dies noisily.

    Raises
    ------
    OSError
        If there are not.
    """
    taken: list[int] = []
    try:
        taken.extend(os.dup(0) for _ in range(HANDLES))
    finally:
        for handle in taken:
            os.close(handle)


interrupts = Interrupts()
"""Those of this process."""


class ReaderGoneError(Exception):
    """Whoever read our output has seen enough (`| head`).

    It is no OSError, because the libraries between us and the output end the process with an exit code of their own
    when they see one of this kind.
    """


class _Stream(io.FileIO):
    """A standard stream that is named in its errors, which else would not say what is full or closed."""

    def __init__(self, number: int, title: str) -> None:
        super().__init__(number, "wb", closefd=False)
        self._title = title

    def write(self, content: ReadableBuffer) -> int:
        """Write, as every file does.

        Raises
        ------
        ReaderGoneError
            If nobody reads it any more.
        OSError
            If it cannot be written, with the stream's title for a file name.
        """
        try:
            return super().write(content)
        except BrokenPipeError:
            raise ReaderGoneError from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._title) from None


def prepare_streams() -> None:
    """See to it that standard streams are what they seem.

    Where one of them is closed, the next file that is opened would take its number, and whatever a library writes to
    "standard error" would go into it. And no text is there that could not be printed at all.
    """
    while (taken := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - the number of standard error
        pass
    os.close(taken)
    sys.stdout = _prepared(sys.stdout, sys.__stdout__, 1, "standard output")
    sys.stderr = _prepared(sys.stderr, sys.__stderr__, 2, "standard error")


def _prepared(stream: Any, first: TextIO | None, number: int, title: str) -> Any:
    if stream is not first or not isinstance(stream, io.TextIOWrapper) or stream.fileno() != number:
        return stream  # closed, or no longer what Python made of it
    if stream.isatty():
        stream.reconfigure(errors="backslashreplace")
        return stream
    stream.flush()
    named = io.BufferedWriter(_Stream(number, title))
    return io.TextIOWrapper(
        named, stream.encoding, "backslashreplace", line_buffering=stream.line_buffering, write_through=number > 1
    )


def require_output() -> None:
    """Refuse to work for nobody.

    Raises
    ------
    UsageError
        If standard output is closed.
    """
    if sys.stdout is None:
        raise UsageError("standard output is closed", "send it somewhere, be it to /dev/null")


def end_streams() -> None:
    """Write what is left; where a stream takes no more, nowhere: else the interpreter complains of it at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ReaderGoneError):
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def complain(text: str) -> None:
    """Write a line to standard error, if there is any that takes it."""
    with suppress(OSError, ReaderGoneError):
        click.echo(printable(text), err=True)


def environment_error(error: BaseException) -> LlmAsRnnError | None:
    """Say in one line what the machine did not give; None for what can only be our own mistake.

    Parameters
    ----------
    error : BaseException
        What a command ended with, or a group of such errors.

    Examples
    --------
    >>> print(environment_error(OSError(errno.EMFILE, "Too many open files")))
    no file handle is left: Too many open files (raise their limit: ulimit -n)
    >>> environment_error(ExceptionGroup("tasks", [KeyError("x")])) is None
    True
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, MemoryError):
        return UsageError("there is not enough memory", "close other programs, or use a smaller model or less data")
    if not isinstance(error, OSError):
        return None
    reason = error.strerror or str(error) or type(error).__name__
    hint = _HINTS.get(error.errno or 0, "")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return UsageError(f"no file handle is left: {reason}", hint)
    if error.filename is not None:
        name = error.filename.decode(errors="replace") if isinstance(error.filename, bytes) else error.filename
        return UsageError(f"{name} cannot be used: {reason}", hint)
    return UsageError(f"a file or connection failed: {reason}", hint)


def _show_cursor() -> None:
    """Give a terminal its cursor back, which live displays hide."""
    with suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\x1b[?25h\n")
