"""The steps of runs as tables that can be committed: what was answered and what came, without what was seen.

A table has a row for each step of each method: what ``keep.py`` keeps (status, calls, tokens, seconds, what became of
the memory), who was believed, what became of the memory's cases, and for each field that is a label or a number its
answer, its outcome, the chances that its options were given, and the interval around a number. Scores are not kept,
since they follow from these; of fields of other
kinds it is the scores alone that are, because a text may not be ours to pass on. Observations, notes and prompts are
never in a table. It is packed, to a sixth of its size; what reads CSV reads ``.csv.gz`` as well. Beside it lies a file
that says where it is from, with the task by which it is scored.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

import keep
from llm_as_rnn.core.extras import Metric
from llm_as_rnn.core.fields import Field, Label, Number
from llm_as_rnn.core.files import write_atomically
from llm_as_rnn.core.folding import fold
from llm_as_rnn.core.records import Record, Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.following import CaseStep, Followed, Following, case_steps
from llm_as_rnn.metrics.scores import step_scores, task_metrics
from llm_as_rnn.metrics.summary import MethodSummary, summarise
from llm_as_rnn.runs.directory import RunInfo

BELIEVED = "believed"
CASES = "cases"
"""What became of the memory's cases (see `metrics.following.CaseStep`): whether one with the outcome was ``held`` or
``missing``; whether the one that was shown again was ``right`` or ``wrong``; and whether it was ``followed``."""

OWN = (*keep.COLUMNS, BELIEVED, CASES)
"""All columns that are of no field."""

PARTS = ("answer", "outcome", "chance", "chances", "low", "high", "set")
"""What there is of each label and number, behind the field's name; an empty cell is unknown, or not there.

A set of labels is written by their places among the task's options, and so are chances: ``0:0.75 3:0.25``.
"""


class Origin(Record, frozen=True):
    """Where a table is from.

    Attributes
    ----------
    stream : str
        What its run was called.
    task : Task
        By which it is scored.
    model, digest : str
        Who was asked: the model string without folders, and its fingerprint.
    split : str
        The part of the data.
    delay : int
        How late outcomes came, in steps.
    settings : dict
        How the model was asked and how it learned.
    versions : dict of str to str
        Of this package, Python and the engine's packages.
    started : str
        When, ISO 8601, UTC.
    """

    stream: str
    task: Task
    model: str
    digest: str
    split: str
    delay: int
    settings: dict[str, Any]
    versions: dict[str, str]
    started: str

    @classmethod
    def of(cls, stream: str, info: RunInfo, *, asked: bool) -> Origin:
        """Say where the table of a run is from; no folder of a machine's is named."""
        spec = info.spec
        settings = msgspec.to_builtins(spec.settings)
        kind, _, name = spec.model.partition(":")
        model = f"{kind}:{Path(name).name.removesuffix('.gguf')}" if asked else "no model"
        digest = spec.model_digest if asked else ""
        versions = {name: text for name, text in info.versions.items() if name != "system"}
        return cls(stream, info.task, model, digest, spec.split, spec.delay, settings, versions, info.started)

    @property
    def label(self) -> str:
        """A short name of the model, for files."""
        return self.model.rpartition(":")[2].lower().replace(" ", "-")

    @property
    def name(self) -> str:
        """The name of the table's files, without an ending."""
        return f"{self.stream}-{self.label}"


def told(task: Task) -> list[Field]:
    """List the fields whose answers and outcomes may be in a table: labels and numbers."""
    return [field for field in task.answer if isinstance(field, Label | Number)]


def write(folder: Path, origin: Origin, steps: Sequence[StepRecord]) -> Path:
    """Write a table and where it is from."""
    fields = told(origin.task)
    known = {f"{field.name}." for field in fields}
    every = dict.fromkeys(name for step in steps for name in step.scores)
    scores = [name for name in every if f"{name.partition('.')[0]}." not in known]
    columns = [f"{field.name} {part}" for field in fields for part in PARTS]
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*OWN, *columns, *scores))
    cases = cases_of(origin.task, steps)
    for step in steps:
        given = (figure(step.scores.get(name), 6) for name in scores)
        cells = (cell for field in fields for cell in field_cells(field, step))
        held = case_words(cases.get((step.method, step.sequence, step.t)))
        writer.writerow((*keep.cells(step), believed(step), held, *cells, *given))
    path = table_of(folder, origin)
    write_atomically(path, gzip.compress(text.getvalue().encode(), mtime=0))
    content = msgspec.json.format(msgspec.json.encode(origin), indent=2)
    write_atomically(folder / f"{origin.name}.json", content + b"\n")
    return path


def table_of(folder: Path, origin: Origin) -> Path:
    """Name the file of a table."""
    return folder / f"{origin.name}.csv.gz"


def field_cells(field: Field, step: StepRecord) -> tuple[str, ...]:
    """Give what there is of one field, in the order of `PARTS`."""
    answer, outcome = (step.prediction or {}).get(field.name), (step.target or {}).get(field.name)
    low, high = step.interval.get(field.name, (None, None))
    among, chances = step.among.get(field.name, ()), step.distribution.get(field.name, {})
    places = {fold(option): place for place, option in enumerate(field.options)} if isinstance(field, Label) else {}
    return (
        value_text(answer),
        value_text(outcome),
        figure(step.chance.get(field.name), 4),
        " ".join(f"{places[fold(option)]}:{figure(chance, 4)}" for option, chance in chances.items()),
        exact(low),
        exact(high),
        " ".join(str(places[fold(option)]) for option in among),
    )


