"""The paper's recurrent cell: contextualise, reflect, update (arXiv 2601.13352, section 3)."""

from __future__ import annotations

import msgspec

from llm_as_rnn.cases.case import line_of
from llm_as_rnn.core.method import Asker, Calls, Learned, count_tokens
from llm_as_rnn.core.outcomes import facts, is_told
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Feedback, Memory, Observation, Prediction, Record, SequenceInfo, Target, Update, Why
from llm_as_rnn.core.settings import AUTO, Settings, knows_outcomes, require_when
from llm_as_rnn.core.task import Task
from llm_as_rnn.recurrence import scorecard
from llm_as_rnn.recurrence.budget import measured
from llm_as_rnn.recurrence.choosing import Choice, choose, learned
from llm_as_rnn.recurrence.feedback import Reflection
from llm_as_rnn.recurrence.guard import Seen, flaw_of, refusal, trial_by_replay
from llm_as_rnn.recurrence.lessons import Lessons, Teacher
from llm_as_rnn.recurrence.memory import initial_memory
from llm_as_rnn.recurrence.notes import LATEST, Credit, credit, foretold, has_changed
from llm_as_rnn.recurrence.pins import held
from llm_as_rnn.recurrence.policy import (
    Past,
    error_of,
    metered,
    require_outcomes_unneeded,
    surprise_of,
    why_not,
)
from llm_as_rnn.recurrence.rules import build_rule, suited, traits
from llm_as_rnn.recurrence.rules.base import Itemised, Proposal
from llm_as_rnn.recurrence.scorecard import Tally
from llm_as_rnn.recurrence.watch import Watch, has_fallen
from llm_as_rnn.recurrence.writing import Step, Writer


class RecurrentState(Record, frozen=True):
    """What the cell carries from step to step.

    Attributes
    ----------
    sequence : SequenceInfo
        What is known of the sequence from the start.
    memory : Memory
        h_t: all that the model is shown of the past.
    scorecard : dict of str to Tally
        Exact figures so far; they enter the memory only through feedback.
    ledger : dict of str to Credit
        How often each note of the memory helped, by its text.
    foretold : tuple of bool
        Of the latest outcomes that a case of the memory spoke to, whether they came as it said, oldest first.
    past : Past
        What the update policy goes by.
    recent : tuple of Seen
        The latest steps, to try a candidate memory on: those before the present one.
    watch : Watch
        What the watch on the score remembers.
    now : int
        The clock that notes age by: the latest step whose outcome came so far. It never goes back, whatever order
        outcomes come in.
    consolidated : int
        What it said when the memory was last consolidated.
    choices : dict of str to Choice
        How options are chosen, by field.
    lessons : Lessons or None
        What earlier sequences taught, where they share a memory.
    """

    sequence: SequenceInfo
    memory: Memory
    scorecard: dict[str, Tally]
    ledger: dict[str, Credit] = msgspec.field(default_factory=dict)
    foretold: tuple[bool, ...] = ()
    past: Past = Past()
    recent: tuple[Seen, ...] = ()
    watch: Watch = Watch()
    now: int = 0
    consolidated: int = 0
    lessons: Lessons | None = None
    choices: dict[str, Choice] = msgspec.field(default_factory=dict)


