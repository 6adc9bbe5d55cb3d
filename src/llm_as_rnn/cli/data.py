"""``llm-as-rnn data``: what can be predicted without bringing data."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.table import Table
from rich.text import Text

from llm_as_rnn.cli.progress import console, messages, say, waiting
from llm_as_rnn.core.errors import DatasetError, UsageError
from llm_as_rnn.core.fields import ARROW
from llm_as_rnn.core.files import read_file, write_atomically
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.core.templates import MISSING
from llm_as_rnn.datasets.base import Selection, Sequence, Split
from llm_as_rnn.datasets.making import make as make_table
from llm_as_rnn.datasets.registry import DATASETS, dataset
from llm_as_rnn.datasets.tables import Table as Data
from llm_as_rnn.datasets.tables import read_table
from llm_as_rnn.leakage.check import ADVICE, Report, examine
from llm_as_rnn.leakage.foresight import MIN_STEPS
from llm_as_rnn.runs.execute import own_data, shipped_data, usual_size

LEAKS_FOUND = 1
"""The exit code of a check that found leaks."""


def list_() -> None:
    """Do what ``llm-as-rnn data list`` is told to."""
    table = Table(box=None, padding=(0, 2, 1, 0))  # two things in a cell, so that 80 columns are enough
    table.add_column(Text("task\n").append("size", "dim"), max_width=20)
    table.add_column(Text("predicts\n").append("ready here", "dim"), ratio=1)
    table.add_column(Text("source\n").append("licence", "dim"), ratio=1)
    amiss = DATASETS.plugins.clashes()
    for name in DATASETS:
        try:
            entry = DATASETS[name]
        except DatasetError as error:
            amiss.append(str(error))
            continue
        why = entry.ready()
        ready = Text(f"not ready: {why}", style="yellow") if why else Text("ready", style="green")
        terms = "; credentialed: it must not leave this machine" if entry.credentialed else ""
        table.add_row(
            Text(f"{entry.name}\n").append(entry.size, style="dim"),
            Text(f"{entry.predicts}\n").append(ready),
            Text(f"{entry.source}\n").append(f"{entry.licence}{terms}", style="dim"),
        )
    console.print(table)
    for line in amiss:
        say(line)


def make(name: str, files: tuple[Path, ...], out: Path | None, language: str, length: int | None) -> None:
    """Do what ``llm-as-rnn data make`` is told to."""
    source, out = dataset(name), out or Path(f"{name}.jsonl")
    if out.suffix != ".jsonl":
        raise UsageError(f"{out}: tables are written as JSON lines", "name a file that ends in .jsonl with --out")
    with waiting("reading the files"):
        made = make_table(source, files, language, length)
        _write(out, made.content)
        table = read_table(out, load_task(name))
    for notice in made.notices:
        messages.print(notice, highlight=False, markup=False, soft_wrap=True)
    _print(f"{out}: {made.rows} rows; {_sizes(table)}")
    _print(f"llm-as-rnn run {name} --data {shlex.quote(str(out))} runs on it")


def _write(out: Path, content: bytes) -> None:
    """Write a table, unless something else is there: it may be what it is made of."""
    if out.exists() and read_file(out) != content:
        raise UsageError(f"{out} is there already, and is another file", "name another one with --out, or remove it")
    write_atomically(out, content)


def _sizes(table: Data) -> str:
    """Say how much of a table falls into each part."""
    sizes = {split: [len(sequence.steps) for sequence in part] for split, part in table.splits.items()}
    return ", ".join(
        f"{split} {len(steps)} {'sequence' if len(steps) == 1 else 'sequences'}, {sum(steps)} steps"
        for split, steps in sizes.items()
    )


def show(task_name: str, steps: int, seed: int, file: Path | None) -> None:
    """Do what ``llm-as-rnn data show`` is told to."""
    if steps < 1:
        raise UsageError(f"steps must be at least 1, not {steps}", "correct --steps")
    task = load_task(task_name)
    with waiting("reading the data"):
        table = own_data(file, task)
        if table is None:
            source = shipped_data(file, task)
            title, sequence = source.title, source.load(Selection(1, steps, seed))[0]
        else:
            _tell(table)
            split: Split = "development" if table.splits["development"] else "held_out"
            title, sequence = task.title, table.cut(Selection(1, steps, seed, split))[0]
    _print(f"{title}, sequence {sequence.info.id}")
    for step in sequence.steps:
        outcome = task.spec("line").show(step.target) if step.target else MISSING
        _print(f"  {task.show(step.observation, 'line', sequence.info.about)}{ARROW}{outcome}")


def check(task_name: str, file: Path | None, prompts: Path | None, seed: int) -> int:
    """Do what ``llm-as-rnn data check`` is told to."""
    task = load_task(task_name)
    sequences, templates = _sequences(task, file, seed), Prompts.with_folder(prompts)
    with waiting("checking"):
        report = examine(task, sequences, templates)
    _show_looks(report)
    for leak in report.leaks:
        where = f"{leak.method}, sequence {leak.sequence}, step {leak.t}, {leak.where}"
        _print(f"{leak.kind}: {leak.field}: {where}: {leak.excerpt}")
        _print(f"  {ADVICE[leak.kind]}")
    if not report.leaks:
        console.print("no leak found")
    return LEAKS_FOUND if report.leaks else 0


def _sequences(task: Task, file: Path | None, seed: int) -> list[Sequence]:
    with waiting("reading the data"):
        table = own_data(file, task)
        if table is None:
            return shipped_data(file, task).load(Selection(*usual_size(task), seed))
    _tell(table)
    return list(table.whole)


def _tell(table: Data) -> None:
    for notice in table.notices:
        messages.print(notice, highlight=False, markup=False, soft_wrap=True)


def _print(text: str) -> None:
    """Print a line that has texts of others in it, as it is."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _show_looks(report: Report) -> None:
    columns = list(dict.fromkeys((form, layout) for _, form, layout in report.requests))
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("requests searched")
    for form, layout in columns:
        table.add_column(f"{form}, {layout}", justify="right")
    for name in dict.fromkeys(name for name, _, _ in report.requests):
        table.add_row(name, *(str(report.requests[name, form, layout]) for form, layout in columns))
    console.print(table)
    few = "" if report.steps >= MIN_STEPS else f": too few, a comparison needs {MIN_STEPS}"
    console.print(f"observations compared with outcomes: {report.steps} steps{few}", highlight=False)
