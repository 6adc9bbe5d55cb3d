"""A run's page beside the run itself (``run --serve``): what ``view`` shows, from the same command."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from llm_as_rnn.cli.progress import say, shows_live
from llm_as_rnn.runs.directory import RunDirectory

if TYPE_CHECKING:
    from llm_as_rnn.report.live import Server


class Page:
    """Serves a run's page from its first step on, in a thread of its own, until the command is over.

    Parameters
    ----------
    directory : RunDirectory
        The run's folder.
    wanted : bool
        Whether there is to be a page at all.
    """

    def __init__(self, directory: RunDirectory, *, wanted: bool) -> None:
        self._directory = directory
        self._wanted = wanted
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def show(self) -> None:
        """Begin, and say where the page is; the run's folder has to be there."""
        if not self._wanted or self._server:
            return
        from llm_as_rnn.report.live import Server, Watch  # noqa: PLC0415 - most runs are made without it

        self._server = Server(Watch(self._directory))
        self._thread = threading.Thread(target=self._server.serve, name="page", daemon=True)
        self._thread.start()
        say(f"{self._directory.path} is shown at {self._server.url}")

    def stay(self) -> None:
        """Keep the page on a terminal until somebody ends it; elsewhere nobody would."""
        if self._thread and shows_live():
            say("the page stays until Ctrl-C")
            # To be told to stop is how it ends, and no mishap.
            with suppress(KeyboardInterrupt):
                while self._thread.is_alive():
                    self._thread.join(1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.stop()
