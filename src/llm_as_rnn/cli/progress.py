"""Progress on the terminal: a bar for each method, one for a download; where there is no terminal, a line a minute."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
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
from rich.segment import Segment
from rich.text import Text

from llm_as_rnn.catalogue import asks_model
from llm_as_rnn.cli.process import ReaderGoneError, printable
from llm_as_rnn.core.figures import shown, time_span
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.engines.patience import Pause
from llm_as_rnn.metrics.scores import task_metrics

PIPE_WIDTH = 120
"""Columns of a table that nobody's terminal shows."""

EVERY = 60.0
"""Seconds between two lines that say where a command is, where no terminal shows it."""


class PlainConsole(Console):
    """A console to which a text is a text: it reads no markup and no emoji names, and shows control characters.

    What is printed comes from servers, models, data and file names. What is to have a style gets it from `Text`, or by
    ``style=``.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as every console does; only the console's own control codes stay what they are."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


console = PlainConsole()
"""Where results go."""

if not console.is_terminal:
    console = PlainConsole(width=PIPE_WIDTH)

messages = PlainConsole(stderr=True)
"""Where everything else goes, so that results can be piped."""


def shows_live() -> bool:
    """Tell whether bars and countdowns can be shown: on a terminal that can move its cursor."""
    return messages.is_interactive


def say(text: str) -> None:
    """Print one message; where no terminal shows it, on one line."""
    messages.print(text, soft_wrap=True)


class PauseNotice:
    """Says that an engine cannot serve now and is waited for: a countdown on a terminal, else a line when it begins.

    It is what `engines.resolve` takes as ``on_pause``.

    Parameters
    ----------
    clock : callable
        Gives seconds, as in `Pause.until`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.hosted = False
        """Whether live bars show it."""
        self._clock = clock
        self._pause: Pause | None = None
        self._live: Live | None = None

    def __call__(self, pause: Pause | None) -> None:
        """Hear of a pause, or that it is over."""
        before, self._pause = self._pause, pause
        if not shows_live():
            if pause and not before:
                say(str(self))
            elif before and not pause:
                say("no longer waiting")
        elif pause and not self._live and not self.hosted:
            self._live = Live(self, console=messages, transient=True)
            self._live.start()
        elif not pause and self._live:
            self._live.stop()
            self._live = None

    def __str__(self) -> str:
        """Give the notice as it is now; empty where nothing is waited for."""
        pause = self._pause
        if pause is None:
            return ""
        again = max(pause.until - self._clock(), 0)
        return f"waiting: {pause.why}; asked again in {time_span(again)}, {time_span(pause.left)} of patience left"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Show it, live."""
        yield Text(str(self), "yellow")


def pause_notice() -> PauseNotice:
    """Give what tells a user of a command that an engine is waited for."""
    return PauseNotice()


class Heartbeat:
    """Says once a minute where a command is, where no terminal shows it; also while a single call hangs.

    Parameters
    ----------
    line : callable
        Says it.
    wait : callable, optional
        Waits for so many seconds, and gives True when it is over. For tests.
    """

    def __init__(self, line: Callable[[], str], wait: Callable[[float], bool] | None = None) -> None:
        self._line = line
        self._over = threading.Event()
        self._wait = wait or self._over.wait
        # A thread, because the event loop may be the very thing that hangs.
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        if not shows_live():
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _beat(self) -> None:
        with suppress(OSError, ReaderGoneError):  # then nobody misses it
            while not self._wait(EVERY):
                say(self._line())


class _Display(Progress):
    """Bars, and a notice under them while an engine is waited for."""

    notice: PauseNotice | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        """Give the bars and the notice."""
        yield from super().get_renderables()
        if self.notice and str(self.notice):
            yield Text(str(self.notice), "yellow")


class Bars:
    """Live bars with what is done, columns of one's own, and the time left; a line a minute where there is no terminal.

    Parameters
    ----------
    *columns : TextColumn
        What stands between the figures and the time.
    notice : PauseNotice, optional
        What is shown while an engine is waited for.
    width : int
        Of a bar's name, so that several bars begin at the same place.
    """

    def __init__(self, *columns: TextColumn, notice: PauseNotice | None = None, width: int = 0) -> None:
        self.done = 0
        self.total = 0
        self.notice = notice or PauseNotice()
        self._heartbeat = Heartbeat(self.line)
        self._progress = _Display(
            TextColumn(f"{{task.description:<{width}}}" if width else "{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            *columns,
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=messages,
            disable=not shows_live(),
        )
        self._progress.notice = self.notice

    def line(self) -> str:
        """Say in one line where it is."""
        return f"{self.done} of {self.total}"

    def __enter__(self) -> Self:
        self.notice.hosted = True
        self._progress.start()
        self._heartbeat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heartbeat.__exit__(kind, error, trace)
        self.notice.hosted = False
        self._progress.stop()


class RunProgress(Bars):
    """A live bar for each method: steps done, running score, tokens, time left.

    Parameters
    ----------
    task : Task
        Its first answer field gives the running score.
    notice : PauseNotice, optional
        What is shown while an engine is waited for.
    clock : callable
        Gives seconds.
    begun : callable
        Is called when the run's folder is there, and before the first step.
    """

    def __init__(
        self,
        task: Task,
        notice: PauseNotice | None = None,
        clock: Callable[[], float] = time.monotonic,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        columns = (
            TextColumn("{task.fields[score]}", style="bold", markup=False),
            TextColumn("{task.fields[tokens]}", style="dim", markup=False),
        )
        super().__init__(*columns, notice=notice, width=14)
        self._task = task
        self._metric = next(metric for metric in task_metrics(task) if not metric.judged)  # judges come later
        self._bars: dict[str, TaskID] = {}
        self._scores: dict[str, list[float]] = defaultdict(list)
        self._tokens: dict[str, int] = defaultdict(int)
        self._latest = ""
        self._clock = clock
        self._pace = Pace(clock)
        self._begun = begun

    def begin(self, methods: Sequence[str], steps: int, past: Sequence[StepRecord]) -> None:
        """Draw the bars; what is done already counts."""
        self.total = len(methods) * steps
        for name in methods:
            self._bars[name] = self._progress.add_task(name, total=steps, start=False, score="", tokens="")
        for record in past:
            self.step(record)
        # References take no time to speak of, and would make the others look quick.
        begun = sum(asks_model(record.method) for record in past)
        self._pace = Pace(self._clock, steps * sum(map(asks_model, methods)) - begun)
        self._begun()

    def step(self, record: StepRecord) -> None:
        """Move a method's bar by a step."""
        name = self._latest = record.method
        self.done += 1
        self._pace.done += asks_model(name)
        self._tokens[name] += sum(call.prompt_tokens + call.completion_tokens for call in record.calls)
        if self._metric.name in record.scores:
            self._scores[name].append(record.scores[self._metric.name])
        tokens = self._tokens[name]
        self._progress.start_task(self._bars[name])
        self._progress.update(
            self._bars[name],
            advance=1,
            score=self._score(name),
            tokens=f"{tokens / 1000:,.1f} k tokens" if tokens else "",
        )

    def set_aside(self, steps: int) -> None:
        """Say how many steps are done anew because calls to the model had failed."""
        if steps:
            counted = f"{steps} step{'s' * (steps != 1)}"
            say(f"{counted} set aside and done anew: all from the first one on at which a call to the model failed")
        else:
            say("no call to the model had failed: nothing is asked again")

    def line(self) -> str:
        """Say in one line where the run is, and how it goes with the method that it is at."""
        if not self.total:
            return f"{self._task.name}: not begun yet, the model is being made ready"
        score = self._score(self._latest)
        parts = [f"{self._task.name}: {self.done} of {self.total} steps"]
        parts += [f"{self._latest} {score}"] if score else []
        left = self._pace.left()
        parts += [f"about {time_span(left)} left"] if left is not None else []
        return ", ".join(parts) + (f"; {self.notice}" if str(self.notice) else "")

    def _score(self, name: str) -> str:
        scores = self._scores[name]
        if not scores:
            return ""
        found = sum(scores) / len(scores)
        return f"{self._metric.title} {shown(found, self._metric.decimals(found))}"


