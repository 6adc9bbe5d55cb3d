"""A sweep: several runs that make one table, with each of several models, and published figures to stand beside it.

A sweep file says what is run, as a task file says what is predicted. Each of its runs is an ordinary one, made by
`runs.execute` in a folder of its own, so that whatever reads runs reads these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Many
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from llm_as_rnn.catalogue import require_method
from llm_as_rnn.core.documents import Documents, did_you_mean
from llm_as_rnn.core.errors import SweepError, UsageError
from llm_as_rnn.core.knobs import wanted
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Record
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.core.variants import with_settings
from llm_as_rnn.datasets.base import Split
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.execute import Options, make_spec, needs_model, own_data, shipped_data

NO_MODEL = "no-model"
"""The folder of runs that ask no model."""


Values = tuple[bool | int | float | str, ...]
"""What a setting is to be, one after the other."""


class SweepRun(Record, frozen=True):
    """One run of a sweep, with whichever model. What is left out is as for `execute.Options`.

    Attributes
    ----------
    name : str
        What its folder, options and columns of the table call it.
    task : str
        A shipped task's name, or a task file.
    methods : tuple of str
        Who takes part; the cheap references always do. Empty for those of the sweep.
    grid : dict
        Methods that take part once for each combination of some settings: by method, the values of each setting. Empty
        for that of the sweep.
    seeds : tuple of int
        One run for each; the table tells of all their steps together. Empty for those of the sweep.
    sequences, steps, split, delay
        Which data, and how late outcomes come.
    settings : dict
        How the model is asked and how it learns, by name; what a sweep says of the same stands behind it.
    metrics : tuple of str
        The means of scores that the table shows, such as ``high.mae``; empty for all that the task has.
    """

    name: str
    task: str
    methods: tuple[str, ...] = ()
    grid: Mapping[str, Mapping[str, Values]] = {}
    seeds: tuple[int, ...] = ()
    sequences: int | None = None
    steps: int | None = None
    split: Split = "held_out"
    delay: int = 0
    settings: Mapping[str, Any] = {}
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a name that could be no folder's, and seeds that are no several ones."""
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ValueError(f"a run cannot be called {self.name!r}: letters, figures, '.', '_' and '-' make a name")
        _require_seeds(self.seeds, self.settings)
        _require_values(self.grid)


class Published(Record, frozen=True):
    """A figure that others published.

    Attributes
    ----------
    run : str
        The run whose figure it is to stand beside.
    metric : str
        The mean of ours that it can be compared with, as a run's ``metrics`` names it.
    method : str
        The method that it is of.
    model : str
        The model that it was measured with, as its source calls it.
    value : float
        The figure, in the metric's unit.
    source : str
        Where it stands; empty for the source of all.
    """

    run: str
    metric: str
    method: str
    model: str
    value: float
    source: str = ""


class Sweep(Record, frozen=True):
    """Several runs that make one table. A sweep file has these fields by the same names.

    Attributes
    ----------
    title : str
        A line that stands above the table.
    runs : tuple of SweepRun
        What is run, in this order.
    methods : tuple of str
        Methods of the runs that name none.
    grid, seeds
        Those of the runs that have none, as for `SweepRun`.
    settings : dict
        How the model is asked and how it learns in all runs; a run's own stand before these.
    models : tuple of str
        Who is asked where the user names nobody, one after the other.
    published : tuple of Published
        Figures to stand beside ours.
    source : str
        Where these stand.
    notes : tuple of str
        What a reader of the table should know; they stand below it.
    """

    title: str
    runs: tuple[SweepRun, ...]
    methods: tuple[str, ...] = ()
    grid: Mapping[str, Mapping[str, Values]] = {}
    seeds: tuple[int, ...] = ()
    settings: Mapping[str, Any] = {}
    models: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a sweep that could not be run."""
        names = [run.name for run in self.runs]
        if not names:
            raise ValueError("a sweep needs at least one run")
        if len(set(names)) < len(names):
            raise ValueError("two of the runs have the same name")
        _require_seeds(self.seeds, self.settings)
        folders = [folder for run in self.runs for folder in _folders_of(run, run.seeds or self.seeds)]
        if len(set(folders)) < len(folders):
            raise ValueError("two of the runs would have the same folder: call one otherwise")
        _require_values(self.grid)
        if not all(run.methods or self.methods for run in self.runs):
            raise ValueError("methods are named neither by the sweep nor by each of its runs")
        for figure in self.published:
            if figure.run not in names:
                raise ValueError(f"a published figure is of a run {figure.run!r}, and there is none of that name")


def _require_seeds(seeds: Many[int], settings: Mapping[str, Any]) -> None:
    if len(set(seeds)) < len(seeds) or any(seed < 0 for seed in seeds):
        raise ValueError("seeds are whole numbers from 0 on, each another one")
    if seeds and "seed" in settings:
        raise ValueError("seed is named by the settings, and seeds beside them: leave one out")


def _require_values(grid: Mapping[str, Mapping[str, Values]]) -> None:
    for method, settings in grid.items():
        for name, values in settings.items():
            if not values or len(set(values)) < len(values):
                raise ValueError(f"the grid of {method} names no values for {name}, or the same one twice")


def _folders_of(run: SweepRun, seeds: Many[int]) -> list[str]:
    """Name the folder of each seed's run: one alone is called as the run is."""
    return [f"{run.name}-seed{seed}" for seed in seeds] if len(seeds) > 1 else [run.name]


