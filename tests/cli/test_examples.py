"""The examples do what they say: each is run as a user would run it, with a script in place of the model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

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


def read_notebook() -> Any:
    return nbformat.reads((EXAMPLES / "notebook.ipynb").read_text(), as_version=4)  # type: ignore[no-untyped-call]


def in_notebook(folder: Path, **replaced: str) -> list[str]:
    """Execute the notebook in a kernel of its own, and give what each of its code cells printed or showed."""
    notebook = read_notebook()
    for cell in notebook.cells:
        for old, new in replaced.items():
            cell.source = cell.source.replace(old, new)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(o.get("text", "") or o["data"]["text/plain"] for o in cell.outputs) for cell in cells]


def test_the_notebook(tmp_path: Path) -> None:
    forecasts, memory, fates, again, score, wishes = in_notebook(tmp_path, budget=f"model={script(tmp_path)!r}, budget")
    assert forecasts.count("came") == 3
    assert memory.startswith("## Patterns")
    assert fates.split() == ["learned", "learned", "duplicate"]
    assert again.strip()
    assert score.startswith("Accuracy")
    assert wishes.startswith("## Patterns")


@pytest.mark.long
@pytest.mark.model
@pytest.mark.usefixtures("default_model")
def test_the_notebook_with_the_embedded_model(tmp_path: Path) -> None:
    """As it stands."""
    outputs = in_notebook(tmp_path)
    assert outputs[0].count("came") == 3
    assert all(outputs)


def test_the_notebook_shows_what_it_printed() -> None:
    notebook = read_notebook()
    nbformat.validate(notebook)
    assert all(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
