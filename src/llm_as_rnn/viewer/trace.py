"""What the page's trace viewer shows, as compact JSON: every step of every sequence under every method.

Texts that come up again (an observation under each method, an item that an update left alone) are stored once, in a
pool, and named by their place in it. What is too long for a page is cut, the longest texts first: the journal has all.

How a page holds them stands in `report.packing`; a service prepares them in `service.watching`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from llm_as_rnn.cases.case import came
from llm_as_rnn.core.calls import Call, Message
from llm_as_rnn.core.changes import Item, MemoryDiff
from llm_as_rnn.core.fields import Field, Ranked, entries
from llm_as_rnn.core.records import Memory, Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.memories import predicting
from llm_as_rnn.metrics.scores import field_metrics
from llm_as_rnn.metrics.told import as_said
from llm_as_rnn.metrics.trusted import is_covered

TEXT_CHARS = 1_000_000
"""The most characters of models' texts that a part holds, about; and of what they were asked, once again as many."""

_encode = msgspec.json.Encoder().encode

Asked = Mapping[str, Message]
"""Messages of prompts by their digests."""

NOTHING: Asked = MappingProxyType({})


ItemView = tuple[int, int | None, str, Any]
"""An item as the viewer has it: its number, since when it is there, its mark, and its text or how that changed."""


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """The base of what is stored for the viewer: what has its default is left out."""


class CallView(Shown, frozen=True):
    """One call; ``text`` is a place in the pool, and so is each line of what was asked, message by message.

    ``asked`` is left out where some of it is not known.
    """

    role: str
    text: int
    prompt: int
    cached: int | None
    completion: int
    seconds: float
    finish: str
    retries: int = 0
    error: str = ""
    asked: list[tuple[str, list[int]]] = []


class RecalledView(Shown, frozen=True):
    """A note that was shown once more: the answer's fields that it tells, and those that were answered so."""

    text: int
    tells: list[str] = []
    followed: list[str] = []


class MemoryView(Shown, frozen=True):
    """h_t and what changed in it. An item is (number, since, mark, place of its text or spans of the edit)."""

    version: int
    sections: list[tuple[str, list[ItemView]]]
    tokens: int | None = None
    made: int | None = None
    """The version that the prediction was made with; None where the journal does not hold it."""
    shown: list[tuple[str, list[int]]] = []
    """That memory, places of its items by section, where it is not the one that the update began with."""
    before: int | None = None
    """The version that the update began with, where it is another."""


Column = Sequence[Any]
"""A figure or text of each step of a stretch; None where a step has none. What no step has is left out."""

Columns = Mapping[str, Column]


class TraceView(Shown, frozen=True):
    """A stretch of one sequence under one method, in columns: they take a third less room than steps.

    Attributes
    ----------
    t : list of int
        The timesteps.
    steps : dict of str to column
        What there is of a step. ``observation``, ``raw``, ``feedback`` and ``when`` (its date) are places in the pool;
        ``outcome`` and ``reason`` are what became of the memory; ``memory``, ``calls`` and ``recalled`` (the note most
        like the observation first) are views; ``advice`` has the field of each answer that was made by advice, and how
        far each adviser was believed, most first.
    answers : dict of str to dict of str to column
        By field: what was ``said``, what ``came``, whether that is ``right`` (of fields that can be, once the outcome
        is known), a ``note``, and of numbers the absolute ``error`` in the field's unit.
    trust : dict of str to dict of str to column
        By field, what the prediction said of how far its answer can be trusted: its ``chance``, its interval from
        ``low`` to ``high``, the options ``among`` which the outcome was said to be (a place in the pool, of a list of
        places), and how many ``more`` there are; whether the outcome ``held`` to that, once it is known; whether the
        answer was ``abstained`` from, or ``guessed`` with nothing to go by; the likeliest options as they were
        ``given``, and as the model ``told`` them.
    """

    t: list[int]
    steps: Columns
    answers: Mapping[str, Columns]
    trust: Mapping[str, Columns]


class PartView(Shown, frozen=True):
    """A stretch of one sequence under each method that has steps there; its texts are in the pool."""

    pool: list[Any]
    traces: list[TraceView]


