"""Outcomes in any order: late by any number of steps, twice, or never. Nothing may assume that time runs forwards."""

from __future__ import annotations

import os
import zlib
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.catalogue import METHODS, REFERENCES
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.fields import Field, Label, Number, Ranked, Text
from llm_as_rnn.core.method import Method
from llm_as_rnn.core.records import Observation, Prediction, SequenceInfo, Status
from llm_as_rnn.core.task import MemorySection, Task
from llm_as_rnn.recurrence.notes import Credit
from llm_as_rnn.recurrence.rules import RULES, traits
from llm_as_rnn.streams.online import Stream, ask, begin, revive, tell
from llm_as_rnn.streams.settings import Policy
from tests.core.stage import Stage
from tests.helpers import bare, by_hand, count, make

STREAMS = int(os.environ.get("LLM_AS_RNN_STREAMS", "300"))
"""How many streams the property is tried on; 10,000 take some minutes."""

LATEST = 8
"""Steps that an outcome may be late."""

SKIES = ("sun", "rain", "fog")
WORDS = ("bovi", "tarel", "ulo", "a box", "marked", "in the", "north", "…", "-> sun", "wind 9")

LABEL = Label("sky", options=SKIES, last="was")
NUMBER = Number("high", low=-20, high=45, last="high")
POSITIVE = Number("level", low=0.1, high=50, metrics=("log",))
RANKED = Ranked("codes", top=2)
WORDED = Text("words", max_chars=80)
ANSWERS = ((LABEL,), (LABEL, NUMBER), (NUMBER,), (POSITIVE, LABEL), (RANKED,), (WORDED, LABEL))

JUNK = (
    "", "no idea", "{", "[]", "null", " rain, 9.5", "## Notes\n- rain\n- fog", '{"Notes": ["rain follows fog"]}',
    "action: add\nnote: rain follows fog", "action: drop\nnumber: 1\nnote: x",
    "action: change\nnumber: 2\nnote: fog -> sun",
    "summary: wet", "correct: no\nmissed: sky\nwhy: wind\nsuggestion: look", "x " * 300,
    "\ud800", "-> sun", "… -> rain",
)  # fmt: skip


def task_of(answer: tuple[Field, ...], sections: int) -> Task:
    shown = "{{ seen }}, was {{ was }}, high {{ high }}"
    return Task(
        name="any",
        title="Any",
        instructions="Predict what comes.",
        observation=shown,
        line=shown,
        case="{{ seen }}",
        answer=answer,
        memory=tuple(MemorySection(name, "what helps") for name in ("Notes", "Errors")[:sections]),
    )


def method_of(random: Random, task: Task) -> tuple[Method, int]:
    form: Any = random.choice(["line", "json"])
    rules = [f"recurrent:{rule}" for rule in RULES]
    suited = [name for name, kind in REFERENCES.items() if getattr(kind, "suits", lambda _: True)(task)]
    others = [name for name in (*METHODS, *suited) if name != "recurrent"]
    name = random.choice([*rules * 3, "recurrent:cases", "recurrent:hybrid", "recurrent:cases", *others])
    feedback = random.choice(["auto", "model", "scorecard", "judge+scorecard"])
    updating: dict[str, Any] = {
        "rule": "rewrite",
        "when": random.choice(["every", "every", "every:2", "every:3", "on_error", "surprise"]),
        "allowance": random.choice([0, 0, 0, 40]),
        "recall": random.choice([None, 0, 2]),
        "recheck": random.choice([0, 0, 2]),
        "watch": random.random() < 0.1,
    }
    budget = random.randint(100, 300)
    return make(name, task, form=form, budget=budget, feedback=feedback, **updating), budget


