"""``llm-as-rnn sweep``: several runs, with each of several models, and one table of all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.catalogue import require_method
from llm_as_rnn.cli.executors import Placing, Workers, take_placing, workers_of
from llm_as_rnn.cli.judge import judge_and_show
from llm_as_rnn.cli.learning import take_settings
from llm_as_rnn.cli.main import DONE, SOME_FAILED
from llm_as_rnn.cli.outlook import together
from llm_as_rnn.cli.plugins import clashes_of
from llm_as_rnn.cli.process import INTERRUPTED, interrupts
from llm_as_rnn.cli.progress import PauseNotice, RunProgress, console, pause_notice, say, waiting
from llm_as_rnn.cli.running import (
    Spending,
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
from llm_as_rnn.core.errors import EngineError, LlmAsRnnError, RunError, UnsuitedModelError, UsageError
from llm_as_rnn.core.files import holds_files, make_folder, write_atomically
from llm_as_rnn.core.knobs import wanted
from llm_as_rnn.core.prompts import EVERY_ROOM, Prompts
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.datasets.terms import is_credentialed, require_local
from llm_as_rnn.engines.naming import DEFAULT_MODEL
from llm_as_rnn.engines.resolve import split_model
from llm_as_rnn.engines.spending import Meter
from llm_as_rnn.metrics.judged import judged_fields
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.metrics.table import tabulate
from llm_as_rnn.report.sweeps import (
    AGAINST,
    Done,
    Outcome,
    against_best,
    against_table,
    as_data,
    as_markdown,
    remarks,
    render_sweep,
    scores_of,
    sweep_table,
)
from llm_as_rnn.report.tables import plain_table
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import execute, needs_model
from llm_as_rnn.runs.forecast import Forecast
from llm_as_rnn.runs.sweep import NO_MODEL, Planned, Sweep, Wanted, folders, is_finished, load_sweep, plan


class _How(NamedTuple):
    """What is the same for all runs of a sweep, besides what they are."""

    out: Path
    resume: bool
    retry_failed: bool
    cache: Any
    judge: str | None
    judge_times: int
    placing: Placing
    servers: tuple[str, ...]
    server: dict[str, Any]
    context: int | None
    cache_reuse: int
    meter: Meter
    notice: PauseNotice
    lost: dict[str, LlmAsRnnError]
    """What is left out, and why: models, judges among them, that could not be reached, which are not tried again at the
    next run, and runs that a model could not be asked for as they are."""


class _Job(NamedTuple):
    """One run with one model."""

    planned: Planned
    model: str
    folder: str

    @property
    def name(self) -> str:
        """What it is called: where it lies in the sweep's folder."""
        return f"{self.folder}/{self.planned.folder}"


def sweep(  # noqa: PLR0913, PLR0917 - one argument an option
    name: str,
    models: tuple[str, ...],
    only: tuple[str, ...],
    data: tuple[str, ...],
    methods: str | None,
    seeds: str | None,
    servers: tuple[str, ...],
    context: int | None,
    cache_reuse: int,
    timeout: float | None,
    patience: float | None,
    cache: Any,
    judge: str | None,
    judge_times: int,
    out: Path | None,
    resume: bool,
    retry_failed: bool,
    **choices: Any,
) -> int:
    """Do what ``llm-as-rnn sweep`` is told to."""
    require_resumable(out, resume=resume, retry_failed=retry_failed)
    require_concurrency(choices["concurrency"])
    found = load_sweep(name)
    named = None if methods is None else tuple(one.strip() for one in methods.split(",") if one.strip())
    for method in named or ():
        require_method(method)
    for model in models:
        split_model(model)
    spending = take_spending(choices)
    placing = take_placing(choices, servers)
    settings = take_settings(choices)
    wanted(settings, Settings)
    asked = Wanted(only, _paths(data), named, _seeds(seeds), settings=settings, **choices)
    with waiting("reading the data"):
        planned = plan(found, asked)
    here = [one for one in planned if not one.missing]
    for run, why in {one.run.name: one.missing for one in planned if one.missing}.items():
        say(f"{run} is left out: {why}")
    if not here:
        raise UsageError("nothing of this sweep can be run: its data is missing", "bring it, as the lines above say")
    notice = pause_notice()
    meter = spending.meter
    server = {"timeout": timeout, "patience": patience, "on_pause": notice, "meter": meter}
    folder = out or Path("runs") / f"{Path(name).stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    how = _How(
        out=folder,
        resume=resume,
        retry_failed=retry_failed,
        cache=cache,
        judge=judge,
        judge_times=judge_times,
        placing=placing,
        servers=servers,
        server=server,
        context=context,
        cache_reuse=cache_reuse,
        meter=meter,
        notice=notice,
        lost={},
    )
    jobs = _jobs(here, models or found.models or (DEFAULT_MODEL,))
    _say_refusals(jobs)
    _require_allowed(jobs, how)
    if spending.dry_run:
        _show_outlooks(jobs, how, spending)
        return SOME_FAILED if how.lost else DONE
    _require_free(how)
    for job in jobs:
        if meter.reached:
            say(f"stopped: {meter.reached}. {going_on(folder)}")
            return SOME_FAILED
        if not _make(job, how):
            return INTERRUPTED
    return _conclude(found, planned, jobs, how)


