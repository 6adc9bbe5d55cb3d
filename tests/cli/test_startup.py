"""Whoever asks for help waits for nothing that help does not need, and late imports keep to the rooms' contracts."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from llm_as_rnn import catalogue
from llm_as_rnn.cli.commands import later
from llm_as_rnn.cli.main import cli
from llm_as_rnn.core.shelf import Shelf
from llm_as_rnn.recurrence.rules import RULES
from tests.cli.test_kill import script

ROOT = Path(__file__).parents[2]

HEAVY = frozenset(
    {
        "asyncio", "email", "filelock", "hashlib", "httpx2", "importlib.metadata", "jinja2", "numpy", "polars", "rich",
        "scipy", "ssl", "xllamacpp", "yaml",
    }
)  # fmt: skip
"""Packages that help has no use for; each takes more time than help itself."""

ROOMS = frozenset({"baselines", "cases", "datasets", "leakage", "metrics", "report", "testing", "trust"})
"""Rooms of this program of which help needs nothing at all."""

NEEDED = frozenset(
    {
        "_version", "catalogue", "cli", "cli.main", "cli.process", "core", "core.above", "core.calls", "core.engine",
        "core.errors", "core.knobs", "core.plugins", "core.records", "core.settings", "core.shelf", "core.steps",
        "core.variants", "engines", "engines.naming",
        "recurrence", "recurrence.rules", "runs", "runs.defaults", "runs.versions", "service", "service.config",
        "streams", "streams.settings",
    }
)  # fmt: skip
"""All that help needs of this program, besides `cli.commands`."""


def every_command(command: click.Command = cli, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Give each command, with the words that it is called by."""
    yield before, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from every_command(found, *before, name)


COMMANDS = dict(every_command())
WORKING = {words: command for words, command in COMMANDS.items() if not isinstance(command, click.Group)}


def imported(program: str, *arguments: str) -> set[str]:
    """Run a program in a process of its own, and give the modules that it has imported at its end."""
    told = f"import atexit, sys\natexit.register(lambda: print(*sys.modules, file=sys.stderr))\n{program}"
    result = subprocess.run(
        [sys.executable, "-c", told, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return set(result.stderr.split())


def of_ours(modules: set[str]) -> set[str]:
    return {name.removeprefix("llm_as_rnn.") for name in modules if name.startswith("llm_as_rnn.")}


HELP = "from llm_as_rnn.cli.main import main\nmain()"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_imports_nothing_that_it_does_not_need(words: tuple[str, ...]) -> None:
    modules = imported(HELP, *words, "--help")
    assert not HEAVY & modules
    assert "llm_as_rnn.cli.main" in modules
    if words:
        assert f"llm_as_rnn.cli.commands.{words[0]}" in modules
    ours = of_ours(modules)
    assert not ROOMS & {name.partition(".")[0] for name in ours}
    assert {name for name in ours if not name.startswith("cli.commands")} <= NEEDED


def test_the_overview_of_commands_imports_none_of_them() -> None:
    ours = of_ours(imported(HELP, "--help"))
    assert ours == {
        "_version",
        "cli",
        "cli.main",
        "cli.process",
        "core",
        "core.errors",
        "core.above",
        "core.shelf",
    }


def test_so_does_the_library_until_one_of_its_names_is_used() -> None:
    modules = imported("import llm_as_rnn")
    assert not HEAVY & modules
    assert of_ours(modules) == {"_version", "core", "core.above"}


BEGINS = """
import os, sys
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.cli.main import main

def begins(*_, **__):
    os.write(2, " ".join(sys.modules).encode())
    os._exit(0)

RunDirectory.begin = begins
main()
"""
"""A command that ends where its run begins: the model is open and rehearsed with, and nothing was asked yet."""


def test_a_run_begins_before_anything_is_imported_that_it_needs_at_its_end(tmp_path: Path) -> None:
    words = ["run", "probe-recall", "--quick", "-m", script(tmp_path), "--out", str(tmp_path / "run")]
    result = subprocess.run(
        [sys.executable, "-c", BEGINS, *words], capture_output=True, text=True, check=True, timeout=60
    )
    modules = set(result.stderr.split())
    assert {"llm_as_rnn.recurrence.cell", "llm_as_rnn.trust.advised"} <= modules, "its methods are built"
    assert not {"numpy", "scipy", "httpx2", "polars", "xllamacpp"} & modules
    assert not {name for name in of_ours(modules) if name.startswith(("report", "leakage", "cli.results"))}


@pytest.mark.parametrize("words", WORKING, ids=" ".join)
def test_what_a_command_does_takes_what_it_is_called_with(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As mypy cannot tell: the two meet when the command is carried out."""
    calls = []

    def compared(place: str) -> Callable[..., None]:
        signature = inspect.signature(later.body(place))

        def call(**given: Any) -> None:
            signature.bind(**given)
            others = signature.parameters.values()
            assert all(parameter.default is parameter.empty for parameter in others), "click alone gives defaults"
            calls.append(place)

        return call

    monkeypatch.setattr(f"llm_as_rnn.cli.commands.{words[0]}.body", compared)
    command = WORKING[words]
    assert command.callback is not None
    command.callback(**{str(parameter.name): None for parameter in command.params})
    assert len(calls) == 1
    assert calls[0].startswith(f"{words[0]}:")


def layers() -> dict[str, int]:
    """Give the height of each room, the lowest first, as the import contract has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    assert contract["type"] == "layers"
    rows = reversed(contract["layers"])
    return {room.strip(): height for height, row in enumerate(rows) for room in row.split("|")}


@pytest.mark.parametrize(
    ("shelf", "home"),
    [(catalogue.METHODS, "catalogue"), (catalogue.REFERENCES, "catalogue"), (RULES, "recurrence")],
)
def test_what_is_found_by_name_lies_where_an_import_may_reach(shelf: Shelf[Any], home: str) -> None:
    """A place in a text is an import that the import contracts do not see: here they are held to the same layers."""
    height = layers()
    for place in shelf.places.values():
        room = place.split(":")[0].split(".")[1]
        assert room == home or height[room] < height[home], place


def test_nobody_else_imports_by_a_text() -> None:
    """`later.body` and the commands reach this room alone, and datasets stand in their room or in others' packages."""
    users = {
        file.relative_to(ROOT / "src" / "llm_as_rnn").as_posix()
        for file in (ROOT / "src").rglob("*.py")
        if "from llm_as_rnn.core.shelf import" in file.read_text("utf-8")
    }
    shelves = {"catalogue.py", "recurrence/rules/__init__.py"}
    assert users == {*shelves, "cli/main.py", "cli/commands/later.py", "core/plugins.py", "datasets/registry.py"}