class Recurrent:
    """A frozen language model with a memory in language as its hidden state.

    Parameters
    ----------
    task : Task
        What is predicted.
    settings : Settings
        Budget, layout, form, feedback, and how the memory is updated.
    prompts : Prompts
        ``recurrence/*``.
    rule : str, optional
        An update rule in place of the settings' own; the method is then called ``recurrent:RULE``.

    Raises
    ------
    UsageError
        If there is no such rule, policy or feedback.
    """

    name = "recurrent"
    state_type = RecurrentState
    takes_advice = False
    keeps_pins = True

    def __init__(self, task: Task, settings: Settings, prompts: Prompts, rule: str | None = None) -> None:
        if rule:
            self.name = f"{Recurrent.name}:{rule}"
        settings = settled(msgspec.structs.replace(settings, rule=rule or settings.rule), task)
        require_when(settings.when)
        about = traits(settings.rule)
        self.task = task
        self.settings = settings
        self.asker = Asker(task, settings, prompts)
        self.writer = Writer(self.asker, task, settings)
        self.reflection = Reflection(self.writer)
        self.keeps_cases = about.keeps_cases
        self.teacher = Teacher(self.asker, task, settings, keeps_cases=self.keeps_cases)
        self.rule = build_rule(settings.rule, self.writer)
        self.items = Itemised(self.writer)
        told = knows_outcomes(settings.feedback) and is_told(task, settings.form)
        self.chooses = settings.choose and about.notes_cases(told=told)
        self.needs_outcomes = knows_outcomes(settings.feedback)
        if not self.needs_outcomes:
            require_outcomes_unneeded(settings, by_rule=about.needs_outcomes)

    def start(self, sequence: SequenceInfo) -> RecurrentState:
        """Give h_0: every section there, nothing known yet."""
        return RecurrentState(sequence, initial_memory(self.task), scorecard.empty(self.task))

    @property
    def shares(self) -> bool:
        """Whether a sequence that has ended teaches those after it."""
        return bool(self.settings.shared)

    def start_with(self, sequence: SequenceInfo, lessons: Lessons | None) -> RecurrentState:
        """Give h_0, beside the lessons of earlier sequences where these are shared; None for the first one."""
        if not self.shares:
            return self.start(sequence)
        first = Lessons(initial_memory(self.task)) if lessons is None else lessons
        return msgspec.structs.replace(self.start(sequence), lessons=first, ledger=dict(first.ledger))

    def conclude(self, state: RecurrentState, last: Observation) -> Calls[tuple[Lessons | None, Update | None]]:
        """Give what the sequence leaves to later ones, and what became of the lessons."""
        if state.lessons is None:
            return None, None
        return (yield from self.teacher.teach(state.lessons, state.memory, state.ledger, last))

    def memory(self, state: RecurrentState) -> Memory:
        """Give h_t."""
        return state.memory

    def with_memory(self, state: RecurrentState, memory: Memory) -> RecurrentState:
        """Put another text in the place of h_t; figures beside it are facts, and stay as they are."""
        return msgspec.structs.replace(state, memory=memory)

    def predict(self, state: RecurrentState, observation: Observation) -> Calls[Prediction]:
        """Contextualise: y_hat_t from h_{t-1} and x_t alone."""
        return (yield from self._predict(state, state.memory, observation))

    def learn(
        self, state: RecurrentState, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        """Reflect on the outcome, then update the memory."""
        if not self.needs_outcomes:
            target = None
        elif target is None:
            return Learned(state, Update("skipped", "no outcome"))
        step = self._step(state, observation, prediction, target)
        counted = self._count(state, step)
        # Before the policy is asked: an alarm rings at one step alone, and going back costs nothing.
        fallen = yield from self._fall_back(counted, step)
        if fallen:
            return fallen
        reason = why_not(self.settings.when, self.settings.allowance, state.past, step.error, step.surprise)
        if reason:
            return Learned(counted, Update("skipped", *reason))
        (after, tokens) = yield from metered(self._reflect_and_update(counted, step))
        past = msgspec.structs.replace(counted.past, spent=counted.past.spent + tokens)
        return msgspec.structs.replace(after, state=msgspec.structs.replace(after.state, past=past))

    def _reflect_and_update(self, state: RecurrentState, step: Step) -> Calls[Learned]:
        step, feedback = yield from self.reflection.of(step, state.scorecard)
        step = step._replace(changed=has_changed(state.foretold))
        memory, update, proposal = yield from self.update(state, step, feedback)
        state = msgspec.structs.replace(
            state, memory=memory, consolidated=step.now if proposal.consolidated else state.consolidated
        )
        return Learned(state, update, feedback)

    def update(self, state: RecurrentState, step: Step, feedback: Feedback) -> Calls[tuple[Memory, Update, Proposal]]:
        """Give h_t within the budget, or h_{t-1} where the new one is not fit to be kept: a transaction."""
        before = msgspec.structs.replace(step.memory, tokens=(yield from measured(step.memory)))
        proposal = yield from self.rule.propose(step, feedback, state.ledger)
        flaw = "" if proposal.sections is None else flaw_of(before, proposal.sections)
        if flaw:
            proposal = Proposal(None, Why("invalid", flaw), consolidated=proposal.consolidated)
        proposal = yield from held(self.items, before, proposal, state.ledger, step.now)
        if proposal.sections is None:
            return before, Update("kept", *proposal.why), proposal
        # Whoever wrote the rule: what is accepted was counted here.
        tokens = yield from count_tokens(str(Memory(proposal.sections)))
        reason = refusal(before, proposal.sections, tokens, self.task, self.settings.budget, by_code=self.keeps_cases)
        proposal = proposal._replace(tokens=tokens)
        after = _next(before, proposal)
        if not reason and self.settings.recheck:
            reason = yield from trial_by_replay(
                self.task, lambda memory, x: self._predict(state, memory, x), before, after, state.recent[:-1]
            )
        if reason:
            return before, Update("kept", *reason), proposal
        return after, Update("accepted", *proposal.why), proposal

    def _predict(self, state: RecurrentState, memory: Memory, observation: Observation) -> Calls[Prediction]:
        lessons = _text(state.lessons)
        # All that fit are looked for first, and the nearest, which the prompt shows, are then known.
        fits = self.writer.fits(state.sequence, memory, observation, lessons) if self.chooses else []
        context, recalled = self.writer.context(state.sequence, memory, observation, lessons)
        prediction = yield from self.asker.predict(context, observation)
        prediction = msgspec.structs.replace(prediction, recalled=recalled)
        if not self.chooses:
            return prediction
        return choose(self.task, state.choices, prediction, fits)

    def _step(
        self, state: RecurrentState, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Step:
        return Step(
            messages=(),
            memory=state.memory,
            sequence=state.sequence,
            observation=observation,
            shown=self.writer.shown(state.sequence, observation),
            prediction=prediction,
            target=target,
            facts="" if target is None else facts(self.task, prediction, target),
            error=0.0 if target is None else error_of(self.task, prediction.values, target),
            now=max(state.now, observation.t),
            consolidated=state.consolidated,
            lessons=_text(state.lessons),
            surprise=None if target is None else surprise_of(self.task, prediction, target),
        )

    def _count(self, state: RecurrentState, step: Step) -> RecurrentState:
        """Count what code can count, at every step, whatever the policy."""
        past = state.past.after(step.error, step.surprise)
        if step.target is None:
            return msgspec.structs.replace(state, past=past, now=step.now)
        line = line_of(self.task, step.observation, state.sequence)
        return msgspec.structs.replace(
            state,
            past=past,
            now=step.now,
            scorecard=scorecard.add(state.scorecard, self.task, step.observation, step.prediction.values, step.target),
            ledger=credit(
                state.ledger,
                step.items,
                self.task,
                line,
                step.target,
                right=not step.error,
                helped=state.past.is_usual(step.error, step.surprise),
                now=step.now,
            ),
            foretold=(*state.foretold, *foretold(step.items, self.task, line, step.target))[-LATEST:],
            recent=(*state.recent, Seen(step.observation, dict(step.target)))[-self.settings.recheck - 1 :]
            if self.settings.recheck
            else (),
            watch=state.watch.after(state.memory, step.error) if self.settings.watch else state.watch,
            choices=learned(self.task, state.choices, step.prediction, step.target) if self.chooses else state.choices,
        )

    def _fall_back(self, state: RecurrentState, step: Step) -> Calls[Learned | None]:
        """Go back to the best version of the memory after a lasting fall of the score."""
        if not self.settings.watch or not has_fallen(state.watch.errors):
            return None
        watch = msgspec.structs.replace(state.watch, errors=())
        best = state.watch.best()
        if best is None or best.memory.sections == state.memory.sections:
            return None
        # Counted anew: it may have been accepted under a larger budget, or by another tokenizer, before it was loaded.
        tokens = yield from count_tokens(str(best.memory))
        if tokens > self.settings.budget:
            return None
        proposal = Proposal(best.memory.sections, Why("fallen"), tokens)
        proposal = yield from held(self.items, state.memory, proposal, state.ledger, step.now)
        if proposal.sections == state.memory.sections or proposal.tokens > self.settings.budget:
            return None
        memory = _next(state.memory, proposal)
        detail = f"back to version {best.memory.version}, mean error {best.mean:.2f} in {best.steps} steps"
        # What the memory that fell foretold says nothing of the one that is back.
        state = msgspec.structs.replace(state, memory=memory, watch=watch, foretold=())
        return Learned(state, Update("rolled_back", "fallen", detail))


def _next(before: Memory, proposal: Proposal) -> Memory:
    """Give the memory after one: what is pinned stays pinned."""
    assert proposal.sections is not None  # noqa: S101 - a proposal without sections is no memory
    return msgspec.structs.replace(
        before, sections=proposal.sections, version=before.version + 1, tokens=proposal.tokens
    )


def settled(settings: Settings, task: Task) -> Settings:
    """Fill in what depends on the rule: its own name, who is heard, and whether cases are recalled.

    Raises
    ------
    UsageError
        If there is no such rule.
    """
    rule = suited(settings.rule, settings.feedback)
    told = knows_outcomes(settings.feedback) and is_told(task, settings.form)
    about = traits(rule)
    heard = "model" if about.wants_critic(told=told) else "scorecard"
    return msgspec.structs.replace(
        settings,
        rule=rule,
        feedback=heard if settings.feedback == AUTO else settings.feedback,
        recall=int(about.notes_cases(told=told)) if settings.recall is None else settings.recall,
    )


def _text(lessons: Lessons | None) -> Memory | None:
    return None if lessons is None else lessons.memory