class _Pool:
    """Values by number, each stored once; long texts are cut at ``cap`` characters, and messages at ``most``."""

    def __init__(self, cap: int, asked: Asked, most: int) -> None:
        self.values: list[Any] = []
        self._cap = cap
        self._asked = asked
        self._most = most
        self._texts: dict[str, int] = {}
        self._others: dict[bytes, int] = {}
        self._observations: dict[int, tuple[Mapping[str, Any], int, int | None]] = {}

    def text(self, text: str) -> int:
        return self.add(text if len(text) <= self._cap else _cut(text, self._cap))

    def messages(self, names: Sequence[str]) -> list[tuple[str, list[int]]]:
        """Give a call's messages line by line, as most lines come up again; none where one of them is not known."""
        known = [self._asked[name] for name in names if name in self._asked]
        if len(known) < len(names):
            return []
        return [(one.role, [self.add(line) for line in _cut(one.content, self._most).split("\n")]) for one in known]

    def observation(self, task: Task, step: StepRecord) -> tuple[int, int | None]:
        """Give the places of an observation, which as a rule is the same under all methods, and of its date if any."""
        known, place, dated = self._observations.get(step.t, (None, 0, None))
        if known != step.observation:
            place = self.value({name: _written(value) for name, value in step.observation.items()})
            date = step.when or when(task, step.observation)
            dated = self.add(date) if date else None
            self._observations[step.t] = step.observation, place, dated
        return place, dated

    def add(self, text: str) -> int:
        """Give the place of a text."""
        place = self._texts.get(text)
        if place is None:
            place = self._texts[text] = len(self.values)
            self.values.append(text)
        return place

    def value(self, value: Any) -> int:
        """Give the place of any other value."""
        key = _encode(value)
        if key not in self._others:
            self._others[key] = len(self.values)
            self.values.append(value)
        return self._others[key]


def part_view(stretches: Sequence[Stretch], asked: Asked) -> PartView:
    """Prepare a stretch of one sequence for the viewer, under each method; the longest texts are cut first."""
    steps = [step for stretch in stretches for step in stretch.steps]
    texts = {text for step in steps for text in _texts(step)}
    names = {name for step in steps for call in step.asked for name in call if name in asked}
    most = cap_length((len(asked[name].content) for name in names), TEXT_CHARS)
    pool = _Pool(cap_length(map(len, texts), TEXT_CHARS), asked, most)
    return PartView(pool.values, [stretch.view(pool) for stretch in stretches])


def cap_length(lengths: Iterable[int], total: int) -> int:
    """Find the length at which to cut texts so that all of them together are no longer than ``total``.

    >>> cap_length([10, 20, 500], 100)
    70
    """
    remaining, ordered = total, sorted(lengths)
    for place, length in enumerate(ordered):
        share = remaining // (len(ordered) - place)
        if length > share:
            return max(share, 0)
        remaining -= length
    return max(ordered, default=0)


def _cut(text: str, cap: int) -> str:
    rest = len(text) - cap
    return text if rest <= 0 else f"{text[:cap]}\n[{rest} more characters: see the journal]"


def _texts(step: StepRecord) -> Iterable[str]:
    yield step.raw
    yield from (call.text for call in step.calls)
    if step.feedback:
        yield step.feedback.text


class Stretch(NamedTuple):
    """Some steps of a trace; the memory of each that made its prediction, and what its update changed.

    ``more`` has further columns of steps, where somebody knows more than a record holds.
    """

    task: Task
    fields: Sequence[ShownField]
    steps: Sequence[StepRecord]
    made: Sequence[Memory | None]
    changes: Sequence[Sections]
    more: Columns = MappingProxyType({})

    def view(self, pool: _Pool) -> TraceView:
        """Prepare them for the viewer, their texts in a pool."""
        steps = self.steps
        return TraceView(
            [step.t for step in steps],
            filled({**self._columns(pool), **self.more}),
            {field.name: filled(field.answers(steps)) for field in self.fields},
            {field.name: told for field in self.fields if (told := filled(field.trust(steps, pool)))},
        )

    def _columns(self, pool: _Pool) -> Columns:
        task, steps = self.task, self.steps
        memories = zip(steps, self.made, self.changes, strict=True)
        observations = [pool.observation(task, step) for step in steps]
        return {
            "observation": [place for place, _ in observations],
            "status": [step.status for step in steps],
            "raw": [pool.text(step.raw) for step in steps],
            "outcome": [step.update.outcome for step in steps],
            "reason": [step.update.reason or None for step in steps],
            "problem": [step.problem or None for step in steps],
            "notes": [step.notes or None for step in steps],
            "feedback": [pool.text(step.feedback.text) if step.feedback else None for step in steps],
            "feedback_kind": [step.feedback.kind if step.feedback else None for step in steps],
            "memory": [_memory(step, made, sections, pool) for step, made, sections in memories],
            "calls": [_calls(step, pool) if step.calls else None for step in steps],
            "recalled": [
                [_recalled(task, step, note, pool) for note in reversed(step.recalled)] or None for step in steps
            ],
            "advice": [[(name, _ranked(of, pool)) for name, of in step.believed.items()] or None for step in steps],
            "when": [date for _, date in observations],
        }


