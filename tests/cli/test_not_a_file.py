"""A pipe where a command wants a file: one line, exit 2, and nobody waits for ever (all kinds: core/test_files.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_own_task import DATA, TASK

COMMANDS = {
    "task": ["run", "strange.yaml", "--data", "rows.csv", "-m", "scripted:script.jsonl"],
    "data": ["run", "mine.yaml", "--data", "strange.csv", "-m", "scripted:script.jsonl"],
    "check": ["data", "check", "mine.yaml", "--data", "strange.csv"],
    "script": ["run", "mine.yaml", "--data", "rows.csv", "-m", "scripted:strange.jsonl"],
    "model": ["run", "mine.yaml", "--data", "rows.csv", "-m", "llamacpp:strange.gguf"],
    "prompt": ["run", "mine.yaml", "--data", "rows.csv", "-m", "scripted:script.jsonl", "--prompts", "prompts"],
    "run": ["report", "folder"],
}
STRANGE = {
    "task": "strange.yaml",
    "data": "strange.csv",
    "check": "strange.csv",
    "script": "strange.jsonl",
    "model": "strange.gguf",
    "prompt": "prompts/recurrence/update.j2",
    "run": "folder/run.json",
}


@pytest.mark.parametrize("what", COMMANDS)
def test_a_command_says_in_one_line_what_stands_there(tmp_path: Path, what: str) -> None:
    (tmp_path / "mine.yaml").write_text(TASK)
    (tmp_path / "rows.csv").write_text(DATA)
    (tmp_path / "script.jsonl").write_text('{"role": "predict", "text": " good, 37"}\n')
    strange = tmp_path / STRANGE[what]
    strange.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(strange)
    command = [sys.executable, "-m", "llm_as_rnn", *COMMANDS[what]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert "it is a named pipe, not a file" in done.stderr
    assert strange.name in done.stderr
    assert done.stderr.strip().count("\n") == 0
