"""What a method is, and how methods ask: generators that yield requests and receive completions.

A method never does I/O. `drive` runs its generators on an engine; a test can run them by hand.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator
from typing import Any, Literal, Protocol, TypeVar

from llm_as_rnn.answers import AnswerSpec
from llm_as_rnn.errors import AnswerError
from llm_as_rnn.prompts import Prompts
from llm_as_rnn.records import (
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
    Value,
)
from llm_as_rnn.task import Task

T = TypeVar("T")

Calls = Generator[Request, Completion, T]
"""A computation that asks a model on its way to a ``T``."""

FeedbackKind = Literal["model", "scorecard"]


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


PRESETS = {
    "greedy": SamplingPreset(),
    "paper": SamplingPreset(
        RoleSampling(0.7, 0.9), RoleSampling(0.3), RoleSampling(0.5), RoleSampling(0.3), RoleSampling(0.3)
    ),
}
"""``greedy`` for runs that can be repeated; ``paper`` is its appendix C (it has no summaries: those use 0.3)."""


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
        Who writes e_t: ``model`` (the paper's critic) or ``scorecard`` (exact figures by code, no call).
    sampling : SamplingPreset
        Temperatures by kind of call.
    seed : int
        Where every call's own seed comes from.
    """

    form: Form = "json"
    style: Style = "chat"
    layout: Layout = "chained"
    budget: int = 4096
    window: int = 8192
    feedback: FeedbackKind = "model"
    sampling: SamplingPreset = SamplingPreset()
    seed: int = 0


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

    def render(self, name: str, **values: Any) -> str:
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
        self,
        role: Role,
        messages: tuple[Message, ...],
        observation: Observation,
        spec: AnswerSpec,
        attempt: int = 0,
    ) -> Request:
        """Build a request for an answer of a specification."""
        stop = ("\n",) if spec.notation == "line" and self.settings.style == "completion" else ()
        return self.free_request(role, messages, observation, spec.format, spec.max_tokens(), attempt, stop)

    def free_request(
        self,
        role: Role,
        messages: tuple[Message, ...],
        observation: Observation,
        answer: Any,
        max_tokens: int,
        attempt: int = 0,
        stop: tuple[str, ...] = (),
    ) -> Request:
        """Build a request for an answer of any format."""
        kind: RoleSampling = getattr(self.settings.sampling, role)
        where = f"{self.settings.seed}/{observation.sequence}/{observation.t}/{role}/{attempt}"
        sampling = Sampling(kind.temperature, kind.top_p, max_tokens, zlib.crc32(where.encode()), stop)
        return Request(role, messages, sampling, self.settings.style, answer, attempt)

    def predict(self, messages: tuple[Message, ...], observation: Observation) -> Calls[Prediction]:
        """Ask for the task's answer; a bad one gets one more chance."""
        request = self.request("predict", messages, observation, self.answer)
        return (yield from self._predict(request, observation))

    def _predict(self, request: Request, observation: Observation) -> Calls[Prediction]:
        status, values, raw, problem = yield from self.ask(request, observation, self.answer)
        return Prediction(values, status, raw, problem)

    def ask(
        self, request: Request, observation: Observation, spec: AnswerSpec
    ) -> Calls[tuple[Status, dict[str, Value] | None, str, str]]:
        """Ask, read, and ask once more if the answer cannot be read.

        Returns
        -------
        status : Status
            How it went.
        values : dict or None
            The answer by field.
        raw : str
            The last text that the model wrote.
        problem : str
            What was wrong with the first answer that could not be read.
        """
        completion = yield request
        status, values, problem = read(completion, spec)
        if status in (Status.INVALID, Status.TRUNCATED):
            again = self.repair(request, completion, problem)
            completion = yield self.request(request.role, again, observation, spec, attempt=1)
            second, values, last_problem = read(completion, spec)
            status = Status.REPAIRED if second is Status.OK else second
            problem = last_problem or problem
        return status, values, completion.text, problem

    def repair(self, request: Request, completion: Completion, problem: str) -> tuple[Message, ...]:
        """Go on with a conversation in which the last answer could not be used."""
        return (
            *request.messages,
            said(completion.text),
            Message("user", self.prompts.render("recurrence/repair", problem=problem, request=request.role)),
        )


def read(completion: Completion, spec: AnswerSpec) -> tuple[Status, dict[str, Value] | None, str]:
    """Read an answer, or name what is wrong with it."""
    failure = failed(completion)
    if failure and failure[0] is not Status.TRUNCATED:
        return failure[0], None, failure[1]
    try:
        # An answer that is whole in spite of the limit (text may follow it) is an answer.
        return Status.OK, spec.read(completion.text), ""
    except AnswerError as error:
        return (failure[0], None, failure[1]) if failure else (Status.INVALID, None, error.message)


def failed(completion: Completion) -> tuple[Status, str] | None:
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
    """Put an earlier answer into a conversation; some chat templates take no empty ones."""
    return Message("assistant", text or " ")


def count_tokens(text: str) -> Calls[int]:
    """Ask how many tokens a text holds."""
    completion = yield Request("count", (Message("user", text),))
    return completion.prompt_tokens


def at_once(value: T) -> Calls[T]:
    """Make a computation of something that needs no model."""
    yield from ()
    return value
