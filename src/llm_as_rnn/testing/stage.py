"""What the checks of a method go by: tasks with data, scripted models, and a method's life written down.

A script answers by what a request says of its answer's form, and by the words of its prompt where answers differ; it
knows nothing else of a method. In the task's form it answers one of the outcomes that there are.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple, TypeVar, get_args

import msgspec

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields import Label, Number, Ranked, Text
from llm_as_rnn.core.method import Calls, Learned, Method
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Form, Observation, Prediction, SequenceInfo, Target
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.datasets.base import Sequence, Step
from llm_as_rnn.engines.filling import fill

T = TypeVar("T")
Build = Callable[[Task, Settings, Prompts], Method]
"""How a method is built: a class, or a function."""
Answer = Callable[[Request], Completion | str]

EXCERPT = 160
"""The longest excerpt of what was seen, in characters."""


class ContractError(AssertionError):
    """A method does not do what every method has to do: the message names the check, what was expected and seen."""


def require(holds: bool, expected: str, seen: object) -> None:
    """Raise where something does not hold.

    Raises
    ------
    ContractError
        With what was expected and what was seen.
    """
    if not holds:
        text = " ".join((seen if isinstance(seen, str) else repr(seen)).split())
        raise ContractError(f"expected {expected}; seen: {text if len(text) <= EXCERPT else text[:EXCERPT] + '...'}")


def require_same(one: object, other: object, what: str) -> None:
    """Raise where two values differ, naming what is different in them.

    Raises
    ------
    ContractError
        With the first part that differs.
    """
    path, before, after = _difference(one, other, "")
    require(one == other, what, f"{path or 'they'} differ: {before!r:.60} and {after!r:.60}")


def _difference(one: Any, other: Any, path: str) -> tuple[str, Any, Any]:
    """Find the first part that differs, as deep as it goes."""
    parts: list[tuple[str, Any, Any]] = []
    if type(one) is type(other) and isinstance(one, msgspec.Struct):
        parts = [(f".{name}", getattr(one, name), getattr(other, name)) for name in one.__struct_fields__]
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        names = getattr(one, "_fields", range(len(one)))
        parts = [(f".{name}", *pair) for name, pair in zip(names, zip(one, other, strict=True), strict=True)]
    for name, first, second in parts:
        if first != second:
            return _difference(first, second, (path + name).lstrip("."))
    return path, one, other


# --- tasks and data -------------------------------------------------------------------------------------------------

SKY = Label("sky", "the weather", options=("sun", "rain", "fog"), last="sky")
HIGH = Number("high", "the day's high", unit="degrees C", low=-20, high=45, last="high")
SECTIONS = (
    MemorySection("Patterns", "what tends to follow what"),
    MemorySection("Recent days", "what came lately"),
    MemorySection("Corrections", "what was wrong before"),
)
FORECAST = Task(
    name="check-forecast",
    title="Tomorrow's weather in few words",
    instructions="Predict tomorrow's weather from today's.",
    observation="Place: {{ about.place }}\nSky: {{ sky }}\nHigh: {{ high }}\nRemark: {{ remark }}",
    line="{{ about.place }}, {{ sky }}, {{ high }}, {{ remark }}",
    answer=(SKY, HIGH),
    memory=SECTIONS,
)
EVERY_KIND = msgspec.structs.replace(
    FORECAST,
    name="check-every-kind",
    title="Tomorrow's weather in fields of every kind",
    answer=(
        SKY,
        HIGH,
        Ranked("risks", "what may go wrong", options=("flood", "frost", "drought", "storm"), top=2),
        Text("outlook", "the day in a few words", max_chars=60),
    ),
)
REMARKS = ("calm", "clouds from the west", "<|im_end|> # {{ sky }}", "Böen -> Sturm; spät", "\u202ewet\n- wet", "")


def _value(name: str, number: int) -> Any:
    risks = (("flood", "storm"), ("frost", "flood"), ("drought", "storm"))
    match name:
        case "sky":
            return SKY.options[number * 2 % 3]
        case "high":
            return float(number * 7 % 23) + 0.5
        case "risks":
            return risks[number % 3]
    return f"{('bright', 'wet', 'grey', 'windy')[number % 4]} with {SKY.options[number % 3]} at times"


def _example(task: Task, number: int) -> Sequence:
    """Make up a sequence of four days; the outcome of one is the next one's weather."""
    place = ("Bergen", "Ulm")[number]
    steps = []
    for t in range(4):
        day = 5 * number + t
        fields = {"sky": _value("sky", day), "high": _value("high", day), "remark": REMARKS[day % len(REMARKS)]}
        target = {field.name: _value(field.name, day + 1) for field in task.answer}
        steps.append(Step(Observation(place, t, fields), target))
    return Sequence(SequenceInfo(place, {"place": place}), tuple(steps))


EXAMPLES = tuple((task, (_example(task, 0), _example(task, 1))) for task in (FORECAST, EVERY_KIND))
"""Tasks, each with two sequences."""

WAYS = (Settings(budget=80), Settings("line", "completion", "separate", budget=80, recall=1))
"""How a model is asked where nobody says how."""


# --- a method's life ------------------------------------------------------------------------------------------------


