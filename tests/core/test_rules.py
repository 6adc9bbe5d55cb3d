"""Update rules by code, and `hybrid`: what each proposes, and what it lets go."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from llm_as_rnn.cases.blanks import FILLERS
from llm_as_rnn.core.calls import Completion
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.fields import Number
from llm_as_rnn.core.records import Form, Memory, Observation, Prediction, Section, Status, Update
from llm_as_rnn.recurrence.guard import COLLAPSE
from llm_as_rnn.recurrence.lessons import Lessons
from llm_as_rnn.recurrence.notes import LATEST, Credit
from llm_as_rnn.recurrence.rules import RULES, build_rule
from llm_as_rnn.recurrence.rules.base import without
from llm_as_rnn.recurrence.rules.hybrid import BETWEEN_CONSOLIDATIONS
from tests.core.stage import UNKNOWN, Stage, size, sky_task
from tests.helpers import by_hand, count

ONE, TWO, THREE = "alpha bravo -> sun", "charlie delta -> rain", "echo foxtrot -> fog"
FOUR = "golf hotel -> fog"
LONG = "a b c d e f g h i j k l m n o p q r s t u v w {}"  # 23 of 24 words the same: one frame by any measure


def test_an_unknown_rule_is_refused() -> None:
    writer = Stage("none").method.writer
    assert [build_rule(name, writer).name for name in RULES] == list(RULES)
    with pytest.raises(UsageError, match="no update rule 'rewriet'"):
        build_rule("rewriet", writer)


# ------------------------------------------------------------------------------------------------------------- cases


@pytest.mark.parametrize(
    ("recall", "echo", "order"),
    [
        (1, 1, (ONE, TWO, "alpha bravo golf -> fog", ONE)),
        (1, 3, (ONE, TWO, "alpha bravo golf -> fog", ONE, ONE, ONE)),
        (0, 3, (ONE, TWO, "alpha bravo golf -> fog")),
    ],
)
def test_the_memory_keeps_its_order_and_the_case_most_like_a_step_is_read_last(
    recall: int, echo: int, order: tuple[str, ...]
) -> None:
    stage = Stage("cases", recall=recall, echo=echo).holding(ONE, TWO, "alpha bravo golf -> fog")
    (system, asked), recalled = stage.method.writer.context(
        stage.state.sequence, stage.state.memory, Observation("s", 1, {"seen": "alpha bravo"})
    )
    shown = [*system.content.splitlines(), *asked.content.splitlines()]
    assert tuple(line.removeprefix("- ") for line in shown if "-> " in line) == order
    assert shown[-1] == "alpha bravo ->"
    assert recalled == ((ONE,) if recall else ()), "each is named once, however often it is shown"


def test_a_new_frame_is_added_and_the_stand_in_goes() -> None:
    stage = Stage("cases")
    assert UNKNOWN in stage.items
    assert stage.meet("alpha bravo", "sun").update == Update("accepted", "added")
    assert UNKNOWN not in stage.items
    stage.meet("charlie delta", "rain", right=True)
    assert stage.items == (ONE, TWO)


@pytest.mark.parametrize("form", ["line", "json"])
def test_cases_are_lines_in_both_forms(form: Form) -> None:
    stage = Stage("cases", form=form)
    stage.meet("alpha bravo", "sun")
    assert stage.items == (ONE,)


@pytest.mark.parametrize("seen", ["alpha bravo", "ALPHA bravo", LONG.format("y")])
def test_what_alike_cases_say_is_known_if_the_answer_was_right(seen: str) -> None:
    stage = Stage("cases").holding(ONE, LONG.format("x -> sun"))
    update = stage.meet(seen, "sun", right=True).update
    assert (update.outcome, update.reason.split(":")[0]) == ("kept", "known")
    assert stage.items == (ONE, LONG.format("x -> sun"))


@pytest.mark.parametrize("rule", ["cases", "append", "hybrid"])
@pytest.mark.parametrize("outcome", [{"sky": "rain"}, {"high": 9.0}])
def test_an_outcome_that_is_no_whole_answer_makes_no_case(rule: str, outcome: dict[str, Any]) -> None:
    task = sky_task()
    high = Number("high", low=-20, high=50, last="")
    stage = Stage(rule, task=msgspec.structs.replace(task, answer=(*task.answer, high))).holding(ONE)
    x, unanswered = Observation("s", 1, {"seen": "golf"}), Prediction(None, Status.INVALID)
    learned = by_hand(stage.method.learn(stage.state, x, unanswered, outcome), stage.answer)
    assert learned.update.outcome == "kept"
    assert learned.update.reason == f"no case: the outcome lacks {'high' if 'sky' in outcome else 'sky'}"
    assert learned.state.memory.sections == stage.state.memory.sections
    beyond: dict[str, Any] = {"sky": "rain", "high": 99.0}  # what happened, happened
    kept = by_hand(stage.method.learn(stage.state, x, unanswered, beyond), stage.answer)
    assert any(item.startswith("golf -> rain, 99") for item in kept.state.memory.sections[0].items)


def test_the_very_same_case_is_never_there_twice() -> None:
    stage = Stage("cases").holding(ONE)
    for right in (True, False):
        assert stage.meet("alpha bravo", "sun", right=right).update.outcome == "kept"
        assert stage.items == (ONE,)


def test_a_similar_case_is_another_example_if_the_answer_was_wrong() -> None:
    old, new = LONG.format("x -> sun"), LONG.format("y -> sun")
    stage = Stage("cases", budget=size(old, new)).holding(old)
    assert stage.meet(LONG.format("y"), "sun").update == Update("accepted", "added", "another example")
    assert stage.items == (old, new)


def test_a_spare_case_makes_room_for_another_example() -> None:
    old, new = LONG.format("x -> sun"), LONG.format("y -> sun")
    stage = Stage("cases", budget=size(old, new, TWO) - 1).holding(old, TWO, a=Credit(helped=9))
    assert stage.meet(LONG.format("y"), "sun").update == Update("accepted", "added", "another example")
    assert stage.items == (TWO, new)


def test_another_example_that_only_fits_in_place_of_others_that_count_is_left_out() -> None:
    old, new = LONG.format("x -> sun"), LONG.format("y and many words more -> sun")
    stage = Stage("cases", budget=size(old, TWO)).holding(old, TWO)
    update = stage.meet(LONG.format("y and many words more"), "sun").update
    assert update == Update("kept", "known", "a case like it is there, and no room for another")
    assert size(new, TWO) > size(old, TWO)
    assert stage.items == (old, TWO)


SHIP, FLAG = "what has a < ship > like ring ? -> sun", "what has a < big flag > like ring ? -> sun"
RING = "what has a … like ring ? -> sun"


@pytest.mark.parametrize("right", [True, False])
def test_a_full_memory_makes_one_note_of_cases_that_differ_in_one_place(right: bool) -> None:
    stage = Stage("cases", budget=size(SHIP, TWO)).holding(SHIP, TWO, what=Credit(helped=1))
    assert stage.meet("what has a < big flag > like ring ?", "sun", right=right).update == Update("accepted", "merged")
    assert stage.items == (TWO, RING)
    assert stage.state.memory.tokens == size(TWO, RING) < size(SHIP, TWO)
    known = stage.meet("what has a < tree > like ring ?", "sun", right=True).update
    assert (known.outcome, known.reason) == ("kept", "known: a case like it is there")


def test_all_that_a_note_with_a_blank_says_goes_with_it() -> None:
    stage = Stage("cases", budget=size(SHIP, FLAG, TWO)).holding(SHIP, TWO, FLAG)
    assert stage.meet("what has a < tree > like ring ?", "sun", right=True).update.reason == "merged"
    assert stage.items == (TWO, RING)


def test_while_there_is_room_cases_stay_as_they_came() -> None:
    stage = Stage("cases", budget=size(SHIP, FLAG, TWO)).holding(SHIP, TWO)
    assert stage.meet("what has a < big flag > like ring ?", "sun", right=True).update.reason.startswith("known")
    assert stage.items == (SHIP, TWO)


def test_nothing_is_left_blank_that_another_outcome_came_with() -> None:
    # With many cases in other words, those in one frame are about the same.
    held = (SHIP, TWO, THREE, *(f"golf{n} hotel{n} india{n} -> sun" for n in range(9)))
    other = "what has a < quite another word > like ring ? -> rain"
    for items, merges in (((*held, other), False), (held, True)):
        stage = Stage("cases", budget=size(*items)).holding(*items)
        update = stage.meet("what has a < big flag > like ring ?", "sun", right=True).update
        assert update.reason == ("merged" if merges else "known: a case like it is there")
        assert (RING in stage.items) == merges


def test_a_note_with_a_blank_is_disputed_once_and_replaced_after_two_misses_in_a_row() -> None:
    held = (TWO, THREE, "golf hotel india -> sun")
    stage = Stage("cases", budget=size(SHIP, *held)).holding(SHIP, *held)
    assert stage.meet("what has a < big flag > like ring ?", "sun", right=True).update.reason == "merged"
    assert stage.meet("what has a < tree > like ring ?", "fog").update.reason.startswith("disputed")
    assert stage.items == (*held, RING)
    assert stage.meet("what has a < leaf > like ring ?", "fog").update == Update("accepted", "corrected")
    assert stage.items == (*held, "what has a < leaf > like ring ? -> fog")


def test_a_note_with_a_blank_is_recalled_filled_in_whatever_the_echo() -> None:
    stage = Stage("cases", echo=7).holding(RING, TWO)
    x = Observation("s", 1, {"seen": "what has a < tree > like ring ?"})
    (system, asked), recalled = stage.method.writer.context(stage.state.sequence, stage.state.memory, x)
    assert recalled == (RING,), "named as the memory has it"
    assert system.content.splitlines()[-2:] == [f"- {RING}", f"- {TWO}"]
    filled = [f"what has a < {word} > like ring ? -> sun" for word in FILLERS]
    assert asked.content.splitlines() == [*filled, "what has a < tree > like ring ? ->"]


def test_a_blank_in_an_observation_is_none_in_its_case() -> None:
    stage = Stage("cases")
    stage.meet("well … like ring ?", "sun")
    assert stage.items == ("well ... like ring ? -> sun",)


def test_what_resembles_a_case_too_little_is_added_whatever_the_answer() -> None:
    for right in (True, False):
        stage = Stage("cases").holding(ONE)
        assert stage.meet("alpha delta", "rain", right=right).update == Update("accepted", "added")
        assert stage.items == (ONE, "alpha delta -> rain")


def test_a_proved_case_is_disputed_once_and_replaced_after_two_misses_in_a_row() -> None:
    stage = Stage("cases")
    stage.meet("alpha bravo", "sun")
    stage.meet("alpha bravo", "sun")  # proves it
    once = stage.meet("alpha bravo", "rain").update
    assert (once.outcome, once.reason.split(":")[0]) == ("kept", "disputed")
    stage.meet("alpha bravo", "sun")  # it was noise
    assert stage.meet("alpha bravo", "rain").update.reason.startswith("disputed")
    assert stage.items == (ONE,)
    twice = stage.meet("alpha bravo", "rain").update
    assert (twice.outcome, twice.reason) == ("accepted", "corrected")
    assert stage.items == ("alpha bravo -> rain",)


def test_where_other_cases_were_missing_too_a_proved_one_is_replaced_at_its_first_miss() -> None:
    seen = ["alpha bravo", "charlie delta", "echo foxtrot", "golf hotel"]
    stage = Stage("cases").holding(*(f"{line} -> sun" for line in seen))
    for line in seen:
        stage.meet(line, "sun")  # proves them
    for line in seen[:2]:
        assert stage.meet(line, "rain").update.reason.startswith("disputed")
    assert stage.state.foretold == (True, True, False, False)
    assert stage.meet(seen[2], "rain").update == Update("accepted", "corrected")
    assert stage.meet(seen[3], "rain").update == Update("accepted", "corrected")
    assert stage.items == ("alpha bravo -> sun", "charlie delta -> sun", "echo foxtrot -> rain", "golf hotel -> rain")
    stage.meet("india juliett", "rain")  # of this nothing was known
    assert stage.state.foretold == (False,) * LATEST


@pytest.mark.parametrize("right", [True, False])
def test_a_case_that_never_helped_is_replaced_at_once(right: bool) -> None:
    stage = Stage("cases").holding(ONE, TWO)
    assert stage.meet("alpha bravo", "rain", right=right).update == Update("accepted", "corrected")
    assert stage.items == (TWO, "alpha bravo -> rain")


def test_of_the_cases_that_are_spoken_against_the_doubtful_go_and_the_proved_stay() -> None:
    proved, doubtful = LONG.format("x -> sun"), LONG.format("y -> fog")
    stage = Stage("cases").holding(proved, doubtful)
    state = stage.state
    stage.state = msgspec.structs.replace(state, ledger={**state.ledger, proved: Credit(helped=3)})
    assert stage.meet(LONG.format("z"), "rain").update == Update("accepted", "corrected")
    assert stage.items == (proved, LONG.format("z -> rain"))


def test_one_case_that_speaks_against_it_is_enough_to_dispute_it() -> None:
    agrees, speaks = LONG.format("x -> rain"), LONG.format("y -> sun")
    stage = Stage("cases").holding(agrees, speaks, a=Credit(helped=3))
    assert stage.meet(LONG.format("z"), "rain").update.reason.startswith("disputed")
    assert stage.items == (agrees, speaks)


@pytest.mark.parametrize(
    ("credit", "after"),
    [
        (Credit(), ("alpha bravo -> rain",)),
        (Credit(helped=4, hurt=1, missed=1), ("alpha bravo -> rain",)),
        (Credit(helped=4), (UNKNOWN,)),
    ],
)
def test_where_the_lessons_are_wrong_the_own_memory_gets_the_case(credit: Credit, after: tuple[str, ...]) -> None:
    stage = Stage("cases", shared=99)
    lessons = Lessons(Memory((Section("Notes", (ONE,)),)))
    stage.state = msgspec.structs.replace(stage.state, lessons=lessons, ledger={ONE: credit})
    update = stage.meet("alpha bravo", "rain").update
    assert stage.items == after
    assert update.reason.split(":")[0] == ("disputed" if after == (UNKNOWN,) else "corrected")
    assert stage.state.lessons == lessons


def test_what_the_lessons_say_is_known() -> None:
    stage = Stage("cases", shared=99)
    stage.state = msgspec.structs.replace(stage.state, lessons=Lessons(Memory((Section("Notes", (ONE,)),))))
    assert stage.meet("alpha bravo", "sun", right=True).update.reason.startswith("known")
    assert stage.items == (UNKNOWN,)


def test_a_full_memory_lets_a_spare_case_go_before_a_useful_one() -> None:
    useful, spare, other = "useful thing -> rain", LONG.format("x -> sun"), LONG.format("y -> sun")
    stage = Stage("cases", budget=size(useful, spare, other)).holding(
        spare, useful, other, t=9, useful=Credit(helped=1), a=Credit(helped=8)
    )
    update = stage.meet("echo foxtrot", "fog").update
    assert (update.outcome, update.reason) == ("accepted", "added: 1 retired")
    assert stage.items == (useful, other, THREE)


def test_a_full_memory_keeps_what_helps_and_gives_new_cases_a_chance() -> None:
    budget = size(ONE, TWO, THREE)
    stage = Stage("cases", budget=budget).holding(
        ONE, TWO, THREE, t=20, alpha=Credit(helped=9), charlie=Credit(born=1), echo=Credit(born=19)
    )
    stage.meet("golf hotel", "fog")
    assert stage.items == (ONE, THREE, "golf hotel -> fog")
    assert stage.state.memory.tokens == count(str(stage.state.memory)) <= budget


def test_as_many_cases_go_as_it_takes() -> None:
    old = (ONE, TWO, THREE, "golf hotel -> fog", "india juliett -> fog")
    stage = Stage("cases", budget=size(*old)).holding(*old)
    assert stage.meet("kilo lima mike november", "fog").update.reason == "added: 2 retired"
    assert stage.items == (*old[2:], "kilo lima mike november -> fog")


def test_a_case_longer_than_half_of_the_budget_is_refused() -> None:
    seen = "word " * 12
    alone = size(f"{seen.strip()} -> sun")
    for budget, outcome in ((2 * alone, "accepted"), (2 * alone - 1, "kept")):
        stage = Stage("cases", budget=budget)
        update = stage.meet(seen, "sun").update
        assert update.outcome == outcome
    assert update.reason.startswith("over_budget")
    assert stage.items == (UNKNOWN,)


def test_the_stand_in_returns_when_the_last_note_goes() -> None:
    sections = (Section("A", ("x", "y")), Section("B", ("x",)))
    assert without(sections, "x", UNKNOWN) == (Section("A", ("y",)), Section("B", (UNKNOWN,)))
    assert without((Section("A", ("x",)),), "x", "") == (Section("A", ()),)


def test_what_stands_in_other_sections_counts_as_known() -> None:
    stage = Stage("cases", task=sky_task("Notes", "More")).holding(ONE, section=1)
    assert stage.meet("alpha bravo", "sun", right=True).update.reason.startswith("known")
    assert stage.meet("alpha bravo", "rain").update.reason.startswith("disputed")


# ------------------------------------------------------------------------------------------------------------ hybrid


def fitting(budget: int) -> str:
    """Write a memory of a good length for a budget."""
    return f"## Notes\n- {'w' * (4 * int(COLLAPSE * budget))}"


def full(answer: Any, t: int = BETWEEN_CONSOLIDATIONS) -> Stage:
    return Stage("hybrid", answer, budget=size(ONE, TWO, THREE)).holding(ONE, TWO, THREE, t=t)


def test_hybrid_is_cases_while_there_is_room() -> None:
    stage = Stage("hybrid").holding(t=BETWEEN_CONSOLIDATIONS)
    assert stage.meet("alpha bravo", "sun").update.reason == "added"


def test_hybrid_consolidates_a_full_memory() -> None:
    budget = size(ONE, TWO, THREE)
    stage = full(lambda _: fitting(budget))
    update = stage.meet("golf hotel", "fog").update
    assert (update.outcome, update.reason, stage.roles) == ("accepted", "consolidated", ["compress"])
    assert "golf hotel -> fog" in stage.log[0].prompt
    assert stage.state.consolidated == BETWEEN_CONSOLIDATIONS


def test_a_consolidation_may_say_the_same_in_a_new_way_or_leave_a_case_out() -> None:
    for notes in ((ONE, THREE), (ONE, "the charlie delta -> rain"), (ONE, "charlie delta is mostly wet")):
        stage = full(lambda _, notes=notes: "\n- ".join(["## Notes", *notes]))
        assert stage.meet("golf hotel", "fog").update.reason == "consolidated"
        assert stage.items == notes


def test_hybrid_waits_between_consolidations() -> None:
    stage = full(lambda _: "", t=BETWEEN_CONSOLIDATIONS - 1)
    assert stage.meet("golf hotel", "fog").update.reason == "added: 1 retired"
    assert stage.roles == []
    for step in range(2 * BETWEEN_CONSOLIDATIONS):
        stage.meet(f"new{step} thing{step}", "sun")
    assert len(stage.log) == 2 * 2  # twice in so many steps, each with its repair


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("that is not a memory", "no answer"),
        (Completion("", "error", error="500"), "no answer"),
        (Completion("", "content_filter"), "no answer"),
        (f"## Notes\n- {'w ' * 400}", "203 tokens"),
        ("## Notes\n- w", f"{size('w')} tokens"),
        ("## Notes", "no answer"),
        (f"## Notes\n- {ONE}\n- {TWO}\n- {THREE}\n- {FOUR}", f"{size(ONE, TWO, THREE, FOUR)} tokens"),
        (f"## Notes\n- {ONE}\n- charlie delta -> fog", "it overrules a case"),
        (f"## Notes\n- {ONE}\n- golf hotel -> sun", "it overrules a case"),
    ],
)
def test_hybrid_falls_back_to_retiring(answer: Completion | str, why: str) -> None:
    stage = full(lambda _: answer)
    assert stage.meet("golf hotel", "fog").update.reason == f"added: 1 retired; not consolidated: {why}"
    assert stage.items == (TWO, THREE, "golf hotel -> fog")
    asked = len(stage.log)
    assert stage.meet("india juliett", "fog").update.outcome == "accepted"
    assert len(stage.log) == asked  # it cost as much as a good answer


# ---------------------------------------------------------------------------------------------------- append and none


def test_append_keeps_every_step_and_drops_the_oldest() -> None:
    stage = Stage("append", budget=size(ONE, TWO, THREE))
    for seen, outcome in (("alpha bravo", "sun"), ("charlie delta", "rain"), ("echo foxtrot", "fog")):
        stage.meet(seen, outcome, right=True)
    assert stage.items == (ONE, TWO, THREE)
    stage.meet("alpha bravo", "sun", right=True)
    assert stage.items == (TWO, THREE, ONE)
    stage.meet("golf hotel", "fog", right=True)
    assert stage.items == (THREE, ONE, "golf hotel -> fog")


def test_append_goes_by_age_and_not_by_worth() -> None:
    stage = Stage("append", budget=size(ONE, TWO, THREE)).holding(ONE, TWO, THREE, alpha=Credit(helped=9))
    stage.meet("golf hotel", "fog")
    assert ONE not in stage.items


def test_none_never_asks_and_never_updates() -> None:
    stage = Stage("none")
    update = stage.meet("alpha bravo", "sun").update
    assert (update.outcome, stage.items, stage.log) == ("kept", (UNKNOWN,), [])


@pytest.mark.parametrize("rule", ["cases", "hybrid", "append", "none"])
def test_code_does_without_the_model(rule: str) -> None:
    stage = Stage(rule, feedback="auto")
    for step in range(4):
        stage.meet(f"alpha{step} bravo{step}", "sun")
    assert stage.log == []


def test_append_makes_room_among_what_a_person_wrote_into_another_section() -> None:
    written = tuple(f"a long note that somebody put here, number {n}" for n in range(4))
    budget = size("x", sections=("Notes", "More")) + count("\n".join(written))
    stage = Stage("append", task=sky_task("Notes", "More"), budget=budget).holding(*written, section=1)
    for day in range(3):
        assert stage.meet(f"day {day} with rain and wind", "sun").update.outcome == "accepted"
        assert f"day {day} with rain and wind -> sun" in stage.items
        assert count(str(stage.state.memory)) <= budget


@pytest.mark.parametrize("rule", ["cases", "hybrid"])
def test_cases_that_become_one_note_have_not_collapsed_however_many_they_were(rule: str) -> None:
    words = ("ship", "ships", "flag", "flags", "tree", "trees", "lamps")
    notes = tuple(f"what does {word} mean in this context ? -> sun" for word in words)
    stage = Stage(rule, budget=size(*notes)).holding(*notes)
    update = stage.meet("what does shiplet mean in this context ?", "sun").update
    assert (update.outcome, update.code) == ("accepted", "merged")
    assert stage.items == ("what does … mean in this context ? -> sun",)


def test_a_long_case_that_an_outcome_speaks_against_gives_way_to_a_short_one() -> None:
    wrong = f"the mark {'bovi ' * 30}that stands on the box -> sun"
    stage = Stage("cases", budget=120).holding(wrong)
    assert stage.meet("the mark bovi that stands on the box", "rain").update.code == "corrected"
    assert wrong not in stage.items
