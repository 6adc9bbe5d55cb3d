"""How records stand in a journal's lines: each thing once, and nothing that follows from the rest.

A `Lines` turns records into lines and back. It may remember what went before: a step's line has its memory only where
it is another one than before, and then says what changed; a message of a prompt names the lines of text that are there
already. What a line leaves out is filled in as it is read, so nobody else knows of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from llm_as_rnn.core.calls import Call, Message
from llm_as_rnn.core.errors import DamagedError
from llm_as_rnn.core.records import Feedback, Memory, Record, Section, Status, Update, Value
from llm_as_rnn.core.steps import StepRecord

T = TypeVar("T", bound=Record)
S = TypeVar("S", bound=msgspec.Struct)

Part = str | int | tuple[int, int]
"""A text; or the place of one that is known already; or the first place of several, and the one behind the last."""

_encoder = msgspec.json.Encoder()


class Lines(Protocol[T]):
    """Turns records into the lines of one journal, and back; it is told of each one that is in the journal."""

    def kept(self, record: T) -> T:
        """Give as much of a record as a line of this format holds."""
        ...

    def line(self, record: T) -> bytes:
        """Give the line of the next record."""
        ...

    def record(self, line: bytes) -> T:
        """Give the record of the next line.

        Raises
        ------
        msgspec.DecodeError, DamagedError
            If it is none.
        """
        ...

    def passed(self, record: T) -> None:
        """Take notice of a record that stands in the journal now."""
        ...


class Names(msgspec.Struct, frozen=True):
    """Whose step a line is; of the rest, only what later lines go by."""

    method: str
    sequence: str
    t: int
    among: dict[str, tuple[Part, ...]] = {}


class LinesOfSteps(Lines[StepRecord], Protocol):
    """Lines of steps, which may also be gone through first and read one sequence after the other then."""

    def names(self, line: bytes) -> Names:
        """Say whose the next line is, and take notice of what later lines go by but for what the step left."""
        ...

    def begin(self) -> None:
        """Take notice that the next line that is read is the first of a sequence, and all others will be of it."""
        ...


class Plain(Lines[T]):
    """Lines that say all of a record, whatever went before."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def kept(self, record: T) -> T:
        """Give all of it."""
        return record

    def line(self, record: T) -> bytes:
        """Encode it."""
        return _encoder.encode(record)

    def record(self, line: bytes) -> T:
        """Decode it."""
        return self._decoder.decode(line)

    def passed(self, record: T) -> None:
        """Remember nothing."""


class Sparse(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base of what is written without what has its default (see `sparse`)."""


class CallLine(Call, frozen=True, kw_only=True, omit_defaults=True):
    """A call in a step's line; ``asked`` names the messages that the model was shown by their digests."""

    asked: tuple[str, ...] = ()


def sparse(kind: type[S], **values: Any) -> S:
    """Make a record that is written without its defaults: what equals one becomes it, by which msgspec knows it."""
    defaults = _defaults(kind)
    return kind(**{name: value for name, value in values.items() if value != defaults[name]})


@cache
def _defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.name: field.default for field in msgspec.structs.fields(kind)}


class Change(Sparse, frozen=True):
    """A memory by what became of the one before: its items by section, those that were there by their places there.

    Its version is one more than before where none is given.
    """

    items: tuple[tuple[Part, ...], ...]
    version: int | UnsetType = UNSET
    tokens: int | None = None


class StepLine(Sparse, frozen=True):
    """A step's line. What is unset follows from the rest, or from the line before of the same method and sequence."""

    method: str
    sequence: str
    t: int
    observation: dict[str, Any]
    update: Update
    target: dict[str, Value] | None = None
    prediction: dict[str, Value] | None = None
    status: Status = Status.OK
    raw: str | UnsetType = UNSET
    memory_version: int | UnsetType | None = UNSET
    memory_before: Memory | UnsetType | None = UNSET
    memory_after: Memory | UnsetType | None = UNSET
    memory_change: Change | UnsetType = UNSET
    memory_tokens: int | UnsetType | None = UNSET
    feedback: Feedback | None = None
    calls: tuple[CallLine, ...] = ()
    scores: dict[str, float] = {}
    problem: str = ""
    notes: tuple[str, ...] = ()
    lessons: Memory | None = None
    taught: Update | None = None
    counts: dict[str, int] = {}
    recalled: tuple[str, ...] = ()
    distribution: dict[str, dict[str, float]] = {}
    believed: dict[str, dict[str, float]] = {}
    interval: dict[str, tuple[float, float]] = {}
    among: dict[str, tuple[Part, ...]] = {}
    chance: dict[str, float] = {}
    abstained: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    when: str = ""


