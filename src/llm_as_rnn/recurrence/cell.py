"""The paper's recurrent cell: contextualise, reflect, update (arXiv 2601.13352, section 3)."""

from __future__ import annotations

from typing import Any, NamedTuple

from llm_as_rnn.method import Asker, Calls, Learned, Settings, said
from llm_as_rnn.outcomes import facts
from llm_as_rnn.prompts import Prompts
from llm_as_rnn.records import (
    Feedback,
    Memory,
    Message,
    Observation,
    Prediction,
    Record,
    Request,
    Role,
    SequenceInfo,
    Target,
    Update,
)
from llm_as_rnn.recurrence import feedback as critic
from llm_as_rnn.recurrence import scorecard
from llm_as_rnn.recurrence.budget import Sections, fit, measured
from llm_as_rnn.recurrence.memory import Bounds, answer_format, initial_memory, read_memory, to_text, written
from llm_as_rnn.recurrence.scorecard import Tally
from llm_as_rnn.task import Task


class RecurrentState(Record, frozen=True):
    """What the cell carries from step to step.

    Attributes
    ----------
    sequence : SequenceInfo
        What is known of the sequence from the start.
    memory : Memory
        h_t.
    scorecard : dict of str to Tally
        Exact figures so far; they enter the memory only through feedback.
    """

    sequence: SequenceInfo
    memory: Memory
    scorecard: dict[str, Tally]


class Step(NamedTuple):
    """One step on its way: the conversation so far, and the parts that separate prompts need."""

    messages: tuple[Message, ...]
    memory: Memory
    observation: Observation
    shown: str
    prediction: Prediction
    facts: str


class Recurrent:
    """A frozen language model with a memory in language as its hidden state.

    Parameters
    ----------
    task : Task
        What is predicted.
    settings : Settings
        Budget, layout, form, feedback.
    prompts : Prompts
        ``recurrence/*``.
    """

    name = "recurrent"
    state_type = RecurrentState

    def __init__(self, task: Task, settings: Settings, prompts: Prompts) -> None:
        self.task = task
        self.settings = settings
        self.asker = Asker(task, settings, prompts)
        self.critic = self.asker.block("feedback", critic.critic_fields(task, settings.form))
        self.bounds = Bounds.within(settings.budget, len(task.memory))

    def start(self, sequence: SequenceInfo) -> RecurrentState:
        """Give h_0: every section there, nothing known yet."""
        return RecurrentState(sequence, initial_memory(self.task), scorecard.empty(self.task))

    def memory(self, state: RecurrentState) -> Memory:
        """Give h_t."""
        return state.memory

    def predict(self, state: RecurrentState, observation: Observation) -> Calls[Prediction]:
        """Contextualise: y_hat_t from h_{t-1} and x_t alone."""
        return (yield from self.asker.predict(self._context(state, observation), observation))

    def learn(
        self, state: RecurrentState, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Reflect on the outcome, then rewrite the memory."""
        if target is None:
            return Learned(state, Update("skipped", "no outcome"))
        card = scorecard.add(state.scorecard, self.task, observation.fields, prediction.values, target)
        step = self._step(state, observation, prediction, target)

        step, feedback = yield from self.reflect(step, card)
        memory, update = yield from self.update(step, feedback)

        return Learned(RecurrentState(state.sequence, memory, card), update, feedback)

    def reflect(self, step: Step, card: dict[str, Tally]) -> Calls[tuple[Step, Feedback]]:
        """Give e_t, by the critic or by figures alone, and the conversation with it."""
        if self.settings.feedback == "scorecard":
            return step, critic.from_scorecard(step.facts, card, self.task)
        messages = self._turn(step, "reflect", critic=self.critic)
        request = self.asker.request(
            "reflect", messages, step.observation, self.critic.format, self.critic.max_tokens()
        )
        asked = yield from self.asker.ask(request, self.critic.read)
        return step._replace(messages=(*messages, said(asked.raw))), critic.from_critic(step.facts, asked)

    def update(self, step: Step, feedback: Feedback) -> Calls[tuple[Memory, Update]]:
        """Give h_t within the budget, or h_{t-1} where the new one is not fit to be kept: a transaction."""
        before = Memory(step.memory.sections, step.memory.version, (yield from measured(step.memory)))
        request = self._rewrite_request(
            "update", self._turn(step, "update", feedback=feedback, bounds=self.bounds), step
        )
        asked = yield from self.asker.ask(request, self._read)
        if asked.value is None:
            return before, Update("kept", f"{asked.status}: {asked.problem}")
        fitted = yield from fit(asked.value, self.settings.budget, lambda *long: self._compress(step, *long))
        if fitted is None:
            return before, Update("kept", "over_budget: not even one sentence of it fits")
        if fitted.sections == before.sections:
            return before, Update("kept", "unchanged")
        return Memory(fitted.sections, before.version + 1, fitted.tokens), Update("accepted", fitted.how)

    def _compress(self, step: Step, sections: Sections, tokens: int) -> Calls[Sections | None]:
        text = written(Memory(sections), self.settings.form)
        prompt = self.asker.render("recurrence/compress", memory=text, tokens=tokens, bounds=self.bounds)
        messages = (Message("system", self.task.instructions.strip()), Message("user", prompt))
        asked = yield from self.asker.ask(self._rewrite_request("compress", messages, step), self._read)
        return asked.value

    def _read(self, text: str) -> Sections:
        return read_memory(text, self.task, self.settings.form, self.bounds.chars)

    def _rewrite_request(self, role: Role, messages: tuple[Message, ...], step: Step) -> Request:
        # Headings and JSON marks come on top of the budget, which counts a memory's text form.
        room = self.settings.budget + self.settings.budget // 4 + 16 * len(self.task.memory)
        answer = answer_format(self.task, self.settings.form, self.settings.budget)
        return self.asker.request(role, messages, step.observation, answer, room)

    def _turn(self, step: Step, name: str, **values: Any) -> tuple[Message, ...]:
        """Go on with the step's conversation, or begin one that tells all that is needed."""
        parts = {"memory": to_text(step.memory), "observation": step.shown, "said": step.prediction.raw}
        prompt = self.asker.render(f"recurrence/{name}", facts=step.facts, **parts, **values)
        chained = self.settings.layout == "chained"
        before = step.messages if chained else (Message("system", self.task.instructions.strip()),)
        return (*before, Message("user", prompt))

    def _context(self, state: RecurrentState, observation: Observation) -> tuple[Message, ...]:
        shown = self.task.show(observation, self.settings.form, state.sequence.about)
        return (
            Message("system", self.asker.render("recurrence/system", memory=to_text(state.memory))),
            Message("user", self.asker.render("recurrence/predict", observation=shown)),
        )

    def _step(self, state: RecurrentState, observation: Observation, prediction: Prediction, target: Target) -> Step:
        return Step(
            (*self._context(state, observation), said(prediction.raw)),
            state.memory,
            observation,
            self.task.show(observation, self.settings.form, state.sequence.about),
            prediction,
            facts(self.task, prediction, target),
        )
