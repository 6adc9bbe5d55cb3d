"""Notes of a model's own that tell an outcome: where they are asked for, what holds them to it, how they are read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.answers import AnswerSpec
from llm_as_rnn.core.fields import ARROW, NoteField
from llm_as_rnn.core.outcomes import SENTENCE, SHORT, note_field
from llm_as_rnn.core.records import Form, Observation, Update
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.recurrence.cell import Recurrent
from tests.core.stage import UNKNOWN, Stage, sky_task, written
from tests.helpers import bare, by_hand, good_answer, listening, make

SEEN = "dew at dawn, wind from the west and no cloud"
NOTE = NoteField("note", max_chars=120, seen=30, came="fog")


@pytest.mark.parametrize(
    ("task", "form", "came", "told"),
    [
        (sky_task(), "line", "fog", True),
        (load_task("weather"), "line", "rain, -4.5", True),  # a label and a number
        (load_task("weather-text"), "line", "Rain all day.", False),  # a sentence or two are no end of a note
        (load_task("mimic"), "line", "I50; N17", False),
        (sky_task(), "json", "fog", False),
        (sky_task(), "line", "", False),  # no outcome is known
    ],
)
def test_a_note_tells_the_outcome_where_that_is_short_and_known(task: Task, form: Form, came: str, told: bool) -> None:
    field = note_field("note", "", task, form, came and f"{SEEN} -> {came}")
    assert field.came == (came if told else "")
    assert bool(re.fullmatch(field.regex(), f"dew{ARROW}{came}")), "with it any note is right"
    assert bool(re.fullmatch(field.regex(), "any words")) != told
    assert not told or not re.fullmatch(field.regex(), f"dew{ARROW}snow")
    assert (f'" -> {came}"' in field.gbnf()) == told


@pytest.mark.parametrize(
    ("seen", "room"), [("dew", SHORT + 1), (SEEN, len(SEEN) + 1), ("long " * 40, SENTENCE["line"])]
)
def test_a_note_need_not_be_longer_than_what_was_seen(seen: str, room: int) -> None:
    field = note_field("note", "", sky_task(), "line", f"{seen} -> fog")
    assert re.fullmatch(field.regex(), f"{'x' * room} -> fog")
    assert not re.fullmatch(field.regex(), f"{'x' * (room + 1)} -> fog")


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("dew -> fog", "dew -> fog"),
        (" dew  at\tdawn -> fog ", "dew at dawn -> fog"),
        ("dew -> sun, then dew -> fog", "dew - sun, then dew -> fog"),  # the last arrow is the grammar's
        ("dew at dawn and wind from the w -> fog", "dew at dawn and wind from the -> fog"),  # stopped short
        ("dew means fog", "dew means fog"),  # from an engine without grammars, and so the next
        ("dew -> sun", "dew -> sun"),
        ("x" * 200, "x" * 120),
    ],
)
def test_a_note_is_read_with_its_outcome(answer: str, read: str) -> None:
    assert NOTE.read(answer) == read


@given(st.text(max_size=300))
def test_whatever_stands_before_the_outcome_leaves_it_whole(seen: str) -> None:
    note = NOTE.read(f"x{seen} -> fog")
    assert note.endswith(" -> fog")
    assert note.count(ARROW) == 1
    assert len(note) <= NOTE.seen + len(" -> fog")


def test_the_longest_note_may_be_written_whole() -> None:
    came = "a very long name for a kind of weather " * 3 + "and no end"
    field = NoteField("note", max_chars=20, seen=120, came=came)
    longest = f"note: {'x' * 120}{ARROW}{came}"
    assert AnswerSpec("delta", (field,), "block").max_tokens() >= len(longest) // 2


# ------------------------------------------------------------------------------------------------- who asks for them


@pytest.mark.parametrize("form", ["line", "json"])
def test_delta_asks_for_them_in_lines(form: Form) -> None:
    stage = Stage("delta", lambda _: written({"note": "dew at dawn -> fog"}, form), form=form)
    stage.meet(SEEN, "fog")
    answer = stage.log[0].answer
    if form == "line":
        assert re.fullmatch(answer.regex or "", "note: dew at dawn -> fog")
        assert not re.fullmatch(answer.regex or "", "note: dew at dawn")
        assert not re.fullmatch(answer.regex or "", "note: dew at dawn -> sun")
        assert '" -> fog"' in (answer.gbnf or "")
    assert stage.items == ("dew at dawn -> fog",)


def test_delta_after_a_judge_alone_takes_any_words() -> None:
    judged = written({"critique": "bold", "suggestion": "wait", "score": "40"}, "line")
    answers = {"judge": judged, "update": "action: add\nnote: wait for noon"}
    stage = Stage("delta", lambda request: answers[request.role], feedback="judge")
    stage.meet(SEEN, None)
    assert re.fullmatch(stage.log[-1].answer.regex or "", answers["update"])
    assert stage.items == ("wait for noon",)


def test_memprompt_asks_for_them_in_lines(weather: Task, days: list[Sequence]) -> None:
    answer, log = listening(good_answer("line"))
    method, step = make("memprompt", weather, form="line"), days[0].steps[0]
    prediction = by_hand(method.predict(method.start(days[0].info), step.observation), answer)
    state = by_hand(method.learn(method.start(days[0].info), step.observation, prediction, step.target), answer).state
    regex = log[-1].answer.regex or ""
    assert step.target is not None
    assert re.fullmatch(regex, f"summary: a wet day -> {weather.spec('line').show(step.target)}")
    assert not re.fullmatch(regex, "summary: a wet day, then rain")
    assert state.own.past == ("a wet day, then rain",), "taken from an engine without grammars all the same"


# -------------------------------------------------------------------------------------------------- what they are for


@pytest.mark.parametrize(
    ("form", "rule", "feedback", "recall", "roles"),
    [
        ("line", "delta", "auto", 1, ["update"]),
        ("line", "delta", "model", 1, ["reflect", "update"]),
        ("json", "delta", "auto", 0, ["reflect", "update"]),
        ("line", "rewrite", "auto", 0, ["reflect", "update"]),
        ("line", "cases", "auto", 1, []),
        ("json", "cases", "auto", 1, []),
        ("line", "none", "auto", 0, []),
    ],
)
def test_where_notes_are_cases_there_is_no_critic_and_the_nearest_is_read_again(
    form: Form, rule: str, feedback: str, recall: int, roles: list[str]
) -> None:
    stage = Stage(rule, lambda _: "", form=form, feedback=feedback)
    assert stage.method.settings.recall == recall
    stage.holding("a warm night -> sun", "dew at dawn -> fog", "wind -> rain")
    by_hand(stage.method.predict(stage.state, Observation("s", 1, {"seen": "dew at dawn"})), stage.answer)
    assert stage.log[0].messages[-1].content.count("dew at dawn -> fog") == recall
    stage.log.clear()
    stage.meet("dew at dawn", "sun")
    assert list(dict.fromkeys(stage.roles)) == roles


def test_where_outcomes_are_texts_delta_keeps_its_critic() -> None:
    method = bare("recurrent:delta", load_task("weather-text"), form="line", feedback="auto")
    assert isinstance(method, Recurrent)
    assert (method.settings.feedback, method.settings.recall) == ("model", 0)


def test_a_note_that_tells_another_outcome_is_no_repetition() -> None:
    stage = Stage("delta", lambda _: f"action: add\nnumber: 1\nnote: {SEEN} -> fog").holding(f"{SEEN} -> sun")
    assert stage.meet(SEEN, "fog").update.outcome == "accepted"
    assert stage.items == (f"{SEEN} -> sun", f"{SEEN} -> fog")
    assert stage.meet(SEEN, "fog", right=True).update == Update("kept", "known", "the same note is there")


@pytest.mark.parametrize(("feedback", "told"), [("scorecard", False), ("model+scorecard", True)])
def test_figures_have_no_place_in_a_note_that_is_a_case(feedback: str, told: bool) -> None:
    critic = "correct: no\nmissed: the dew\nwhy: haste\nsuggestion: wait"
    stage = Stage(
        "delta", lambda request: critic if request.role == "reflect" else "note: dew -> fog", feedback=feedback
    )
    stage.meet(SEEN, "fog")
    assert ("So far:" in stage.log[-1].prompt) == told
    assert "The answer was sun: wrong." in stage.log[-1].prompt
    assert UNKNOWN not in stage.items


OTHER = "a warm night after rain -> sun"
LIKE = "dew at dawn, wind from the east and no cloud -> sun"


@pytest.mark.parametrize(
    ("notes", "right", "actions"),
    [
        ((OTHER, "hail and thunder -> rain"), False, None),  # nothing to change: the note is added
        ((OTHER, "hail and thunder -> rain"), True, "add|nothing"),
        ((OTHER, LIKE), False, "add|change|drop"),
        ((OTHER, "wait for noon"), False, "add|change|drop"),  # what is no case may always be changed
    ],
)
def test_a_step_may_change_what_it_bears_on(notes: tuple[str, ...], right: bool, actions: str | None) -> None:
    stage = Stage("delta", lambda _: "").holding(*notes)
    stage.meet(SEEN, "fog", right=right)
    regex = stage.log[0].answer.regex or ""
    assert (f"action: ({actions})" in regex) == (actions is not None)
    assert ("action" in regex) == (actions is not None)


@pytest.mark.parametrize(
    ("action", "number", "after"),
    [
        ("change", 2, (OTHER, f"{SEEN} -> fog")),
        ("drop", 2, (OTHER,)),
        ("change", 1, (OTHER, LIKE, f"{SEEN} -> fog")),  # what the step says nothing of stays
    ],
)
def test_a_change_of_something_else_is_an_addition(action: str, number: int, after: tuple[str, ...]) -> None:
    answer = f"action: {action}\nnumber: {number}\nnote: {SEEN} -> fog"
    stage = Stage("delta", lambda _: answer).holding(OTHER, LIKE)
    assert stage.meet(SEEN, "fog").update.outcome == "accepted"
    assert stage.items == after


def test_what_the_step_says_nothing_of_is_not_dropped() -> None:
    stage = Stage("delta", lambda _: f"action: drop\nnumber: 1\nnote: {SEEN} -> fog").holding(OTHER, LIKE)
    assert stage.meet(SEEN, "fog").update.reason.startswith("nothing to change")
    assert stage.items == (OTHER, LIKE)


def test_doing_nothing_adds_nothing() -> None:
    stage = Stage("delta", lambda _: f"action: nothing\nnumber: 1\nnote: {SEEN} -> fog").holding(OTHER, LIKE)
    assert stage.meet(SEEN, "fog", right=True).update == Update("kept", "nothing to change")
