"""The columns of each table that a run is exported as: their names, their kinds and what they mean.

This is the one place where it is said what a step, a call, a memory and a message have as a row. The order is that of
the tables. A change by which a program that reads tables could be misled raises `SCHEMA`; a further column does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from llm_as_rnn.core.calls import Call, Message
from llm_as_rnn.core.fields import Field, Number
from llm_as_rnn.core.records import Status
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.scores import task_metrics
from llm_as_rnn.runs.versions import Event

SCHEMA = 1
"""The version of the tables."""

Kind = Literal["text", "float", "count", "flag", "texts", "json"]
"""What the cells of a column are: a text, a number, a whole number, yes or no, a list of texts, any JSON value."""

MOST_COUNT = 2**63
"""Whole numbers from here on do not fit the columns of other programs: they are numbers there."""


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    name : str
        What stands at its head. A part before a point says what it is of a field: ``answer.sky``.
    kind : str
        What its cells are; each of them may be missing.
    about : str
        What it means, in a line.
    of : callable
        Gives the cell of a row.
    """

    name: str
    kind: Kind
    about: str
    of: Callable[[Any], Any]


class OneCall(NamedTuple):
    """A call, the step that it belongs to, and the place among the step's calls."""

    step: StepRecord
    place: int
    call: Call


def _of_its_step(of: Callable[[StepRecord], Any]) -> Callable[[OneCall], Any]:
    return lambda one: of(one.step)


class OneMemory(NamedTuple):
    """A version of a memory, with whose it is."""

    method: str
    sequence: str
    event: Event


STEP: tuple[Column, ...] = (
    Column("method", "text", "The method whose step it is.", lambda step: step.method),
    Column("sequence", "text", "The sequence that it belongs to.", lambda step: step.sequence),
    Column("t", "count", "Which step of the sequence it is, from 0 on.", lambda step: step.t),
)
"""What names a step, in all tables that have anything to do with steps."""

PREDICTED: tuple[Column, ...] = (
    Column("status", "text", f"How the prediction came about: {', '.join(Status)}.", lambda step: step.status.value),
    Column("answered", "flag", "Whether there is a usable answer.", lambda step: step.status.answered),
)

LEARNED: tuple[Column, ...] = (
    Column(
        "memory_version", "count", "The version of the memory that predicted.", lambda step: step.memory_version
    ),
    Column(
        "memory_version_after",
        "count",
        "The version of the memory when the outcome had been learned.",
        lambda step: step.memory_after and step.memory_after.version,
    ),
    Column("memory_tokens", "count", "Tokens of the memory then.", lambda step: step.memory_tokens),
    Column("update", "text", "What became of the memory: accepted, kept, rolled_back, skipped.",
           lambda step: step.update.outcome),
    Column("update_code", "text", "Why, in a word.", lambda step: step.update.code or None),
    Column("update_detail", "text", "What else there is to say of that.", lambda step: step.update.detail or None),
    Column("feedback", "text", "What was said of the prediction when its outcome was known.",
           lambda step: step.feedback.text if step.feedback else None),
    Column("recalled", "texts", "Notes that were shown once more before the prediction.", lambda step: step.recalled),
)  # fmt: skip

COST: tuple[Column, ...] = (
    Column("calls", "count", "Calls to the model.", lambda step: len(step.calls)),
    Column("failed_calls", "count", "Those of them that got no answer, or were declined.",
           lambda step: sum(call.finish_reason in ("error", "content_filter") for call in step.calls)),
    Column("prompt_tokens", "count", "Tokens read in all calls.",
           lambda step: sum(call.prompt_tokens for call in step.calls)),
    Column("cached_tokens", "count", "Those of them that were not read again; missing where the engine does not say.",
           lambda step: cached(step.calls)),
    Column("completion_tokens", "count", "Tokens written in all calls.",
           lambda step: sum(call.completion_tokens for call in step.calls)),
    Column("reasoning_tokens", "count", "Those of them that went into thinking.",
           lambda step: sum(call.reasoning_tokens for call in step.calls)),
    Column("seconds", "float", "Seconds of all calls.", lambda step: sum(call.seconds for call in step.calls)),
    Column("retries", "count", "Attempts that failed in all calls.",
           lambda step: sum(call.retries for call in step.calls)),
)  # fmt: skip

