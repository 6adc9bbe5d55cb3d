"""References without a model: what each one goes by."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import compose, linear_model, multiclass, preprocessing

from llm_as_rnn.baselines import references as module
from llm_as_rnn.baselines.linear import Moments, NumberModel, split_fields
from llm_as_rnn.catalogue import REFERENCES, references
from llm_as_rnn.core.fields import Field, Label, Number, Ranked, Text
from llm_as_rnn.core.records import Observation, SequenceInfo, Value
from llm_as_rnn.core.task import MemorySection, Task, load_task
from tests.core.stage import no_answer
from tests.helpers import bare, by_hand, make

LABEL = Label("colour", options=("red", "green", "blue"))
NUMBER = Number("height", low=-50, high=50, decimals=2)
RANKED = Ranked("causes", top=2)
TEXT = Text("words")


def a_task(*answer: Field) -> Task:
    return Task("t", "t", "Answer.", "{{ a }}", "{{ a }}", answer, (MemorySection("Notes", "anything"),))


def predictions(name: str, task: Task, steps: Iterable[tuple[dict[str, Any], dict[str, Value] | None]]) -> list[Any]:
    """Give a reference's predictions; its state goes through JSON at every step."""
    method = make(name, task)
    state, found = method.start(SequenceInfo("s")), []
    for t, (fields, target) in enumerate(steps):
        observation = Observation("s", t, fields)
        prediction = by_hand(method.predict(state, observation), no_answer)
        found.append(prediction.values)
        state = by_hand(method.learn(state, observation, prediction, target), no_answer).state
        assert msgspec.json.decode(msgspec.json.encode(state), type=method.state_type) == state
    return found


def rows(count: int, seed: int = 0) -> list[tuple[dict[str, Any], dict[str, Value]]]:
    rng = random.Random(seed)
    steps: list[tuple[dict[str, Any], dict[str, Value]]] = []
    for _ in range(count):
        x: dict[str, Any] = {"a": rng.gauss(20, 5), "b": rng.choice(["wet", "dry"]), "c": rng.random()}
        if rng.random() < 0.2:
            del x["c"]
        height = 0.8 * x["a"] + (3 if x["b"] == "wet" else 0) + rng.gauss(0, 0.5)
        colour = "red" if height < 15 else "green" if height < 18 else "blue"
        steps.append((x, {"height": height, "colour": colour}))
    return steps


@pytest.mark.parametrize("name", [name for name in REFERENCES if name != "zero"])
def test_what_the_answer_has_no_place_for_any_more_is_not_answered(name: str) -> None:
    seen = msgspec.structs.replace(RANKED, options=("red", "green", "blue"))
    then = a_task(msgspec.structs.replace(LABEL, options=("red", "GREEN", "blue")), seen, NUMBER)
    now = a_task(
        msgspec.structs.replace(LABEL, options=("grey", "green", "blue")),
        msgspec.structs.replace(seen, options=("grey", "blue")),
        NUMBER,
    )
    for colour, wanted in (("red", "grey"), ("GREEN", "green"), ("blue", "blue")):
        target: dict[str, Value] = {"colour": colour, "causes": (colour.lower(),), "height": 4}
        before, after = make(name, then), make(name, now)
        state, observation = before.start(SequenceInfo("s")), Observation("s", 0, {"a": 1})
        prediction = by_hand(before.predict(state, observation), no_answer)
        state = by_hand(before.learn(state, observation, prediction, target), no_answer).state
        values = by_hand(after.predict(state, observation), no_answer).values
        assert values is not None
        assert values["colour"] == wanted
        # A vote may have both in the other order.
        assert values["causes"] in (("grey", "blue"), ("blue",), *[("blue", "grey")] * (name == "free_advice"))
        assert then.answer[2].read(values["height"]) == values["height"]


# ------------------------------------------------------------------------------------------------------ nearest case