def _say_refusals(jobs: Sequence[_Job]) -> None:
    """Say which packages do not get a name that a run asks for, each once."""
    lines = (
        line
        for job in jobs
        for line in clashes_of(
            job.planned.task.dataset, job.planned.options.methods, job.planned.options.settings.get("rule"), job.model
        )
    )
    for line in dict.fromkeys(lines):
        say(line)


def _seeds(seeds: str | None) -> tuple[int, ...]:
    """Read N,N,..."""
    words = (seeds or "").replace(" ", "").split(",") if seeds is not None else []
    if not all(word.isdecimal() for word in words) or len(set(words)) < len(words):
        raise UsageError(f"--seeds {seeds} are not several seeds", "write whole numbers: --seeds 0,1,2")
    return tuple(map(int, words))


def _paths(data: Sequence[str]) -> dict[str, Path]:
    """Read NAME=PATH."""
    pairs = [word.partition("=") for word in data]
    for word, (name, _, path) in zip(data, pairs, strict=True):
        if not name or not path:
            raise UsageError(f"--data {word} names no run and its data", "write --data NAME=PATH")
    return {name: Path(path) for name, _, path in pairs}


def _jobs(planned: Sequence[Planned], models: Sequence[str]) -> list[_Job]:
    """List what is to be made, model by model; a run that asks none is made once."""
    idle = [_Job(one, NO_MODEL, NO_MODEL) for one in planned if not needs_model(one.options.methods)]
    asking = [one for one in planned if needs_model(one.options.methods)]
    return [*(_Job(one, model, folder) for model, folder in folders(models).items() for one in asking), *idle]


def _require_free(how: _How) -> None:
    """Refuse a folder that holds a sweep, unless that is to go on."""
    if not how.resume and holds_files(how.out):
        raise RunError(f"{how.out} is not empty", "add --resume to go on with the sweep there, or choose another --out")


def _require_allowed(jobs: Sequence[_Job], how: _How) -> None:
    """Refuse models that may not see the data, or that there are not, before hours are spent on the runs before."""
    for job in jobs:
        directory = _directory(job, how)
        options = job.planned.options
        engine = _workers(job, how).engine
        if is_credentialed(job.planned.task):
            require_local(job.planned.task, engine.info, options.allow_remote_data, directory.confirmed())


def _directory(job: _Job, how: _How) -> RunDirectory:
    return RunDirectory(how.out / job.name)


def _workers(job: _Job, how: _How) -> Workers:
    servers = how.servers if job.model.startswith("openai:") else ()
    options = job.planned.options
    more = {"cache": how.cache, "context": how.context, "slots": options.concurrency, **how.server}
    if job.model.startswith("llamacpp:"):
        more["cache_reuse"] = how.cache_reuse
    return workers_of(how.placing, job.model, options, servers, **more)


def _make(job: _Job, how: _How) -> bool:
    """Make a run, and judge it if that is wanted; False if it was interrupted, which has been said then."""
    directory, options = _directory(job, how), job.planned.options
    judging = how.judge if judged_fields(job.planned.task) else None
    ways = judge_options(options, how.judge_times)
    judge, base_url = None, how.servers[0] if how.servers else None
    if judging:
        judge = judge_of(job.planned.task, judging, ways, directory, {"base_url": base_url, **how.server})
    say(f"\n{job.name}")
    if _is_done(job, how, directory):
        say("it is finished already")
    elif job.model in how.lost:
        say("it is left out as well")
        return True
    else:
        try:
            if not _run(job, how, directory):
                return False
        except (EngineError, UnsuitedModelError) as error:  # the other models' runs are still to be made
            _lose(job.model, job.name, error, how)
            return True
    if judge is None or how.meter.reached or judging in how.lost:
        show(directory)
        return True
    words = words_to_judge(directory, judging or "", ways, base_url, options.prompts)
    prompts = Prompts.with_folder(options.prompts, EVERY_ROOM)
    try:
        return judge_and_show(directory, judge, ways, prompts, how.notice, words) is not None
    except (EngineError, UnsuitedModelError) as error:
        _lose(judging or "", f"the judge of {job.name}", error, how)
        show(directory)
        return True


