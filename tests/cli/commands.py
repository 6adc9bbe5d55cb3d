"""The command line for tests: in this process, where only what it says and does counts, or in one of its own."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from llm_as_rnn.cli.main import main
from llm_as_rnn.cli.process import LISTENED

Ended = subprocess.CompletedProcess[str]


def process(*arguments: str, **environment: str) -> Ended:
    """Run a command in a process of its own: where streams, signals, limits and imports are what is tested."""
    return subprocess.run(
        [sys.executable, "-m", "llm_as_rnn", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=120,
    )


def command(*arguments: str, typed: str = "", **environment: str) -> Ended:
    """Run a command in this process, which takes a tenth of the time: what it wrote and its exit code are the same.

    Parameters
    ----------
    *arguments : str
        The command's words.
    typed : str
        What it reads from standard input.
    **environment : str
        Variables that it finds besides those of this process.
    """
    out, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, _signals_given_back():
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode()), "utf-8"))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", errors)
        # For the hint that gives the command again.
        patch.setattr(sys, "argv", ["llm-as-rnn", *arguments])
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
    assert isinstance(ended.value.code, int)
    return Ended(arguments, ended.value.code, _written(out), _written(errors))


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


@contextmanager
def _signals_given_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in LISTENED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
