"""The promises that the rest of the house relies on: each function raises where a method breaks one.

They read what a method says of itself (whether it keeps a memory, shares lessons, needs outcomes), and never its name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Many
from functools import partial
from itertools import zip_longest
from typing import Any, get_args

import msgspec

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.method import Learned
from llm_as_rnn.core.records import Memory, Prediction, Section, Status, Update, UpdateOutcome
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.datasets.base import Sequence, Step
from llm_as_rnn.runs.walk import schedule, walk
from llm_as_rnn.testing.stage import (
    MALFORMED,
    Answer,
    ContractError,
    Lived,
    Stage,
    by_hand,
    count,
    live,
    live_once,
    require,
    require_same,
    revived,
)

# --- what it says of itself -----------------------------------------------------------------------------------------


def says_what_it_is(stage: Stage) -> None:
    """Name, traits and values are of the types that the protocol says, and every state is of the state's class."""
    method = stage.method()
    require(bool(str(method.name).strip()), "a name", method.name)
    for trait in ("shares", "needs_outcomes", "takes_advice", "keeps_pins"):
        require(isinstance(getattr(method, trait), bool), f"{trait} to be true or false", getattr(method, trait))
    kind = method.state_type
    frozen = issubclass(kind, msgspec.Struct) and kind.__struct_config__.frozen
    require(frozen, "state_type to be a frozen msgspec.Struct", kind)
    keeps = type(method.memory(method.start(stage.sequences[0].info)))
    require(issubclass(keeps, Memory | None), "a Memory, or None where none is kept", keeps)
    for lived in live(method, stage.sequences[0], stage.good):
        require(type(lived.state) is kind, f"a state of the class {kind.__name__}", lived.state)
        require(isinstance(lived.prediction, Prediction), "predict to give a Prediction", lived.prediction)
        require(isinstance(lived.learned, Learned), "learn to give a Learned", lived.learned)
        after = lived.learned.state
        require(type(after) is kind, f"a state of the class {kind.__name__}", after)
        require(type(method.memory(after)) is keeps, f"a memory of the type {keeps.__name__} at every step", after)


def good_answers_are_predictions(stage: Stage) -> None:
    """Where a model answers as it is asked to, its answer gets through, in every field."""
    fields = {field.name: field for field in stage.task.answer}
    for number in range(2):  # two answers, or one that is always given could be the right one
        for lived in live(stage.method(), stage.sequences[0], partial(stage.same, number=number)):
            values = lived.prediction.values
            require(lived.prediction.status is Status.OK, "the status ok", lived.prediction.status)
            if values is None or list(values) != list(fields):
                raise ContractError(f"expected a value of each field, {', '.join(fields)}; seen: {values}")
            for name, value in values.items():
                # A reference that has nothing to go by may say what needs no knowledge: of a text, nothing at all.
                fits = value == fields[name].uninformed() or fields[name].read_outcome(value) == value
                require(fits, f"{name} to be a {fields[name].noun}", value)
            if any(map(stage.form_of, lived.asked)) and not stage.method().takes_advice:
                require_same(dict(stage.known[number % len(stage.known)]), values, "the values that the model answered")


# --- states are values ----------------------------------------------------------------------------------------------


def inputs_are_not_changed(stage: Stage) -> None:
    """No state, observation, prediction or outcome that a method is given is another one afterwards."""
    method = stage.method()
    sequence = copy.deepcopy(stage.sequences[0])
    state = method.start(sequence.info)
    for step in sequence.steps:
        given = copy.deepcopy((state, sequence))
        prediction = by_hand(method.predict(state, step.observation), stage.good)
        require_same(given, (state, sequence), "state and observation to stay as they were in predict")
        kept = copy.deepcopy(prediction)
        learned = by_hand(method.learn(state, step.observation, prediction, step.target), stage.good)
        require_same(given, (state, sequence), "state, observation and outcome to stay as they were in learn")
        require_same(kept, prediction, "the prediction to stay as it was in learn")
        state = learned.state
    given = copy.deepcopy((state, sequence))
    by_hand(method.conclude(state, sequence.steps[-1].observation), stage.good)
    require_same(given, (state, sequence), "state and observation to stay as they were in conclude")