def count(text: str) -> int:
    """Count tokens: characters by fours, so that long words cannot hide."""
    return -(-len(text) // 4)


def by_hand(calls: Calls[T], answer: Answer, log: list[Request] | None = None) -> T:
    """Run a computation without any engine; requests are noted in the log, token counts excepted."""
    try:
        request = next(calls)
        while True:
            if request.role == "count":
                request = calls.send(Completion("", prompt_tokens=count(request.messages[0].content)))
                continue
            if log is not None:
                log.append(request)
            answered = answer(request)
            completion = Completion(answered) if isinstance(answered, str) else answered
            tokens = {"prompt_tokens": count(request.prompt), "completion_tokens": count(completion.text)}
            request = calls.send(msgspec.structs.replace(completion, **tokens))
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        calls.close()


class Lived(NamedTuple):
    """One step of a method's life, with all that it asked."""

    state: Any
    step: Step
    asked: list[Request]
    prediction: Prediction
    asked_to_learn: list[Request]
    learned: Learned


def live(method: Method, sequence: Sequence, answer: Answer, state: Any = None) -> list[Lived]:
    """Let a method live through a sequence, each outcome after its prediction."""
    state = method.start(sequence.info) if state is None else state
    lived: list[Lived] = []
    for step in sequence.steps:
        lived.append(live_once(method, state, step, answer))
        state = lived[-1].learned.state
    return lived


def live_once(method: Method, state: Any, step: Step, answer: Answer) -> Lived:
    """Let it live through one step."""
    asked: list[Request] = []
    to_learn: list[Request] = []
    prediction = by_hand(method.predict(state, step.observation), answer, asked)
    learned = by_hand(method.learn(state, step.observation, prediction, step.target), answer, to_learn)
    return Lived(state, step, asked, prediction, to_learn, learned)


def revived(method: Method, state: Any) -> Any:
    """Write a state as JSON and read it again."""
    return msgspec.json.decode(msgspec.json.encode(state), type=method.state_type)


@cache
def _prompts() -> Prompts:
    return Prompts()


@dataclass(frozen=True)
class Stage:
    """Where a method is checked: how it is built, for which task and data, with which settings."""

    build: Build
    task: Task
    sequences: tuple[Sequence, ...]
    settings: Settings

    def __str__(self) -> str:
        ways = self.settings
        return f"{self.task.name}, {ways.form}, {ways.style}, {ways.layout}, feedback {ways.feedback}"

    def method(self) -> Method:
        """Build the method anew: nothing that another one kept can help it."""
        return self.build(self.task, self.settings, _prompts())

    @cached_property
    def known(self) -> tuple[Target, ...]:
        """Outcomes that an answer could be; what needs no knowledge, where there are none."""
        found = [step.target for sequence in self.sequences for step in sequence.steps if step.target]
        spec = self.task.spec("json")
        return tuple(target for target in found if self.reads(spec.show(target), "json")) or (
            {field.name: field.uninformed("a guess") for field in self.task.answer},
        )

    def form_of(self, request: Request) -> Form | None:
        """Tell in which form of the task's a request asks for the task's answer; None where it asks otherwise."""
        return next((form for form in get_args(Form) if request.answer == self.task.spec(form).format), None)

    def reads(self, text: str, form: Form) -> bool:
        """Tell whether a text is an answer in a form of the task's."""
        try:
            self.task.spec(form).read(text)
        except AnswerError:
            return False
        return True

    # ------------------------------------------------------------------------------------------------ scripted models

    def same(self, request: Request, number: int = 0) -> str:
        """Answer well, and always the same: in the task's form the outcome of that number."""
        return self._said(request, number, "rain follows rain")

    def good(self, request: Request) -> str:
        """Answer well, by what was asked: another prompt gets another answer."""
        number = draw(request)
        return self._said(request, number, f"after rain comes sun in {number % 97} of 97 days")

    def wordy(self, request: Request) -> str:
        """Write more than any budget has room for."""
        number = draw(request)
        return self._said(request, number, f"what {number} days have taught " + "and taught again. " * 8, 4)

    def wild(self, request: Request) -> Completion:
        """Answer anything: well, at length, or not at all."""
        number = draw(request)
        texts = (self.good(request), self.good(request), self.wordy(request), *MALFORMED)
        reasons = ("stop", "stop", "stop", "stop", "length", "content_filter", "error", "tool_calls")
        return Completion(texts[number % len(texts)], reasons[number // len(texts) % len(reasons)])

    def _said(self, request: Request, number: int, text: str, times: int = 1) -> str:
        form = self.form_of(request)
        if form is None:
            return fill(request.answer, text, times)
        return self.task.spec(form).show(self.known[number % len(self.known)])


MALFORMED = (
    "the weather will be nice", "", "\ud800\udfff \x00", '{"sky": ', "-> ->\n\n## ", "## Patterns\n- a\n- # b",
    "{}", "\u2028",
)  # fmt: skip
"""Texts that are no answer to any question but an open one."""


def draw(request: Request) -> int:
    """Draw a number that depends on what was asked, and on nothing else."""
    return zlib.crc32(msgspec.json.encode((request.role, request.prompt, request.attempt)))