def _known(part: str, content: Mapping[str, Any]) -> Iterable[str]:
    """List what may stand in a part of a sweep file."""
    parts: dict[str, type[Record]] = {"runs": SweepRun, "published": Published}
    return parts.get(part, Sweep).__struct_fields__


_SWEEPS = Documents("sweep", Path(__file__).parents[1] / "sweeps", SweepError, _known, {})


def shipped_sweeps() -> list[str]:
    """Name the sweeps that come with the package.

    >>> shipped_sweeps()
    ['paper']
    """
    return _SWEEPS.names()


def load_sweep(name: str) -> Sweep:
    """Load a shipped sweep by name, or a sweep file by path, and check all that can be checked without data or a model.

    Parameters
    ----------
    name : str
        ``paper`` or ``paper.yaml``, or a path that ends in ``.yaml`` or ``.yml``.

    Raises
    ------
    SweepError
        If there is none, or the file is no sweep.
    UsageError
        If a run names a task, method, setting or metric that there is not.
    """
    # What is shipped can be called as its file is called, as long as there is no file of that name here.
    bare = name.removesuffix(".yaml")
    sweep = _SWEEPS.load(bare if bare in shipped_sweeps() and not Path(name).exists() else name, Sweep)
    for run in sweep.runs:
        try:
            _check(sweep, run)
        except UsageError as error:
            raise SweepError(f"sweep {name}, run {run.name}: {error.message}", error.hint) from error
    return sweep


def _check(sweep: Sweep, run: SweepRun) -> None:
    task = load_task(run.task)
    for method in (*sweep.methods, *run.methods, *varied((), sweep.grid), *varied((), run.grid)):
        require_method(method)
    wanted({**sweep.settings, **run.settings}, Settings)
    known = [metric.mean for metric in task_metrics(task)]
    for name in (*run.metrics, *(one.metric for one in sweep.published if one.run == run.name)):
        if name not in known:
            raise UsageError(f"task {task.name} has no metric {name!r}", did_you_mean(name, known))


def varied(methods: Many[str], grid: Mapping[str, Mapping[str, Values]]) -> tuple[str, ...]:
    """Give methods and, in the place of each that a grid names, all its combinations of settings, by their names.

    Those that only the grid names stand last.

    >>> varied(("zero_shot", "recurrent"), {"recurrent": {"budget": (64, 256), "watch": (True,)}})
    ('zero_shot', 'recurrent:budget=64:watch=on', 'recurrent:budget=256:watch=on')
    """
    found: list[str] = []
    for method in (*methods, *(name for name in grid if name not in methods)):
        settings = grid.get(method, {})
        found += (
            with_settings(method, dict(zip(settings, values, strict=True))) for values in product(*settings.values())
        )
    return tuple(dict.fromkeys(found))


class Wanted(NamedTuple):
    """What a user says of all runs of a sweep; what is None stays as the sweep has it.

    Attributes
    ----------
    only : tuple of str
        Names of the runs that are wanted; empty for all.
    data : mapping of str to Path
        The user's own data, by the name of a run or of its task.
    methods, seeds, sequences, steps, settings
        In place of what the sweep says; settings by name. Methods stand for its grid as well.
    prompts, concurrency, allow_remote_data
        As for `execute.Options`.
    """

    only: tuple[str, ...] = ()
    data: Mapping[str, Path] = {}
    methods: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = ()
    sequences: int | None = None
    steps: int | None = None
    settings: Mapping[str, Any] = {}
    prompts: Path | None = None
    concurrency: int | None = None
    allow_remote_data: bool = False


