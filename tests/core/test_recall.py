"""Finding cases: what the index finds is what comparing all of them finds, and the work keeps within bounds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.cases import recall
from llm_as_rnn.cases.blanks import BLANK, aligned
from llm_as_rnn.cases.case import Case, cases, parse, parts, plain
from llm_as_rnn.cases.index import ASKED, LEAST, PRIOR, Index, features
from llm_as_rnn.cases.recall import AS_WELL, SAME_THING, Resemblance, nearest
from llm_as_rnn.core import alignment
from llm_as_rnn.core.fields import ARROW
from llm_as_rnn.core.kept import Kept
from llm_as_rnn.core.records import Observation, Section
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.registry import DATASETS
from llm_as_rnn.recurrence.notes import worst
from tests.core.stage import OPTIONS, Stage, size, sky_task

WORDS = ("means", "what", "like", "<", ">", "?", ",", "7", "天", "気", "ship", "flag", "İ", BLANK)
LINES = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
NOTES = st.one_of(LINES, st.tuples(LINES, st.sampled_from(OPTIONS)).map(lambda pair: f"{pair[0]}{ARROW}{pair[1]}"))
MEMORIES = st.lists(NOTES, max_size=12)


class Scan:
    """The plain way: all cases are counted anew, and each one is compared with the line."""

    def __init__(self, seen: list[str], came: list[str]) -> None:
        self.features = [list(features(line)) for line in seen]
        self.having = Counter(name for names in self.features for name in names)
        self.came = came
        pairs = list(combinations(range(len(came)), 2))
        self.agreed = sum(came[one] == came[other] for one, other in pairs)
        self.agreeing = Counter(
            name
            for one, other in pairs
            if came[one] == came[other]
            for name in set(self.features[one]) & set(self.features[other])
        )

    def weight(self, name: str, asked: set[str]) -> float:
        number, having = len(self.came), self.having[name]
        chance = (self.agreed + 1) / (number * (number - 1) / 2 + 5)
        rarity = max(math.log((number + 2) / (having + (name in asked) + 0.5)), 0)
        expected = chance * having * (having - 1) / 2
        return max(math.log((self.agreeing[name] + PRIOR * (1 + rarity)) / (expected + PRIOR)), LEAST)

    def score(self, names: list[str], shown: str) -> float:
        asked = set(features(shown))
        whole = math.fsum(self.weight(name, asked) for name in asked)
        shared = math.fsum(self.weight(name, asked) for name in names if name in asked)
        rest = math.fsum(self.weight(name, asked) for name in names if name not in asked)
        return 2 * shared / (whole + shared + rest) if whole + shared + rest else 1.0

    def scores(self, shown: str) -> list[float]:
        return [self.score(names, shown) for names in self.features]


class ScannedMemory:
    """A memory's cases, compared one by one, blanks left out."""

    def __init__(self, items: list[str]) -> None:
        self.cases = cases(items)
        self.scan = Scan([parts(item)[0] for item in self.cases], [parts(item)[1] for item in self.cases])

    def fits(self, shown: str, but: str = "") -> list[tuple[float, int, str]]:
        found = []
        for place, item in enumerate(self.cases):
            one, other = aligned(parts(item)[0], shown)
            score = self.scan.score(list(features(one)), other)
            if item != but and score > 0:
                found.append((score, place, item))
        return sorted(found)

    def closest(self, shown: str, most: int, but: str = "") -> list[str]:
        found = self.fits(shown, but)
        return [item for score, _, item in found[-most:] if score >= found[-1][0] - AS_WELL] if most else []

    def same(self, shown: str, but: str = "") -> list[str]:
        found = self.fits(shown, but)
        best = found[-1][0] if found else 0.0
        return [item for score, _, item in found if score == best] if best >= SAME_THING else []


@given(MEMORIES, LINES, st.integers(0, 5), st.booleans(), st.data())
def test_the_index_finds_what_comparing_all_cases_finds(
    items: list[str], shown: str, most: int, afresh: bool, data: st.DataObject
) -> None:
    but = data.draw(st.sampled_from(["", *items]))
    if afresh:
        recall._memories.clear()
    found, plain = Resemblance(items), ScannedMemory(items)
    assert found.same(shown, but=but) == plain.same(shown, but)
    assert found.closest(shown, most, but=but) == plain.closest(shown, most, but)
    assert found.same(shown) == plain.same(shown)
    assert found.fits(shown, most) == [(score, item) for score, _, item in plain.fits(shown)[-most:]] * bool(most)


