"""A hint names no option that the command does not have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import llm_as_rnn
from llm_as_rnn.cli.engines import given_again
from llm_as_rnn.cli.main import cli
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.runs.judging import JudgeOptions
from tests.cli.commands import command
from tests.cli.test_interrupts import interrupted_at
from tests.cli.test_kill import script
from tests.fake_server import FakeServer
from tests.helpers import run_options
from tests.runs.test_execute import WANTED, go

NEVER_SHOWN = "pa55w0rd"

SOURCES = Path(llm_as_rnn.__file__).parent
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")

WHERE = {
    "cli/engines.py": ("run", "judge"),
    "cli/judge.py": ("judge",),
    "cli/lines.py": ("predict",),
    "cli/predict.py": ("predict",),
    "cli/remote.py": ("predict",),
    "cli/run.py": ("run",),
    "cli/running.py": ("run", "sweep"),
    "cli/sweep.py": ("sweep",),
    "datasets/mimic/__init__.py": ("run", "data show", "data check"),
    "datasets/pbc.py": ("run",),
    "datasets/tables.py": ("run",),
    "recurrence/policy.py": ("run", "predict"),
    "runs/directory.py": ("run",),
    "runs/execute.py": ("run", "data check"),
    "runs/journal.py": ("run",),
    "runs/writing.py": ("run",),
    "runs/remote.py": ("run", "judge", "predict"),
    "runs/spec.py": ("run",),
    "runs/sweep.py": ("sweep",),
}
"""The commands in which a module's errors can arise; those of any other must name an option that some command has."""

EITHER = {"cli/data.py": ("data list", "data show", "data make", "data check")}
"""Modules that are several commands: an error of theirs is of one of these."""


OF_OTHERS = {"service/backup.py": {"--format", "--file"}, "engines/sources.py": {"--with"}}
"""Options of other programs, which hints name: pg_dump's."""


def options_of(group: click.Group = cli, before: str = "") -> Iterator[tuple[str, set[str]]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from options_of(found, f"{before}{name} ")
        yield f"{before}{name}", {word for parameter in found.params for word in parameter.opts} | {"--help"}


COMMANDS = dict(options_of())
EVERY = set[str]().union(*COMMANDS.values(), {"--debug", "--version"})


def hinted(path: Path) -> set[str]:
    """List the options that a module's errors name: those in what is raised, and in hints with a name of their own."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told: list[ast.stmt] = [node for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    told += [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and "hint" in ast.unparse(node.targets[0])]
    told += [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)]
    texts = [
        part.value
        for node in told
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    return {f"--{name.rstrip('-')}" for text in texts for name in OPTION.findall(text)}


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCES)))
def test_errors_name_options_that_the_command_has(path: Path) -> None:
    commands = WHERE.get(str(path.relative_to(SOURCES).as_posix()), ())
    for option in hinted(path) - OF_OTHERS.get(str(path.relative_to(SOURCES).as_posix()), set()):
        assert option in EVERY
        assert not [name for name in commands if option not in COMMANDS[name]], option
        either = EITHER.get(str(path.relative_to(SOURCES).as_posix()), ())
        assert not either or any(option in COMMANDS[name] for name in either), option


@pytest.mark.parametrize("name", ["sequences", "steps", "budget", "seed", "delay", "thinking"])
def test_a_run_names_its_own_options(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        go(tmp_path / "run", run_options(**{**WANTED, name: -1}))
    assert OPTION.findall(caught.value.hint) == [name]
    assert f"--{name}" in COMMANDS["run"]


def test_judges_name_the_options_of_their_command(tmp_path: Path) -> None:
    for name in ("times", "concurrency", "thinking"):
        named: dict[str, Any] = {"settings": {name: -1}} if name == "thinking" else {name: -1}
        with pytest.raises(UsageError, match=f"--{name}"):
            JudgeOptions(**named)
        assert f"--{name}" in COMMANDS["judge"]
    result = command("run", "weather", "-m", script(tmp_path), "--judge", "scripted:x", "--judge-times", "0")
    assert result.returncode == 2
    assert "--judge-times" in result.stderr


@pytest.mark.parametrize(
    "address",
    [
        ["--base-url", f"http://ann:{NEVER_SHOWN}@127.0.0.1:9/v1"],
        [f"--base-url=http://ann:{NEVER_SHOWN}@127.0.0.1:9/v1"],
        ["--base-url", f"http://127.0.0.1:9/v1?key={NEVER_SHOWN}"],
    ],
)
def test_the_hint_how_to_go_on_shows_no_password(tmp_path: Path, address: list[str]) -> None:
    out = str(tmp_path / "run")
    code, errors = interrupted_at("llm_as_rnn.cli.run", "execute", "run", "weather", "-m", "openai:m", *address)
    assert (code, NEVER_SHOWN in errors) == (130, False), errors
    assert "http://127.0.0.1:9/v1" in errors
    assert "login or query of --base-url" in errors
    run = ["run", "weather-text", "-m", script(tmp_path), "--methods", "zero_shot", "--sequences", "1", "--steps", "1"]
    assert command(*run, "--form", "line", "--style", "completion", "--out", out).returncode == 0
    code, errors = interrupted_at("llm_as_rnn.cli.judge", "judge_run", "judge", out, "--judge", "openai:m", *address)
    assert (code, NEVER_SHOWN in errors) == (130, False), errors
    assert "http://127.0.0.1:9/v1" in errors


def test_nor_does_the_one_after_a_run_whose_judge_was_interrupted(tmp_path: Path) -> None:
    with FakeServer(answer=" rain, 9.5") as server:
        url = server.url.replace("://", f"://ann:{NEVER_SHOWN}@")
        arguments = ["run", "weather-text", "-m", "openai:fake", "--judge", "openai:fake", "--base-url", url]
        arguments += ["--methods", "zero_shot", "--sequences", "1", "--steps", "1", "--out", str(tmp_path / "run")]
        code, errors = interrupted_at("llm_as_rnn.cli.judge", "judge_run", *arguments)
    assert (code, NEVER_SHOWN in errors) == (130, False), errors
    assert f"--base-url {server.url}" in errors
    assert "login or query of --base-url" in errors


def test_a_command_without_secrets_is_given_again_as_it_was() -> None:
    words = ["run", "weather", "--base-url", "http://localhost:8000/v1/", "--out", "my run"]
    assert given_again(words) == "llm-as-rnn run weather --base-url http://localhost:8000/v1/ --out 'my run'"
