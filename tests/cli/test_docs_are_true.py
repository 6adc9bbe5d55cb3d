"""What the pages say of runs and their folders is what runs and their folders are."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import get_args

import pytest

from llm_as_rnn.catalogue import REFERENCES, references
from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Selection, Split
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import execute
from tests.runs.test_execute import INFO, OPTIONS, Watch, answer

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    """Give a page as one line, as its lines may be broken anywhere."""
    return " ".join((DOCS / name).read_text(encoding="utf-8").split())


def test_the_tutorial_names_every_reference_of_its_task(tmp_path: Path) -> None:
    (task,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "tutorial.md").read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "bikes.yaml"
    file.write_text(task)
    *most, last = (f"`{name}`" for name in references(load_task(str(file))))
    assert f"{', '.join(most)} and {last} are references" in page("tutorial.md")


def test_the_page_on_datasets_has_every_reference() -> None:
    assert [name for name in REFERENCES if f"| `{name}` |" not in page("datasets.md")] == []


@pytest.mark.parametrize("part", get_args(Split))
@pytest.mark.long
def test_there_are_as_many_hourly_sequences_as_the_page_says(part: Split) -> None:
    (said,) = re.findall(rf"\| {part} \| [\d,]+ \| [\d.]+ % \| (\d+) \|", page("datasets.md"))
    load = dataset("weather-hourly").load
    assert len(load(Selection(int(said), 24, 0, part))) == int(said)
    with pytest.raises(DatasetError):
        load(Selection(int(said) + 1, 24, 0, part))


@pytest.mark.parametrize("part", get_args(Split))
def test_there_are_as_many_patients_and_visits_as_the_page_says(part: Split) -> None:
    said = re.findall(rf"\| {part} \| (\d+) \| (\d+) \| (\d+), (\d+), (\d+) \|", page("datasets.md"))
    patients = dataset("pbc").load(Selection(int(said[0][0]), 99, 0, part))
    lengths = sorted(len(patient.steps) for patient in patients)
    found = (len(patients), sum(lengths), lengths[0], lengths[len(lengths) // 2], lengths[-1])
    assert [tuple(map(str, found))] == said


def test_a_journal_holds_all_answers_and_prompts_lie_beside_it_as_the_pages_say(tmp_path: Path) -> None:
    engine = ScriptedEngine(answer, INFO)
    directory = RunDirectory(tmp_path / "run")
    asyncio.run(execute(OPTIONS, engine, directory, resume=False, watcher=Watch()))
    journal = directory.journal.read_text(encoding="utf-8")
    calls = [call for record in directory.records() for call in record.calls]
    assert len(calls) == len(engine.requests)
    assert sorted(call.text for call in calls) == sorted(map(answer, engine.requests))
    instructions = load_task("weather").instructions.strip().splitlines()[0]
    assert all(instructions in request.messages[0].content for request in engine.requests if request.role == "predict")
    assert instructions not in journal
    assert instructions in directory.prompts_file.read_text(encoding="utf-8")
    assert f"**`runs/first/{directory.prompts_file.name}`**, what the model was asked" in page("tutorial.md")
    assert f"**What was asked** stands in `{directory.prompts_file.name}`" in page("internals.md")
    directory.prompts_file.unlink()
    assert list(directory.records()), "the tutorial says that the run is as good as before without them"


@pytest.mark.parametrize("name", ["models.md", "internals.md"])
def test_more_than_a_page_of_results_says_that_answers_depend_on_the_calls_in_flight(name: str) -> None:
    assert re.search(r"calls .{0,20}in flight", page(name))
    assert "`--concurrency`" in page(name) or "(`--concurrency`)" in page(name)


def test_what_the_filter_is_and_what_protects_is_said() -> None:
    text = page("internals.md")
    assert "What protects against a hostile text is structure" in text
    assert "is hygiene and no proof" in text