_AS_THEY_ARE = (
    "method", "sequence", "t", "observation", "update", "target", "prediction", "status", "feedback", "scores",
    "problem", "notes", "lessons", "taught", "counts", "recalled",
    "distribution", "believed", "interval", "chance", "abstained", "guessed", "when",
)  # fmt: skip


MOST_SETS = 4096
"""So many different sets of options are kept as they were read last."""


class StepLines(LinesOfSteps):
    """Lines of steps in today's format.

    Sets of options, which may be many and long, name those that stood in a set before by their places.
    """

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(StepLine)
        self._names = msgspec.json.Decoder(Names)
        self._left: dict[tuple[str, str], Memory | None] = {}
        self._options: list[str] = []
        self._places: dict[str, int] = {}
        self._sets: dict[tuple[Part, ...], tuple[str, ...]] = {}

    def kept(self, record: StepRecord) -> StepRecord:
        """Give all of it."""
        return record

    def line(self, record: StepRecord) -> bytes:
        """Say what is new."""
        before, after = record.memory_before, record.memory_after
        asked = record.asked or ((),) * len(record.calls)
        calls = tuple(
            sparse(CallLine, **msgspec.structs.asdict(call), asked=names)
            for call, names in zip(record.calls, asked, strict=True)
        )
        change = changed(before, after)
        line = sparse(
            StepLine,
            **{name: getattr(record, name) for name in _AS_THEY_ARE},
            among={field: parts(options, self._places) for field, options in record.among.items()},
            raw=unless(record.raw, _last_answer(record.calls)),
            memory_version=unless(record.memory_version, before.version if before else None),
            memory_before=unless(before, self._left.get((record.method, record.sequence))),
            memory_after=UNSET if change else unless(after, before),
            memory_change=change or UNSET,
            memory_tokens=unless(record.memory_tokens, after.tokens if after else None),
            calls=calls,
        )
        return _encoder.encode(line)

    def record(self, line: bytes) -> StepRecord:
        """Fill in what was left out."""
        read = self._decoder.decode(line)
        before = given(read.memory_before, self._left.get((read.method, read.sequence)))
        after = given(read.memory_after, before)
        if not isinstance(read.memory_change, UnsetType):
            after = after_change(before, read.memory_change)
        calls: tuple[Call, ...] = ()
        asked: tuple[tuple[str, ...], ...] = ()
        if read.calls:
            calls = tuple(Call.of(call.role, call.completion()) for call in read.calls)
            asked = tuple(call.asked for call in read.calls)
        return StepRecord(  # by their places: with names it takes three times as long, and journals are long
            read.method,
            read.sequence,
            read.t,
            read.observation,
            read.target,
            read.prediction,
            read.status,
            _last_answer(calls) if read.raw is UNSET else read.raw,
            given(read.memory_version, before.version if before else None),
            before,
            after,
            given(read.memory_tokens, after.tokens if after else None),
            read.update,
            read.feedback,
            calls,
            read.scores,
            read.problem,
            read.notes,
            read.lessons,
            read.taught,
            read.counts,
            read.recalled,
            asked if any(asked) else (),
            read.distribution,
            read.believed,
            read.interval,
            {field: self._set(said) for field, said in read.among.items()},
            read.chance,
            read.abstained,
            read.guessed,
            read.when,
        )

    def _set(self, said: tuple[Part, ...]) -> tuple[str, ...]:
        """Give a set's options; the same sets come up again and again, and what a place means does not change."""
        if said not in self._sets:
            if len(self._sets) >= MOST_SETS:
                self._sets.clear()
            self._sets[said] = texts(said, self._options)
        return self._sets[said]

    def passed(self, record: StepRecord) -> None:
        """Remember what the step left, and the options that it named."""
        self._left[record.method, record.sequence] = record.memory_after
        for options in record.among.values():
            self._learn(options)

    def names(self, line: bytes) -> Names:
        """Take notice of the options as well, which stand in a set by their places from then on."""
        read = self._names.decode(line)
        for said in read.among.values():
            new = [part for part in said if isinstance(part, str)]
            if new:
                self._learn(new)
        return read

    def begin(self) -> None:
        """Forget what earlier steps left."""
        self._left.clear()

    def _learn(self, options: Iterable[str]) -> None:
        for option in options:
            if option not in self._places:
                self._places[option] = len(self._options)
                self._options.append(option)


def unless(value: T | Any, follows: Any) -> Any:
    """Give a value, unless it is what follows anyway."""
    return UNSET if value == follows else value


def given(value: Any, follows: Any) -> Any:
    """Give a value, or what follows where none was given."""
    return follows if value is UNSET else value


