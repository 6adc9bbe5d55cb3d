"""What a method is, and how methods ask: generators that yield requests and receive completions.

A method never does I/O. `drive` runs its generators on an engine; a test can run them by hand.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from llm_as_rnn.answers import AnswerSpec
from llm_as_rnn.errors import AnswerError, UsageError
from llm_as_rnn.prompts import Prompts
from llm_as_rnn.records import (
    AnswerFormat,
    Completion,
    Feedback,
    Form,
    Layout,
    Memory,
    Message,
    Observation,
    Prediction,
    Record,
    Request,
    Role,
    Sampling,
    SequenceInfo,
    Status,
    Style,
    Target,
    Update,
)
from llm_as_rnn.task import Task

T = TypeVar("T")

MOST_SAID = 8_000
"""Characters of an earlier answer that a conversation goes on with: what runs on for longer would fill the window."""

Calls = Generator[Request, Completion, T]
"""A computation that asks a model on its way to a ``T``."""

FEEDBACK = ("model", "scorecard", "judge")
"""Who can write e_t: a critic who knows the outcome, exact figures by code, or a judge who does not know it."""

RuleName = Literal["auto", "rewrite", "delta", "cases", "hybrid", "append", "none"]
"""The update rules (see `recurrence.rules`); ``auto`` takes the one that suits the form (see `Updating.suited`)."""

KEEPS_CASES = ("cases", "hybrid", "append")
"""Rules by which code keeps cases."""

AUTO_FEEDBACK = "auto"
"""In place of feedback: the critic for rules whose notes are the model's own words, figures alone for the others."""


def notes_cases(rule: RuleName, *, told: bool) -> bool:
    """Tell whether the notes of a rule are cases: those of code, and a model's where they tell what came.

    Then no critic is needed, and small models do better when shown the nearest case again (docs/results/memory.md).
    """
    return rule in KEEPS_CASES or (rule == "delta" and told)


def feedback_kinds(feedback: str) -> tuple[str, ...]:
    """Split what was asked for: one kind, or several joined by ``+``.

    Raises
    ------
    UsageError
        If there is no such kind, or one of them stands there twice.

    Examples
    --------
    >>> feedback_kinds("judge+scorecard")
    ('judge', 'scorecard')
    """
    kinds = tuple(feedback.split("+"))
    if not set(kinds) <= set(FEEDBACK) or len(set(kinds)) < len(kinds):
        raise UsageError(f"there is no feedback {feedback!r}", f"choose from {', '.join(FEEDBACK)}, or join some by +")
    return kinds


def knows_outcomes(feedback: str) -> bool:
    """Tell whether feedback compares with outcomes; a judge alone is shown none, even where they are known.

    >>> knows_outcomes("judge"), knows_outcomes("judge+scorecard")
    (False, True)
    """
    return feedback != "judge"


class Updating(Record, frozen=True):
    """How the recurrent method updates its memory.

    Attributes
    ----------
    rule : str
        Who writes the next memory, and how (see `recurrence.rules`).
    when : str
        ``every`` step, ``every:K``, ``on_error`` or ``surprise`` (an error above the upper quartile of the latest).
    allowance : int
        The most tokens that critic and updates may read and write a step on average; 0 for no limit.
    recall : int, optional
        Cases of the memory that are shown once more right before x_t, the most alike last; by default one where notes
        are cases (see `notes_cases`), and else none.
    echo : int, optional
        How often each of these is shown; by default as often as suits the engine (see `EngineInfo.echo`).
    recheck : int
        A candidate must predict so many of the latest steps no worse than the memory that is there; 0 for no check.
    watch : bool
        Whether a lasting fall of the score takes the memory back to its best version.
    shared : int
        The budget of a second memory, of lessons that sequences leave to those after them; 0 for none.
    """

    rule: RuleName = "rewrite"
    when: str = "every"
    allowance: int = 0
    recall: int | None = None
    echo: int | None = None
    recheck: int = 0
    watch: bool = False
    shared: int = 0

    def suited(self, form: Form, feedback: str = AUTO_FEEDBACK, *, told: bool = False) -> Updating:
        """Fill in what was left open; ``told`` says that a model's notes tell what came (see `outcomes.is_told`).

        Small models, which answer in lines, learn from cases and not by rewriting (docs/results/memory.md); for the
        others nothing was measured, and they get the paper's rule. So does learning from a judge alone: without
        outcomes there are no cases.
        """
        suits: RuleName = "cases" if form == "line" and knows_outcomes(feedback) else "rewrite"
        rule = suits if self.rule == "auto" else self.rule
        recall = int(notes_cases(rule, told=told)) if self.recall is None else self.recall
        return msgspec.structs.replace(self, rule=rule, recall=recall, echo=self.echo or 1)


