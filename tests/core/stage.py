"""A stage for the recurrent method: a task of one line, a memory as it is wanted, and steps that go as told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.fields import Label
from llm_as_rnn.core.method import Learned
from llm_as_rnn.core.records import Form, Memory, Observation, Prediction, Section, SequenceInfo, Status
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.recurrence.cell import Recurrent, RecurrentState
from llm_as_rnn.recurrence.notes import Credit
from tests.helpers import Answer, bare, by_hand, count, listening

OPTIONS = ("sun", "rain", "fog")
UNKNOWN = "Nothing is known yet."


def sky_task(*sections: str) -> Task:
    """Give a task with one line as x_t, one label as y_t, and these sections."""
    return Task(
        name="sky",
        title="Sky",
        instructions="You forecast the sky of the next day.",
        observation="{{ seen }}",
        line="{{ seen }}",
        answer=(Label("sky", options=OPTIONS),),
        memory=tuple(MemorySection(name, f"what helps with {name}") for name in sections or ("Notes",)),
    )


def no_answer(request: Request) -> Completion | str:
    raise AssertionError(f"asked for {request.role}")


class Stage:
    """The recurrent method with a rule, and the state that its steps led to."""

    def __init__(
        self,
        rule: Any,
        answer: Answer = no_answer,
        *,
        task: Task | None = None,
        form: Form = "line",
        budget: int = 200,
        feedback: str = "scorecard",
        layout: str = "chained",
        **updating: Any,
    ) -> None:
        self.task = task or sky_task()
        method = bare(
            "recurrent",
            self.task,
            form=form,
            budget=budget,
            feedback=feedback,
            layout=layout,
            rule=rule,
            **updating,
        )
        assert isinstance(method, Recurrent)
        self.method = method
        self.answer, self.log = listening(answer)
        self.state: RecurrentState = method.start(SequenceInfo("s"))
        self.t = 0

    def holding(self, *items: str, t: int = 0, section: int = 0, **known: Credit) -> Stage:
        """Put notes into the memory, and credit by the notes' first words."""
        sections = tuple(
            Section(one.name, items) if place == section else one
            for place, one in enumerate(self.state.memory.sections)
        )
        ledger = {item: known.get(item.split()[0], Credit()) for item in items}
        self.state = msgspec.structs.replace(self.state, memory=Memory(sections), ledger=ledger)
        self.t = t
        return self

    def meet(self, seen: str, outcome: str | None, *, right: bool = False, said: str = "") -> Learned:
        """Learn from one step."""
        answer = said or (outcome if right and outcome else next(sky for sky in OPTIONS if sky != outcome))
        observation = Observation("s", self.t, {"seen": seen})
        prediction = Prediction({"sky": answer}, Status.OK, f" {answer}")
        target = None if outcome is None else {"sky": outcome}
        learned = by_hand(self.method.learn(self.state, observation, prediction, target), self.answer)
        self.state = learned.state
        self.t += 1
        return learned

    @property
    def items(self) -> tuple[str, ...]:
        """The notes of all sections."""
        return tuple(item for section in self.state.memory.sections for item in section.items)

    @property
    def roles(self) -> list[str]:
        """What was asked for."""
        return [request.role for request in self.log]


def size(*items: str, sections: tuple[str, ...] = ("Notes",)) -> int:
    """Count the tokens of a memory with these notes in its first section, and none in the others."""
    rest = (Section(name, (UNKNOWN,)) for name in sections[1:])
    return count(str(Memory((Section(sections[0], items), *rest))))


def written(fields: Mapping[str, str], form: Form) -> str:
    """Write an answer in fields."""
    if form == "json":
        return json.dumps(dict(fields))
    return "\n".join(f"{name}: {value}" for name, value in fields.items())
