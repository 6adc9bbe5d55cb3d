"""The shipped checks pass over a stranger's methods, and each one finds the method that breaks its promise."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from types import FrameType
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.method import Calls, Learned, at_once
from llm_as_rnn.core.records import (
    Feedback,
    Memory,
    Observation,
    Prediction,
    Section,
    SequenceInfo,
    Status,
    Target,
    Update,
)
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.testing import Build, Check, ContractError, check_method, checks
from tests.strangers import Diary, LastFew, Lately, Pages

ALL = tuple(check.name for check in checks())


@pytest.mark.parametrize("check", checks(), ids=str)
@pytest.mark.parametrize("build", [LastFew, Diary])
def test_a_strangers_method_passes(check: Check, build: Build) -> None:
    check(build)


def test_a_method_is_checked_on_a_users_own_task(weather: Task, days: list[Sequence]) -> None:
    check_method(LastFew, task=weather, sequences=days, settings=Settings("line"))


def test_a_task_needs_data(weather: Task, days: list[Sequence]) -> None:
    with pytest.raises(UsageError, match="two sequences"):
        check_method(LastFew, task=weather)
    with pytest.raises(UsageError, match="two sequences"):
        check_method(LastFew, task=weather, sequences=days[:1])


# --- methods that break a promise, each in a way of its own ---------------------------------------------------------


class Otherwise(Lately, frozen=True):
    """A state of another class."""


class OtherClass(LastFew):
    """It goes on with a state of another class."""

    def after(self, state: Lately, outcome: str) -> Lately:
        return Otherwise(state.sequence, (*state.outcomes, outcome)[-3:])


class NoTruth(LastFew):
    """It says neither yes nor no."""

    needs_outcomes: Any = "always"


class Deaf(LastFew):
    """It predicts something else than the model answered."""

    def predict(self, state: Lately, observation: Observation) -> Calls[Prediction]:
        prediction = yield from super().predict(state, observation)
        values = prediction.values and {**prediction.values, "sky": "fog"}
        return msgspec.structs.replace(prediction, values=values)


class Scribbling(LastFew):
    """It writes into what it is shown."""

    def prompt(self, state: Lately, observation: Observation) -> str:
        observation.fields["seen"] = True
        return super().prompt(state, observation)


COUNTER = count()


class Counting(LastFew):
    """It counts with something that all methods of the process share."""

    def learn(self, *given: Any) -> Calls[Learned]:
        learned = yield from super().learn(*given)
        return msgspec.structs.replace(learned, update=Update("accepted", "noted", str(next(COUNTER))))


class Loose(Lately, frozen=True):
    """A state with a part of any type."""

    last: Any = ()


class Forgetful(LastFew):
    """Its state has a pair, which JSON gives back as a list."""

    state_type = Loose

    def start(self, sequence: SequenceInfo) -> Loose:
        return Loose(sequence, (), ())

    def after(self, state: Lately, outcome: str) -> Loose:
        return Loose(state.sequence, state.outcomes, ("last", outcome))


class Hoarding(LastFew):
    """It keeps what it learned on itself."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.kept: dict[tuple[str, int], str] = {}

    def prompt(self, state: Lately, observation: Observation) -> str:
        last = self.kept.get((observation.sequence, observation.t - 1), "")
        return last + super().prompt(state, observation)

    def learn(self, state: Lately, observation: Observation, *rest: Any) -> Calls[Learned]:
        self.kept[observation.sequence, observation.t] = str(rest[-1])
        return super().learn(state, observation, *rest)


class Restless(LastFew):
    """It learns how often it was asked."""

    asked = 0

    def prompt(self, state: Lately, observation: Observation) -> str:
        self.asked += 1
        return super().prompt(state, observation)

    def learn(self, *given: Any) -> Calls[Learned]:
        learned = yield from super().learn(*given)
        asked, self.asked = self.asked, 0
        detail = "often" if asked > 1 else ""
        return msgspec.structs.replace(learned, update=msgspec.structs.replace(learned.update, detail=detail))


