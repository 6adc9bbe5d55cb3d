"""Every shipped task, and every kind of answer field with every metric, through library, pipe and run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
import yaml
from click.testing import CliRunner

from llm_as_rnn.catalogue import METHODS, REFERENCES
from llm_as_rnn.cli.commands.predict import predict
from llm_as_rnn.cli.main import main
from llm_as_rnn.core.fields import Field, Label, Number, Ranked, Text
from llm_as_rnn.core.records import Value
from llm_as_rnn.core.task import MemorySection, Task, load_task, shipped_tasks
from llm_as_rnn.datasets.base import Selection, Sequence
from llm_as_rnn.datasets.making import make
from llm_as_rnn.datasets.registry import DATASETS, dataset
from llm_as_rnn.datasets.tables import read_table
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.recurrence.rules import RULES
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.streams.learner import Learner
from tests.datasets.mimic_folder import made, write
from tests.datasets.published import FILES

STEPS = 3

SKY = Label("y", options=("good", "bad", "so, so"))
FIELDS: dict[str, Field] = {
    "label": SKY,
    "label with a last value": msgspec.structs.replace(SKY, last="x"),
    "number": Number("y", low=-5, high=5),
    "number log": Number("y", low=0.5, high=5, metrics=("log",)),
    "number mse": Number("y", low=-5, high=5, decimals=0, metrics=("mse",)),
    "number log mse": Number("y", low=0.5, high=5, unit="mg", metrics=("log", "mse")),
    "ranked": Ranked("y", top=2),
    "ranked of options": Ranked("y", options=("a", "b", "c"), top=2),
    "ranked icd": Ranked("y", top=2, metrics=("icd",)),
    "ranked ccsr": Ranked("y", top=2, metrics=("ccsr", "icd"), judged="same"),
    "ranked of one": Ranked("y", top=1, judged="same"),
    "text": Text("y"),
    "text facts": Text("y", max_chars=60, metrics=("facts",)),
    "text judged": Text("y", metrics=("facts",), judged="align"),
}
"""Each kind with each metric that it may ask for."""

OUTCOMES: dict[type[Field], list[Any]] = {
    Label: ["good", "BAD", "so, so", None],
    Number: [1.5, 4, 1e300, None],
    Ranked: ["a; b; c", "c", "b; a", None],
    Text: ["Sunny with a high of 9.", "fog, then rain", "sun " * 40, None],
}
"""What comes: usual, implausible, longer than an answer may be, and nothing."""


class Case(NamedTuple):
    """A task with its data, and how the command line is told of them."""

    name: str
    task: Task
    sequences: list[Sequence]
    data: Path | None


def own(name: str, folder: Path) -> Case:
    field = FIELDS[name]
    path, table = folder / "own.yaml", folder / "own.jsonl"
    task = Task(
        name="own",
        title="Own",
        instructions="Predict.",
        observation="{{ x }} {{ z }} {{ about.place }}",
        line="{{ x }}, {{ z }}",
        answer=(field,),
        memory=(MemorySection("Notes", "anything"), MemorySection("Errors", "anything")),
    )
    said = {**msgspec.to_builtins(task), "data": {"sequence": "s", "outcome": {"y": "y"}, "about": ["place"]}}
    path.write_text(yaml.safe_dump(said), encoding="utf-8")
    rows = [
        {"s": s, "place": s, "x": "good" if t % 2 else None, "z": t / 2, "y": y}
        for s in "abcdef"
        for t, y in enumerate(OUTCOMES[type(field)])
    ]
    table.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    read = load_task(str(path))
    return Case(str(path), read, read_table(table, read).cut(Selection(2, 4)), table)


def shipped(name: str, folder: Path) -> Case:
    task, source, data = load_task(name), dataset(name), None
    if source.maker:
        data = folder / "made.jsonl"
        data.write_bytes(make(source, FILES[name](folder)).content)
        return Case(name, task, read_table(data, task).cut(Selection(2, STEPS)), data)
    if source.from_folder:
        data = write(folder / "mimic", made())
        source = source.from_folder(data)
    elif source.ready():
        pytest.skip(source.ready())
    return Case(name, task, source.load(Selection(2, STEPS)), data)


@pytest.fixture(params=[*shipped_tasks(), *FIELDS])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return own(request.param, tmp_path) if request.param in FIELDS else shipped(request.param, tmp_path)


def guess(field: Field) -> Value:
    if isinstance(field, Ranked) and not field.options:
        return ("a", "Unspecified essential hypertension", "c", "d", "e")[: field.top]
    return field.uninformed("Sunny with a high of 9.")


def answers(task: Task, form: str) -> dict[str, str]:
    """Give a usable answer of each role."""
    values = {field.name: guess(field) for field in task.answer}
    critique = {"correct": "no", "missed": "it", "why": "wind", "suggestion": "look"}
    if form == "json":
        memory = json.dumps({section.name: ["seen"] for section in task.memory})
        said = {"reflect": json.dumps(critique), "summarise": '{"summary": "seen"}'}
        return {"predict": task.spec("json").show(values), "update": memory, "compress": memory, **said}
    memory = "\n".join(f"## {section.name}\n- seen" for section in task.memory)
    said = {"reflect": "\n".join(f"{name}: {text}" for name, text in critique.items()), "summarise": "summary: seen"}
    return {"predict": f" {task.spec('line').show(values)}", "update": memory, "compress": memory, **said}


def script(case: Case, folder: Path, form: str) -> str:
    path = folder / "script.jsonl"
    said = answers(case.task, form)
    path.write_text("\n".join(json.dumps({"role": role, "text": text}) for role, text in said.items()))
    return f"scripted:{path}"


def suited(task: Task) -> list[str]:
    references = [name for name, kind in REFERENCES.items() if getattr(kind, "suits", lambda _: True)(task)]
    return [*METHODS, *(f"recurrent:{rule}" for rule in RULES if rule != "delta"), *references]


@pytest.mark.parametrize("form", ["line", "json"])
def test_through_the_library(case: Case, form: Any) -> None:
    sequence = case.sequences[0]
    said = answers(case.task, form)
    options = {"form": form, "budget": 200, "about": sequence.info.about}
    for method in suited(case.task):
        engine = ScriptedEngine(lambda request: said[request.role])
        with Learner(case.task, method=method, engine=engine, **options) as learner:
            for step in sequence.steps:
                waiting = learner.predict_one(step.observation.fields)
                assert waiting.prediction.status.answered, (method, waiting.prediction.problem)
                if step.target:
                    told = learner.learn_one(waiting.id, msgspec.to_builtins(step.target))
                    assert told.fate == "learned"


def test_through_the_pipe(case: Case, tmp_path: Path) -> None:
    state, sequence, model = tmp_path / "state.json", case.sequences[0], script(case, tmp_path, "json")
    with Learner(case.task, model=model, form="json", budget=200, about=sequence.info.about) as learner:
        learner.save(state)
    lines = []
    for number, step in enumerate(sequence.steps):
        lines.append({"id": f"step {number}", "x": step.observation.fields})
        if step.target:
            lines.append({"id": f"step {number}", "y": msgspec.to_builtins(step.target)})
    name = case.task.name if case.name.endswith(".yaml") else case.name
    result = CliRunner().invoke(
        predict, [name, "--state", str(state)], input="\n".join(map(json.dumps, lines)), standalone_mode=False
    )
    assert result.exception is None, result.exception
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["id"] for line in found] == [line["id"] for line in lines]
    assert not any("error" in line or line.get("status", "ok") != "ok" for line in found), found
    assert all(("learned" in line) == ("y" in asked) for line, asked in zip(found, lines, strict=True))


def test_through_a_run(case: Case, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--sequences", "2", "--steps", str(STEPS), "--budget", "200", "--form", "line", "--out", str(out)]
    options += ["--methods", ",".join(METHODS)]
    options += ["--data", str(case.data)] if case.data else []
    with pytest.raises(SystemExit) as left:
        main(["run", case.name, "-m", script(case, tmp_path, "line"), *options])
    assert left.value.code == 0
    records = RunDirectory(out).records()
    assert {record.method for record in records} >= set(METHODS)
    assert not [record.problem for record in records if not record.status.answered]
    for metric in task_metrics(case.task):
        # What a judge says comes after the run, and what needs a classification of codes where the data brings one.
        needs_codes = case.name.endswith(".yaml") and metric.name.split(".")[1] in ("icd", "ccsr")
        if not metric.judged and not needs_codes:
            scores = [record.scores.get(metric.name, math.nan) for record in records if record.target]
            assert scores
            assert all(map(math.isfinite, scores)), metric.name


def test_every_shipped_task_has_its_data_and_every_kind_its_fields() -> None:
    assert set(shipped_tasks()) == set(DATASETS)
    assert {type(field) for field in FIELDS.values()} == set(get_args(Field))
    assert {name for field in FIELDS.values() for name in field.extras} == {"log", "mse", "facts", "icd", "ccsr"}


@pytest.mark.parametrize("level", [0, -1.5, "0"])
def test_a_number_without_a_logarithm_is_refused_by_library_and_pipe(tmp_path: Path, level: Any) -> None:
    case = own("number log", tmp_path)
    state, model = tmp_path / "state.json", script(case, tmp_path, "json")
    with Learner(case.task, model=model, budget=200, about={"place": "here"}) as learner:
        learner.save(state)
    lines = [{"id": "a", "x": {"x": "good", "z": 1}}, {"id": "a", "y": {"y": level}}, {"id": "a", "y": {"y": 70}}]
    result = CliRunner().invoke(
        predict, ["own", "--state", str(state)], input="\n".join(map(json.dumps, lines)), standalone_mode=False
    )
    _, refused, learned = [json.loads(line) for line in result.stdout.splitlines()]
    assert "y is scored by its logarithm and must be above 0" in refused["error"]
    assert "learned" in learned