@given(MEMORIES.filter(bool), st.data())
def test_a_case_of_the_memory_finds_its_like_among_the_others(items: list[str], data: st.DataObject) -> None:
    item = data.draw(st.sampled_from(items))
    assert Resemblance(items).same(parse(item).seen, but=item) == ScannedMemory(items).same(parts(item)[0], item)


@pytest.mark.parametrize("name", ["weather", "probe-recall", "probe-noise"])
def test_the_index_finds_the_same_in_shipped_streams(name: str) -> None:
    task, steps = load_task(name), DATASETS[name].load(Selection(1, 60))[0].steps
    lines = [task.show(step.observation, "case") for step in steps]
    outcomes = [step.target or {} for step in steps]
    items = [f"{line}{ARROW}{task.spec('line').show(came)}" for line, came in zip(lines, outcomes, strict=True)]
    for t in range(1, len(steps), 6):
        found, plain = Resemblance(items[:t]), ScannedMemory(items[:t])
        assert found.same(lines[t]) == plain.same(lines[t])
        assert found.closest(lines[t], 4) == plain.closest(lines[t], 4)
        for other in items[:t:7]:
            assert found.same(parts(other)[0], but=other) == plain.same(parts(other)[0], other)
        scores = Scan(lines[:t], [str(came) for came in outcomes[:t]]).scores(lines[t])
        best = sorted((score, place) for place, score in enumerate(scores) if score > 0)
        for most in (1, 6):
            assert nearest(lines[:t], outcomes[:t], lines[t], most) == best[-most:]


def test_a_blank_stands_for_any_words_whichever_line_has_it() -> None:
    items = [
        f"{BLANK} means what ? -> sun",
        "< big ship > means what ? -> sun",
        "tell me of ship -> fog",
        "is it -> fog",
    ]
    for shown in ("< ship > means what ?", f"{BLANK} means what ?", f"tell me of {BLANK}", "< ship > it"):
        found, plain = Resemblance(items), ScannedMemory(items)
        assert found.fits(shown, 4) == [(score, item) for score, _, item in plain.fits(shown)]
        assert found.same(shown) == plain.same(shown)
    assert Resemblance(items).closest("< tree > means what ?", 1) == items[:1]
    assert Resemblance(items).same(f"{BLANK} means what ?", but=items[0]) == items[1:2]


@given(LINES)
def test_the_same_line_fits_whole_and_nothing_fits_better(line: str) -> None:
    index = Index()
    for place, (seen, came) in enumerate((("what ship", "a"), (line, "b"), (f"{line} flag", "a"))):
        index.add(str(place), seen, came)
    assert index.fit(line, line) == 1
    assert all(0 < fit.score <= 1 for fit in index.best(line, 9))
    assert not line or (1, "1") in index.best(line, 9)


def test_a_word_weighs_what_it_tells_about_the_outcome() -> None:
    index = Index()
    for number in range(40):
        index.add(str(number), f"{'bovi' if number % 2 else 'tarel'} {'box' if number % 4 < 2 else 'jar'} x{number}",
                  "red" if number % 2 else "blue")  # fmt: skip
    mark, kind, new = (index.weight(name, asked=True) for name in ("bovi", "box", "never seen"))
    assert mark > 2 * kind
    assert kind == LEAST, "half of the cases with it came out the same, as of all"
    assert new > kind
    others = Index()
    for number in range(40):
        others.add(str(number), f"{'bovi' if number % 2 else 'tarel'} x{number}", f"{number}")
    assert others.weight("x7", asked=False) > others.weight("bovi", asked=False), (
        "no outcome came twice: rarity decides"
    )


def test_words_of_one_stem_have_something_in_common_and_order_counts() -> None:
    lines, outcomes = ["my payment was declined", "a card is lost"], [{"a": "x"}, {"a": "y"}]
    assert nearest(lines, outcomes, "payments")[-1].place == 0
    lines = ["the dog bites the man", "the man bites the dog"]
    assert [near.place for near in nearest(lines, outcomes, "the man bites the cat", 2)] == [0, 1]


@given(st.lists(st.sampled_from("abcd"), max_size=30), st.lists(st.sampled_from("abcd"), max_size=30))
def test_short_lists_are_lined_up_as_difflib_does(one: list[str], other: list[str]) -> None:
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    assert alignment.shared_words(one, other) == [word for b in blocks for word in one[b.a : b.a + b.size]]


# ------------------------------------------------------------------------------------------------------------ changes

STEPS = st.lists(st.tuples(LINES, st.sampled_from(OPTIONS)), max_size=8)