class Impatient(LastFew):
    """It asks otherwise when it is asked again."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.times: Counter[Any] = Counter()

    def prompt(self, state: Lately, observation: Observation) -> str:
        self.times[observation.sequence, observation.t] += 1
        return f"{super().prompt(state, observation)} ({self.times[observation.sequence, observation.t]})"


class Confused(LastFew):
    """It notices when another sequence comes in between."""

    latest = ""

    def learn(self, state: Lately, observation: Observation, *rest: Any) -> Calls[Learned]:
        learned = yield from super().learn(state, observation, *rest)
        known, self.latest = self.latest in ("", observation.sequence), observation.sequence
        update = learned.update if known else msgspec.structs.replace(learned.update, detail="where am I?")
        return msgspec.structs.replace(learned, update=update)


class Trusting(LastFew):
    """It takes every answer for one that can be read."""

    def predict(self, state: Lately, observation: Observation) -> Calls[Prediction]:
        calls = super().predict(state, observation)
        completion = yield next(calls)
        return Prediction(self.asker.answer.read(completion.text), Status.OK, completion.text)


class Silent(LastFew):
    """It does not say that it asked twice."""

    def predict(self, state: Lately, observation: Observation) -> Calls[Prediction]:
        prediction = yield from super().predict(state, observation)
        repaired = prediction.status is Status.REPAIRED
        return msgspec.structs.replace(prediction, status=Status.OK) if repaired else prediction


class Endless(Diary):
    """It does not care for the budget."""

    def __init__(self, task: Task, settings: Settings, *rest: Any) -> None:
        super().__init__(task, msgspec.structs.replace(settings, budget=10**6), *rest)


class Inventive(Diary):
    """It makes up a section of its own."""

    def noted(self, memory: Memory, notes: tuple[str, ...]) -> Memory:
        after = super().noted(memory, notes)
        return msgspec.structs.replace(after, sections=(*after.sections[:-1], Section("Inventions", ())))


class Numberless(Diary):
    """It gives every new memory the same number."""

    def noted(self, memory: Memory, notes: tuple[str, ...]) -> Memory:
        return msgspec.structs.replace(super().noted(memory, notes), version=1)


class Stubborn(Diary):
    """It lets nobody change its memory."""

    def with_memory(self, state: Pages, memory: Memory) -> Pages:
        return state


class Careless(Diary):
    """It says that it keeps pins, and knows of none."""

    keeps_pins = True


class Peeking(LastFew):
    """It looks for the outcome in the hands of whoever calls it."""

    def prompt(self, state: Lately, observation: Observation) -> str:
        frame: FrameType | None = sys._getframe()
        while frame and getattr(frame.f_locals.get("step"), "observation", None) != observation:
            frame = frame.f_back
        return f"{super().prompt(state, observation)} {frame.f_locals['step'].target if frame else ''}"


class Gullible(LastFew):
    """It takes what never came for an outcome."""

    def learn(
        self, state: Lately, observation: Observation, prediction: Prediction, target: Target | None
    ) -> Calls[Learned]:
        return at_once(Learned(self.after(state, str(target)), Update("accepted", "noted")))


class Punctual(LastFew):
    """It takes outcomes in their order alone."""

    def learn(self, state: Lately, observation: Observation, *rest: Any) -> Calls[Learned]:
        if rest[-1] and state.outcomes and not state.outcomes[-1].endswith(f" {observation.t - 1}"):
            raise ValueError(f"step {observation.t} comes too late")
        return super().learn(state, observation, rest[0], rest[-1])

    def after(self, state: Lately, outcome: str) -> Lately:
        place = int(state.outcomes[-1].split()[-1]) + 1 if state.outcomes else 0
        return super().after(state, f"{outcome} {place}")


class Starting(LastFew):
    """It begins otherwise where lessons could be, though it shares none."""

    def start_with(self, sequence: SequenceInfo, lessons: Any) -> Lately:
        return Lately(sequence, ("nothing yet",))


class Unwritable(LastFew):
    """Its feedback cannot be read again as it was."""

    def learn(self, *given: Any) -> Calls[Learned]:
        learned = yield from super().learn(*given)
        return msgspec.structs.replace(learned, feedback=Feedback("model", fields={"pair": (1, 2)}))


JSON = ("states_survive_json", "outcomes_may_be_missing", "outcomes_may_come_late")
MEMORY = ("budget_holds", "sections_stay_the_tasks", "updates_say_what_they_did")

BROKEN: dict[Callable[..., Any], tuple[str, ...]] = {
    OtherClass: ("says_what_it_is", *JSON),
    NoTruth: ("says_what_it_is",),
    Deaf: ("good_answers_are_predictions",),
    Scribbling: ("inputs_are_not_changed",),
    Counting: (
        "same_completions_give_same_states",
        "a_saved_state_goes_on",
        "predicting_changes_nothing",
        "sequences_do_not_mix",
        "outcomes_may_be_missing",
        "runs_can_be_resumed",
    ),
    Forgetful: JSON,
    Hoarding: ("a_saved_state_goes_on",),
    Restless: ("predicting_changes_nothing",),
    Impatient: ("requests_can_be_repeated",),
    Confused: ("sequences_do_not_mix",),
    Trusting: ("bad_answers_have_a_status", "a_second_try_is_named", *MEMORY),
    Silent: ("a_second_try_is_named",),
    Endless: ("budget_holds", "outcomes_may_come_late"),
    Inventive: ("sections_stay_the_tasks",),
    Numberless: ("updates_say_what_they_did",),
    Stubborn: ("a_memory_can_be_replaced",),
    Careless: ("pinned_notes_stay",),
    Peeking: ("the_future_is_not_known",),
    Gullible: ("outcomes_may_be_missing",),
    Punctual: ("outcomes_may_come_late", "outcomes_may_be_missing"),
    Starting: ("lessons_are_passed_on",),
    Unwritable: ("runs_can_be_resumed",),
}
"""Methods that break a promise, with the checks that fail: the first one is the one that is to find it."""


def test_every_check_finds_something() -> None:
    assert {failing[0] for failing in BROKEN.values()} == set(ALL)


@pytest.mark.parametrize(("build", "failing"), BROKEN.items(), ids=[build.__name__ for build in BROKEN])
def test_a_broken_method_fails_its_check_and_no_other(build: Build, failing: tuple[str, ...]) -> None:
    found = []
    for check in checks():
        try:
            check(build)
        except ContractError as error:
            found.append(check.name)
            assert str(error).startswith(f"{check.name} (check-")
            assert "expected " in str(error)
            assert "seen: " in str(error)
            assert "\n" not in str(error)
    assert sorted(found) == sorted(failing)
    with pytest.raises(ContractError, match=failing[0]):
        check_method(build)


def test_the_message_says_what_was_expected_and_seen() -> None:
    with pytest.raises(ContractError) as failed:
        check_method(Numberless)
    assert str(failed.value) == (
        "updates_say_what_they_did (check-forecast, json, chat, chained, feedback model): "
        "expected version 2 after it was accepted; seen: 1"
    )
