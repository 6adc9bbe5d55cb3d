"""What ``llm-as-rnn view`` does."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from pathlib import Path

from llm_as_rnn.cli.main import DONE
from llm_as_rnn.cli.progress import say
from llm_as_rnn.report.live import Server, Watch
from llm_as_rnn.runs.directory import RunDirectory


def view(directory: Path, port: int, browser: bool) -> int:
    """Do what ``llm-as-rnn view`` is told to."""
    server = Server(Watch(RunDirectory(directory)), port)
    say(f"{directory} is shown at {server.url}; Ctrl-C ends it")
    if browser:
        webbrowser.open(server.url)
    # To be told to stop is how it ends, and no mishap.
    with suppress(KeyboardInterrupt):
        server.serve()
    return DONE
