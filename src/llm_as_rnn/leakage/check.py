"""The leakage check: no request may tell more than was known when it was made.

Canaries, numbers that occur nowhere else, are planted in every outcome, every observation and every field that the
task's template does not show. The real methods then run on a scripted engine, and every request is searched: a canary
that comes before its time is a leak. What no canary can show, true outcomes in the data or in a method's hands, is
found by comparison (`foresight`). docs/leakage.md tells what can and cannot be found.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Many
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import UNSET

from llm_as_rnn.catalogue import METHODS, REFERENCES, advisers
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.fields import Text
from llm_as_rnn.core.method import Calls, Learned, Method
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Form, Layout, Observation, Prediction, Record, SequenceInfo, Style, Target, Value
from llm_as_rnn.core.settings import Settings, knows_outcomes
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.core.templates import used
from llm_as_rnn.datasets.base import Sequence, Step
from llm_as_rnn.engines.drive import drive_walk
from llm_as_rnn.engines.filling import fill
from llm_as_rnn.engines.scripted import Answer, ScriptedEngine
from llm_as_rnn.leakage.foresight import Foreknown, bag, foreknown, tells, tokens
from llm_as_rnn.recurrence.rules import RULES
from llm_as_rnn.runs.walk import walk

Kind = Literal["outcome_in_prompt", "future_in_prompt", "uneven_fields", "outcome_in_observation", "outcome_not_seen"]
Factory = Callable[[Task, Settings, Prompts], Method]

ADVICE: Mapping[Kind, str] = {
    "outcome_in_prompt": "the method knows an outcome that it is to predict: take it from `learn` alone",
    "future_in_prompt": "the method knows a later step, or another sequence: keep everything it knows in its state",
    "uneven_fields": "methods would not be comparable: show x_t as `task.show` gives it, and nothing else of it",
    "outcome_in_observation": "drop the field from the observations, unless it is truly known before the outcome",
    "outcome_not_seen": "the method learns without being shown the outcome: its template or code leaves it out",
}
"""What to do about a leak, by its kind."""

EVERY_METHOD = "every method"
"""The method of a leak that lies in the data."""

MARK = "leak_check_mark"
"""The field that carries an observation's canary."""

STEPS, LONGEST = 24, 12
"""Steps that methods are run over, and those of one sequence where there are several."""

EXCERPT = 100
"""The longest excerpt, in characters."""

_CANARY = re.compile(r"(?<!\d)\d{9}(?!\d)")


class Leak(Record, frozen=True):
    """One way in which something is told that must not be, at the first step where it is.

    Attributes
    ----------
    kind : str
        ``outcome_in_prompt``: y_t before it was revealed; ``future_in_prompt``: anything of a later step, or of another
        sequence; ``uneven_fields``: a method sees other fields of x_t than the others; ``outcome_in_observation``: a
        field of the data tells the outcome; ``outcome_not_seen``: a method that learns never gets the outcome, so that
        the check would be blind.
    method : str
        Whose request it is; ``every method`` for a leak in the data.
    sequence : str
        Where.
    t : int
        The step at which the request was made, 0-based.
    field : str
        What is told: a field of the answer or of the observation.
    where : str
        Role and message of the request, and the settings; or the observation's field.
    excerpt : str
        What was found.
    """

    kind: Kind
    method: str
    sequence: str
    t: int
    field: str
    where: str
    excerpt: str


class Report(Record, frozen=True):
    """What a check found and how much it looked at.

    Attributes
    ----------
    leaks : tuple of Leak
        Empty if all is well.
    requests : dict
        Requests searched, by method, form and layout.
    steps : int
        Steps whose observations were compared with their outcomes; `foresight.MIN_STEPS` are needed for a verdict.
    """

    leaks: tuple[Leak, ...]
    requests: dict[tuple[str, Form, Layout], int]
    steps: int


class Canary(NamedTuple):
    """What a planted number stands for."""

    what: Literal["outcome", "observation", "unshown"]
    sequence: str
    t: int
    name: str