def suit_layout(asked: Layout | None, form: Form) -> Layout:
    """Give the layout that was asked for, or the one that suits the form.

    In line form the prompts for critic and memory show how it is done, and stand alone: small models write better so
    (docs/results/memory.md).
    """
    return asked or ("separate" if form == "line" else "chained")


class RoleSampling(Record, frozen=True):
    """Temperature and nucleus of one kind of call."""

    temperature: float = 0.0
    top_p: float = 1.0


class SamplingPreset(Record, frozen=True):
    """Sampling of every kind of call."""

    predict: RoleSampling = RoleSampling()
    reflect: RoleSampling = RoleSampling()
    update: RoleSampling = RoleSampling()
    compress: RoleSampling = RoleSampling()
    summarise: RoleSampling = RoleSampling()
    judge: RoleSampling = RoleSampling()


PRESETS = {
    "greedy": SamplingPreset(),
    "paper": SamplingPreset(
        RoleSampling(0.7, 0.9),
        RoleSampling(0.3),
        RoleSampling(0.5),
        RoleSampling(0.3),
        RoleSampling(0.3),
        RoleSampling(0.3),
    ),
}
"""``greedy`` for runs that can be repeated; ``paper`` is its appendix C, which names none for summaries and judges."""


class Settings(Record, frozen=True):
    """What is the same at every step of a run, for any method.

    Attributes
    ----------
    form, style, layout : str
        How the model is asked (see `records`).
    budget : int
        lambda: the most tokens that a memory may hold.
    window : int
        The engine's context window, in tokens.
    feedback : str
        Who writes e_t: ``model`` (the paper's critic), ``scorecard`` (exact figures by code, no call), ``judge`` (an
        open verdict by the task's rubric, without the outcome), or several joined by ``+``.
    updating : Updating
        How the recurrent method updates its memory.
    sampling : SamplingPreset
        Temperatures by kind of call.
    seed : int
        Where every call's own seed comes from.
    thinking : int
        Tokens that a reasoning model may take to think, besides its answer and outside of the window.
    """

    form: Form = "json"
    style: Style = "chat"
    layout: Layout = "chained"
    budget: int = 4096
    window: int = 8192
    feedback: str = "model"
    updating: Updating = Updating()
    sampling: SamplingPreset = SamplingPreset()
    seed: int = 0
    thinking: int = 0


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

    def start_with(self, sequence: SequenceInfo, lessons: Any) -> Any:
        """Give the state before the first step, with the lessons of earlier sequences (None for the first)."""
        ...

    def conclude(self, state: Any, last: Observation) -> Calls[tuple[Any, str]]:
        """Give the lessons after a sequence, and what was done; None and nothing where none are shared."""
        ...


class Apart(ABC):
    """What most methods have in common: no memory within a budget, and sequences that teach each other nothing."""

    shares: bool = False

    @abstractmethod
    def start(self, sequence: SequenceInfo) -> Any:
        """Give the state before the first step."""

    def start_with(self, sequence: SequenceInfo, lessons: Any) -> Any:
        """Begin as if it were the first sequence."""
        return self.start(sequence)

    def conclude(self, state: Any, last: Observation) -> Calls[tuple[Any, str]]:
        """Leave nothing to later sequences."""
        return at_once((None, ""))

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
    """

    def __init__(self, task: Task, settings: Settings, prompts: Prompts) -> None:
        self.task = task
        self.settings = settings
        self.prompts = prompts
        self.answer = task.spec(settings.form)

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
        kind: RoleSampling = getattr(self.settings.sampling, role)
        where = f"{self.settings.seed}/{observation.sequence}/{observation.t}/{role}"
        # A line answer ends with its line, also where no engine holds it to a grammar.
        stop = ("\n",) if answer is self.answer.format and self.answer.notation == "line" else ()
        # And one of several lines with an empty one: after it, a text would go on with the next step.
        if not stop and self.settings.form == "line" and self.settings.style == "completion":
            stop = ("\n\n",)
        seed = zlib.crc32(where.encode("utf-8", "replace")) >> 1  # 31 bits: what every engine takes
        sampling = Sampling(kind.temperature, kind.top_p, max_tokens, seed, stop, self.settings.thinking)
        return Request(role, messages, sampling, self.settings.style, answer)

    def predict(self, messages: tuple[Message, ...], observation: Observation) -> Calls[Prediction]:
        """Ask for the task's answer."""
        request = self.request("predict", messages, observation, self.answer.format, self.answer.max_tokens())
        asked = yield from self.ask(request, self.answer.read)
        return Prediction(asked.value, asked.status, asked.raw, asked.problem)

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
    return Asked(Status.OK, value, completion.text)


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