def outcome_of(random: Random, field: Field) -> Any:
    match field:
        case Label():
            return random.choice(SKIES)
        case Number():
            odd = [1e308, 1.7e308] if field is POSITIVE else [1e308, -1.7e308]
            return random.choice([round(random.uniform(1, 40), 1), 60.0, *odd]) if random.random() < 0.3 else 9.5
        case Ranked():
            return tuple(random.sample(["p", "q", "r", "s"], random.randint(1, 4)))
        case _:
            return " ".join(random.choices(WORDS, k=3))


def observed(random: Random) -> dict[str, Any]:
    return {
        "seen": " ".join(random.choices([*WORDS, *(f"mark{n}" for n in range(40))], k=random.randint(0, 8))),
        "was": random.choice([None, *SKIES]),
        "high": random.choice([None, 3, 9.5, -1.7e308]),
    }


def model_of(random: Random, task: Task) -> Any:
    """Answer by the request alone: usable, junk, cut short, or not at all."""
    salt = random.randrange(10**6)
    guesses = [{field.name: field.read_outcome(outcome_of(random, field)) for field in task.answer} for _ in range(4)]
    broken = random.random() < 0.3

    def answer(request: Request) -> Completion | str:
        chance = Random(zlib.crc32(request.prompt.encode("utf-8", "replace")) ^ salt)
        if chance.random() < 0.03 and broken:
            return Completion("", "error", error="500 \ud800")
        if chance.random() < 0.03:
            return Completion(chance.choice(JUNK), "length")
        if request.role == "predict" and chance.random() < 0.8:
            form: Any = "json" if request.answer.schema else "line"
            return task.spec(form).show(chance.choice(guesses))
        if request.role in ("update", "compress") and chance.random() < 0.5:
            notes = [f"{word} {chance.randrange(50)} -> {chance.choice(SKIES)}" for word in chance.choices(WORDS, k=5)]
            if request.answer.schema:
                return msgspec.json.encode({section.name: notes for section in task.memory}).decode()
            return "\n".join(f"## {section.name}\n" + "\n".join(f"- {n}" for n in notes) for section in task.memory)
        return chance.choice(JUNK)

    return answer


def events(random: Random, steps: int) -> list[tuple[str, int]]:
    """Say when each step is predicted, and when its outcome is told: late, twice, or never."""
    found = [(float(t), "ask", t) for t in range(steps)]
    for t in range(steps):
        if random.random() < 0.9:
            due = t + random.randint(0, LATEST) + 0.5 + random.random() / 4
            found += [(due, "tell", t)] + [(due + random.randint(0, 9), "tell", t)] * (random.random() < 0.2)
    return [(what, t) for _, what, t in sorted(found)]


def run_stream(seed: int) -> None:
    random = Random(seed)
    task = task_of(random.choice(ANSWERS), random.randint(1, 2))
    method, budget = method_of(random, task)
    policy: Policy = random.choice(["apply", "replay"])
    answer = model_of(random, task)
    stream = begin(method, SequenceInfo("s"))
    told: set[int] = set()
    for what, t in events(random, random.randint(12, 30)):
        if what == "ask":
            stream, _ = by_hand(ask(method, stream, "s", observed(random), f"id {t}"), answer)
        else:
            target = {field.name: field.read_outcome(outcome_of(random, field)) for field in task.answer}
            if random.random() < 0.1 and len(target) > 1:
                del target[task.answer[0].name]
            result = by_hand(tell(method, stream, f"id {t}", target, policy), answer)
            assert result.fate in (("duplicate",) if t in told else ("learned", "failed"))
            told |= {t} if result.fate == "learned" else set()
            stream = result.stream
        check(method, stream, budget)
        if random.random() < 0.3:
            stream = revive(method, msgspec.json.encode(stream))


def check(method: Method, stream: Stream, budget: int) -> None:
    written = msgspec.json.encode(stream.state)
    assert msgspec.json.decode(written, type=method.state_type) == stream.state
    memory = method.memory(stream.state)
    assert memory is None or count(str(memory)) <= budget


