"""What a step costs: our project, other frameworks and bare loops at the same work, against the same local engine.

    python benchmarks/peers.py [--peers a,b] [--quick] [--out FILE]     measure, and keep the figures
    python benchmarks/speed_page.py [FILE]                              write the page of kept figures

The work: streams of questions with outcomes (`oracle.py`); each step predicts, then learns, and the memory is kept. The
engine is a server in a process of its own that answers at once, or after 50 ms, and knows every answer. Each program
stands in ``benchmarks/peers/``, written as its documentation would have it, and runs in an environment of its own, made
in ``build/peers`` with the exact versions of ``benchmarks/peers/requirements``. Rounds of all programs follow each
other, so that what disturbs the machine disturbs all of them. Then each meets a server that fails every fourth call.
It takes about ten minutes, environments apart; a busy machine makes fewer rounds. FILE is ``docs/results/speed.json``
unless it is named.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import oracle
from server import serving

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(__file__).with_name("peers")
ENVIRONMENTS = ROOT / "build" / "peers"
KEPT = ROOT / "docs" / "results" / "speed.json"

DELAYS = {"instant": 0.0, "50 ms": 0.05}
IN_FLIGHT = (1, 8)
STEPS = 20
ROUNDS = 3
SHARE, FAULT_SEED, FAULT_STEPS, FAULT_ROUNDS = 0.25, 22, 15, 2
SECONDS = 480.0
"""No round is begun that would not be done by then, going by those before: a busy machine gets fewer."""
BARE = "httpx2"
PATIENCE = 150.0
"""Seconds after which a program is ended that is not done."""


class Peer(NamedTuple):
    """A program, and where it runs.

    Attributes
    ----------
    program : str
        Its file in ``benchmarks/peers``.
    environment : str
        Its list of requirements; the interpreter that runs this, where that is empty.
    shown : tuple of str
        The packages whose versions are told.
    """

    program: str
    environment: str
    shown: tuple[str, ...]


PEERS = {
    "httpx2": Peer("bare_httpx2", "", ("httpx2",)),
    "openai": Peer("bare_openai", "openai", ("openai", "httpx2", "pydantic")),
    "learner": Peer("ours_learner", "", ("llm-as-rnn", "httpx2", "msgspec")),
    "run": Peer("ours_run", "", ("llm-as-rnn", "httpx2", "msgspec")),
    "dspy": Peer("dspy_demos", "dspy", ("dspy", "litellm", "openai", "pydantic")),
    "langgraph": Peer("langgraph_thread", "langgraph", ("langgraph", "langchain-openai", "langchain-core", "openai")),
    "ace": Peer("ace_online", "ace", ("ace-framework", "litellm", "instructor", "openai")),
}

QUIET = {
    "ANONYMIZED_TELEMETRY": "false",
    "BROWSER_USE_LOGGING_LEVEL": "result",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",
    "LITELLM_TELEMETRY": "false",
    "OPENAI_API_KEY": "none",
    "OPIK_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
    "OTEL_SDK_DISABLED": "true",
}
"""No program tells anybody of itself, or fetches anything."""


# --- environments -----------------------------------------------------------------------------------------------------


def interpreter(peer: Peer) -> Path:
    """Give the Python that runs a program; its environment is made where it is not there, or its list changed."""
    if not peer.environment:
        return Path(sys.executable)
    folder = ENVIRONMENTS / peer.environment
    wanted = PROGRAMS / "requirements" / f"{peer.environment}.txt"
    installed = folder / "installed.txt"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not installed.exists() or installed.read_bytes() != wanted.read_bytes():
        say(f"making {folder.relative_to(ROOT)} of {wanted.relative_to(ROOT)}")
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", str(wanted)]
        # The list is whole, so nothing is left to be found out.
        subprocess.run(install, check=True)  # noqa: S603 - a list of this repository's
        shutil.copy(wanted, installed)
    return python


def versions(peer: Peer) -> dict[str, str]:
    """Ask an environment for the versions that are told."""
    ask = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    words = [str(interpreter(peer)), "-c", ask, *peer.shown]
    answer = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 - our own
    found: dict[str, str] = json.loads(answer.stdout)
    return found


# --- measuring --------------------------------------------------------------------------------------------------------


def run(peer: Peer, cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Run a program on some cells, and give what it measured, or how it ended."""
    paths = [str(PROGRAMS), str(ROOT / "src")] if not peer.environment else [str(PROGRAMS)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= QUIET | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [str(interpreter(peer)), str(PROGRAMS / f"{peer.program}.py")]
    begun = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - our own programs
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        said, errors = process.communicate(json.dumps({"cells": cells}), timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"ended": f"not done after {PATIENCE:.0f} s"}
    if process.returncode:
        return {"ended": (errors.strip().splitlines() or ["without a word"])[-1]}
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found | {"begun": begun}


def cells(url: dict[str, str], steps: int) -> Iterator[dict[str, Any]]:
    """Give the cells that are timed: a stream after another, and several at a time."""
    for delay in DELAYS:
        for in_flight in IN_FLIGHT:
            streams = oracle.streams(2 if in_flight == 1 else in_flight, steps)
            (warm,) = oracle.streams(1, 3, seed=1)
            yield {
                "name": f"{delay}, {in_flight}",
                "url": url[delay],
                "streams": streams,
                "warm": warm,
                "in_flight": in_flight,
            }


def started(peer: Peer) -> dict[str, Any]:
    """Give the seconds from the command to the first call that the server saw, and the memory of a program so small."""
    with serving(oracle.Oracle()) as url:
        cell = {"name": "start", "url": f"{url}/v1", "streams": oracle.streams(1, 1), "warm": [], "in_flight": 1}
        found = run(peer, [cell])
    if "ended" in found:
        return found
    return {"seconds": found["cells"][0]["first"] - found["begun"], "peak_bytes": found["peak_bytes"]}


def timed(names: Sequence[str], rounds: int, steps: int) -> dict[str, list[dict[str, Any]]]:
    """Time all programs in turn, round after round, as long as there is time for another round."""
    times: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    begun = time.monotonic()
    for number in range(rounds):
        taken = time.monotonic() - begun
        if number and taken + taken / number > SECONDS:
            break
        # Each round begins with another program, so that none is always the one after the heaviest.
        for name in [*names[number % len(names) :], *names[: number % len(names)]]:
            say(f"round {number + 1} of {rounds}: {name}")
            with serving(oracle.Oracle()) as instant, serving(oracle.Oracle(), DELAYS["50 ms"]) as slow:
                found = run(PEERS[name], list(cells({"instant": f"{instant}/v1", "50 ms": f"{slow}/v1"}, steps)))
            times[name].append(found | {"start": started(PEERS[name])})
    return times


def faulty(names: Sequence[str], rounds: int, steps: int) -> dict[str, list[dict[str, Any]]]:
    """Let every program meet the same faults, another row of them in each round."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    streams = oracle.streams(max(IN_FLIGHT), steps)
    for number in range(rounds):
        for name in names:
            say(f"faults {number + 1} of {rounds}: {name}")
            with serving(oracle.Oracle(SHARE, FAULT_SEED + number)) as url:
                cell = {
                    "name": "faults",
                    "url": f"{url}/v1",
                    "streams": streams,
                    "warm": [],
                    "in_flight": max(IN_FLIGHT),
                }
                found[name].append(run(PEERS[name], [cell]))
    return found


def keep(measured: dict[str, Any], path: Path) -> None:
    """Keep the figures, with as many digits as mean something."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(short(measured)), indent=1) + b"\n")


def short(value: Any) -> Any:
    """Give a value without what only this machine's clocks know, and with five digits.

    >>> short({"cpu": 0.123456789, "begun": 12.5, "calls": 3})
    {'cpu': 0.12346, 'calls': 3}
    """
    match value:
        case dict():
            return {name: short(one) for name, one in value.items() if name not in ("begun", "first", "posts")}
        case list():
            return [short(one) for one in value]
        case float():
            return float(f"{value:.5g}")
        case _:
            return value


def machine() -> dict[str, Any]:
    """Describe the machine in plain words."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def measure(names: Sequence[str], *, quick: bool) -> dict[str, Any]:
    """Measure everything."""
    for name in names:
        interpreter(PEERS[name])
    rounds, steps = (1, 10) if quick else (ROUNDS, STEPS)
    begun = time.monotonic()
    times = timed(names, rounds, steps)
    failed = faulty(names, 1 if quick else FAULT_ROUNDS, FAULT_STEPS)
    return {
        "machine": machine(),
        "quick": quick,
        "rounds": len(times[names[0]]),
        "steps": steps,
        "in_flight": list(IN_FLIGHT),
        "faults": {"share": SHARE, "steps": FAULT_STEPS * max(IN_FLIGHT), "rounds": 1 if quick else FAULT_ROUNDS},
        "seconds": round(time.monotonic() - begun),
        "peers": {
            name: {
                "versions": versions(PEERS[name]),
                "timed": times[name],
                "faulty": failed[name],
            }
            for name in names
        },
    }


def say(line: str) -> None:
    """Say how far it is."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=",".join(PEERS), help="which programs, with commas between them")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that everything works")
    parser.add_argument("--out", type=Path, default=KEPT, help="where the figures are kept")
    asked = parser.parse_args()
    names = asked.peers.split(",")
    unknown = sorted(set(names) - set(PEERS))
    if unknown:
        parser.error(f"there is no peer {', '.join(unknown)}; there are {', '.join(PEERS)}")
    # The bare loop is always there, because the others are compared with it.
    keep(measure([name for name in PEERS if name in {BARE, *names}], quick=asked.quick), asked.out)
    say(str(asked.out))


if __name__ == "__main__":
    main()
