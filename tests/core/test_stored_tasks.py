"""Tasks that were stored before each kind of field had its own attributes: they are read, and keep their digests."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from llm_as_rnn.task import Task, load_task, shipped_tasks

DIGESTS = {
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
