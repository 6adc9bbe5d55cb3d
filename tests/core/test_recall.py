"""Finding cases: what the index finds is what comparing all of them finds, and the work keeps within bounds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.cases import recall
from llm_as_rnn.cases.blanks import BLANK, aligned
from llm_as_rnn.cases.case import Case, cases, parse, parts
from llm_as_rnn.cases.recall import AS_ALIKE, CLOSE, SAME_FRAME, Index, Resemblance, is_close, likeness
from llm_as_rnn.core import alignment
from llm_as_rnn.core.alignment import tokens
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
    """The plain way: every case is lined up with the line."""

    def __init__(self, items: list[str]) -> None:
        self.cases = cases(items)
        self._in = Counter(token for item in self.cases for token in set(tokens(parts(item)[0])))

    def closest(self, shown: str, most: int, but: str = "") -> list[str]:
        scored = sorted(self._scored(shown, but))
        enough = scored[-1][0] - AS_ALIKE if scored else 0.0
        return [item for score, _, item in scored[-most:] if score >= enough] if most else []

    def ranked(self, shown: str) -> list[str]:
        return [item for _, _, item in sorted(self._scored(shown, ""))]

    def same(self, shown: str, but: str = "") -> list[str]:
        scored = list(self._scored(shown, but))
        best = max((score for score, _, _ in scored), default=0.0)
        return [item for score, _, item in scored if score == best] if best >= SAME_FRAME else []

    def _scored(self, shown: str, but: str) -> Iterator[tuple[float, int, str]]:
        for place, item in enumerate(self.cases):
            one, other = aligned(parts(item)[0], shown)
            if item != but and likeness(one, other) >= CLOSE:
                yield self._weighted(tokens(one), tokens(other)), place, item

    def _weighted(self, one: tuple[str, ...], asked: tuple[str, ...]) -> float:
        known = set(asked)

        def weight(token: str) -> float:
            return math.log((len(self.cases) + 2) / (self._in[token] + (token in known) + 0.5))

        shared = sum(map(weight, lined_up(one, asked)))
        whole = sum(map(weight, one)) + sum(map(weight, asked))
        return 2 * shared / whole if whole else 1.0


def lined_up(one: tuple[str, ...], other: tuple[str, ...]) -> list[str]:
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return [word for block in blocks for word in one[block.a : block.a + block.size]]


@given(MEMORIES, LINES, st.integers(0, 5), st.booleans(), st.data())
def test_the_index_finds_what_comparing_all_cases_finds(
    items: list[str], shown: str, most: int, ranked_first: bool, data: st.DataObject
) -> None:
    but = data.draw(st.sampled_from(["", *items]))
    recall._index.cache_clear()
    found, plain = Resemblance(items), Scan(items)
    if ranked_first:
        assert found.ranked(shown) == plain.ranked(shown)
    assert found.same(shown, but=but) == plain.same(shown, but)
    assert found.closest(shown, most, but=but) == plain.closest(shown, most, but)
    assert found.ranked(shown) == plain.ranked(shown)
    assert found.same(shown) == plain.same(shown)


@given(MEMORIES.filter(bool), st.data())
def test_a_case_of_the_memory_finds_its_like_among_the_others(items: list[str], data: st.DataObject) -> None:
    item = data.draw(st.sampled_from(items))
    recall._index.cache_clear()
    assert Resemblance(items).same(parse(item).seen, but=item) == Scan(items).same(parts(item)[0], item)


@pytest.mark.parametrize("name", ["weather", "probe-recall", "probe-noise"])
def test_the_index_finds_the_same_in_shipped_streams(name: str) -> None:
    task, steps = load_task(name), DATASETS[name].load(Selection(1, 60))[0].steps
    lines = [task.show(step.observation, "case") for step in steps]
    answers = [task.spec("line").show(step.target or {}) for step in steps]
    items = [f"{line}{ARROW}{answer}" for line, answer in zip(lines, answers, strict=True)]
    for t in range(0, len(steps), 5):
        found, plain = Resemblance(items[:t]), Scan(items[:t])
        assert found.same(lines[t]) == plain.same(lines[t])
        assert found.ranked(lines[t]) == plain.ranked(lines[t])
        for other in items[:t:7]:
            assert found.same(parts(other)[0], but=other) == plain.same(parts(other)[0], other)


@given(st.lists(st.sampled_from("abcd"), max_size=30), st.lists(st.sampled_from("abcd"), max_size=30))
def test_short_lists_are_lined_up_as_difflib_does(one: list[str], other: list[str]) -> None:
    assert alignment.shared_words(one, other) == lined_up(tuple(one), tuple(other))


@given(LINES, LINES)
def test_close_is_what_is_alike_enough(one: str, other: str) -> None:
    assert is_close(one, other) == (likeness(one, other) >= CLOSE)


# ---------------------------------------------------------------------------------------------------------- the work

FRAMES = ("tell me what {} means in plain language please", "which word sounds just the same as {} does ?")


def phrases(number: int) -> list[str]:
    return [FRAMES[n % 2].format(f"w{n} v{n}") + f"{ARROW}{OPTIONS[n % 2]}" for n in range(number)]


def nothing_alike(number: int) -> list[str]:
    """Give cases in one frame none of which is about the same as another one."""
    return [f"a box marked w{n} v{n} x{n}{ARROW}{OPTIONS[n % 3]}" for n in range(number)]


def work_of_a_step(items: list[str], seen: str, rule: str = "cases") -> tuple[int, int]:
    """Count the notes that a step reads, and the pairs of lines that it lines up, on a full memory that it knows."""
    stage = Stage(rule, lambda _: " sun", budget=size(*items), recall=2).holding(*items, t=len(items))
    recall._index.cache_clear()
    for item in items:
        parse(item)
    read, lined = parse.computed, Counted.total
    by_hand_predict(stage, seen)
    stage.meet(seen, "fog")
    return parse.computed - read, Counted.total - lined


def by_hand_predict(stage: Stage, seen: str) -> None:
    calls = stage.method.predict(stage.state, Observation("s", stage.t, {"seen": seen}))
    next(calls)
    calls.close()


class Counted:
    """Counts the pairs of lines that are lined up."""

    total = 0


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = alignment.shared_words

    def shared(*lines: tuple[str, ...]) -> list[str]:
        Counted.total += 1
        return plain(*lines)

    monkeypatch.setattr(recall, "shared_words", shared)


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("rule", ["append", "cases", "hybrid"])
@pytest.mark.parametrize("memory", [phrases, nothing_alike])
def test_a_step_reads_its_own_note_alone_and_lines_up_each_case_once_at_the_most(
    memory: Callable[[int], list[str]], rule: str
) -> None:
    work = {number: work_of_a_step(memory(number), f"a box marked n{number} or so", rule) for number in (50, 200)}
    for number, (read, lined) in work.items():
        assert read <= 3, "the notes of the memory were read before"
        assert lined <= number
    assert work[200][1] <= 4 * work[50][1] + 8, "four times the cases are no more than four times the work"


@pytest.mark.usefixtures("counted")
def test_looking_for_the_worst_of_many_notes_lines_up_few_pairs() -> None:
    for number in (50, 200):
        items = tuple(nothing_alike(number))
        recall._index.cache_clear()
        before = Counted.total
        assert worst((Section("A", items),), {}, sky_task(), number) == items[0]
        assert Counted.total - before <= number, "and not number * number"


def test_one_line_is_asked_of_a_memory_once() -> None:
    index = Index(phrases(40))
    first = index.ranked("tell me what ship means in plain language please")
    lined = index.lined_up
    assert first
    assert index.ranked("tell me what ship means in plain language please") is first
    index.same("tell me what ship means in plain language please", "")
    assert index.lined_up == lined
    assert lined <= 20, "those in another frame are not close"
    for number in range(2 * recall.ASKED):
        index.ranked(f"line {number}")
    assert len(index._found) == recall.ASKED


def test_a_memory_is_read_once_whoever_asks() -> None:
    assert Resemblance(phrases(9))._index is Resemblance(tuple(phrases(9)))._index


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
