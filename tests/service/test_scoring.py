"""What a step adds to a session's sums of scores."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.chances import MOST_KEPT, likeliest
from llm_as_rnn.core.fields import Field, Label, Number, Ranked
from llm_as_rnn.core.records import Prediction, Status, Value
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.table import tabulate
from llm_as_rnn.metrics.trusted import trust
from llm_as_rnn.service.scoring import COVERED, LOG_LOSS, scored
from tests.metrics.steps import step

OPTIONS = tuple(f"label {place}" for place in range(40))
TASK = Task.classify("Which label?", labels=OPTIONS)


@pytest.mark.parametrize("came", [OPTIONS[0], OPTIONS[-1]])
def test_an_option_that_is_not_named_has_its_part_of_what_is_left(came: str) -> None:
    field = TASK.answer[0]
    assert isinstance(field, Label)
    named = likeliest(dict.fromkeys(OPTIONS, 1.0))
    assert (len(named), came in named) == (MOST_KEPT, came == OPTIONS[0])
    said = Prediction({field.name: OPTIONS[0]}, Status.OK, distribution={field.name: named})
    number, loss = scored(TASK, said, {field.name: came})[f"{field.name}.{LOG_LOSS}"]
    assert number == 1
    assert loss == pytest.approx(math.log(len(OPTIONS)), abs=0.01)


SKY = Label("sky", options=("sun", "rain"))
ILL = Ranked("ill", top=2, options=("gout", "flu", "cold"))
HIGH = Number("high", low=-20, high=45)


@pytest.mark.parametrize(
    ("field", "came", "said"),
    [
        (SKY, "rain", {"distribution": {"sky": {"sun": 0.75}}, "among": {"sky": ("sun",)}}),
        (ILL, ("flu", "gout"), {"distribution": {"ill": {"gout": 0.5}}, "among": {"ill": ("gout", "flu")}}),
        (ILL, ("cold",), {"distribution": {"ill": {"gout": 1.0}}, "among": {"ill": ("gout", "flu")}}),
        (HIGH, 12.0, {"interval": {"high": (10.0, 12.0)}}),
        (HIGH, 12.5, {"interval": {"high": (10.0, 12.0)}}),
    ],
)
def test_what_is_said_of_an_answer_is_scored_as_in_a_report(field: Field, came: Value, said: dict[str, Any]) -> None:
    task = msgspec.structs.replace(TASK, answer=(field,))
    made = Prediction(None, Status.INVALID, **said)
    record = step(target={field.name: came}, prediction=None, status=Status.INVALID, chance={field.name: 0.0}, **said)
    (columns,) = tabulate(task, [record]).methods.values()
    expected = trust(task, columns, 0.9)[field.name].whole
    found = scored(task, made, {field.name: came})
    assert found[f"{field.name}.{COVERED}"] == (1, expected.coverage)
    loss = found.get(f"{field.name}.{LOG_LOSS}", (1, None))
    assert loss == (1, expected.log_loss if expected.log_loss is None else pytest.approx(expected.log_loss))