@given(st.lists(st.tuples(st.booleans(), LINES, st.sampled_from(OPTIONS)), max_size=14), LINES)
def test_an_index_that_grew_and_shrank_answers_as_one_built_anew(
    moves: list[tuple[bool, str, str]], shown: str
) -> None:
    index, held = Index(), list[tuple[str, str]]()
    for adds, line, came in moves:
        if adds or not held:
            held.append((line, came))
            index.add(line, line, came)
        else:
            index.remove(*held.pop(len(held) // 2))
        index.best(shown, 2)
    anew = Index()
    for line, came in held:
        anew.add(line, line, came)
    assert len(index) == len(anew) == len(held)
    assert index.size == anew.size == sum(len(features(line)) for line, _ in held)
    for most in (1, 3, 20):
        assert sorted(index.best(shown, most)) == sorted(anew.best(shown, most))
    for line, came in held:
        index.remove(line, came)
    assert len(index) == index.size == 0
    assert not index._features
    assert not index._came
    assert index.best(shown, 1) == []


@given(st.lists(STEPS, max_size=5), LINES, st.integers(0, 4))
def test_what_is_found_depends_on_nothing_that_was_asked_before(
    histories: list[list[tuple[str, str]]], shown: str, most: int
) -> None:
    for steps in histories:
        lines, outcomes = [line for line, _ in steps], [{"sky": came} for _, came in steps]
        found = nearest(lines, outcomes, shown, most)
        with monkeyed(recall, _histories=recall.Shelf(recall._step)):
            assert nearest(lines, outcomes, shown, most) == found
        scores = Scan([plain(line) for line in lines], [came for _, came in steps]).scores(plain(shown))
        best = sorted((score, place) for place, score in enumerate(scores) if score > 0)
        assert found == best[-most:] * bool(most)


@contextmanager
def monkeyed(module: object, **values: object) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setattr(module, name, value)
        yield


@given(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9)))
def test_changes_lead_from_the_old_rows_to_the_new_ones(old: list[int], new: list[int]) -> None:
    gone, came = recall.changes(tuple(old), tuple(new))
    held = Counter(old)
    held.subtract(gone)
    held.update(came)
    assert min(held.values(), default=0) >= 0
    assert +held == Counter(new)


def test_a_step_costs_its_own_case_where_rows_are_added_dropped_or_put_in_between() -> None:
    rows = tuple(range(100, 200))
    assert recall.changes(rows, (*rows, 7)) == ((), (7,))
    assert recall.changes(rows, (*rows[1:], 7)) == ((100,), (7,))
    assert recall.changes(rows, (*rows[1:50], 7, *rows[50:])) == ((100,), (7,))
    assert recall.changes(rows, (*rows[:50], 7, *rows[51:])) == ((150,), (7,))
    assert recall.changes(rows, rows) == ((), ())


def test_a_late_outcome_is_found_in_its_steps_place() -> None:
    lines, outcomes = ["fog here", "rain there"], [{"sky": "sun"}, {"sky": "rain"}]
    assert nearest(lines, outcomes, "wind")[-1:] == []
    lines.insert(1, "wind")
    outcomes.insert(1, {"sky": "fog"})
    assert nearest(lines, outcomes, "wind") == [(1.0, 1)]
    lines.append("wind")
    outcomes.append({"sky": "sun"})
    assert nearest(lines, outcomes, "wind", 2) == [(1.0, 1), (1.0, 3)], "the later of equals last"


def test_what_is_kept_of_indexes_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = recall.Shelf(parse)
    for number in range(recall.AT_HAND + 9):
        with shelf.index((f"w{number} -> sun", f"v{number} -> sun")) as index:
            assert len(index) == 2
    assert len(shelf._kept) == recall.AT_HAND
    monkeypatch.setattr(recall, "MOST_FEATURES", 10)
    with shelf.index((f"{' '.join(map(str, range(20)))} -> sun",)):
        pass
    assert shelf._kept == []


def test_an_index_that_was_left_in_the_middle_of_a_change_is_not_used_again() -> None:
    shelf = recall.Shelf(parse)
    rows = ("a -> sun", "b -> fog", "c -> fog")
    with shelf.index(rows):
        pass
    with pytest.raises(KeyboardInterrupt), shelf.index(rows):
        raise KeyboardInterrupt
    assert shelf._kept == []


# ---------------------------------------------------------------------------------------------------------- the work

FRAMES = ("tell me what {} means in plain language please", "which word sounds just the same as {} does ?")


def phrases(number: int) -> list[str]:
    return [FRAMES[n % 2].format(f"w{n} v{n}") + f"{ARROW}{OPTIONS[n % 2]}" for n in range(number)]


def nothing_alike(number: int) -> list[str]:
    """Give cases in one frame none of which is about the same as another one."""
    return [f"a box marked w{n} v{n} x{n}{ARROW}{OPTIONS[n % 3]}" for n in range(number)]


