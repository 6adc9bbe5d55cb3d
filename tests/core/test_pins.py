"""A pinned note stays where it is, word for word, whatever a rule, a model, a watch or a person makes of the memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.catalogue import METHODS
from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.records import Memory, Section
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.recurrence.notes import Credit
from llm_as_rnn.recurrence.rules import RULES, traits
from llm_as_rnn.recurrence.watch import PROVED, Served, Watch
from llm_as_rnn.streams.learner import Learner
from llm_as_rnn.streams.online import Stream, begin, revive
from llm_as_rnn.streams.tending import edit, pin, restorable, restore
from tests.core.stage import UNKNOWN, Stage, size, sky_task
from tests.core.test_online import SEQUENCE, answer, asked, told
from tests.helpers import Answer, by_hand, count, make

LEARNING = [rule for rule in RULES if traits(rule).learns]
ONE, TWO, THREE = "alpha bravo -> sun", "charlie delta -> rain", "echo foxtrot -> fog"
FOUR = "golf hotel -> fog"
INFO = EngineInfo("scripted:test", form="line", style="completion")


def pinned(stage: Stage, *notes: str) -> Stage:
    stage.state = msgspec.structs.replace(stage.state, memory=msgspec.structs.replace(stage.state.memory, pinned=notes))
    return stage


def rewriting(*notes: str) -> Answer:
    def write(request: Request) -> str:
        return json.dumps({"Notes": notes}) if request.answer.schema else "\n- ".join(("## Notes", *notes))

    return write


# ------------------------------------------------------------------------------------------------------- every rule

WORDS = st.sampled_from(["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india"])
TEXTS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
STEPS = st.lists(
    st.tuples(TEXTS, st.sampled_from(["sun", "rain", "fog"]), st.booleans(), st.lists(TEXTS, max_size=8)),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("form", ["line", "json"])
@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=25, deadline=None)
@given(
    steps=STEPS,
    pins=st.lists(TEXTS, min_size=1, max_size=3, unique=True),
    spare=st.integers(0, 20),
    watch=st.booleans(),
)
def test_every_pin_outlasts_every_step_within_the_budget(
    rule: str, form: Any, steps: list[Any], pins: list[str], spare: int, watch: bool
) -> None:
    pins = [f"{note} -> fog" for note in pins]
    budget = max(2 * size(*pins, sections=("Notes", "More")), size(sections=("Notes", "More"))) + spare
    words: list[str] = []

    def write(request: Request) -> Completion | str:
        if request.answer.name == "delta":
            said = {
                "action": ["add", "change", "drop"][len(words) % 3],
                "number": "1",
                "note": " ".join(words) or "none",
            }
            said["section"] = "Notes"
            return json.dumps(said) if form == "json" else "\n".join(f"{name}: {said[name]}" for name in said)
        return (
            json.dumps({"Notes": words, "More": []})
            if form == "json"
            else "\n- ".join(("## Notes", *words)) + "\n## More"
        )

    stage = Stage(rule, write, task=sky_task("Notes", "More"), form=form, budget=budget, watch=watch).holding(*pins)
    pinned(stage, *pins)
    for seen, outcome, right, words in steps:  # noqa: B007 - what the model writes next
        stage.meet(seen, outcome, right=right)
        memory = stage.state.memory
        assert set(pins) <= set(memory.sections[0].items)
        assert memory.pins == tuple(pins)
        assert count(str(memory)) <= budget
        assert memory.tokens in (None, count(str(memory)))
        assert msgspec.json.decode(msgspec.json.encode(stage.state), type=type(stage.state)) == stage.state


@pytest.mark.parametrize("rule", [rule for rule in LEARNING if traits(rule).keeps_cases])
def test_a_full_memory_lets_the_others_go(rule: str) -> None:
    def full() -> Stage:
        good = Credit(helped=9)
        return Stage(rule, budget=size(ONE, TWO, FOUR)).holding(
            ONE, TWO, FOUR, alpha=Credit(hurt=9), charlie=good, golf=good
        )

    stage = full()
    stage.meet("echo foxtrot", "fog")
    assert stage.items == (TWO, FOUR, THREE)
    stage = pinned(full(), ONE)
    assert stage.meet("echo foxtrot", "fog").update.outcome == "accepted"
    assert ONE in stage.items
    assert THREE in stage.items
    assert len(stage.items) == 3


def test_what_contradicts_a_pinned_case_stands_beside_it() -> None:
    stage = pinned(Stage("cases").holding(ONE), ONE)
    assert stage.meet("alpha bravo", "rain").update.code == "corrected"
    assert stage.items == (ONE, "alpha bravo -> rain")


def test_cases_are_merged_beside_a_pinned_one() -> None:
    ship, flag = "what has a < ship > like ring ? -> sun", "what has a < flag > like ring ? -> sun"
    stage = pinned(Stage("cases", budget=size(ship, flag)).holding(ship, flag), ship)
    stage.meet("what has a < tree > like ring ?", "sun", right=True)
    assert ship in stage.items


@pytest.mark.parametrize("form", ["line", "json"])
def test_a_rewrite_that_leaves_a_pinned_note_out_gets_it_back_where_it_stood(form: Any) -> None:
    stage = Stage("rewrite", rewriting("golf", "hotel"), form=form).holding("india", TWO, ONE)
    update = pinned(stage, TWO).meet("alpha", "fog").update
    assert (update.outcome, update.code) == ("accepted", "rewritten")
    assert stage.items == ("golf", TWO, "hotel")
    assert stage.state.memory.pins == (TWO,)


def test_a_rewrite_that_is_nothing_but_a_pinned_note_left_out_changes_nothing() -> None:
    stage = pinned(Stage("rewrite", rewriting(UNKNOWN)).holding(ONE), ONE)
    update = stage.meet("golf", "fog").update
    assert (update.outcome, update.code) == ("kept", "unchanged")
    assert stage.items == (ONE,)


def test_a_model_that_writes_anew_is_shown_the_pinned_notes_among_the_others() -> None:
    stage = pinned(Stage("rewrite", rewriting("golf"), form="json").holding(ONE, TWO), ONE)
    stage.meet("alpha", "fog")
    assert f"- {ONE}\n- {TWO}" in stage.log[0].prompt


def test_notes_that_fit_beside_no_pins_leave_the_memory_as_it_was() -> None:
    many = " ".join(["alpha"] * 30)
    stage = pinned(Stage("rewrite", rewriting(many), budget=size(many)).holding(ONE), ONE)
    update = stage.meet("golf", "fog").update
    assert stage.items == (ONE,)
    assert (update.outcome, update.code) == ("kept", "unchanged")


def test_going_back_to_a_better_version_keeps_what_was_pinned_since(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_as_rnn.recurrence.cell.has_fallen", lambda errors: True)
    stage = pinned(Stage("cases", watch=True).holding(ONE, TWO), TWO)
    better = Served(Memory((Section("Notes", (THREE,)),)), PROVED, 0.0)
    stage.state = msgspec.structs.replace(stage.state, watch=Watch((), (better,)))
    assert stage.meet("golf hotel", "fog").update.code == "fallen"
    assert stage.items == (THREE, TWO)
    assert (stage.state.memory.pins, stage.state.memory.tokens) == ((TWO,), size(THREE, TWO))


def test_no_going_back_where_the_pinned_notes_leave_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_as_rnn.recurrence.cell.has_fallen", lambda errors: True)
    stage = pinned(Stage("cases", watch=True, budget=size(ONE, TWO) - 1).holding(ONE, TWO), ONE, TWO)
    better = Served(Memory((Section("Notes", (THREE,)),)), PROVED, 0.0)
    stage.state = msgspec.structs.replace(stage.state, watch=Watch((), (better,)))
    assert stage.meet("golf hotel", "fog").update.outcome != "rolled_back"


# ------------------------------------------------------------------------------------------------------- the stream

BUDGET = 200


def learned(steps: int = 3) -> tuple[Any, Stream]:
    chosen, stream = asked("recurrent", 6)
    for t in range(steps):
        stream = told(chosen, stream, t, "apply").stream
    return chosen, stream


def notes(memory: Memory) -> list[str]:
    return [note for section in memory.sections for note in section.items]


def memory_of(chosen: Any, stream: Stream) -> Memory:
    memory: Memory = chosen.memory(stream.state)
    return memory


def test_pinning_changes_no_text_and_unpinning_lets_the_note_go() -> None:
    chosen, stream = learned(1)
    before = memory_of(chosen, stream)
    note = before.sections[0].items[0]
    after = by_hand(pin(chosen, stream, note, BUDGET), answer)
    assert memory_of(chosen, after) == msgspec.structs.replace(before, pinned=(note,))
    assert after.versions[-1].memory == memory_of(chosen, after)
    assert after.waiting == stream.waiting
    assert by_hand(pin(chosen, after, note, BUDGET), answer) is after
    assert revive(chosen, msgspec.json.encode(after)) == after
    assert note in notes(memory_of(chosen, told(chosen, after, 1, "apply").stream))
    assert note not in notes(memory_of(chosen, told(chosen, stream, 1, "apply").stream))
    again = by_hand(pin(chosen, after, note, BUDGET, pinned=False), answer)
    assert again == stream
    assert by_hand(pin(chosen, again, note, BUDGET, pinned=False), answer) is again


def test_what_cannot_be_pinned_is_refused() -> None:
    chosen, stream = learned(1)
    with pytest.raises(UsageError, match=r"no note 'sun' \(name one word for word"):
        by_hand(pin(chosen, stream, "sun", BUDGET), answer)
    empty = begin(chosen, SEQUENCE.info)
    with pytest.raises(UsageError, match=r"no note 'Nothing is known yet\.'"):
        by_hand(pin(chosen, empty, memory_of(chosen, empty).sections[0].items[0], BUDGET), answer)
    note = memory_of(chosen, stream).sections[0].items[0]
    with pytest.raises(
        UsageError, match=r"with this one the pinned notes hold \d+ tokens, more than half of the budget of 20"
    ):
        by_hand(pin(chosen, stream, note, 20), answer)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_heeds_pins_or_says_that_it_does_not(name: str) -> None:
    chosen = make(name, load_task("weather"), form="line", budget=BUDGET)
    stream = begin(chosen, SEQUENCE.info)
    if chosen.memory(stream.state) is None:
        with pytest.raises(UsageError, match=f"the method {name} keeps no memory"):
            by_hand(pin(chosen, stream, "sun", BUDGET), answer)
    elif not chosen.keeps_pins:
        with pytest.raises(UsageError, match=f"the method {name} heeds no pins"):
            by_hand(pin(chosen, stream, "sun", BUDGET), answer)
    else:
        stream = by_hand(edit(chosen, stream, {"Patterns": ["fog -> sun"]}, BUDGET), answer)
        stream = by_hand(pin(chosen, stream, "fog -> sun", BUDGET), answer)
        assert memory_of(chosen, stream).pins == ("fog -> sun",)


def test_a_restored_version_gets_the_pinned_notes() -> None:
    chosen, stream = learned(2)
    first, last = stream.versions[1].memory, memory_of(chosen, stream)
    note = last.sections[0].items[0]
    stream = by_hand(pin(chosen, stream, note, BUDGET), answer)
    found = restorable(chosen, stream, 1)
    assert (notes(found), found.tokens) == ([note, *notes(first)], None)
    after = restore(chosen, stream, 1, BUDGET, count(str(found)), author="ann")
    assert (memory_of(chosen, after).sections, memory_of(chosen, after).pins) == (found.sections, (note,))
    assert (after.versions[-1].author, after.versions[-1].reason) == ("ann", "version 1 restored")
    with pytest.raises(UsageError, match="more than the budget of 9"):
        restore(chosen, stream, 1, 9, count(str(found)))
    with pytest.raises(UsageError, match="version 1 lacks notes that are pinned now"):
        restore(chosen, stream, 1, BUDGET)
    empty = restore(chosen, stream, 0, BUDGET, 50)
    assert memory_of(chosen, empty).sections[0].items == (note,), "what stands for no notes goes"


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["apply", "replay"]), st.permutations(range(6)))
def test_no_order_of_what_people_and_outcomes_do_loses_a_pin(data: Any, policy: Any, order: list[int]) -> None:
    chosen, stream = asked("recurrent", 6)
    pins: set[str] = set()
    left = list(order)
    for _ in range(data.draw(st.integers(1, 10))):
        memory = memory_of(chosen, stream)
        act = data.draw(st.sampled_from(["tell", "pin", "unpin", "edit", "restore"]))
        try:
            if act == "tell" and left:
                stream = told(chosen, stream, left.pop(), policy).stream
            elif act == "pin":
                note = data.draw(st.sampled_from(notes(memory)))
                stream = by_hand(pin(chosen, stream, note, BUDGET), answer)
                pins.add(note)
            elif act == "unpin" and pins:
                note = data.draw(st.sampled_from(sorted(pins)))
                stream = by_hand(pin(chosen, stream, note, BUDGET, pinned=False), answer)
                pins.remove(note)
            elif act == "edit":
                written = {"Patterns": [*memory.sections[0].items, f"noted {data.draw(st.integers(0, 99))}"]}
                stream = by_hand(edit(chosen, stream, written, BUDGET), answer)
            elif act == "restore":
                version = data.draw(st.sampled_from([entry.memory.version for entry in stream.versions]))
                tokens = count(str(restorable(chosen, stream, version)))
                stream = restore(chosen, stream, version, BUDGET, tokens)
        except UsageError:
            pass
        memory = memory_of(chosen, stream)
        assert set(memory.pins) == pins <= set(notes(memory))
        assert count(str(memory)) <= BUDGET
        assert stream.versions[-1].memory == memory
        assert revive(chosen, msgspec.json.encode(stream)) == stream


def test_a_late_outcome_does_not_undo_a_pin() -> None:
    chosen, stream = asked("recurrent", 4)
    for t in (1, 2):
        stream = told(chosen, stream, t, "replay").stream
    note = memory_of(chosen, stream).sections[0].items[0]
    assert stream.lessons
    stream = by_hand(pin(chosen, stream, note, BUDGET), answer)
    after = told(chosen, stream, 0, "replay")
    assert (after.again, memory_of(chosen, after.stream).pins) == (0, (note,))
    assert note in notes(memory_of(chosen, after.stream))


def test_pins_are_saved_and_a_memory_without_any_is_written_as_it_always_was(tmp_path: Path) -> None:
    path = tmp_path / "learner.json"
    with Learner("weather", engine=ScriptedEngine(answer, INFO), budget=100) as one:
        one.learn_one(one.predict_one(SEQUENCE.steps[0].observation.fields).id, SEQUENCE.steps[0].target or {})
        one.save(path)
        assert b'"pinned"' not in path.read_bytes()
        assert b'"author"' not in path.read_bytes()
        assert one.memory is not None
        note = one.memory.sections[0].items[0]
        assert one.pin(note).pins == (note,)
        one.save(path)
        kept = one.stream
    with Learner.load(path, engine=ScriptedEngine(answer, INFO)) as two:
        assert two.stream == kept
        two.learn_one(two.predict_one(SEQUENCE.steps[1].observation.fields).id, SEQUENCE.steps[1].target or {})
        assert two.memory is not None
        assert note in two.memory.sections[0].items
        assert two.pin(note, pinned=False).pins == ()
