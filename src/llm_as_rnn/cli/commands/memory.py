"""``llm-as-rnn memory``: every version of a memory, to read, to compare and to go back to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from llm_as_rnn.cli.commands.later import body
from llm_as_rnn.runs.versions import LESSONS

F = TypeVar("F", bound=Callable[..., object])


def _which(command: F) -> F:
    """Add what says which memory is meant."""
    command = click.option(
        "--sequence", help=f"Of a run: whose memory, where several have one; {LESSONS}: that which they share."
    )(command)
    command = click.option("--method", help="Of a run: which method's, where several keep one.")(command)
    return click.argument("path", type=click.Path(path_type=Path))(command)


@click.group()
def memory() -> None:
    """List, show, compare and restore the versions of a memory.

    PATH is a run's folder, or the file of a learner or of `llm-as-rnn predict --state`. A memory that an update did not
    change keeps its version's number.

    \b
    Examples:
      llm-as-rnn memory list state.json
      llm-as-rnn memory show runs/mine --method recurrent --sequence may
      llm-as-rnn memory diff state.json 3 5
      llm-as-rnn memory restore state.json --version 3
    """


@memory.command("list")
@_which
def list_(**given: Any) -> Any:
    """List the versions of the memory in PATH.

    Steps of a run that left it as it was are listed too. A table on a terminal; else JSON lines, with each version's
    text.
    """
    return body("memory:list_")(**given)


@memory.command()
@_which
@click.option("--version", type=int, help="Which [default: the latest].")
def show(**given: Any) -> Any:
    """Show one version of the memory in PATH."""
    return body("memory:show")(**given)


@memory.command()
@_which
@click.argument("a", type=int)
@click.argument("b", type=int)
def diff(**given: Any) -> Any:
    """Show what changed from version A to version B.

    It goes item by item. On a terminal, edited items are shown once with their changes coloured; else every line begins
    with a space, + or -. Nothing is shown if nothing changed. An item that only moved has not changed.
    """
    return body("memory:diff")(**given)


@memory.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--version", type=int, required=True, help="Which to put back.")
def restore(**given: Any) -> Any:
    """Put an earlier version back, as a new version.

    Nothing is lost. FILE is that of a learner or of `llm-as-rnn predict --state`; predictions in it go on waiting. A
    program that has it loaded does not see this, and writes over it. Whoever loads it next counts the memory anew.
    """
    return body("memory:restore")(**given)
