"""The shipped checks of datasets, scores, rules and engines pass over what is sound, and each finds what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import DatasetError, EngineError
from llm_as_rnn.core.extras import Extra, Metric
from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.method import Calls, at_once
from llm_as_rnn.core.records import Feedback, Observation, Section, SequenceInfo, Value, Why
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence, Step
from llm_as_rnn.datasets.registry import SHIPPED, dataset
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.metrics.extras import OF_NUMBERS
from llm_as_rnn.recurrence import rules
from llm_as_rnn.recurrence.notes import Ledger
from llm_as_rnn.recurrence.rules.append import Append
from llm_as_rnn.recurrence.rules.base import Proposal, Traits
from llm_as_rnn.recurrence.writing import Step as Done
from llm_as_rnn.testing import ContractError, check_dataset, check_engine, check_rule, check_score

# --- datasets ---------------------------------------------------------------------------------------------------------


def cut(selection: Selection) -> list[Sequence]:
    """Make sound data: numbers that go by split, seed, sequence and step."""
    if selection.sequences > 5:
        raise DatasetError("there are five sequences", "ask for fewer")
    return [one(selection, number) for number in range(selection.sequences)]


def one(selection: Selection, number: int) -> Sequence:
    name = f"{selection.split}-{number}"
    steps = (
        Step(Observation(name, t, {"level": [name, selection.seed, t]}), {"tide": float(t)})
        for t in range(selection.steps)
    )
    return Sequence(SequenceInfo(name), tuple(steps))


SOUND = Dataset("tides", "Tides", "made up", "none", "the tide", "any", load=cut, ready=lambda: "")


def changed(change: Callable[[Sequence, Selection], Sequence]) -> Dataset:
    return msgspec.structs.replace(SOUND, load=lambda wanted: [change(found, wanted) for found in cut(wanted)])


def renumbered(found: Sequence, _: Selection) -> Sequence:
    return Sequence(found.info, found.steps[::-1])


def renamed(found: Sequence, _: Selection) -> Sequence:
    return Sequence(SequenceInfo("all the same"), found.steps)


CALLS = iter(range(10**6))


def never_the_same(found: Sequence, _: Selection) -> Sequence:
    first = msgspec.structs.replace(found.steps[0], target={"tide": float(next(CALLS))})
    return Sequence(found.info, (first, *found.steps[1:]))


def longer(found: Sequence, _: Selection) -> Sequence:
    return Sequence(found.info, (*found.steps, found.steps[-1]))


def others(found: Sequence, _: Selection) -> Sequence:
    steps = tuple(msgspec.structs.replace(it, observation=Observation("x", it.observation.t, {})) for it in found.steps)
    return Sequence(found.info, steps)


def twice(selection: Selection) -> list[Sequence]:
    """Give the same data in either split."""
    return cut(msgspec.structs.replace(selection, split="development"))


def test_sound_data_passes() -> None:
    check_dataset(SOUND)
    with pytest.raises(DatasetError):
        cut(Selection(6, 1))


@pytest.mark.parametrize("name", ["weather", "pbc", "probe-recall"])
def test_shipped_data_passes_with_its_task(name: str) -> None:
    assert name in SHIPPED
    check_dataset(dataset(name), task=load_task(name))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (msgspec.structs.replace(SOUND, title=" "), "title to be a text"),
        (msgspec.structs.replace(SOUND, ready=lambda: "pip install x"), "ready here"),
        (msgspec.structs.replace(SOUND, steps=0), "steps to be at least 1"),
        (msgspec.structs.replace(SOUND, load=lambda wanted: cut(wanted)[:1]), "2 sequences of development"),
        (msgspec.structs.replace(SOUND, load=lambda wanted: cut(wanted)[:5] if wanted.sequences < 9 else []), "2000"),
        (changed(renumbered), "t to count from 0"),
        (changed(renamed), "a name for each sequence"),
        (changed(never_the_same), "the same selection to give the same data"),
        (changed(longer), "1 to 4 steps"),
        (changed(others), "observations of that name"),
        (msgspec.structs.replace(SOUND, load=twice), "no sequence of held_out in development"),
    ],
)
def test_unsound_data_is_found(broken: Dataset, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        check_dataset(broken)


def test_an_outcome_must_fit_the_task() -> None:
    weather = dataset("weather")

    def wrong(selection: Selection) -> list[Sequence]:
        return [
            Sequence(it.info, tuple(msgspec.structs.replace(step, target={"sky": "frogs"}) for step in it.steps))
            for it in weather.load(selection)
        ]

    with pytest.raises(ContractError, match="sky to be a label"):
        check_dataset(msgspec.structs.replace(weather, load=wrong), task=load_task("weather"))


# --- scores -----------------------------------------------------------------------------------------------------------


def metric(field: Number, **more: Any) -> tuple[Metric, ...]:
    return (Metric(f"{field.name}.near", f"{field.name}.near", "near", field.name, "how near", **more),)


def near(_: Number, answer: Value | None, outcome: Value) -> Mapping[str, float]:
    return {"near": float(answer == outcome)}


def reversed_near(_: Number, answer: Value | None, outcome: Value) -> Mapping[str, float]:
    return {"near": float(answer != outcome)}


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_our_scores_pass(name: str) -> None:
    check_score(OF_NUMBERS[name])
    check_score(Extra("near", "number", metric, near))


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (Extra("near", "figure", metric, near), "a kind of field"),
        (Extra("near", "number", lambda _: (), near), "at least one metric"),
        (Extra("near", "number", metric, reversed_near), "no better than the right one"),
        (Extra("near", "number", metric, lambda *_: {"far": 1.0}), "scores by the names of its metrics"),
        (Extra("near", "number", metric, lambda *_: {"near": True, "x": 1}), "scores as floats"),
        (
            Extra("near", "number", lambda field: tuple(it._replace(name="near") for it in metric(field)), near),
            "begins with 'price'",
        ),
    ],
)
def test_a_score_that_is_none_is_found(extra: Extra, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        check_score(extra)


# --- rules ------------------------------------------------------------------------------------------------------------


class Hoard(Append):
    """Keeps all, whatever the budget says."""

    name = "hoard"

    def propose(self, step: Done, feedback: Feedback, ledger: Ledger) -> Calls[Proposal]:
        new, why_none = self.case_of(step)
        if why_none:
            return (yield from at_once(Proposal(None, why_none)))
        sections = (*self.added(step.memory.sections, 0, new), Section("More", (new,)))
        return Proposal(sections, Why("added"), 1)


def test_a_rule_that_breaks_what_a_memory_is_is_found() -> None:
    with pytest.raises(ContractError):
        check_rule(Hoard, settings=Settings("line", "completion", "separate", budget=80))
    assert "hoard" not in rules.known_rules(), "it was known for the checks alone"


def test_what_is_no_rule_is_found() -> None:
    class Bare:
        name = "bare"

    class Taken(Append):
        name = "cases"

    class Odd(Append):
        name = "two words"

    for rule, said in ((Bare, "traits to be a Traits"), (Taken, "a name that no other rule has"), (Odd, "registered")):
        with pytest.raises(ContractError, match=said):
            check_rule(rule)  # type: ignore[arg-type]


def test_a_rule_is_registered_by_hand() -> None:
    class Window(Append):
        name = "window"
        traits = Traits("code", "the oldest go", keeps_cases=True)

    rules.register(Window)
    try:
        assert rules.traits("window").keeps_cases
        assert rules.suited("window", "model") == "window"
        check_rule(Window, settings=Settings("line", "completion", "separate", budget=80))
        assert rules.registered("window") is Window, "what was registered before the checks is there after them"
    finally:
        rules.forget("window")


# --- engines ----------------------------------------------------------------------------------------------------------


class Fragile(ScriptedEngine):
    """Is of no use once a call was cancelled."""

    def __init__(self) -> None:
        super().__init__(lambda _: "sun", EngineInfo("fragile:x"))
        self.hurt = False

    async def complete(self, request: Request) -> Completion:
        if self.hurt:
            raise EngineError("it is out of order")
        self.hurt = True
        await asyncio.sleep(0.001)
        self.hurt = False
        return await super().complete(request)


class OneAtATime(Fragile):
    """Counts special tokens, too."""

    async def complete(self, request: Request) -> Completion:
        return await ScriptedEngine.complete(self, request)

    async def count_tokens(self, text: str) -> int:
        return 1 + await super().count_tokens(text)


class Renamed(OneAtATime):
    """Calls itself otherwise once it is open."""

    async def open(self) -> None:
        self.info = EngineInfo("renamed:y")


class Slow(OneAtATime):
    """Never has an answer."""

    async def complete(self, request: Request) -> Completion:
        await asyncio.Event().wait()
        return await super().complete(request)


def test_an_engine_passes() -> None:
    check_engine(lambda: ScriptedEngine(lambda _: "sun"))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (Fragile, "expected an answer; seen: it is out of order"),
        (OneAtATime, "no tokens in an empty text"),
        (Renamed, "info.model to stay the same"),
        (lambda: ScriptedEngine(lambda _: Completion("sun", "perhaps")), "a finish reason of"),
        (lambda: ScriptedEngine(lambda _: "sun", EngineInfo("a:b", slots=0)), "at least one slot"),
        (lambda: ScriptedEngine(lambda _: "sun", EngineInfo("a:b", chats=False)), "completion style"),
        (Slow, "it takes longer"),
    ],
)
def test_an_engine_that_is_none_is_found(build: Callable[[], Any], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        check_engine(build, seconds=0.2 if build is Slow else 30.0)
