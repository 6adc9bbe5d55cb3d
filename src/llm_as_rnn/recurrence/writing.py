"""How a step is put to the model: one growing conversation, or separate prompts that tell all that is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llm_as_rnn.cases.case import as_asked, came, case, line_of
from llm_as_rnn.cases.recall import resemblance
from llm_as_rnn.core.answers import AnswerSpec
from llm_as_rnn.core.calls import Message, Role
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.hygiene import tidy_item
from llm_as_rnn.core.method import Asked, Asker, Calls, said
from llm_as_rnn.core.outcomes import verdict
from llm_as_rnn.core.prompts import examples_in
from llm_as_rnn.core.records import Feedback, Memory, Observation, Prediction, Section, SequenceInfo, Target, Value
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task
from llm_as_rnn.recurrence.budget import Sections, measured
from llm_as_rnn.recurrence.memory import Bounds, answer_format, read_memory, telling, written


class Step(NamedTuple):
    """One step on its way: the conversation about it so far, and all that is known of the step.

    ``messages`` are empty until the model is asked about the step again: then they begin with its prediction.
    ``target`` is None, and ``facts`` are empty, where learning goes by a judge alone.
    ``error`` is 0 for a right answer and 1 for one as wrong as can be; ``surprise`` says in nats how unlikely the model
    held what came, or None where it does not tell; ``now`` is what the clock says that notes age
    by, and ``consolidated`` what it said when the memory was last consolidated (see `RecurrentState`); ``changed`` says
    that what the memory's cases say seems to hold no more.
    """

    messages: tuple[Message, ...]
    memory: Memory
    sequence: SequenceInfo
    observation: Observation
    shown: str
    prediction: Prediction
    target: Target | None
    facts: str
    error: float
    now: int
    consolidated: int
    lessons: Memory | None = None
    changed: bool = False
    surprise: float | None = None

    @property
    def items(self) -> tuple[str, ...]:
        """All notes that were shown, the lessons' first."""
        return _notes(self.lessons, self.memory)

    def case(self, task: Task) -> str:
        """Write the step with its outcome as a case; nothing where the outcome is not known."""
        return "" if self.target is None else case(task, self.observation, self.target, self.sequence)

    def own(self, task: Task, feedback: Feedback) -> tuple[str, ...]:
        """Give all texts of a prompt that are of this step or were learned before: any line of them may be noted."""
        return str(self.memory), str(self.lessons or ""), self.shown, self.case(task), feedback.text


