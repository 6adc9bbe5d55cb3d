"""``llm-as-rnn judge``: judge the answers of a run that is there."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

import click
from rich.progress import TaskID, TextColumn

from llm_as_rnn.cli.main import DONE, INTERRUPTED
from llm_as_rnn.cli.progress import Bars, console, download_progress, messages
from llm_as_rnn.cli.results import show_run
from llm_as_rnn.engines.base import Engine
from llm_as_rnn.engines.resolve import resolve
from llm_as_rnn.metrics.judged import Judgement
from llm_as_rnn.prompts import EVERY_ROOM, Prompts
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.judging import JudgeOptions, judge_run, require_judged
from llm_as_rnn.task import Task


class JudgingProgress(Bars):
    """A live bar: judgements made, those that failed, time left; nothing where there is no terminal."""

    def __init__(self) -> None:
        super().__init__(TextColumn("{task.fields[failed]}", style="dim"))
        self._failed = 0
        self._bar: TaskID | None = None

    def begin(self, total: int, done: int) -> None:
        """Draw the bar; what is done already counts."""
        self.done, self.total = done, total
        self._bar = self._progress.add_task("judging", total=total, completed=done, failed="")

    def judged(self, judgement: Judgement) -> None:
        """Move the bar by a judgement."""
        self.done += 1
        self._failed += not judgement.status.answered
        if self._bar is not None:
            self._progress.update(self._bar, advance=1, failed=f"{self._failed} failed" if self._failed else "")


@click.command()
@click.argument("run", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--judge",
    "model",
    help="Who judges, named as for `run --model` [default: the run's own model].",
)
@click.option("--times", type=int, default=1, show_default=True, help="Judgements of each answer.")
@click.option("--base-url", help="URL of an OpenAI-compatible server [default: OPENAI_BASE_URL].")
@click.option("--context", type=int, help="Context window in tokens, for the embedded engine.")
@click.option("--concurrency", type=int, help="Questions at a time [default: the engine's slots].")
@click.option("--thinking", type=int, default=0, show_default=True, help="Tokens that a reasoning judge may think.")
@click.option(
    "--allow-remote-data",
    is_flag=True,
    help="Confirm that the terms of credentialed data cover a server that is not on this machine.",
)
@click.option("--prompts", type=click.Path(path_type=Path), help="Folder with templates of your own.")
def judge(
    run: Path, model: str | None, base_url: str | None, context: int | None, prompts: Path | None, **how: Any
) -> int:
    """Judge the answers of the run in DIR with a language model, and report again.

    For tasks with judged fields. A judge sees an answer, the outcome and a rubric, and neither method nor step. What is
    judged already is not asked again: an interrupted command goes on when it is given again, --times 3 after --times 1
    asks twice more, and another judge starts anew.

    \b
    Examples:
      llm-as-rnn judge runs/weather-text-1 --judge openai:MODEL --base-url http://localhost:8000/v1
      llm-as-rnn judge runs/weather-text-1 --judge openai:MODEL --times 3
    """
    options = JudgeOptions(**how)
    directory = RunDirectory(run)
    info = directory.info()
    templates = Prompts.with_folder(prompts, EVERY_ROOM)
    chosen = model or info.spec.model
    engine = prepare(info.task, chosen, base_url, context, options.concurrency)
    if not judge_and_show(directory, engine, options, templates):
        return INTERRUPTED
    if chosen == info.spec.model:
        messages.print("the judge is the model that it judges; --judge names another", highlight=False)
    return DONE


def prepare(
    task: Task, model: str, base_url: str | None, context: int | None = None, slots: int | None = None
) -> Engine:
    """Give the engine of a judge, not open yet, for a task that has something to judge.

    Raises
    ------
    UsageError
        If it has not, or there is no such model.
    """
    require_judged(task)
    with download_progress(model) as progress:
        return resolve(model, base_url=base_url, context=context, slots=slots, progress=progress)


def judge_and_show(directory: RunDirectory, engine: Engine, options: JudgeOptions, prompts: Prompts) -> bool:
    """Judge a run and show its results; say how to go on, and give False, if interrupted."""
    with JudgingProgress() as watcher:
        try:
            asyncio.run(judge_run(directory, engine, options, prompts, watcher))
        except KeyboardInterrupt:
            words = ["llm-as-rnn", "judge", str(directory.path), "--judge", engine.info.model]
            messages.print(
                f"interrupted; {watcher.done} of {watcher.total} judgements are kept. To go on:\n"
                f"  {shlex.join([*words, '--times', str(options.times)])}",
                highlight=False,
                soft_wrap=True,
            )
            return False
    show_run(directory, console)
    return True