class Planned(NamedTuple):
    """A run as it will be made, with one seed, or why it cannot be.

    Attributes
    ----------
    run : SweepRun
        What the sweep says of it.
    task : Task
        What is predicted.
    options : Options
        What it is.
    folder : str
        The name of its folder, which also tells its seed where there are several.
    missing : str
        What its data lacks, and what to bring; empty where it can be made.
    """

    run: SweepRun
    task: Task
    options: Options
    folder: str
    missing: str = ""


def plan(sweep: Sweep, asked: Wanted) -> list[Planned]:
    """Say what will be run, and read the data of it, so that what is broken is found before a model is fetched.

    Raises
    ------
    UsageError
        If data that the user brings is broken or for no run, or a run is asked for that there is not.
    """
    tasks = {run.name: load_task(run.task) for run in sweep.runs}
    _require_known("run", asked.only, tasks)
    _require_known("run or task", asked.data, [*tasks, *(task.name for task in tasks.values())])
    wanted_runs = [run for run in sweep.runs if run.name in (asked.only or tasks)]
    return [planned for run in wanted_runs for planned in _planned(sweep, run, tasks[run.name], asked)]


def _require_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    there = list(dict.fromkeys(known))
    for name in names:
        if name not in there:
            raise UsageError(f"the sweep has no {what} {name!r}", did_you_mean(name, there))


def _planned(sweep: Sweep, run: SweepRun, task: Task, asked: Wanted) -> list[Planned]:
    """Plan a run: once for each seed."""
    data = asked.data.get(run.name, asked.data.get(task.name))
    methods = asked.methods
    if methods is None:
        methods = varied(run.methods or sweep.methods, run.grid or sweep.grid)
    settings = {**sweep.settings, **run.settings, **asked.settings}
    seeds = (asked.seeds or run.seeds or sweep.seeds) if asked.settings.get("seed") is None else ()
    missing = _what_is_missing(task, data)
    options = Options(
        task=run.task,
        methods=methods,
        sequences=run.sequences if asked.sequences is None else asked.sequences,
        steps=run.steps if asked.steps is None else asked.steps,
        split=run.split,
        settings=settings,
        delay=run.delay,
        prompts=asked.prompts,
        concurrency=asked.concurrency,
        data=data,
        allow_remote_data=asked.allow_remote_data,
    )
    seeded = [replace(options, settings={**settings, "seed": seed}) for seed in seeds] or [options]
    return [
        Planned(run, task, one, folder, missing) for one, folder in zip(seeded, _folders_of(run, seeds), strict=True)
    ]


def _what_is_missing(task: Task, data: Path | None) -> str:
    """Say what has to be brought for a task's data; what was brought is read, and refused where it is broken."""
    if data is not None:
        own_data(data, task)
        return ""
    source = dataset(task.dataset) if task.dataset else None
    if source is None or source.from_folder or task.data is not UNSET:
        return f"its data does not come with this package (bring it: --data {task.name}=PATH)"
    hint = source.ready()
    return f"its data is not here ({hint})" if hint else ""


def folders(models: Many[str]) -> dict[str, str]:
    """Give each model a folder's name.

    Raises
    ------
    UsageError
        If two models would share one.

    Examples
    --------
    >>> folders(["llamacpp:models/small.gguf", "openai:org/large"])
    {'llamacpp:models/small.gguf': 'llamacpp-small.gguf', 'openai:org/large': 'openai-large'}
    """
    found: dict[str, str] = {}
    for model in dict.fromkeys(models):
        kind, _, name = model.partition(":")
        folder = re.sub(r"[^A-Za-z0-9.-]", "-", f"{kind}-{Path(name).name}")
        if folder in found.values():
            raise UsageError(f"two models would be kept in the same folder, {folder}", "make two sweeps of them")
        found[model] = folder
    return found


def is_finished(planned: Planned, model: str, directory: RunDirectory) -> bool:
    """Tell whether a run is there and done, with all its methods, so that no model need be opened for it again.

    Raises
    ------
    SpecMismatchError
        If it is done, and not what is asked for now.
    RunError
        If what is there cannot be read.
    """
    if not directory.holds_run:
        return False
    info = directory.info()
    if info.status != "finished" or (needs_model(planned.options.methods) and info.spec.model != model):
        return False
    table = own_data(planned.options.data, planned.task)
    source = shipped_data(planned.options.data, planned.task) if table is None else None
    prompts = Prompts.with_folder(planned.options.prompts)
    # What the engine said of itself then stands for what it would say now.
    spec = make_spec(planned.options, planned.task, prompts, info.engine, table, source.digest if source else "")
    spec = spec.as_begun(info.spec, planned.options.named)
    spec.require_same(info.spec)
    return set(spec.methods) == set(info.spec.methods)
