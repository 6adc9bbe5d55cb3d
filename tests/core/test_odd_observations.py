"""What an observation holds may be anything: no method trips over it, and no reference takes it for an answer."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.catalogue import METHODS, references
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.figures import finite
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.recurrence.rules import RULES
from llm_as_rnn.streams.learner import Learner
from llm_as_rnn.streams.online import Stream, revive
from tests.helpers import good_answer

TASK = load_task("weather")
X = {"date": "May 1", "sky": "rain", "high": 9.4, "low": 6.1, "precipitation": 12.2, "wind": 4.0}
Y = {"sky": "sun", "high": 12.0}
NAMES = [*METHODS, *(f"recurrent:{rule}" for rule in RULES), *references(TASK)]

ODD: list[Any] = [
    "", "n/a", "12,5", "abc", "nan", "Infinity", "1e999", "9" * 5000, "\u0661\u0662", [1], [[1]], {}, {"a": 1}, True,
    None, -1.7e308, 2**63, "purple", "a; b",
]  # fmt: skip
"""What a last value's column may hold."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def learner(name: str) -> Learner:
    engine = ScriptedEngine(good_answer("line"), EngineInfo("scripted:odd", form="line", host=""))
    return Learner("weather", method=name, engine=engine, form="line", budget=200)


def learn(name: str, *xs: dict[str, Any]) -> Stream:
    """Predict and learn each; the stream is read again from what is saved of it."""
    with learner(name) as open_:
        for x in xs:
            made = open_.predict_one(x)
            if made.values is not None:
                for field in TASK.answer:  # an answer is one, if not a plausible one
                    assert field.read_outcome(made.values[field.name]) == made.values[field.name]
            assert open_.learn_one(made.id, Y).fate == "learned"
        return revive(open_.method, open_.dump())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("column", ["sky", "high"])
def test_no_method_trips_over_an_odd_last_value(name: str, column: str) -> None:
    stream = learn(name, *({**X, column: value} for value in ODD))
    assert stream.t == len(ODD)


@settings(max_examples=40)
@given(st.sampled_from(NAMES), st.lists(st.fixed_dictionaries(dict.fromkeys(X, JSON)), min_size=1, max_size=3))
def test_nor_over_any_observation(name: str, xs: list[dict[str, Any]]) -> None:
    try:
        learn(name, *xs)
    except UsageError as error:
        assert "infinite" in error.message  # refused at the door, as it should be


def test_what_is_no_number_is_no_last_value() -> None:
    stream = learn("recurrent:cases", {**X, "high": "nan"}, {**X, "high": "n/a"}, {**X, "high": 11})
    tally = stream.state.own.scorecard["high"]
    assert (tally.repeated, tally.repeat_abs_error) == (1, 1.0)


def test_not_a_number_lies_nowhere() -> None:
    with pytest.raises(ValueError, match="not a number"):
        finite(float("nan"))


def test_figures_of_three_hundred_digits_are_shown_to_nobody() -> None:
    asked: list[str] = []

    def noting(request: Any) -> Any:
        asked.append(request.prompt)
        return good_answer("line")(request)

    engine = ScriptedEngine(noting, EngineInfo("scripted:odd", form="line", host=""))
    with Learner("weather", engine=engine, form="line", budget=200, rule="rewrite", feedback="scorecard") as open_:
        for x in ({**X, "high": 1.7e308}, X):
            open_.learn_one(open_.predict_one(x).id, {"sky": "sun", "high": -1.7e308})
    assert any("e+308" in prompt for prompt in asked)
    assert not any("0" * 50 in prompt for prompt in asked)


@pytest.mark.parametrize(
    ("value", "kept"),
    [(np.array("2024-05-01", dtype="M8[D]"), "2024-05-01"), (np.longdouble(1.5), 1.5), (np.array(3.0), 3.0)],
)
def test_single_values_of_numpy_are_taken(value: Any, kept: Any) -> None:
    with learner("repeat_last") as open_:
        assert open_.predict_one({**X, "wind": value}).observation.fields["wind"] == kept


def test_what_cannot_even_be_named_is_refused() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    with learner("repeat_last") as open_, pytest.raises(UsageError, match="of the type Hostile"):
        open_.predict_one({**X, "wind": Hostile()})


def test_a_state_with_odd_values_is_plain_json() -> None:
    stream = learn("linear", *({**X, "sky": value, "high": value} for value in ODD))
    assert msgspec.json.decode(msgspec.json.encode(stream))
