"""Files: whole or not there, links followed, folders synced, left-overs cleaned, and nothing else in a file's place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_as_rnn.core import files
from llm_as_rnn.core.errors import LlmAsRnnError, RunError
from llm_as_rnn.core.files import make_folder, read_file, seal_end, sealed, unsealed, write_atomically
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.mimic.tables import PATIENTS, find
from llm_as_rnn.datasets.tables import read_table
from llm_as_rnn.engines.resolve import resolve
from llm_as_rnn.runs.directory import RunDirectory
from tests.cli.test_own_task import TASK

Make = Callable[[Path], None]
MAKERS: list[Make] = [os.mkfifo, os.mkdir, lambda path: path.symlink_to(os.devnull)]
"""What can stand in a file's place: a pipe, a directory, a device."""


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Let each test clean its folder as a new process does."""
    files._clear_abandoned.cache_clear()


def own_table(path: Path) -> None:
    task = path.with_name("task.yaml")
    task.write_text(TASK)
    read_table(path, load_task(str(task)))


READERS: list[tuple[str, Callable[[Path], object]]] = [
    ("mine.yaml", lambda path: load_task(str(path))),
    ("rows.csv", own_table),
    ("recurrence/update.j2", lambda path: Prompts.with_folder(path.parent.parent)),
    ("script.jsonl", lambda path: resolve(f"scripted:{path}")),
    ("model.gguf", lambda path: resolve(f"llamacpp:{path}")),
    ("hosp/patients.csv.gz", lambda path: find(path.parent.parent, PATIENTS)),
    ("run.json", lambda path: RunDirectory(path.parent).info()),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("name", "read"), READERS, ids=[name for name, _ in READERS])
def test_what_stands_in_a_files_place_gets_one_line(
    tmp_path: Path, name: str, read: Callable[[Path], object], make: Make
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    make(path)
    with pytest.raises(LlmAsRnnError, match=r"it is a (named pipe|directory|device), not a file") as caught:
        read(path)
    assert path.name in caught.value.message
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", MAKERS)
def test_nothing_but_a_file_is_replaced(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "scores.json"
    make(path)
    before = path.stat().st_mode
    with pytest.raises(OSError, match="not a file"):
        write_atomically(path, b"{}")
    with pytest.raises(RunError, match="not a file"):
        RunDirectory(tmp_path).write("scores.json", {})
    assert path.stat().st_mode == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.json"]


def test_of_a_link_the_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far/state.json", tmp_path / "state.json"
    link.symlink_to(target)
    for content in (b"first", b"second"):  # it need not be there
        write_atomically(link, content, private=True)
        assert link.is_symlink()
        assert read_file(link) == target.read_bytes() == content
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["far", "state.json", "state.json"]


def test_a_link_to_itself_is_an_error(tmp_path: Path) -> None:
    link = tmp_path / "state.json"
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        write_atomically(link, b"")
    assert link.is_symlink()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the inodes of what is synced."""
    found: list[int] = []
    fsync = os.fsync

    def noting(file: int) -> None:
        found.append(os.fstat(file).st_ino)
        fsync(file)

    monkeypatch.setattr(os, "fsync", noting)
    return found


def test_a_folder_is_synced_after_the_rename(tmp_path: Path, synced: list[int]) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, b"{}")
    assert synced == [path.stat().st_ino, tmp_path.stat().st_ino]


def test_the_folder_of_a_new_folder_is_synced(tmp_path: Path, synced: list[int]) -> None:
    make_folder(tmp_path / "runs/first")
    assert synced == [tmp_path.stat().st_ino, (tmp_path / "runs").stat().st_ino]
    synced.clear()
    make_folder(tmp_path / "runs/first")
    assert synced == []


CRASH = """
import os, signal, sys
from pathlib import Path
from llm_as_rnn.core.files import write_atomically
Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
write_atomically(Path(sys.argv[1]), b"half")
"""


def test_what_a_killed_writer_left_is_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, b"whole")
    assert subprocess.run([sys.executable, "-c", CRASH, str(path)], check=False).returncode == -signal.SIGKILL
    (left,) = set(tmp_path.iterdir()) - {path}
    others = [tmp_path / name for name in (".state.json.lock", ".state.json.writing", "notes.writing")]
    for other in others:
        other.write_bytes(b"")
        os.utime(other, (0, 0))

    files._clear_abandoned.cache_clear()
    write_atomically(path, b"whole")
    assert left.exists(), "it may be another process's, which is still writing"
    os.utime(left, (time.time() - 7200,) * 2)
    files._clear_abandoned.cache_clear()
    write_atomically(path, b"whole")
    assert set(tmp_path.iterdir()) == {path, *others}
    assert path.read_bytes() == b"whole"


def test_a_seal_ends_where_it_is_right() -> None:
    content = sealed(b'{"observation":{"check":"00000000"},"check":"ffffffff"}')
    assert seal_end(content) == len(content)
    assert seal_end(content + b"more") == len(content)
    assert all(seal_end(content[:length]) is None for length in range(len(content)))
    assert unsealed(content) == b'{"observation":{"check":"00000000"},"check":"ffffffff"}'


def test_finding_a_seal_takes_time_that_grows_with_the_length_alone() -> None:
    """Each false one would cost a look at all before it: 100 thousand of them would take minutes."""
    nested = b'{"a":[' + b",".join([b'{"b":1,"check":"00000000"}'] * 100_000) + b"]"
    assert seal_end(nested) is None


def test_scores_are_read_back_before_they_are_saved(tmp_path: Path) -> None:
    RunDirectory(tmp_path).write("scores.json", {"mae": 1.5})
    with pytest.raises(RunError, match=r"scores\.json cannot be written: it would be read as something else"):
        RunDirectory(tmp_path).write("scores.json", {"mae": float("nan")})
    assert read_file(tmp_path / "scores.json") == b'{\n  "mae": 1.5\n}\n'


def test_what_cannot_be_written_is_called_by_the_name_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "table.jsonl"
    with pytest.raises(FileNotFoundError) as refused:
        write_atomically(path, b"{}")
    assert refused.value.filename == str(path)
