"""The notebooks of the examples: executed with a script in place of the model, and by the model itself in long tests.

What is committed of them was executed with the model, so that it can be read where nothing runs. What references score
asks no model, so it must come out here as it stands there.
"""

from __future__ import annotations

import json
import re
import runpy
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.cli.test_kill import script

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = EXAMPLES / "notebooks"
FIRST = EXAMPLES / "notebook.ipynb"

ANSWERS = {
    "tickets": (" billing", " shipping", " returns", " technical", " nobody"),
    "demand": (" 80", " 55", " 120", " a few"),
    "triage": (" urgent, 3", " routine, 0", " soon, 2", " soon, 40"),
}
"""What the script answers in each notebook, in lines; the last one cannot be used, as happens with models."""

MODEL = "llamacpp:smollm2-135m"
REFERENCES = ("as today", "as a week before", "nearest_case", "majority", "repeat_last", "linear", "free_advice")
PATHS = re.compile(r"(?<![\w<./:])/[\w.-]+/[\w.-]+|\b[A-Za-z]:\\")

three = pytest.mark.parametrize("name", ANSWERS)


def read(path: Path) -> Any:
    return nbformat.reads(path.read_text(), as_version=4)  # type: ignore[no-untyped-call]


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: Any) -> str:
    """Give what a cell printed or showed, as text."""
    return "".join(output.get("text", "") or output["data"]["text/plain"] for output in cell.outputs)


def everything(cell: Any) -> Iterable[str]:
    """Give all that a cell's outputs hold, pages of HTML too."""
    for output in cell.outputs:
        yield output.get("text", "")
        yield from map(str, output.get("data", {}).values())


def execute(path: Path, folder: Path, replaced: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Execute a notebook in a kernel of its own, and give what each of its code cells printed or showed."""
    notebook = read(path)
    for cell in code(notebook):
        for old, new in replaced.items():
            cell.source = cell.source.replace(old, new)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return [shown(cell) for cell in code(notebook)]


def execute_on_table(name: str, folder: Path, replaced: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Execute one of the three notebooks, which find their table beside them."""
    shutil.copy(FOLDER / f"{name}.csv", folder)
    return execute(FOLDER / f"{name}.ipynb", folder, replaced)


def of_references(outputs: Iterable[str]) -> list[str]:
    """Give the lines of tables that tell what references scored."""
    return [line for text in outputs for line in text.splitlines() if line.startswith(REFERENCES)]


def numbers(text: str) -> set[str]:
    """Give the numbers that a text names."""
    return set(re.findall(r"\d+(?:\.\d+)?", text))


# --- the first notebook -----------------------------------------------------------------------------------------------


def test_the_notebook(tmp_path: Path) -> None:
    scripted = {"budget": f"model={script(tmp_path)!r}, budget"}
    forecasts, memory, fates, again, score, wishes = execute(FIRST, tmp_path, scripted)
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
    outputs = execute(FIRST, tmp_path)
    assert outputs[0].count("came") == 3
    assert all(outputs)


def test_the_notebook_shows_what_it_printed() -> None:
    notebook = read(FIRST)
    nbformat.validate(notebook)
    assert all(cell.outputs for cell in code(notebook))


# --- tickets, demand, triage ------------------------------------------------------------------------------------------


@three
def test_a_notebook_runs(name: str, tmp_path: Path) -> None:
    answers = tmp_path / "script.jsonl"
    answers.write_text("\n".join(json.dumps({"role": "predict", "text": text}) for text in ANSWERS[name]))
    # As the model is asked: in lines, with a memory of cases, which code keeps.
    asked = {MODEL: f"scripted:{answers}", "budget=": "form='line', style='completion', budget="}
    outputs = execute_on_table(name, tmp_path, asked)
    committed = [shown(cell) for cell in code(read(FOLDER / f"{name}.ipynb"))]
    assert [bool(text) for text in outputs] == [bool(text) for text in committed]
    assert len(of_references(committed)) >= 5
    assert of_references(outputs) == of_references(committed)


@pytest.mark.long
@pytest.mark.model
@pytest.mark.usefixtures("default_model")
@three
def test_a_notebook_runs_with_the_embedded_model(name: str, tmp_path: Path) -> None:
    """As it stands."""
    outputs = execute_on_table(name, tmp_path)
    assert any(line.startswith("this learner") for text in outputs for line in text.splitlines())


@three
def test_a_committed_notebook_can_be_read_where_nothing_runs(name: str) -> None:
    notebook = read(FOLDER / f"{name}.ipynb")
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells] == [f"cell-{place}" for place in range(len(notebook.cells))]
    cells = code(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "executed at one go"
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds == {"stream", "execute_result"}
    assert {output.name for cell in cells for output in cell.outputs if output.output_type == "stream"} == {"stdout"}
    outputs = [text for cell in cells for text in everything(cell)]
    assert any(MODEL in text for text in outputs), "a learner shows itself"
    assert not [found for text in outputs for found in PATHS.findall(text)]


@three
def test_what_is_said_of_the_result_stands_in_the_outputs(name: str) -> None:
    cells = read(FOLDER / f"{name}.ipynb").cells
    end = max(place for place, cell in enumerate(cells) if "Best without a model" in str(cell.get("outputs")))
    said = next(cell.source for cell in cells[end:] if cell.cell_type == "markdown")
    figures = numbers(re.sub("`.*?`", "", said, flags=re.DOTALL))  # what stands in quotes is code
    assert figures
    assert figures <= numbers(" ".join(shown(cell) for cell in cells[: end + 1] if "outputs" in cell))


def test_the_tables_are_what_the_script_makes(tmp_path: Path) -> None:
    runpy.run_path(str(FOLDER / "make_data.py"))["main"](tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {f"{name}.csv": (FOLDER / f"{name}.csv").read_bytes() for name in ANSWERS}
