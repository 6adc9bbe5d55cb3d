"""Progress on the terminal: a bar for each method, one for a download; nothing where there is no terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.records import StepRecord
from llm_as_rnn.task import Task

PIPE_WIDTH = 120
"""Columns of a table that nobody's terminal shows."""

console = Console()
"""Where results go."""

if not console.is_terminal:
    console = Console(width=PIPE_WIDTH)

messages = Console(stderr=True)
"""Where everything else goes, so that results can be piped."""


class Bars:
    """Live bars with what is done, columns of one's own, and the time left; nothing where there is no terminal.

    Parameters
    ----------
    *columns : TextColumn
        What stands between the figures and the time.
    width : int
        Of a bar's name, so that several bars begin at the same place.
    """

    def __init__(self, *columns: TextColumn, width: int = 0) -> None:
        self.done = 0
        self.total = 0
        self._progress = Progress(
            TextColumn(f"{{task.description:<{width}}}" if width else "{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            *columns,
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=messages,
            disable=not messages.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class RunProgress(Bars):
    """A live bar for each method: steps done, running score, tokens, time left.

    Parameters
    ----------
    task : Task
        Its first answer field gives the running score.
    """

    def __init__(self, task: Task) -> None:
        score = TextColumn("{task.fields[score]}", style="bold")
        super().__init__(score, TextColumn("{task.fields[tokens]}", style="dim"), width=14)
        self._metric = next(metric for metric in task_metrics(task) if not metric.judged)  # judges come later
        self._bars: dict[str, TaskID] = {}
        self._scores: dict[str, list[float]] = defaultdict(list)
        self._tokens: dict[str, int] = defaultdict(int)

    def begin(self, methods: Sequence[str], steps: int, past: Sequence[StepRecord]) -> None:
        """Draw the bars; what is done already counts."""
        self.total = len(methods) * steps
        for name in methods:
            self._bars[name] = self._progress.add_task(name, total=steps, start=False, score="", tokens="")
        for record in past:
            self.step(record)

    def step(self, record: StepRecord) -> None:
        """Move a method's bar by a step."""
        name = record.method
        self.done += 1
        self._tokens[name] += sum(call.prompt_tokens + call.completion_tokens for call in record.calls)
        if self._metric.name in record.scores:
            self._scores[name].append(record.scores[self._metric.name])
        scores, tokens = self._scores[name], self._tokens[name]
        self._progress.start_task(self._bars[name])
        self._progress.update(
            self._bars[name],
            advance=1,
            score=f"{self._metric.title} {sum(scores) / len(scores):.2f}" if scores else "",
            tokens=f"{tokens / 1000:,.1f} k tokens" if tokens else "",
        )


@contextmanager
def download_progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar while a file is fetched; it appears with the first bytes."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=messages, disable=not messages.is_terminal) as progress:
        bars: list[TaskID] = []

        def report(done: int, total: int | None) -> None:
            if not bars:
                bars.append(progress.add_task(f"fetching {what}", total=total))
            progress.update(bars[0], completed=done, total=total)

        yield report


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say what is being waited for."""
    if messages.is_terminal:
        with messages.status(what):
            yield
    else:
        yield