def _lose(model: str, run: str, error: EngineError | UnsuitedModelError, how: _How) -> None:
    """Say who or what is left out: a model that cannot be asked for one run may well be for another."""
    what = model if isinstance(error, EngineError) else run
    how.lost[what] = error
    say(_why_left_out(what, error))


def _why_left_out(what: str, error: LlmAsRnnError) -> str:
    return f"{what} could not be {'reached' if isinstance(error, EngineError) else 'asked'}: {error}"


def _is_done(job: _Job, how: _How, directory: RunDirectory) -> bool:
    """Tell whether a sweep that goes on has nothing more to ask for a run."""
    if not how.resume or not is_finished(job.planned, job.model, directory):
        return False
    return not (how.retry_failed and directory.info().reasons)


def _run(job: _Job, how: _How, directory: RunDirectory) -> bool:
    retry = how.retry_failed and directory.holds_run
    engine, executor = _workers(job, how)
    with RunProgress(job.planned.task, how.notice) as watcher:
        try:
            interrupts.run(
                execute(
                    job.planned.options,
                    engine,
                    directory,
                    resume=how.resume,
                    retry_failed=retry,
                    watcher=watcher,
                    executor=executor,
                )
            )
        except KeyboardInterrupt:
            done = (
                f"{watcher.done} of {watcher.total} steps of this run are kept" if watcher.total else "it had not begun"
            )
            say(f"interrupted; {done}. {going_on(how.out)}")
            return False
    return True


def _show_outlooks(jobs: Sequence[_Job], how: _How, spending: Spending) -> None:
    """Show what each run would take, or what is left of it, and all of them."""
    every = [one for job in jobs if needs_model(job.planned.options.methods) for one in _outlook(job, how, spending)]
    whole = together(every)
    console.print(f"\nin all: {whole.calls:,.0f} calls, {whole.prompt + whole.completion:,.0f} tokens", style="bold")


def _outlook(job: _Job, how: _How, spending: Spending) -> list[Forecast]:
    directory, retry = _directory(job, how), how.retry_failed
    say(f"\n{job.name}")
    if _is_done(job, how, directory):
        say("it is finished already")
    elif job.model in how.lost:
        say("it is left out as well")
    else:
        begun = directory if how.resume else None
        engine = _workers(job, how).engine
        try:
            return show_outlook(job.planned.options, engine, job.model, spending, begun, retry_failed=retry)
        except (EngineError, UnsuitedModelError) as error:
            _lose(job.model, job.name, error, how)
    return []


def _conclude(found: Sweep, planned: Sequence[Planned], jobs: Sequence[_Job], how: _How) -> int:
    """Show the table of a whole sweep, and write it down; of a model that was never reached nothing is in it.

    Raises
    ------
    EngineError, UnsuitedModelError
        If none was, or none could be asked: why the first could not.
    """
    out, there = how.out, [job for job in jobs if _directory(job, how).holds_run]
    if not there:
        raise next(iter(how.lost.values()))
    with waiting("making the table"):
        done = [_done(job, out) for job in there]
        outcome = Outcome(found, planned, done)
        content, against = sweep_table(outcome), against_best(outcome)
        said = [
            *(_why_left_out(what, why) for what, why in how.lost.items()),
            *remarks(outcome, planned),
        ]
        compared = against_table(outcome, against) if against else None
    console.print(f"\n{found.title}", style="bold")
    console.print(plain_table(content, "method"))
    if compared:
        console.print("\nagainst the best", style="bold")
        console.print(plain_table(compared, "method"))
        console.print(AGAINST, style="dim")
    for line in said:
        console.print(line, style="dim")
    private = any(one.info.credentialed for one in done)
    pages = {
        "sweep.md": as_markdown(found, content, compared, said).encode(),
        "sweep.html": render_sweep(outcome, content, compared, said).encode(),
        "sweep.json": msgspec.json.format(msgspec.json.encode(as_data(outcome, planned, against)), indent=2) + b"\n",
    }
    try:
        make_folder(out)
        for name, text in pages.items():
            write_atomically(out / name, text, private=private)
    except OSError as error:
        raise RunError(f"the table cannot be written to {out}: {error.strerror}", "make room there") from error
    console.print(f"table: {out / 'sweep.md'}, page: {out / 'sweep.html'}", soft_wrap=True)
    return SOME_FAILED if how.lost or any(one.info.status != "finished" for one in done) else DONE


def _done(job: _Job, out: Path) -> Done:
    directory = RunDirectory(out / job.name)
    info = directory.current()
    table = tabulate(info.task, directory.steps())
    summaries = summarise(info.task, table, info.spec.settings.coverage)
    return Done(job.planned, job.model, job.name, info, summaries, scores_of(table))
