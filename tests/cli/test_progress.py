"""What a command says of where it is: bars on a terminal, a line a minute elsewhere, and why it waits."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llm_as_rnn.cli import progress, results
from llm_as_rnn.cli.judge import JudgingProgress
from llm_as_rnn.cli.progress import EVERY, Heartbeat, PauseNotice, PlainConsole, RunProgress, pause_notice, waiting
from llm_as_rnn.core.task import Task
from llm_as_rnn.engines.patience import Pause
from llm_as_rnn.report import compared
from llm_as_rnn.runs.directory import RunDirectory
from tests.metrics.steps import step
from tests.runs.test_execute import go


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Give what is said where no terminal is."""
    console = PlainConsole(width=200)
    console.file = io.StringIO()
    monkeypatch.setattr(progress, "messages", console)
    return console.file


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Give what is shown on a terminal."""
    monkeypatch.setenv("TERM", "xterm")
    console = PlainConsole(width=200)
    console.file = io.StringIO()
    monkeypatch.setattr(console, "_force_terminal", True)
    monkeypatch.setattr(console, "is_interactive", True)
    monkeypatch.setattr(progress, "messages", console)
    assert progress.shows_live()
    return console.file


def beats(times: int) -> tuple[Callable[[float], bool], threading.Event]:
    """Give a wait that is over so many times at once, and then waits for the end; and what says that it is there."""
    left, over, all_told = iter(range(times)), threading.Event(), threading.Event()

    def wait(seconds: float) -> bool:
        assert seconds == EVERY == 60
        if next(left, None) is not None:
            return False
        all_told.set()
        over.set()
        return over.wait()

    return wait, all_told


def test_off_the_terminal_a_line_a_minute_says_where_a_run_is(weather: Task, told: io.StringIO) -> None:
    clock = Hand()
    watcher = RunProgress(weather, clock=clock)
    assert "not begun yet" in watcher.line()
    past = [step(method="zero_shot", t=0, scores={"sky.accuracy": 1.0})]
    watcher.begin(["zero_shot", "recurrent", "majority"], 4, past)
    assert watcher.line() == "weather: 1 of 12 steps, zero_shot sky accuracy 1.00"
    clock.now = 60.0
    watcher.step(step(method="recurrent", t=0, scores={"sky.accuracy": 1.0}))
    watcher.step(step(method="recurrent", t=1, scores={"sky.accuracy": 0.0}))
    for t in range(4):
        watcher.step(step(method="majority", t=t))
    watcher.step(step(method="recurrent", t=2, scores={"sky.accuracy": 0.0}))
    # Seven steps ask a model from here on, three of them are done in a minute, and references take no time.
    assert watcher.line() == "weather: 8 of 12 steps, recurrent sky accuracy 0.33, about 1 min left"


def test_it_is_said_even_while_a_single_call_hangs(told: io.StringIO) -> None:
    wait, all_told = beats(2)
    with Heartbeat(lambda: "still here", wait):
        assert all_told.wait(60)  # nothing else moves meanwhile
    assert told.getvalue().splitlines() == ["still here", "still here"]


def test_on_a_terminal_there_are_bars_instead(terminal: io.StringIO) -> None:
    wait, _ = beats(2)
    with Heartbeat(lambda: "still here", wait):
        pass
    assert "still here" not in terminal.getvalue()


@pytest.mark.parametrize("what", ["run", "judging", "download", "waiting"])
def test_every_long_thing_has_a_line(
    weather: Task, told: io.StringIO, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    wait, all_told = beats(1)
    plain = Heartbeat.__init__
    monkeypatch.setattr(Heartbeat, "__init__", lambda self, line, _=None: plain(self, line, wait))
    things: dict[str, Any] = {
        "run": lambda: RunProgress(weather),
        "judging": JudgingProgress,
        "download": lambda: progress.download_progress("a [model]"),
        "waiting": lambda: waiting("loading"),
    }
    with things[what]():
        assert all_told.wait(60)
    lines = {"run": "weather: not begun", "judging": "judging: 0 of 0", "download": "fetching a [model]"}
    assert told.getvalue().startswith(lines.get(what, "loading"))


def test_reports_are_not_written_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go(tmp_path / "run")
    now, seen = [""], []

    @contextmanager
    def noted(what: str) -> Iterator[None]:
        now.append(what)
        yield
        now.pop()

    def note(home: ModuleType, name: str) -> None:
        real = getattr(home, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            seen.append((name, now[-1]))
            return real(*arguments, **named)

        monkeypatch.setattr(home, name, watched)

    monkeypatch.setattr(results, "waiting", noted)
    for name in ("summarise", "write_report", "write_pictures"):
        note(results, name)
    note(compared, "summarise")
    directory, end = RunDirectory(tmp_path / "run"), PlainConsole(width=200)
    end.file = io.StringIO()
    results.show_run(directory, end)
    assert seen == [("summarise", "writing the report"), ("write_report", "writing the report")]
    seen.clear()
    results.draw(directory)
    assert seen == [("summarise", "drawing pictures"), ("write_pictures", "drawing pictures")]
    seen.clear()
    results.show_comparison([directory, directory], end, tmp_path / "both.html")
    assert seen == [("summarise", "comparing the runs")] * 2
    assert now == [""]


def test_a_run_says_how_many_steps_are_done_anew(weather: Task, told: io.StringIO) -> None:
    watcher = RunProgress(weather)
    for steps in (7, 1, 0):
        watcher.set_aside(steps)
    assert told.getvalue().splitlines() == [
        "7 steps set aside and done anew: all from the first one on at which a call to the model failed",
        "1 step set aside and done anew: all from the first one on at which a call to the model failed",
        "no call to the model had failed: nothing is asked again",
    ]


def test_a_pause_is_said_once_when_it_begins_and_once_when_it_ends(told: io.StringIO) -> None:
    notice = PauseNotice(lambda: 100.0)
    notice(Pause("503 [/busy]", 112.0, 540.0))
    notice(Pause("503 [/busy]", 130.0, 500.0))
    notice(None)
    assert told.getvalue().splitlines() == [
        "waiting: 503 [/busy]; asked again in 12 s, 9 min of patience left",
        "no longer waiting",
    ]


def test_a_pause_stands_in_the_line_of_a_run(weather: Task, told: io.StringIO) -> None:
    notice = PauseNotice(lambda: 100.0)
    watcher = RunProgress(weather, notice)
    watcher.begin(["zero_shot"], 4, [])
    notice(Pause("503", 112.0, 540.0))
    assert watcher.line() == ("weather: 0 of 4 steps; waiting: 503; asked again in 12 s, 9 min of patience left")
    notice(None)
    assert "waiting" not in watcher.line()


def test_on_a_terminal_a_pause_counts_down(terminal: io.StringIO) -> None:
    clock = Hand()
    notice = PauseNotice(clock)
    notice(Pause("503", 12.0, 540.0))
    for clock.now in (0.0, 1.0, 11.0):
        assert f"asked again in {12 - clock.now:.0f} s" in str(notice)
        assert notice._live is not None
        notice._live.refresh()
    notice(None)
    assert notice._live is None
    shown = terminal.getvalue()
    assert all(f"asked again in {left} s" in shown for left in (12, 11, 1))


def test_with_bars_the_countdown_stands_under_them(weather: Task, terminal: io.StringIO) -> None:
    notice = PauseNotice(lambda: 0.0)
    with RunProgress(weather, notice) as watcher:
        watcher.begin(["zero_shot"], 4, [])
        notice(Pause("503 [red]", 12.0, 540.0))
        assert notice._live is None, "one live display at a time"
        watcher._progress.refresh()
        notice(None)
    assert "waiting: 503 [red]; asked again in 12 s" in terminal.getvalue()


def test_a_notice_for_commands_without_bars() -> None:
    assert isinstance(pause_notice(), PauseNotice)
