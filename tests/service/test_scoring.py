"""What a step adds to a session's sums of scores."""

from __future__ import annotations

import math

import pytest

from llm_as_rnn.core.chances import MOST_KEPT, likeliest
from llm_as_rnn.core.fields import Label
from llm_as_rnn.core.records import Prediction, Status
from llm_as_rnn.core.task import Task
from llm_as_rnn.service.scoring import LOG_LOSS, scored

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
