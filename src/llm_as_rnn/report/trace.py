"""What the page's trace viewer shows, as compact JSON: every step of every sequence under every method.

Texts that come up again (an observation under each method, an item that an update left alone) are stored once, in a
pool, and named by their place in it. What is too long for a page is cut, the longest texts first: the journal has all.

The page holds them compressed, in parts: the steps of a trace, and the pool in blocks. The viewer unpacks those that it
shows, so that opening a page of many thousand steps takes no longer than one of few.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from llm_as_rnn.cases.case import came
from llm_as_rnn.core.fields import Field, Number, Ranked, entries
from llm_as_rnn.core.records import Call, Memory, Message, StepRecord, Value
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.memories import predicting
from llm_as_rnn.metrics.scores import field_metrics
from llm_as_rnn.metrics.told import as_said
from llm_as_rnn.metrics.trusted import is_covered
from llm_as_rnn.report.diff import Item, MemoryDiff

TEXT_CHARS = 5_000_000
"""The most characters of models' texts that a page holds, about; and of what they were asked, once again as many."""

Asked = Mapping[str, Message]
"""Messages of prompts by their digests."""

_NOTHING: Asked = MappingProxyType({})


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """The base of what is stored for the viewer: what has its default is left out."""


class AnswerView(Shown, frozen=True):
    """One field: what was answered, what came, and how they compare."""

    name: str
    said: str | None = None
    came: str | None = None
    right: bool | None = None
    """Of fields that can be right or wrong, once the outcome is known."""
    note: str = ""
    error: float | None = None
    """Of numbers: the absolute error, in the field's unit."""


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
    sections: list[tuple[str, list[tuple[int, int | None, str, Any]]]]
    tokens: int | None = None
    made: int | None = None
    """The version that the prediction was made with; None where the journal does not hold it."""
    shown: list[tuple[str, list[int]]] = []
    """That memory, places of its items by section, where it is not the one that the update began with."""
    before: int | None = None
    """The version that the update began with, where it is another."""


class SaidView(Shown, frozen=True):
    """What the prediction said of how far one field's answer can be trusted; options are places in the pool."""

    field: str
    chance: float | None = None
    interval: tuple[str, str] | None = None
    among: int | None = None
    """A place in the pool: the places of the set's options, as one list."""
    more: int = 0
    """How many further options are in the set."""
    held: bool | None = None
    """Whether the outcome lay in interval or set, once it is known."""
    abstained: bool = False
    given: list[tuple[int, float]] = []
    """The likeliest options, as they were given."""
    told: list[tuple[int, float]] = []
    """The same as the model said it, where that is known."""


class StepView(Shown, frozen=True):
    """One step; ``observation``, ``raw`` and ``feedback`` are places in the pool."""

    t: int
    observation: int
    answers: list[AnswerView]
    status: str
    raw: int
    outcome: str
    """What became of the memory."""
    reason: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()
    feedback: int | None = None
    feedback_kind: str = ""
    memory: MemoryView | None = None
    calls: list[CallView] = []
    recalled: list[RecalledView] = []
    """The one most like the observation first."""
    advice: list[AdviceView] = []
    said: list[SaidView] = []
    when: int | None = None
    """The date of the observation, if it has one: a place in the pool."""


class AdviceView(Shown, frozen=True):
    """What an answer's field was made of: how far each adviser was believed, most first."""

    field: str
    believed: list[tuple[int, float]]


class TraceView(Shown, frozen=True):
    """The steps of one sequence under one method."""

    method: str
    sequence: str
    steps: list[StepView]
    uses: list[int] = []
    """The blocks of the pool that they name texts of."""


class ViewerData(Shown, frozen=True):
    """All that the viewer knows."""

    pool: list[Any]
    traces: list[TraceView]
    units: dict[str, str]
    budget: int | None = None
    unasked: str = ""
    """Why what was asked is not there, where it is not."""


class Part(NamedTuple):
    """A part of the viewer's data as the page holds it: its id, and gzipped JSON as base64."""

    id: str
    text: str


class Packed(NamedTuple):
    """The viewer's data as the page holds it.

    Attributes
    ----------
    head : str
        JSON, for a script tag: all but steps and pool.
    parts : list of Part
        The steps of each trace, and the pool in blocks.
    """

    head: str
    parts: list[Part]


