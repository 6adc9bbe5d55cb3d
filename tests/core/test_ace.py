"""Agentic Context Engineering: who is asked what, how additions are merged and counted, and which notes go."""

from __future__ import annotations

import json
import re
from typing import Any

import click
import msgspec
import pytest

from llm_as_rnn.baselines.ace import Ace, AceBudget
from llm_as_rnn.baselines.playbook import Addition, PlaybookState, Tally
from llm_as_rnn.baselines.window import MARGIN
from llm_as_rnn.catalogue import DEFAULT_METHODS, METHODS
from llm_as_rnn.cli.commands.run import run
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.fields import Text
from llm_as_rnn.core.records import Memory, Observation, Section, SequenceInfo, Target, Update
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.runs.execute import Options
from llm_as_rnn.streams.learner import Learner
from tests.core.stage import sky_task
from tests.helpers import bare, by_hand, count, listening

WHY = {"why": "fog was passed over", "suggestion": "say fog after dew"}


class Life:
    """A stream of one method, whose model says what is set beforehand: by role, in the form that is asked for."""

    def __init__(self, name: str = "ace_budget", task: Task | None = None, **settings: Any) -> None:
        self.task = task or sky_task("Signs", "Errors")
        self.method: Any = bare(name, self.task, **{"form": "json", "budget": 200, **settings})
        self.state: PlaybookState = self.method.start(SequenceInfo("s"))
        self.log: list[Request] = []
        self.update = Update("kept")
        self.t = 0

    def meet(
        self, outcome: str | None, *notes: str, seen: str = "alpha bravo", said: Any = None, **by_role: Any
    ) -> Life:
        """Meet a step: sun is answered, or what is ``said``; the Curator answers with notes for the first section."""
        section = self.task.memory[0].name
        answers = {"predict": said or {"sky": "sun"}, "reflect": WHY, "update": {section: list(notes)}, **by_role}
        if self.method.settings.form == "line":
            lines = "\n".join((f"section: {section}", f"note: {notes[0] if notes else ''}"))
            told = "\n".join(f"{name}: {value}" for name, value in WHY.items())
            answers = {"predict": said or " sun", "reflect": told, "update": lines, **by_role}

        def scripted(request: Request) -> Completion | str:
            answer = answers[request.role]
            return json.dumps(answer) if isinstance(answer, dict) else answer

        answer, self.log = listening(scripted)
        observation = Observation("s", self.t, {"seen": seen})
        self.prediction = by_hand(self.method.predict(self.state, observation), answer)
        target: Target | None = None if outcome is None else {"sky": outcome}
        learned = by_hand(self.method.learn(self.state, observation, self.prediction, target), answer)
        self.state, self.update, self.feedback = learned.state, learned.update, learned.feedback
        self.t += 1
        return self

    def asked(self, role: str) -> str:
        """Give what was asked in a role."""
        return next(request.prompt for request in self.log if request.role == role)

    def tally(self, note: str) -> Tally:
        return self.state.tallies[note]


# --- the three roles ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "line"])
@pytest.mark.parametrize("layout", ["chained", "separate"])
def test_generator_reflector_and_curator_are_asked_in_turn(form: Any, layout: Any) -> None:
    life = Life(form=form, layout=layout).meet("fog", "dew means fog -> fog").meet("rain", "gusts mean rain -> rain")
    assert [request.role for request in life.log] == ["predict", "reflect", "update"]
    assert "dew means fog" in life.asked("predict")
    assert "rain" in life.asked("reflect")
    assert "rain" not in life.asked("predict").rpartition("alpha bravo")[2]
    assert "dew means fog" in life.asked("update")
    assert "suggestion: say fog after dew" in life.asked("update") or '"say fog after dew"' in life.asked("update")
    assert life.state.notes == ["dew means fog -> fog", "gusts mean rain -> rain"]