def cases_of(task: Task, steps: Sequence[StepRecord]) -> dict[tuple[str, str, int], CaseStep]:
    """Say what became of the memories' cases, by method, sequence and timestep."""
    grouped: dict[tuple[str, str], list[StepRecord]] = {}
    for step in steps:
        grouped.setdefault((step.method, step.sequence), []).append(step)
    return {(*name, t): case for name, trace in grouped.items() for t, case in case_steps(task, trace)}


def case_words(case: CaseStep | None) -> str:
    """Write what became of a memory's cases; empty where it had none."""
    if case is None:
        return ""
    words = ["held" if case.held else "missing"]
    if case.as_shown is not None:
        words += ["right" if case.shown_right else "wrong", *["followed"] * case.as_shown]
    return " ".join(words)


def case_of(words: str) -> CaseStep:
    """Read it."""
    said = words.split()
    shown = "right" in said or "wrong" in said
    return CaseStep("held" in said, *(("right" in said, "followed" in said) if shown else ()))


def value_text(value: Value | None) -> str:
    """Write a label or a number."""
    return exact(value) if value is None or isinstance(value, int | float) else str(value)


def exact(value: float | None) -> str:
    """Write a number as it is: coverage and scores are worked out anew from answers, outcomes and intervals.

    >>> exact(12.0), exact(1735689600123), exact(0.1)
    ('12', '1735689600123', '0.1')
    """
    return "" if value is None else str(value).removesuffix(".0")


def figure(value: float | None, digits: int) -> str:
    """Write a number with no more digits than it needs."""
    return "" if value is None else f"{value:.{digits}g}"


def believed(step: StepRecord) -> str:
    """Write how far each adviser was believed, by field."""
    short = {
        field: {name: round(weight, 3) for name, weight in weights.items()} for field, weights in step.believed.items()
    }
    return msgspec.json.encode(short).decode() if short else ""


def origins(folder: Path) -> list[Origin]:
    """Read where the tables of a folder are from, by stream and model."""
    found = (msgspec.json.decode(path.read_bytes(), type=Origin) for path in folder.glob("*.json"))
    return sorted(found, key=lambda origin: (origin.stream, origin.model))


def read(folder: Path, origin: Origin) -> list[StepRecord]:
    """Read a table; its steps are scored by the task."""
    with gzip.open(table_of(folder, origin), "rt", newline="", encoding="utf-8") as file:
        return [_step(origin.task, row) for row in csv.DictReader(file)]


def followed(folder: Path, origin: Origin) -> dict[str, Following]:
    """Read what became of the cases in memories, by method; of those that had some."""
    counted: dict[str, Followed] = {}
    with gzip.open(table_of(folder, origin), "rt", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row[CASES]:
                counted.setdefault(row["method"], Followed(origin.task)).count(case_of(row[CASES]))
    return {method: found for method, one in counted.items() if (found := one.found)}


class Table(NamedTuple):
    """A table that was read, and what it comes to."""

    origin: Origin
    records: list[StepRecord]
    summaries: list[MethodSummary]

    @property
    def task(self) -> Task:
        """By which it is scored."""
        return self.origin.task

    @property
    def main_metrics(self) -> list[Metric]:
        """The first metric of each field that there are scores of: a judge's are not, where none was asked."""
        first: dict[str, Metric] = {}
        for metric in task_metrics(self.task):
            if any(metric.mean in one.scores for one in self.summaries):
                first.setdefault(metric.field, metric)
        return list(first.values())


def table(folder: Path, origin: Origin) -> Table:
    """Read one table, and summarise it."""
    records = read(folder, origin)
    following = followed(folder, origin)
    summaries = [
        msgspec.structs.replace(one, following=following.get(one.method, UNSET))
        for one in summarise(origin.task, records)
    ]
    return Table(origin, records, summaries)


def _step(task: Task, row: dict[str, str]) -> StepRecord:
    fields = told(task)
    parts = {f"{field.name} {part}" for field in fields for part in PARTS}
    kept = {name: float(value) for name, value in row.items() if value and name not in {*OWN, *parts}}
    step = keep.step_of(row, kept)
    answers = dict(_values(fields, row, "answer")) if step.status.answered else None
    outcomes = dict(_values(fields, row, "outcome")) or None
    return msgspec.structs.replace(
        step,
        prediction=answers,
        target=outcomes,
        scores={**kept, **step_scores(task, answers, outcomes)},
        believed=msgspec.json.decode(row[BELIEVED]) if row[BELIEVED] else {},
        distribution=dict(_chances(fields, row)),
        chance={field.name: float(chance) for field in fields if (chance := row[f"{field.name} chance"])},
        interval=dict(_intervals(fields, row)),
        among=dict(_sets(fields, row)),
    )


def _values(fields: Iterable[Field], row: dict[str, str], part: str) -> Iterator[tuple[str, Value]]:
    for field in fields:
        text = row[f"{field.name} {part}"]
        if text:
            yield field.name, float(text) if isinstance(field, Number) else text


def _chances(fields: Iterable[Field], row: dict[str, str]) -> Iterator[tuple[str, dict[str, float]]]:
    for field in fields:
        pairs = [pair.split(":") for pair in row[f"{field.name} chances"].split()]
        if pairs and isinstance(field, Label):
            yield field.name, {field.options[int(place)]: float(chance) for place, chance in pairs}


def _intervals(fields: Iterable[Field], row: dict[str, str]) -> Iterator[tuple[str, tuple[float, float]]]:
    for field in fields:
        low, high = row[f"{field.name} low"], row[f"{field.name} high"]
        if low and high:
            yield field.name, (float(low), float(high))


def _sets(fields: Iterable[Field], row: dict[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for field in fields:
        places = row[f"{field.name} set"].split()
        if places and isinstance(field, Label):
            yield field.name, tuple(field.options[int(place)] for place in places)
