"""A dataset of somebody else's, with a score of its own, is run as ours are; wings are imported when they are used."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from llm_as_rnn.core.errors import DatasetError, TaskError, UsageError
from llm_as_rnn.core.extras import Extra, Metric, offered
from llm_as_rnn.core.fields import Text
from llm_as_rnn.core.records import Observation, SequenceInfo, Value
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence, Step
from llm_as_rnn.datasets.registry import DATASETS, SHIPPED, Datasets, dataset, register
from llm_as_rnn.metrics.extras import extra
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.report.tables import results
from llm_as_rnn.runs.directory import RunDirectory
from tests.helpers import run_options
from tests.runs.test_execute import go

TASK = """
name: tides
title: Tides
instructions: Tell the next tide.
observation: "level {{ level }}"
line: "level {{ level }}"
answer:
  - {name: tide, kind: text, metrics: [METRIC]}
memory:
  - {name: Notes, about: anything}
dataset: tides
"""


def measure(field: Text) -> tuple[Metric, ...]:
    name = f"{field.name}.bold"
    return (Metric(name, name, f"{field.name} boldness", field.name, "share of the outcome's letters", best=2.0),)


def boldness(_field: Text, answer: Value | None, outcome: Value) -> Mapping[str, float]:
    return {"bold": len(str(answer or "")) / len(str(outcome))}


def by_the_chart(_field: Text, answer: Value | None, _outcome: Value) -> Mapping[str, float]:
    return {"charted": float(answer == "low")}


def chart(field: Text) -> tuple[Metric, ...]:
    name = f"{field.name}.charted"
    return (Metric(name, name, f"{field.name} charted", field.name, "share of steps that the chart has"),)


def cut(selection: Selection) -> list[Sequence]:
    steps = tuple(Step(Observation("a", t, {"level": t}), {"tide": "high"}) for t in range(selection.steps))
    return [Sequence(SequenceInfo("a"), steps)]


TIDES = Dataset(
    name="tides",
    title="Tides",
    source="made up",
    licence="none",
    predicts="the tide",
    size="any",
    load=cut,
    ready=lambda: "",
    extras=(Extra("bold", "text", measure, boldness), Extra("charted", "text", chart)),
    scores=lambda: {"charted": by_the_chart},
)


@pytest.fixture
def tides() -> Iterator[None]:
    register(TIDES)
    yield
    del DATASETS["tides"]


def task_file(tmp_path: Path, metric: str) -> str:
    path = tmp_path / "tides.yaml"
    path.write_text(TASK.replace("METRIC", metric), encoding="utf-8")
    return str(path)


@pytest.mark.usefixtures("tides")
def test_a_made_up_score_is_in_the_file_and_in_the_table(tmp_path: Path) -> None:
    options = run_options(task_file(tmp_path, "bold, charted"), methods=("zero_shot",), sequences=1, steps=3, budget=60)
    go(tmp_path / "run", options, answerer=lambda request: " low")
    [asked, *_] = json.loads((tmp_path / "run" / "scores.json").read_bytes())["methods"]
    assert asked["scores"]["tide.bold"]["value"] == pytest.approx(3 / 4)
    assert asked["scores"]["tide.charted"]["value"] == 1.0
    records = RunDirectory(tmp_path / "run").records()
    task = load_task(options.task)
    table = results(task, summarise(task, records))
    assert [column.title for column in table.columns][:2] == ["tide boldness", "tide charted"]


def test_a_score_that_nobody_offers_is_refused_with_what_there_is(tmp_path: Path, tides: None) -> None:
    with pytest.raises(TaskError, match=r"metric bolt: a text may ask for facts or bold or charted") as caught:
        load_task(task_file(tmp_path, "bolt"))
    assert "\n" not in str(caught.value)
    with pytest.raises(TaskError, match="metric icd: a text may ask for facts or bold"):
        load_task(task_file(tmp_path, "icd"))


def test_a_score_goes_with_its_dataset(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="metric bold: a text may ask for facts"):
        load_task(task_file(tmp_path, "bold"))
    with pytest.raises(UsageError, match="there is no score 'bold'"):
        extra("bold")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "weather"}, "there is a dataset 'weather' already"),
        ({"extras": (Extra("facts", "text", measure),)}, "there is a score 'facts' already"),
        ({"extras": (Extra("log", "text", measure),)}, "there is a score 'log' already"),
        ({"extras": (Extra("new", "texts", measure),)}, "no field is of the kind 'texts'"),
    ],
)
def test_what_is_taken_cannot_be_registered(changed: dict[str, object], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        register(msgspec.structs.replace(TIDES, **changed))
    assert "tides" not in DATASETS


def test_an_installed_package_brings_a_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("somebodys")
    module.TIDES = TIDES  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "somebodys", module)
    points = [
        importlib.metadata.EntryPoint(name, value, "llm_as_rnn.datasets")
        for name, value in (
            ("tides", "somebodys:TIDES"),
            ("weather", "somebodys:TIDES"),  # ours stay ours
            ("ebbs", "somebodys:TIDES"),
            ("lost", "somebodys:LOST"),
            ("gone", "nobodys:TIDES"),
        )
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    found = Datasets({"weather": "llm_as_rnn.datasets.weather:WEATHER"})
    assert "tides" in found
    assert found["tides"] is TIDES
    assert found["weather"].name == "weather"
    assert list(found) == ["weather", "tides", "ebbs", "lost", "gone"]
    assert len(found) == 5
    assert found.plugins.clashes() == ["the dataset 'weather' of an unknown package is refused: there is one of ours"]
    for name in ("lost", "gone"):
        with pytest.raises(DatasetError, match=rf"the dataset '{name}' of .* cannot be had: "):
            found[name]
    with pytest.raises(DatasetError, match=r"'ebbs' .* cannot be used: it calls itself 'tides'"):
        found["ebbs"]


def test_every_shipped_dataset_is_there() -> None:
    assert [dataset(name).name for name in SHIPPED] == list(SHIPPED)
    assert offered("icd") is not None


def test_wings_are_imported_when_they_are_used() -> None:
    code = (
        "import sys; import llm_as_rnn.runs.execute as e; from llm_as_rnn.core.task import load_task\n"
        "load_task('weather'); load_task('sp500'); e.dataset('weather')\n"
        "print([name for name in sys.modules if name.startswith('llm_as_rnn.datasets.') and 'mimic' in name\n"
        "       or name.endswith('forecasts')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
