"""Outcomes as they are told: any that can have happened is read, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from llm_as_rnn.core.errors import AnswerError, UsageError
from llm_as_rnn.core.fields import Field, Label, Number, Ranked, Text
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.streams.learner import Learner

LABEL = Label("y", options=("none", "mild"))
NUMBER = Number("y", low=0.1, high=50, unit="mg/dl")
LOG = Number("y", low=0.1, high=50, metrics=("log",))
RANKED = Ranked("y", top=2)
TEXT = Text("y", max_chars=5)


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        (LABEL, " MILD ", "mild"),
        (NUMBER, 1.7e308, 1.7e308),
        (NUMBER, -3, -3.0),
        (NUMBER, "70 mg/dl", 70.0),
        (NUMBER, "1e-05", 1e-05),
        (LOG, 70, 70.0),
        (RANKED, ["a", "b", "a", "c"], ("a", "b", "c")),
        (RANKED, "a; b; c", ("a", "b", "c")),
        (TEXT, "fog, then\nrain", "fog, then rain"),
    ],
)
def test_what_happened_is_read(field: Field, value: Any, read: Any) -> None:
    assert field.read_outcome(value) == read


@pytest.mark.parametrize("field", [LABEL, NUMBER, LOG, RANKED, TEXT], ids=lambda field: field.noun)
@pytest.mark.parametrize("value", [None, "", "  ", {"a": 1}, [["a"]], [], float("nan"), float("inf"), "1e999"])
def test_what_cannot_have_happened_is_refused(field: Field, value: Any) -> None:
    if field in (RANKED, TEXT) and isinstance(value, float | str) and str(value).strip():
        assert field.read_outcome(value)  # any word will do
    elif field is RANKED and value == [["a"]]:
        assert field.read_outcome(value) == ("['a']",)
    else:
        with pytest.raises(AnswerError, match="y "):
            field.read_outcome(value)


@pytest.mark.parametrize("level", [0, -1, "0.0"])
def test_what_has_no_logarithm_is_refused_where_one_is_scored(level: Any) -> None:
    with pytest.raises(AnswerError, match="above 0"):
        LOG.read_outcome(level)


def test_pbc_can_be_learned() -> None:
    with Learner("pbc", method="repeat_last", engine=ScriptedEngine(lambda _: "")) as learner:
        waiting = learner.predict_one({"oedema": "none", "bilirubin": 1.5})
        with pytest.raises(UsageError, match="bilirubin is scored by its logarithm and must be above 0"):
            learner.learn_one(waiting.id, {"bilirubin": 0})
        assert learner.learn_one(waiting.id, {"oedema": "mild", "bilirubin": 80}).fate == "learned"
