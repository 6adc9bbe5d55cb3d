"""The walk over a sequence, driven by hand: it asks, it records, and it goes on from what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from llm_as_rnn.catalogue import METHODS, REFERENCES, build
from llm_as_rnn.core.calls import ESTIMATED, Completion, Request
from llm_as_rnn.core.errors import EngineError, SpecMismatchError
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.runs.walk import walk
from tests.helpers import count, good_answer

Count = Callable[[str], Completion]


def exact(text: str) -> Completion:
    return Completion("", prompt_tokens=count(text))


def by_hand(walking: Any, counting: Count = exact) -> tuple[list[StepRecord], list[Request], Any]:
    """Drive a walk to its end: its records, the requests that were no counts, and what it returns."""
    answer = good_answer("line")
    records: list[StepRecord] = []
    requests: list[Request] = []
    reply: Completion | None = None
    while True:
        try:
            came = next(walking) if reply is None else walking.send(reply)
        except StopIteration as end:
            return records, requests, end.value
        reply = None
        if isinstance(came, StepRecord):
            records.append(came)
        elif came.role == "count":
            reply = counting(came.messages[0].content)
        else:
            requests.append(came)
            given = answer(came)
            reply = given if isinstance(given, Completion) else Completion(given)


@pytest.fixture
def go(weather: Task, days: list[Sequence]) -> Callable[..., Any]:
    def walked(name: str, past: Any = (), **options: Any) -> Any:
        method = build(name, weather, Settings("line", budget=300), Prompts())
        return walk(method, days[0], weather, past, **options)

    return walked


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("name", [*METHODS, *(name for name in REFERENCES if name != "zero")])
def test_from_wherever_it_was_interrupted_it_ends_like_one_that_was_not(
    go: Callable[..., Any], name: str, delay: int
) -> None:
    whole, asked, _ = by_hand(go(name, delay=delay))
    assert [record.t for record in whole] == list(range(len(whole)))
    for done in (1, len(whole) - 1, len(whole)):
        rest, again, _ = by_hand(go(name, whole[:done], delay=delay))
        assert rest == whole[done:]
        assert again == [request for request in asked if request in again]
        assert len(again) == len(asked) - sum(len(record.calls) for record in whole[:done])


def test_a_record_that_lacks_an_answer_is_refused(go: Callable[..., Any]) -> None:
    (first, *_), _, _ = by_hand(go("recurrent"))
    for calls in ((), first.calls[:1], first.calls[::-1]):
        with pytest.raises(EngineError, match="the journal has no answer to a"):
            by_hand(go("recurrent", [msgspec.structs.replace(first, calls=calls)]))


def test_a_record_of_something_else_is_refused(go: Callable[..., Any]) -> None:
    (first, *_), _, _ = by_hand(go("zero_shot"))
    with pytest.raises(SpecMismatchError, match="step 0 of zero_shot"):
        by_hand(go("zero_shot", [msgspec.structs.replace(first, target={"sky": "snow", "high": 1.0})]))


def test_estimates_are_kept_and_gone_by_when_it_goes_on(go: Callable[..., Any]) -> None:
    def estimate(text: str) -> Completion:
        return Completion("", ESTIMATED, prompt_tokens=count(text) + 7)

    whole, _, _ = by_hand(go("recurrent"), estimate)
    assert all(record.counts for record in whole if record.update.outcome == "accepted")
    rest, _, _ = by_hand(go("recurrent", whole[:-1]))
    assert rest[0].memory_before == whole[-1].memory_before
    with pytest.raises(SpecMismatchError):
        by_hand(go("recurrent", [msgspec.structs.replace(record, counts={}) for record in whole]))


def test_whoever_stops_it_stops_what_is_under_way(go: Callable[..., Any]) -> None:
    walking = go("recurrent")
    next(walking)
    walking.close()
    with pytest.raises(StopIteration):
        next(walking)
