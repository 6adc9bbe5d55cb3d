"""Cheap references without a model: what any learner has to beat."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter

from llm_as_rnn.answers import Field
from llm_as_rnn.method import Calls, Learned, Settings, at_once
from llm_as_rnn.outcomes import last_value
from llm_as_rnn.prompts import Prompts
from llm_as_rnn.records import (
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
from llm_as_rnn.task import Task


class ReferenceState(Record, frozen=True):
    """The outcomes seen so far, oldest first."""

    outcomes: tuple[dict[str, Value], ...] = ()


class Reference(ABC):
    """Predicts from past outcomes by a fixed rule.

    Where there is none yet, it answers what needs no knowledge: a label's first option, the middle of a number's range.

    Parameters
    ----------
    task : Task
        What is predicted.
    settings : Settings
        Not used: there is no model.
    prompts : Prompts
        Not used.
    """

    state_type = ReferenceState

    def __init__(self, task: Task, settings: Settings, prompts: Prompts) -> None:
        self.task = task

    def start(self, sequence: SequenceInfo) -> ReferenceState:
        """Begin with no outcome."""
        return ReferenceState()

    def memory(self, state: ReferenceState) -> Memory | None:
        """Give none: there is no memory in language."""
        return None

    def predict(self, state: ReferenceState, observation: Observation) -> Calls[Prediction]:
        """Predict by the rule."""
        values = {field.name: self._value(field, state, observation) for field in self.task.answer}
        raw = self.task.spec("line").show(values)
        return (yield from at_once(Prediction(values, Status.OK, raw)))

    def learn(
        self, state: ReferenceState, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Keep the outcome."""
        outcomes = (*state.outcomes, dict(target)) if target else state.outcomes
        return (yield from at_once(Learned(ReferenceState(outcomes), Update("skipped", "no memory"))))

    def _value(self, field: Field, state: ReferenceState, observation: Observation) -> Value:
        past = [outcome[field.name] for outcome in state.outcomes if field.name in outcome]
        value = self._rule(field, past, observation)
        return _ignorant(field) if value is None else value

    @abstractmethod
    def _rule(self, field: Field, past: list[Value], observation: Observation) -> Value | None:
        """Give the field's value, or None where the rule has nothing to go by."""


class RepeatLast(Reference):
    """Tomorrow is like today: the latest known value of each quantity."""

    name = "repeat_last"

    def _rule(self, field: Field, past: list[Value], observation: Observation) -> Value | None:
        return last_value(field, observation.fields, past[-1] if past else None)


class MajoritySoFar(Reference):
    """Always the same: the most frequent outcome so far, the mean of a number; of equals, the one seen first."""

    name = "majority"

    def _rule(self, field: Field, past: list[Value], observation: Observation) -> Value | None:
        if not past:
            return None
        if field.kind == "number":
            return sum(float(value) for value in past if not isinstance(value, tuple)) / len(past)
        return Counter(past).most_common(1)[0][0]


def _ignorant(field: Field) -> Value:
    if field.kind == "number":
        return (field.low + field.high) / 2
    if field.kind == "ranked":
        return field.options[: field.top]
    return field.options[0] if field.options else ""