def filled(columns: Columns) -> Columns:
    """Leave out columns that have nothing for any step.

    >>> filled({"chance": [0.5, None], "error": [None, None]})
    {'chance': [0.5, None]}
    """
    return {name: column for name, column in columns.items() if column.count(None) < len(column)}


class Trace:
    """One sequence under one method, whose memory is followed from stretch to stretch."""

    def __init__(self, task: Task, fields: Sequence[ShownField], steps: Sequence[StepRecord]) -> None:
        self.method, self.sequence, self.length = steps[0].method, steps[0].sequence, steps[-1].t + 1
        self._task = task
        self._fields = fields
        self._steps = steps
        self._memories = predicting(steps)
        self._diff = MemoryDiff()

    def stretch(self, begin: int, end: int) -> Stretch:
        """Give the steps from one timestep to before another, each time those behind the ones before."""
        steps = [step for step in self._steps if begin <= step.t < end]
        made = [self._memories.get((step.method, step.sequence, step.t)) for step in steps]
        changes = [
            self._diff.step(step.t, step.memory_before, step.memory_after) if step.memory_after else {}
            for step in steps
        ]
        return Stretch(self._task, self._fields, steps, made, changes)


Sections = Mapping[str, Sequence[Item]]
"""The items of a memory by section (see `core.changes`)."""


DIGITS = 4
"""Of an error, whose bar no eye can tell from one of more digits."""

MOST_CHANCES = 3
"""Options of a field whose chances are shown."""

MOST_AMONG = 6
"""Options of a set that are shown."""


def _ranked(figures: Mapping[str, float], pool: _Pool, most: int | None = None) -> list[tuple[int, float]]:
    order = sorted(figures.items(), key=lambda pair: -pair[1])
    return [(pool.add(text), round(figure, 2)) for text, figure in order[:most]]


DATES = ("date", "day", "datetime", "timestamp", "time")
"""What an observation's date is called, where the task does not say."""


def when(task: Task, observation: Mapping[str, Any]) -> str:
    """Give an observation's date: what the task puts steps in order by, else what is called so; empty without one.

    >>> from llm_as_rnn.core.task import load_task
    >>> when(load_task("weather"), {"high": 12.0, "date": "May 6"}), when(load_task("weather"), {"high": 12.0})
    ('May 6', '')
    """
    order = (task.data.order,) if task.data is not UNSET else ()
    found = (observation.get(name) for name in (*order, *DATES) if name)
    return next((_written(value) for value in found if isinstance(value, str | int | float) and value != ""), "")


def _names(step: StepRecord) -> Sequence[Sequence[str]]:
    return step.asked or ((),) * len(step.calls)


def _recalled(task: Task, step: StepRecord, note: str, pool: _Pool) -> RecalledView:
    """Say in which fields the answer is what a note told, by the comparison that answers are scored with."""
    verdicts = task.compare(step.prediction, came(task, note))
    return RecalledView(pool.add(note), list(verdicts), [name for name, found in verdicts.items() if found.right])


def _memory(step: StepRecord, made: Memory | None, sections: Sections, pool: _Pool) -> MemoryView | None:
    if step.memory_after is None:
        return None
    before = step.memory_before.version if step.memory_before else None
    same = made is None or made.version == before
    shown = items_view(sections, pool.add)
    return MemoryView(
        step.memory_after.version,
        shown,
        step.memory_tokens,
        made=made.version if made else None,
        shown=[] if same or not made else [(one.name, [pool.add(item) for item in one.items]) for one in made.sections],
        before=None if same else before,
    )


