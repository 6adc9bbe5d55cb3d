"""What a method is, and how methods ask: generators that yield requests and receive completions.

A method never does I/O. `drive` runs its generators on an engine; a test can run them by hand.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from llm_as_rnn.core.answers import AnswerSpec
from llm_as_rnn.core.calls import AnswerFormat, Completion, Message, Request, Role, Sampling
from llm_as_rnn.core.chances import likeliest, shared_out, untold
from llm_as_rnn.core.errors import AnswerError, UsageError
from llm_as_rnn.core.fields import Label, entries
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import (
    Feedback,
    Memory,
    Observation,
    Prediction,
    Record,
    SequenceInfo,
    Status,
    Target,
    Update,
    Value,
)
from llm_as_rnn.core.settings import RoleSampling, SamplingPreset, Settings
from llm_as_rnn.core.task import Task

T = TypeVar("T")

MOST_SAID = 8_000
"""Characters of an earlier answer that a conversation goes on with: what runs on for longer would fill the window."""

Calls = Generator[Request, Completion, T]
"""A computation that asks a model on its way to a ``T``."""


class Learned(Record, frozen=True):
    """What learning from one step leaves behind.

    Attributes
    ----------
    state : object
        The method's new state.
    update : Update
        What became of the memory, and why.
    feedback : Feedback or None
        e_t, where the method has any.
    """

    state: Any
    update: Update
    feedback: Feedback | None = None


class Method(Protocol):
    """A way to predict the next outcome of a sequence and to learn from it.

    States are frozen msgspec structs of the class ``state_type``: they survive JSON, and the same completions give
    the same state.
    """

    name: str
    state_type: type[Any]

    def start(self, sequence: SequenceInfo) -> Any:
        """Give the state before the first step."""
        ...

    def predict(self, state: Any, observation: Observation) -> Calls[Prediction]:
        """Predict y_t from the state and x_t."""
        ...

    def learn(
        self, state: Any, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Learn from y_t; from None where no outcome will come."""
        ...

    def memory(self, state: Any) -> Memory | None:
        """Give the memory in a state; None for methods that keep none within a budget."""
        ...

    def with_memory(self, state: Any, memory: Memory) -> Any:
        """Put a memory into a state.

        Raises
        ------
        UsageError
            If the method keeps none.
        """
        ...

    @property
    def shares(self) -> bool:
        """Whether sequences that have ended teach later ones: then they run one after the other."""
        ...

    @property
    def needs_outcomes(self) -> bool:
        """Whether a step whose outcome never comes teaches nothing: `learn` then gives the state back as it was."""
        ...

    @property
    def takes_advice(self) -> bool:
        """Whether an answer is made of several answers: it need not be what the model said, nor fail with it."""
        ...

    @property
    def keeps_pins(self) -> bool:
        """Whether the notes that are pinned in a memory (`Memory.pinned`) outlast whatever is learned."""
        ...

    def start_with(self, sequence: SequenceInfo, lessons: Any) -> Any:
        """Give the state before the first step, with the lessons of earlier sequences (None for the first)."""
        ...

    def conclude(self, state: Any, last: Observation) -> Calls[tuple[Any, Update | None]]:
        """Give the lessons after a sequence, and what became of them; None twice where none are shared."""
        ...


class Apart(ABC):
    """What most methods have in common: no memory within a budget, and sequences that teach each other nothing."""

    shares: bool = False
    needs_outcomes: bool = True
    takes_advice: bool = False
    keeps_pins: bool = False

    @abstractmethod
    def start(self, sequence: SequenceInfo) -> Any:
        """Give the state before the first step."""

    def start_with(self, sequence: SequenceInfo, lessons: Any) -> Any:
        """Begin as if it were the first sequence."""
        return self.start(sequence)

    def conclude(self, state: Any, last: Observation) -> Calls[tuple[Any, Update | None]]:
        """Leave nothing to later sequences."""
        return at_once((None, None))

    def memory(self, state: Any) -> Memory | None:
        """Give none."""
        return None

    def with_memory(self, state: Any, memory: Memory) -> Any:
        """Refuse a memory.

        Raises
        ------
        UsageError
            Always: there is no place for one.
        """
        raise UsageError("this method keeps no memory", "versions are kept of one that does: recurrent")