def states_survive_json(stage: Stage) -> None:
    """States are the same states after they were written as JSON and read again."""
    method = stage.method()
    for lived in live(method, stage.sequences[0], stage.good):
        after = lived.learned.state
        require_same(after, revived(method, after), "the same state from JSON")
        update = lived.learned.update
        require_same(update, msgspec.json.decode(msgspec.json.encode(update), type=Update), "the same update from JSON")


def a_saved_state_goes_on(stage: Stage) -> None:
    """Another process that reads a state goes on as the first would have: all that was learned is in the state."""
    first, *rest = stage.sequences[0].steps
    method = stage.method()
    lived = live(method, stage.sequences[0], stage.good)
    state = live_once(method, method.start(stage.sequences[0].info), first, stage.good).learned.state
    for number, step in enumerate(rest, 1):
        other = stage.method()
        found = live_once(other, revived(other, state), step, stage.good)
        _require_same_life([lived[number]], [found], "from JSON in a new process")
        state = found.learned.state


def same_completions_give_same_states(stage: Stage) -> None:
    """Nothing but what a method was given and answered decides what it does."""
    one, other = (live(stage.method(), stage.sequences[0], stage.good) for _ in range(2))
    _require_same_life(one, other, "when lived twice")


def predicting_changes_nothing(stage: Stage) -> None:
    """Predictions leave nothing behind: with more of them, learning comes to the same states."""
    plain, busy = stage.method(), stage.method()
    state = plain.start(stage.sequences[0].info)
    others = stage.sequences[1].steps
    for number, step in enumerate(stage.sequences[0].steps):
        prediction = by_hand(plain.predict(state, step.observation), stage.same)
        for observation in (step.observation, others[number % len(others)].observation):
            by_hand(busy.predict(state, observation), stage.same)
        one, other = (
            by_hand(method.learn(state, step.observation, prediction, step.target), stage.same)
            for method in (plain, busy)
        )
        require_same(one, other, "the same learned after more predictions")
        state = one.state


def requests_can_be_repeated(stage: Stage) -> None:
    """Asked again from the same state about the same step, a method asks the very same, seeds included."""
    method = stage.method()
    for lived in live(stage.method(), stage.sequences[0], stage.same):
        for _ in range(2):
            again = live_once(method, lived.state, lived.step, stage.same)
            require_same(lived.asked, again.asked, "the same requests of the same state and step")
            require_same(lived.asked_to_learn, again.asked_to_learn, "the same requests when learning again")


def sequences_do_not_mix(stage: Stage) -> None:
    """Sequences that run side by side come out as each does alone."""
    alone = [live(stage.method(), sequence, stage.good) for sequence in stage.sequences[:2]]
    method = stage.method()
    states = [method.start(sequence.info) for sequence in stage.sequences[:2]]
    together: list[list[Lived]] = [[], []]
    for steps in zip_longest(*(sequence.steps for sequence in stage.sequences[:2])):
        for number, step in enumerate(steps):
            if step is not None:
                together[number].append(live_once(method, states[number], step, stage.good))
                states[number] = together[number][-1].learned.state
    for one, other in zip(alone, together, strict=True):
        _require_same_life(one, other, "beside another sequence")


def _require_same_life(one: Many[Lived], other: Many[Lived], when: str) -> None:
    for number, (before, after) in enumerate(zip(one, other, strict=True)):
        for name in ("asked", "prediction", "asked_to_learn", "learned"):
            what = f"{name.replace('_', ' ')} at step {number} to be the same {when}"
            require_same(getattr(before, name), getattr(after, name), what)


# --- failures -------------------------------------------------------------------------------------------------------


def bad_answers_have_a_status(stage: Stage) -> None:
    """Whatever a model answers, the step has a prediction with the status that says what was wrong."""
    texts = [text for text in MALFORMED if not stage.reads(text, stage.settings.form)]
    for completion, status in (
        *((Completion(text), Status.INVALID) for text in texts),
        (Completion(texts[0], "length"), Status.TRUNCATED),
        (Completion("", "content_filter"), Status.REFUSED),
        (Completion("", "error", error="500 from the server"), Status.ENGINE_ERROR),
    ):
        method, step = stage.method(), stage.sequences[0].steps[0]
        lived = live_once(method, method.start(stage.sequences[0].info), step, lambda _, bad=completion: bad)  # type: ignore[misc]
        if any(map(stage.form_of, lived.asked)) and not method.takes_advice:
            what = f"the status {status} after {completion.text or completion.finish_reason!r}"
            require(lived.prediction.status is status, what, lived.prediction.status)
            require(lived.prediction.values is None, f"no values with the status {status}", lived.prediction.values)
            require(bool(lived.prediction.problem), f"a problem with the status {status}", lived.prediction)
    for sequence in stage.sequences:
        live(stage.method(), sequence, stage.wild)


