"""Notes: how alike they are, which one bears on a step, how often each helped, and which one goes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.cases.case import came, case, cases, parts
from llm_as_rnn.cases.index import features
from llm_as_rnn.cases.recall import Resemblance, likeness
from llm_as_rnn.core.fields import ARROW, Ranked, Text
from llm_as_rnn.core.outcomes import TOLERANCE, same_outcome
from llm_as_rnn.core.records import Observation, Section, SequenceInfo, Target
from llm_as_rnn.core.task import Task
from llm_as_rnn.recurrence.notes import (
    CHANGED,
    LATEST,
    Credit,
    credit,
    foretold,
    has_changed,
    is_covered,
    is_doubtful,
    spare,
    worst,
)
from tests.core.stage import OPTIONS, UNKNOWN, sky_task

TASK = sky_task()
words = st.lists(st.sampled_from(["rain", "fog", "wind", "7", "天", "気", "<", "high"]), max_size=8).map(" ".join)


@given(st.text(max_size=40), st.text(max_size=40))
def test_likeness_is_a_share_and_whole_for_the_same(one: str, other: str) -> None:
    assert 0 <= likeness(one, other) <= 1
    assert likeness(one, one) == likeness(one, f"  {one}\t") == 1


@given(words, words)
def test_only_the_same_words_in_the_same_order_are_quite_alike(one: str, other: str) -> None:
    assert (likeness(one, other) == 1) == (one == other)


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("sun", "rain", 0.0),
        ("SUN High", "sun high", 1.0),
        ("a b c d", "a b c x", 0.75),
        ("a b", "b a", 0.5),
        ("今日は晴れ", "今日は曇り", 0.6),
        ("気温12度で晴れ", "気温12度で曇り", 5 / 7),  # a figure does not glue the signs around it to one word
        ("A社は上昇", "A社は下落", 0.6),
        ("カナ", "かな", 0.0),
    ],
)
def test_likeness_by_hand(one: str, other: str, share: float) -> None:
    assert likeness(one, other) == pytest.approx(share)


# ------------------------------------------------------------------------------------------------------------- cases


def test_a_case_is_one_line_and_is_read_again() -> None:
    line = case(TASK, Observation("s", 0, {"seen": "a\n## b -> c"}), {"sky": "rain"}, SequenceInfo("s"))
    assert line == "a ## b - c -> rain"
    assert parts(line) == ("a ## b - c", "rain")
    assert came(TASK, line) == {"sky": "rain"}


@pytest.mark.parametrize("note", ["fog clears by noon", UNKNOWN, "", "fog->sun", "fog -> hail", "fog -> "])
def test_a_note_in_other_words_tells_no_outcome(note: str) -> None:
    assert came(TASK, note) is None


def test_a_task_may_keep_less_of_a_step_than_its_line() -> None:
    short = msgspec.structs.replace(TASK, line="{{ seen }}, and much more", case="{{ seen }}\n in short")
    seen = Observation("s", 0, {"seen": "fog"})
    assert case(short, seen, {"sky": "sun"}, SequenceInfo("s")) == "fog in short -> sun"
    assert short.show(seen, "line") == "fog, and much more"
    assert TASK.show(seen, "case") == TASK.show(seen, "line")


def test_cases_are_told_from_other_notes() -> None:
    assert cases(["fog -> sun", "fog clears by noon", "rain -> "]) == ["fog -> sun"]


@given(words, st.sampled_from(OPTIONS))
def test_every_case_tells_its_outcome(seen: str, sky: str) -> None:
    line = case(TASK, Observation("s", 0, {"seen": seen or "x"}), {"sky": sky}, SequenceInfo("s"))
    assert came(TASK, line) == {"sky": sky}


# ----------------------------------------------------------------------------------------------------------- closest

FRAME = "a b c d e f g h i j k l m n o p q r s t u v w {}"  # so long that one word makes little difference
SHOWN = FRAME.format("x")
CASES = (f"{SHOWN} -> sun", f"{FRAME.format('y')} -> rain", f"{FRAME.format('y z')} -> fog", f"{SHOWN} is a note")


NEAR = tuple(FRAME.format(f"x {word}") + f"{ARROW}{sky}" for word, sky in zip("yz!", OPTIONS, strict=True))


def test_an_arrow_in_what_was_seen_or_came_does_not_split_a_case_elsewhere() -> None:
    seen = Observation("s", 0, {"seen": "fog -> sun -> rain"})
    task = msgspec.structs.replace(TASK, answer=(Text("sky"),))
    written = case(task, seen, {"sky": "sun -> fog"}, SequenceInfo("s"))
    assert parts(written) == ("fog - sun - rain", "sun -> fog")
    assert came(task, written) == {"sky": "sun -> fog"}


def test_of_equals_the_later_is_better() -> None:
    for items in (NEAR, NEAR[::-1]):
        for most in range(4):
            assert Resemblance(items).closest(SHOWN, most) == list(items[len(items) - most :])


def test_nothing_is_close_to_what_is_strange() -> None:
    assert Resemblance(CASES).closest("1 2 3 4", 3) == []
    assert Resemblance(CASES).closest(SHOWN, 0) == []
    assert Resemblance([]).closest(SHOWN, 3) == Resemblance([]).same(SHOWN) == []
    assert Resemblance(CASES[3:]).closest(SHOWN, 3) == []


LIKE_LONG = ("zero", "four", "five", "nine", "half", "pair", "many")  # a long word has more parts that can differ

SHARED = "please open the box with the mark {} for me today"
MARKS = tuple(SHARED.format(mark) + f"{ARROW}sun" for mark in ("bovi", "tarel", "ulo", "nesk"))
OTHER_WORDS = (
    "now you bring us one big crate under mark tarel to look at -> rain",
    "bring us a crate with tarel -> rain",
)


def test_those_much_less_alike_than_the_best_stay_out() -> None:
    shown = SHARED.format("tarel")
    assert Resemblance(MARKS).closest(shown, 4) == [MARKS[1]]
    # Where nothing is better they are what there is.
    assert set(Resemblance([*MARKS[:1], *MARKS[2:]]).closest(shown, 4)) == {MARKS[0], MARKS[2], MARKS[3]}


def test_a_case_that_is_not_meant_stays_out_wherever_it_stands() -> None:
    memory = Resemblance([NEAR[0], f"{SHOWN} -> sun", NEAR[0]])
    assert memory.closest(SHOWN, 3, but=NEAR[0]) == [f"{SHOWN} -> sun"]
    assert memory.closest(SHOWN, 1, but=f"{SHOWN} -> sun") == memory.same(SHOWN, but=f"{SHOWN} -> sun")[:1] == [NEAR[0]]
    assert Resemblance(NEAR[:1]).same(SHOWN, but=NEAR[0]) == []


def test_the_same_are_all_that_are_most_alike_in_the_order_of_the_memory() -> None:
    both = [f"{SHOWN} -> sun", f"{SHOWN} -> rain"]
    assert Resemblance([NEAR[0], *both]).same(SHOWN) == both
    assert Resemblance([both[1], NEAR[0], both[0]]).same(SHOWN) == both[::-1]
    assert Resemblance(NEAR).same(SHOWN) == list(NEAR)


def test_cases_in_the_same_frame_are_not_about_the_same_for_that() -> None:
    items = [f"a b c {word}{ARROW}sun" for word in LIKE_LONG]
    memory = Resemblance(items)
    assert memory.closest("a b c eight", 1) == items[-1:]  # it may still serve as an example
    assert memory.same("a b c eight") == []
    assert memory.same("a b c four") == items[1:2]


memories = st.lists(
    st.one_of(words, st.tuples(words, st.sampled_from(OPTIONS)).map(lambda pair: f"{pair[0]}{ARROW}{pair[1]}")),
    max_size=8,
)


@given(memories, words, st.integers(0, 5), st.data())
def test_the_closest_are_given_cases_close_and_no_more_than_asked_for(
    items: list[str], shown: str, most: int, data: st.DataObject
) -> None:
    but = data.draw(st.sampled_from(["", *items]))
    memory = Resemblance(items)
    found = memory.closest(shown, most, but=but)
    assert len(found) <= most
    assert all(item in cases(items) and item != but for item in found)
    near = [i for i in cases(items) if i != but and features(parts(i)[0]).keys() & features(shown).keys()]
    assert set(found) <= set(near)
    assert found == memory.closest(shown, 9, but=but)[-most:] * bool(most)
    assert bool(found) == bool(near and most)


@given(memories, words, st.integers(1, 5), st.sampled_from(OPTIONS), st.integers(0, 8))
def test_nothing_is_closer_than_an_exact_copy(items: list[str], shown: str, most: int, sky: str, place: int) -> None:
    items.insert(place, f"{shown}{ARROW}{sky}")
    # Where words come again, other lines may consist of the same ones beside each other.
    alike = [item for item in cases(items) if features(parts(item)[0]).keys() == features(shown).keys()]
    assert Resemblance(items).closest(shown, most)[-1] == alike[-1]
    assert Resemblance(items).same(shown) == alike


@given(memories, words, st.sampled_from([*OPTIONS, ""]))
def test_the_same_are_among_the_closest(items: list[str], shown: str, but: str) -> None:
    memory = Resemblance(items)
    same, near = memory.same(shown, but=but), memory.closest(shown, 9, but=but)
    assert not same or near[-len(same) :] == same


# ---------------------------------------------------------------------------------------------------- same outcome


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"sky": "rain", "high": 9.0}, {"sky": "Rain", "high": 9.0}, True),
        ({"sky": "rain", "high": 9.0}, {"sky": "sun", "high": 9.0}, False),
        ({"sky": "rain", "high": 9.0}, {"sky": "rain", "high": 9.0 + 64 * TOLERANCE}, True),  # of 65 degrees
        ({"sky": "rain", "high": 9.0}, {"sky": "rain", "high": 9.0 - 66 * TOLERANCE}, False),
        ({"sky": "rain", "high": 9.0}, {"sky": "rain"}, True),
        ({"sky": "rain"}, {"high": 9.0}, False),
        ({"sky": "rain"}, {}, False),
        ({"sky": "rain"}, None, False),
        (None, None, False),
    ],
)
def test_which_outcomes_teach_the_same(one: Target | None, other: Target | None, same: bool, weather: Task) -> None:
    assert same_outcome(weather, one, other) is same
    assert same_outcome(weather, other, one) is same


def test_ranked_outcomes_are_the_same_in_the_same_order() -> None:
    ranked = msgspec.structs.replace(TASK, answer=(Ranked("best", top=2),))
    assert same_outcome(ranked, {"best": ("a", "b")}, {"best": ("A", "b")})
    assert not same_outcome(ranked, {"best": ("a", "b")}, {"best": ("b", "a")})
    assert came(ranked, "fog -> a; b") == {"best": ("a", "b")}


# ------------------------------------------------------------------------------------------------------------ credit


def credited(items: tuple[str, ...], shown: str, sky: str, *, right: bool) -> dict[str, tuple[int, int]]:
    ledger = credit({}, items, TASK, shown, {"sky": sky}, right=right, now=3)
    assert set(ledger) == set(items)
    assert {one.born for one in ledger.values()} <= {3}
    return {item: (one.helped, one.hurt) for item, one in ledger.items() if one.helped or one.hurt}


@pytest.mark.parametrize("right", [True, False])
def test_a_case_is_credited_by_its_own_outcome(right: bool) -> None:
    assert credited(CASES[:3], SHOWN, "sun", right=right) == {CASES[0]: (1, 0)}
    assert credited(CASES[3:], SHOWN, "sun", right=right).get(CASES[0]) is None
    assert credited(CASES[:3], SHOWN, "fog", right=right) == {CASES[0]: (0, 1)}
    assert credited(CASES[:3], "1 2 3 4", "fog", right=right) == {}


def test_all_cases_about_the_same_are_credited_each_by_its_own_outcome() -> None:
    items = (f"{SHOWN} -> sun", f"{SHOWN} -> rain", FRAME.format("x y") + " -> sun")
    assert credited(items, SHOWN, "sun", right=False) == {items[0]: (1, 0), items[1]: (0, 1)}


def test_where_none_is_about_the_same_the_closest_is_credited_alone() -> None:
    items = tuple(f"a b c {word}{ARROW}sun" for word in LIKE_LONG)
    assert Resemblance(items).same("a b c eight") == []
    assert credited(items, "a b c eight", "sun", right=True) == {items[-1]: (1, 0)}
    assert credited(items, "a b c eight", "rain", right=True) == {items[-1]: (0, 1)}


def test_a_case_that_was_in_line_with_a_wrongly_answered_step_was_ignored() -> None:
    for right, sky, after in (
        (False, "sun", Credit(helped=1, ignored=1, born=3)),
        (True, "sun", Credit(helped=1, born=3)),
        (False, "fog", Credit(hurt=1, missed=1, born=3)),
    ):
        assert credit({}, CASES[:1], TASK, SHOWN, {"sky": sky}, right=right, now=3) == {CASES[0]: after}


def test_another_note_is_credited_by_the_answer_where_it_bears_on_the_step() -> None:
    notes = ("pressure falls before the storm", "humid mornings", "of the and", "alpha 7")
    shown = "pressure falls, wind 7"
    assert credited(notes, shown, "sun", right=True) == {notes[3]: (1, 0), notes[0]: (1, 0)}
    assert credited(notes, shown, "sun", right=False) == {notes[3]: (0, 1), notes[0]: (0, 1)}


def test_credit_forgets_notes_that_are_gone_and_keeps_the_others() -> None:
    before = {"gone -> sun": Credit(helped=9), "a b -> sun": Credit(2, 1, 1, ignored=1)}
    after = credit(before, ["a b -> sun", "new"], TASK, "a b", {"sky": "rain"}, right=True, now=8)
    assert after == {"a b -> sun": Credit(2, 2, 2, ignored=1), "new": Credit(born=8)}
    assert before["a b -> sun"] == Credit(2, 1, 1, ignored=1)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_credit_adds_up(steps: list[tuple[bool, bool]]) -> None:
    one = Credit(born=4)
    for right, followed in steps:
        one = one.after(right=right, followed=followed)
    rights = [right for right, _ in steps]
    assert (one.helped, one.hurt, one.born) == (sum(rights), len(rights) - sum(rights), 4)
    assert one.missed == next((n for n, right in enumerate(reversed(rights)) if right), len(rights))
    assert one.ignored == sum(right and not followed for right, followed in steps)
    assert Credit().after(right=True) == Credit(helped=1)


@pytest.mark.parametrize(
    ("one", "doubtful"),
    [
        (Credit(), True),
        (Credit(hurt=1, missed=1), True),
        (Credit(helped=1, hurt=1, missed=1), False),
        (Credit(helped=9, hurt=2, missed=2), True),
        (Credit(helped=1, hurt=9, missed=0), False),
    ],
)
def test_one_miss_may_be_noise_and_two_are_a_change(one: Credit, doubtful: bool) -> None:
    assert is_doubtful(one) is doubtful
    assert is_doubtful(one, changed=True)


def test_it_is_known_whether_an_outcome_was_foretold_where_a_case_is_about_the_same() -> None:
    both = [f"{SHOWN} -> sun", f"{SHOWN} -> fog", "alpha bravo -> rain"]
    assert foretold(both, TASK, SHOWN, {"sky": "rain"}) == (False,)
    assert foretold(both, TASK, SHOWN, {"sky": "Fog"}) == (True,)  # one of several is enough
    assert foretold(both, TASK, "charlie delta", {"sky": "rain"}) == ()


@given(st.lists(st.booleans(), max_size=LATEST))
def test_the_world_has_changed_where_most_of_the_latest_outcomes_came_otherwise(latest: list[bool]) -> None:
    assert has_changed(latest) == (sum(not one for one in latest) >= CHANGED)
    assert not has_changed(latest[: CHANGED - 1])


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 50), st.integers(0, 50))
def test_more_help_is_worth_more_and_more_harm_less(helped: int, hurt: int, born: int, age: int) -> None:
    one = Credit(helped, hurt, born=born)
    t = born + age
    assert one.after(right=False).worth(t) < one.worth(t) < one.after(right=True).worth(t)


def test_a_new_note_is_worth_more_than_an_old_one_that_never_helped() -> None:
    assert Credit(born=20).worth(20) > Credit(born=0).worth(20) > Credit(hurt=2, born=20).worth(20)
    assert Credit(helped=9, born=0).worth(20) > Credit(born=20).worth(20)


# ------------------------------------------------------------------------------------------------------------- worst


def gone(items: tuple[str, ...], but: tuple[str, ...] = (), **known: Credit) -> str | None:
    ledger = {item: known[item.split()[0]] for item in items if item.split()[0] in known}
    return worst((Section("A", items[:2]), Section("B", items[2:])), ledger, TASK, 20, but=but)


def test_the_note_of_least_worth_goes() -> None:
    items = ("alpha -> sun", "bravo -> sun", "charlie in other words")
    assert gone(items, alpha=Credit(3), bravo=Credit(1), charlie=Credit(2)) == items[1]
    assert gone(items, alpha=Credit(3), bravo=Credit(1), charlie=Credit(0)) == items[2]


def test_what_another_case_says_as_well_goes_first_whatever_its_worth() -> None:
    items = (FRAME.format("x -> sun"), "bravo -> rain", FRAME.format("y -> sun"))
    assert gone(items, a=Credit(9), bravo=Credit(hurt=5)) == items[0]
    exceptional = (FRAME.format("x -> sun"), "bravo -> rain", FRAME.format("y -> fog"))
    assert gone(exceptional, a=Credit(9), bravo=Credit(hurt=5)) == "bravo -> rain"


def test_what_is_not_to_go_stays() -> None:
    items = ("alpha -> sun", UNKNOWN)
    assert gone(items, but=("alpha -> sun", UNKNOWN)) is None
    assert gone(items, but=(UNKNOWN,)) == "alpha -> sun"
    assert gone(()) is None


@given(st.lists(words, unique=True, max_size=6), st.integers(0, 6))
def test_the_worst_is_one_of_those_that_may_go(items: list[str], kept: int) -> None:
    but = tuple(items[:kept])
    loser = worst((Section("A", tuple(items)),), {}, TASK, 3, but=but)
    assert (loser is None) == (len(items) <= kept)
    assert loser is None or (loser in items and loser not in but)


# -------------------------------------------------------------------------------------------------- covered and spare

SUN, SUN_TOO, RAIN = FRAME.format("x") + " -> sun", FRAME.format("y") + " -> sun", FRAME.format("z") + " -> rain"


def test_a_case_is_covered_by_others_of_its_outcome_alone() -> None:
    assert is_covered(SUN, Resemblance([SUN, SUN_TOO]), TASK)
    assert is_covered(SUN, Resemblance([SUN_TOO]), TASK)  # whether it stands there itself or not
    assert not is_covered(SUN, Resemblance([SUN]), TASK)
    assert not is_covered(SUN, Resemblance([]), TASK)
    assert not is_covered(SUN, Resemblance([SUN, RAIN]), TASK)
    assert not is_covered(SUN, Resemblance([SUN, SUN_TOO, RAIN]), TASK)  # one of those as alike says otherwise
    assert not is_covered(SUN, Resemblance([SUN, "alpha -> sun"]), TASK)
    assert not is_covered("a note", Resemblance([SUN, "a note"]), TASK)


def spared(*items: str, but: tuple[str, ...] = (), **known: Credit) -> str | None:
    ledger = {item: known[parts(item)[0][-1]] for item in items if parts(item)[0][-1] in known}
    return spare((Section("A", items[:1]), Section("B", items[1:])), ledger, TASK, 20, but=but)


def test_of_spare_cases_the_one_of_least_worth_goes_and_the_ignored_go_last() -> None:
    assert spared(SUN, SUN_TOO, x=Credit(3), y=Credit(1)) == SUN_TOO
    assert spared(SUN, SUN_TOO, x=Credit(3), y=Credit(1, ignored=1)) == SUN
    assert spared(SUN, SUN_TOO, x=Credit(3), y=Credit(1), but=(SUN_TOO,)) == SUN
    assert spared(SUN, SUN_TOO, but=(SUN, SUN_TOO)) is None
    assert spared(SUN, RAIN, "alpha -> sun", "a note") is None
    assert spared() is None


@given(memories.map(lambda items: list(dict.fromkeys(items))), st.data())
def test_only_a_covered_case_that_may_go_is_spare_and_it_is_the_first_to_go(
    items: list[str], data: st.DataObject
) -> None:
    but = tuple(data.draw(st.lists(st.sampled_from(items), max_size=3)) if items else ())
    known = {item: data.draw(st.builds(Credit, *[st.integers(0, 3)] * 4)) for item in items[::2]}
    sections = (Section("A", tuple(items[:3])), Section("B", tuple(items[3:])))
    memory = Resemblance(items)
    covered = [item for item in cases(items) if item not in but and is_covered(item, memory, TASK)]
    first, loser = spare(sections, known, TASK, 9, but=but), worst(sections, known, TASK, 9, but=but)
    assert (first in covered) if covered else first is None
    assert loser not in but
    assert (loser is None) == (set(items) <= set(but))
    assert first is None or loser == first
