"""``llm-as-rnn models``: model files for the embedded engine."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from llm_as_rnn.cli.progress import console, download_progress, waiting
from llm_as_rnn.engines import models as files


@click.group()
def models() -> None:
    """List, fetch and check model files for the embedded engine."""


@models.command("list")
def list_() -> None:
    """List the registered models, and which of them are here."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("model", "size", "licence", "asked as", "here"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    for entry, path in files.listing():
        size = f"{entry.bytes / 1e6:,.0f} MB"
        table.add_row(
            f"llamacpp:{entry.name}", size, entry.licence, f"{entry.style}, {entry.form}", "yes" if path else ""
        )
    console.print(table)
    console.print(f"folder: {files.models_folder()}", soft_wrap=True)


@models.command()
@click.argument("name")
def pull(name: str) -> None:
    """Fetch and check the model NAME, if it is not here."""
    with download_progress(name.removeprefix("llamacpp:")) as progress:
        path = files.pull(name.removeprefix("llamacpp:"), progress)
    console.print(str(path), soft_wrap=True)


@models.command()
@click.argument("name")
def show(name: str) -> None:
    """Say all that is known of the model NAME, and check its file if it is here."""
    entry = files.registered(name.removeprefix("llamacpp:"))
    path = files.locate(entry.name)
    if path:
        with waiting(f"checking {path}"):
            files.verify(path, entry)
    facts = {
        "model": f"llamacpp:{entry.name}",
        "family": entry.family,
        "licence": entry.licence,
        "file": entry.file,
        "bytes": f"{entry.bytes:,}",
        "SHA-256": entry.sha256,
        "sources": "; ".join(map(str, entry.sources)),
        "asked as": f"{entry.style}, {entry.form}",
        "here": f"{path} (checked)" if path else f"no; llm-as-rnn models pull {entry.name}",
    }
    for heading, fact in facts.items():
        console.print(Text.assemble((f"{heading:<9}", "dim"), f" {fact}"), soft_wrap=True)