class Planted(NamedTuple):
    """A task and its data with canaries in them, what each canary stands for, and each x_t as the task shows it."""

    task: Task
    sequences: tuple[Sequence, ...]
    canaries: Mapping[str, Canary]
    shown: Mapping[tuple[str, int], str]


class Look(NamedTuple):
    """A request, and when it was made."""

    method: str
    settings: Settings
    observation: Observation
    learning: bool
    request: Request


def check(
    task: Task, sequences: Many[Sequence], prompts: Prompts, methods: Mapping[str, Factory] | None = None
) -> list[Leak]:
    """Find leaks; see `examine`."""
    return list(examine(task, sequences, prompts, methods).leaks)


def examine(
    task: Task, sequences: Many[Sequence], prompts: Prompts, methods: Mapping[str, Factory] | None = None
) -> Report:
    """Run methods in every form, style, layout and kind of feedback on planted data, and search all their requests.

    Parameters
    ----------
    task : Task
        Its templates are checked too.
    sequences : sequence of Sequence
        All are compared with their outcomes; methods run over the first steps of the first ones.
    prompts : Prompts
        The templates that methods use.
    methods : mapping of str to callable, optional
        How each method is built; all shipped ones by default.

    Raises
    ------
    UsageError
        If there is nothing to check, or two sequences have the same name.
    TaskError, PromptError
        If a template is broken.
    """
    steps = sum(bool(step.target) for sequence in sequences for step in sequence.steps)
    if not steps:
        raise UsageError(f"task {task.name} has no step with an outcome", "check sequences with known outcomes")
    if len({sequence.info.id for sequence in sequences}) < len(sequences):
        raise UsageError(f"two sequences of task {task.name} have the same name", "give each a name of its own")
    shipped = {
        name: factory for name, factory in {**METHODS, **REFERENCES}.items() if not advisers(name, task, Settings())
    }
    factories = shipped if methods is None else methods  # who takes advice sees what is checked of the advisers
    found = [_in_data(fact) for fact in foreknown(task, sequences)]
    requests: Counter[tuple[str, Form, Layout]] = Counter()
    some = _first_steps(sequences)
    # A thread with an event loop of its own, so that this also works where a loop is running already.
    with ThreadPoolExecutor(1) as thread:
        for form in get_args(Form):
            planted, runs = plant(task, some, form), _Runs()
            for settings, name in itertools.product(_settings(form), factories):
                requests[name, form, settings.layout] += 0
                if runs.tell_nothing_new(name, settings):
                    continue
                method = factories[name](planted.task, runs.noted(name, factories[name], settings), prompts)
                looks, learns = thread.submit(asyncio.run, _watch(method, name, settings, planted)).result()
                requests[name, form, settings.layout] += len(looks)
                # A judge alone goes by the rubric: there, no outcome may be shown at all.
                found += _search(looks, planted, learns=learns and knows_outcomes(settings.feedback))
                found += _hunt(looks, planted, task, some)
    first: dict[tuple[str, str, str], Leak] = {}
    for leak in found:
        first.setdefault((leak.kind, leak.method, leak.field), leak)
    return Report(tuple(first.values()), dict(requests), steps)


