"""The journal: durable, whole lines, one writer."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.errors import RunError
from llm_as_rnn.records import Completion, Status, StepRecord, Update
from llm_as_rnn.runs.journal import Journal, read_journal


def record(t: int, raw: str = "") -> StepRecord:
    text = Completion(raw).text
    nothing = (None, None, None, None)
    return StepRecord(
        "m", "s", t, {"x": 1}, {"y": 2.0}, None, Status.INVALID, text, *nothing, Update("skipped"), None, (), {}
    )


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with Journal(path) as journal:
        for t in range(3):
            journal.append(record(t, "line\nbreak \u2028 é"))
    assert read_journal(path) == [record(t, "line\nbreak \u2028 é") for t in range(3)]


@given(st.lists(st.text(st.characters(codec=None), max_size=30), max_size=6), st.integers(0, 400))
def test_a_journal_cut_anywhere_loses_only_its_torn_line(texts: list[str], cut: int) -> None:
    import tempfile  # noqa: PLC0415 - hypothesis runs many examples in one tmp_path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps.jsonl"
        with Journal(path) as journal:
            for t, text in enumerate(texts):
                journal.append(record(t, text))
        content = path.read_bytes()
        kept = content[: max(0, len(content) - cut)]
        path.write_bytes(kept)
        whole = kept.count(b"\n")
        assert read_journal(path) == [record(t, text) for t, text in enumerate(texts)][:whole]
        with Journal(path) as journal:
            journal.append(record(99))
        assert read_journal(path)[-1] == record(99)
        assert len(read_journal(path)) == whole + 1


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with Journal(path) as journal:
        journal.append(record(0))
    path.write_bytes(b"{broken}\n" + path.read_bytes())
    with pytest.raises(RunError, match="line 1 is damaged"):
        read_journal(path)


def test_no_journal_is_no_steps(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none.jsonl") == []


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    code = (
        f"from llm_as_rnn.runs.journal import Journal; Journal(__import__('pathlib').Path({str(path)!r})).__enter__()"
    )
    with Journal(path):
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another process is writing" in result.stderr
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "steps.jsonl"
    write = os.write

    def half_then_full(file: int, content: bytes) -> int:
        if len(content) > 100:
            return write(file, content[:50])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(path) as journal:
        journal.append(record(0))
        before = path.read_bytes()
        monkeypatch.setattr(os, "write", half_then_full)
        with pytest.raises(RunError, match="No space left"):
            journal.append(record(1))
        assert path.read_bytes() == before
        monkeypatch.undo()
        journal.append(record(1))
    assert read_journal(path) == [record(0), record(1)]
