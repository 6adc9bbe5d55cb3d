"""What was learned by advice goes on where others advise: after a change of the task, or of a setting."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.catalogue import advisers
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.fields import Label, Number, Ranked
from llm_as_rnn.core.files import sealed, unsealed
from llm_as_rnn.core.settings import Settings
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.streams.learner import Learner
from llm_as_rnn.streams.saved import FORMAT, read_saved
from llm_as_rnn.trust import means, votes
from llm_as_rnn.trust.means import Means
from llm_as_rnn.trust.pool import Pool
from llm_as_rnn.trust.votes import Votes
from tests.core.test_learner import INFO
from tests.core.test_online import SEQUENCE, answer

WEATHER = load_task("weather")
SYMMETRIC = msgspec.structs.replace(
    WEATHER, answer=(WEATHER.answer[0], msgspec.structs.replace(WEATHER.answer[1], low=-45.0, high=45.0))
)
"""The same with a number whose range is symmetric: there 0 is a reference."""

DAYS = [(step.observation.fields, dict(step.target or {})) for step in SEQUENCE.steps * 2]


def learner(task: Task | str = "weather", **options: Any) -> Learner:
    return Learner(task, **{"engine": ScriptedEngine(answer, INFO), "form": "line", "budget": 100, **options})


def live(one: Learner, first: int, last: int) -> None:
    for x, y in DAYS[first:last]:
        one.learn_one(one.predict_one(x).id, y)


def named(one: Learner) -> tuple[str, ...]:
    return tuple(one.stream.state.own.advisers)


@pytest.mark.parametrize("policy", ["apply", "replay"])
@pytest.mark.parametrize("method", ["advised", "free_advice"])
def test_with_another_version_of_the_task_advisers_are_matched_by_name(method: str, policy: str) -> None:
    with learner(method=method, policy=policy) as one:
        early = one.predict_one(DAYS[0][0], id="early")
        live(one, 1, 6)
        before = one.predict_one(DAYS[6][0]).prediction
        one.change_task(SYMMETRIC)
        assert named(one)[-1] == "zero"
        made = one.predict_one(DAYS[6][0], id="after").prediction
        first = made.believed["high"].pop("zero")
        assert first == pytest.approx(0.5 / len(named(one)), abs=0.2 * first), "its first weight, and half of all's"
        names = made.believed["high"]
        assert list(names) == list(before.believed["high"])
        assert one.learn_one(early.id, DAYS[0][1]).again == (5 if policy == "replay" else 0)
        assert one.learn_one("after", DAYS[6][1]).fate == "learned"
        one.change_task(WEATHER)
        assert named(one) == tuple(before.believed["high"])
        live(one, 7, 10)
        assert one.dump()


def test_what_was_learned_of_the_others_stays_as_it_was() -> None:
    with learner() as moved, learner() as unmoved:
        for one in (moved, unmoved):
            live(one, 0, 8)
        moved.change_task(SYMMETRIC)
        moved.change_task(WEATHER)
        assert moved.stream.state.own.states == unmoved.stream.state.own.states
        for kept, same in zip(_figures(moved), _figures(unmoved), strict=True):
            assert kept == pytest.approx(same)
        assert moved.memory == unmoved.memory


def _figures(one: Learner) -> list[float]:
    beliefs = one.stream.state.own.beliefs
    return [*beliefs["high"].errors, beliefs["high"].gap, *beliefs["sky"].weights.values()]


def test_a_change_that_is_refused_changes_nothing() -> None:
    with learner() as one:
        live(one, 0, 3)
        before, task = one.dump(), one.task
        broken = msgspec.structs.replace(one.stream.state.own, advisers=("recurrent",))
        good = one.stream
        one.stream = msgspec.structs.replace(good, state=msgspec.structs.replace(good.state, own=broken))
        with pytest.raises(UsageError, match="does not say the same of all its advisers"):
            one.change_task(SYMMETRIC)
        one.stream = good
        assert (one.dump(), one.task) == (before, task)


@pytest.mark.parametrize("policy", ["apply", "replay"])
@pytest.mark.parametrize("earlier", [False, True])
def test_bare_can_be_turned_on_in_a_running_stream_and_off_again(tmp_path: Path, policy: str, *, earlier: bool) -> None:
    path = tmp_path / "one.json"
    with learner(policy=policy) as one:
        one.predict_one(DAYS[0][0], id="early")
        live(one, 1, 5)
        one.save(path)
    if earlier:
        _as_format_4(path)
    with Learner.load(path, bare=True, engine=ScriptedEngine(answer, INFO)) as one:
        assert named(one)[:2] == ("recurrent", "zero_shot")
        made = one.predict_one(DAYS[5][0]).prediction
        assert made.advisers[1].values is not None
        assert one.learn_one("early", DAYS[0][1]).fate == "learned"
        live(one, 5, 8)
        one.save(path)
    assert (read_saved(path).format, read_saved(path).choices["bare"]) == (FORMAT, True)
    with Learner.load(path, bare=False, engine=ScriptedEngine(answer, INFO)) as one:
        assert "zero_shot" not in named(one)
        live(one, 8, 10)


def _as_format_4(path: Path) -> None:
    """Write a learner's file as it was before states named their advisers."""
    plain = msgspec.json.decode(unsealed(path.read_bytes()))
    plain["format"] = 4
    stream = plain["stream"]
    for state in (stream["state"], *(lesson["before"] for lesson in stream["lessons"] if "before" in lesson)):
        del state["own"]["advisers"]
    path.write_bytes(sealed(msgspec.json.encode(plain)))