class Work:
    """Counts the notes that are read, the cases that are compared with a line, and those that an index takes in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.compared = self.taken_in = 0
        compare, take_in = Index._fit, Index.add

        def fit(*given: Any) -> Any:
            self.compared += 1
            return compare(*given)

        def add(*given: Any) -> None:
            self.taken_in += 1
            take_in(*given)

        monkeypatch.setattr(Index, "_fit", fit)
        monkeypatch.setattr(Index, "add", add)
        recall._memories.clear()
        recall._histories.clear()

    def begin(self) -> None:
        self.compared = self.taken_in = 0


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


def by_hand_predict(stage: Stage, seen: str) -> None:
    calls = stage.method.predict(stage.state, Observation("s", stage.t, {"seen": seen}))
    next(calls)
    calls.close()


@pytest.mark.parametrize("rule", ["append", "cases", "hybrid"])
@pytest.mark.parametrize("memory", [phrases, nothing_alike])
def test_a_step_reads_its_own_note_alone_and_compares_each_case_a_few_times_at_the_most(
    work: Work, memory: Callable[[int], list[str]], rule: str
) -> None:
    compared = {}
    for number in (50, 200):
        items = memory(number)
        stage = Stage(rule, lambda _: " sun", budget=size(*items), recall=2).holding(*items, t=number)
        Resemblance(items).fits("", 1)
        work.begin()
        read = parse.computed
        by_hand_predict(stage, f"a box marked n{number} or so")
        stage.meet(f"a box marked n{number} or so", "fog")
        assert parse.computed - read <= 3, "the notes of the memory were read before"
        assert work.taken_in <= 4, "so were they taken into the index"
        compared[number] = work.compared
    assert compared[200] <= 4 * compared[50] + 8, "four times the cases are no more than four times the work"


def test_looking_for_the_worst_of_many_notes_compares_few_pairs(work: Work) -> None:
    for number in (50, 200):
        items = tuple(nothing_alike(number))
        work.begin()
        assert worst((Section("A", items),), {}, sky_task(), number) == items[0]
        assert work.compared <= 3 * number, "and not number * number"


def test_the_nearest_of_a_long_history_is_found_by_looking_at_few_and_a_step_takes_in_one(work: Work) -> None:
    lines, outcomes = nothing_alike(800), [{"sky": OPTIONS[n % 3]} for n in range(800)]
    nearest(lines[:700], outcomes[:700], "w1")
    work.begin()
    for t in range(700, 800):
        found = nearest(lines[t - 700 : t], outcomes[t - 700 : t], f"a box marked w{t - 5} v{t - 5} x{t}")
        assert found[0].place == 695
    assert work.taken_in == 99
    assert work.compared <= 5 * 100


def test_one_line_is_asked_of_a_memory_once(work: Work) -> None:
    index = Index()
    for item in phrases(40):
        index.add(item, *parts(item))
    first = index.best("tell me what ship means in plain language please", 3)
    work.begin()
    assert first
    assert index.best("tell me what ship means in plain language please", 3) is first
    assert work.compared == 0
    for number in range(2 * ASKED):
        index.best(f"line {number}", 1)
    assert len(index._answers) == ASKED


def test_a_memory_is_taken_in_once_whoever_asks(work: Work) -> None:
    for _ in range(3):
        Resemblance(phrases(9)).fits("ship", 1)
    assert work.taken_in == 9
    Resemblance([*phrases(10)[1:], "a note"]).fits("ship", 1)
    assert work.taken_in == 10


# ------------------------------------------------------------------------------------------------------------- values


def test_an_outcome_is_read_once_for_a_task() -> None:
    task, note = sky_task(), Case("fog -> sun", "fog", "sun")
    assert note.outcome(task) == {"sky": "sun"}
    assert note.outcome(task) is note.outcome(task)
    other = load_task("weather")
    assert note.outcome(other) is None
    assert note.outcome(task) == {"sky": "sun"}
    assert parse("fog -> sun") is parse("fog -> sun")
    assert parse("fog -> sun") == note


def test_what_is_kept_of_texts_has_an_end() -> None:
    double = Kept(lambda text: text * 2, characters=10)
    texts = ("aaa", "bbb", "ccc", "aaa", "ddd")
    assert [double(text) for text in texts] == [2 * text for text in texts]
    assert double.computed == 4
    assert len(double) == 3
    double("bbb")  # it had gone, being the one not asked for longest
    assert double.computed == 5
    double("x" * 11)
    double("x" * 11)
    assert double.computed == 7
    assert len(double) == 3
    double.clear()
    assert len(double) == 0
    assert double("aaa") == "aaaaaa"
