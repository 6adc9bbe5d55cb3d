"""Says of every prediction how far it can be trusted, whoever makes it: intervals, sets, chances, and no answer.

`catalogue.build` puts an `Assured` around each method, so that nobody who drives methods knows of it. It asks nothing
and changes no answer; chances that a model told are corrected (see `trust.calibration`). What it says is worked out
from the outcomes so far (see `trust.intervals`, `trust.abstention`), in the order in which they come. What a prediction
said is in the prediction itself, so that outcomes may be late.

A prediction without a usable answer says everything: the whole plausible range, all options, and that it is right with
chance 0. Its outcome moves no threshold. It could not be missed, so it would count as a hit, and each hit pays for a
part of a later miss: the more often a model failed, the more its answers could miss. Left out, the bound on misses
holds for the steps with an answer alone, and so for all steps, of which there are more and no more are missed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from llm_as_rnn.core.chances import completed, full, likeliest
from llm_as_rnn.core.fields import Field, Number, entries
from llm_as_rnn.core.fields.verdict import number_in
from llm_as_rnn.core.method import Calls, Learned, Method
from llm_as_rnn.core.records import Memory, Observation, Prediction, Record, SequenceInfo, Target, Update, Value
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task
from llm_as_rnn.trust.abstention import chance, is_right, withholds
from llm_as_rnn.trust.calibration import Calibration, after, weighed
from llm_as_rnn.trust.carried import Carried
from llm_as_rnn.trust.intervals import (
    Reach,
    Tracker,
    among,
    counted,
    interval,
    option_of,
    ranking,
    reached,
    scores,
    threshold,
    tracked,
)

TOLD = "told"
"""The evidence for chances that were corrected: themselves, as they were told."""


class FieldAssurance(Record, frozen=True, omit_defaults=True):
    """What is known of how far one field's answers can be trusted.

    Attributes
    ----------
    tracker : Tracker
        The scores of outcomes so far.
    reach : Reach
        Of numbers: how far they went.
    right, known : int
        Of labels and lists: answers that were right; answers whose outcome is known.
    seen : dict of str to int
        How often each option came.
    calibration : Calibration
        How the chances that were told come out.
    """

    tracker: Tracker = Tracker()
    reach: Reach = Reach()
    right: int = 0
    known: int = 0
    seen: dict[str, int] = msgspec.field(default_factory=dict)
    calibration: Calibration = Calibration()


class AssuredState(Record, frozen=True):
    """A method's own state, and what is known of its answers; each method has a type of its own, with its state's.

    Attributes
    ----------
    own : object
        The state of the method.
    assurance : dict of str to FieldAssurance
        By field; what has no outcome yet is absent.
    """

    own: Any
    assurance: dict[str, FieldAssurance] = msgspec.field(default_factory=dict)


class Assured:
    """A method whose predictions say how far they can be trusted.

    Parameters
    ----------
    method : Method
        Who predicts.
    task : Task
        What is predicted.
    settings : Settings
        Its ``coverage``, ``abstain_above`` and ``abstain_wider`` are heeded; with ``carry`` what is known of the
        answers of a method that takes advice goes on from one sequence to the next.
    name : str
        What the method is called where it stands, if not as it calls itself (see `core.variants`).
    """

    def __init__(self, method: Method, task: Task, settings: Settings, name: str = "") -> None:
        self.method = method
        self.name = name or method.name
        self.task = task
        self.settings = settings
        self.state_type: type[Any] = _state_type((method.state_type,))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the type of its states, which is made anew where it arrives: no module has it."""
        return {name: value for name, value in vars(self).items() if name != "state_type"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.state_type = _state_type((self.method.state_type,))

    @property
    def shares(self) -> bool:
        """Whether the method's sequences teach each other."""
        return self.method.shares

    @property
    def needs_outcomes(self) -> bool:
        """Whether the method learns nothing without an outcome; of trust, nothing can be learned then."""
        return self.method.needs_outcomes

    @property
    def takes_advice(self) -> bool:
        """Whether the method makes an answer of several."""
        return self.method.takes_advice

    @property
    def keeps_pins(self) -> bool:
        """Whether the notes that are pinned in the method's memory outlast what is learned."""
        return self.method.keeps_pins

    def start(self, sequence: SequenceInfo) -> Any:
        """Begin with nothing known of the answers."""
        return self.state_type(own=self.method.start(sequence))

    def start_with(self, sequence: SequenceInfo, lessons: Any) -> Any:
        """Begin so, or with what is known of earlier sequences; the method with its lessons of them."""
        if lessons is None or not self._carries:
            return self.state_type(own=self.method.start_with(sequence, lessons))
        return self.state_type(own=self.method.start_with(sequence, lessons.own), assurance=lessons.known)

    def conclude(self, state: Any, last: Observation) -> Calls[tuple[Any, Update | None]]:
        """Give the method's lessons, and what is known of its answers where that is carried on."""
        own, taught = yield from self.method.conclude(state.own, last)
        return (Carried(own, state.assurance) if self._carries else own), taught

    @property
    def _carries(self) -> bool:
        return self.settings.carry and self.method.takes_advice

    def memory(self, state: Any) -> Memory | None:
        """Give the method's memory."""
        return self.method.memory(state.own)

    def with_memory(self, state: Any, memory: Memory) -> Any:
        """Put a memory into the method's state."""
        return msgspec.structs.replace(state, own=self.method.with_memory(state.own, memory))

    def predict(self, state: Any, observation: Observation) -> Calls[Prediction]:
        """Have the method predict, and say how far it can be trusted."""
        prediction = yield from self.method.predict(state.own, observation)
        if self.settings.calibrate:
            prediction = self._calibrated(state.assurance, prediction)
        return self._assured(state.assurance, prediction)

    def learn(
        self, state: Any, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """See whether the outcome lay in what was said, and have the method learn."""
        learned = yield from self.method.learn(state.own, observation, prediction, target)
        known = self._known(state.assurance, prediction, target or {})
        own_state = self.state_type(own=learned.state, assurance=known)
        return msgspec.structs.replace(learned, state=own_state)

    def _calibrated(self, assurance: dict[str, FieldAssurance], prediction: Prediction) -> Prediction:
        """Correct chances as they were told; those that an answer was already chosen by, on evidence, are kept."""
        chances, evidence = dict(prediction.distribution), dict(prediction.evidence)
        for field in self.task.answer:
            told = chances.get(field.name)
            if told and field.options and field.name not in evidence and field.name not in prediction.believed:
                known = assurance.get(field.name, FieldAssurance())
                evidence[field.name] = {TOLD: told}
                chances[field.name] = likeliest(weighed(known.calibration, full(field.options, told)))
        return msgspec.structs.replace(prediction, distribution=chances, evidence=evidence)

    def _assured(self, assurance: dict[str, FieldAssurance], prediction: Prediction) -> Prediction:
        intervals: dict[str, tuple[float, float]] = {}
        sets: dict[str, tuple[str, ...]] = {}
        chances: dict[str, float] = {}
        coverage = self.settings.coverage
        for field, answer in self._answers(prediction):
            known = assurance.get(field.name, FieldAssurance())
            if isinstance(field, Number):
                number = number_in(answer)
                intervals[field.name] = interval(field, known.tracker, known.reach, number, coverage)
            elif not field.is_open:
                spread = completed(field.options, prediction.distribution.get(field.name, {}))
                chances[field.name] = chance(answer, spread, known.right, known.known)
                if field.options:
                    order = ranking(field, answer, spread, known.seen)
                    limit = None if answer is None else threshold(known.tracker, coverage)
                    sets[field.name] = among(order, scores(order, spread), limit)
        abstained = tuple(
            field.name
            for field in self.task.answer
            if withholds(
                chances.get(field.name),
                intervals.get(field.name),
                self.settings.abstain_above,
                self.settings.abstain_wider,
            )
        )
        return msgspec.structs.replace(prediction, interval=intervals, among=sets, chance=chances, abstained=abstained)

    def _known(
        self, assurance: dict[str, FieldAssurance], prediction: Prediction, target: Target
    ) -> dict[str, FieldAssurance]:
        found = dict(assurance)
        for field, answer in self._answers(prediction):
            outcome, known = target.get(field.name), found.get(field.name, FieldAssurance())
            if outcome is None:
                continue
            after_it = known
            if isinstance(field, Number):
                after_it = self._after_number(field, known, prediction, answer, outcome)
            elif not field.is_open and answer is not None:
                after_it = self._after_option(field, known, prediction, answer, outcome)
            if after_it != known:
                found[field.name] = after_it
        return found

    def _after_number(
        self, field: Number, known: FieldAssurance, prediction: Prediction, answer: Value | None, outcome: Value
    ) -> FieldAssurance:
        said, number, came = prediction.interval.get(field.name), number_in(answer), number_in(outcome)
        if said is None or came is None:
            return known
        reach = reached(field, known.reach, number, came)
        tracker = known.tracker
        if number is not None:
            covered = said[0] <= came <= said[1]
            tracker = tracked(tracker, abs(came - number), covered=covered, coverage=self.settings.coverage)
        return msgspec.structs.replace(known, tracker=tracker, reach=reach)

    def _after_option(
        self, field: Field, known: FieldAssurance, prediction: Prediction, answer: Value, outcome: Value
    ) -> FieldAssurance:
        said, option = prediction.among.get(field.name), option_of(field, outcome)
        tracker = known.tracker
        if said is not None and option is not None:
            spread = completed(field.options, prediction.distribution.get(field.name, {}))
            order = ranking(field, answer, spread, known.seen)
            score = scores(order, spread)[order.index(option)]
            tracker = tracked(tracker, score, covered=option in said, coverage=self.settings.coverage)
        told = prediction.evidence.get(field.name, {}).get(TOLD)
        calibration = known.calibration
        if told:
            calibration = after(calibration, full(field.options, told), option)
        return FieldAssurance(
            tracker,
            calibration=calibration,
            right=known.right + is_right(field, answer, outcome),
            known=known.known + 1,
            seen=counted(field, known.seen, outcome),
        )

    def _answers(self, prediction: Prediction) -> list[tuple[Field, Value | None]]:
        """Give each field with its answer; None where there is none, as `fields.verdict` has it."""
        values = prediction.values or {}
        answers = ((field, values.get(field.name)) for field in self.task.answer)
        return [(field, answer if entries(answer) else None) for field, answer in answers]


@cache
def _state_type(own: tuple[type[Any]]) -> type[Any]:
    """Give the type of states of this method, so that JSON is read as what it was."""
    fields: list[Any] = [("own", own[0]), ("assurance", dict[str, FieldAssurance], msgspec.field(default_factory=dict))]
    return msgspec.defstruct("AssuredState", fields, bases=(Record,), frozen=True, forbid_unknown_fields=True)
