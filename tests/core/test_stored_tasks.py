"""Tasks that were stored before each kind of field had its own attributes: they are read, and keep their digests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.files import sealed, unsealed
from llm_as_rnn.core.task import Task, load_task, shipped_tasks
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.streams.learner import Learner
from tests.runs.test_execute import go

DIGESTS = {
    "banking77": "e88797a6a4f9952d",
    "ddxplus": "d621e555f5406bf9",
    "finer": "f0037d20e53a2239",
    "intents": "2915494df6562a0e",
    "mimic": "5b5ecd17d0e32a56",
    "pbc": "167e64d31e0a3883",
    "probe-drift": "98491db1a26b5780",
    "probe-noise": "9d5f93c825663c17",
    "probe-recall": "572e9fdca69bef8e",
    "sp500": "c04e28dacf5a4e1e",
    "weather": "5acdb41c9c19aad1",
    "weather-hourly": "49cf475c4e151cc7",
    "weather-text": "07a5be20907e7101",
}
"""As runs of these tasks were begun with. A task file that is changed on purpose changes its digest here."""

WHOLE = """{"name":"all","title":"All kinds","instructions":"Say it.","observation":"{{ x }}","line":"{{ x }}",
"answer":[
{"name":"sky","kind":"label","about":"what it is like","options":["rain","café"],"unit":"","low":0.0,"high":0.0,
 "decimals":1,"top":5,"max_chars":400,"last":"was"},
{"name":"high","kind":"number","about":"","options":[],"unit":"degrees C","low":-20.0,"high":45.0,
 "decimals":1,"top":5,"max_chars":400,"last":"","metrics":["mse"]},
{"name":"codes","kind":"ranked","about":"","options":["flu","gout"],"unit":"","low":0.0,"high":0.0,
 "decimals":1,"top":2,"max_chars":400,"last":"","metrics":["icd"],"judged":"same"},
{"name":"words","kind":"text","about":"","options":[],"unit":"","low":0.0,"high":0.0,
 "decimals":1,"top":5,"max_chars":80,"last":"","metrics":[]}],
"memory":[{"name":"Notes","about":"anything"}],"initial":"Nothing is known yet.","dataset":""}"""
"""A task of all four kinds as run.json and saved states held it: every field with the attributes of all kinds."""


def in_whole(task: Any) -> dict[str, Any]:
    """Write a task as it was stored, with the attributes of all kinds in every field."""
    every = msgspec.json.decode(WHOLE)["answer"][3] | {"max_chars": 400}
    every = {name: value for name, value in every.items() if name != "metrics"}
    return {**task, "answer": [{**every, **field} for field in task["answer"]]}


def test_shipped_tasks_keep_their_digests() -> None:
    assert {name: load_task(name).digest for name in shipped_tasks()} == DIGESTS


def test_the_task_of_the_example_keeps_its_digest() -> None:
    path = Path(__file__).parents[2] / "examples/task/task.yaml"
    assert load_task(str(path)).digest == "f56a89b08e8c14cf"


def test_a_whole_task_of_all_kinds_is_read_and_keeps_its_digest() -> None:
    task = msgspec.json.decode(WHOLE, type=Task)
    assert task.digest == "cb1fa1f92e3453b2"
    again = msgspec.json.decode(msgspec.json.encode(task), type=Task)
    assert again == task
    assert again.digest == task.digest


@pytest.mark.parametrize("name", shipped_tasks())
def test_a_task_that_was_stored_and_read_again_is_the_same(name: str) -> None:
    task = load_task(name)
    again = msgspec.json.decode(msgspec.json.encode(task), type=Task)
    assert again == task
    assert again.digest == task.digest


def test_a_run_that_was_begun_with_a_whole_task_goes_on_and_is_reported(tmp_path: Path) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    go(whole)
    shutil.copytree(whole, resumed)
    info = json.loads((resumed / "run.json").read_bytes())
    info["task"] = in_whole(info["task"])
    assert {"options", "unit", "max_chars"} <= set(info["task"]["answer"][1])
    (resumed / "run.json").write_text(json.dumps(info))
    lines = (resumed / "steps.jsonl").read_bytes().splitlines(keepends=True)
    (resumed / "steps.jsonl").write_bytes(b"".join(lines[:4]))
    go(resumed, resume=True)
    assert RunDirectory(resumed).info().task == RunDirectory(whole).info().task
    found, expected = RunDirectory(resumed).records(), RunDirectory(whole).records()
    assert [(one.method, one.t, one.raw, one.scores) for one in found] == [
        (one.method, one.t, one.raw, one.scores) for one in expected
    ]


def test_a_stream_that_was_saved_with_a_whole_task_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with Learner("weather", method="repeat_last", engine=ScriptedEngine(lambda _: "")) as learner:
        learner.learn_one(learner.predict_one({"sky": "sun", "high": 9.0}).id, {"sky": "rain", "high": 8.0})
        learner.save(path)
    saved = json.loads(unsealed(path.read_bytes()))
    saved["task"] = in_whole(saved["task"])
    path.write_bytes(sealed(json.dumps(saved).encode()))
    with Learner.load(path, engine=ScriptedEngine(lambda _: "")) as learner:
        assert learner.task == load_task("weather")
        assert learner.predict_one({}).prediction.values == {"sky": "rain", "high": 8.0}
