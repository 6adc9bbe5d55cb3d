"""Kill a real run at random points, resume it, and compare its journal with that of an uninterrupted one."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from llm_as_rnn.catalogue import references
from llm_as_rnn.core.task import load_task
from llm_as_rnn.runs.directory import RunDirectory
from tests.cli.commands import command
from tests.helpers import LINES, content

METHODS = "zero_shot,full_history,memprompt,recurrent:rewrite,recurrent:cases"
RAN = len(references(load_task("weather")))
STEPS = (5 + RAN) * 2 * 6  # methods with references, sequences, steps
DEFAULT_STEPS = (5 + RAN) * 2 * 6
"""Steps of a run with `OPTIONS` alone."""
OPTIONS = ["--sequences", "2", "--steps", "6", "--budget", "60", "--form", "line", "--style", "completion"]
ALL_RULES = ["--methods", METHODS, "--shared", "60", "--recheck", "2"]


def script(folder: Path) -> str:
    """Write a script with several answers a role: which one is given depends on the request alone."""
    lines = [{"role": "predict", "text": f" {sky}, {n}.5"} for n, sky in enumerate(["rain", "sun", "fog", "snow"])]
    lines += [
        {"role": "update", "text": f"## Patterns\n- rain {n}\n## Recent days\n- day {n}\n## Corrections\n- none"}
        for n in range(5)
    ]
    lines += [{"role": role, "text": LINES[role]} for role in ("reflect", "compress", "summarise")]
    lines += [{"role": "predict", "text": "no idea"}]  # some answers are bad, and so are repaired or counted
    path = folder / "script.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(line) for line in lines))
    return f"scripted:{path}"


def words(model: str, out: Path) -> list[str]:
    return ["run", "weather", "-m", model, "--out", str(out), "--resume", *OPTIONS, *ALL_RULES]


def begin(model: str, out: Path) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-m", "llm_as_rnn", *words(model, out)]
    return subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def lines(journal: Path) -> int:
    """Count the steps: all whole lines but the head."""
    return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0


@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_again_and_again_ends_like_one_that_was_not(tmp_path: Path, seed: int) -> None:
    model, out, whole = script(tmp_path), tmp_path / "killed", tmp_path / "whole"
    assert command(*words(model, whole)).returncode == 0
    assert lines(whole / "steps.jsonl") == STEPS

    rng = random.Random(seed)
    points = sorted(rng.sample(range(1, STEPS - 6), 3))
    for point in points:
        process = begin(model, out)
        while lines(out / "steps.jsonl") < point and process.poll() is None:
            time.sleep(0.0005)  # only looks; what it waits for is the journal
        process.kill()
        process.wait()
        assert point <= lines(out / "steps.jsonl") <= STEPS
    assert lines(out / "steps.jsonl") < STEPS, "every kill came too late to mean anything"

    assert begin(model, out).wait() == 0
    assert content(out) == content(whole)
    assert lines(out / "steps.jsonl") == STEPS, "no step twice, none missing"
    assert RunDirectory(out).info().status == "finished"
