"""What a run may spend, from the command line: it stops in time, says why, and goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import EngineError
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.engines.spending import Meter
from llm_as_rnn.runs.directory import RunDirectory
from tests.cli.commands import Ended, command

RUN = ("run", "weather", "--model", "openai:m", "--methods", "zero_shot", "--sequences", "2", "--steps", "4")
PRICES = '["openai:m"]\nprompt = 2.0\ncompletion = 8.0\n'


@pytest.fixture(autouse=True)
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Have the model be a script; each call reads 100 tokens and writes 10."""
    requests: list[Request] = []

    def answer(request: Request) -> Completion:
        requests.append(request)
        return Completion('{"sky": "sun", "high": "12.0"}', prompt_tokens=100, completion_tokens=10)

    def script(model: str, meter: Meter | None = None, **_server: Any) -> Engine:
        engine = ScriptedEngine(answer, EngineInfo(model, slots=1, host=""))
        return engine if meter is None else meter.watch(engine)

    monkeypatch.setattr("llm_as_rnn.cli.running.resolve", script)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.toml").write_text(PRICES)
    return requests


def run(*options: str, code: int = 0) -> Ended:
    ended = command(*RUN, *options)
    assert ended.returncode == code, ended.stderr
    return ended


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        (("--max-tokens", "330"), "330 tokens were used, of 330 (--max-tokens)"),
        (("--max-cost", "0.0008", "--prices", "prices.toml"), "0.00084 was spent, of 0.0008 (--max-cost)"),
    ],
)
def test_a_run_stops_at_its_limit_and_goes_on(asked: list[Request], limit: tuple[str, ...], says: str) -> None:
    stopped = run("--out", "run", *limit, code=1)
    assert says in stopped.stderr
    assert "--out run --resume" in stopped.stderr
    assert len(asked) == 3
    run("--out", "run", "--resume")
    assert len(asked) == 8, "nothing is asked twice"
    assert len([step for step in RunDirectory(Path("run")).records() if step.method == "zero_shot"]) == 8


def test_a_dry_run_says_what_it_would_cost_and_makes_nothing(asked: list[Request]) -> None:
    told = run("--out", "run", "--dry-run", "--measure", "1", "--prices", "prices.toml").stdout
    (row,) = [line.split() for line in told.splitlines() if line.startswith("zero_shot")]
    assert (row[1], row[4]) == ("8", "80")
    assert 780 < int(row[2]) < 820, "the first prompt's figures have other digits"
    assert float(row[5]) == pytest.approx((2 * int(row[2]) + 8 * 80) / 1e6, rel=0.01)
    assert len(asked) == 1
    assert not Path("run").exists()


def test_a_dry_run_of_a_run_that_goes_on_says_what_is_left(asked: list[Request]) -> None:
    run("--out", "run", "--max-tokens", "330", code=1)
    assert len(asked) == 3
    going_on = ("--out", "run", "--resume", "--dry-run", "--measure", "0")
    told = run(*going_on).stdout
    assert calls(told) == {"zero_shot": 5}
    assert "3 steps of methods that ask the model are done already" in told
    assert calls(run(*going_on, "--methods", "zero_shot,memprompt").stdout) == {
        "zero_shot": 5,
        "memprompt": 16,
        "all": 21,
    }
    assert "calibrate was True, now False" in run(*going_on, "--no-calibrate", code=2).stderr
    assert len(asked) == 3
    run("--out", "run", "--resume")
    assert "nothing is left to be asked" in run(*going_on).stdout
    assert calls(run(*going_on, "--methods", "zero_shot,memprompt").stdout) == {"memprompt": 16}


def calls(told: str) -> dict[str, int]:
    rows = [line.split() for line in told.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 7 and row[0].isidentifier() and row[1].isdecimal()}


def test_steps_that_are_to_be_asked_again_are_left(asked: list[Request], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(model: str, **_server: Any) -> Engine:
        return ScriptedEngine(answered, EngineInfo(model, slots=1, host=""))

    def answered(request: Request) -> str:
        asked.append(request)
        if len(asked) == 2:
            raise EngineError("it stumbled")
        return '{"sky": "sun", "high": "12.0"}'

    monkeypatch.setattr("llm_as_rnn.cli.running.resolve", fails)
    run("--out", "run", "--concurrency", "1")
    going_on = ("--out", "run", "--resume", "--dry-run", "--measure", "0")
    assert "nothing is left to be asked" in run(*going_on).stdout
    assert calls(run(*going_on, "--retry-failed").stdout) == {"zero_shot": 3}


def test_a_dry_run_of_references_costs_nothing(asked: list[Request]) -> None:
    told = command("run", "weather", "--methods", "majority", "--dry-run").stdout
    assert told == "no method of this run asks a model: it costs nothing\n"
    assert not asked


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--max-cost", "3"), "a cost is limited, and nobody says what a token costs (name a table: --prices FILE)"),
        (("--max-cost", "0", "--prices", "prices.toml"), "a limit of 0 leaves nothing to spend"),
        (("--max-tokens", "0"), "--max-tokens"),
        (("--max-time", "0"), "is not more than 0 seconds"),
        (("--prices", "none.toml"), "none.toml cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line(options: tuple[str, ...], says: str, asked: list[Request]) -> None:
    ended = run("--out", "run", *options, code=2)
    assert says in ended.stderr
    assert not asked
    assert not Path("run").exists()
