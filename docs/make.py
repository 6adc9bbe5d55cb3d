"""Lay out the pages of the documentation in build/docs, from which Zensical builds the site (`make docs`).

The pages are written so that they can be read in the repository as they stand. Two things are done to copies of them:
the README, the changelog and the page for contributors move in among the others, which takes other links; and the page
on the command line gets what the commands say of themselves, so that it cannot tell anything else than ``--help``.
"""

from __future__ import annotations

import inspect
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from llm_as_rnn.cli.main import cli

ROOT = Path(__file__).parents[1]
SITE = ROOT / "build" / "docs"

BESIDE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""The pages outside of docs/, and their names in the site."""

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w`-])--[a-z][a-z-]*")
KEPT = "\b\n"
"""What click's help texts put before a paragraph whose lines are kept."""


def pages() -> set[str]:
    """Name the pages that there are, as the site names them."""
    return {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")} | {*BESIDE.values()}


def in_navigation() -> list[str]:
    """Name the pages that the navigation leads to."""
    text = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    return list(_ends(tomllib.loads(text)["project"]["nav"]))


def _ends(entry: Any) -> Iterator[str]:
    match entry:
        case str():
            yield entry
        case dict():
            yield from _ends([*entry.values()])
        case _:
            for below in entry:
                yield from _ends(below)


def lay_out() -> None:
    """Write all pages anew.

    Raises
    ------
    SystemExit
        If the navigation leaves a page out, or leads to one that is not there; Zensical says nothing of either.
    """
    amiss = pages().symmetric_difference(in_navigation())
    if amiss:
        raise SystemExit(f"in zensical.toml's navigation or in docs/, but not in both: {', '.join(sorted(amiss))}")
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", SITE, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name, there in BESIDE.items():
        (SITE / there).write_text(moved((ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
    with (SITE / "commands.md").open("a", encoding="utf-8") as page:
        page.writelines(f"\n{part}\n" for part in described(cli, "llm-as-rnn"))


def moved(page: str) -> str:
    """Give a page of the repository's root with the links that it has in the site.

    >>> moved("[a](docs/tutorial.md#run), [b](CHANGELOG.md), [c](https://riverml.xyz), [the file](examples/task)")
    '[a](tutorial.md#run), [b](changelog.md), [c](https://riverml.xyz), the file'
    """

    def link(match: re.Match[str]) -> str:
        text, target = match.groups()
        if target in BESIDE:
            return f"[{text}]({BESIDE[target]})"
        if target.startswith(("http", "#")):
            return match[0]
        # What is no page stays in the repository; its name tells where.
        return f"[{text}]({target.removeprefix('docs/')})" if target.startswith("docs/") else text

    return LINK.sub(link, page)


def described(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[str]:
    """Describe a command and those below it, a piece of Markdown after the other."""
    context = click.Context(command, parent=parent, info_name=name, **command.context_settings)
    yield f"{'##' if parent is None or parent.parent is None else '###'} {context.command_path}"
    yield f"```text\n{' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n```"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield _as_it_stands(paragraph) if paragraph.startswith(KEPT) else in_type(paragraph)
    yield "\n".join(["| option | what it does |", "|---|---|", *_rows(command, context)])
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None:
                yield from described(found, below, context)


def in_type(text: str) -> str:
    """Set the options in a text apart.

    >>> in_type("an interrupted run goes on with --resume")
    'an interrupted run goes on with `--resume`'
    """
    return OPTION.sub(r"`\g<0>`", text)


def _as_it_stands(paragraph: str) -> str:
    title, _, lines = paragraph.removeprefix(KEPT).partition("\n")
    return f"{title}\n\n```text\n{inspect.cleandoc(lines)}\n```"


def _plain(what: str) -> str:
    """Give a text of help in one line, whose brackets name no page: click writes one pair behind the other."""
    return " ".join(what.split()).replace("] [", r"] \[")


def _rows(command: click.Command, context: click.Context) -> Iterator[str]:
    """Give a row for every parameter that has something said of it; the names of the others stand in the usage."""
    records = filter(None, (parameter.get_help_record(context) for parameter in command.get_params(context)))
    return (f"| `{names}` | {in_type(_plain(what))} |" for names, what in records if what)


if __name__ == "__main__":
    lay_out()