def test_a_stream_that_does_not_name_its_advisers_goes_on_with_as_many_and_with_no_others(tmp_path: Path) -> None:
    with learner() as one:
        live(one, 0, 3)
        plain = msgspec.json.decode(one.dump())
    del plain["state"]["own"]["advisers"]
    nameless = msgspec.json.encode(plain)
    with learner(stream=nameless) as one:
        assert named(one) == advisers("advised", WEATHER, Settings())
        live(one, 3, 5)
    with pytest.raises(UsageError, match="of 5 advisers and does not name them; now there are 6"):
        learner(stream=nameless, bare=True)


def test_a_list_may_become_longer_or_shorter() -> None:
    options = tuple("abcdefgh")

    def task(top: int) -> Task:
        return msgspec.structs.replace(
            WEATHER,
            name="lists",
            observation="{{ x }}",
            line="{{ x }}",
            answer=(Ranked("l", options=options, top=top),),
        )

    with learner(task(2), method="free_advice") as one:
        for number, top in enumerate((2, 5, 3)):
            one.change_task(task(top))
            for t in range(12):
                waiting = one.predict_one({"x": f"{number} {t % 3}"})
                one.learn_one(waiting.id, {"l": [options[(t + at) % 8] for at in range(top)]})
            assert {len(places) for places in one.stream.state.own.beliefs["l"].places} == {top + 1}


SKY = Label("sky", options=("rain", "sun"))
HIGH = Number("high", low=-10, high=10)
errors = st.lists(st.floats(0, 1e6), min_size=2, max_size=6)
gaps = st.one_of(st.just(0.0), st.floats(1e-3, 1e4))


def orders(most: int) -> st.SearchStrategy[list[int | None]]:
    """Give some of so many advisers, in any order, with new ones among them."""
    one = st.one_of(st.none(), st.integers(0, most - 1))
    return st.lists(one, min_size=1, max_size=6, unique_by=lambda place: object() if place is None else place)


@given(errors, gaps, st.data())
def test_numbers_a_new_one_has_its_first_weight_and_the_others_share_the_rest_as_before(
    off: list[float], gap: float, data: Any
) -> None:
    known = Means(tuple(error - min(off) for error in off), gap)
    order = data.draw(orders(len(off) - 1))
    moved = means.rearranged(known, order)
    assert (len(moved.errors), min(moved.errors), moved.gap) == (len(order) + 1, 0.0, gap)
    weights, prior = means._weights(moved), means._prior(len(order) + 1)
    places = [*order, len(off) - 1]
    if gap:
        for place, weight, first in zip(places, weights, prior, strict=True):
            assert place is not None or weight == pytest.approx(first)
    kept = [(place, moved.errors[at]) for at, place in enumerate(places) if place is not None]
    for place, error in kept:
        assert error - kept[0][1] == pytest.approx(known.errors[place] - known.errors[kept[0][0]], abs=1e-6)
    assert means.rearranged(known, range(len(off) - 1)) == known


@given(st.lists(st.floats(1e-6, 1), min_size=3, max_size=7), st.data())
def test_votes_the_weight_of_those_that_are_gone_goes_to_the_others_in_proportion(
    shares: list[float], data: Any
) -> None:
    names = [votes.POOL, *map(str, range(len(shares) - 1))]
    known = Votes(
        tuple((number, 1) for number in range(len(shares) - 1)),
        dict(zip(names, shares, strict=True)),
        Pool({"0": 0.3, "1*": 0.5}, {"0": {"0": 4.0, "1*": 1.0}, "1*": {"0": 1.0, "1*": 5.0}}),
    )
    order = data.draw(orders(len(shares) - 1))
    moved = votes.rearranged(SKY, known, order)
    assert math.fsum(moved.weights.values()) == pytest.approx(math.fsum(shares))
    scale = moved.weights[votes.POOL] / shares[0]
    for now, before in enumerate(order):
        assert moved.places[now] == (() if before is None else known.places[before])
        if before is None:
            assert str(now) not in moved.weights
        else:
            assert moved.weights[str(now)] == pytest.approx(scale * known.weights[str(before)])
            assert moved.pool.weights.get(f"{now}*") == known.pool.weights.get(f"{before}*")
    assert all(row.keys() <= moved.pool.weights.keys() for row in moved.pool.curvature.values())
    assert votes.rearranged(SKY, known, range(len(shares) - 1)) == known
