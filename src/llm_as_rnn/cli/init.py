"""``llm-as-rnn init``: a task file for a table of the user's own."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import UNSET
from rich.table import Table
from rich.text import Text

from llm_as_rnn.cli.progress import console, say, waiting
from llm_as_rnn.core.documents import did_you_mean
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.files import write_atomically
from llm_as_rnn.datasets.formats import Rows, in_text, read_cells, read_data
from llm_as_rnn.datasets.guessing.proposal import Proposal, Wishes, name_of, propose
from llm_as_rnn.datasets.guessing.written import task_text
from llm_as_rnn.datasets.tables import read_table

NONE = "none"
"""How a person says that there is no such column."""

STYLES = {"outcome": "green", "left out": "dim", "shown": ""}


def init(
    data: Path,
    out: Path | None,
    yes: bool,
    force: bool,
    outcome: tuple[str, ...],
    order: str | None,
    sequence: tuple[str, ...],
    **said: Any,
) -> None:
    """Do what ``llm-as-rnn init`` is told to."""
    out = out or Path(f"{data.stem}.yaml")
    _require_writable(out, force=force)
    with waiting("reading the data"):
        table = read_cells(data, read_data(data))
    if not yes and not can_ask():
        raise UsageError(
            "there is no terminal to ask on", "add --yes to take the proposal, with --outcome and the like"
        )
    wishes = Wishes(outcome or None, _none(order, table), _sequence(sequence, table), **said)
    proposal = _proposed(data, table, wishes)
    _show(proposal)
    if not yes:
        wishes = _asked(table, proposal, wishes)
        wishes = _asked_of_leaks(_proposed(data, table, wishes), wishes)
        asked = _proposed(data, table, wishes)
        if asked.columns != proposal.columns:
            _show(asked)
        proposal = asked
    # Read as a run will read it: what does not fit is named now, and nothing is written.
    read = read_table(data, proposal.task)
    write_atomically(out, task_text(proposal, shlex.quote(str(data)), shlex.quote(str(out))).encode())
    missing = proposal.task.data.missing if isinstance(proposal.task.data, msgspec.Struct) else UNSET
    if missing is not UNSET:
        say(f"taken for nothing, in every column: {', '.join(missing)} (--missing says what else, or edit the file)")
    for doubt in proposal.doubts:
        say(f"not sure: {doubt.what}; taken as {doubt.choices[0]} (--{doubt.about} says so)")
    part = "" if read.splits["development"] else " --split held_out"
    if part:
        say("all of its few sequences are in the part held_out: development, which a run takes else, has none")
    console.print(f"\n{out} is written: read it, and change what is wrong. Then:")
    for words in ("data check", "run"):
        more = f"{part} --quick" if words == "run" else ""
        line = f"  llm-as-rnn {words} {shlex.quote(str(out))} --data {shlex.quote(str(data))}{more}"
        console.print(line, soft_wrap=True)


def can_ask() -> bool:
    """Tell whether there is a person at a terminal who can answer."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _require_writable(out: Path, *, force: bool) -> None:
    if out.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{out} is no name of a task file", "name one that ends in .yaml with --out")
    if out.exists() and not force:
        raise UsageError(f"{out} is there already", "name another one with --out, or write over it with --force")


def _none(column: str | None, table: Rows) -> str | None:
    return "" if column == NONE and NONE not in table.columns else column


def _sequence(columns: tuple[str, ...], table: Rows) -> tuple[str, ...] | None:
    """Give the columns that were named, one an option or several with commas between; None where nothing was said."""
    if not columns:
        return None
    parts = [part for column in columns for part in _parts(column, table)]
    return tuple(column for part in parts if (column := _none(part, table)))


def _parts(text: str, table: Rows) -> list[str]:
    return [text] if text in table.columns else [part.strip() for part in text.split(",")]


def _proposed(data: Path, table: Rows, wishes: Wishes) -> Proposal:
    return propose(table, name_of(data), wishes, as_text=in_text(data))


def _show(proposal: Proposal) -> None:
    rows = f"{proposal.rows} rows" + (f" in {proposal.sequences} sequences" if proposal.sequences > 1 else "")
    console.print(f"{rows}:", highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("column", "holds", "used as", ""):
        table.add_column(name, overflow="fold")
    for column in proposal.columns:
        style = STYLES.get(column.role, "cyan")
        why = Text(column.why, style="yellow" if column.suspected else "dim")
        table.add_row(Text(column.name), Text(column.holds), Text(column.role, style=style), why)
    console.print(table)


# ----------------------------------------------------------------------------------------------------------- asking


def _asked(table: Rows, proposal: Proposal, wishes: Wishes) -> Wishes:
    """Ask what a table does not tell; what was said by an option is not asked."""
    data = proposal.task.data
    assert isinstance(data, msgspec.Struct)  # noqa: S101 - what is proposed has one
    for doubt in proposal.doubts:
        settled = click.prompt(doubt.what, default=doubt.choices[0], type=click.Choice(doubt.choices), err=True)
        wishes = msgspec.structs.replace(wishes, **{doubt.about: settled})
    if wishes.outcome is None:
        proposed = tuple(data.outcome.values())
        named = click.prompt(
            "What is to be predicted", ", ".join(proposed), value_proc=lambda text: _several(text, table), err=True
        )
        wishes = msgspec.structs.replace(wishes, outcome=named)
    if wishes.order is None:
        column = click.prompt(
            "What are rows sorted by", data.order or NONE, value_proc=lambda text: _one(text, table), err=True
        )
        wishes = msgspec.structs.replace(wishes, order=column)
    if wishes.sequence is None:
        columns = click.prompt(
            "What tells sequences apart",
            ", ".join(data.apart) or NONE,
            value_proc=lambda text: tuple(filter(None, _several(text, table))),
            err=True,
        )
        wishes = msgspec.structs.replace(wishes, sequence=columns)
    if wishes.ahead is None and wishes.order:
        what = f"How many rows later does {', '.join(wishes.outcome or ())} stand (0: in the row itself)"
        ahead = click.prompt(what, data.later, type=click.IntRange(min=0), err=True)
        wishes = msgspec.structs.replace(wishes, ahead=ahead)
    return wishes


def _asked_of_leaks(proposal: Proposal, wishes: Wishes) -> Wishes:
    """Ask of each column that seems to know the outcome, as it is now."""
    for column in proposal.columns:
        if column.suspected:
            leave = click.confirm(f"{column.name} {column.why}. Leave it out", default=True, err=True)
            kept = wishes.keep if leave else (*wishes.keep, column.name)
            wishes = msgspec.structs.replace(wishes, keep=kept)
    return wishes


def _one(text: str, table: Rows) -> str:
    if text == NONE and NONE not in table.columns:
        return ""
    if text not in table.columns:
        raise click.BadParameter(f"there is no column {text!r}: {did_you_mean(text, table.columns)}")
    return text


def _several(text: str, table: Rows) -> tuple[str, ...]:
    return tuple(_one(part, table) for part in _parts(text, table))
