"""What the machine does not give is told apart from our own mistakes: one line that names it, and exit code 2."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from llm_as_rnn.cli.process import environment_error, printable
from tests.cli.commands import command, process
from tests.cli.test_kill import OPTIONS, script

ARGUMENTS = ["--methods", "repeat_last", "--sequences", "1", "--steps", "4"]


def shell(line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with redirections, and say what a pipe's first part ended with."""
    program = f'"$0" -m llm_as_rnn "$@" {line}'
    return subprocess.run(
        ["bash", "-c", program, sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def test_a_closed_standard_output_is_named_before_anything_is_done(tmp_path: Path) -> None:
    result = shell(">&-", "run", "weather", "--out", str(tmp_path / "run"), *ARGUMENTS)
    assert result.returncode == 2
    assert result.stderr.splitlines() == ["error: standard output is closed (send it somewhere, be it to /dev/null)"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "closed", ["<&-", *(pytest.param(closed, marks=pytest.mark.long) for closed in ("2>&-", "<&- 2>&-"))]
)
def test_other_closed_streams_do_not_matter_and_no_file_takes_their_place(tmp_path: Path, closed: str) -> None:
    out = tmp_path / "run"
    result = shell(closed, "run", "weather", "-m", script(tmp_path), "--out", str(out), *OPTIONS, *ARGUMENTS[:2])
    assert result.returncode == 0, result.stderr
    assert command("report", str(out)).returncode == 0, "nothing was written into the journal by accident"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.long
def test_a_full_output_is_named(tmp_path: Path) -> None:
    for arguments in (["--help"], ["data", "list"], ["run", "weather", "--out", str(tmp_path / "run"), *ARGUMENTS]):
        result = shell("> /dev/full", *arguments)
        assert result.returncode == 2
        said = "error: standard output cannot be used: No space left on device (make room there)"
        assert result.stderr.splitlines()[-1] == said
    assert shell("2> /dev/full", "rnu").returncode == 2, "even where nobody can be told"


def test_who_stops_reading_ends_nothing_badly(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = shell("| true; exit ${PIPESTATUS[0]}", "run", "weather", "--out", str(out), *ARGUMENTS)
    assert (result.returncode, result.stderr) == (0, "")


def test_no_file_handle_left() -> None:
    code = (
        "import llm_as_rnn.cli.run, resource; from llm_as_rnn.cli.main import main; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (5, 5)); main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "run", "weather", *ARGUMENTS], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2, result.stderr
    assert result.stderr.splitlines() == [
        "error: no file handle is left: Too many open files (raise their limit: ulimit -n)"
    ]


def test_what_cannot_be_encoded_is_printed_all_the_same() -> None:
    result = process("data", "list", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/run.json"), "/x/run.json cannot be used: No space left"),
        (OSError(errno.EMFILE, "Too many open files"), "no file handle is left"),
        (PermissionError(errno.EACCES, "Permission denied", b"/x"), "/x cannot be used: Permission denied (check its"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), "a file or connection failed: Connection reset"),
        (MemoryError(), "there is not enough memory"),
        (ExceptionGroup("a", [ExceptionGroup("b", [OSError(errno.ENFILE, "Too many")])]), "no file handle is left"),
    ],
)
def test_every_resource_is_named(error: Exception, says: str) -> None:
    assert says in str(environment_error(error))


def test_our_own_mistakes_are_no_environment() -> None:
    assert environment_error(KeyError("x")) is None
    assert environment_error(ExceptionGroup("tasks", [ValueError("x")])) is None


def test_control_characters_are_shown() -> None:
    assert printable("a\tb\n\x1b[2J\x9b\x7f") == "a\tb\n\\x1b[2J\\x9b\\x7f"


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
@pytest.mark.parametrize("arguments", [["run", "weather"], ["judge", "."]])
def test_times_are_read_strictly(arguments: list[str], value: str) -> None:
    result = command(*arguments, "--timeout", value)
    assert (result.returncode, "--timeout" in result.stderr) == (2, True)
    waits = command(*arguments, "--patience", value, "--timeout", "no")
    assert ("--patience" in waits.stderr) == (value != "0")
