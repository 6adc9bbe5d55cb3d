"""A whole run: what was asked for becomes a spec, the loop fills the journal, and the scores are read from it."""

from __future__ import annotations

import time
from collections.abc import Sequence as Many
from pathlib import Path
from typing import Protocol

import msgspec

from llm_as_rnn.datasets.base import Sequence, Split
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.datasets.tables import Table, read_table
from llm_as_rnn.drive import drive
from llm_as_rnn.engines.base import Engine, EngineInfo
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.errors import RunError, UsageError
from llm_as_rnn.method import AUTO_FEEDBACK, Method, Settings, Sharing, Updating
from llm_as_rnn.methods import METHODS, REFERENCES, build
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.prompts import Prompts
from llm_as_rnn.records import Form, Layout, Record, Request, StepRecord, Style
from llm_as_rnn.recurrence.budget import require_room
from llm_as_rnn.recurrence.memory import initial_memory, written
from llm_as_rnn.runs.directory import RunDirectory, RunInfo, RunStatus
from llm_as_rnn.runs.journal import Journal, read_journal
from llm_as_rnn.runs.loop import run_all
from llm_as_rnn.runs.spec import RunSpec
from llm_as_rnn.task import Task, load_task

PAPER_BUDGET = 4096
"""Tokens of a memory in the paper (appendix C)."""


class Options(Record, frozen=True):
    """What a user asks for; what is None is chosen to suit the model or the data.

    Attributes
    ----------
    task : str
        A shipped task's name, or a task file.
    methods : tuple of str
        Methods that ask a model, in order; the cheap references always run too.
    data : Path, optional
        The user's own data, for a task file that says how to read it.
    sequences, steps, split, seed
        Which data; by default all of the user's own, or what is usual for a shipped dataset.
    budget, form, style, layout, feedback, sampling
        How the model is asked.
    delay : int
        How late outcomes come, in steps (see `loop.schedule`).
    prompts : Path, optional
        A folder of templates that replace shipped ones.
    concurrency : int, optional
        Steps in flight; the engine's slots by default, and never more.
    updating : Updating
        How the recurrent method updates its memory.
    """

    task: str
    methods: tuple[str, ...] = tuple(METHODS)
    sequences: int | None = None
    steps: int | None = None
    split: Split = "development"
    seed: int = 0
    budget: int | None = None
    form: Form | None = None
    style: Style | None = None
    layout: Layout = "chained"
    feedback: str = AUTO_FEEDBACK
    sampling: str = "greedy"
    delay: int = 0
    prompts: Path | None = None
    concurrency: int | None = None
    data: Path | None = None
    updating: Updating = Updating(rule="auto")


class Watcher(Protocol):
    """Is told how a run goes on: a progress display, say."""

    def begin(self, methods: Many[str], steps: int, past: Many[StepRecord]) -> None:
        """Hear what will run: methods, steps of each over all sequences, and what is done already."""
        ...

    def step(self, record: StepRecord) -> None:
        """Hear of a step that was just made durable."""
        ...


def make_spec(
    options: Options, task: Task, prompts: Prompts, engine: EngineInfo, table: Table | None = None
) -> RunSpec:
    """Fill in what the user left open.

    Parameters
    ----------
    options, task, prompts, engine
        What is asked for, of what, how, and of whom.
    table : Table, optional
        The user's own data, if it is not the task's shipped dataset.

    Raises
    ------
    UsageError
        If the settings cannot work with this engine.
    """
    if not options.methods:
        raise UsageError("no method was named", f"choose from {', '.join([*METHODS, *REFERENCES])}")
    form = options.form or engine.form
    every = (table.count(options.split), table.longest(options.split)) if table else usual_size(task)
    return RunSpec(
        task=task.name,
        task_digest=task.digest,
        model=engine.model,
        model_digest=engine.digest,
        methods=(*dict.fromkeys(options.methods), *(name for name in REFERENCES if name not in options.methods)),
        sequences=every[0] if options.sequences is None else options.sequences,
        steps=every[1] if options.steps is None else options.steps,
        split=options.split,
        seed=options.seed,
        budget=suit_budget(options.budget, engine),
        window=engine.context_window,
        form=form,
        style=options.style or engine.style,
        layout=options.layout,
        feedback=options.feedback,
        sampling=options.sampling,
        prompts_digest=prompts.digest,
        delay=options.delay,
        data_digest=table.digest if table else "",
        updating=msgspec.structs.replace(options.updating, rule=options.updating.suited(form, options.feedback).rule),
    )


def usual_size(task: Task) -> tuple[int, int]:
    """Say how many sequences and steps of a task's shipped dataset a run takes where nothing else is said."""
    source = dataset(task.dataset)
    return source.sequences, source.steps


