"""The examples do what they say: each is run as a user would run it, with a script in place of the model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_kill import script

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(command: list[str], folder: Path) -> str:
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "PATH": binaries}
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_pipe(tmp_path: Path) -> None:
    out = run([str(EXAMPLES / "pipe.sh"), "--model", script(tmp_path)], tmp_path)
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["id"] for answer in answers] == ["may-1", "may-2", "may-1", "may-2"]
    assert [answer.get("learned") for answer in answers[:2]] == [None, None]
    assert all(answer["learned"] in ("accepted", "kept") for answer in answers[2:])
    assert (tmp_path / "state.json").exists()


def test_ten_lines(tmp_path: Path) -> None:
    source = (EXAMPLES / "ten_lines.py").read_text()
    (tmp_path / "ten_lines.py").write_text(source.replace("budget=128", f"budget=128, model={script(tmp_path)!r}"))
    out = run([sys.executable, "ten_lines.py"], tmp_path)
    assert out.count("came") == 3
    assert (tmp_path / "learner.json").exists()


@pytest.mark.long
@pytest.mark.model
@pytest.mark.usefixtures("default_model")
def test_ten_lines_with_the_embedded_model(tmp_path: Path) -> None:
    """As it stands."""
    assert run([sys.executable, str(EXAMPLES / "ten_lines.py")], tmp_path).count("came") == 3
    assert (tmp_path / "learner.json").exists()
