"""Prompts in lines: they show how it is done, their examples are good answers themselves, and never become notes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from llm_as_rnn.catalogue import resolve
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import (  # fmt: skip
    Form,
    Layout,
    Memory,
    Observation,
    Prediction,
    Section,
    SequenceInfo,
    Status,
    Update,
)
from llm_as_rnn.core.task import Task, load_task, shipped_tasks
from llm_as_rnn.datasets.base import Sequence
from llm_as_rnn.recurrence.lessons import Lessons
from llm_as_rnn.recurrence.memory import Bounds, answer_format, read_memory
from llm_as_rnn.runs.execute import make_spec
from tests.core.stage import UNKNOWN, Stage, sky_task, written
from tests.helpers import Answer, by_hand, good_answer, in_turn, listening, make, run_options

CRITIC = "correct: no\nmissed: the fog\nwhy: haste\nsuggestion: wait for noon"
FOG = "alpha bravo -> fog"


def asked(rule: str, *names: str, notes: tuple[str, ...] = (), right: bool = False, feedback: str = "model") -> Request:
    """Give what a rule asks for when the memory is to be changed."""
    answer: Answer = lambda request: CRITIC if request.role == "reflect" else ""  # noqa: E731 - two kinds of answer
    stage = Stage(rule, answer, feedback=feedback, layout="separate", task=sky_task(*names))
    if notes:
        stage.holding(*notes)
    stage.meet("alpha bravo", "fog", right=right)
    return next(request for request in stage.log if request.role == "update")


def fits(request: Request, example: str, outcome: str) -> bool:
    """Tell whether an example, if it were about the task's own outcomes, would be an answer."""
    return bool(re.fullmatch(request.answer.regex or "", re.sub(r" -> \w+$", f" -> {outcome}", example)))


def examples(prompt: str, opening: str) -> list[str]:
    """Give what follows each opening, up to the next empty line; the prompt's own one ends it."""
    return [part.partition("\n\n")[0] for part in prompt.split(opening)[1:]]


@pytest.mark.parametrize("feedback", ["model", "scorecard", "judge+scorecard"])
@pytest.mark.parametrize("names", [("Notes",), ("Notes", "More")])
def test_a_rewriting_is_shown_as_it_is_asked_for(names: tuple[str, ...], feedback: str) -> None:
    prompt = asked("rewrite", *names, feedback=feedback).messages[-1].content
    shown = examples(prompt, "Notes again:\n")
    assert len(shown) == 3
    for example in shown:
        sections = read_memory(example, sky_task(*names), "line")
        assert all(" -> " in item for item in sections[0].items)
        assert re.fullmatch(
            answer_format(sky_task(*names), "line", Bounds.within(200, len(names))).regex or "", example
        )
    assert prompt.endswith(f"What came:\n- {FOG}\nNotes again:")
    assert "The answer was sun: wrong." in prompt
    assert ("suggestion: wait for noon" in prompt) == (feedback == "model")


@pytest.mark.parametrize("names", [("Notes",), ("Notes", "More")])
@pytest.mark.parametrize("notes", [(), ("a -> sun",), ("a -> sun", "b -> fog")])
@pytest.mark.parametrize("right", [True, False])
def test_a_change_is_shown_as_it_is_asked_for(names: tuple[str, ...], notes: tuple[str, ...], right: bool) -> None:
    request = asked("delta", *names, notes=notes, right=right)
    shown = examples(request.messages[-1].content, "Change:\n")
    assert len(shown) == 3
    assert all(fits(request, example, "fog") for example in shown)


def test_criticism_is_shown_as_it_is_asked_for() -> None:
    stage = Stage("rewrite", in_turn([CRITIC, "## Notes\n- fog"]), feedback="model", layout="separate")
    stage.meet("alpha bravo", "fog")
    request = stage.log[0]
    shown = ["correct: " + part.partition("\n\n")[0] for part in request.messages[-1].content.split("correct: ")[1:]]
    assert len(shown) == 3
    assert all(re.fullmatch(request.answer.regex or "", example) for example in shown)
    assert request.prompt.endswith(f"- {FOG}\nThe answer was sun: wrong.")


@pytest.mark.parametrize("style", ["chat", "completion"])
def test_a_summary_is_shown_as_it_is_asked_for(weather: Task, days: list[Sequence], style: Any) -> None:
    answer, log = listening(good_answer("line"))
    method, step = make("memprompt", weather, form="line", style=style, layout="separate"), days[0].steps[0]
    prediction = by_hand(method.predict(method.start(days[0].info), step.observation), answer)
    by_hand(method.learn(method.start(days[0].info), step.observation, prediction, step.target), answer)
    request = log[-1]
    shown = [f"summary: {line}" for line in re.findall(r"^summary: (.*)$", request.prompt, re.MULTILINE)]
    assert len(shown) == 3
    assert step.target is not None
    outcome = weather.spec("line").show(step.target)
    assert all(fits(request, example, outcome) for example in shown)
    assert request.prompt.endswith(f" -> {outcome}")
    assert request.sampling.stop == (("\n\n",) if style == "completion" else ())


def test_examples_are_of_no_shipped_task() -> None:
    """Else a model would be told outcomes of its own task before they come."""
    tasks = [load_task(name) for name in shipped_tasks()]
    words = {option.casefold() for task in tasks for field in task.answer for option in field.options}
    for rule, opening in (("rewrite", "Notes so far:"), ("delta", "Notes:")):
        told = asked(rule, notes=("x", "y"), right=True).messages[-1].content.rpartition(opening)[0]
        assert words & {word.casefold() for word in re.findall(r"\w+", told)} <= {"no", "none"}