def suit_budget(asked: int | None, engine: EngineInfo) -> int:
    """Give the budget that was asked for, or one that suits the engine.

    Raises
    ------
    UsageError
        If the engine's context window has no room for it.
    """
    most = largest_budget(engine.context_window)
    budget = min(engine.budget or PAPER_BUDGET, most) if asked is None else asked
    if budget > most:
        raise UsageError(
            f"a budget of {budget} tokens needs a larger context window than {engine.context_window} tokens",
            f"use a budget of {most} or less, or a larger context",
        )
    return budget


def largest_budget(window: int) -> int:
    """Give the largest memory that a context window has room for.

    An update reads the old memory and writes the new one, with a quarter more for headings and slips; about a
    thousand tokens go to instructions, observation, outcome and critique.
    """
    return max(1, (window - 1024) * 4 // 9)


def own_data(path: Path | None, task: Task) -> Table | None:
    """Read the user's own data, if there is any.

    Raises
    ------
    UsageError
        If the data is broken or does not fit the task, or if the task has no data at all.
    """
    if path is not None:
        return read_table(path, task)
    if not task.dataset:
        raise UsageError(f"task {task.name} has no dataset of its own", "name a file with --data")
    return None


async def execute(
    options: Options, engine: Engine, directory: RunDirectory, *, resume: bool, watcher: Watcher
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

    Returns
    -------
    RunInfo
        With the status ``finished`` or ``failed``.

    Raises
    ------
    LlmAsRnnError
        If the run cannot be begun, or its journal cannot be written.
    """
    task = load_task(options.task)
    table = own_data(options.data, task)
    prompts = Prompts.with_folder(options.prompts)
    await engine.open()
    try:
        spec = make_spec(options, task, prompts, engine.info, table)
        sequences = table.cut(spec.selection) if table else dataset(task.dataset).load(spec.selection)
        methods = [build(name, task, spec.settings, prompts) for name in spec.methods]
        await drive(require_room(task, spec.budget), engine)
        await _rehearse(task, spec, prompts, sequences[0])
        info = directory.begin(spec, task, engine.info, resume=resume)
        return await _run(info, directory, methods, sequences, engine, options.concurrency, watcher)
    finally:
        await engine.close()


async def _run(
    info: RunInfo,
    directory: RunDirectory,
    methods: list[Method],
    sequences: list[Sequence],
    engine: Engine,
    concurrency: int | None,
    watcher: Watcher,
) -> RunInfo:
    begun = time.monotonic()
    status: RunStatus = "interrupted"
    failures: dict[str, str] = {}
    with Journal(directory.journal) as journal:
        past = read_journal(directory.journal)
        directory.save(info)
        watcher.begin(info.spec.methods, sum(len(sequence.steps) for sequence in sequences), past)

        def commit(record: StepRecord) -> None:
            journal.append(record)
            watcher.step(record)

        lanes = min(concurrency or engine.info.slots, engine.info.slots)
        try:
            delay = info.spec.delay
            failed = run_all(methods, sequences, info.task, engine, past, commit, concurrency=lanes, delay=delay)
            failures = dict(await failed)
            status = "failed" if failures else "finished"
        except* RunError as group:
            raise _first(group) from None
        finally:
            seconds = info.seconds + time.monotonic() - begun
            info = msgspec.structs.replace(info, status=status, failures=failures, seconds=round(seconds, 3))
            _conclude(info, directory)
    return info


def _conclude(info: RunInfo, directory: RunDirectory) -> None:
    directory.save(info)
    directory.write("scores.json", {"methods": summarise(info.task, directory.records())})


def _first(group: BaseExceptionGroup[RunError]) -> RunError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _rehearse(task: Task, spec: RunSpec, prompts: Prompts, sequence: Sequence) -> None:
    """Render every template once, without a model, so that a broken one is found before anything is spent.

    The rehearsal's answers are a memory that is too long and otherwise nonsense: every repair is asked for as well.
    """
    memory = written(initial_memory(task), spec.form)
    settings: Settings = msgspec.structs.replace(spec.settings, budget=1)

    def answer(request: Request) -> str:
        return memory if request.role in ("update", "compress") else ""

    engine = ScriptedEngine(answer)
    step = sequence.steps[0]
    for name in spec.methods:
        method = build(name, task, settings, prompts)
        sharing = method if isinstance(method, Sharing) and method.shares else None
        state = sharing.start_with(sequence.info, None) if sharing else method.start(sequence.info)
        prediction = await drive(method.predict(state, step.observation), engine)
        learned = await drive(method.learn(state, step.observation, prediction, step.target), engine)
        if sharing:
            await drive(sharing.conclude(learned.state, step.observation), engine)
