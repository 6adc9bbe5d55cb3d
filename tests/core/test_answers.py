"""Answers are read where it is plain what they say, whatever stands around them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.answers import AnswerSpec, Notation, read_object
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields import Field, Label, Ranked
from llm_as_rnn.core.fields.options import MOST_LISTED
from llm_as_rnn.core.task import load_task

ANSWER = {"sky": "sun", "note": 'a "quoted" {brace} }', "list": [1, {"deep": []}]}
OBJECT = json.dumps(ANSWER)


@pytest.mark.parametrize(
    "text",
    [
        OBJECT,
        f"\ufeff{OBJECT}",
        f"```\n{OBJECT}\n```",
        f"```json\n{OBJECT}\n```",
        f"```JSON\n{OBJECT}\n```",
        f"``` Json5 \n{OBJECT}```",
        f"~~~javascript\n{OBJECT}\n~~~",
        f"```json {OBJECT}",
        f"Here it is:\n```JSON\n{OBJECT}\n```\nIt's what I'd say.",
        f"Sure! {OBJECT} Good luck.",
        f"As {{asked}}, with {{ braces }}: {OBJECT}",
        f"[{OBJECT},]",
        f"answer = {json.dumps(ANSWER, indent=2)};",
        f'A "quote and a \\ before it: {OBJECT} and a " after it',
    ],
)
def test_one_object_is_the_answer(text: str) -> None:
    assert read_object(text) == ANSWER


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{OBJECT}\n{OBJECT}", "more than one"),
        (f"First {OBJECT}, or rather {OBJECT}", "more than one"),
        (f"{OBJECT} {{}}", "more than one"),
        (f'{OBJECT} {{"sky": "ra', "more than one"),
        (f'{{"sky": rain}} {OBJECT}', "not one valid"),
        (OBJECT[:-1], "not one valid"),
        ('It is {"sky": NaN} today', "not one valid"),
        ('It is {"sky": "\\ud800"} today', "not one valid"),
        ('It is {"n": ' + "9" * 5_000, "not one valid"),
        ('{"a":' * 50_000, "not one valid"),
        ("x" + '{"a":' * 50_000 + "1" + "}" * 50_000, "not one valid"),
        ("rain", "not one valid"),
        ("", "not one valid"),
        (f"[{OBJECT}]", "not an object"),
        ("7", "not an object"),
    ],
)
def test_what_may_be_meant_in_two_ways_is_no_answer(text: str, problem: str) -> None:
    with pytest.raises(AnswerError, match=problem):
        read_object(text)


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_any_text_around_an_object_is_read_or_refused(before: str, after: str) -> None:
    try:
        found = read_object(f"{before}{OBJECT}{after}")
    except AnswerError:
        return
    assert found == ANSWER


@pytest.mark.parametrize(
    "text", ["rain, 9.5", "```\nrain, 9.5\n```", "\n``` text\nrain, 9.5\n```\nas asked", "~~~\nrain, 9.5"]
)
def test_a_fence_around_a_line_is_no_part_of_it(text: str) -> None:
    assert load_task("weather").spec("line").read(text) == {"sky": "rain", "high": 9.5}


@pytest.mark.parametrize("text", ["```rain, 9.5```", "```\n```", "", "``` \n"])
def test_what_is_no_fence_is_read_as_it_stands(text: str) -> None:
    with pytest.raises(AnswerError):
        load_task("weather").spec("line").read(text)


@pytest.mark.parametrize("many", [MOST_LISTED, MOST_LISTED + 1])
@pytest.mark.parametrize("kind", [Label, Ranked])
def test_lines_list_a_hundred_options_and_no_more_and_json_lists_all(kind: type[Label | Ranked], many: int) -> None:
    options = tuple(f"tag {n:03d}" for n in range(many))
    field: Field = kind("tag", options=options)
    notations: tuple[Notation, ...] = ("line", "json", "block")
    told = {notation: AnswerSpec("t", (field,), notation).describe() for notation in notations}
    assert all(option in told[form] for form in ("json", "block") for option in options)
    assert all(option in told["line"] for option in options) == (many == MOST_LISTED)
    if many > MOST_LISTED:
        assert "101 names such as tag 000, tag 050, tag 100" in told["line"]
    # Whatever is told, an engine holds the answer to all of them.
    assert all(
        option.replace(" ", "\\ ") in (AnswerSpec("t", (field,), "line").format.regex or "") for option in options
    )