def items_view(sections: Sections, text: Callable[[str], Any] = str) -> list[tuple[str, list[ItemView]]]:
    """Prepare the items of a memory for the viewer.

    Parameters
    ----------
    sections : mapping of str to sequence of Item
        What an update left of each section, and what it took away.
    text : callable
        Gives what stands for a text.
    """
    return [
        (name, [(one.id, one.since, one.mark, one.spans if one.mark == "~" else text(one.text)) for one in items])
        for name, items in sections.items()
    ]


def _calls(step: StepRecord, pool: _Pool) -> list[CallView]:
    return [_call(call, names, pool) for call, names in zip(step.calls, _names(step), strict=True)]


def _call(call: Call, names: Sequence[str], pool: _Pool) -> CallView:
    return CallView(
        call.role,
        pool.text(call.text),
        call.prompt_tokens,
        call.cached_tokens,
        call.completion_tokens,
        round(call.seconds, 3),
        call.finish_reason,
        call.retries,
        call.error,
        pool.messages(names),
    )


class ShownField:
    """One field of answers, as the viewer shows them."""

    def __init__(self, field: Field) -> None:
        self.name = field.name
        self._field = field
        self._difference = lru_cache(maxsize=4096, typed=True)(partial(_difference, field))
        self.show = lru_cache(maxsize=4096, typed=True)(partial(_show, field))

    def answers(self, steps: Sequence[StepRecord]) -> Columns:
        """Tell what was answered, what came, and how they compare."""
        name, show, metrics = self.name, self.show, field_metrics(self._field)
        first, last = metrics[0], metrics[-1]
        said = [step.prediction.get(name) if step.prediction else None for step in steps]
        came = [step.target.get(name) if step.target else None for step in steps]
        scores = [step.scores.get(first.name) for step in steps]
        notes = [_note(*both, self._difference) for both in zip(said, came, strict=True)]
        if isinstance(self._field, Ranked):
            for place, step in enumerate(steps):
                if not notes[place] and scores[place] == 0 and step.scores.get(last.name) == 1:
                    notes[place] = "an outcome is further down the list"
        return {
            "said": [None if value is None else show(value) for value in said],
            "came": [None if value is None else show(value) for value in came],
            "right": [score == 1 if first.is_share and score is not None else None for score in scores],
            "note": [note or None for note in notes],
            "error": [
                None if first.higher_is_better or score is None else float(f"{score:.{DIGITS}g}") for score in scores
            ],
        }

    def trust(self, steps: Sequence[StepRecord], pool: _Pool) -> Columns:
        """Tell what was said of how far the answers can be trusted."""
        field, name, show = self._field, self.name, self.show
        ends = [step.interval.get(name) for step in steps]
        among = [step.among.get(name, ()) for step in steps]
        told = [as_said(field, step) if step.calls else {} for step in steps]
        return {
            "chance": [None if (one := step.chance.get(name)) is None else round(one, 2) for step in steps],
            "low": [None if one is None else show(one[0]) for one in ends],
            "high": [None if one is None else show(one[1]) for one in ends],
            "among": [
                pool.value([pool.add(option) for option in options[:MOST_AMONG]]) if options else None
                for options in among
            ],
            "more": [len(options) - MOST_AMONG if len(options) > MOST_AMONG else None for options in among],
            "held": [is_covered(field, step) for step in steps],
            "abstained": [True if name in step.abstained else None for step in steps],
            "guessed": [True if name in step.guessed else None for step in steps],
            "given": [
                _ranked(given, pool, MOST_CHANCES) if (given := step.distribution.get(name)) else None for step in steps
            ],
            "told": [_ranked(one, pool, MOST_CHANCES) if one else None for one in told],
        }


def _note(said: Value | None, came: Value | None, difference: Callable[[Value, Value], str]) -> str:
    if said is None:
        return "no usable answer"
    return "no outcome yet" if came is None else difference(said, came)


def _difference(field: Field, said: Value, came: Value) -> str:
    try:
        return field.difference(said, came)
    except ValueError:
        return ""


def _show(field: Field, value: Value) -> str:
    """Write a value as prompts do; where it is of another kind than the field, as it is."""
    try:
        return field.show(value)
    except ValueError:
        return "; ".join(entries(value))


def _written(value: Any) -> str:
    """Write what is not a text as JSON, and numbers as they were: 9.0 stays 9.0."""
    return value if isinstance(value, str) else _encode(value).decode()
