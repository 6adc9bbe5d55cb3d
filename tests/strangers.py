"""Methods as somebody else would write them: one with no memory, one with a memory within the budget."""

from __future__ import annotations

from llm_as_rnn.core.calls import Message
from llm_as_rnn.core.method import Apart, Asker, Calls, Learned, at_once, count_tokens
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Memory, Observation, Prediction, Record, Section, SequenceInfo, Target, Update
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task


class Lately(Record, frozen=True):
    """The latest outcomes, as text."""

    sequence: SequenceInfo
    outcomes: tuple[str, ...] = ()


class LastFew(Apart):
    """Shows the last three outcomes, in words of its own."""

    name = "last_few"
    state_type: type[Lately] = Lately

    def __init__(self, task: Task, settings: Settings, prompts: Prompts) -> None:
        self.asker = Asker(task, settings, prompts)

    def start(self, sequence: SequenceInfo) -> Lately:
        return Lately(sequence)

    def predict(self, state: Lately, observation: Observation) -> Calls[Prediction]:
        return self.asker.predict((Message("user", self.prompt(state, observation)),), observation)

    def prompt(self, state: Lately, observation: Observation) -> str:
        x = self.asker.task.show(observation, "line", state.sequence.about)
        return f"Answer with {self.asker.answer.describe()}\nLately: {'; '.join(state.outcomes)}\nNow: {x}\nNext:"

    def learn(
        self, state: Lately, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        if target is None:
            return at_once(Learned(state, Update("skipped", "no outcome")))
        return at_once(Learned(self.after(state, self.asker.answer.show(target)), Update("accepted", "noted")))

    def after(self, state: Lately, outcome: str) -> Lately:
        return type(state)(state.sequence, (*state.outcomes, outcome)[-3:])


class Pages(Record, frozen=True):
    """What is noted so far."""

    sequence: SequenceInfo
    memory: Memory


class Diary(Apart):
    """Notes every step in the first section of its memory, and forgets the oldest ones when that is full."""

    name = "diary"
    state_type = Pages

    def __init__(self, task: Task, settings: Settings, prompts: Prompts) -> None:
        self.task, self.settings = task, settings
        self.asker = Asker(task, settings, prompts)

    def start(self, sequence: SequenceInfo) -> Pages:
        return Pages(sequence, Memory(tuple(Section(section.name, ()) for section in self.task.memory)))

    def memory(self, state: Pages) -> Memory:
        return state.memory

    def with_memory(self, state: Pages, memory: Memory) -> Pages:
        return Pages(state.sequence, memory)

    def predict(self, state: Pages, observation: Observation) -> Calls[Prediction]:
        told = (Message("system", str(state.memory)), Message("user", self.shown(state, observation)))
        return self.asker.predict(told, observation)

    def learn(
        self, state: Pages, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        if target is None:
            return Learned(state, Update("skipped", "no outcome"))
        note = f"{self.shown(state, observation)} -> {self.task.spec('line').show(target)}"
        notes = (*state.memory.sections[0].items, note)
        while notes:
            memory = self.noted(state.memory, notes)
            tokens = yield from count_tokens(str(memory))
            if memory.sections != state.memory.sections and tokens <= self.settings.budget:
                return Learned(Pages(state.sequence, memory), Update("accepted", "noted"))
            notes = notes[1:]
        return Learned(state, Update("kept", "over_budget"))

    def noted(self, memory: Memory, notes: tuple[str, ...]) -> Memory:
        first, *rest = memory.sections
        return Memory((Section(first.name, notes), *rest), memory.version + 1)

    def shown(self, state: Pages, observation: Observation) -> str:
        return self.task.show(observation, "line", state.sequence.about)
