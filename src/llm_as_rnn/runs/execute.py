"""A whole run: what was asked for becomes a spec, the loop fills the journal, and the scores are read from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Many
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import UNSET

from llm_as_rnn.catalogue import (
    DEFAULT_METHODS,
    METHODS,
    REFERENCES,
    advised,
    advisers,
    asks_model,
    build,
    own_settings,
    references,
    require_method,
    resolve,
)
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import DatasetError, RunError, SpecMismatchError, UsageError, first_error
from llm_as_rnn.core.method import Method
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Record
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.core.variants import read_variant
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence, Split
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.datasets.tables import Table, read_table
from llm_as_rnn.datasets.terms import require_local
from llm_as_rnn.engines.drive import drive, drive_walk
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.metrics.extras import with_data
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.recurrence.budget import require_room
from llm_as_rnn.recurrence.memory import initial_memory, written
from llm_as_rnn.runs.asked import RunJournal
from llm_as_rnn.runs.commits import Commits
from llm_as_rnn.runs.directory import RunDirectory, RunInfo, RunStatus
from llm_as_rnn.runs.executors import Cast, Executor, InProcess
from llm_as_rnn.runs.journal import Expected, read_journal
from llm_as_rnn.runs.loop import run_all
from llm_as_rnn.runs.retry import set_aside_failed, ties
from llm_as_rnn.runs.spec import RunSpec
from llm_as_rnn.runs.walk import walk
from llm_as_rnn.trust.advised import Recorded


class Options(Record, frozen=True):
    """What a user asks for; what is None is chosen to suit the data.

    Attributes
    ----------
    task : str
        A shipped task's name, or a task file.
    methods : tuple of str
        Methods that ask a model, in order; the cheap references always run too.
    data : Path, optional
        The user's own data, for a task file that says how to read it.
    sequences, steps, split
        Which data; by default all of the user's own, or what is usual for a shipped dataset.
    settings : mapping
        How the model is asked and how it learns: values of `settings.Settings` by name. What is None or left out is
        chosen to suit the model.
    delay : int
        How late outcomes come, in steps (see `walk.schedule`); never sooner than a table has them (``ahead``).
    prompts : Path, optional
        A folder of templates that replace shipped ones.
    concurrency : int, optional
        Steps in flight; the engine's slots by default, and never more.
    allow_remote_data : bool
        Whether the user confirms that the terms of the data cover an engine elsewhere (see `terms.require_local`).
    """

    task: str
    methods: tuple[str, ...] = DEFAULT_METHODS
    sequences: int | None = None
    steps: int | None = None
    split: Split = "development"
    settings: Mapping[str, Any] = {}
    delay: int = 0
    prompts: Path | None = None
    concurrency: int | None = None
    data: Path | None = None
    allow_remote_data: bool = False

    @property
    def named(self) -> tuple[str, ...]:
        """The methods and settings that were asked for by name, a delay among them (see `RunSpec.as_begun`)."""
        late = ("delay",) if self.delay else ()
        return (*self.methods, *(name for name, value in self.settings.items() if value is not None), *late)


class Watcher(Protocol):
    """Is told how a run goes on: a progress display, say."""

    def begin(self, methods: Many[str], steps: int, past: Many[StepRecord]) -> None:
        """Hear what will run: methods, steps of each over all sequences, and what is done already."""
        ...

    def step(self, record: StepRecord) -> None:
        """Hear of a step that was just made durable."""
        ...

    def set_aside(self, steps: int) -> None:
        """Hear, where what failed is to be asked again, how many steps will be done anew; 0 if nothing had failed."""
        ...


def make_spec(
    options: Options, task: Task, prompts: Prompts, engine: EngineInfo, table: Table | None = None, digest: str = ""
) -> RunSpec:
    """Fill in what the user left open.

    Parameters
    ----------
    options, task, prompts, engine
        What is asked for, of what, how, and of whom.
    table : Table, optional
        The user's own data, if it is not the task's shipped dataset.
    digest : str
        Fingerprint of the folder that a shipped dataset reads, if it reads one of the user's.

    Raises
    ------
    UsageError
        If the settings cannot work with this engine.
    """
    if not options.methods:
        raise UsageError("no method was named", f"choose from {', '.join([*METHODS, *REFERENCES])}")
    known: dict[Any, str] = {}
    for name in options.methods:
        require_method(name)
        variant = read_variant(name)
        same = known.setdefault((variant.plain, frozenset(variant.choices.items())), name)
        if same != name:
            raise UsageError(f"{name} is {same} under another name", "name it once")
        resolve({**options.settings, **variant.choices}, engine)  # what cannot work with it is refused
    every = (table.count(options.split), table.longest(options.split)) if table else usual_size(task)
    return RunSpec(
        task=task.name,
        task_digest=task.digest,
        model=engine.model,
        model_digest=engine.digest,
        methods=(*dict.fromkeys(options.methods), *(name for name in references(task) if name not in options.methods)),
        sequences=every[0] if options.sequences is None else options.sequences,
        steps=every[1] if options.steps is None else options.steps,
        split=options.split,
        prompts_digest=prompts.digest,
        settings=resolve(options.settings, engine),
        delay=_delay(options, task, table),
        data_digest=table.digest if table else digest,
    )


def _delay(options: Options, task: Task, table: Table | None) -> int:
    """Say how late outcomes come: as was asked, and no sooner than their rows, whose values nobody knows before.

    The next row's value is there when that row is predicted, as it is without a delay.
    """
    later = 0 if table is None or task.data is UNSET else task.data.later
    return max(options.delay, later) if options.delay >= 0 and later > 1 else options.delay


class Material(NamedTuple):
    """What a run is made of, besides the model.

    Attributes
    ----------
    task : Task
        What is predicted.
    prompts : Prompts
        The templates.
    table : Table or None
        The user's own data.
    source : Dataset or None
        In its place, the task's dataset.
    cut : callable
        Cuts its sequences.
    """

    task: Task
    prompts: Prompts
    table: Table | None
    source: Dataset | None
    cut: Callable[[Selection], list[Sequence]]

    @property
    def digest(self) -> str:
        """Fingerprint of the folder that a shipped dataset reads, if it reads one of the user's."""
        return self.source.digest if self.source else ""


