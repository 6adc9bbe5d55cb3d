"""What the commands share that make runs: how many calls at a time, the cache of answers, and a judge after the run."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Any, NamedTuple

from platformdirs import user_cache_path

from llm_as_rnn.cli.engines import given_again
from llm_as_rnn.cli.judge import prepare
from llm_as_rnn.cli.progress import console, download_progress, waiting
from llm_as_rnn.core.engine import Engine
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.terms import require_local
from llm_as_rnn.engines.cache import CacheMode
from llm_as_rnn.engines.idle import IdleEngine
from llm_as_rnn.engines.resolve import resolve
from llm_as_rnn.engines.spending import Limits, Meter, read_prices
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import Options, needs_model
from llm_as_rnn.runs.forecast import Forecast, forecast
from llm_as_rnn.runs.judging import JudgeOptions


class Spending(NamedTuple):
    """What a command may spend, and whether it only says what it would.

    Attributes
    ----------
    meter : Meter
        Who counts.
    dry_run : bool
        Whether nothing is to be run.
    measure : int
        Steps that are measured then.
    """

    meter: Meter
    dry_run: bool
    measure: int


def take_spending(choices: dict[str, Any]) -> Spending:
    """Take what was said of spending out of a command's options.

    Raises
    ------
    UsageError
        If the prices cannot be read, or a cost is limited without any.
    """
    path, cost = choices.pop("prices"), choices.pop("max_cost")
    if cost is not None and not 0 < cost < math.inf:
        raise UsageError(f"a limit of {cost:g} leaves nothing to spend", "correct --max-cost")
    if cost is not None and path is None:
        raise UsageError("a cost is limited, and nobody says what a token costs", "name a table: --prices FILE")
    limits = Limits(choices.pop("max_tokens"), cost, choices.pop("max_time"))
    prices = {} if path is None else read_prices(path)
    return Spending(Meter(limits, prices), choices.pop("dry_run"), choices.pop("measure"))


def going_on(out: Path) -> str:
    """Write the command that was given as it goes on with what is in its folder."""
    words = [word for word in sys.argv[1:] if word != "--resume"]
    if not any(word == "--out" or word.startswith("--out=") for word in words):
        words += ["--out", str(out)]
    return f"To go on:\n{indent(given_again([*words, '--resume']), '  ')}"


def show_outlook(
    options: Options,
    engine: Engine,
    model: str,
    spending: Spending,
    directory: RunDirectory | None,
    *,
    retry_failed: bool,
) -> list[Forecast]:
    """Show what a run would take, or what is left of the one in a folder, and give it."""
    from llm_as_rnn.cli.outlook import outlook_remarks, outlook_table  # noqa: PLC0415 - most runs are made at once

    with waiting("walking through the run"):
        outlook = asyncio.run(forecast(options, engine, spending.measure, directory, retry_failed=retry_failed))
    price = spending.meter.prices.get(model)
    if outlook.methods:
        console.print(outlook_table(outlook, price))
    for line in outlook_remarks(outlook, price):
        console.print(line, style="dim")
    return outlook.methods


def require_concurrency(concurrency: int | None) -> None:
    """Refuse fewer than one sequence at a time.

    Raises
    ------
    UsageError
        If there are.
    """
    if concurrency is not None and concurrency < 1:
        raise UsageError(f"concurrency must be at least 1, not {concurrency}", "correct --concurrency")


def require_resumable(out: Path | None, *, resume: bool, retry_failed: bool) -> None:
    """Refuse to go on with nobody knows what.

    Raises
    ------
    UsageError
        If no folder is named, or failed calls are to be asked again in one that is new.
    """
    if resume and out is None:
        raise UsageError("--resume needs to know which run to go on with", "name its folder with --out")
    if retry_failed and not resume:
        raise UsageError(
            "--retry-failed is for a run that goes on", "add --resume, and name the run's folder with --out"
        )


def engine_of(model: str, options: Options, cache: CacheMode, **more: Any) -> Engine:
    """Give the engine of a run, not open yet; nothing is fetched where nobody asks a model.

    Parameters
    ----------
    model : str
        Who is asked.
    options : Options
        What is run.
    cache : str
        ``off``, ``record`` or ``replay``.
    **more
        As for `resolve`.
    """
    with download_progress(model) as progress:
        return recipe_of(model, options, cache, progress=progress, **more)()


def recipe_of(model: str, options: Options, cache: CacheMode, **more: Any) -> Callable[..., Engine]:
    """Give what makes the engine of a run, here or in another process; parameters are those of `engine_of`."""
    if not needs_model(options.methods):
        return _idle
    folder = None if cache == "off" else user_cache_path("llm-as-rnn") / "answers"
    return partial(resolve, model, cache_mode=cache, cache_folder=folder, **more)


def _idle(**more: Any) -> Engine:
    del more
    return IdleEngine()


def judge_options(options: Options, times: int) -> JudgeOptions:
    """Say how a run's answers are judged: a judge may think as long as the model that is judged."""
    thinking = {name: value for name, value in options.settings.items() if name == "thinking"}
    return JudgeOptions(times, settings=thinking, allow_remote_data=options.allow_remote_data)


def judge_of(task: Task, model: str, how: JudgeOptions, directory: RunDirectory, server: dict[str, Any]) -> Engine:
    """Give the engine of a run's judge, not open yet.

    Raises
    ------
    UsageError
        If there is nothing to judge, no such model, or it must not see the data: before the run, since a judge is not
        to be refused when hours have been spent.
    """
    engine = prepare(task, model, **{**server, "base_url": server["base_url"] if model.startswith("openai:") else None})
    require_local(task, engine.info, how.allow_remote_data, directory.confirmed())
    return engine


def words_to_judge(
    directory: RunDirectory, model: str, how: JudgeOptions, base_url: str | None, prompts: Path | None
) -> list[str]:
    """Give the words of the command that judges a run alone."""
    words = ["judge", str(directory.path), "--judge", model, "--times", str(how.times)]
    words += ["--base-url", base_url] if base_url and model.startswith("openai:") else []
    words += [word for name, value in how.settings.items() for word in (f"--{name}", str(value))]
    return words + (["--prompts", str(prompts)] if prompts else [])