class TraceIndex(Shown, frozen=True):
    """What is known of a trace before its steps are unpacked."""

    method: str
    sequence: str
    memory: bool
    uses: list[int]


class ViewerIndex(Shown, frozen=True):
    """What is known of all before anything is unpacked."""

    traces: list[TraceIndex]
    units: dict[str, str]
    block: int
    """Values in a block of the pool."""
    budget: int | None = None
    unasked: str = ""


BLOCK = 2_000
"""Values of the pool that are packed together."""


class _Pool:
    """Values by number, each stored once; long texts are cut at ``cap`` characters, and messages at ``most``."""

    def __init__(self, cap: int, asked: Asked, most: int) -> None:
        self.values: list[Any] = []
        self._cap = cap
        self._asked = asked
        self._most = most
        self._places: dict[bytes, int] = {}
        self._used: set[int] = set()

    def used(self) -> list[int]:
        """Give the blocks that were named since this was last asked."""
        blocks, self._used = sorted(self._used), set()
        return blocks

    def text(self, text: str) -> int:
        return self.add(_cut(text, self._cap))

    def messages(self, names: Sequence[str]) -> list[tuple[str, list[int]]]:
        """Give a call's messages line by line, as most lines come up again; none where one of them is not known."""
        known = [self._asked[name] for name in names if name in self._asked]
        if len(known) < len(names):
            return []
        return [(one.role, [self.add(line) for line in _cut(one.content, self._most).split("\n")]) for one in known]

    def add(self, value: Any) -> int:
        key = msgspec.json.encode(value)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        self._used.add(self._places[key] // BLOCK)
        return self._places[key]


def viewer_data(
    task: Task,
    records: Sequence[StepRecord],
    budget: int | None,
    text_chars: int = TEXT_CHARS,
    *,
    asked: Asked = _NOTHING,
    unasked: str = "",
) -> ViewerData:
    """Prepare records for the viewer.

    Parameters
    ----------
    task : Task
        Which says what the answer's fields are.
    records : sequence of StepRecord
        The journal, in any order.
    budget : int or None
        lambda, in tokens, if it is known.
    text_chars : int
        The most characters of models' texts in all; the longest are cut first. Of what was asked there may be as many.
    asked : mapping of str to Message
        What the model was asked, by the digests in the records.
    unasked : str
        Why that is not there, if it is known.
    """
    texts = {text for step in records for text in _texts(step)}
    cap = cap_length(map(len, texts), text_chars)
    pool = _Pool(cap, asked, cap_length((len(message.content) for message in asked.values()), text_chars))
    tracks: dict[tuple[str, str], list[StepRecord]] = {}
    for record in records:
        tracks.setdefault((record.method, record.sequence), []).append(record)
    traces = [TraceView(*names, _steps(task, steps, pool), pool.used()) for names, steps in tracks.items()]
    units = {field.name: field.unit for field in task.answer if isinstance(field, Number) and field.unit}
    return ViewerData(pool.values, traces, units, budget, unasked)


def packed(data: ViewerData) -> Packed:
    """Pack the viewer's data for a page."""
    traces = [
        TraceIndex(one.method, one.sequence, any(step.memory for step in one.steps), one.uses) for one in data.traces
    ]
    index = ViewerIndex(traces, data.units, BLOCK, data.budget, data.unasked)
    return Packed(script_json(index), list(_parts(data)))


def _parts(data: ViewerData) -> Iterator[Part]:
    for number, trace in enumerate(data.traces):
        yield Part(f"steps-{number}", _packed(trace.steps))
    for number, begin in enumerate(range(0, len(data.pool), BLOCK)):
        yield Part(f"pool-{number}", _packed(data.pool[begin : begin + BLOCK]))


def _packed(values: Any) -> str:
    return base64.b64encode(gzip.compress(msgspec.json.encode(values), mtime=0)).decode()


def script_json(data: Shown) -> str:
    r"""Encode for a script tag: whatever stands in the journal, no tag can begin or end in it.

    >>> print(script_json(ViewerData(["</script>"], [], {})))
    {"pool":["\u003c/script\u003e"],"traces":[],"units":{}}
    """
    text = msgspec.json.encode(data).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


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


def _steps(task: Task, steps: Sequence[StepRecord], pool: _Pool) -> list[StepView]:
    diff, memories = MemoryDiff(), predicting(steps)
    ordered = sorted(steps, key=lambda step: step.t)
    return [_step(task, step, memories.get((step.method, step.sequence, step.t)), diff, pool) for step in ordered]


def _step(task: Task, step: StepRecord, made: Memory | None, diff: MemoryDiff, pool: _Pool) -> StepView:
    return StepView(
        t=step.t,
        observation=pool.add({name: _written(value) for name, value in step.observation.items()}),
        answers=[_answer(field, step) for field in task.answer],
        status=step.status,
        raw=pool.text(step.raw),
        outcome=step.update.outcome,
        reason=step.update.reason,
        problem=step.problem,
        notes=step.notes,
        feedback=pool.text(step.feedback.text) if step.feedback else None,
        feedback_kind=step.feedback.kind if step.feedback else "",
        memory=_memory(step, made, diff, pool),
        calls=[_call(call, names, pool) for call, names in zip(step.calls, _names(step), strict=True)],
        recalled=[_recalled(task, step, note, pool) for note in reversed(step.recalled)],
        advice=[_advice(step, name, pool) for name in step.believed],
        said=[said for field in task.answer if (said := _said(field, step, pool))],
        when=pool.add(date) if (date := when(task, step.observation)) else None,
    )


MOST_CHANCES = 3
"""Options of a field whose chances are shown."""

MOST_AMONG = 6
"""Options of a set that are shown."""


def _advice(step: StepRecord, name: str, pool: _Pool) -> AdviceView:
    return AdviceView(name, _ranked(step.believed[name], pool))


def _ranked(figures: Mapping[str, float], pool: _Pool) -> list[tuple[int, float]]:
    order = sorted(figures.items(), key=lambda pair: -pair[1])
    return [(pool.add(text), round(figure, 2)) for text, figure in order]


def _said(field: Field, step: StepRecord, pool: _Pool) -> SaidView | None:
    """Tell what was said of one field's answer; None where nothing was."""
    name = field.name
    ends, among, chance = step.interval.get(name), step.among.get(name, ()), step.chance.get(name)
    given, told = step.distribution.get(name, {}), as_said(field, step)
    if ends is None and chance is None and not (among or given or told):
        return None
    return SaidView(
        name,
        chance=None if chance is None else round(chance, 2),
        interval=None if ends is None else (_show(field, ends[0]), _show(field, ends[1])),
        among=pool.add([pool.add(option) for option in among[:MOST_AMONG]]) if among else None,
        more=max(len(among) - MOST_AMONG, 0),
        held=is_covered(field, step),
        abstained=name in step.abstained,
        given=_ranked(given, pool)[:MOST_CHANCES],
        told=_ranked(told, pool)[:MOST_CHANCES],
    )


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


def _memory(step: StepRecord, made: Memory | None, diff: MemoryDiff, pool: _Pool) -> MemoryView | None:
    if step.memory_after is None:
        return None
    before = step.memory_before.version if step.memory_before else None
    same = made is None or made.version == before
    sections = diff.step(step.t, step.memory_before, step.memory_after)
    shown = [(name, [_item(item, pool) for item in items]) for name, items in sections.items()]
    return MemoryView(
        step.memory_after.version,
        shown,
        step.memory_tokens,
        made=made.version if made else None,
        shown=[] if same or not made else [(one.name, [pool.add(item) for item in one.items]) for one in made.sections],
        before=None if same else before,
    )


def _item(item: Item, pool: _Pool) -> tuple[int, int | None, str, Any]:
    return item.id, item.since, item.mark, item.spans if item.mark == "~" else pool.add(item.text)


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


def _answer(field: Field, step: StepRecord) -> AnswerView:
    said, came = ((values or {}).get(field.name) for values in (step.prediction, step.target))
    metrics = field_metrics(field)
    scores = [step.scores.get(metric.name) for metric in metrics]
    return AnswerView(
        field.name,
        None if said is None else _show(field, said),
        None if came is None else _show(field, came),
        None if not metrics[0].is_share or scores[0] is None else scores[0] == 1,
        _note(field, said, came, scores),
        None if metrics[0].higher_is_better else scores[0],
    )


def _note(field: Field, said: Value | None, came: Value | None, scores: Sequence[float | None]) -> str:
    if said is None:
        return "no usable answer"
    if came is None:
        return "no outcome yet"
    if isinstance(field, Ranked) and scores[0] == 0 and scores[-1] == 1:
        return "an outcome is further down the list"
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
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
