"""What the page's trace viewer shows, as compact JSON: every step of every sequence under every method.

Texts that come up again (an observation under each method, an item that an update left alone) are stored once, in a
pool, and named by their place in it. What is too long for a page is cut, the longest texts first: the journal has all.

The page holds them compressed, in parts: a stretch of a sequence under all methods, with a pool of its own. The viewer
unpacks the part that it shows, so that opening a page of many thousand steps takes no longer than one of few. Of a run
whose parts would make the page too large, it holds as many as there is room for, evenly chosen among the sequences.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
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
from llm_as_rnn.metrics.traces import Traces
from llm_as_rnn.metrics.trusted import is_covered
from llm_as_rnn.report.diff import Item, MemoryDiff

TEXT_CHARS = 1_000_000
"""The most characters of models' texts that a part holds, about; and of what they were asked, once again as many."""

ROOM = 2_300_000
"""The most characters of packed parts that a page holds: with all else on it that is less than 3 MB."""

LEVEL = 6
"""Of compression: the highest takes three times as long, and saves one part in a hundred."""

_encode = msgspec.json.Encoder().encode

STRETCH = 500
"""The most steps of a sequence that are in one part: more can neither be told apart nor unpacked at once."""

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


class PartView(Shown, frozen=True):
    """A stretch of one sequence under each method that has steps there; its texts are in the pool."""

    pool: list[Any]
    traces: list[list[StepView]]


class PartIndex(Shown, frozen=True):
    """What is known of a part before it is unpacked.

    Attributes
    ----------
    sequence : str
        Which one it is of.
    first, last : int
        The timesteps that it begins and ends with.
    methods : list of int
        The places of its methods among all.
    memory : list of int
        Those of them that have a memory.
    whole : bool
        Whether it is the whole sequence.
    """

    sequence: str
    first: int
    last: int
    methods: list[int]
    memory: list[int] = []
    whole: bool = True


class ViewerIndex(Shown, frozen=True):
    """What is known of all parts before any is unpacked."""

    methods: list[str]
    parts: list[PartIndex]
    units: dict[str, str]
    budget: int | None = None
    unasked: str = ""
    """Why what was asked is not there, where it is not."""


class Part(NamedTuple):
    """A part as the page holds it: what is known of it, and itself as gzipped JSON in base64."""

    index: PartIndex
    text: str


class Packed(NamedTuple):
    """The viewer's data as the page holds it.

    Attributes
    ----------
    head : str
        JSON, for a script tag: all but the parts.
    parts : list of str
        What is unpacked when it is shown, in the order in which the head names them.
    shown, sequences : int
        How many sequences are there, as a whole or in part; how many the run has.
    whole : bool
        Whether all of the run's steps are there.
    """

    head: str
    parts: list[str]
    shown: int
    sequences: int
    whole: bool


class _Pool:
    """Values by number, each stored once; long texts are cut at ``cap`` characters, and messages at ``most``."""

    def __init__(self, cap: int, asked: Asked, most: int) -> None:
        self.values: list[Any] = []
        self._cap = cap
        self._asked = asked
        self._most = most
        self._places: dict[bytes, int] = {}

    def text(self, text: str) -> int:
        return self.add(_cut(text, self._cap))

    def messages(self, names: Sequence[str]) -> list[tuple[str, list[int]]]:
        """Give a call's messages line by line, as most lines come up again; none where one of them is not known."""
        known = [self._asked[name] for name in names if name in self._asked]
        if len(known) < len(names):
            return []
        return [(one.role, [self.add(line) for line in _cut(one.content, self._most).split("\n")]) for one in known]

    def add(self, value: Any) -> int:
        key = _encode(value)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


