"""What commands do when a run is over: they show it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from llm_as_rnn.cli.progress import console, say
from llm_as_rnn.engines.spending import Price
from llm_as_rnn.runs.directory import RunDirectory


def show(directory: RunDirectory, prices: Mapping[str, Price] | None = None) -> None:
    """Show a run as `results.show_run` does, and say how to see it if that is interrupted.

    Parameters
    ----------
    directory : RunDirectory
        The run's folder.
    prices : mapping of str to Price, optional
        What tokens cost, by model.

    Raises
    ------
    KeyboardInterrupt
        If it was.
    """
    try:
        # Whoever makes a run waits for its first step, and until here nothing needs what makes reports.
        from llm_as_rnn.cli.results import show_run  # noqa: PLC0415

        show_run(directory, console, prices=prices)
    except KeyboardInterrupt:
        say(f"the run itself is kept: llm-as-rnn report {shlex.quote(str(directory.path))} shows it")
        raise