WRITTEN: tuple[Column, ...] = (
    Column("raw", "text", "What the model wrote for an answer.", lambda step: step.raw),
    Column("problem", "text", "What was wrong with the answer.", lambda step: step.problem or None),
    Column("notes", "texts", "What else is to be known of the step.", lambda step: step.notes),
)

CALL: tuple[Column, ...] = (
    *(column._replace(of=_of_its_step(column.of)) for column in STEP),
    Column("call", "count", "Which call of the step it is, from 0 on.", lambda one: one.place),
    Column("role", "text", "What was asked for.", lambda one: one.call.role),
    Column("finish_reason", "text", "How it ended: stop, length, content_filter, error.",
           lambda one: one.call.finish_reason),
    Column("prompt_tokens", "count", "Tokens read.", lambda one: one.call.prompt_tokens),
    Column("cached_tokens", "count", "Those of them that were not read again; missing where the engine does not say.",
           lambda one: one.call.cached_tokens),
    Column("completion_tokens", "count", "Tokens written.", lambda one: one.call.completion_tokens),
    Column("reasoning_tokens", "count", "Those of them that went into thinking.",
           lambda one: one.call.reasoning_tokens),
    Column("seconds", "float", "Seconds, those of failed attempts among them.", lambda one: one.call.seconds),
    Column("retries", "count", "Attempts that failed.", lambda one: one.call.retries),
    Column("error", "text", "What went wrong.", lambda one: one.call.error or None),
    Column("text", "text", "What the model wrote.", lambda one: one.call.text),
    Column("chances", "json", "By field, how likely the model held the options to be.",
           lambda one: one.call.chances or None),
    Column("messages", "texts", "What it was shown, by the digests of the table messages.",
           lambda one: one.step.asked[one.place] if one.place < len(one.step.asked) else None),
)  # fmt: skip

MEMORY: tuple[Column, ...] = (
    Column("method", "text", "The method whose memory it is.", lambda one: one.method),
    Column("sequence", "text", "Its sequence; shared-lessons is the memory that sequences share.",
           lambda one: one.sequence),
    Column("version", "count", "The number by which steps name it.", lambda one: one.event.memory.version),
    Column("t", "count", "The step whose outcome led to it; missing where none did.", lambda one: one.event.t),
    Column("reason", "text", "How it came about.", lambda one: one.event.reason or None),
    Column("tokens", "count", "Its length in tokens.", lambda one: one.event.tokens),
    Column("items", "count", "How many notes it holds.",
           lambda one: sum(len(section.items) for section in one.event.memory.sections)),
    Column("pinned", "texts", "Those of them that a person has pinned.", lambda one: one.event.memory.pins),
    Column("text", "text", "The whole memory, as the model is shown it.", lambda one: str(one.event.memory)),
    Column("sections", "json", "The notes by section.",
           lambda one: {section.name: list(section.items) for section in one.event.memory.sections}),
)  # fmt: skip

MESSAGE: tuple[Column, ...] = (
    Column("digest", "text", "The name by which calls refer to it.", lambda one: one[0]),
    Column("role", "text", "Who speaks: system, user or assistant.", lambda one: one[1].role),
    Column("content", "text", "What is said.", lambda one: one[1].content),
)
"""Of a pair of digest and `Message`."""

Digested = tuple[str, Message]


def cached(calls: Sequence[Call]) -> int | None:
    """Add up the prompt tokens that were not read again; None where a call does not say."""
    known = [call.cached_tokens for call in calls if call.cached_tokens is not None]
    return sum(known) if len(known) == len(calls) else None


def step_columns(task: Task, records: Iterable[StepRecord]) -> tuple[Column, ...]:
    """List the columns of the table of steps.

    Parameters
    ----------
    task : Task
        Which says what fields an answer has.
    records : iterable of StepRecord
        The run's steps, gone through once: they say what an observation has, and what was scored besides.
    """
    seen, scores = Seen(), dict.fromkeys(metric.name for metric in task_metrics(task))
    for record in records:
        seen.add(record.observation)
        scores.update(dict.fromkeys(record.scores))
    return (
        *STEP,
        *PREDICTED,
        *(column for field in task.answer for column in field_columns(field)),
        *map(_score, scores),
        *LEARNED,
        *COST,
        *WRITTEN,
        *seen.columns(),
    )


