"""Start-up: help beside a bare interpreter, and the first model call of a demo by phase, each in processes of its own.

The commands' modules are compiled before, as an installed package's are. Medians of several runs, taken in turn so that
noise hits all of them; the time on the processors says more than the clock where others use them too.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

RUNS = 15
DEMOS = 5

MODEL = "smollm2-135m"
DEMO = ("run", "probe-recall", "--quick", "--model", f"llamacpp:{MODEL}")

INSTALLED = "import sys; from llm_as_rnn.cli.main import main; main(sys.argv[1:])"
"""What the command does that a package's installer writes."""

BARE = "python -c pass"

PROGRAMS = {
    BARE: ["-c", "pass"],
    "python -c 'import click'": ["-c", "import click"],
    "python -c 'import llm_as_rnn'": ["-c", "import llm_as_rnn"],
    "llm-as-rnn --help": ["-c", INSTALLED, "--help"],
    **{
        f"llm-as-rnn {words} --help": ["-c", INSTALLED, *words.split(), "--help"]
        for words in ("run", "sweep", "predict", "judge", "report", "memory show", "models list", "data check")
    },
    "llm-as-rnn data list": ["-c", INSTALLED, "data", "list"],
}

PHASES = {
    "imports": "the interpreter, and what a run is made of",
    "set up": "the task, its data, the model's name and file",
    "opening": "the model is loaded, and its server asked what it is",
    "rehearsal": "the spec, and every call of a step without a model",
    "first call": "the run's folder, its journal, and the first prompt",
}
"""What is done until the first call, in order."""


class Taken(NamedTuple):
    """What a process took, in seconds."""

    wall: float
    cpu: float


def taken(arguments: list[str], environment: Mapping[str, str]) -> Taken:
    """Run Python with arguments, and give what it took."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)  # noqa: S603
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Taken(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


@contextmanager
def compiled() -> Iterator[dict[str, str]]:
    """Give an environment in which modules are compiled once, whatever this process was told of that."""
    with tempfile.TemporaryDirectory() as folder:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        yield {**kept, "PYTHONPYCACHEPREFIX": folder}


def measure_programs(environment: Mapping[str, str]) -> None:
    """Print what each program takes, and how much more than a bare interpreter."""
    times: dict[str, list[Taken]] = {name: [] for name in PROGRAMS}
    for number in range(RUNS + 1):
        for name, arguments in PROGRAMS.items():
            found = taken(arguments, environment)
            if number:  # the first time modules are compiled
                times[name].append(found)
    bare = Taken(*map(statistics.median, zip(*times[BARE], strict=True)))
    print(f"{'':<34} {'wall':>7} {'CPU':>7}   CPU beyond a bare interpreter")
    for name, each in times.items():
        wall, cpu = map(statistics.median, zip(*each, strict=True))
        print(f"{name:<34} {wall:5.3f} s {cpu:5.3f} s   {cpu - bare.cpu:5.3f} s, {cpu / bare.cpu:4.1f} x")


def measure_demo(environment: Mapping[str, str]) -> None:
    """Print when the demo's first call to its model is made, by phase."""
    from llm_as_rnn.engines.models import locate  # noqa: PLC0415 - the programs are measured without the library

    if locate(MODEL) is None:
        print(f"\nfirst model call: not measured, the model is not here (llm-as-rnn models pull {MODEL})")
        return
    runs = []
    for number in range(DEMOS + 1):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.monotonic()
            words = [sys.executable, __file__, "--first-call", *DEMO, "--out", f"{folder}/run"]
            result = subprocess.run(words, check=True, capture_output=True, env=environment)  # noqa: S603
            marks = json.loads(result.stdout)
        if number:
            runs.append([after - before for before, after in pairwise([begun, *(marks[name] for name in PHASES)])])
    print(f"\nllm-as-rnn {' '.join(DEMO)}, until the first call to the model")
    for name, each in zip(PHASES, zip(*runs, strict=True), strict=True):
        print(f"{name:<12} {statistics.median(each):6.3f} s   {PHASES[name]}")
    print(f"{'in all':<12} {statistics.median(map(sum, runs)):6.3f} s")


def until_first_call(arguments: list[str]) -> None:
    """Carry a command out up to its first call, and print when each phase ended, by the system's monotonic clock."""
    from llm_as_rnn.cli import main, run  # noqa: F401, PLC0415 - the first phase
    from llm_as_rnn.engines.llamacpp import LlamaCppEngine  # noqa: PLC0415
    from llm_as_rnn.runs import execute  # noqa: PLC0415

    marks = {"imports": time.monotonic()}

    def mark(owner: Any, function: str, *, before: str = "", after: str = "", ends: bool = False) -> None:
        inner = getattr(owner, function)

        async def marked(*given: Any, **named: Any) -> Any:
            if before:
                marks.setdefault(before, time.monotonic())
            if ends:
                os.write(1, json.dumps(marks).encode())
                os._exit(0)  # the model's answer is not waited for
            result = await inner(*given, **named)
            if after:
                marks.setdefault(after, time.monotonic())
            return result

        setattr(owner, function, marked)

    mark(LlamaCppEngine, "open", before="set up", after="opening")
    mark(execute, "_rehearse", after="rehearsal")
    mark(LlamaCppEngine, "complete", before="first call", ends=True)
    main.main(arguments)


def main() -> None:
    """Measure, or be measured."""
    if sys.argv[1:2] == ["--first-call"]:
        until_first_call(sys.argv[2:])
        return
    with compiled() as environment:
        measure_programs(environment)
        measure_demo(environment)


if __name__ == "__main__":
    main()