def test_the_nearest_case_is_the_one_most_like_the_line() -> None:
    marks = ["a box marked bovi", "a crate marked tarel", "a box marked ulo", "a box marked tarel", "a jar marked bovi"]
    colours = ["red", "blue", "green", "green", "green"]
    steps: list[Any] = [({"a": mark}, {"colour": colour}) for mark, colour in zip(marks, colours, strict=True)]
    steps[3] = (steps[3][0], None)
    said = predictions("nearest_case", a_task(LABEL), steps)
    assert [values["colour"] for values in said[3:]] == ["blue", "red"]


def test_the_latest_of_equal_cases_counts_and_the_latest_of_all_where_none_is_alike() -> None:
    steps: list[Any] = [
        ({"a": "one two three"}, {"colour": "green"}),
        ({"a": "one two three"}, {"colour": "blue"}),
        ({"a": "one two three"}, {"colour": "red"}),
        ({"a": "four five six"}, {"colour": "green"}),
    ]
    said = predictions("nearest_case", a_task(LABEL), steps)
    assert [values["colour"] for values in said] == ["red", "green", "blue", "red"]


def test_a_line_with_an_arrow_in_it_keeps_its_outcome() -> None:
    steps: list[Any] = [
        ({"a": f"x -> {i} -> y"}, {"colour": colour}) for i, colour in ((1, "green"), (2, "blue"), (1, "red"))
    ]
    said = predictions("nearest_case", a_task(LABEL), steps)
    assert said[-1] == {"colour": "green"}


def test_about_is_part_of_the_line() -> None:
    task = msgspec.structs.replace(a_task(LABEL), line="{{ about.place }} {{ a }}")
    method = bare("nearest_case", task)
    start = method.start(SequenceInfo("s", {"place": "Rome"}))
    observation = Observation("s", 0, {"a": 1})
    prediction = by_hand(method.predict(start, observation), no_answer)
    assert by_hand(method.learn(start, observation, prediction, {"colour": "red"}), no_answer).state.lines == (
        "Rome 1",
    )


def test_cases_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CASES", 3)
    method = bare("nearest_case", a_task(LABEL))
    state = method.start(SequenceInfo("s"))
    for t in range(9):
        observation = Observation("s", t, {"a": t})
        prediction = by_hand(method.predict(state, observation), no_answer)
        state = by_hand(method.learn(state, observation, prediction, {"colour": "red"}), no_answer).state
    assert state.lines == ("6", "7", "8")
    assert len(state.outcomes) == 3


def test_before_the_first_outcome_the_values_that_x_tells_are_repeated() -> None:
    task = a_task(msgspec.structs.replace(NUMBER, last="a"), LABEL)
    steps: list[Any] = [({"a": 7.0}, {"height": 9.0}), ({"a": 8.0}, None)]
    for name in ("nearest_case", "linear"):
        assert predictions(name, task, steps) == [{"height": 7.0, "colour": "red"}, {"height": 9.0, "colour": "red"}]


# ------------------------------------------------------------------------------------------------------------ linear


def encoded() -> Any:
    scaled = compose.SelectType(float) | preprocessing.StandardScaler()
    return scaled + (compose.SelectType(str) | preprocessing.OneHotEncoder())


def test_linear_gives_the_figures_of_rivers_own_models() -> None:
    number: Any = encoded() | preprocessing.TargetStandardScaler(linear_model.LinearRegression())
    label: Any = encoded() | multiclass.OneVsRestClassifier(linear_model.LogisticRegression())
    steps = rows(200)
    ours = predictions("linear", a_task(NUMBER, LABEL), steps)
    for t, (x, y) in enumerate(steps):
        if t:
            assert ours[t]["height"] == pytest.approx(number.predict_one(x), abs=1e-9)
            assert ours[t]["colour"] == label.predict_one(x)
        number.learn_one(x, y["height"])
        label.learn_one(x, y["colour"])
    assert len({values["colour"] for values in ours}) == 3


