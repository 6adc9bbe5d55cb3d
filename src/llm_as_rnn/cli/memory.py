"""``llm-as-rnn memory``: every version of a memory, to read, to compare and to go back to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import click
import msgspec
from rich.table import Table
from rich.text import Text

from llm_as_rnn.catalogue import build
from llm_as_rnn.cli.learning import locked
from llm_as_rnn.cli.progress import console
from llm_as_rnn.core.changes import Item, MemoryDiff
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.method import Method
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Memory
from llm_as_rnn.datasets.terms import is_credentialed
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.versions import Event, versions
from llm_as_rnn.streams.online import Stream, revive
from llm_as_rnn.streams.saved import Saved, checked, read_saved, who_advises, write_saved
from llm_as_rnn.streams.settings import StreamSettings
from llm_as_rnn.streams.tending import pick
from llm_as_rnn.streams.tending import restore as put_back

NAMED = 6
"""Choices that an error names; a run may have hundreds of sequences."""

COLOURS = {"+": "green", "-": "red"}


class Row(msgspec.Struct):
    """A line of ``memory list`` where no terminal shows it; ``memory`` is null where the step left it as it was."""

    version: int
    t: int | None
    tokens: int | None
    update: str
    reason: str
    memory: str | None


def list_(path: Path, method: str | None, sequence: str | None) -> None:
    """Do what ``llm-as-rnn memory list`` is told to."""
    events = _history(path, method, sequence)
    if not console.is_terminal:
        for event in events:
            text = str(event.memory) if event.changed else None
            row = Row(event.memory.version, event.t, event.tokens, event.outcome, event.reason, text)
            click.echo(msgspec.json.encode(row))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("version", "step", "tokens", "update", "reason"):
        table.add_column(heading, justify="right" if heading in ("version", "step", "tokens") else "left")
    for event in events:
        cells = (event.memory.version, event.t, event.tokens, event.outcome, event.reason)
        style = None if event.changed else "dim"
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in cells), style=style)
    console.print(table)


def show(path: Path, method: str | None, sequence: str | None, version: int | None) -> None:
    """Do what ``llm-as-rnn memory show`` is told to."""
    events = _history(path, method, sequence)
    found = events[-1].memory if version is None else _version(events, version)
    if console.is_terminal:
        counted = "" if found.tokens is None else f", {found.tokens} tokens"
        console.print(f"version {found.version}{counted}", style="dim", highlight=False)
    click.echo(str(found))


def diff(path: Path, method: str | None, sequence: str | None, a: int, b: int) -> None:
    """Do what ``llm-as-rnn memory diff`` is told to."""
    events = _history(path, method, sequence)
    before, after = _version(events, a), _version(events, b)
    changes = MemoryDiff().step(0, before, after)
    if all(item.mark == "=" for items in changes.values() for item in items):
        return
    console.print(Text(f"--- version {a}", "bold"))
    console.print(Text(f"+++ version {b}", "bold"))
    for name, items in changes.items():
        console.print(Text(f" ## {name}"), soft_wrap=True)
        for item in items:
            for line in [_coloured(item)] if console.is_terminal else _plain(item):
                console.print(line, soft_wrap=True)


def restore(file: Path, version: int) -> None:
    """Do what ``llm-as-rnn memory restore`` is told to."""
    if file.is_dir():
        raise UsageError(f"{file} is a folder: a run's journal is never changed", "name a learner's file")
    read_saved(file)  # before a lock is left beside what is no such file
    with locked(file):
        saved = read_saved(file)
        method, stream = _opened(saved)
        stream = put_back(method, stream, version, saved.choices["budget"], limits=StreamSettings.of(saved.choices))
        content = checked(stream, partial(revive, method), "the restored memory")
        changed = msgspec.structs.replace(saved, stream=msgspec.Raw(content))
        write_saved(file, changed, private=is_credentialed(saved.task))
    click.echo(f"version {stream.versions[-1].memory.version} holds the text of version {version}")


def _history(path: Path, method: str | None, sequence: str | None) -> tuple[Event, ...]:
    """Read what happened to one memory.

    Raises
    ------
    RunError, UsageError
        If there is no memory to read, or it is not clear which one is meant.
    """
    if path.is_dir():
        directory = RunDirectory(path)
        directory.info()
        histories = {**versions(directory.records()), **directory.lessons()}
    else:
        saved = read_saved(path)
        _, stream = _opened(saved)
        histories = {(saved.method, saved.sequence.id): _events(stream)} if stream.versions else {}
    if not histories:
        raise UsageError(f"{path} holds no memory", "a method that keeps one has to learn there first: recurrent")
    return histories[_chosen(list(histories), method, sequence)]


def _chosen(names: Sequence[tuple[str, str]], method: str | None, sequence: str | None) -> tuple[str, str]:
    """Find the one memory that is meant."""
    for option, given, place in (("method", method, 0), ("sequence", sequence, 1)):
        there = list(dict.fromkeys(name[place] for name in names))
        if given is None and len(there) > 1:
            raise UsageError(f"memories of several {option}s are there", f"choose with --{option}: {_named(there)}")
        if given is not None and given not in there:
            raise UsageError(f"there is no memory of the {option} {given!r}", f"there is {_named(there)}")
        names = [name for name in names if given in (None, name[place])]
    return names[0]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _opened(saved: Saved) -> tuple[Method, Stream]:
    """Read a learner's stream. Its method is not going to ask anything: all that matters of settings is who advises."""
    method = build(saved.method, saved.task, who_advises(saved), Prompts())
    return method, revive(method, bytes(saved.stream), saved.sequence)


def _events(stream: Stream) -> tuple[Event, ...]:
    return tuple(
        Event(
            entry.t,
            "start" if entry.t is None and not entry.memory.version else "accepted",
            entry.reason,
            entry.memory,
            entry.memory.tokens,
            changed=True,
        )
        for entry in stream.versions
    )


def _version(events: Sequence[Event], number: int) -> Memory:
    return pick((event.memory for event in events), number)


def _plain(item: Item) -> Iterator[Text]:
    if item.mark == "~":
        yield Text("-- " + "".join(span.text for span in item.spans if span.mark != "+"))
        yield Text("+- " + item.text)
    else:
        yield Text(f"{' ' if item.mark == '=' else item.mark}- {item.text}")


def _coloured(item: Item) -> Text:
    if item.mark != "~":
        return Text(f"{' ' if item.mark == '=' else item.mark}- {item.text}", COLOURS.get(item.mark, ""))
    line = Text("~- ")
    for span in item.spans:
        # Without colours, crossed out is still told from new.
        line.append(span.text, {"+": "green bold", "-": "red strike"}.get(span.mark))
    return line