def test_the_generator_is_asked_for_the_notes_that_it_used() -> None:
    life = Life().meet("fog", "dew means fog", "wind means sun")
    assert (life.log[0].answer.schema or {})["required"] == ["sky"], "there is no note to use yet"
    life.meet("fog", said={"sky": "fog", "used": [1]})
    prompt = life.asked("predict")
    assert "- [1] dew means fog (helped 0, harmed 0)\n- [2] wind means sun (helped 0, harmed 0)" in prompt
    assert (life.log[0].answer.schema or {})["required"] == ["sky", "used"]
    assert life.prediction.values == {"sky": "fog"}
    life.meet("fog")
    assert "- [1] dew means fog (helped 1, harmed 0)\n- [2] wind means sun (helped 0, harmed 0)" in life.asked(
        "predict"
    )


def test_a_chained_step_is_one_growing_conversation() -> None:
    life = Life(layout="chained").meet("fog", "dew means fog").meet("fog", said={"sky": "fog", "used": [1]})
    predict, reflect, update = (request.messages for request in life.log)
    assert reflect[: len(predict)] == predict
    assert update[: len(reflect)] == reflect
    assert [message.role for message in update[len(predict) :]] == ["assistant", "user", "assistant", "user"]


def test_an_answer_field_called_used_stays_the_tasks_own() -> None:
    text = msgspec.structs.replace(sky_task(), answer=(*sky_task().answer, Text("used", max_chars=20)))
    method = bare("ace", text, form="json")
    assert isinstance(method, Ace)
    assert method.used_key == "used_notes"


def test_the_reflectors_words_are_the_feedback_of_the_step() -> None:
    life = Life().meet("fog", "dew means fog")
    assert life.feedback is not None
    assert life.feedback.kind == "model"
    assert life.feedback.facts == "sky: fog; the answer was sun, wrong"
    assert life.feedback.remarks == ("why: fog was passed over", "suggestion: say fog after dew")
    life = Life(layout="separate").meet("fog", "dew means fog", reflect="nothing of use")
    assert life.feedback is not None
    assert "invalid" in life.feedback.fields["problem"]
    assert life.update.outcome == "accepted", "what came is known all the same"


def test_without_an_outcome_nobody_is_asked() -> None:
    life = Life().meet(None, "dew means fog")
    assert (life.update, life.state.notes) == (Update("skipped", "no outcome"), [])
    assert [request.role for request in life.log] == ["predict"]


# --- additions ------------------------------------------------------------------------------------------------------


def test_additions_are_merged_and_nothing_is_written_again() -> None:
    life = Life().meet("fog", "dew means fog")
    assert (life.update, life.state.playbook.version) == (Update("accepted", "added"), 1)
    life.meet("fog", update={"errors": ["sun was said too often"], "Signs": ["wind means sun"]})
    sections = (Section("Signs", ("dew means fog", "wind means sun")), Section("Errors", ("sun was said too often",)))
    assert life.state.playbook.sections == sections
    assert life.state.playbook.tokens == count(str(life.state.playbook))


@pytest.mark.parametrize("form", ["json", "line"])
def test_what_is_there_already_is_not_added_again(form: Any) -> None:
    life = Life(form=form).meet("fog", "Dew on the grass means fog")
    life.meet("fog", "dew on the  grass means fog")
    assert (life.update.outcome, life.update.code) == ("kept", "known")
    assert life.state.notes == ["Dew on the grass means fog"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("no idea", "invalid"),
        ({"Notes": ["dew"]}, "invalid"),
        ({"Signs": 7}, "invalid"),
        ({"Signs": [["dew"]]}, "invalid"),
        (Completion("", "content_filter"), "refused"),
        (Completion("", "error", error="500"), "engine_error"),
        (Completion('{"Signs": ["dew"', "length"), "truncated"),
        ({"Signs": [], "Errors": []}, "nothing to change"),
        ({"Signs": ["", "- "]}, "nothing to change"),
        ({"Signs": ["Nothing is known yet."]}, "nothing to change"),
    ],
)
def test_what_cannot_be_used_keeps_the_playbook(answer: Any, code: str) -> None:
    life = Life().meet("fog", "dew means fog")
    before = life.state
    life.meet("fog", update=answer)
    assert (life.update.outcome, life.update.code, life.state) == ("kept", code, before)


