"""What every dataset and every score has to do, as checks over somebody else's."""

from __future__ import annotations

import msgspec

from llm_as_rnn.core.errors import AnswerError, DatasetError, LlmAsRnnError
from llm_as_rnn.core.extras import Extra, Metric
from llm_as_rnn.core.fields import Field, Label, Number, Ranked, Text
from llm_as_rnn.core.fields.stored import KINDS
from llm_as_rnn.core.records import Value
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence, Split
from llm_as_rnn.testing.stage import ContractError, require, require_same

BEYOND = 2000
"""More sequences than most data has; data that is made has as many as are asked for."""

EXAMPLES: dict[str, tuple[Field, Value, Value]] = {
    "label": (Label("sky", options=("sun", "rain")), "sun", "rain"),
    "number": (Number("price", low=1, high=45), 12.0, 9.5),
    "ranked": (Ranked("risks", options=("flood", "frost", "storm"), top=2), ("flood", "storm"), ("frost", "flood")),
    "text": (Text("outlook", max_chars=60), "a wet day", "a bright day"),
}
"""A field of each kind, an answer to it, and an outcome."""


def check_dataset(dataset: Dataset, *, task: Task | None = None, sequences: int = 2, steps: int = 4) -> None:
    """Check that a dataset does all that a dataset has to do.

    Whether its observations tell outcomes before their time is for `leakage.check.check` to say.

    Parameters
    ----------
    dataset : Dataset
        It must be ready here (see `Dataset.ready`).
    task : Task, optional
        One that is made for it: then every step is shown and every outcome read as in a run.
    sequences, steps : int
        How much is cut for the checks; there must be as much in either split.

    Raises
    ------
    ContractError
        At the first thing that is amiss: it says what was expected, and what was seen.

    Examples
    --------
    >>> from llm_as_rnn.datasets.registry import dataset
    >>> check_dataset(dataset("probe-recall"))
    """
    _says_what_it_is(dataset)
    cut = {split: _cut(dataset, Selection(sequences, steps, 0, split)) for split in ("development", "held_out")}
    for split, found in cut.items():
        _is_as_selected(found, sequences, steps, split)
        for sequence in found:
            _is_sound(sequence, task)
    again = _cut(dataset, Selection(sequences, steps, 0, "development"))
    require_same(cut["development"], again, "the same selection to give the same data")
    seen = {_content(sequence) for sequence in cut["development"]}
    both = [sequence.info.id for sequence in cut["held_out"] if _content(sequence) in seen]
    require(not both, "no sequence of held_out in development as well", f"{', '.join(both)} in both")
    _knows_its_end(dataset)


def check_score(extra: Extra) -> None:
    """Check that a score does all that a score has to do.

    Parameters
    ----------
    extra : Extra
        Which.

    Raises
    ------
    ContractError
        At the first thing that is amiss.

    Examples
    --------
    >>> from llm_as_rnn.metrics.extras import extra
    >>> check_score(extra("facts"))
    """
    require(isinstance(extra, Extra), "an Extra", extra)
    require(extra.kind in KINDS, f"a kind of field: {', '.join(KINDS)}", extra.kind)
    field, answer, outcome = EXAMPLES[extra.kind]
    metrics = extra.metrics(field)
    require(bool(metrics), "at least one metric", metrics)
    for metric in metrics:
        require(isinstance(metric, Metric), "metrics to be a tuple of Metric", metric)
        require(metric.field == field.name, f"metrics of the field {field.name!r}", metric.field)
        require(
            metric.name.startswith(f"{field.name}."), f"a name that begins with {field.name!r} and a dot", metric.name
        )
    if extra.score is None:
        return
    names = {metric.name.partition(".")[2] for metric in metrics}
    for said in (answer, outcome, None):
        scores = extra.score(field, said, outcome)
        # A score may tell its parts besides: they are kept with the step, and are no metrics.
        told = not scores or bool(names & set(scores))
        require(told, f"scores by the names of its metrics: {', '.join(sorted(names))}", dict(scores))
        require(all(isinstance(value, float) for value in scores.values()), "scores as floats", dict(scores))
    _prefers_the_truth(extra, metrics, field, outcome)


