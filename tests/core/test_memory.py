"""Memory as text and JSON, and the budget that holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.hygiene import tidy_item
from llm_as_rnn.core.method import at_once
from llm_as_rnn.core.records import Memory, Section, Why
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.recurrence.budget import Fitted, fit
from llm_as_rnn.recurrence.memory import (
    Bounds,
    answer_format,
    initial_memory,
    read_memory,
    tidy_items,
    written,
)
from tests.helpers import by_hand, count

TASK = load_task("weather")
NAMES = [section.name for section in TASK.memory]

items = st.lists(st.text(max_size=60), max_size=5).map(tidy_items)
memories = st.tuples(*(items for _ in NAMES)).map(
    lambda lists: Memory(tuple(Section(name, items) for name, items in zip(NAMES, lists, strict=True)))
)


def no_answer(request: Any) -> str:
    raise AssertionError(f"asked for {request.role}")


def compressing(answer: Any) -> Any:
    return {"compressed": lambda sections, tokens: at_once(answer)}


@given(memories, st.sampled_from(["json", "line"]))
def test_what_is_written_is_read_again(memory: Memory, form: Any) -> None:
    if not any(section.items for section in memory.sections):
        with pytest.raises(AnswerError, match="empty"):
            read_memory(written(memory, form), TASK, form)
    elif all(not item.startswith("#") for section in memory.sections for item in section.items):
        assert read_memory(written(memory, form), TASK, form) == memory.sections


@given(st.text())
def test_a_tidy_item_is_one_line_and_stays_as_it_is(text: str) -> None:
    tidied = tidy_item(text)
    assert len(tidied.splitlines()) <= 1
    assert tidy_item(tidied) == tidied


def test_a_minus_sign_is_no_bullet() -> None:
    assert tidy_item("- -5 degrees") == "-5 degrees"
    assert tidy_item("* 2) fog") == "fog"


@pytest.mark.parametrize(
    ("text", "form", "problem"),
    [
        ("", "line", "lacks"),
        ("## Patterns\n- a\n## Recent days\n- b", "line", "lacks the section Corrections"),
        ("## Patterns\n## Recent days\n## Corrections", "line", "empty"),
        ("{}", "json", "lacks"),
        ("[1]", "json", "not an object"),
        ('{"Patterns": [{}], "Recent days": [], "Corrections": []}', "json", "list of texts"),
        ('{"Patterns": [], "Recent days": [], "Corrections": []', "json", "valid JSON"),
    ],
)
def test_what_is_no_memory_is_refused(weather: Task, text: str, form: Any, problem: str) -> None:
    with pytest.raises(AnswerError, match=problem):
        read_memory(text, weather, form)


def test_extra_sections_and_loose_text_are_left_out(weather: Task) -> None:
    text = "Sure!\n## Patterns\n- a\n## Nonsense\n- x\n## recent days:\nb\n## Corrections\n1. c"
    sections = read_memory(text, weather, "line")
    assert [section.items for section in sections] == [("a",), ("b",), ("c",)]


def test_the_grammar_names_every_section(weather: Task) -> None:
    bounds = Bounds.within(128, len(NAMES))
    answer = answer_format(weather, "line", bounds)
    assert answer.gbnf is not None
    assert all(f'"## {name}"' in answer.gbnf for name in NAMES)
    schema = answer_format(weather, "json", bounds).schema
    assert schema is not None
    assert schema["required"] == NAMES


def test_the_first_memory_has_all_sections(weather: Task) -> None:
    assert str(initial_memory(weather)).count("Nothing is known yet.") == len(NAMES)


def test_what_fits_is_taken_as_it_is() -> None:
    sections = (Section("A", ("short",)),)
    fitted = by_hand(fit(sections, 10, compressing(None)), no_answer)
    assert fitted == Fitted(sections, count("## A\n- short"), ())


def test_what_is_too_long_is_compressed_once() -> None:
    long, short = (Section("A", ("word " * 40,)),), (Section("A", ("word",)),)
    fitted = by_hand(fit(long, 10, compressing(short)), no_answer)
    assert fitted == Fitted(short, count("## A\n- word"), ("compressed",))


def test_what_stays_too_long_is_trimmed_at_sentences_of_the_longest_section() -> None:
    sections = (Section("A", ("First. Second. Third.", "Fourth.")), Section("B", ("Keep.",)))
    fitted = by_hand(fit(sections, count("## A\n- First. Second.\n## B\n- Keep."), compressing(None)), no_answer)
    assert fitted is not None
    assert fitted.sections == (Section("A", ("First. Second.",)), Section("B", ("Keep.",)))
    assert (fitted.ways, fitted.why) == (("trimmed",), Why("trimmed"))


def test_a_longer_compression_is_not_taken() -> None:
    sections = (Section("A", ("One. Two. Three. Four.",)),)
    longer = (Section("A", ("word " * 99,)),)
    fitted = by_hand(fit(sections, 5, compressing(longer)), no_answer)
    assert fitted is not None
    assert fitted.sections == (Section("A", ("One. Two.",)),)


def test_ways_to_shorten_are_tried_in_order_until_it_fits() -> None:
    long = (Section("A", ("One. Two. Three. Four. Five. Six.",)),)
    shorter, short = (Section("A", ("One. Two. Three. Four.",)),), (Section("A", ("One. Two.",)),)
    ways = compressing(shorter) | {"retired": lambda sections, tokens: at_once(short if sections == shorter else None)}
    fitted = by_hand(fit(long, 5, ways), no_answer)
    assert fitted == Fitted(short, count("## A\n- One. Two."), ("compressed", "retired"))
    assert fitted.why == Why("retired", "after compressed")
    assert by_hand(fit(long, 99, ways), no_answer) == Fitted(long, count(f"## A\n- {long[0].items[0]}"), ())


def test_one_sentence_over_the_budget_is_no_memory() -> None:
    assert by_hand(fit((Section("A", ("x" * 400,)),), 10, compressing(None)), no_answer) is None


@given(memories, st.integers(1, 60))
def test_nothing_over_the_budget_ever_fits(memory: Memory, budget: int) -> None:
    fitted = by_hand(fit(memory.sections, budget, compressing(None)), no_answer)
    if fitted is not None:
        assert count(str(Memory(fitted.sections))) == fitted.tokens <= budget
        assert [section.name for section in fitted.sections] == NAMES
