"""``llm-as-rnn models``: model files for the embedded engine."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from llm_as_rnn.cli.progress import console, download_progress, waiting
from llm_as_rnn.engines import models as files


def list_() -> None:
    """Do what ``llm-as-rnn models list`` is told to."""
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


def pull(name: str) -> None:
    """Do what ``llm-as-rnn models pull`` is told to."""
    with download_progress(name.removeprefix("llamacpp:")) as progress:
        path = files.pull(name.removeprefix("llamacpp:"), progress)
    console.print(str(path), soft_wrap=True)


def show(name: str) -> None:
    """Do what ``llm-as-rnn models show`` is told to."""
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
