"""A method of somebody else's runs as ours do: in a run, resumed, in a learner, and from another package."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn import Learner, catalogue
from llm_as_rnn.catalogue import asks_model, build, register, require_method
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import execute
from tests.helpers import content, good_answer, run_options
from tests.strangers import Diary, LastFew


class Silent:
    """Watches a run and says nothing."""

    def begin(self, *_: Any) -> None: ...

    def step(self, *_: Any) -> None: ...

    def set_aside(self, *_: Any) -> None: ...


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no name behind."""
    monkeypatch.setattr(catalogue, "_OWN", {})


def run(out: Path, *, resume: bool = False) -> str:
    options = run_options("weather", ("diary", "last_few"), sequences=2, steps=3, budget=200, form="json")
    engine = ScriptedEngine(good_answer("json"))
    return asyncio.run(execute(options, engine, RunDirectory(out), resume=resume, watcher=Silent())).status


def test_it_runs_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="there is no method 'diary'"):
        run(tmp_path / "run")
    register("diary", Diary)
    register("last_few", LastFew)
    assert run(tmp_path / "run") == "finished"
    steps = content(tmp_path / "run")
    assert [step.memory_version for step in steps if step.method == "diary"] == [0, 1, 2] * 2
    journal = tmp_path / "run" / "steps.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]))
    assert run(tmp_path / "run", resume=True) == "finished"
    assert content(tmp_path / "run") == steps
    # A process that does not know the method can read its run.
    monkeypatch.setattr(catalogue, "_OWN", {})
    assert content(tmp_path / "run") == steps


def test_it_learns_a_live_stream(tmp_path: Path) -> None:
    register("diary", Diary)
    day = {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0}
    with Learner("weather", method="diary", engine=ScriptedEngine(good_answer("json")), budget=200) as learner:
        waiting = learner.predict_one(day)
        assert learner.learn_one(waiting.id, {"sky": "sun", "high": 12.8}).memory_version == 1
        learner.save(tmp_path / "learner.json")
        memory = str(learner.memory)
    with Learner.load(tmp_path / "learner.json", engine=ScriptedEngine(good_answer("json"))) as again:
        assert str(again.memory) == memory


@pytest.mark.parametrize("name", ["recurrent", "majority", "recurrent:mine", "a,b", ""])
def test_a_name_that_is_taken_or_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="a method of your own cannot be called"):
        register(name, LastFew)


def test_a_method_has_one_name(weather: Task) -> None:
    register("other", LastFew)
    with pytest.raises(UsageError, match="'other' calls itself 'last_few'"):
        build("other", weather, Settings(), Prompts())


def test_one_that_asks_no_model_says_so() -> None:
    class Thinking(LastFew):
        asks_model = False

    register("thinking", Thinking)
    register("last_few", LastFew)
    assert (asks_model("thinking"), asks_model("last_few")) == (False, True)


def test_a_package_offers_methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weather: Task) -> None:
    offered = tmp_path / "strange-1.0.dist-info"
    offered.mkdir()
    (offered / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n", encoding="utf-8")
    points = "[llm_as_rnn.methods]\nlast_few = tests.strangers:LastFew\nmissing = tests.strangers:Missing\n"
    (offered / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    require_method("last_few")
    assert build("last_few", weather, Settings(), Prompts()).name == "last_few"
    with pytest.raises(UsageError, match=r"'missing' of strange 1.0 .* cannot be had: AttributeError"):
        require_method("missing")