def field_columns(field: Field) -> Iterator[Column]:
    """Give the columns of one field of an answer."""
    name = field.name
    number = isinstance(field, Number)
    kind: Kind = "float" if number else "texts" if field.schema().get("type") == "array" else "text"
    yield Column(f"answer.{name}", kind, f"What was answered for {name}.", _within("prediction", name))
    yield Column(f"outcome.{name}", kind, f"What came for {name}.", _within("target", name))
    if number:
        about = f"between which the outcome of {name} was said to lie"
        yield Column(f"low.{name}", "float", f"The lower of the ends {about}.", _end(name, 0))
        yield Column(f"high.{name}", "float", f"The upper of the ends {about}.", _end(name, 1))
    else:
        about = f"How likely the answer for {name} was said to be right"
        yield Column(f"chance.{name}", "float", f"{about}.", _within("chance", name))
        about = f"The options among which the outcome of {name} was said to be, the likeliest first"
        yield Column(f"among.{name}", "texts", f"{about}.", _within("among", name))
        about = f"How likely the likeliest options of {name} were said to be; others share what is left of 1"
        yield Column(f"distribution.{name}", "json", f"{about}.", _within("distribution", name))
    about = f"How far each adviser was believed for {name}, of an answer made by advice"
    yield Column(f"believed.{name}", "json", f"{about}.", _within("believed", name))
    about = f"Whether the answer for {name} was held back, as too unlikely or too wide"
    yield Column(f"abstained.{name}", "flag", f"{about}.", lambda step: name in step.abstained)
    about = f"Whether a reference had nothing to go by for {name}, and guessed; advice passes that over"
    yield Column(f"guessed.{name}", "flag", f"{about}.", lambda step: name in step.guessed)


def _within(attribute: str, name: str) -> Callable[[StepRecord], Any]:
    return lambda step: (getattr(step, attribute) or {}).get(name)


def _end(name: str, place: int) -> Callable[[StepRecord], float | None]:
    return lambda step: step.interval[name][place] if name in step.interval else None


def _score(name: str) -> Column:
    return Column(f"score.{name}", "float", f"The step's score {name}.", lambda step: step.scores.get(name))


class Seen:
    """Finds out what observations have, and of what kind it is.

    Examples
    --------
    >>> seen = Seen()
    >>> seen.add({"sky": "rain", "wind": 3})
    >>> seen.add({"sky": "sun", "wind": 2.5, "gusts": [3, 4]})
    >>> [(column.name, column.kind) for column in seen.columns()]
    [('observation.sky', 'text'), ('observation.wind', 'float'), ('observation.gusts', 'json')]
    """

    def __init__(self) -> None:
        self._kinds: dict[str, set[Kind]] = {}

    def add(self, fields: dict[str, Any]) -> None:
        """Take notice of an observation."""
        for name, value in fields.items():
            kinds = self._kinds.setdefault(name, set())
            if value is not None:
                kinds.add(kind_of(value))

    def columns(self) -> Iterator[Column]:
        """Give a column for each field that was seen."""
        for name, kinds in self._kinds.items():
            about = f"What was known as {name} before the outcome."
            yield Column(f"observation.{name}", _common(kinds), about, _within("observation", name))


def kind_of(value: Any) -> Kind:
    """Tell the kind of a JSON value.

    >>> kind_of(True), kind_of(3), kind_of(3.5), kind_of("3"), kind_of(["a"]), kind_of([3])
    ('flag', 'count', 'float', 'text', 'texts', 'json')
    """
    match value:
        case bool():
            return "flag"
        case int():
            return "count" if -MOST_COUNT <= value < MOST_COUNT else "float"
        case float():
            return "float"
        case str():
            return "text"
        case list() | tuple() if all(isinstance(one, str) for one in value):
            return "texts"
        case _:
            return "json"


def _common(kinds: set[Kind]) -> Kind:
    """Give the narrowest kind that holds values of all these."""
    if not kinds:
        return "text"
    if len(kinds) == 1:
        return next(iter(kinds))
    return "float" if kinds == {"count", "float"} else "json"