def test_linear_learns() -> None:
    steps = rows(400)
    later = slice(200, None)
    task = a_task(NUMBER, LABEL)

    def errors(name: str) -> tuple[float, float]:
        said = predictions(name, task, steps)[later]
        truth = [y for _, y in steps[later]]
        off = sum(abs(p["height"] - y["height"]) for p, y in zip(said, truth, strict=True)) / len(truth)
        return off, sum(p["colour"] != y["colour"] for p, y in zip(said, truth, strict=True)) / len(truth)

    linear, constant = errors("linear"), errors("majority")
    assert linear[0] < 0.5 * constant[0]
    assert linear[1] < 0.8 * constant[1]


def test_linear_learns_only_what_was_revealed() -> None:
    task = a_task(NUMBER, LABEL)
    steps = [(x, {"height": y["height"]} if t % 2 else None) for t, (x, y) in enumerate(rows(9))]
    said = predictions("linear", task, steps)
    assert said[0] == said[1] == {"height": 0.0, "colour": "red"}
    assert {values["colour"] for values in said} == {"red"}
    assert said[2]["height"] == said[3]["height"] == pytest.approx(rows(9)[1][1]["height"])


def test_linear_leaves_other_fields_to_what_needs_no_knowledge() -> None:
    steps: list[Any] = [({"a": 1}, {"causes": ("x", "y"), "words": "so", "height": 4.0})] * 3
    said = predictions("linear", a_task(RANKED, TEXT, NUMBER), steps)
    assert said[-1] == {"causes": (), "words": "", "height": 4.0}


wild = st.one_of(st.floats(), st.integers(), st.just(10**400), st.text(max_size=80), st.booleans(), st.none())


@given(st.lists(st.tuples(st.dictionaries(st.sampled_from("abc"), wild), st.floats(-50, 50)), max_size=12))
def test_linear_stays_finite_and_in_range_whatever_it_sees(steps: list[Any]) -> None:
    task = msgspec.structs.replace(a_task(NUMBER, LABEL), line="x")
    made = [({"a": 0, **x}, {"height": y, "colour": "red" if y > 0 else "blue"}) for x, y in steps]
    for values in predictions("linear", task, made):
        assert -50 <= values["height"] <= 50
        assert values["colour"] in LABEL.options


def test_a_model_that_diverges_stays_finite() -> None:
    model, x = NumberModel(), {f"f{i}": float((-1) ** i) for i in range(500)}
    for t in range(2000):
        model = model.after(x, float(t % 7))
    assert math.isfinite(model.predict(x))


def test_moments_are_those_of_the_values() -> None:
    moments = Moments()
    for value in (2.0, 4.0, 9.0):
        moments = moments.after(value)
    assert moments.mean == pytest.approx(5.0)
    assert moments.sample == pytest.approx(math.sqrt(13))
    assert moments.scaled(5.0 + math.sqrt(26 / 3)) == pytest.approx(1.0)
    assert Moments().after(3.0).scaled(9.0) == 0.0


def test_prose_is_no_category() -> None:
    assert split_fields({"a": "x" * 61, "b": math.nan, "c": None}) == ({}, {})


# -------------------------------------------------------------------------------------------------- zero, and which


def test_zero_is_always_zero() -> None:
    said = predictions("zero", a_task(NUMBER, LABEL), rows(5))
    assert said == [{"height": 0.0, "colour": "red"}] * 5
    positive = msgspec.structs.replace(NUMBER, low=2)
    assert predictions("zero", a_task(positive), rows(1)) == [{"height": 26.0}]


def test_a_run_has_the_references_that_suit_its_task() -> None:
    always = ("repeat_last", "majority", "nearest_case", "linear", "free_advice")
    assert references(load_task("sp500")) == (*always[:4], "zero", "free_advice") == tuple(REFERENCES)
    for name in ("weather", "weather-hourly", "pbc", "probe-recall"):
        assert references(load_task(name)) == always
    assert references(a_task(RANKED, TEXT)) == (*always[:3], "free_advice")