def viewer(
    task: Task,
    steps: Traces,
    budget: int | None = None,
    *,
    sequences: Collection[str] = (),
    room: int = ROOM,
    asked: Asked = _NOTHING,
    unasked: str = "",
) -> Packed:
    """Pack a run's steps for a page.

    Parameters
    ----------
    task : Task
        Which says what the answer's fields are.
    steps : Traces
        The journal.
    budget : int or None
        lambda, in tokens, if it is known.
    sequences : collection of str
        Those that are wanted, whatever room they take; by default all, as far as there is room.
    room : int
        The most characters of packed parts; the first one is there however large it is.
    asked : mapping of str to Message
        What the model was asked, by the digests in the records.
    unasked : str
        Why that is not there, if it is known.
    """
    methods = list(dict.fromkeys(method for method, _ in steps.names))
    every: dict[str, list[str]] = {}
    for method, sequence in steps.names:
        every.setdefault(sequence, []).append(method)
    found: list[tuple[int, Part]] = []
    left = float("inf") if sequences else room
    names = list(every)
    wanted = [place for place in spread_out(len(names)) if not sequences or names[place] in sequences]
    whole = len(wanted) == len(names)
    for place in wanted:
        tracks = [steps.trace(method, names[place]) for method in every[names[place]]]
        parts = list(_parts(task, tracks, methods, asked))
        for number in spread_out(len(parts)):
            part = parts[number]
            if found and len(part.text) > left:
                whole, left = False, 0
                break
            found.append((place, part))
            left -= len(part.text)
        if not left:
            break
    parts = [part for _, part in sorted(found, key=lambda one: (one[0], one[1].index.first))]
    units = {field.name: field.unit for field in task.answer if isinstance(field, Number) and field.unit}
    index = ViewerIndex(methods, [part.index for part in parts], units, budget, unasked)
    shown = len({place for place, _ in found})
    return Packed(script_json(index), [part.text for part in parts], shown, len(names), whole)


def spread_out(number: int) -> list[int]:
    """Put places in an order any beginning of which is spread evenly over all of them.

    That is van der Corput's: by the binary digits of each place, read from behind.

    >>> spread_out(8), spread_out(3)
    ([0, 4, 2, 6, 1, 5, 3, 7], [0, 2, 1])
    """
    width = max(number - 1, 1).bit_length()
    return sorted(range(number), key=lambda place: f"{place:0{width}b}"[::-1])


def _parts(task: Task, tracks: Sequence[Sequence[StepRecord]], methods: Sequence[str], asked: Asked) -> Iterator[Part]:
    """Pack one sequence under several methods, a stretch at a time."""
    traces = [_Trace(task, steps) for steps in tracks if steps]
    places = [methods.index(trace.method) for trace in traces]
    ends = range(0, max((trace.length for trace in traces), default=0), STRETCH)
    for begin in ends:
        view = part_view([trace.stretch(begin, begin + STRETCH) for trace in traces], asked)
        there = [number for number, steps in enumerate(view.traces) if steps]
        yield Part(
            PartIndex(
                traces[0].sequence,
                first=min(view.traces[number][0].t for number in there),
                last=max(view.traces[number][-1].t for number in there),
                methods=[places[number] for number in there],
                memory=[places[number] for number in there if any(step.memory for step in view.traces[number])],
                whole=len(ends) == 1,
            ),
            _packed(PartView(view.pool, [view.traces[number] for number in there])),
        )


def part_view(stretches: Sequence[Stretch], asked: Asked = _NOTHING, text_chars: int = TEXT_CHARS) -> PartView:
    """Prepare a stretch of one sequence for the viewer.

    Parameters
    ----------
    stretches : sequence of Stretch
        Its steps under each method.
    asked : mapping of str to Message
        What the model was asked, by the digests in the records.
    text_chars : int
        The most characters of models' texts in all; the longest are cut first. Of what was asked there may be as many.
    """
    steps = [step for stretch in stretches for step in stretch.steps]
    texts = {text for step in steps for text in _texts(step)}
    names = {name for step in steps for call in step.asked for name in call if name in asked}
    most = cap_length((len(asked[name].content) for name in names), text_chars)
    pool = _Pool(cap_length(map(len, texts), text_chars), asked, most)
    return PartView(pool.values, [stretch.views(pool) for stretch in stretches])


def _packed(values: Any) -> str:
    return base64.b64encode(gzip.compress(msgspec.json.encode(values), LEVEL, mtime=0)).decode()


