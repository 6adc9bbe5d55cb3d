"""Templates: what is missing never reads as a word of the data."""

from __future__ import annotations

from typing import Any

import pytest

from llm_as_rnn.cases.case import case, parts
from llm_as_rnn.core.records import Observation, SequenceInfo
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.core.templates import render, with_missing
from tests.core.stage import sky_task


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ x }}", "unknown"),
        ("{{ x | string | truncate(80) }}", "unknown"),
        ("{{ x | capitalize }}", "Unknown"),
        ("{{ x ~ '!' }}", "unknown!"),
        ("{{ many | join(', ') }}", "9, unknown"),
        ("{{ named.sky }} {{ named }}", "unknown {'sky': unknown}"),
        ("{{ 'none' if x is none else 'some' }}", "none"),
        ("{{ 'none' if x == None else 'some' }}", "none"),
        ("{{ 'some' if x else 'none' }}", "none"),
        ("{{ x or 'nothing' }}", "nothing"),
        ("{{ x | default('nothing', true) }}", "nothing"),
        ("{{ 'a number' if x is number else 'none' }}", "none"),
        ("{{ 'some' if y is not none else 'none' }}", "some"),
    ],
)
def test_a_missing_value_is_none_to_conditions_and_unknown_to_readers(template: str, text: str) -> None:
    values: dict[str, Any] = {"x": None, "y": 0, "many": [9, None], "named": {"sky": None}}
    assert render(template, **with_missing(values)) == text


def test_what_jinja_brings_is_there_and_nothing_is_left_from_one_text_to_the_next() -> None:
    counted = "{% set n = namespace(all=0) %}{% for i in range(3) %}{% set n.all = n.all + i %}{% endfor %}{{ n.all }}"
    assert [render(counted), render(counted)] == ["3", "3"]
    named = "{{ range if range is defined and seen else 'none' }}{% set seen = 1 %}"
    assert [render(named, seen=0, range="mine"), render(named, seen=1, range="mine")] == ["none", "mine"]
    assert render("{{ range(2) | list }}") == "[0, 1]"


@pytest.mark.parametrize("seen", ["", "  ", None])
def test_an_empty_text_makes_a_case_that_says_so(seen: str | None) -> None:
    task = sky_task()
    item = case(task, Observation("s", 0, {"seen": seen}), {"sky": "sun"}, SequenceInfo("s"))
    assert item == "unknown -> sun"
    assert parts(item) == ("unknown", "sun")


def test_a_name_that_is_none_stays_a_name() -> None:
    assert sky_task().show(Observation("s", 0, {"seen": "None"}), "line") == "None"


def test_a_missing_measurement_has_no_unit() -> None:
    pbc: Task = load_task("pbc")
    names = (
        "days_since oedema ascites hepatomegaly spiders stage albumin alkaline_phosphatase ast cholesterol platelets"
    )
    fields = dict.fromkeys([*names.split(), "bilirubin", "prothrombin_time", "days_until"])
    shown = pbc.show(Observation("s", 0, fields), "line", {"sex": "f", "age": 50, "arm": "placebo"})
    assert "None" not in shown
    assert "bilirubin unknown, albumin unknown," in shown
