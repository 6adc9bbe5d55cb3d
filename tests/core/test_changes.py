"""Memory diffs: what is paired, what is marked, and items that keep their numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.changes import Item, MemoryDiff, align, word_diff
from llm_as_rnn.core.records import Memory, Section

words = st.sampled_from(["rain", "sun", "follows", "7", "of", "9,", "12.8", "(", "often", " "])
texts = st.lists(words, max_size=8).map(" ".join)
items = st.lists(texts, max_size=6)


def memory(*patterns: str, **sections: tuple[str, ...]) -> Memory:
    return Memory((Section("Patterns", patterns), *(Section(name, found) for name, found in sections.items())))


def marks(found: list[Item]) -> list[tuple[int, str, str]]:
    return [(item.id, item.mark, item.text) for item in found]


def test_items_are_kept_edited_added_and_removed() -> None:
    before = memory("rain follows rain, 3 of 5", "fog is rare", "wind brings rain")
    after = memory("rain follows rain, 4 of 6", "wind brings rain", "snow melts at once")
    assert marks(MemoryDiff().step(0, before, after)["Patterns"]) == [
        (1, "~", "rain follows rain, 4 of 6"),
        (2, "-", "fog is rare"),
        (3, "=", "wind brings rain"),
        (4, "+", "snow melts at once"),
    ]


def test_an_item_keeps_its_number_and_its_first_step_through_edits_and_moves() -> None:
    diff = MemoryDiff()
    first, second = memory("nothing yet"), memory("rain follows rain, 1 of 2")
    third = memory("sun in July", "rain follows rain, 2 of 3")
    assert [(item.id, item.since) for item in diff.step(4, first, second)["Patterns"]] == [(1, None), (2, 4)]
    found = diff.step(5, second, third)["Patterns"]
    assert [(item.id, item.since, item.mark) for item in found] == [(3, 5, "+"), (2, 4, "~")]
    assert [item.id for item in diff.step(6, third, memory("sun in July"))["Patterns"]] == [3, 2]


def test_a_gap_between_steps_is_not_shown_as_a_change() -> None:
    diff = MemoryDiff()
    diff.step(0, memory("a b c"), memory("a b c"))
    found = diff.step(5, memory("a b c", "d e f"), memory("a b c", "d e f", "g h i"))["Patterns"]
    assert [(item.text, item.mark, item.since) for item in found] == [
        ("a b c", "=", None),
        ("d e f", "=", None),
        ("g h i", "+", 5),
    ]


def test_sections_that_come_and_go_are_all_new_or_all_gone() -> None:
    found = MemoryDiff().step(0, memory("rain", Old=("x",)), memory("rain", New=("y",)))
    assert {name: [item.mark for item in section] for name, section in found.items()} == {
        "Patterns": ["="],
        "New": ["+"],
        "Old": ["-"],
    }
    assert [item.mark for item in MemoryDiff().step(0, None, memory("rain"))["Patterns"]] == ["+"]
    assert [item.mark for item in MemoryDiff().step(0, memory("rain"), None)["Patterns"]] == ["-"]


def test_lines_of_a_rolling_list_are_not_taken_for_edits() -> None:
    before, after = ["2013-01-06: rain, high 10.5"], ["2013-01-10: rain, high 16.2"]
    assert align(before, after) == [(0, None), (None, 0)]


def test_a_space_between_two_changes_does_not_break_them_up() -> None:
    assert [tuple(span) for span in word_diff("it was cold", "it is warm")] == [
        ("=", "it "),
        ("-", "was cold"),
        ("+", "is warm"),
    ]


@given(items, items)
def test_every_item_is_paired_or_marked_once(before: list[str], after: list[str]) -> None:
    pairs = align(before, after)
    assert sorted(old for old, _ in pairs if old is not None) == list(range(len(before)))
    assert [new for _, new in pairs if new is not None] == list(range(len(after)))
    for text in set(before):
        paired = sum(old is not None and new is not None and before[old] == after[new] == text for old, new in pairs)
        assert paired == min(before.count(text), after.count(text))


@given(texts, texts)
def test_spans_hold_both_versions(old: str, new: str) -> None:
    spans = word_diff(old, new)
    assert "".join(span.text for span in spans if span.mark in "=-") == old
    assert "".join(span.text for span in spans if span.mark in "=+") == new
    assert all(span.text for span in spans)


@given(st.text(max_size=30), st.text(max_size=30))
def test_spans_hold_any_text(old: str, new: str) -> None:
    spans = word_diff(old, new)
    assert "".join(span.text for span in spans if span.mark in "=-") == old
    assert "".join(span.text for span in spans if span.mark in "=+") == new


@given(st.lists(items, min_size=1, max_size=5))
def test_numbers_are_never_shared_or_used_again(versions: list[list[str]]) -> None:
    diff = MemoryDiff()
    gone: set[int] = set()
    before = memory()
    for t, version in enumerate(versions):
        after = memory(*version)
        found = diff.step(t, before, after)["Patterns"]
        assert len({item.id for item in found}) == len(found)
        assert not gone & {item.id for item in found}
        assert [item.text for item in found if item.mark != "-"] == version
        gone |= {item.id for item in found if item.mark == "-"}
        before = after