def test_a_note_is_one_harmless_line() -> None:
    life = Life().meet("fog", "## Errors\n- [9] dew <|im_end|> means fog")
    assert life.state.notes == ["Errors - [9] dew (im_end) means fog"]
    assert Life().meet("fog", "x" * 900).state.notes == [], "it would take more than half of the budget"


def test_no_more_notes_are_taken_than_were_asked_for() -> None:
    assert Life().meet("fog", "dew", "wind", "frost", "hail").state.notes == ["dew", "wind"]


@pytest.mark.parametrize("name", ["ace", "ace_budget"])
def test_examples_of_the_prompt_are_no_notes(name: str) -> None:
    life = Life(name, form="line", layout="separate").meet("fog", "x")
    copied = re.findall(r"^note: (.* -> wait)$", life.asked("update"), re.MULTILINE)[0]
    life.meet("fog", update=f"section: Signs\nnote: {copied}")
    assert (life.update.code, life.state.notes) == ("nothing to change", ["x"])


def test_in_lines_a_note_ends_with_what_came() -> None:
    life = Life(form="line").meet("fog", "dew on the grass -> fog")
    curating = life.log[-1].answer
    assert re.fullmatch(curating.regex or "", "section: Errors\nnote: dew on the grass -> fog")
    assert not re.fullmatch(curating.regex or "", "section: Errors\nnote: dew on the grass -> sun")
    assert not re.fullmatch(curating.regex or "", "section: Errors\nnote: one -> fog\nnote: two -> fog")


@pytest.mark.parametrize("names", [("Signs",), ("Signs", "Errors")])
def test_in_lines_the_roles_are_shown_as_they_are_asked_for(names: tuple[str, ...]) -> None:
    life = Life(task=sky_task(*names), form="line", style="completion", layout="separate")
    life.meet("fog", "dew -> fog", update="note: dew -> fog\nsection: Signs")
    for role, opening, first in (("reflect", "why: ", "why: "), ("update", "New note:\n", "")):
        request = next(request for request in life.log if request.role == role)
        shown = [first + part.partition("\n\n")[0] for part in request.messages[-1].content.split(opening)[1:]]
        shown = shown[:3]
        assert len(shown) == 3
        for example in shown:
            assert re.fullmatch(request.answer.regex or "", re.sub(r" -> \w+$", " -> fog", example))
    assert life.asked("update").endswith("New note:")
    assert "Playbook:\n- empty\n" in life.asked("update")


# --- counting -------------------------------------------------------------------------------------------------------


def test_a_used_note_counts_by_the_outcome() -> None:
    life = Life().meet("fog", "dew means fog", "wind means sun")
    life.meet("fog", said={"sky": "fog", "used": [1]}).meet("rain", said={"sky": "sun", "used": [1, "2", 77, None]})
    assert life.tally("dew means fog") == Tally(1, helpful=1, harmful=1)
    assert life.tally("wind means sun") == Tally(2, helpful=0, harmful=1)


def test_a_used_case_counts_by_its_own_outcome() -> None:
    life = Life().meet("fog", "alpha bravo -> fog", "alpha bravo -> sun")
    life.meet("fog", said={"sky": "sun", "used": [1, 2]})
    assert life.tally("alpha bravo -> fog") == Tally(1, helpful=1), "it was not followed, and it was right"
    assert life.tally("alpha bravo -> sun") == Tally(2, harmful=1)


def test_in_lines_the_nearest_case_counts_and_all_that_are_no_cases() -> None:
    life = Life("ace", form="line")
    notes = ("alpha bravo -> fog", "kilo lima -> sun", "all is grey")
    life.state = life.method.start(SequenceInfo("s")).merged([Addition("Signs", note) for note in notes])[0]
    life.meet("fog", "x -> fog", seen="alpha bravo")
    assert life.tally("alpha bravo -> fog") == Tally(1, helpful=1)
    assert life.tally("kilo lima -> sun") == Tally(2)
    assert life.tally("all is grey") == Tally(3, harmful=1), "sun was answered"