class Writer:
    """Writes the prompts of the recurrent method, and asks with them.

    Parameters
    ----------
    asker : Asker
        Who builds requests.
    task : Task
        What is predicted.
    settings : Settings
        Layout, form, budget.
    """

    def __init__(self, asker: Asker, task: Task, settings: Settings) -> None:
        self.asker = asker
        self.task = task
        self.settings = settings
        self.bounds = Bounds.within(settings.budget, len(task.memory))

    def context(
        self, sequence: SequenceInfo, memory: Memory, observation: Observation, lessons: Memory | None = None
    ) -> tuple[tuple[Message, ...], tuple[str, ...]]:
        """Give the prompt of a prediction: instructions and memory, the cases most like x_t once more, then x_t.

        Beside it stand these cases as the memory has them.

        Small models follow what they read last. The memory keeps its order all the same, so that an engine finds what
        it has read of it in its cache: only the cases that are shown again differ from step to step. One that has a
        blank is recalled filled in, in the form of x_t.
        """
        shown = self.shown(sequence, observation)
        line = line_of(self.task, observation, sequence)
        items = _notes(lessons, memory)
        most = self.settings.recall or 0
        closest = resemblance(items).closest(line, most)
        recalled = [text for item in closest for text in as_asked(item, line, self.settings.echo)]
        told, taught = self._told(memory), self._told(lessons)
        system = self.asker.render("recurrence/system", memory=told, lessons=taught)
        asking = self.asker.render("recurrence/predict", observation=shown, recalled=recalled, memory=told or taught)
        return (Message("system", system), Message("user", asking)), tuple(closest)

    def _told(self, memory: Memory | None) -> str:
        if memory is None:
            return ""
        return str(telling(memory, self.task) if self.settings.hide_empty else memory)

    def fits(
        self, sequence: SequenceInfo, memory: Memory, observation: Observation, lessons: Memory | None = None
    ) -> list[tuple[float, Target]]:
        """Say how well each case of the memory fits x_t, in [0, 1], and what came of it."""
        line = line_of(self.task, observation, sequence)
        known = resemblance(_notes(lessons, memory))
        found = ((fit.score, came(self.task, fit.key)) for fit in known.fits(line, len(known.cases)))
        return [(score, target) for score, target in found if target is not None]

    def shown(self, sequence: SequenceInfo, observation: Observation) -> str:
        """Write x_t."""
        return self.task.show(observation, self.settings.form, sequence.about)

    def turn(self, step: Step, name: str, **values: Any) -> tuple[Message, ...]:
        """Go on with the step's conversation, or begin one that tells all that is needed."""
        told = {"memory": str(step.memory), "observation": step.shown, "said": step.prediction.raw}
        told["case"] = step.case(self.task)
        told["verdict"] = "" if step.target is None else verdict(self.task, step.prediction, step.target)
        prompt = self.asker.render(f"recurrence/{name}", facts=step.facts, **told, **values)
        chained = self.settings.layout == "chained"
        before = self._so_far(step) if chained else (Message("system", self.task.instructions.strip()),)
        return (*before, Message("user", prompt))

    def _so_far(self, step: Step) -> tuple[Message, ...]:
        """Give the conversation about a step; it begins with the prompt of its prediction, and the answer."""
        if step.messages:
            return step.messages
        context, _ = self.context(step.sequence, step.memory, step.observation, step.lessons)
        return (*context, said(step.prediction.raw))

    def ask_fields(
        self,
        step: Step,
        role: Role,
        spec: AnswerSpec,
        messages: tuple[Message, ...],
        read: Callable[[str], dict[str, Value]] | None = None,
    ) -> Calls[Asked[dict[str, Value]]]:
        """Ask for an answer in fields; ``read`` is for answers that are read more strictly than others."""
        request = self.asker.request(role, messages, step.observation, spec.format, spec.max_tokens())
        return (yield from self.asker.ask(request, read or spec.read))

    def ask_memory(
        self, observation: Observation, role: Role, messages: tuple[Message, ...], bounds: Bounds, *own: str
    ) -> Calls[Asked[Sections]]:
        """Ask for a whole memory; notes that only the examples in the prompt hold are left out.

        What else the prompt tells (the old memory, feedback) is the step's ``own``, and may be noted word for word.
        """
        answer = answer_format(self.task, self.settings.form, bounds)
        # Headings and JSON marks come on top of the budget, which counts a memory's text form.
        room = self.settings.budget + self.settings.budget // 4 + 16 * len(self.task.memory)
        request = self.asker.request(role, messages, observation, answer, room)
        unknown = tidy_item(self.task.initial)
        examples = examples_in(messages, *own, unknown)

        def read(text: str) -> Sections:
            sections = read_memory(text, self.task, self.settings.form, bounds.chars)
            kept = [(part.name, tuple(item for item in part.items if item not in examples)) for part in sections]
            if not any(items for _, items in kept):
                raise AnswerError("the memory holds nothing but notes of the examples")
            return tuple(Section(name, items or (unknown,)) for name, items in kept)

        return (yield from self.asker.ask(request, read))

    def rewrite(self, step: Step, feedback: Feedback) -> Calls[Asked[Sections]]:
        """Ask for the whole memory anew (paper, section 3)."""
        bounds = self.bounds.beyond(step.memory.sections)
        messages = self.turn(step, "update", feedback=feedback, bounds=bounds)
        own = step.own(self.task, feedback)
        return (yield from self.ask_memory(step.observation, "update", messages, bounds, *own))

    def compress(self, step: Step, sections: Sections, tokens: int) -> Calls[Sections | None]:
        """Ask once for a shorter version of a memory (paper, appendix C)."""
        text = written(Memory(sections), self.settings.form)
        bounds = self.bounds.beyond(sections)
        prompt = self.asker.render("recurrence/compress", memory=text, tokens=tokens, bounds=bounds)
        messages = (Message("system", self.task.instructions.strip()), Message("user", prompt))
        asked = yield from self.ask_memory(step.observation, "compress", messages, bounds, text)
        return asked.value


def _notes(*levels: Memory | None) -> tuple[str, ...]:
    return tuple(item for level in levels if level for section in level.sections for item in section.items)


def length(sections: Sections) -> Calls[int]:
    """Count the tokens of sections as a memory's text form."""
    return (yield from measured(Memory(sections)))