@pytest.mark.parametrize("rule", ["rewrite", "delta"])
def test_examples_are_no_notes(rule: str) -> None:
    example = re.findall(r"- (.* -> wait)$|note: (.* -> wait)$", asked(rule).prompt, re.MULTILINE)[0]
    copied = next(filter(None, example))
    texts = {"rewrite": f"## Notes\n- {copied}\n- {FOG}", "delta": f"note: {copied}"}
    stage = Stage(rule, lambda _: texts[rule], layout="separate")
    update = stage.meet("alpha bravo", "fog").update
    if rule == "rewrite":
        assert (update, stage.items) == (Update("accepted", "rewritten"), (FOG,))
    else:
        assert (update, stage.items) == (Update("kept", "copied", "the note is one of the examples"), (UNKNOWN,))


def test_a_memory_of_examples_alone_gets_one_more_chance() -> None:
    copied = re.findall(r"- (.* -> wait)$", asked("rewrite").prompt, re.MULTILINE)[0]
    stage = Stage("rewrite", in_turn([f"## Notes\n- {copied}", f"## Notes\n- {FOG}"]), layout="separate")
    assert stage.meet("alpha bravo", "fog").update.outcome == "accepted"
    assert "nothing but notes of the examples" in stage.log[1].prompt
    stage = Stage("rewrite", lambda _: f"## Notes\n- {copied}", layout="separate").holding("fog clears")
    assert stage.meet("alpha bravo", "fog").update.reason.startswith("invalid")
    assert stage.items == ("fog clears",)


def test_what_the_step_itself_tells_may_be_noted() -> None:
    told = ("fog clears", "suggestion: wait for noon", FOG)
    stage = Stage("rewrite", in_turn([CRITIC, "\n- ".join(("## Notes", *told))]), feedback="model", layout="separate")
    stage.holding("fog clears").meet("alpha bravo", "fog")
    assert stage.items == told


def test_what_earlier_sequences_taught_may_be_noted() -> None:
    stage = Stage("rewrite", lambda _: f"## Notes\n- dew means fog\n- {FOG}", layout="chained", shared=60)
    lessons = Lessons(Memory((Section("Notes", ("dew means fog",)),)))
    stage.state = stage.method.start_with(SequenceInfo("s"), lessons)
    stage.meet("alpha bravo", "fog")
    assert "dew means fog" in stage.log[-1].prompt
    assert stage.items == ("dew means fog", FOG)


def test_a_memory_may_hold_an_example_that_was_learned() -> None:
    copied = re.findall(r"- (.* -> wait)$", asked("rewrite").prompt, re.MULTILINE)[0]
    stage = Stage("rewrite", lambda _: f"## Notes\n- {copied}\n- {FOG}", layout="separate").holding(copied)
    stage.meet("alpha bravo", "fog")
    assert stage.items == (copied, FOG)


@pytest.mark.parametrize("rule", ["rewrite", "delta"])
@pytest.mark.parametrize("ending", ["", "\n", "\n\n"])
def test_an_answer_may_end_as_the_examples_do(rule: str, ending: str) -> None:
    request = asked(rule)
    answer = {"rewrite": f"## Notes\n- {FOG}", "delta": f"note: {FOG}"}[rule] + ending
    assert re.fullmatch(request.answer.regex or "", answer)
    assert (request.answer.gbnf or "").endswith('"\\n"? "\\n"?')
    assert Stage(rule, lambda _: answer).meet("alpha bravo", "fog").update.outcome == "accepted"


def test_what_stands_for_an_empty_section_goes_where_there_is_a_note() -> None:
    text = f"## Notes\n- {UNKNOWN.upper()}\n- {FOG}\n## More\n- {UNKNOWN}"
    sections = read_memory(text, sky_task("Notes", "More"), "line")
    assert [section.items for section in sections] == [(FOG,), (UNKNOWN,)]


def test_a_judge_alone_is_quoted_without_an_outcome() -> None:
    answers = [written({"critique": "bold", "suggestion": "wait", "score": "40"}, "line"), "## Notes\n- wait"]
    stage = Stage("rewrite", in_turn(answers), feedback="judge", layout="separate")
    stage.meet("alpha bravo", None)
    assert stage.log[1].prompt.endswith("- alpha bravo -> sun\ncritique: bold\nsuggestion: wait\nNotes again:")


def test_without_a_usable_answer_it_is_said_so() -> None:
    stage = Stage("rewrite", lambda _: f"## Notes\n- {FOG}", layout="separate")
    x = Observation("s", 0, {"seen": "alpha bravo"})
    by_hand(stage.method.learn(stage.state, x, Prediction(None, Status.INVALID), {"sky": "fog"}), stage.answer)
    assert "There was no usable answer.\nSo far:" in stage.log[-1].prompt


@pytest.mark.parametrize(
    ("chosen", "form", "taken"),
    [
        (None, "line", "separate"),
        (None, "json", "chained"),
        ("chained", "line", "chained"),
        ("separate", "json", "separate"),
    ],
)
def test_the_layout_suits_the_form_or_is_as_asked(chosen: Layout | None, form: Form, taken: str) -> None:
    engine = EngineInfo("m", form=form)
    assert (
        make_spec(run_options("weather", layout=chosen), load_task("weather"), Prompts(), engine).settings.layout
        == taken
    )
    assert resolve({"layout": chosen}, engine).layout == taken