def _first_steps(sequences: Many[Sequence]) -> list[Sequence]:
    most = max(LONGEST, STEPS // len(sequences))
    chosen: list[Sequence] = []
    for sequence in sequences:
        if sum(len(earlier.steps) for earlier in chosen) < STEPS:
            chosen.append(msgspec.structs.replace(sequence, steps=sequence.steps[:most]))
    return chosen


def _settings(form: Form) -> Iterator[Settings]:
    """Give every way of asking; a budget of 1 stands for a clumsy model, which makes methods ask again and compress."""
    kinds = ("model", "scorecard", "judge", "judge+model")
    for style, layout, feedback in itertools.product(get_args(Style), get_args(Layout), kinds):
        yield Settings(form, style, layout, window=10**6, feedback=feedback)
        if style == "chat":
            yield Settings(form, style, layout, budget=1, window=10**6, feedback=feedback)
    for rule, budget in itertools.product(RULES, (1, 256, 4096)):
        yield Settings(form, budget=budget, window=10**6, feedback="scorecard", rule=rule, recall=1, recheck=2)


class _Runs:
    """The runs of one form: with which settings, and what a shipped method read of them.

    The rest makes no difference to it, so that its requests would be the same ones. Methods of others run with all
    settings: they might read them in ways that are not noted.
    """

    def __init__(self) -> None:
        self._runs: dict[str, list[tuple[Settings, set[str]]]] = {}

    def noted(self, name: str, factory: Factory, settings: Settings) -> Settings:
        """Give settings that note what is read of them."""
        if factory not in (*METHODS.values(), *REFERENCES.values()):
            return settings
        read: set[str] = set()

        class Noting(Settings, frozen=True):
            def __getattribute__(self, name: str) -> Any:
                read.add(name)
                return object.__getattribute__(self, name)

        self._runs.setdefault(name, []).append((settings, read))
        return Noting(**msgspec.structs.asdict(settings))

    def tell_nothing_new(self, name: str, settings: Settings) -> bool:
        """Tell whether the method was run with settings that it could not tell from these."""
        return any(
            all(getattr(earlier, field) == getattr(settings, field) for field in read & {*settings.__struct_fields__})
            and _asks(earlier) == _asks(settings)
            and knows_outcomes(earlier.feedback) >= knows_outcomes(settings.feedback)
            for earlier, read in self._runs.get(name, ())
        )


def _asks(settings: Settings) -> tuple[Layout, bool]:
    """Give what matters for any method: where its requests are counted, and whether its model is a clumsy one."""
    return settings.layout, _is_clumsy(settings)


def _is_clumsy(settings: Settings) -> bool:
    return settings.budget == 1


# --- planting -------------------------------------------------------------------------------------------------------


def plant(task: Task, sequences: Many[Sequence], form: Form) -> Planted:
    """Put a canary into every outcome, every observation, and every field that the form's template does not show.

    Outcomes become texts and numbers that no answer could be, so that nothing computed from them can look like one.
    """
    planter = _Planter(task, sequences, form)
    planted = tuple(
        Sequence(sequence.info, tuple(planter.step(step) for step in sequence.steps)) for sequence in sequences
    )
    marked = msgspec.structs.replace(
        task,
        observation=f"{task.observation}\n{{{{ {MARK} }}}}",
        line=f"{task.line} {{{{ {MARK} }}}}",
        case=UNSET if task.case is UNSET else f"{task.case} {{{{ {MARK} }}}}",
    )
    shown = {
        (sequence.info.id, step.observation.t): _line(marked.show(step.observation, form, sequence.info.about))
        for sequence in planted
        for step in sequence.steps
    }
    return Planted(marked, planted, planter.canaries, shown)


class _Planter:
    def __init__(self, task: Task, sequences: Many[Sequence], form: Form) -> None:
        first = next(sequence for sequence in sequences if sequence.steps)
        # A broken template is named here, with its line.
        task.show(first.steps[0].observation, form, first.info.about)
        steps = (step for sequence in sequences for step in sequence.steps)
        shown = used(task.template(form), {name for step in steps for name in step.observation.fields})
        # Code reads the fields of last values; canaries there would be told by rights.
        self._kept = shown | {field.last for field in task.answer}
        self._fields = {field.name: field for field in task.answer}
        taken = set(_CANARY.findall(msgspec.json.encode(list(sequences)).decode()))
        # Steps of this size reach every number of nine digits, far apart from one to the next.
        numbers = (10**8 + i * 618_033_989 % (9 * 10**8) for i in itertools.count(1))
        self._numbers = (number for number in numbers if str(number) not in taken)
        self.canaries: dict[str, Canary] = {}

    def step(self, step: Step) -> Step:
        x = step.observation
        fields = {name: self._unshown(x.sequence, x.t, name, value) for name, value in x.fields.items()}
        fields[MARK] = f"mark{self._number(Canary('observation', x.sequence, x.t, 'observation'))}"
        target = step.target and {name: self._outcome(x.sequence, x.t, name) for name in step.target}
        when = f"unshown{self._number(Canary('unshown', x.sequence, x.t, 'when'))}" if step.when else ""
        return Step(msgspec.structs.replace(x, fields=fields), target, when)

    def _number(self, canary: Canary) -> int:
        number = next(self._numbers)
        self.canaries[str(number)] = canary
        return number

    def _outcome(self, sequence: str, t: int, name: str) -> Value:
        number = self._number(Canary("outcome", sequence, t, name))
        return self._fields.get(name, Text("other")).canary(number)

    def _unshown(self, sequence: str, t: int, name: str, value: Any) -> Any:
        if name in self._kept or isinstance(value, bool) or not isinstance(value, str | int | float):
            return value
        number = self._number(Canary("unshown", sequence, t, name))
        return f"unshown{number}" if isinstance(value, str) else type(value)(number)


# --- running --------------------------------------------------------------------------------------------------------


async def _watch(method: Method, name: str, settings: Settings, planted: Planted) -> tuple[list[Look], bool]:
    """Run a method over planted sequences: what it asked and when, and whether it learned anything."""
    watched = _Watched(method)
    script = _script(planted.task, settings)
    looks: list[Look] = []
    learns: list[bool] = []

    def answer(request: Request) -> Completion | str:
        looks.append(Look(name, settings, watched.observation, watched.learning, request))
        return script(request)

    def keep(record: StepRecord) -> None:
        learns.append(record.update.outcome == "accepted")

    for sequence in planted.sequences:
        await drive_walk(walk(watched, sequence, planted.task), ScriptedEngine(answer), keep)
    return looks, any(learns)


class _Watched:
    """A method that says what it is about: which observation, and whether it is learning from its outcome."""

    def __init__(self, method: Method) -> None:
        self.name, self.state_type, self.shares = method.name, method.state_type, False
        self.needs_outcomes, self.start = method.needs_outcomes, method.start
        self.takes_advice, self.keeps_pins = method.takes_advice, method.keeps_pins
        self.memory, self.with_memory, self.conclude = method.memory, method.with_memory, method.conclude
        self._method = method
        self.observation = Observation("", 0, {})
        self.learning = False

    def start_with(self, sequence: SequenceInfo, lessons: Any) -> Any:
        return self.start(sequence)

    def predict(self, state: Any, observation: Observation) -> Calls[Prediction]:
        self.observation, self.learning = observation, False
        return (yield from self._method.predict(state, observation))

    def learn(
        self, state: Any, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        self.observation, self.learning = observation, True
        return (yield from self._method.learn(state, observation, prediction, target))


def _script(task: Task, settings: Settings) -> Answer:
    """Answer as a model does that repeats the canaries it sees: so they get into states, and out of them."""
    guess = {field.name: field.uninformed("a guess") for field in task.answer}

    def answer(request: Request) -> str:
        if _is_clumsy(settings) and not request.attempt:
            return ""
        text = " ".join(["noted", *_CANARY.findall(request.prompt)[-3:]])
        if request.role == "predict":
            return task.spec(settings.form).show(guess)
        return fill(request.answer, text)

    return answer


# --- searching requests ---------------------------------------------------------------------------------------------


def _search(looks: Many[Look], planted: Planted, *, learns: bool) -> Iterator[Leak]:
    """Find canaries before their time, observations that are not shown, and outcomes that never arrive."""
    told: set[str] = set()
    for look in looks:
        for place, text in _texts(look.request):
            for match in _CANARY.finditer(text):
                canary = planted.canaries.get(match[0])
                kind = _verdict(canary, look) if canary else None
                if canary and kind:
                    yield _leak(kind, look, canary.name, place, f"...{text[max(match.start() - 40, 0) : match.end()]}")
                elif canary and canary.what == "outcome":
                    told.add(canary.name)
        shown = planted.shown[look.observation.sequence, look.observation.t]
        if _predicts(look) and shown not in _line(look.request.prompt):
            yield _leak("uneven_fields", look, "x_t", "all messages", f"not there as the task shows it: {shown}")
    if learns and looks:
        outcomes = {canary.name for canary in planted.canaries.values() if canary.what == "outcome"}
        for name in sorted(outcomes - told):
            yield _leak("outcome_not_seen", looks[0], name, "all requests", f"none holds an outcome {name}")


def _verdict(canary: Canary, look: Look) -> Kind | None:
    """Say what is wrong with a canary in a request, if anything is."""
    now = look.observation
    if canary.sequence != now.sequence or canary.t > now.t:
        return "future_in_prompt"
    if canary.what == "unshown":
        return "uneven_fields"
    revealed = look.learning or canary.t < now.t
    return None if canary.what == "observation" or revealed else "outcome_in_prompt"


def _hunt(looks: Many[Look], planted: Planted, task: Task, sequences: Many[Sequence]) -> Iterator[Leak]:
    """Find methods that know the true outcomes, which nobody gave them: planted ones stand in their place."""
    asked = {(look.observation.sequence, look.observation.t): look for look in looks if _predicts(look)}
    words = {key: _own_words(look, planted) for key, look in asked.items()}
    if not words:
        return
    static = reduce(Counter.__and__, words.values())
    targets = {(s.info.id, step.observation.t): step.target or {} for s in sequences for step in s.steps}
    for field in task.answer:
        keys = [key for key in words if field.name in targets[key]]
        bags = [bag(" ".join(words[key] - static), field) for key in keys]
        outcomes = [bag(field.show(targets[key][field.name]), field) for key in keys]
        # What all outcomes have in common ("high risk", "low risk") all requests may have, and then none of its own.
        common = frozenset[str]().union(*outcomes).intersection(*outcomes)
        outcomes = [outcome - common for outcome in outcomes]
        if tells(bags, outcomes):
            first = next(key for key, own, outcome in zip(keys, bags, outcomes, strict=True) if outcome <= own)
            truth = f"the true outcome {field.show(targets[first][field.name])}"
            yield _leak("outcome_in_prompt", asked[first], field.name, "all messages", truth)


def _own_words(look: Look, planted: Planted) -> Counter[str]:
    """Count a request's words, without those of the observations that it shows."""
    text = _line(look.request.prompt)
    now = look.observation
    for (sequence, t), shown in planted.shown.items():
        if sequence == now.sequence and t <= now.t:
            text = text.replace(shown, " ")
    return Counter(tokens(text, signs=True))


def _predicts(look: Look) -> bool:
    return look.request.role == "predict" and not look.learning and not look.request.attempt


def _texts(request: Request) -> Iterator[tuple[str, str]]:
    for number, message in enumerate(request.messages, 1):
        yield f"message {number}, {message.role}", message.content
    # A schema or grammar can tell as much as a message.
    yield "the answer's format", msgspec.json.encode(request.answer).decode()


def _leak(kind: Kind, look: Look, field: str, place: str, excerpt: str) -> Leak:
    x, settings = look.observation, look.settings
    asked = f"{settings.form}, {settings.style}, {settings.layout}, feedback {settings.feedback}"
    where = f"{look.request.role}, {place} ({asked})"
    return Leak(kind, look.method, x.sequence, x.t, field, where, _line(excerpt)[:EXCERPT])


def _in_data(fact: Foreknown) -> Leak:
    ahead = f" {fact.lead} steps later" if fact.lead else ""
    excerpt = (
        f"{_line(fact.value)[:EXCERPT]}: holds the outcome {fact.answer}{ahead} at {fact.hits} of {fact.steps} steps"
    )
    where = f"observation field {fact.name}"
    return Leak("outcome_in_observation", EVERY_METHOD, fact.sequence, fact.t, fact.name, where, excerpt)


def _line(text: str) -> str:
    return " ".join(text.split())
