"""Sweeps where a model cannot be reached, and those that are given again with more said than at first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineUnavailableError
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.directory import RunDirectory
from tests.cli.commands import command
from tests.cli.test_sweep import MINE, SMALL, answer, finished


class Gone(ScriptedEngine):
    """A model that is not there."""

    async def open(self) -> None:
        raise EngineUnavailableError("nothing answers at its address", "start it")


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have every model be a script, but those called gone; give a sweep file."""

    def script(model: str, **_server: Any) -> ScriptedEngine:
        room = 3000 if "short" in model else 8192
        return (Gone if "gone" in model else ScriptedEngine)(answer, EngineInfo(model, "d", context_window=room))

    monkeypatch.setattr("llm_as_rnn.cli.running.resolve", script)
    monkeypatch.setattr("llm_as_rnn.cli.judge.resolve", script)
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(MINE)
    return "mine.yaml"


def test_a_model_that_is_not_there_costs_the_others_nothing(mine: str) -> None:
    both = (mine, "-m", "openai:gone", "-m", "openai:whole", "--out", "out")
    why = "openai:gone could not be reached: nothing answers at its address (start it)"
    assert finished(*both, code=1).stderr.count(why) == 1
    assert RunDirectory(Path("out/openai-whole/b")).info().status == "finished"
    assert "openai:gone could not be reached" in Path("out/sweep.md").read_text(encoding="utf-8")
    assert "it is finished already" in finished(*both, "--resume", code=1).stderr
    alone = command("sweep", mine, "-m", "openai:gone", "--out", "alone")
    assert (alone.returncode, alone.stderr.splitlines()[-1]) == (2, "error: nothing answers at its address (start it)")
    words = (*SMALL, "--budget", "256", "--judge", "openai:gone", "--out", "judged")
    assert why in finished("paper", "-m", "openai:whole", "--only", "weather", *words, code=1).stderr
    assert RunDirectory(Path("judged/openai-whole/weather")).info().status == "finished"


def test_a_model_whose_context_is_too_short_for_a_run_costs_other_runs_and_models_nothing(mine: str) -> None:
    Path(mine).write_text(MINE.replace("budget: 60", "budget: 2000"))
    both = (mine, "-m", "openai:short", "-m", "openai:whole", "--out", "out")
    why = "openai-short/b could not be asked: a budget of 2000 tokens needs a larger context window than 3000 tokens"
    assert finished(*both, code=1).stderr.count(why) == 1
    assert why in Path("out/sweep.md").read_text(encoding="utf-8")
    assert {str(path.parent) for path in Path("out").glob("*/*/run.json")} == {
        "out/openai-short/a",
        "out/openai-whole/a",
        "out/openai-whole/b",
    }
    told = finished(*both, "--dry-run", code=1)
    assert why in told.stderr
    assert "in all: 12 calls" in told.stdout
    left = finished(*both, "--resume", "--dry-run", code=1)
    assert left.stderr.count("it is finished already") == 3
    assert "in all: 0 calls" in left.stdout
    alone = command("sweep", mine, "-m", "openai:short", "--only", "b", "--out", "alone")
    assert (alone.returncode, alone.stderr.splitlines()[-1].partition(" (")[0]) == (2, f"error: {why.split(': ')[1]}")
    words = (*SMALL, "--budget", "256", "--judge", "openai:short", "--thinking", "4000", "--out", "judged")
    judged = finished("paper", "-m", "openai:whole", "--only", "weather", *words, code=1).stderr
    assert "the judge of openai-whole/weather could not be asked: 4000 tokens of thinking do not fit" in judged


def test_a_finished_sweep_is_not_taken_for_one_with_what_was_off_then(mine: str) -> None:
    words = (mine, "-m", "openai:one", "--out", "out")
    finished(*words, "--no-calibrate")
    assert "it is finished already" in finished(*words, "--resume").stderr
    assert "calibrate was False, now True" in finished(*words, "--resume", "--calibrate", code=2).stderr