def a_second_try_is_named(stage: Stage) -> None:
    """Where an answer could be read at the second try alone, the prediction has the status repaired."""
    method, steps = stage.method(), stage.sequences[0].steps
    tried: list[Request] = []

    def answer(request: Request) -> str:
        tried.append(request)
        return "" if len(tried) == 1 else stage.same(request)

    prediction = by_hand(method.predict(method.start(stage.sequences[0].info), steps[0].observation), answer)
    if tried and stage.form_of(tried[0]) and prediction.status.answered and not method.takes_advice:
        require(prediction.status is Status.REPAIRED, "the status repaired", prediction.status)


# --- the memory -----------------------------------------------------------------------------------------------------


def _memories(stage: Stage, answer: Answer) -> Iterator[tuple[Memory | None, Memory | None, Update]]:
    """Give the memories before and after each step: first a model answers so, then it answers anything."""
    method = stage.method()
    first, second = stage.sequences[:2]
    lived = live(method, first, answer)
    # It goes on with what it has, so that its memory becomes full.
    for one in (*lived, *live(method, _later(second, len(first.steps)), stage.wild, lived[-1].learned.state)):
        yield method.memory(one.state), method.memory(one.learned.state), one.learned.update


def _later(sequence: Sequence, steps: int) -> Sequence:
    """Give a sequence as if so many steps had gone before."""
    seen = [msgspec.structs.replace(step.observation, t=step.observation.t + steps) for step in sequence.steps]
    after = zip(seen, sequence.steps, strict=True)
    return Sequence(sequence.info, tuple(Step(observation, step.target) for observation, step in after))


def _kept(stage: Stage) -> Iterator[Memory]:
    """Give all memories that there are where a model writes too much: none of a method that keeps none."""
    for before, after, _ in _memories(stage, stage.wordy):
        yield from (memory for memory in (before, after) if memory is not None)


def budget_holds(stage: Stage) -> None:
    """No memory has more tokens than the budget, whatever the model writes, and none tells a wrong figure."""
    budget = stage.settings.budget
    for memory in _kept(stage):
        tokens = count(str(memory))
        require(tokens <= budget, f"at most {budget} tokens", f"{tokens} tokens: {memory}")
        require(memory.tokens in (None, tokens), f"its tokens to be {tokens}, or None", memory.tokens)


def sections_stay_the_tasks(stage: Stage) -> None:
    """Every memory has the task's sections, in their order, and each item is one line."""
    names = [section.name for section in stage.task.memory]
    for memory in _kept(stage):
        found = [section.name for section in memory.sections]
        require(found == names, f"the sections {', '.join(names)}", found)
        for item in (item for section in memory.sections for item in section.items):
            require(len(item.splitlines()) == 1, "items of one line each", item)


def updates_say_what_they_did(stage: Stage) -> None:
    """Memory and version change where the update says so; where they do not, the update says why."""
    outcomes = get_args(UpdateOutcome)
    for before, after, update in _memories(stage, stage.good):
        require(update.outcome in outcomes, f"one of {', '.join(outcomes)}", update)
        require(update.outcome == "accepted" or bool(update.code), "a code that says why", update)
        if before is None or after is None:
            continue
        changed = after.sections != before.sections
        says = update.outcome in ("accepted", "rolled_back")
        require(says == changed, f"the memory to {'change' if says else 'stay'} where it was {update.outcome}", after)
        version = before.version + changed
        require(after.version == version, f"version {version} after it was {update.outcome}", after.version)


def a_memory_can_be_replaced(stage: Stage) -> None:
    """`with_memory` puts a memory into a state, and nothing else; it is refused where none is kept."""
    method, other = stage.method(), Memory((), 7)
    *_, lived = live(method, stage.sequences[0], stage.good)
    state, memory = lived.learned.state, method.memory(lived.learned.state)
    if memory is None:
        try:
            method.with_memory(state, other)
        except UsageError:
            return
        raise ContractError("expected a UsageError of a method that keeps no memory; seen: the memory was taken")
    first = method.memory(method.start(stage.sequences[0].info))
    other = msgspec.structs.replace(first or memory, version=memory.version + 1)
    replaced = method.with_memory(state, other)
    require(type(replaced) is method.state_type, f"a state of the class {method.state_type.__name__}", replaced)
    require_same(other, method.memory(replaced), "the memory that was put there")
    require_same(state, method.with_memory(replaced, memory), "nothing but the memory to change")
    live(method, stage.sequences[0], stage.good, replaced)