def gather(options: Options) -> Material:
    """Read what a run is made of.

    Raises
    ------
    UsageError
        If task, data or templates are broken, or do not fit each other.
    """
    task = load_task(options.task)
    table = own_data(options.data, task)
    prompts = Prompts.with_folder(options.prompts)
    if table is not None:
        return Material(task, prompts, table, None, table.cut)
    source = shipped_data(options.data, task)
    return Material(task, prompts, None, source, source.load)


def usual_size(task: Task) -> tuple[int, int]:
    """Say how many sequences and steps of a task's shipped dataset a run takes where nothing else is said."""
    source = dataset(task.dataset)
    return source.sequences, source.steps


def own_data(path: Path | None, task: Task) -> Table | None:
    """Read the user's own data, if there is any.

    Raises
    ------
    UsageError
        If the data is broken or does not fit the task, or if the task has no data at all.
    """
    if task.dataset and dataset(task.dataset).from_folder:
        shipped_data(path, task)
        return None
    if path is not None:
        return read_table(path, task)
    if not task.dataset:
        raise UsageError(f"task {task.name} has no dataset of its own", "name a file with --data")
    if dataset(task.dataset).maker:
        raise DatasetError(f"{task.dataset} is not shipped with this package", dataset(task.dataset).ready())
    return None


def shipped_data(path: Path | None, task: Task) -> Dataset:
    """Give a task's dataset: as it is shipped, or as it reads the folder that a user brings for it.

    Raises
    ------
    UsageError
        If there is no dataset of that name, or a folder has to be brought and is not there or broken.
    """
    source = dataset(task.dataset)
    if source.from_folder is None:
        return source
    if path is None:
        raise DatasetError(f"{source.name} is not shipped with this package", source.ready())
    return source.from_folder(path)


def needs_model(methods: Many[str]) -> bool:
    """Tell whether any method of a run asks a model; else `IdleEngine` will do, and nothing is loaded."""
    return any(asks_model(name) for name in methods)


