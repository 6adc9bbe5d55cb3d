"""Fuzz every reader for a while: ``python -m tests.fuzz [--seconds N] [TARGET...]``.

Guided by coverage where atheris is installed (https://github.com/google/atheris), else by hypothesis. Each target runs
in a process of its own. What was found to lead somewhere new, and what broke it, is kept in ``.fuzz/TARGET``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEPT = Path(".fuzz")


def main() -> int:
    """Run the targets one after the other; give 1 if any broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="which [default: all]")
    parser.add_argument("--seconds", type=int, default=30, help="for each [default: 30]")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:  # nothing of the package may be imported yet: atheris instruments imports
        return _run(asked.inside, asked.seconds)
    from tests.fuzz.targets import targets  # noqa: PLC0415 - see above

    names = asked.targets or sorted(targets())
    broken = []
    for name in names:
        words = [sys.executable, "-m", "tests.fuzz", "--inside", name, "--seconds", str(asked.seconds)]
        print(f"{name}: {asked.seconds} s", flush=True)
        broken += [name] if subprocess.run(words, check=False).returncode else []
    print(f"broken: {', '.join(broken)}" if broken else f"{len(names)} readers held")
    return int(bool(broken))


def _run(name: str, seconds: int) -> int:
    return _guided(name, seconds) if find_spec("atheris") else _unguided(name, seconds)


def _guided(name: str, seconds: int) -> int:
    import atheris  # noqa: PLC0415 - optional

    with atheris.instrument_imports(include=["llm_as_rnn"]):
        from tests.fuzz.targets import targets  # noqa: PLC0415
    corpus = KEPT / name
    corpus.mkdir(parents=True, exist_ok=True)
    target = targets()[name]
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=65536"]
    atheris.Setup(
        [sys.argv[0], *limits, f"-artifact_prefix={corpus}/broken-", "-print_final_stats=1", str(corpus)], target.read
    )
    atheris.Fuzz()
    return 0


def _unguided(name: str, seconds: int) -> int:
    from tests.fuzz.targets import targets  # noqa: PLC0415
    from tests.fuzz.test_targets import mutated  # noqa: PLC0415

    target, ends, done = targets()[name], time.monotonic() + seconds, 0

    @settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(mutated(target.seeds) | st.binary(max_size=400))
    def survives(content: bytes) -> None:
        nonlocal done
        done += 1
        target.read(content)

    while time.monotonic() < ends:
        survives()
    print(f"{name}: {done} inputs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