PINNED = "the harbour was closed"


def pinned_notes_stay(stage: Stage) -> None:
    """Of a method that says that it keeps pins, no memory lacks one or breaks the budget, whatever a model writes."""
    method, (first, second) = stage.method(), stage.sequences[:2]
    begun = method.memory(method.start(first.info))
    if not method.keeps_pins:
        return
    if begun is None:
        raise ContractError("expected a memory of a method that keeps pins; seen: none")
    for place, section in enumerate(begun.sections):
        pinned = (*begun.sections[:place], Section(section.name, (PINNED,)), *begun.sections[place + 1 :])
        memory = msgspec.structs.replace(begun, sections=pinned, tokens=None, pinned=(PINNED,))
        for answer in (stage.good, stage.wordy, stage.wild):
            state = method.with_memory(method.start(first.info), memory)
            lived = live(method, first, answer, state)
            for one in (*lived, *live(method, _later(second, len(first.steps)), answer, lived[-1].learned.state)):
                after = method.memory(one.learned.state)
                _require_pinned(after, memory.pins, place, stage.settings.budget)


def _require_pinned(memory: Memory | None, pins: tuple[str, ...], place: int, budget: int) -> None:
    require(memory is not None and memory.pins == pins, f"the pins {pins}", memory)
    notes = () if memory is None else memory.sections[place].items
    require(set(pins) <= set(notes), f"the notes {pins} where they stood", memory)
    tokens = count(str(memory))
    require(tokens <= budget, f"at most {budget} tokens", f"{tokens} tokens: {memory}")


# --- outcomes -------------------------------------------------------------------------------------------------------


