"""``llm-as-rnn predict``: a stream on a pipe, killed at any moment."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.streams.saved import read_saved
from tests.cli.commands import command
from tests.cli.test_kill import script

SEQUENCE = dataset("weather").load(Selection(1, 12))[0]


def stream_lines() -> list[dict[str, Any]]:
    """Give predictions and outcomes: some late, one twice, one out of order, one never."""
    x = [{"id": str(t), "x": step.observation.fields} for t, step in enumerate(SEQUENCE.steps)]
    y = [{"id": str(t), "y": step.target} for t, step in enumerate(SEQUENCE.steps)]
    return [x[0], x[1], x[2], y[2], x[3], y[0], y[2], x[4], y[3], y[4], x[5], x[6], y[6], y[5], x[7], y[7], x[8], y[8]]


def predict(state: Path, model: str, *options: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "llm_as_rnn", "predict", "weather", "--state", str(state), "-m", model]
    words += ["--budget", "100", *options]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def feed(state: Path, model: str, lines: list[Any], *options: str) -> tuple[int, list[dict[str, Any]], str]:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    words = ["--state", str(state), "-m", model, "--budget", "100", *options]
    ended = command("predict", "weather", *words, typed=text)
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr


def stream_of(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bytes(read_saved(state).stream))
    return found


@pytest.mark.parametrize("policy", ["apply", "replay"])
def test_a_stream_with_outcomes_late_doubled_and_missing(tmp_path: Path, policy: str) -> None:
    state, lines = tmp_path / "state.json", stream_lines()
    code, answers, errors = feed(state, script(tmp_path), lines, "--policy", policy, "--memory")
    assert code == 0, errors
    assert [answer["id"] for answer in answers] == [line["id"] for line in lines]
    assert all(("learned" in answer) == ("y" in line) for answer, line in zip(answers, lines, strict=True))
    assert answers[6]["learned"] == "duplicate"
    assert [waiting["id"] for waiting in stream_of(state)["waiting"]] == ["1"]
    assert sorted(stream_of(state)["learned"], key=int) == ["0", "2", "3", "4", "5", "6", "7", "8"]
    assert "## Patterns" in errors


@pytest.mark.parametrize(("seed", "policy"), [(0, "apply"), (1, "replay")])
def test_a_killed_stream_loses_no_outcome_and_learns_none_twice(tmp_path: Path, seed: int, policy: str) -> None:
    """The sender sends again whatever got no answer, as the help says."""
    model, lines = script(tmp_path), stream_lines()
    code, _, errors = feed(tmp_path / "whole.json", model, lines, "--policy", policy)
    assert code == 0, errors

    state, rng, left, kills = tmp_path / "killed.json", random.Random(seed), list(lines), 0
    while left:
        process = predict(state, model, "--policy", policy)
        assert process.stdin is not None
        assert process.stdout is not None
        reads = rng.randrange(1, 5)
        process.stdin.write("".join(json.dumps(line) + "\n" for line in left))
        process.stdin.flush()
        for _ in range(min(reads, len(left))):
            assert "error" not in json.loads(process.stdout.readline())
            left.pop(0)
        for _ in range(rng.randrange(3000)):
            pass  # the process is somewhere in its next line, with luck in the midst of saving
        process.kill()
        process.communicate()
        kills += 1
    assert kills >= 3
    assert stream_of(state) == stream_of(tmp_path / "whole.json")


def test_bad_lines_are_answered_and_do_not_end_the_stream(tmp_path: Path) -> None:
    good = stream_lines()[0]
    bad = [
        "{broken",
        "[]",
        '{"id": "a"}',
        '{"y": {"sky": "sun"}}',
        '{"id": "zz", "y": {"sky": "sun"}}',
        '{"x": {"sky": "sun"}}',
        '{"id": "0", "y": {"skies": "sun"}}',
        '{"id": "0", "y": {"sky": "hail"}}',
        '{"id": "0", "z": 1}',
    ]
    last = {"id": "0", "y": {"sky": "sun", "high": 99}}
    code, answers, errors = feed(tmp_path / "state.json", script(tmp_path), [good, *bad, last])
    assert code == 1, errors
    assert [("error" in answer) for answer in answers] == [False, *[True] * len(bad), False]
    assert [answer.get("line") for answer in answers[1:-1]] == list(range(2, 2 + len(bad)))
    assert answers[-1]["learned"] in ("accepted", "kept")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--method", "zero_shot"], "begun with --method"), (["--policy", "replay"], "begun with --policy")],
)
def test_a_state_goes_on_only_as_it_was_begun(tmp_path: Path, arguments: list[str], says: str) -> None:
    state, model = tmp_path / "state.json", script(tmp_path)
    assert feed(state, model, stream_lines()[:1])[0] == 0
    before = state.read_bytes()
    code, _, errors = feed(state, model, stream_lines()[1:2], *arguments)
    assert (code, says in errors, state.read_bytes()) == (2, True, before), errors


def test_two_processes_cannot_share_a_state(tmp_path: Path) -> None:
    state, model = tmp_path / "state.json", script(tmp_path)
    first = predict(state, model)
    assert first.stdin is not None
    assert first.stdout is not None
    first.stdin.write(json.dumps(stream_lines()[0]) + "\n")
    first.stdin.flush()
    first.stdout.readline()
    code, _, errors = feed(state, model, [])
    first.communicate()
    assert (code, "another process" in errors) == (2, True), errors


def test_a_state_that_cannot_be_written(tmp_path: Path) -> None:
    model = script(tmp_path)
    code, _, errors = feed(tmp_path / "script.jsonl" / "state.json", model, [])
    assert (code, len(errors.strip().splitlines())) == (2, 1), errors


def test_an_answer_says_how_far_it_can_be_trusted_and_what_is_held_back(tmp_path: Path) -> None:
    state, model = tmp_path / "state.json", script(tmp_path)
    steps = SEQUENCE.steps
    lines: list[Any] = [{"x": step.observation.fields, "y": step.target} for step in steps]
    options = ("--method", "repeat_last", "--abstain-wider", "60", "--abstain-above", "0.99")
    code, answers, errors = feed(state, model, lines, *options)
    assert code == 0, errors
    first, *_, last = [answer for answer in answers if "prediction" in answer]
    assert first["interval"] == {"high": [-20.0, 45.0]}
    assert set(first["among"]["sky"]) == {"drizzle", "fog", "rain", "snow", "sun"}
    assert (first["chance"], first["abstained"]) == ({"sky": 0.5}, ["high"])
    low, high = last["interval"]["high"]
    assert high - low < 60
    assert "abstained" not in last
    again = {"id": "x", "x": steps[0].observation.fields}
    _, (answer,), errors = feed(state, model, [again], "--abstain-wider", "1", "--coverage", "0.5")
    assert answer["abstained"] == ["high"], errors
    code, _, errors = feed(state, model, [again], "--coverage", "2")
    assert code == 2
    assert "coverage must lie between 0.5 and 0.99, not 2 (correct --coverage)" in errors
