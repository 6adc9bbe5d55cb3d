"""Cheap references without a model: what any learner has to beat."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from llm_as_rnn.baselines.linear import LabelModel, Moments, NumberModel, split_fields
from llm_as_rnn.baselines.order import inserted, placed
from llm_as_rnn.cases.recall import nearest
from llm_as_rnn.cases.voting import votes
from llm_as_rnn.core.chances import likeliest
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields import Field, Label, Number, entries
from llm_as_rnn.core.folding import chosen
from llm_as_rnn.core.method import Apart, Calls, Learned, at_once
from llm_as_rnn.core.outcomes import last_value
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Observation, Prediction, Record, SequenceInfo, Status, Target, Update, Value
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task

MOST_CASES = 1000
"""Past steps that the nearest one is looked for among: the latest ones."""


class ReferenceState(Record, frozen=True):
    """The outcomes seen so far, in the order of their steps, whatever order they came in.

    Attributes
    ----------
    outcomes : tuple of dict
        One a step.
    steps : tuple of int
        The step of each.
    """

    outcomes: tuple[dict[str, Value], ...] = ()
    steps: tuple[int, ...] = ()


class Reference(Apart):
    """Predicts from past steps by a fixed rule.

    Where there is none yet, and where the rule gives what the answer has no place for (a label that is no option any
    more, say), it answers what needs no knowledge: a label's first option, the middle of a number's range. Of the first
    it says that it is a guess (`Prediction.guessed`).

    Parameters
    ----------
    task : Task
        What is predicted.
    settings : Settings
        Not used: there is no model.
    prompts : Prompts
        Not used.
    """

    state_type: type[Any] = ReferenceState

    def __init__(self, task: Task, settings: Settings, prompts: Prompts) -> None:
        self.task = task

    def start(self, sequence: SequenceInfo) -> Any:
        """Begin with no past."""
        return self.state_type()

    def predict(self, state: Any, observation: Observation) -> Calls[Prediction]:
        """Predict by the rule."""
        known = self._values(state, observation)
        values = {field.name: _possible(field, known.get(field.name)) for field in self.task.answer}
        raw = self.task.spec("line").show(values)
        chances = {
            field.name: likeliest(spread)
            for field in self.task.answer
            if field.options and (spread := self._chances(field, state, observation))
        }
        guessed = tuple(field.name for field in self.task.answer if field.name not in known)
        return (yield from at_once(Prediction(values, Status.OK, raw, distribution=chances, guessed=guessed)))

    def learn(
        self, state: Any, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Keep what the rule needs of the step."""
        if not target:
            return Learned(state, Update("skipped", "no outcome"))
        learned = Learned(self._after(state, observation, target), Update("accepted", "counted"))
        return (yield from at_once(learned))

    @abstractmethod
    def _values(self, state: Any, observation: Observation) -> Mapping[str, Value]:
        """Give the fields that the rule has something to go by for."""

    def _chances(self, field: Field, state: Any, observation: Observation) -> Mapping[str, float]:
        """Give the chances of a field's options, where the rule tells more of them than its answer."""
        return {}

    @abstractmethod
    def _after(self, state: Any, observation: Observation, target: Target) -> Any:
        """Give the state after a step."""


class ByOutcomes(Reference):
    """Predicts each field from its own past outcomes."""

    def _values(self, state: ReferenceState, observation: Observation) -> Mapping[str, Value]:
        values = {}
        for field in self.task.answer:
            past = [outcome[field.name] for outcome in state.outcomes if field.name in outcome]
            value = self._rule(field, past, observation)
            if value is not None:
                values[field.name] = value
        return values

    def _after(self, state: ReferenceState, observation: Observation, target: Target) -> ReferenceState:
        steps, place = placed(state.steps, len(state.outcomes), observation.t)
        return ReferenceState(inserted(state.outcomes, place, dict(target)), steps)

    @abstractmethod
    def _rule(self, field: Field, past: list[Value], observation: Observation) -> Value | None:
        """Give the field's value, or None where the rule has nothing to go by."""


class RepeatLast(ByOutcomes):
    """Tomorrow is like today: the latest known value of each quantity."""

    name = "repeat_last"

    def _rule(self, field: Field, past: list[Value], observation: Observation) -> Value | None:
        return last_value(field, observation.fields, past[-1] if past else None)


class MajoritySoFar(ByOutcomes):
    """Always the same: the most frequent outcome so far, the mean of a number; of equals, the one seen first."""

    name = "majority"

    def _rule(self, field: Field, past: list[Value], observation: Observation) -> Value | None:
        return field.typical(past) if past else None

    def _chances(self, field: Field, state: ReferenceState, observation: Observation) -> Mapping[str, float]:
        """Give how often each option came, by Krichevsky and Trofimov's estimate: half a time more than it did."""
        came = Counter(entries(outcome[field.name])[0] for outcome in state.outcomes if field.name in outcome)
        return {option: came[option] + 0.5 for option in field.options}


