"""``llm-as-rnn run``: methods over the sequences of a task."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llm_as_rnn.catalogue import require_method
from llm_as_rnn.cli.executors import take_placing, workers_of
from llm_as_rnn.cli.judge import judge_and_show
from llm_as_rnn.cli.learning import take_settings
from llm_as_rnn.cli.main import DONE, SOME_FAILED
from llm_as_rnn.cli.page import Page
from llm_as_rnn.cli.plugins import clashes_of
from llm_as_rnn.cli.process import INTERRUPTED, interrupts
from llm_as_rnn.cli.progress import RunProgress, pause_notice, say, waiting
from llm_as_rnn.cli.running import (
    going_on,
    judge_of,
    judge_options,
    require_concurrency,
    require_resumable,
    show_outlook,
    take_spending,
    words_to_judge,
)
from llm_as_rnn.cli.showing import show
from llm_as_rnn.core.knobs import wanted
from llm_as_rnn.core.prompts import EVERY_ROOM, Prompts
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.datasets.base import Split
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.datasets.tables import Table
from llm_as_rnn.engines.resolve import split_model
from llm_as_rnn.metrics.summary import MOST_REASONS
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.execute import Options, execute, own_data

QUICK = {"sequences": 4, "budget": 128}
"""What --quick stands for, besides few steps."""

FEW_STEPS = 8
"""Steps of a quick run on a user's own data; a shipped dataset knows how many it takes to see anything."""


def run(  # noqa: PLR0913, PLR0917 - one argument an option
    task: str,
    model: str,
    methods: str | None,
    servers: tuple[str, ...],
    context: int | None,
    cache_reuse: int,
    concurrency: int | None,
    cache: Any,
    timeout: float | None,
    patience: float | None,
    out: Path | None,
    resume: bool,
    retry_failed: bool,
    quick: bool,
    serve: bool,
    judge: str | None,
    judge_times: int,
    **choices: Any,
) -> int:
    """Do what ``llm-as-rnn run`` is told to."""
    loaded = load_task(task)
    split_model(model)  # also where nobody asks one: a word that is misspelt is to be said, whatever it is for
    # Read here as well, so that no model is fetched for data that is broken.
    with waiting("reading the data"):
        table = own_data(choices["data"], loaded)
    if table and table.notices:
        say("\n".join(table.notices))
    few = _quick(loaded, table, choices["split"]) if quick else {}
    choices |= {name: value for name, value in few.items() if choices[name] is None}
    if methods is not None:
        choices["methods"] = tuple(name.strip() for name in methods.split(",") if name.strip())
    spending = take_spending(choices)
    placing = take_placing(choices, servers)
    options = Options(task=task, concurrency=concurrency, settings=take_settings(choices), **choices)
    _check(options, out, resume=resume, retry_failed=retry_failed)
    for line in clashes_of(loaded.dataset, options.methods, options.settings.get("rule"), model):
        say(line)
    notice = pause_notice()
    meter = spending.meter
    base_url = servers[0] if servers else None
    server = {"timeout": timeout, "patience": patience, "on_pause": notice, "meter": meter}
    more = {"cache": cache, "context": context, "cache_reuse": cache_reuse, "slots": concurrency, **server}
    engine, executor = workers_of(placing, model, options, servers, **more)
    if spending.dry_run:
        begun = RunDirectory(out) if resume and out else None
        show_outlook(options, engine, model, spending, begun, retry_failed=retry_failed)
        return DONE
    directory = RunDirectory(out or _new_folder(loaded.name, engine.info.model))
    how = judge_options(options, judge_times)
    judging = None if judge is None else judge_of(loaded, judge, how, directory, {"base_url": base_url, **server})
    with Page(directory, wanted=serve) as page:
        with RunProgress(loaded, notice, begun=page.show) as watcher:
            try:
                info = interrupts.run(
                    execute(
                        options,
                        engine,
                        directory,
                        resume=resume,
                        retry_failed=retry_failed,
                        watcher=watcher,
                        executor=executor,
                    )
                )
            except KeyboardInterrupt:
                _say_how_to_go_on(watcher, directory)
                return INTERRUPTED
        code = DONE if info.status == "finished" else SOME_FAILED
        if judging is None or meter.reached:
            show(directory, meter.prices)
        else:
            words = words_to_judge(directory, judging.info.model, how, base_url, options.prompts)
            prompts = Prompts.with_folder(options.prompts, EVERY_ROOM)
            judged = judge_and_show(directory, judging, how, prompts, notice, words)
            if judged is None:
                return INTERRUPTED
            code = SOME_FAILED if judged.all_failed else code
        _say_what_failed(info, directory)
        page.stay()
    return code


def _check(options: Options, out: Path | None, *, resume: bool, retry_failed: bool) -> None:
    """Refuse what can be seen to be wrong before a model is fetched.

    Raises
    ------
    UsageError
        If anything is.
    """
    require_concurrency(options.concurrency)
    require_resumable(out, resume=resume, retry_failed=retry_failed)
    for name in options.methods:
        require_method(name)
    wanted(options.settings, Settings)


def _quick(task: Task, table: Table | None, split: Split) -> dict[str, int]:
    if table is None:
        source = dataset(task.dataset)
        return {**QUICK, "steps": source.quick_steps, "budget": source.quick_budget}
    return {**QUICK, "sequences": min(QUICK["sequences"], table.count(split)), "steps": FEW_STEPS}


def _new_folder(task: str, model: str) -> Path:
    kept = Path(model.partition(":")[2]).name or "no-model"
    name = "".join(char if char.isalnum() or char in ".-" else "-" for char in kept)
    return Path("runs") / f"{task}-{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _say_what_failed(info: RunInfo, directory: RunDirectory) -> None:
    failures = info.failures
    by_reason: dict[str, list[str]] = {}
    for name, why in failures.items():
        by_reason.setdefault(why, []).append(name)
    for why, names in list(by_reason.items())[:MOST_REASONS]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        say(f"failed {names[0]}{more}: {why}")
    again = f"the same command with --out {directory.path} --resume"
    if failures:
        ended = "1 sequence" if len(failures) == 1 else f"{len(failures)} sequences"
        say(f"{ended} ended early; {again} goes on there")
    if info.reasons:
        say(f"calls to the model failed; {again} --retry-failed asks again where they did")
    if info.status == "failed" and not failures:
        say("no call to the model succeeded: these scores say nothing about it")


def _say_how_to_go_on(watcher: RunProgress, directory: RunDirectory) -> None:
    done = f"{watcher.done} of {watcher.total} steps are kept" if watcher.total else "nothing was begun"
    say(f"interrupted; {done}. {going_on(directory.path)}")