def test_an_answer_that_says_nothing_of_used_notes_is_as_good_as_any() -> None:
    life = Life().meet("fog", "dew means fog")
    for said in ({"sky": "fog"}, {"sky": "fog", "used": "one"}, {"sky": "fog", "used": {"1": 2}}):
        life.meet("fog", said=said)
        assert life.prediction.values == {"sky": "fog"}
    assert life.tally("dew means fog") == Tally(1)


def test_no_number_is_given_twice() -> None:
    life = Life(budget=40).meet("fog", "dew one two three four")
    for word in ("gale", "hail", "rime"):
        life.meet("fog", f"{word} five six seven eight nine")
    assert len(life.state.notes) < 4
    assert [life.tally(note).number for note in life.state.notes] == [4 - k for k in range(len(life.state.notes))][::-1]
    assert life.state.issued == 4


# --- how long it may be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "line"])
def test_under_a_budget_what_harmed_most_goes_first_and_what_is_new_stays(form: Any) -> None:
    budget = {"json": 60, "line": 42}[form]
    life = Life(form=form, budget=budget, task=sky_task("Signs"))
    notes = [f"note{n} says what {n} means to us all" for n in range(4)]
    tallies = {notes[0]: Tally(1, 3, 0), notes[1]: Tally(2, 1, 4), notes[2]: Tally(3, 0, 1), notes[3]: Tally(4, 2, 0)}
    life.state = PlaybookState(SequenceInfo("s"), Memory((Section("Signs", tuple(notes)),)), tallies, 4)
    life.meet("fog", "a new one, not there yet -> fog", seen="zulu", said={"sky": "fog"} if form == "json" else " fog")
    assert life.state.notes[-1] == "a new one, not there yet -> fog"
    gone = [note for note in notes if note not in life.state.notes]
    assert gone
    assert gone == [notes[1], notes[2], notes[3]][: len(gone)]
    assert life.update == Update("accepted", "added", f"{len(gone)} retired")
    assert count(life.state.text(form)) <= budget


def test_a_new_note_stays_however_good_the_others_are() -> None:
    life = Life(form="line", budget=30, task=sky_task("Signs"))
    notes = tuple(f"note{n} says what {n} means to us all" for n in range(3))
    tallies = {note: Tally(n + 1, helpful=9) for n, note in enumerate(notes)}
    life.state = PlaybookState(SequenceInfo("s"), Memory((Section("Signs", notes),)), tallies, 3)
    life.meet("fog", "a new one -> fog", seen="zulu", said=" fog")
    assert "a new one -> fog" in life.state.notes
    assert life.state.notes[0] == notes[1], "of equals the oldest goes"


def test_the_budget_holds_what_is_shown_numbers_and_counts_included() -> None:
    life = Life(budget=50)
    for n in range(30):
        life.meet("fog", f"sign{n} means fog {n}", said={"sky": "fog", "used": list(range(30))})
        text = life.state.text("json")
        assert count(text) <= 50
        assert life.state.playbook.tokens == count(str(life.state.playbook)) <= count(text)


def test_the_budget_holds_what_is_kept_where_a_text_without_numbers_has_more_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def odd(text: str) -> int:
        return len(text.split()) + 9 * sum("- " in line and "- [" not in line for line in text.splitlines())

    monkeypatch.setattr("tests.helpers.count", odd)
    life = Life(budget=60)
    for sign in ("dew", "wind", "frost", "cloud", "haze"):
        life.meet("fog", f"{sign} means fog")
        assert life.state.notes
        assert life.state.playbook.tokens == odd(str(life.state.playbook)) <= 60


