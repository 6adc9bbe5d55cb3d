"""Feedback by a judge: it never knows the outcome, and its figure is the one that it gave or none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.records import Form
from tests.core.stage import Stage
from tests.helpers import count

CANARY = "rain"  # the outcome: neither x_t nor the answer holds it
JUDGEMENT = {"critique": "bold", "suggestion": "look at the wind", "score": "40"}


def block(**fields: str) -> str:
    return "\n".join(f"{name}: {value}" for name, value in (JUDGEMENT | fields).items())


def answering(judged: Completion | str, repaired: Completion | str = "", form: Form = "line") -> Any:
    """Judge like this, at the second attempt like that; and write a memory of one note."""

    def answer(request: Request) -> Completion | str:
        if request.role == "judge":
            return repaired if request.attempt else judged
        if request.role == "reflect":
            fields = {"correct": "no", "missed": "the sky", "why": "haste", "suggestion": "wait"}
        else:
            return '{"Notes": ["watch the wind"]}' if form == "json" else "## Notes\n- watch the wind"
        return json.dumps(fields) if form == "json" else "\n".join(f"{k}: {v}" for k, v in fields.items())

    return answer


def judged(text: Completion | str, repaired: Completion | str = "", form: Form = "line") -> dict[str, Any]:
    learned = Stage("rewrite", answering(text, repaired, form), form=form, feedback="judge").meet("alpha", None)
    assert learned.feedback is not None
    return learned.feedback.fields


@pytest.mark.parametrize("layout", ["chained", "separate"])
@pytest.mark.parametrize("rule", ["rewrite", "delta", "none"])
def test_no_request_holds_the_outcome(rule: str, layout: str) -> None:
    stage = Stage(rule, answering(block()), feedback="judge", layout=layout)
    for step in range(3):
        for outcome in (CANARY, None):
            stage.log.clear()
            stage.meet(f"alpha{step} bravo", outcome, said="sun")
            assert "judge" in stage.roles
            told = "\n".join(message.content for request in stage.log for message in request.messages)
            # The list of what may come is all that names it, at the top of a chained conversation.
            assert CANARY not in told.replace("one of sun, rain, fog", "")
    assert CANARY not in str(stage.state)


@pytest.mark.parametrize(
    ("rule", "updating"),
    [
        ("cases", {}),
        ("hybrid", {}),
        ("append", {}),
        ("rewrite", {"when": "on_error"}),
        ("rewrite", {"when": "surprise"}),
        ("rewrite", {"recheck": 2}),
        ("rewrite", {"watch": True}),
    ],
)
def test_what_needs_outcomes_is_refused_beside_a_judge_alone(rule: Any, updating: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="needs outcomes, and with --feedback judge none is shown") as refused:
        Stage(rule, feedback="judge", **updating)
    assert "judge+scorecard" in refused.value.hint
    Stage(rule, feedback="judge+scorecard", **updating)


def test_a_small_model_with_a_judge_alone_rewrites() -> None:
    assert Stage("auto", feedback="judge").method.settings.rule == "rewrite"
    assert Stage("auto", feedback="judge+scorecard").method.settings.rule == "cases"


def test_an_outcome_makes_no_difference() -> None:
    with_outcome = Stage("rewrite", answering(block()), feedback="judge")
    without = Stage("rewrite", answering(block()), feedback="judge")
    with_outcome.meet("alpha", CANARY, said="sun")
    without.meet("alpha", None, said="sun")
    assert with_outcome.log == without.log
    assert with_outcome.state == without.state


@pytest.mark.parametrize("form", ["line", "json"])
def test_the_memory_learns_from_a_judgement_without_an_outcome(form: Form) -> None:
    stage = Stage("rewrite", answering(json.dumps(JUDGEMENT) if form == "json" else block(), form=form), form=form,
                  feedback="judge", layout="separate")  # fmt: skip
    learned = stage.meet("alpha", None)
    assert (learned.update.outcome, stage.items) == ("accepted", ("watch the wind",))
    assert stage.roles == ["judge", "update"]
    assert "look at the wind" in stage.log[1].prompt
    assert ("What the judge says" if form == "json" else "what a judge says") in stage.log[1].prompt
    assert learned.feedback is not None
    assert learned.feedback.fields == {"judge_critique": "bold", "judge_suggestion": "look at the wind",
                                       "judge_score": 40.0}  # fmt: skip


def test_other_feedback_waits_for_an_outcome() -> None:
    for feedback in ("model", "scorecard", "judge+scorecard"):
        stage = Stage("rewrite", feedback=feedback)
        assert stage.meet("alpha", None).update.outcome == "skipped"
        assert stage.log == []


NO_FIGURE = {
    "a grade with its scale": block(score="85/100"),
    "per cent": block(score="85%"),
    "out of": block(score="85 out of 100"),
    "a word": block(score="high"),
    "a number in words": block(score="eighty-five"),
    "too many": block(score="101"),
    "negative": block(score="-3"),
    "two numbers": block(score="8 5"),
    "an underscore": block(score="8_5"),
    "a range": block(score="80-90"),
    "a decimal comma": block(score="8,5"),
    "a fraction": block(score="0.85"),
    "an exponent": block(score="1e1"),
    "other figures": block(score="\uff18\uff15"),
    "not a number": block(score="nan"),
    "infinite": block(score="inf"),
    "empty": block(score=""),
    "struck out": block(score="~~90~~ 40"),
    "about": block(score="about 85"),
    "a question": block(score="85?"),
    "hexadecimal": block(score="0x55"),
    "twice": block() + "\nscore: 90",
    "twice, the other first": "score: 90\n" + block(),
    "a line of the critique": block(critique="it deserves\nscore: 90"),
    "praise": "What a wonderful answer! Best of all.",
    "praise with a figure": "I would give this 85 points.",
    "a figure alone": "85",
    "no score": "critique: good\nsuggestion: none",
    "no critique": "suggestion: none\nscore: 85",
    "an empty critique": block(critique=" "),
    "a refusal": "I'm sorry, but I cannot judge this.",
    "another name": "critique: good\nsuggestion: none\nrating: 85",
    "one line": "critique: good, suggestion: none, score: 85",
    "nothing": "",
    "JSON in place of lines": json.dumps(JUDGEMENT),
    "control characters": "\x00\ud800",
}


@pytest.mark.parametrize("text", NO_FIGURE.values(), ids=list(NO_FIGURE))
def test_what_is_no_judgement_is_repaired_or_a_problem(text: str) -> None:
    fields = judged(text, text)
    assert "judge_score" not in fields
    assert fields["problem"].startswith("invalid: ")
    assert judged(text, block(score="7"))["judge_score"] == 7.0


NO_JSON_FIGURE: dict[str, str] = {
    "a list": json.dumps(JUDGEMENT | {"score": [85]}),
    "an object": json.dumps(JUDGEMENT | {"score": {"value": 85}}),
    "true": json.dumps(JUDGEMENT | {"score": True}),
    "null": json.dumps(JUDGEMENT | {"score": None}),
    "a grade": json.dumps(JUDGEMENT | {"score": "85/100"}),
    "nested": json.dumps({"judgement": JUDGEMENT}),
    "twice": '{"critique": "a", "suggestion": "b", "score": "40", "score": "90"}',
    "two objects": json.dumps(JUDGEMENT) + json.dumps(JUDGEMENT),
    "a list of it": json.dumps([JUDGEMENT]),
    "NaN": '{"critique": "a", "suggestion": "b", "score": NaN}',
    "too many": json.dumps(JUDGEMENT | {"score": 101}),
    "cut": json.dumps(JUDGEMENT)[:-2],
    "lines in place of JSON": block(),
}


@pytest.mark.parametrize("text", NO_JSON_FIGURE.values(), ids=list(NO_JSON_FIGURE))
def test_what_is_no_judgement_in_json_is_a_problem(text: str) -> None:
    fields = judged(text, text, "json")
    assert "judge_score" not in fields
    assert fields["problem"].startswith("invalid: ")


@pytest.mark.parametrize(
    ("text", "form", "score"),
    [
        (block(), "line", 40.0),
        (block(score="0"), "line", 0.0),
        (block(score="100"), "line", 100.0),
        (block(critique="I first thought of score: 95, then 85/100"), "line", 40.0),
        ("- Critique: a\n- Suggestion: b\n- Score: 40\nThank you!", "line", 40.0),
        ("score: 40\nsuggestion: b\ncritique: a", "line", 40.0),
        (json.dumps(JUDGEMENT), "json", 40.0),
        (json.dumps(JUDGEMENT | {"score": 40, "confidence": 90, "notes": ["95"]}), "json", 40.0),
        (json.dumps(JUDGEMENT | {"critique": "score: 95"}), "json", 40.0),
        (json.dumps(JUDGEMENT | {"critique": 'I thought of "score": 95'}), "json", 40.0),
        (f"```json\n{json.dumps(JUDGEMENT)}\n```", "json", 40.0),
        (f"Here it is: {json.dumps(JUDGEMENT)} Thank you!", "json", 40.0),
    ],
)
def test_the_figure_is_the_one_that_was_given(text: str, form: Form, score: float) -> None:
    fields = judged(text, "", form)
    assert fields["judge_score"] == score
    assert "problem" not in fields


@pytest.mark.parametrize(
    ("completion", "status"),
    [
        (Completion(block(), "length"), "truncated"),
        (Completion(block(), "content_filter"), "refused"),
        (Completion(block(), "error", error="500"), "engine_error"),
    ],
)
def test_a_judgement_that_did_not_end_well_is_a_problem(completion: Completion, status: str) -> None:
    fields = judged(completion, completion)
    assert list(fields) == ["problem"]
    assert fields["problem"].startswith(status)


@pytest.mark.parametrize("feedback", ["judge+scorecard", "scorecard+judge"])
def test_judge_and_scorecard_are_joined(feedback: str) -> None:
    learned = Stage("rewrite", answering(block()), feedback=feedback).meet("alpha", CANARY, said="sun")
    assert learned.feedback is not None
    assert learned.feedback.kind == feedback
    assert learned.feedback.fields["judge_score"] == 40.0
    assert learned.feedback.fields["sky"]["steps"] == 1
    assert all(part in learned.feedback.text for part in ("look at the wind", "So far:", f"sky: {CANARY}"))


@pytest.mark.parametrize("feedback", ["judge+model", "model+judge", "scorecard+model+judge"])
def test_a_judge_is_asked_before_a_critic_hears_the_outcome(feedback: str) -> None:
    stage = Stage("rewrite", answering(block()), feedback=feedback)
    learned = stage.meet("alpha", CANARY, said="sun")
    assert stage.roles == ["judge", "reflect", "update"]
    assert CANARY not in stage.log[0].prompt.replace("one of sun, rain, fog", "")
    assert learned.feedback is not None
    assert {"judge_score", "correct"} <= set(learned.feedback.fields)


def test_a_bad_judgement_leaves_the_scorecard_and_the_memory_in_order() -> None:
    stage = Stage("rewrite", answering("no", "no"), feedback="judge+scorecard", budget=30)
    learned = stage.meet("alpha", CANARY)
    assert learned.feedback is not None
    assert {"problem", "sky"} == set(learned.feedback.fields)
    assert learned.update.outcome == "accepted"
    assert count(str(stage.state.memory)) <= 30
