"""Help as somebody new reads it: nothing is broken off, options stand in groups, every command has an example."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from llm_as_rnn.cli.main import cli
from tests.cli.commands import command


def every_command(found: click.Command, *words: str) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(words), found
    if isinstance(found, click.Group):
        context = click.Context(found)
        for name in found.list_commands(context):
            below = found.get_command(context, name)
            assert below is not None
            yield from every_command(below, *words, name)


COMMANDS = dict(every_command(cli))


def help_of(name: str) -> str:
    return command(*name.split(), "--help").stdout


@pytest.mark.parametrize("name", [name for name, found in COMMANDS.items() if isinstance(found, click.Group)])
def test_a_list_of_commands_breaks_no_sentence_off(name: str) -> None:
    listed = help_of(name).partition("\nCommands:\n")[2]
    assert listed
    assert "..." not in listed


@pytest.mark.parametrize("name", ["run", "sweep", "predict"])
def test_many_options_stand_under_headings_and_none_is_lost(name: str) -> None:
    text = help_of(name)
    headings = re.findall(r"^([A-Z][^\n]*):$", text, re.MULTILINE)
    assert {"Options", "How the model is asked", "The memory, and how it is updated"} <= set(headings)
    for option in COMMANDS[name].params:
        if isinstance(option, click.Option):
            assert re.search(rf"^  .*{max(option.opts, key=len)}\b", text, re.MULTILINE), option.name


@pytest.mark.parametrize("name", [name for name in COMMANDS if len(name.split()) == 1])
def test_every_command_has_an_example(name: str) -> None:
    assert re.search(rf"^    llm-as-rnn {name}\b", help_of(name), re.MULTILINE)