class Asker:
    """Builds the requests of a method: the same form, sampling and seeds for all of them.

    Parameters
    ----------
    task : Task
        What is predicted.
    settings : Settings
        How the model is asked.
    prompts : Prompts
        The templates.
    sampling : SamplingPreset, optional
        Temperatures in place of the settings'.
    """

    def __init__(
        self, task: Task, settings: Settings, prompts: Prompts, sampling: SamplingPreset | None = None
    ) -> None:
        self.task = task
        self.settings = settings
        self._preset = sampling or settings.preset
        self.prompts = prompts
        self.answer = task.spec(settings.form)
        self._format = self.answer.format
        if settings.chances and self.answer.places:
            self._format = msgspec.structs.replace(self._format, places=self.answer.places)

    def block(self, name: str, fields: Any) -> AnswerSpec:
        """Give the specification of an answer of the method's own, in the notation that suits the form."""
        return AnswerSpec(name, fields, "json" if self.settings.form == "json" else "block")

    def render(self, name: str, /, **values: Any) -> str:
        """Fill one of the method's templates; all of them know task, settings and answer."""
        return self.prompts.render(
            name,
            task=self.task,
            settings=self.settings,
            answer=self.answer,
            form=self.settings.form,
            **values,
        )

    def request(
        self, role: Role, messages: tuple[Message, ...], observation: Observation, answer: AnswerFormat, max_tokens: int
    ) -> Request:
        """Build a request; its seed depends on what it is for, and on nothing else."""
        kind: RoleSampling = getattr(self._preset, role)
        where = f"{self.settings.seed}/{observation.sequence}/{observation.t}/{role}"
        # A line answer ends with its line, also where no engine holds it to a grammar.
        stop = ("\n",) if answer is self._format and self.answer.notation == "line" else ()
        # And one of several lines with an empty one: after it, a text would go on with the next step.
        if not stop and self.settings.form == "line" and self.settings.style == "completion":
            stop = ("\n\n",)
        seed = zlib.crc32(where.encode("utf-8", "replace")) >> 1  # 31 bits: what every engine takes
        sampling = Sampling(kind.temperature, kind.top_p, max_tokens, seed, stop, self.settings.thinking)
        return Request(role, messages, sampling, self.settings.style, answer)

    def predict(self, messages: tuple[Message, ...], observation: Observation) -> Calls[Prediction]:
        """Ask for the task's answer."""
        request = self.request("predict", messages, observation, self._format, self.answer.max_tokens())
        asked = yield from self.ask(request, self.answer.read)
        chances = dict(asked.chances)
        if self.settings.draws and asked.value is not None and self._format.places and not chances:
            chances = yield from self._drawn(request, asked.value)
        elif self.settings.branches and chances:
            chances = yield from self._told_apart(request, chances)
        return Prediction(asked.value, asked.status, asked.raw, asked.problem, distribution=chances)

    def _told_apart(
        self, request: Request, chances: Mapping[str, dict[str, float]]
    ) -> Calls[dict[str, dict[str, float]]]:
        """Ask for the likeliest options that share the beginning that the answer did not take: among them alone."""
        told = dict(chances)
        for field in self.task.answer:
            if not isinstance(field, Label):
                continue
            for _ in range(self.settings.branches):
                branch = untold(field.options, told.get(field.name, {}))
                if branch is None:
                    break
                within = (yield self._among(request, field, branch.options)).chances.get(field.name)
                if not within:
                    break
                told[field.name] = shared_out(field.options, told[field.name], branch, within)
        return told

    def _among(self, request: Request, field: Label, options: tuple[str, ...]) -> Request:
        """Ask the same again, and let it be answered with some of a field's options alone."""
        few = msgspec.structs.replace(field, options=options)
        fields = tuple(few if one.name == field.name else one for one in self.answer.fields)
        spec = AnswerSpec(self.answer.name, fields, self.answer.notation)
        return msgspec.structs.replace(request, answer=msgspec.structs.replace(spec.format, places=spec.places))

    def _drawn(self, request: Request, answer: Mapping[str, Value]) -> Calls[dict[str, dict[str, float]]]:
        """Estimate chances from repeated draws: how often each option came, and half a time more (see `likeliest`)."""
        drawn = [answer]
        for number in range(1, self.settings.draws + 1):
            sampling = msgspec.structs.replace(
                request.sampling, temperature=1.0, top_p=1.0, seed=(request.sampling.seed + number) & (2**31 - 1)
            )
            read = _read((yield msgspec.structs.replace(request, sampling=sampling)), self.answer.read)
            drawn.extend([read.value] if read.value is not None else [])
        chances = {}
        for field in self.task.answer:
            if field.options:
                came = Counter(entries(values[field.name])[0] for values in drawn)
                chances[field.name] = likeliest({option: came[option] + 0.5 for option in field.options})
        return chances

    def ask(self, request: Request, read: Callable[[str], T]) -> Calls[Asked[T]]:
        """Ask, read, and ask once more if the answer cannot be read.

        Parameters
        ----------
        request : Request
            What to ask.
        read : callable
            Makes a value of the answer's text; raises `AnswerError` if it cannot.
        """
        first = _read((yield request), read)
        if first.status not in (Status.INVALID, Status.TRUNCATED):
            return first
        complaint = self.prompts.render("recurrence/repair", problem=first.problem)
        again = msgspec.structs.replace(
            request,
            messages=(*request.messages, said(first.raw), Message("user", complaint)),
            sampling=msgspec.structs.replace(request.sampling, seed=request.sampling.seed + 1),
            attempt=1,
        )
        second = _read((yield again), read)
        return second._replace(status=Status.REPAIRED, problem=first.problem) if second.status is Status.OK else second