def the_future_is_not_known(stage: Stage) -> None:
    """Up to a step, a method does the same whatever that step's outcome and all later ones will be."""
    sequence = stage.sequences[0]
    steps = sequence.steps
    turned = steps[0].target, *(step.target for step in reversed(steps[1:]))
    lived = live(stage.method(), sequence, stage.good)
    for now in (0, len(steps) // 2, len(steps) - 1):
        others = (stage.known[(place + 1) % len(stage.known)] for place in range(len(steps)))
        pairs = zip(steps, others if now == 0 else turned, strict=True)
        ahead = tuple(
            msgspec.structs.replace(step, target=dict(target or {})) if place >= now else step
            for place, (step, target) in enumerate(pairs)
        )
        other = live(stage.method(), msgspec.structs.replace(sequence, steps=ahead), stage.good)
        what = "whatever its outcome will be"
        for place in range(now + 1):
            require_same(lived[place].asked, other[place].asked, f"the same requests at step {place} {what}")
            one, two = lived[place].prediction, other[place].prediction
            require_same(one, two, f"the same prediction at step {place} {what}")


def outcomes_may_be_missing(stage: Stage) -> None:
    """Outcomes may never come, or in part: a step that needs one teaches nothing then."""
    method, (step, *_) = stage.method(), stage.sequences[0].steps
    never = msgspec.structs.replace(step, target=None)
    *_, before = live(method, stage.sequences[1], stage.good)
    lived = live_once(method, before.learned.state, never, stage.good)
    if method.needs_outcomes:
        require_same(lived.state, lived.learned.state, "the state to stay as it was without an outcome")
        outcome = lived.learned.update.outcome
        require(outcome == "skipped", "the update to be skipped without an outcome", outcome)
    state = lived.learned.state
    for name, value in (step.target or {}).items():
        part = msgspec.structs.replace(step, target={name: value})
        state = live_once(method, state, part, stage.good).learned.state
        require_same(state, revived(method, state), f"the same state from JSON after an outcome of {name} alone")


def outcomes_may_come_late(stage: Stage) -> None:
    """Outcomes may come after later predictions, and in any order."""
    for order in (list(schedule(len(stage.sequences[0].steps), 2)), _backwards(len(stage.sequences[0].steps))):
        one, other = (_learned_in(order, stage) for _ in range(2))
        require_same(one, other, "the same state from the same outcomes in the same order")


def _backwards(steps: int) -> list[Any]:
    return [("predict", t) for t in range(steps)] + [("learn", t) for t in reversed(range(steps))]


def _learned_in(order: Many[Any], stage: Stage) -> Any:
    """Predict and learn in an order, and give the last state."""
    method, sequence = stage.method(), stage.sequences[0]
    state, waiting = method.start(sequence.info), {}
    for what, t in order:
        step = sequence.steps[t]
        if what == "predict":
            waiting[t] = by_hand(method.predict(state, step.observation), stage.good)
            continue
        state = by_hand(method.learn(state, step.observation, waiting.pop(t), step.target), stage.good).state
        memory = method.memory(state)
        if memory is not None:
            tokens = count(str(memory))
            require(tokens <= stage.settings.budget, f"at most {stage.settings.budget} tokens", f"{tokens} tokens")
    require_same(state, revived(method, state), "the same state from JSON")
    return state


# --- runs -----------------------------------------------------------------------------------------------------------


def lessons_are_passed_on(stage: Stage) -> None:
    """Where sequences teach later ones, what one leaves is what the next begins with; elsewhere nothing is left."""
    method, (first, second) = stage.method(), stage.sequences[:2]
    begun = method.start_with(first.info, None)
    if not method.shares:
        require_same(method.start(first.info), begun, "start_with to begin as start does, where nothing is shared")
    *_, lived = live(method, first, stage.good, begun)
    asked: list[Request] = []
    lessons, taught = by_hand(method.conclude(lived.learned.state, first.steps[-1].observation), stage.good, asked)
    if not method.shares:
        require((lessons, taught) == (None, None), "no lessons of a method that shares none", (lessons, taught))
        require(not asked, "no requests for lessons that nobody gets", asked)
        return
    require(lessons is not None, "lessons, where sequences teach each other", lessons)
    if taught is None:  # what was learned without a word of it: whom to believe, say
        require(not asked, "an Update that says what became of lessons that somebody was asked for", asked)
    else:
        require(isinstance(taught, Update), "an Update that says what became of the lessons", taught)
        require(isinstance(getattr(lessons, "memory", 0), Memory), "lessons that have a memory", lessons)
    begun = method.start_with(second.info, lessons)
    require_same(begun, revived(method, begun), "the same state with lessons from JSON")
    live(method, second, stage.good, begun)


def runs_can_be_resumed(stage: Stage) -> None:
    """Where a run goes on from its records, which can be read again as they are, it ends as it would have."""
    sequence = stage.sequences[0]
    records = _records(stage, sequence, ())
    for record in records:
        again = msgspec.json.decode(msgspec.json.encode(record), type=StepRecord)
        require_same(record, again, "the same record from JSON")
    half = len(records) // 2
    resumed = _records(stage, sequence, records[:half])
    require_same(records[half:], resumed, "a resumed run to end with the same records")


def _records(stage: Stage, sequence: Sequence, past: Many[StepRecord]) -> list[StepRecord]:
    going = walk(stage.method(), sequence, stage.task, past)
    records: list[StepRecord] = []
    try:
        came = next(going)
        while True:
            if isinstance(came, StepRecord):
                records.append(came)
                came = next(going)
            elif came.role == "count":
                came = going.send(Completion("", prompt_tokens=count(came.messages[0].content)))
            else:
                came = going.send(Completion(stage.good(came)))
    except StopIteration:
        return records


PROMISES: tuple[Callable[[Stage], None], ...] = (
    says_what_it_is,
    good_answers_are_predictions,
    inputs_are_not_changed,
    same_completions_give_same_states,
    states_survive_json,
    a_saved_state_goes_on,
    predicting_changes_nothing,
    requests_can_be_repeated,
    sequences_do_not_mix,
    bad_answers_have_a_status,
    a_second_try_is_named,
    budget_holds,
    sections_stay_the_tasks,
    updates_say_what_they_did,
    a_memory_can_be_replaced,
    pinned_notes_stay,
    the_future_is_not_known,
    outcomes_may_come_late,
    outcomes_may_be_missing,
    lessons_are_passed_on,
    runs_can_be_resumed,
)
"""In the order in which they run: what others rely on comes first."""
