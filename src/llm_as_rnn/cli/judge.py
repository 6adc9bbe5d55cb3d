"""``llm-as-rnn judge``: judge the answers of a run that is there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

from rich.progress import TaskID, TextColumn

from llm_as_rnn.cli.engines import given_again
from llm_as_rnn.cli.learning import take_settings
from llm_as_rnn.cli.main import DONE, SOME_FAILED
from llm_as_rnn.cli.process import INTERRUPTED, interrupts
from llm_as_rnn.cli.progress import Bars, PauseNotice, download_progress, pause_notice, say
from llm_as_rnn.cli.showing import show
from llm_as_rnn.core.calls import Call
from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.prompts import EVERY_ROOM, Prompts
from llm_as_rnn.core.task import Task
from llm_as_rnn.engines.resolve import resolve
from llm_as_rnn.metrics.judged import Judgement
from llm_as_rnn.metrics.summary import FailedCalls, failed_calls
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import needs_model
from llm_as_rnn.runs.judging import JudgeOptions, judge_run, require_judged


class JudgingProgress(Bars):
    """A live bar: judgements made, those that failed, time left; a line a minute where there is no terminal.

    Parameters
    ----------
    notice : PauseNotice, optional
        What is shown while the judge's engine is waited for.
    """

    def __init__(self, notice: PauseNotice | None = None) -> None:
        super().__init__(TextColumn("{task.fields[failed]}", style="dim", markup=False), notice=notice)
        self._failed = 0
        self._calls: list[Call] = []
        self._bar: TaskID | None = None

    def begin(self, total: int, done: int) -> None:
        """Draw the bar; what is done already counts."""
        self.done, self.total = done, total
        self._bar = self._progress.add_task("judging", total=total, completed=done, failed="")

    def judged(self, judgement: Judgement) -> None:
        """Move the bar by a judgement."""
        self.done += 1
        self._failed += not judgement.status.answered
        self._calls += judgement.calls
        if self._bar is not None:
            self._progress.update(self._bar, advance=1, failed=f"{self._failed} failed" if self._failed else "")

    def line(self) -> str:
        """Say in one line how far judging is."""
        failed = f", {self._failed} failed" if self._failed else ""
        waits = f"; {self.notice}" if str(self.notice) else ""
        return f"judging: {self.done} of {self.total} judgements{failed}{waits}"

    @property
    def calls(self) -> FailedCalls:
        """What became of the calls of this sitting."""
        return failed_calls(self._calls)


def judge(
    run: Path,
    model: str | None,
    base_url: str | None,
    timeout: float | None,
    patience: float | None,
    context: int | None,
    cache_reuse: int,
    prompts: Path | None,
    **how: Any,
) -> int:
    """Do what ``llm-as-rnn judge`` is told to."""
    options = JudgeOptions(settings=take_settings(how), **how)
    directory = RunDirectory(run)
    info = directory.info()
    templates = Prompts.with_folder(prompts, EVERY_ROOM)
    require_judged(info.task)
    if model is None and not needs_model(info.spec.methods):
        raise UsageError(f"{run} asked no model that could judge it", "name one with --judge")
    chosen = model or info.spec.model
    notice = pause_notice()
    server = {"base_url": base_url, "timeout": timeout, "patience": patience, "on_pause": notice}
    engine = prepare(info.task, chosen, context=context, cache_reuse=cache_reuse, slots=options.concurrency, **server)
    judged = judge_and_show(directory, engine, options, templates, notice, sys.argv[1:])
    if judged is None:
        return INTERRUPTED
    if chosen == info.spec.model:
        say("the judge is the model that it judges; --judge names another")
    return SOME_FAILED if judged.all_failed else DONE


def prepare(task: Task, model: str, **server: Any) -> Engine:
    """Give the engine of a judge, not open yet, for a task that has something to judge.

    Parameters
    ----------
    task : Task
        Whose answers are judged.
    model : str
        Who judges.
    **server
        As for `resolve`.

    Raises
    ------
    UsageError
        If it has not, or there is no such model.
    """
    require_judged(task)
    with download_progress(model) as progress:
        return resolve(model, progress=progress, **server)


def judge_and_show(
    directory: RunDirectory,
    engine: Engine,
    options: JudgeOptions,
    prompts: Prompts,
    notice: PauseNotice,
    words: Sequence[str],
) -> FailedCalls | None:
    """Judge a run and show its results.

    Parameters
    ----------
    directory, engine, options, prompts
        As for `judge_run`.
    notice : PauseNotice
        What is shown while the judge's engine is waited for.
    words : sequence of str
        The command that goes on with this when it was interrupted, without the program's name.

    Returns
    -------
    FailedCalls or None
        What became of the calls that were made; None if interrupted, which has been said then, and how to go on.
    """
    with JudgingProgress(notice) as watcher:
        try:
            interrupts.run(judge_run(directory, engine, options, prompts, watcher))
        except KeyboardInterrupt:
            kept = f"{watcher.done} of {watcher.total} judgements are kept" if watcher.total else "nothing was begun"
            say(f"interrupted; {kept}. To go on:\n{indent(given_again(words), '  ')}")
            return None
    show(directory)
    calls = watcher.calls
    if calls.failed:
        say(f"judging: {calls}; llm-as-rnn judge asks for these again when it is given again")
    return calls
