"""A download shown in a notebook: whoever makes a learner there has no terminal on which a bar could move."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from llm_as_rnn.core import notebook
from llm_as_rnn.engines.sources import Progress

EVERY = 0.5
"""Seconds between two looks at a download."""


def in_notebook(model: str, clock: Callable[[], float] = time.monotonic) -> Progress | None:
    """Give what shows how far the download of a model is; None outside of notebooks.

    Parameters
    ----------
    model : str
        Its name.
    clock : callable
        Gives seconds.
    """
    ipython: Any = sys.modules.get("IPython")  # where it is not imported, nobody is in a notebook
    shell = ipython.get_ipython() if ipython else None
    return _Shown(model, ipython.display.display, clock) if hasattr(shell, "kernel") else None


class _Shown:
    """An output of a cell that says how far a download is, and changes in its place."""

    def __init__(self, model: str, display: Callable[..., Any], clock: Callable[[], float]) -> None:
        self._model, self._display, self._clock = model, display, clock
        self._handle: Any = None
        self._last = 0.0

    def __call__(self, done: int, total: int | None) -> None:
        now = self._clock()
        if self._handle is not None and now - self._last < EVERY and done != total:
            return
        self._last = now
        over = done == total
        said = f"{'fetched' if over else 'fetching'} {self._model}: {done / 1e6:,.0f}"
        said += f" of {total / 1e6:,.0f} MB" if total and not over else " MB"
        parts = [notebook.line(said, faint=True)]
        if total and not over:
            parts.append(notebook.bar(done / total))
        shown = {"text/plain": said, "text/html": notebook.page(*parts)}
        if self._handle is None:
            self._handle = self._display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