async def execute(
    options: Options,
    engine: Engine,
    directory: RunDirectory,
    *,
    resume: bool,
    watcher: Watcher,
    retry_failed: bool = False,
    executor: Executor | None = None,
) -> RunInfo:
    """Run all methods over all sequences, and write scores.

    Parameters
    ----------
    options : Options
        What to run.
    engine : Engine
        Who answers; opened and closed here.
    directory : RunDirectory
        Where to write. Nothing is written before everything that can be checked was.
    resume : bool
        Whether to go on with a run that is there.
    watcher : Watcher
        Who is told of each step.
    retry_failed : bool
        Whether steps that got no answer from the model are asked again (see `retry`); for a run that goes on.
    executor : Executor, optional
        Who makes the walks, on ``engine`` or on others like it; in this process by default.

    Returns
    -------
    RunInfo
        With the status ``finished`` or ``failed``.

    Raises
    ------
    LlmAsRnnError
        If the run cannot be begun, or its journal cannot be written.
    """
    found = gather(options)
    task, prompts, table, source, cut = found
    confirmed = directory.confirmed() if resume else ()
    confirmed = require_local(task, engine.info, options.allow_remote_data, confirmed)
    await engine.open()
    try:
        spec = make_spec(options, task, prompts, engine.info, table, found.digest)
        before = directory.info() if resume and directory.holds_run else None
        if before:
            spec = spec.as_begun(before.spec, options.named)
        sequences = cut(spec.selection)
        cast = make_cast(task, spec, prompts)
        if needs_model(spec.methods):
            least = min(own_settings(name, spec.settings).budget for name in spec.methods)
            await drive(require_room(task, least), engine)
        await _rehearse(task, spec, prompts, sequences[0])
        info = directory.begin(spec, task, engine.info, resume=resume, remote_data=confirmed)
        if retry_failed:
            aside = set_aside_failed(directory, *ties(cast, spec.settings), private=info.credentialed)
            watcher.set_aside(aside)
        scored = _by_data(task, source)
        workers = _Workers(engine, executor or InProcess(engine), options.concurrency)
        return await _run(info, directory, cast, sequences, workers, watcher, scored, before)
    finally:
        await engine.close()


def make_cast(task: Task, spec: RunSpec, prompts: Prompts) -> Cast:
    """Build a run's methods; one that goes by advice takes what others of the run said, and asks nobody again."""
    said: dict[tuple[str, str, int], StepRecord] = {}
    recorded = {name: Recorded(name, said) for name in spec.methods}
    methods = [
        advised(name, task, spec.settings, prompts, recorded)
        if advisers(name, task, spec.settings)
        else build(name, task, spec.settings, prompts)
        for name in spec.methods
    ]
    return Cast(task, methods, said, spec.delay)


class _Workers(NamedTuple):
    """Who answers, who makes the walks, and how many at a time the user wants at most."""

    engine: Engine
    executor: Executor
    concurrency: int | None


async def _run(
    info: RunInfo,
    directory: RunDirectory,
    cast: Cast,
    sequences: list[Sequence],
    workers: _Workers,
    watcher: Watcher,
    scored: Callable[[StepRecord], StepRecord],
    before: RunInfo | None,
) -> RunInfo:
    begun, names = time.monotonic(), tuple(method.name for method in cast.methods)
    status: RunStatus = "interrupted"
    failures: dict[str, str] = {}
    broken: RunError | None = None
    with RunJournal(directory.journal, directory.prompts_file, private=info.credentialed) as journal:
        lengths = {sequence.info.id: len(sequence.steps) for sequence in sequences}
        past = read_journal(directory.journal, Expected(info.spec.methods, lengths=lengths))
        directory.save(info)
        watcher.begin(names, sum(len(sequence.steps) for sequence in sequences), past)

        workers.executor.begin(cast)
        cast.said.update({(step.method, step.sequence, step.t): step for step in past})

        def told(record: StepRecord) -> None:
            cast.said[record.method, record.sequence, record.t] = record
            watcher.step(record)

        commits = Commits(journal, told, grouped=workers.executor.elsewhere)

        async def commit(record: StepRecord) -> None:
            # Advice hears what a resumed run would hear, and no more.
            await commits.keep(journal.kept(scored(record)))

        try:
            walking = partial(workers.executor.go, keep=commit, hear=journal.hear)
            lanes = workers.executor.lanes(workers.concurrency)
            go = partial(run_all, go=walking, past=past, concurrency=lanes)
            # Methods that come to a run wait until it was seen that it goes on as it was begun.
            old = [method for method in cast.methods if method.name in info.spec.methods]
            failures = await _in_order(info, old, sequences, go, failures)
            if new := [method for method in cast.methods if method not in old]:
                info = msgspec.structs.replace(info, spec=msgspec.structs.replace(info.spec, methods=names))
                directory.save(info)
                failures = await _in_order(info, new, sequences, go, failures)
            status = "failed" if failures else "finished"
        except* RunError as errors:
            broken = first_error(errors)  # see there why it is raised below
        finally:
            await commits.settle()
            seconds = round(info.seconds + time.monotonic() - begun, 3)
            known = _met(info.engine, workers.engine.info)
            info = msgspec.structs.replace(info, status=status, failures=failures, seconds=seconds, engine=known)
            if before and before.status == "finished" and isinstance(broken, SpecMismatchError):
                info = before  # nothing was added, and what is there is whole
            info = _conclude(info, directory)
    if broken:
        raise broken
    return info


