"""Methods whose context is a list of past steps: none of them (zero-shot), all (full history), summaries (MemPrompt).

They show past entries, oldest first, and drop the oldest when the engine's context window would overflow.
"""

from __future__ import annotations

from typing import Any

import msgspec

from llm_as_rnn.baselines.order import inserted, placed
from llm_as_rnn.baselines.window import fitted
from llm_as_rnn.core.calls import Message
from llm_as_rnn.core.fields import ARROW
from llm_as_rnn.core.method import Apart, Asker, Calls, Learned, at_once, said
from llm_as_rnn.core.outcomes import facts, note_field, verdict
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Observation, Prediction, Record, SequenceInfo, Target, Update
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task


class HistoryState(Record, frozen=True):
    """What the method carries from step to step.

    Attributes
    ----------
    sequence : SequenceInfo
        What is known of the sequence from the start.
    past : tuple of str
        One entry a step, oldest first, whatever order outcomes came in.
    steps : tuple of int
        The step of each.
    """

    sequence: SequenceInfo
    past: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()

    def after(self, t: int, entry: str) -> HistoryState:
        """Give the state with the entry of one more step."""
        steps, place = placed(self.steps, len(self.past), t)
        return HistoryState(self.sequence, inserted(self.past, place, entry), steps)


class History(Apart):
    """Predicts from all past entries that fit the context window.

    Parameters
    ----------
    task : Task
        What is predicted.
    settings : Settings
        How the model is asked; ``window`` bounds the context.
    prompts : Prompts
        ``baselines/*``.
    """

    state_type: type[Any] = HistoryState
    first_to_go = "oldest"
    """Which entries are dropped when the window is full."""

    def __init__(self, task: Task, settings: Settings, prompts: Prompts) -> None:
        self.task = task
        self.settings = settings
        self.asker = Asker(task, settings, prompts)

    def start(self, sequence: SequenceInfo) -> Any:
        """Begin with no past."""
        return self.state_type(sequence)

    def predict(self, state: HistoryState, observation: Observation) -> Calls[Prediction]:
        """Predict from the past entries, then x_t."""
        messages, dropped = yield from self._context(state, observation)
        prediction = yield from self.asker.predict(messages, observation)
        if not dropped:
            return prediction
        which = f"the {self.first_to_go} {dropped} of {len(self._entries(state, observation))} entries"
        note = f"{which} were dropped: the context window is full"
        return msgspec.structs.replace(prediction, notes=(note,))

    def _context(
        self, state: HistoryState, observation: Observation, turns: tuple[Message, ...] = (), answer: int = 0
    ) -> Calls[tuple[tuple[Message, ...], int]]:
        """Build the prompt with as many of the last entries as fit, and say how many of the first were dropped.

        It goes on with ``turns``, and leaves room for an answer of so many tokens, the task's where none are named.
        """
        return (
            yield from fitted(
                lambda dropped: (*self._messages(state, observation, dropped), *turns),
                len(self._entries(state, observation)),
                self.settings.window,
                answer or self.asker.answer.max_tokens(),
            )
        )

    def _messages(self, state: HistoryState, observation: Observation, dropped: int) -> tuple[Message, ...]:
        shown, past = self._shown(state, observation), self._entries(state, observation)[dropped:]
        return (
            Message("system", self.asker.render("baselines/system")),
            Message("user", self.asker.render("baselines/history", past=past, observation=shown)),
        )

    def _entries(self, state: HistoryState, observation: Observation) -> tuple[str, ...]:
        """Give what is shown of the past, those last that are missed most."""
        return state.past

    def _shown(self, state: HistoryState, observation: Observation) -> str:
        return self.task.show(observation, self.settings.form, state.sequence.about)

    def _pair(self, state: HistoryState, observation: Observation, target: Target) -> str:
        shown, outcome = self._shown(state, observation), self.asker.answer.show(target)
        return self.asker.render("baselines/pair", observation=shown, outcome=outcome)


class ZeroShot(History):
    """Zero-shot: x_t and nothing else (paper, section 4): a history that stays empty."""

    name = "zero_shot"

    def learn(
        self, state: HistoryState, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Learn nothing."""
        return (yield from at_once(Learned(state, Update("skipped", "this method does not learn"))))


class FullHistory(History):
    """Full history concatenation: every past (x, y) pair, then x_t (paper, section 4)."""

    name = "full_history"

    def learn(
        self, state: HistoryState, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Append the pair."""
        if target is None:
            return Learned(state, Update("skipped", "no outcome"))
        after = state.after(observation.t, self._pair(state, observation, target))
        return (yield from at_once(Learned(after, Update("accepted", "appended"))))


class MemPrompt(History):
    """MemPrompt: one written summary of each past step with its outcome, then x_t (paper, section 4).

    After Madaan et al., "Memory-assisted prompt editing" (EMNLP 2022, arXiv 2201.06009), as the paper uses it.
    """

    name = "memprompt"

    def learn(
        self, state: HistoryState, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Have the step summarised, and append the summary; without a usable one, append nothing."""
        if target is None:
            return Learned(state, Update("skipped", "no outcome"))
        shown = self._shown(state, observation)
        # Not by the template of full history's pairs: changing that one must not change this method.
        case = f"{shown}{ARROW}{self.task.spec('line').show(target)}"
        about = "this step and its outcome, as you will want to remember it"
        spec = self.asker.block("summary", (note_field("summary", about, self.task, self.settings.form, case),))
        told = {
            "observation": shown,
            "facts": facts(self.task, prediction, target),
            "case": case,
            "verdict": verdict(self.task, prediction, target),
        }
        prompt = self.asker.render("baselines/summarise", spec=spec, **told)
        messages = yield from self._asking(state, observation, prediction, prompt, spec.max_tokens())
        request = self.asker.request("summarise", messages, observation, spec.format, spec.max_tokens())
        asked = yield from self.asker.ask(request, spec.read)
        if asked.value is None:
            return Learned(state, Update("kept", asked.status, asked.problem))
        after = state.after(observation.t, str(asked.value["summary"]))
        return Learned(after, Update("accepted", "appended"))

    def _asking(
        self, state: HistoryState, observation: Observation, prediction: Prediction, prompt: str, answer: int
    ) -> Calls[tuple[Message, ...]]:
        """Go on with the conversation of the prediction, or ask in one of its own."""
        if self.settings.layout == "separate":
            return Message("system", self.task.instructions.strip()), Message("user", prompt)
        # With the question behind it, and a longer answer, fewer entries may fit than the prediction was shown.
        turns = (said(prediction.raw), Message("user", prompt))
        messages, _ = yield from self._context(state, observation, turns, answer)
        return messages
