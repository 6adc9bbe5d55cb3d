"""The viewer's steps as the page holds them: compressed, in parts, as many as there is room for.

A part is a stretch of a sequence under all methods, with a pool of its own (see `viewer.trace`). The viewer unpacks the
part that it shows, so that opening a page of many thousand steps takes no longer than one of few. Of a run whose parts
would make the page too large, it holds as many as there is room for, evenly chosen among the sequences.
"""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec

from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.traces import Traces, traces
from llm_as_rnn.viewer.index import STRETCH, PartIndex, ViewerIndex, units
from llm_as_rnn.viewer.trace import NOTHING, Asked, PartView, Shown, ShownField, Trace, part_view

ROOM = 1_000_000
"""The most characters of packed parts that a page holds: some 20,000 steps of references, or fewer that say more."""

LEVEL = 6
"""Of compression: the highest takes three times as long, and saves one part in a hundred."""


class Part(NamedTuple):
    """A part as the page holds it: what is known of it, and itself as gzipped JSON in base64."""

    known: PartIndex
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


def viewer(
    task: Task,
    steps: Iterable[StepRecord] | Traces,
    budget: int | None = None,
    *,
    sequences: Collection[str] = (),
    room: int = ROOM,
    asked: Asked = NOTHING,
    unasked: str = "",
) -> Packed:
    """Pack a run's steps for a page.

    Parameters
    ----------
    task : Task
        Which says what the answer's fields are.
    steps : iterable of StepRecord, or Traces
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
    steps = traces(steps)
    methods: dict[str, list[str]] = {}
    for method, sequence in steps.names:
        methods.setdefault(sequence, []).append(method)
    names = list(methods)
    wanted = [place for place in spread_out(len(names)) if not sequences or names[place] in sequences]
    packer = _Packer(task, list(dict.fromkeys(method for method, _ in steps.names)), asked)
    every = (
        (place, part)
        for place in wanted
        for part in packer.parts([steps.trace(method, names[place]) for method in methods[names[place]]])
    )
    found, is_all = _fitting(every, math.inf if sequences else room)
    parts = [part for _, part in sorted(found, key=lambda one: (one[0], one[1].known.first))]
    index = ViewerIndex(packer.methods, [part.known for part in parts], units(task), budget, unasked)
    shown = len({place for place, _ in found})
    whole = is_all and len(wanted) == len(names)
    return Packed(script_json(index), [part.text for part in parts], shown, len(names), whole)


def _fitting(parts: Iterable[tuple[int, Part]], room: float) -> tuple[list[tuple[int, Part]], bool]:
    """Take parts as long as there is room, one at least; say whether these are all."""
    found: list[tuple[int, Part]] = []
    for place, part in parts:
        room -= len(part.text)
        if found and room < 0:
            return found, False
        found.append((place, part))
    return found, True


def spread_out(number: int) -> list[int]:
    """Put places in an order any beginning of which is spread evenly over all of them.

    That is van der Corput's: by the binary digits of each place, read from behind.

    >>> spread_out(8), spread_out(3)
    ([0, 4, 2, 6, 1, 5, 3, 7], [0, 2, 1])
    """
    width = max(number - 1, 1).bit_length()
    return sorted(range(number), key=lambda place: f"{place:0{width}b}"[::-1])


class _Packer:
    """Packs the sequences of a run, one after the other."""

    def __init__(self, task: Task, methods: list[str], asked: Asked) -> None:
        self.methods = methods
        self._task = task
        self._asked = asked
        self._fields = [ShownField(field) for field in task.answer]

    def parts(self, tracks: Sequence[Sequence[StepRecord]]) -> list[Part]:
        """Pack one sequence under several methods, its stretches in an order that is spread out."""
        traces = [Trace(self._task, self._fields, steps) for steps in tracks if steps]
        begins = range(0, max((trace.length for trace in traces), default=0), STRETCH)
        views = (
            part_view([trace.stretch(begin, begin + STRETCH) for trace in traces], self._asked) for begin in begins
        )
        found = [
            self._part(traces, view, whole=len(begins) == 1) for view in views if any(one.t for one in view.traces)
        ]
        return [found[place] for place in spread_out(len(found))]

    def _part(self, traces: Sequence[Trace], view: PartView, *, whole: bool) -> Part:
        there = {self.methods.index(trace.method): one for trace, one in zip(traces, view.traces, strict=True) if one.t}
        known = PartIndex(
            traces[0].sequence,
            first=min(one.t[0] for one in there.values()),
            last=max(one.t[-1] for one in there.values()),
            methods=list(there),
            memory=tuple(method for method, one in there.items() if "memory" in one.steps),
            whole=whole,
        )
        content = msgspec.json.encode(PartView(view.pool, list(there.values())))
        return Part(known, base64.b64encode(gzip.compress(content, LEVEL, mtime=0)).decode())


def script_json(data: Shown) -> str:
    r"""Encode for a script tag: whatever stands in the journal, no tag can begin or end in it.

    >>> print(script_json(ViewerIndex(["</script>"], [], {})))
    {"methods":["\u003c/script\u003e"],"parts":[],"units":{}}
    """
    text = msgspec.json.encode(data).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
