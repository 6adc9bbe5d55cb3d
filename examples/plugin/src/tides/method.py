"""A method: two computations over a state, which ask by yielding requests."""

from __future__ import annotations

from llm_as_rnn.core.calls import Message
from llm_as_rnn.core.method import Apart, Asker, Calls, Learned, at_once
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Observation, Prediction, Record, SequenceInfo, Target, Update
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task

SHOWN = 3


class Lately(Record, frozen=True):
    """The latest outcomes, as text."""

    sequence: SequenceInfo
    outcomes: tuple[str, ...] = ()


class LastFew(Apart):
    """Shows the last three outcomes before the question."""

    name = "last_few"
    state_type = Lately

    def __init__(self, task: Task, settings: Settings, prompts: Prompts) -> None:
        self.asker = Asker(task, settings, prompts)

    def start(self, sequence: SequenceInfo) -> Lately:
        """Give the state before the first step."""
        return Lately(sequence)

    def predict(self, state: Lately, observation: Observation) -> Calls[Prediction]:
        """Ask for the next outcome."""
        x = self.asker.task.show(observation, self.asker.settings.form, state.sequence.about)
        asked = f"Answer with {self.asker.answer.describe()}\n\nLately: {'; '.join(state.outcomes)}\nNow: {x}\nNext:"
        return self.asker.predict((Message("user", asked),), observation)

    def learn(
        self, state: Lately, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Keep the outcome, where there is one."""
        del observation, prediction
        if target is None:
            return at_once(Learned(state, Update("skipped", "no outcome")))
        outcomes = (*state.outcomes, self.asker.answer.show(target))[-SHOWN:]
        return at_once(Learned(Lately(state.sequence, outcomes), Update("accepted", "noted")))