async def _in_order(
    info: RunInfo, methods: Many[Method], sequences: Many[Sequence], go: Any, failures: Mapping[str, str]
) -> dict[str, str]:
    """Run methods, and after them those that go by what others said, which go no further than these have come.

    What is given of sequences that ended early before, and why, is given back with what came to it.
    """
    advice = {method.name: advisers(method.name, info.task, info.spec.settings) for method in methods}
    failures = {**failures, **await go([method for method in methods if not advice[method.name]], sequences)}
    for method in methods:
        ended = _ended_early(advice[method.name], sequences, failures)
        if method.shares and ended:  # those after the first would learn from less than they should
            first, why = next(iter(ended.items()))
            names = [sequence.info.id for sequence in sequences]
            ended = {name: ended.get(name, why) for name in names[names.index(first) :]}
        failures |= {f"{method.name}/{name}": why for name, why in ended.items()}
        if advice[method.name]:
            failures |= await go([method], [one for one in sequences if one.info.id not in ended])
    return failures


def _ended_early(names: Many[str], sequences: Many[Sequence], failures: Mapping[str, str]) -> dict[str, str]:
    """Say in which sequences any of these methods ended early, and why."""
    found = {}
    for sequence in sequences:
        whys = [failures[line] for name in names if (line := f"{name}/{sequence.info.id}") in failures]
        if whys:
            found[sequence.info.id] = whys[0]
    return found


def _met(before: EngineInfo, now: EngineInfo) -> EngineInfo:
    """Say what is known of an engine now, with what earlier sittings of the run found out about it."""
    return msgspec.structs.replace(
        now,
        left_out=tuple(dict.fromkeys((*before.left_out, *now.left_out))),
        remarks=tuple(dict.fromkeys((*before.remarks, *now.remarks))),
        tokenizer="lost" if before.tokenizer == "lost" else now.tokenizer,
    )


def _by_data(task: Task, source: Dataset | None) -> Callable[[StepRecord], StepRecord]:
    """Give what adds the scores for which the data itself is needed; nothing is added where no field asks for any."""
    if source is None or source.scores is None or not any(field.extras for field in task.answer):
        return lambda record: record
    return partial(with_data, task, source.scores())


def _conclude(info: RunInfo, directory: RunDirectory) -> RunInfo:
    """Write what the journal comes to. A run in which no call succeeded is not finished, however far it got.

    Nor is one in which none was made, though its methods ask a model: every sequence has steps.
    """
    from llm_as_rnn.metrics.table import tabulate  # noqa: PLC0415 - it brings numpy, which no step waits for

    table = tabulate(info.task, directory.steps())
    calls = table.calls
    vain = calls.all_failed or (not calls.calls and needs_model(info.spec.methods))
    status: RunStatus = "failed" if info.status == "finished" and vain else info.status
    info = msgspec.structs.replace(info, status=status, reasons=calls.reasons)
    directory.save(info)
    summaries = summarise(info.task, table, info.spec.settings.coverage)
    directory.write("scores.json", {"methods": summaries}, private=info.credentialed)
    return info


async def _rehearse(task: Task, spec: RunSpec, prompts: Prompts, sequence: Sequence) -> None:
    """Render every template once, without a model, so that a broken one is found before anything is spent.

    The rehearsal's answers are a memory that is too long and otherwise nonsense: every repair is asked for as well.
    """
    form = spec.settings.form

    def answer(request: Request) -> str:
        return written(initial_memory(task), form) if request.role in ("update", "compress") else ""

    first = msgspec.structs.replace(sequence, steps=sequence.steps[:1])
    for name in spec.methods:
        own = own_settings(name, spec.settings)
        form = own.form
        method = build(read_variant(name).plain, task, msgspec.structs.replace(own, budget=1), prompts)
        await drive_walk(walk(method, first, task), ScriptedEngine(answer), lambda record: None)
