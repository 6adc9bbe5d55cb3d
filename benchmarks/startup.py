"""Start-up time: `llm-as-rnn --help` beside a bare interpreter, in one run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "llm-as-rnn --help": [sys.executable, "-m", "llm_as_rnn", "--help"],
    "llm-as-rnn run --help": [sys.executable, "-m", "llm_as_rnn", "run", "--help"],
    "llm-as-rnn data list": [sys.executable, "-m", "llm_as_rnn", "data", "list"],
}


def seconds(command: list[str]) -> float:
    """Give the wall time of one run of a command, in seconds."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own commands
    return time.perf_counter() - begun


def main() -> None:
    """Print the median of several runs, commands taken in turn so that noise hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    bare = statistics.median(times["python -c pass"])
    for name, found in times.items():
        median = statistics.median(found)
        print(f"{name:<24} {median:6.3f} s   {median / bare:5.1f} x a bare interpreter")


if __name__ == "__main__":
    main()