def test_a_note_too_long_for_the_budget_is_refused() -> None:
    life = Life(budget=60).meet("fog", "dew means fog").meet("fog", "fog " * 50)
    assert (life.update.code, life.state.notes) == ("over_budget", ["dew means fog"])


def test_without_a_budget_it_grows_and_is_no_memory_within_one() -> None:
    life = Life("ace", budget=20)
    for n in range(30):
        life.meet("fog", f"sign{n} means fog {n}")
    assert len(life.state.notes) == 30
    assert life.method.memory(life.state) is None
    assert isinstance(bare("ace_budget", life.task), AceBudget)


@pytest.mark.parametrize("form", ["json", "line"])
def test_where_the_window_is_full_the_worst_are_not_shown_and_are_kept(form: Any) -> None:
    notes = tuple(f"note{n} says what {n} means to us all" for n in range(9))
    tallies = {note: Tally(n + 1, helpful=n) for n, note in enumerate(notes)}
    short = 0
    for window in range(200, 700, 25):
        life = Life("ace", form=form, window=window)
        playbook = Memory((Section("Signs", notes), Section("Errors", ())))
        life.state = PlaybookState(SequenceInfo("s"), playbook, tallies, 9)
        life.meet(None)
        shown = [note for note in notes if note in life.asked("predict")]
        assert shown == list(notes[len(notes) - len(shown) :])
        request = life.log[0]
        tokens = count("\n\n".join(message.content for message in request.messages)) + request.sampling.max_tokens
        assert tokens + MARGIN <= window or not shown
        assert bool(life.prediction.notes) == (len(shown) < 9)
        if life.prediction.notes:
            short += 1
            assert life.prediction.notes[0].startswith(f"{9 - len(shown)} of 9 notes were not shown")
        assert life.state.notes == list(notes)
    assert short


# --- as a method ----------------------------------------------------------------------------------------------------


def test_another_text_can_be_put_in_its_place_and_keeps_what_was_counted() -> None:
    life = Life().meet("fog", "dew means fog").meet("fog", said={"sky": "fog", "used": [1]})
    other = Memory((Section("Signs", ("wind means sun", "dew means fog")), Section("Errors", ())), 7)
    life.state = life.method.with_memory(life.state, other)
    assert life.state.text("json").splitlines()[1:3] == [
        "- [2] wind means sun (helped 0, harmed 0)", "- [1] dew means fog (helped 1, harmed 0)",
    ]  # fmt: skip
    life.meet("fog", said={"sky": "fog", "used": [2]})
    assert (life.tally("wind means sun"), life.tally("dew means fog")) == (Tally(2, 1), Tally(1, 1))


def test_it_learns_in_any_order_in_a_stream() -> None:
    answers: dict[str, Any] = {"predict": {"sky": "sun"}, "reflect": WHY, "update": {"Notes": ["dew means fog"]}}
    engine = ScriptedEngine(lambda request: json.dumps(answers[request.role]))
    with Learner(sky_task(), method="ace_budget", engine=engine, form="json", budget=80) as learner:
        waiting = [learner.predict_one({"seen": f"alpha {n}"}) for n in range(4)]
        for one in reversed(waiting):
            assert learner.learn_one(one.id, {"sky": "fog"}).fate == "learned"
        assert "dew means fog" in str(learner.memory)


def test_a_run_that_names_no_methods_does_without_those_that_cost_most() -> None:
    assert set(METHODS) - set(DEFAULT_METHODS) == {"streaming_icl", "ace", "ace_budget"}
    assert Options("weather").methods == DEFAULT_METHODS
    told = next(option.help for option in run.params if isinstance(option, click.Option) and option.name == "methods")
    assert told is not None
    assert all(name in told.partition("[default")[0] for name in METHODS)
    assert f"[default: {', '.join(DEFAULT_METHODS)}]" in told


def test_sections_are_the_tasks() -> None:
    task = msgspec.structs.replace(sky_task(), memory=(MemorySection("Phrases", "which"),))
    state = bare("ace", task).start(SequenceInfo("s"))
    assert str(state.playbook) == "## Phrases"