class Pace:
    """Estimates how long the rest takes from how long it took so far.

    Parameters
    ----------
    clock : callable
        Gives seconds.
    total : int
        What is left to be done.
    """

    def __init__(self, clock: Callable[[], float], total: int = 0) -> None:
        self.done = 0
        self._total = total
        self._clock = clock
        self._begun = clock()

    def left(self) -> float | None:
        """Give the seconds left; None where nothing is done from which that could be told."""
        if not self.done:
            return None
        return (self._clock() - self._begun) / self.done * (self._total - self.done)


@contextmanager
def download_progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar while a file is fetched; it appears with the first bytes."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    so_far = ""

    def line() -> str:
        return f"fetching {what}{so_far}"

    progress = Progress(*columns, console=messages, disable=not shows_live())
    with progress, Heartbeat(line):
        bars: list[TaskID] = []

        def report(done: int, total: int | None) -> None:
            nonlocal so_far
            of = f" of {total / 1e6:,.0f}" if total else ""
            so_far = f": {done / 1e6:,.0f}{of} MB"
            if not bars:
                bars.append(progress.add_task(f"fetching {what}", total=total))
            progress.update(bars[0], completed=done, total=total)

        yield report


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say what is being waited for."""
    if shows_live():
        with messages.status(Text(what)):
            yield
    else:
        with Heartbeat(lambda: what):
            yield