class Asked(NamedTuple, Generic[T]):
    """How asking went: the value that was read, or None and what was wrong."""

    status: Status
    value: T | None
    raw: str
    problem: str = ""
    chances: Mapping[str, dict[str, float]] = MappingProxyType({})


def _read(completion: Completion, read: Callable[[str], T]) -> Asked[T]:
    failure = _failure(completion)
    if failure and failure[0] is not Status.TRUNCATED:
        return Asked(failure[0], None, completion.text, failure[1])
    try:
        value = read(completion.text)
    except AnswerError as error:
        status, problem = failure or (Status.INVALID, error.message)
        return Asked(status, None, completion.text, problem)
    if failure:
        return Asked(failure[0], None, completion.text, failure[1])
    return Asked(Status.OK, value, completion.text, chances=completion.chances)


def _failure(completion: Completion) -> tuple[Status, str] | None:
    """Name what went wrong with a completion, whatever its text says; None if nothing."""
    match completion.finish_reason:
        case "error":
            return Status.ENGINE_ERROR, completion.error
        case "content_filter":
            return Status.REFUSED, "the server declined to answer"
        case "length":
            return Status.TRUNCATED, "the answer was cut short: it is too long"
    return None


def said(text: str) -> Message:
    """Put an earlier answer into a conversation, as far as it goes; some chat templates take no empty ones."""
    return Message("assistant", text[:MOST_SAID] or " ")


def count_tokens(text: str) -> Calls[int]:
    """Ask how many tokens a text holds."""
    completion = yield Request("count", (Message("user", text),))
    return completion.prompt_tokens


def at_once(value: T) -> Calls[T]:
    """Make a computation of something that needs no model."""
    yield from ()
    return value