@pytest.mark.parametrize("streams", [max(STREAMS // 4, 1), pytest.param(STREAMS, marks=pytest.mark.long)])
def test_no_order_of_outcomes_ends_in_an_exception(streams: int) -> None:
    @settings(max_examples=streams, deadline=None)
    @given(st.integers(0, 2**40))
    def ends(seed: int) -> None:
        run_stream(seed)

    ends()


@given(st.builds(Credit, st.integers(0, 9), st.integers(0, 9), born=st.integers(0, 40)), st.integers(0, 40))
def test_a_note_that_helped_more_is_worth_more_at_any_time(credit: Credit, now: int) -> None:
    assert credit.after(right=False).worth(now) < credit.worth(now) < credit.after(right=True).worth(now)


@pytest.mark.parametrize("rule", ["cases", "hybrid"])
def test_a_late_outcome_neither_crashes_nor_takes_the_best_note(rule: Any) -> None:
    """Of three cases that fill the memory, the one that helped stays, however old the step that is told."""
    items = ("alpha bravo -> sun", "carol delta -> rain", "echo foxtrot -> fog")
    new = Credit(born=9)
    for late in range(10):
        stage = Stage(rule, lambda _: "", budget=count("## Notes\n" + "\n".join(f"- {i}" for i in items)))
        stage.holding(*items, alpha=Credit(helped=5, born=9), carol=new, echo=new)
        stage.state = msgspec.structs.replace(stage.state, now=9)
        stage.t = late
        stage.meet("golf hotel", "sun")
        assert "alpha bravo -> sun" in stage.items
        assert "golf hotel -> sun" in stage.items
        assert stage.state.now == 9


def learnt(name: str, order: list[int], **choices: Any) -> tuple[Method, Any]:
    """Learn the outcomes of five steps in an order; which one it was is told by the outcome."""
    task = task_of((Number("high", low=-20, high=45),), 1)
    method = bare(name, task, **choices)
    state = method.start(SequenceInfo("s"))
    for t in order:
        x = Observation("s", t, {"seen": f"day {t}", "was": None, "high": None})
        said = Prediction({"high": 1.0}, Status.OK, "1.0")
        state = by_hand(method.learn(state, x, said, {"high": float(t)}), lambda _: "").state
    return method, state


@pytest.mark.parametrize("name", ["full_history", "repeat_last", "majority", "nearest_case"])
def test_past_steps_stand_in_their_order_whatever_order_they_came_in(name: str) -> None:
    assert learnt(name, [2, 0, 4, 1, 3])[1] == learnt(name, [0, 1, 2, 3, 4])[1]


def test_the_latest_value_is_that_of_the_latest_step() -> None:
    method, state = learnt("repeat_last", [4, 0, 3])
    x = Observation("s", 5, {"seen": "day 5", "was": None, "high": None})
    prediction = by_hand(method.predict(state, x), lambda _: "")
    assert prediction.values == {"high": 4.0}


def test_a_scorecard_does_not_take_a_late_outcome_for_what_follows_the_latest() -> None:
    _, state = learnt("recurrent", [4, 0, 5], feedback="scorecard", rule="none")
    tally = state.scorecard["high"]
    assert (tally.latest, tally.latest_t) == (5.0, 5)
    assert (tally.repeated, tally.repeat_abs_error) == (1, 1.0)


def test_states_that_were_written_without_steps_go_on() -> None:
    method, state = learnt("repeat_last", [0, 1, 2])
    old = msgspec.structs.replace(state, steps=())
    x = Observation("s", 3, {"seen": "day 3", "was": None, "high": None})
    after = by_hand(method.learn(old, x, Prediction(None, Status.INVALID), {"high": 3.0}), lambda _: "").state
    assert [outcome["high"] for outcome in after.outcomes] == [0.0, 1.0, 2.0, 3.0]


def test_the_rules_that_keep_cases_are_all_tried() -> None:
    assert {name for name in RULES if traits(name).keeps_cases} == {"cases", "hybrid", "append"}