def _prefers_the_truth(extra: Extra, metrics: tuple[Metric, ...], field: Field, outcome: Value) -> None:
    """Raise where no answer at all scores better than the outcome itself."""
    if extra.score is None:
        return
    best, worst = extra.score(field, outcome, outcome), extra.score(field, None, outcome)
    for metric in metrics:
        name = metric.name.partition(".")[2]
        if name in best and name in worst:
            better = worst[name] > best[name] if metric.higher_is_better else worst[name] < best[name]
            require(not better, f"{name}: no answer to be no better than the right one", (worst[name], best[name]))


def _says_what_it_is(dataset: Dataset) -> None:
    for name in ("name", "title", "source", "licence", "predicts", "size"):
        said = getattr(dataset, name)
        require(isinstance(said, str) and bool(said.strip()), f"{name} to be a text", said)
    why = dataset.ready()
    require(why == "", "it to be ready here: what is missing makes every check pass", why)
    for name in ("sequences", "steps", "quick_steps", "quick_budget"):
        require(getattr(dataset, name) > 0, f"{name} to be at least 1", getattr(dataset, name))


def _cut(dataset: Dataset, selection: Selection) -> list[Sequence]:
    try:
        return list(dataset.load(selection))
    except LlmAsRnnError as error:
        raise ContractError(f"expected {selection} to be cut; seen: {error}") from error


def _is_as_selected(found: list[Sequence], sequences: int, steps: int, split: str) -> None:
    require(all(isinstance(one, Sequence) for one in found), "a list of Sequence", found)
    require(len(found) == sequences, f"{sequences} sequences of {split}", len(found))
    names = [sequence.info.id for sequence in found]
    require(len(set(names)) == len(names), "a name for each sequence that no other has", names)
    for sequence in found:
        require(0 < len(sequence.steps) <= steps, f"1 to {steps} steps in {sequence.info.id}", len(sequence.steps))


def _is_sound(sequence: Sequence, task: Task | None) -> None:
    """Raise where a sequence could not be walked through or kept."""
    where = sequence.info.id
    times = [step.observation.t for step in sequence.steps]
    require(times == list(range(len(times))), f"{where}: t to count from 0", times)
    for step in sequence.steps:
        require(step.observation.sequence == where, f"{where}: observations of that name", step.observation.sequence)
        kept = msgspec.json.decode(msgspec.json.encode(step.observation.fields))
        plain = msgspec.to_builtins(step.observation.fields)
        require_same(plain, kept, f"{where}: observations that survive JSON")
        if task is None:
            continue
        if step.target is not None:
            _is_outcome(task, dict(step.target), where)
        for form in ("json", "line"):
            require(
                bool(task.show(step.observation, form, sequence.info.about).strip()), f"{where}: a step to show", ""
            )


def _is_outcome(task: Task, target: dict[str, Value], where: str) -> None:
    unknown = set(target) - {field.name for field in task.answer}
    require(not unknown, f"{where}: outcomes of the task's fields alone", sorted(unknown))
    for field in task.answer:
        if field.name in target:
            try:
                read = field.read_outcome(target[field.name])
            except AnswerError as error:
                raise ContractError(f"expected {where}: {field.name} to be a {field.noun}; seen: {error}") from error
            require_same(read, target[field.name], f"{where}: {field.name} as the field has it")


def _content(sequence: Sequence) -> bytes:
    return msgspec.json.encode([(step.observation.fields, step.target) for step in sequence.steps])


def _knows_its_end(dataset: Dataset) -> None:
    """Raise where what is not there is asked for, and something is given all the same."""
    split: Split = "development"
    try:
        found = dataset.load(Selection(BEYOND, 1, 0, split))
    except DatasetError as error:
        require("\n" not in str(error), "the message in one line", str(error))
        return
    require(len(found) == BEYOND, f"{BEYOND} sequences or a DatasetError", len(found))
