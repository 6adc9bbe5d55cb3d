"""``llm-as-rnn view``: a run in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from llm_as_rnn.cli.commands.later import body


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen at [default: any that is free].")
@click.option(
    "--browser/--no-browser", default=True, help="Open the browser, or only say where the page is [default: open it]."
)
def view(**given: Any) -> Any:
    """Show the run in DIR in the browser, step by step, also one that is still running.

    New steps appear as they are written. The address holds a key: who does not have it, on this machine or elsewhere,
    gets nothing.

    \b
    Examples:
      llm-as-rnn view runs/mine
      llm-as-rnn view runs/mine --no-browser --port 8080
    """
    return body("view:view")(**given)