def script_json(data: Shown) -> str:
    r"""Encode for a script tag: whatever stands in the journal, no tag can begin or end in it.

    >>> print(script_json(ViewerIndex(["</script>"], [], {})))
    {"methods":["\u003c/script\u003e"],"parts":[],"units":{}}
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


class Stretch(NamedTuple):
    """Some steps of a trace; the memory of each that made its prediction, and what its update changed."""

    task: Task
    steps: Sequence[StepRecord]
    made: Sequence[Memory | None]
    changes: Sequence[Sections]

    def views(self, pool: _Pool) -> list[StepView]:
        """Prepare them for the viewer, their texts in a pool."""
        fields = [_Shown(field) for field in self.task.answer]
        return [
            _step(self.task, fields, step, made, sections, pool)
            for step, made, sections in zip(self.steps, self.made, self.changes, strict=True)
        ]


class _Trace:
    """One sequence under one method, whose memory is followed from stretch to stretch."""

    def __init__(self, task: Task, steps: Sequence[StepRecord]) -> None:
        self.method, self.sequence, self.length = steps[0].method, steps[0].sequence, steps[-1].t + 1
        self._task = task
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
        return Stretch(self._task, steps, made, changes)


Sections = Mapping[str, Sequence[Item]]
"""The items of a memory by section (see `report.diff`)."""


def _step(
    task: Task, fields: Sequence[_Shown], step: StepRecord, made: Memory | None, sections: Sections, pool: _Pool
) -> StepView:
    return StepView(
        t=step.t,
        observation=pool.add({name: _written(value) for name, value in step.observation.items()}),
        answers=[field.answer(step) for field in fields],
        status=step.status,
        raw=pool.text(step.raw),
        outcome=step.update.outcome,
        reason=step.update.reason,
        problem=step.problem,
        notes=step.notes,
        feedback=pool.text(step.feedback.text) if step.feedback else None,
        feedback_kind=step.feedback.kind if step.feedback else "",
        memory=_memory(step, made, sections, pool),
        calls=[_call(call, names, pool) for call, names in zip(step.calls, _names(step), strict=True)],
        recalled=[_recalled(task, step, note, pool) for note in reversed(step.recalled)],
        advice=[_advice(step, name, pool) for name in step.believed],
        said=[said for field in fields if (said := field.said(step, pool))],
        when=pool.add(date) if (date := when(task, step.observation)) else None,
    )


DIGITS = 4
"""Of an error, whose bar no eye can tell from one of more digits."""

MOST_CHANCES = 3
"""Options of a field whose chances are shown."""

MOST_AMONG = 6
"""Options of a set that are shown."""


def _advice(step: StepRecord, name: str, pool: _Pool) -> AdviceView:
    return AdviceView(name, _ranked(step.believed[name], pool))


def _ranked(figures: Mapping[str, float], pool: _Pool) -> list[tuple[int, float]]:
    order = sorted(figures.items(), key=lambda pair: -pair[1])
    return [(pool.add(text), round(figure, 2)) for text, figure in order]


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


class _Shown:
    """One field of a task, as the viewer shows its answers."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._first, *rest = field_metrics(field)
        self._last = rest[-1] if rest else self._first
        self._show = lru_cache(maxsize=4096, typed=True)(partial(_show, field))
        self._difference = lru_cache(maxsize=4096, typed=True)(partial(_difference, field))

    def answer(self, step: StepRecord) -> AnswerView:
        """Tell what was answered, what came, and how they compare."""
        name, first = self._field.name, self._first
        said = step.prediction.get(name) if step.prediction else None
        came = step.target.get(name) if step.target else None
        score = step.scores.get(first.name)
        return AnswerView(
            name,
            None if said is None else self._show(said),
            None if came is None else self._show(came),
            None if not first.is_share or score is None else score == 1,
            self._note(said, came, score, step),
            None if first.higher_is_better or score is None else float(f"{score:.{DIGITS}g}"),
        )

    def _note(self, said: Value | None, came: Value | None, score: float | None, step: StepRecord) -> str:
        if said is None:
            return "no usable answer"
        if came is None:
            return "no outcome yet"
        if isinstance(self._field, Ranked) and score == 0 and step.scores.get(self._last.name) == 1:
            return "an outcome is further down the list"
        return self._difference(said, came)

    def said(self, step: StepRecord, pool: _Pool) -> SaidView | None:
        """Tell what was said of the answer; None where nothing was."""
        field, name = self._field, self._field.name
        ends, among, chance = step.interval.get(name), step.among.get(name, ()), step.chance.get(name)
        given, told = step.distribution.get(name, {}), as_said(field, step) if step.calls else {}
        if ends is None and chance is None and not (among or given or told):
            return None
        return SaidView(
            name,
            chance=None if chance is None else round(chance, 2),
            interval=None if ends is None else (self._show(ends[0]), self._show(ends[1])),
            among=pool.add([pool.add(option) for option in among[:MOST_AMONG]]) if among else None,
            more=max(len(among) - MOST_AMONG, 0),
            held=is_covered(field, step),
            abstained=name in step.abstained,
            given=_ranked(given, pool)[:MOST_CHANCES],
            told=_ranked(told, pool)[:MOST_CHANCES],
        )


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