def _last_answer(calls: Sequence[Call]) -> str:
    """Give the text that the model answered with, as a rule: that of the last call for a prediction."""
    return next((call.text for call in reversed(calls) if call.role == "predict"), "")


def changed(before: Memory | None, after: Memory | None) -> Change | None:
    """Say how a memory came of the one before; None where it is the same, or has other sections."""
    if before is None or after is None or before == after:
        return None
    if [section.name for section in before.sections] != [section.name for section in after.sections]:
        return None
    items = tuple(parts(new.items, places(old.items)) for old, new in zip(before.sections, after.sections, strict=True))
    return sparse(Change, items=items, version=unless(after.version, before.version + 1), tokens=after.tokens)


def after_change(before: Memory | None, change: Change) -> Memory:
    """Give the memory that came of the one before.

    Raises
    ------
    DamagedError
        If it cannot have come of that one.
    """
    if before is None or len(before.sections) != len(change.items):
        raise DamagedError("it changes a memory that is not there", "restore it from a copy")
    sections = tuple(
        Section(section.name, texts(items, section.items))
        for section, items in zip(before.sections, change.items, strict=True)
    )
    return Memory(sections, given(change.version, before.version + 1), change.tokens)


def places(known: Iterable[str]) -> dict[str, int]:
    """Give the place of each text, of the same ones the last."""
    return {text: place for place, text in enumerate(known)}


def parts(wanted: Iterable[str], known: Mapping[str, int]) -> tuple[Part, ...]:
    """Say texts by the places of those that are known.

    >>> parts(["fog", "sun", "hail", "rain", "rain"], {"rain": 0, "fog": 1, "sun": 2})
    ((1, 3), 'hail', 0, 0)
    """
    found: list[Part] = []
    for text in wanted:
        place = known.get(text)
        last = found[-1] if found else ""
        if place is None:
            found.append(text)
        elif isinstance(last, int) and last + 1 == place:
            found[-1] = (last, place + 1)
        elif isinstance(last, tuple) and last[1] == place:
            found[-1] = (last[0], place + 1)
        else:
            found.append(place)
    return tuple(found)


def texts(said: Iterable[Part], known: Sequence[str]) -> tuple[str, ...]:
    """Give the texts that were said by `parts`.

    Raises
    ------
    DamagedError
        If there is no such place.

    Examples
    --------
    >>> texts([(1, 3), "hail", 0, 0], ["rain", "fog", "sun"])
    ('fog', 'sun', 'hail', 'rain', 'rain')
    """
    found: list[str] = []
    for part in said:
        if isinstance(part, str):
            found.append(part)
            continue
        first, behind = part if isinstance(part, tuple) else (part, part + 1)
        if not 0 <= first < behind <= len(known):
            raise DamagedError("it names a text that is not there", "restore it from a copy")
        found.extend(known[first:behind])
    return tuple(found)


class MessageLine(Sparse, frozen=True):
    """A message of a prompt: the lines of its text by their numbers; ``new`` are those that none before it had."""

    digest: str
    role: Literal["system", "user", "assistant"]
    lines: tuple[int | tuple[int, int], ...]
    new: tuple[str, ...] = ()


class MessageLines(Lines[Message]):
    """Lines of a file of prompts: every line of text stands there once, as prompts have most of them in common."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(MessageLine)
        self._texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def kept(self, record: Message) -> Message:
        """Give all of it."""
        return record

    def line(self, record: Message) -> bytes:
        """Say which lines of text it has, and those that are new."""
        lines = record.content.split("\n")
        new = self._new(lines)
        self._numbers.update({text: place for place, text in enumerate(new, len(self._texts))})
        said: Any = parts(lines, self._numbers)
        for text in new:
            del self._numbers[text]  # until it is told that the message is there
        return _encoder.encode(sparse(MessageLine, digest=record.digest, role=record.role, lines=said, new=tuple(new)))

    def record(self, line: bytes) -> Message:
        """Put its lines together.

        Raises
        ------
        DamagedError
            If they are not those of which it has its digest.
        """
        read = self._decoder.decode(line)
        known = len(self._texts)
        self._texts.extend(read.new)
        try:
            message = Message(read.role, "\n".join(texts(read.lines, self._texts)))
        finally:
            del self._texts[known:]
        if message.digest != read.digest:
            raise DamagedError("its text is not the one that it is named after", "restore it from a copy")
        return message

    def passed(self, record: Message) -> None:
        """Remember its lines."""
        for text in self._new(record.content.split("\n")):
            self._numbers[text] = len(self._texts)
            self._texts.append(text)

    def _new(self, lines: Iterable[str]) -> list[str]:
        return [text for text in dict.fromkeys(lines) if text not in self._numbers]
