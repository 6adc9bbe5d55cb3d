"""What reading and reporting a run takes, by how long the run is: python benchmarks/report.py [STEPS ...] [--scores N].

The runs are made up: a short one of the references is written again and again under other names, each time with other
numbers, so that no two sequences have their texts in common. Each is then reported by a process of its own: seconds on
the processors, the most memory, the size of the page, and in Chromium, where that and playwright are here, how long the
page takes to open, another sequence to show, and another step. With --scores, a run of so many steps is only scored.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.core.files import sealed
from llm_as_rnn.core.records import Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.scores import step_scores
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.journal import STEPS

REFERENCES = "repeat_last,majority,nearest_case,linear,free_advice"
RUN = ("run", "weather", "--methods", REFERENCES, "--sequences", "8", "--steps", "40")

SMALL = 7_000

SCORE = """
import sys
from pathlib import Path
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.runs.directory import RunDirectory
directory = RunDirectory(Path(sys.argv[1]))
info = directory.info()
directory.write("scores.json", {"methods": summarise(info.task, directory.steps(), info.spec.settings.coverage)})
"""

CHROMIUM = os.environ.get("LLM_AS_RNN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

STEP = """() => {
    const begun = performance.now();
    document.getElementById("next").click();
    document.getElementById("viewer").getBoundingClientRect();
    return performance.now() - begun;
}"""

SEQUENCE = """() => new Promise((done) => {
    const box = document.getElementById("sequence"), begun = performance.now();
    box.selectedIndex = box.options.length - 1;
    box.dispatchEvent(new Event("change"));
    const look = () => document.getElementById("viewer").hasAttribute("aria-busy")
        ? setTimeout(look) : done(performance.now() - begun);
    look();
})"""


class Taken(NamedTuple):
    """What a process took: seconds on the processors, seconds by the clock, and the most memory, in MB."""

    cpu: float
    wall: float
    memory: float


def taken(arguments: Sequence[str]) -> Taken:
    """Run Python with arguments, and give what it took."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)  # noqa: S603
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Taken(used.ru_utime + used.ru_stime, time.perf_counter() - begun, used.ru_maxrss / 1000)


def long_run(base: RunDirectory, steps: int, path: Path) -> int:
    """Write a run of at least so many steps, and say how many they are."""
    shutil.copytree(base.path, path)
    task, records = base.info().task, base.records()
    lines, written = STEPS.lines_of(STEPS.format), 0
    with (path / "steps.jsonl").open("wb") as file:
        file.write(STEPS.head + b"\n")
        for number in range(-(-steps // len(records))):
            for record in again(task, records, number):
                file.write(sealed(lines.line(record)) + b"\n")
                lines.passed(record)
                written += 1
    return written


def again(task: Task, records: Sequence[StepRecord], number: int) -> Iterator[StepRecord]:
    """Give the same steps under other names, with other numbers."""
    for record in records:
        rng = random.Random(f"{number} {record.sequence} {record.t}")  # noqa: S311 - the same under each method
        shift = rng.gauss(0, 3)
        own = random.Random(f"{number} {record.sequence} {record.t} {record.method}")  # noqa: S311
        prediction = _moved(record.prediction, shift + own.gauss(0, 1))
        target = _moved(record.target, shift)
        yield msgspec.structs.replace(
            record,
            sequence=f"{record.sequence}-{number}",
            observation=_moved(record.observation, shift),
            prediction=prediction,
            target=target,
            scores=step_scores(task, prediction, target),
            interval={name: (low + shift, high + shift) for name, (low, high) in record.interval.items()},
            chance={name: min(max(one + own.gauss(0, 0.02), 0.01), 0.99) for name, one in record.chance.items()},
        )


def _moved(values: dict[str, Value] | dict[str, Any] | None, shift: float) -> Any:
    if values is None:
        return None
    return {name: round(value + shift, 1) if isinstance(value, float) else value for name, value in values.items()}


def opened(page: Path) -> str:
    """Say how long a page takes to open, and to show another sequence and another step; in ms, by the browser."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - all else is measured without it
    except ImportError:
        return "not measured: playwright is not here"
    if not CHROMIUM:
        return "not measured: Chromium is not here"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        shown = browser.new_page()
        begun = time.perf_counter()
        shown.goto(page.as_uri())
        shown.wait_for_selector("#viewer:not([hidden])")
        opening = 1000 * (time.perf_counter() - begun)
        sequence = shown.evaluate(SEQUENCE)
        steps = sorted(shown.evaluate(STEP) for _ in range(15))
        browser.close()
    return f"opens in {opening:.0f} ms, a sequence {sequence:.0f} ms, a step {steps[7]:.1f} (most {steps[-1]:.1f}) ms"


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("steps", nargs="*", type=int, help="lengths of runs that are reported")
    parser.add_argument("--scores", type=int, default=0, help="the length of a run that is only scored")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = RunDirectory(Path(folder) / "base")
        taken(["-m", "llm_as_rnn", *RUN, "--out", str(base.path)])
        print("  steps   CPU s  wall s  peak MB  page MB")
        for number, steps in enumerate(wanted.steps or ([] if wanted.scores else [SMALL])):
            path = Path(folder) / f"run-{number}"
            written = long_run(base, steps, path)
            found = taken(["-m", "llm_as_rnn", "report", str(path)])
            page = path / "report.html"
            line = (
                f"{written:7} {found.cpu:7.2f} {found.wall:7.2f} {found.memory:8.0f} {page.stat().st_size / 1e6:8.2f}"
            )
            print(f"{line}  {opened(page)}", flush=True)
        if wanted.scores:
            written = long_run(base, wanted.scores, Path(folder) / "scored")
            found = taken(["-c", SCORE, str(Path(folder) / "scored")])
            print(f"{_told(written, found)}  scored only")


def _told(steps: int, found: Taken) -> str:
    return f"{steps:7} {found.cpu:7.2f} {found.wall:7.2f} {found.memory:8.0f}"


if __name__ == "__main__":
    main()
