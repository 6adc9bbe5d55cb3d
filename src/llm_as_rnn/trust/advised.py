"""A method that answers by the advice of others: of the model with its memory, and of references that cost nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from llm_as_rnn.core.chances import likeliest
from llm_as_rnn.core.errors import EngineError, UsageError
from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.method import Apart, Calls, Learned, Method, at_once
from llm_as_rnn.core.records import Memory, Observation, Prediction, Record, SequenceInfo, Status, Target, Update, Value
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.trust.advice import Belief, advise, after, at_first, fits, rearranged
from llm_as_rnn.trust.carried import Carried
from llm_as_rnn.trust.votes import Said

UNHEARD = Prediction(None, Status.INVALID, problem="it was no adviser when this was predicted")
"""What an adviser said of a step before it was one."""


class AdvisedState(Record, frozen=True):
    """What advice carries from step to step; each method of advisers has a type of its own, with their states.

    Attributes
    ----------
    beliefs : dict of str to Votes or Means
        What the advisers have to show for themselves, by field.
    states : tuple
        The advisers' own states.
    advisers : tuple of str
        Their names, in the order of both; empty in states that earlier versions wrote.
    """

    beliefs: dict[str, Belief]
    states: Any
    advisers: tuple[str, ...] = ()


class Advised:
    """Answers by what several methods advise, and believes each as far as outcomes bear it out (see `trust.advice`).

    Every adviser predicts and learns as it would alone. The first of them is the one whose memory, update, feedback and
    shared lessons are this method's own.

    Parameters
    ----------
    name : str
        What the method is called.
    task : Task
        What is predicted.
    advisers : sequence of Method
        Who advises, the foremost first: of two answers as likely as each other, the one that was named first is taken.
    carry : bool
        Whether whom to believe is learned of all sequences as if they were one, and not anew in each. The bounds of
        `trust.advice` then hold for all of them together.
    """

    takes_advice = True

    def __init__(self, name: str, task: Task, advisers: Sequence[Method], *, carry: bool = False) -> None:
        self.name = name
        self.task = task
        self.advisers = tuple(advisers)
        self.carry = carry
        self.state_type: type[Any] = _state_type(tuple(adviser.state_type for adviser in self.advisers))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the type of its states, which is made anew where it arrives: no module has it."""
        return {name: value for name, value in vars(self).items() if name != "state_type"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.state_type = _state_type(tuple(adviser.state_type for adviser in self.advisers))

    @property
    def shares(self) -> bool:
        """Whether sequences teach each other whom to believe, or the first adviser what it learns."""
        return self.carry or self.advisers[0].shares

    @property
    def needs_outcomes(self) -> bool:
        """Whether no adviser learns anything of a step whose outcome never comes."""
        return all(adviser.needs_outcomes for adviser in self.advisers)

    @property
    def keeps_pins(self) -> bool:
        """Whether the notes that are pinned in the first adviser's memory outlast what is learned."""
        return self.advisers[0].keeps_pins

    def start(self, sequence: SequenceInfo) -> Any:
        """Begin with all advisers believed alike."""
        return self.start_with(sequence, None)

    def start_with(self, sequence: SequenceInfo, lessons: Carried | None) -> Any:
        """Begin so, or with what earlier sequences showed; the first adviser with its own lessons of them."""
        first, *others = self.advisers
        own = None if lessons is None else lessons.own
        states = (first.start_with(sequence, own), *(other.start(sequence) for other in others))
        known = None if lessons is None else lessons.known
        beliefs = known or {field.name: at_first(field, len(states)) for field in self.task.answer}
        return self.state_type(beliefs=beliefs, states=states, advisers=self._names)

    def fitting(self, kept: Any, sequence: SequenceInfo) -> Any:
        """Give a state that was kept as these advisers have it.

        They are matched by name. Who is new begins, and is believed as before anything was known; who is gone is
        forgotten.

        Parameters
        ----------
        kept : object
            The state in plain values, as its JSON has it.
        sequence : SequenceInfo
            Where who is new begins.

        Raises
        ------
        msgspec.ValidationError
            If it is no such state.
        UsageError
            If it does not say whose advice it is, and there are more or fewer advisers now; or is damaged.
        """
        known = msgspec.convert(kept, AdvisedState)
        before, states = known.advisers or self._names, msgspec.convert(known.states, list[Any])
        if not known.advisers and len(states) != len(before):
            raise UsageError(
                f"the saved state is of {len(states)} advisers and does not name them; now there are {len(before)}",
                "go on with the task and the settings that it was made with",
            )
        fields = {field.name: field for field in self.task.answer}
        whole = known.beliefs.keys() == fields.keys() and len(states) == len(before)
        if not whole or not all(fits(fields[name], one, len(before)) for name, one in known.beliefs.items()):
            raise UsageError("the saved state does not say the same of all its advisers", "restore it, or begin anew")
        order = [before.index(name) if name in before else None for name in self._names]
        return {
            "beliefs": {
                name: msgspec.to_builtins(rearranged(fields[name], one, order)) for name, one in known.beliefs.items()
            },
            "states": [
                msgspec.to_builtins(adviser.start(sequence)) if place is None else states[place]
                for adviser, place in zip(self.advisers, order, strict=True)
            ],
            "advisers": self._names,
        }

    def conclude(self, state: Any, last: Observation) -> Calls[tuple[Carried | None, Update | None]]:
        """Give what the advisers have to show for themselves, where it is carried on, and the first one's lessons."""
        own, taught = yield from self.advisers[0].conclude(state.states[0], last)
        if not self.shares:
            return None, None
        return Carried(own, state.beliefs if self.carry else None), taught

    def memory(self, state: Any) -> Memory | None:
        """Give the first adviser's memory."""
        return self.advisers[0].memory(state.states[0])

    def with_memory(self, state: Any, memory: Memory) -> Any:
        """Put a memory into the first adviser's state."""
        first = self.advisers[0].with_memory(state.states[0], memory)
        return msgspec.structs.replace(state, states=(first, *state.states[1:]))

    def predict(self, state: Any, observation: Observation) -> Calls[Prediction]:
        """Ask all advisers, and make one answer of theirs."""
        said = []
        for adviser, own in zip(self.advisers, state.states, strict=True):
            said.append((yield from adviser.predict(own, observation)))
        values: dict[str, Value] = {}
        chances: dict[str, dict[str, float]] = {}
        trust: dict[str, dict[str, float]] = {}
        for field in self.task.answer:
            advice = advise(field, state.beliefs[field.name], _heard(said, field.name))
            if advice.value is not None:
                values[field.name] = advice.value
                if isinstance(field, Number) and isinstance(advice.value, float):
                    values[field.name] = field.answer_near(advice.value)
            if advice.chances and not field.is_open:  # of texts, who said one is known, and not how likely it is
                # Where no options are listed, what nobody named may come as well: it keeps its part.
                chances[field.name] = likeliest(advice.chances, None if field.options else 1.0)
            trust[field.name] = dict(zip(self._names, advice.believed, strict=True))
        first = said[0]
        if len(values) < len(self.task.answer):
            return msgspec.structs.replace(first, values=None, advisers=tuple(said), believed=trust)
        return Prediction(
            values,
            Status.OK,
            self.task.spec("line").show(values),
            self._silence(said),
            notes=first.notes,
            recalled=first.recalled,
            distribution=chances,
            believed=trust,
            advisers=tuple(said),
        )

    def learn(
        self, state: Any, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Have all advisers learn, and see how far each was right."""
        learned, every = [], self._said(prediction)
        for adviser, own, said in zip(self.advisers, state.states, every, strict=True):
            learned.append((yield from adviser.learn(own, observation, said, target)))
        beliefs = dict(state.beliefs)
        for field in self.task.answer:
            outcome = (target or {}).get(field.name)
            if outcome is not None:
                said_here = _heard(every, field.name)
                answer = (prediction.values or {}).get(field.name)
                beliefs[field.name] = after(field, beliefs[field.name], said_here, outcome, answer)
        own_state = self.state_type(beliefs=beliefs, states=tuple(one.state for one in learned), advisers=self._names)
        return Learned(own_state, learned[0].update, learned[0].feedback)

    def _silence(self, said: Sequence[Prediction]) -> str:
        """Name those whom the others answer for: whoever pays for a model wants to know all the same."""
        silent = [
            f"{name} gave no answer: {one.problem or one.status}"
            for name, one in zip(self._names, said, strict=True)
            if one.is_unheard or (one is said[0] and one.values is None)
        ]
        return "; ".join(silent)

    def _said(self, prediction: Prediction) -> tuple[Prediction, ...]:
        """Give what each adviser said of a prediction; the task may have been another one then, with other advisers."""
        names = tuple(next(iter(prediction.believed.values()), self._names))
        if names == self._names:
            return prediction.advisers
        said = dict(zip(names, prediction.advisers, strict=True))
        return tuple(said.get(name, UNHEARD) for name in self._names)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(adviser.name for adviser in self.advisers)


class Recorded(Apart):
    """Says again what a method said at each step of a run, so that advice costs no call.

    Parameters
    ----------
    name : str
        The method.
    records : mapping of (str, str, int) to StepRecord
        The run's steps so far, by method, sequence and timestep; it may grow.
    """

    state_type: type[Any] = SequenceInfo

    def __init__(self, name: str, records: Mapping[tuple[str, str, int], StepRecord]) -> None:
        self.name = name
        self._records = records

    def start(self, sequence: SequenceInfo) -> SequenceInfo:
        """Begin: a sequence is all that it needs to know."""
        return sequence

    def predict(self, state: SequenceInfo, observation: Observation) -> Calls[Prediction]:
        """Give the prediction of the run.

        Raises
        ------
        EngineError
            If the run has not come so far.
        """
        record = self._records.get((self.name, state.id, observation.t))
        if record is None:
            raise EngineError(f"{self.name} has not predicted this step", "go on with the run: --resume")
        said = Prediction(
            record.prediction,
            record.status,
            record.raw,
            record.problem,
            recalled=record.recalled,
            distribution=record.distribution,
            guessed=record.guessed,
        )
        return (yield from at_once(said))

    def learn(
        self, state: SequenceInfo, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Learn nothing: the method did."""
        return (yield from at_once(Learned(state, Update("skipped", "learned elsewhere", self.name))))


def _heard(predictions: Sequence[Prediction], name: str) -> list[Said]:
    """Give what each adviser says of a field; who has nothing to go by is heard only where all others are silent."""
    said = [Said((one.values or {}).get(name), one.distribution.get(name, {})) for one in predictions]
    heard = [Said(None) if name in one.guessed else own for one, own in zip(predictions, said, strict=True)]
    return heard if any(one.value is not None for one in heard) else said


@cache
def _state_type(states: tuple[type[Any], ...]) -> type[Any]:
    """Give the type of states of these advisers, so that JSON is read as what it was."""
    fields: list[Any] = [
        ("beliefs", dict[str, Belief]),
        ("states", tuple.__class_getitem__(states)),
        ("advisers", tuple[str, ...], ()),
    ]
    return msgspec.defstruct("AdvisedState", fields, bases=(Record,), frozen=True, forbid_unknown_fields=True)