class Zero(ByOutcomes):
    """Nothing changes: 0 for each number that may be 0, and else what needs no knowledge."""

    name = "zero"

    @staticmethod
    def suits(task: Task) -> bool:
        """Tell whether the task has a number that is a change: one whose plausible range is even about 0."""
        return any(isinstance(field, Number) and field.low == -field.high for field in task.answer)

    def learn(
        self, state: Any, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Learn nothing."""
        return (yield from at_once(Learned(state, Update("skipped", "this method does not learn"))))

    def _rule(self, field: Field, past: list[Value], observation: Observation) -> Value | None:
        return 0.0 if isinstance(field, Number) and field.low <= 0 <= field.high else None


class CaseState(Record, frozen=True):
    """Past steps in their order, whatever order outcomes came in: x as a line, and y.

    Attributes
    ----------
    sequence : SequenceInfo
        What is known of the sequence from the start, which lines may show.
    lines : tuple of str
        One a step.
    outcomes : tuple of dict
        One a line.
    steps : tuple of int
        The step of each.
    """

    sequence: SequenceInfo
    lines: tuple[str, ...] = ()
    outcomes: tuple[dict[str, Value], ...] = ()
    steps: tuple[int, ...] = ()


class NearestCase(Reference):
    """What came after the past step that fits this one best; the latest one if none has anything in common with it.

    At the first step it repeats the latest known values that x tells.

    One neighbour, as in Cover and Hart 1967 (https://doi.org/10.1109/TIT.1967.1053964), found by an index of the past
    lines that grows with them (`cases.index`).
    """

    name = "nearest_case"
    state_type = CaseState

    def start(self, sequence: SequenceInfo) -> CaseState:
        """Begin with no case."""
        return CaseState(sequence)

    def _values(self, state: CaseState, observation: Observation) -> Mapping[str, Value]:
        if not state.lines:
            return _observed(self.task, observation)
        found = nearest(state.lines, state.outcomes, self._line(state, observation))
        return state.outcomes[found[-1].place if found else -1]

    def _chances(self, field: Field, state: CaseState, observation: Observation) -> Mapping[str, float]:
        """Have all past steps vote, each the more the better it fits."""
        line = self._line(state, observation)
        found = nearest(state.lines, state.outcomes, line, len(state.lines)) if state.lines else []
        came = ((near.score, entries(state.outcomes[near.place].get(field.name))) for near in found)
        return votes(field.options, ((score, chosen(texts[0], field.options) or "") for score, texts in came if texts))

    def _after(self, state: CaseState, observation: Observation, target: Target) -> CaseState:
        steps, place = placed(state.steps, len(state.lines), observation.t)
        lines = inserted(state.lines, place, self._line(state, observation))
        outcomes = inserted(state.outcomes, place, dict(target))
        return CaseState(state.sequence, lines[-MOST_CASES:], outcomes[-MOST_CASES:], steps[-MOST_CASES:])

    def _line(self, state: CaseState, observation: Observation) -> str:
        return self.task.show(observation, "line", state.sequence.about)


class LinearState(Record, frozen=True):
    """Online linear models, one for each number and label of the answer.

    Attributes
    ----------
    scales : dict of str to Moments
        By numeric field of x.
    numbers, labels : dict
        Models by answer field.
    """

    scales: dict[str, Moments] = msgspec.field(default_factory=dict)
    numbers: dict[str, NumberModel] = msgspec.field(default_factory=dict)
    labels: dict[str, LabelModel] = msgspec.field(default_factory=dict)


class Linear(Reference):
    """Online linear regression for numbers and logistic regression for labels, on the numbers and categories of x.

    Until a field's first outcome it repeats the latest known value, if x tells it.
    """

    name = "linear"
    state_type = LinearState

    @staticmethod
    def suits(task: Task) -> bool:
        """Tell whether the task has a number or a label."""
        return any(isinstance(field, Number | Label) for field in task.answer)

    def _values(self, state: LinearState, observation: Observation) -> Mapping[str, Value]:
        x = _features(state.scales, observation)
        values = _observed(self.task, observation)
        for field in self.task.answer:
            if isinstance(field, Number) and field.name in state.numbers:
                values[field.name] = min(max(state.numbers[field.name].predict(x), field.low), field.high)
            elif field.name in state.labels:
                values[field.name] = state.labels[field.name].predict(x)
        return values

    def _chances(self, field: Field, state: LinearState, observation: Observation) -> Mapping[str, float]:
        """Give what the logistic models of the labels say, each of its own, as shares; others are as good as out."""
        if field.name not in state.labels:
            return {}
        return state.labels[field.name].chances(_features(state.scales, observation))

    def _after(self, state: LinearState, observation: Observation, target: Target) -> LinearState:
        numbers, _ = split_fields(observation.fields)
        scales = {name: state.scales.get(name, Moments()).after(value) for name, value in numbers.items()}
        scales = {**state.scales, **scales}
        x = _features(scales, observation)
        numbers_after, labels_after = dict(state.numbers), dict(state.labels)
        for field in self.task.answer:
            y = target.get(field.name)
            if isinstance(field, Number) and isinstance(y, int | float):
                numbers_after[field.name] = numbers_after.get(field.name, NumberModel()).after(x, float(y))
            elif isinstance(field, Label) and isinstance(y, str):
                labels_after[field.name] = labels_after.get(field.name, LabelModel()).after(x, y)
        return LinearState(scales, numbers_after, labels_after)


def _observed(task: Task, observation: Observation) -> dict[str, Value]:
    """Give the latest known values that x itself tells: all that there is before the first outcome."""
    values = ((field.name, last_value(field, observation.fields, None)) for field in task.answer)
    return {name: value for name, value in values if value is not None}


def _features(scales: Mapping[str, Moments], observation: Observation) -> dict[str, float]:
    numbers, categories = split_fields(observation.fields)
    return {**{name: scales.get(name, Moments()).scaled(value) for name, value in numbers.items()}, **categories}


def _possible(field: Field, value: Value | None) -> Value:
    """Give a value as the field has it now; one that the field does not have says nothing."""
    try:
        # As an outcome is read, not as an answer: what happened may be implausible or long, and come again.
        return field.uninformed() if value is None else field.read_outcome(value)
    except AnswerError:
        return field.uninformed()
