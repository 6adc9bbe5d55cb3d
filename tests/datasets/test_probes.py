"""Probes: what is shown tells nothing, what a mark stands for tells all, and the same seed gives the same."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from itertools import islice, pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets import probes
from llm_as_rnn.datasets.base import Selection, Sequence, Split
from llm_as_rnn.datasets.registry import dataset

PROBES = ("probe-recall", "probe-drift", "probe-noise")
SPLITS = get_args(Split)

selections = st.builds(Selection, st.integers(1, 5), st.integers(1, 80), st.integers(0, 10**9), st.sampled_from(SPLITS))

PINNED = (
    "binif rice vezak rice binif rice gukuf coal binif rice vezak rice a jar; "
    "vekug tea guleb coal vekug tea guleb tea vekug rice guleb tea a parcel; "
    "gisuf rice vufak tea vufak silk gisuf rice gisuf rice vufak tea a crate;"
)
"""Six steps of each probe, made on Python 3.11."""

every_probe = pytest.mark.parametrize("name", PROBES)


def made(name: str, sequences: int, steps: int, seed: int = 0, split: Split = "development") -> list[Sequence]:
    return dataset(name).load(Selection(sequences, steps, seed, split))


def marks(sequence: Sequence) -> list[str]:
    return [step.observation.fields["mark"] for step in sequence.steps]


def goods(sequence: Sequence) -> list[str]:
    return [str((step.target or {})["content"]) for step in sequence.steps]


def meanings(sequence: Sequence, first: int, end: int) -> dict[str, set[str]]:
    """Give the goods that each mark had from a step to before another."""
    found: dict[str, set[str]] = {}
    for mark, good in list(zip(marks(sequence), goods(sequence), strict=True))[first:end]:
        found.setdefault(mark, set()).add(good)
    return found


def usual(sequence: Sequence) -> dict[str, str]:
    """Give the good that each mark mostly had."""
    pairs = list(zip(marks(sequence), goods(sequence), strict=True))
    return {mark: Counter(c for m, c in pairs if m == mark).most_common(1)[0][0] for mark, _ in pairs}


def wrong_steps(sequence: Sequence) -> list[int]:
    """Give the steps whose outcome is not what their mark mostly stood for; for sequences that show each mark often."""
    truth = usual(sequence)
    pairs = zip(marks(sequence), goods(sequence), strict=True)
    return [t for t, (mark, good) in enumerate(pairs) if truth[mark] != good]


# --- what every probe does --------------------------------------------------------------------------------------------


@every_probe
@settings(max_examples=40, deadline=None)
@given(selections)
def test_any_selection_gives_what_was_asked_for(name: str, selection: Selection) -> None:
    found = dataset(name).load(selection)
    assert len({sequence.info.id for sequence in found}) == len(found) == selection.sequences
    for sequence in found:
        assert [step.observation.t for step in sequence.steps] == list(range(selection.steps))
        assert {step.observation.sequence for step in sequence.steps} == {sequence.info.id}
        assert all(step.target and set(step.target) == {"content"} for step in sequence.steps)
        assert set(goods(sequence)) <= set(probes.LABELS)
        assert sequence.info.about == {}
    assert found == dataset(name).load(selection)


@every_probe
@settings(max_examples=20, deadline=None)
@given(selections)
def test_splits_and_seeds_give_other_sequences(name: str, selection: Selection) -> None:
    mine, others = (
        made(name, selection.sequences, selection.steps, selection.seed, split) for split in ("development", "held_out")
    )
    # More than other sequences: no mark of one split is ever in the other.
    assert not {mark for s in mine for mark in marks(s)} & {mark for s in others for mark in marks(s)}
    assert not {s.info.id for s in mine} & {s.info.id for s in others}
    again = made(name, selection.sequences, selection.steps, selection.seed + 1)
    assert not {s.info.id for s in mine} & {s.info.id for s in again}


@every_probe
def test_a_sequence_and_another_seeds_differ_in_marks_and_meanings(name: str) -> None:
    found = [*made(name, 20, 40, seed=1), *made(name, 20, 40, seed=2)]
    assert len({tuple(marks(sequence)) for sequence in found}) == 40
    assert len({tuple(goods(sequence)) for sequence in found}) == 40


def test_probes_do_not_share_their_draws() -> None:
    drift, noise = (made(name, 1, 40)[0] for name in ("probe-drift", "probe-noise"))
    assert marks(drift) != marks(noise)


@every_probe
def test_more_sequences_begin_with_the_fewer(name: str) -> None:
    assert made(name, 7, 12)[:3] == made(name, 3, 12)


@pytest.mark.parametrize(("name", "shorter"), [("probe-recall", 7), ("probe-noise", 36)])
def test_a_longer_sequence_begins_with_the_shorter(name: str, shorter: int) -> None:
    assert made(name, 1, 70)[0].steps[:shorter] == made(name, 1, shorter)[0].steps


def test_every_process_and_version_makes_the_same() -> None:
    # Runs of old are to be resumed and repeated: what a seed gives may not change.
    program = (
        "from llm_as_rnn.datasets.base import Selection as S; from llm_as_rnn.datasets.registry import dataset as d\n"
        f"for name in {PROBES}:\n"
        "    sequence = d(name).load(S(2, 6, 3))[1]\n"
        "    for step in sequence.steps:\n"
        "        print(step.observation.fields['mark'], step.target['content'], end=' ')\n"
        "    print(step.observation.fields['thing'], end='; ')\n"
    )
    for hashing in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hashing}
        result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        assert result.stdout.decode().strip() == PINNED


@every_probe
def test_no_extra_is_needed_and_the_task_fits(name: str) -> None:
    assert dataset(name).ready() == ""
    task = load_task(name)
    assert (task.name, task.dataset, task.title) == (name, name, dataset(name).title)
    assert [(field.name, field.options) for field in task.answer] == [("content", probes.LABELS)]
    x = made(name, 1, 1)[0].steps[0].observation
    thing, mark = x.fields["thing"], x.fields["mark"]
    assert task.show(x, "line") == f"{thing} marked {mark}"
    assert task.show(x, "json").strip() == f"{thing.capitalize()} marked {mark} is opened."


def test_the_ceiling_of_noise_is_told_where_people_look() -> None:
    assert "0.8" in dataset("probe-noise").title
    assert "0.8" in str(probes.__doc__)


# --- what is shown tells nothing --------------------------------------------------------------------------------------


@every_probe
@settings(max_examples=20, deadline=None)
@given(selections, st.permutations(probes.LABELS))
def test_other_colours_are_shown_the_same(name: str, selection: Selection, labels: list[str]) -> None:
    before = dataset(name).load(selection)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probes, "LABELS", tuple(labels))
        after = dataset(name).load(selection)
    for one, other in zip(before, after, strict=True):
        assert [step.observation for step in one.steps] == [step.observation for step in other.steps]
        # The draws are the same ones: every good has only got another name.
        renamed = dict(zip(probes.LABELS, labels, strict=True))
        assert [renamed[good] for good in goods(one)] == goods(other)


@every_probe
def test_other_draws_of_outcomes_are_shown_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream(random.Random):
        def __init__(self, seed: str) -> None:
            super().__init__(f"{seed} once more" if "outcomes" in seed else seed)

    before = made(name, 4, 40)
    monkeypatch.setattr("llm_as_rnn.datasets.probes.random.Random", Stream)
    after = made(name, 4, 40)
    for one, other in zip(before, after, strict=True):
        assert [step.observation for step in one.steps] == [step.observation for step in other.steps]
        assert goods(one) != goods(other)


@every_probe
def test_no_field_goes_with_a_colour(name: str) -> None:
    # Each value of what means nothing, and each letter at either end of a mark, has all goods alike.
    found: dict[tuple[str, str], Counter[str]] = {}
    for sequence in made(name, 1500, 12):
        for step, good in zip(sequence.steps, goods(sequence), strict=True):
            thing, mark = step.observation.fields["thing"], step.observation.fields["mark"]
            for what, value in (("thing", thing), ("first", mark[0]), ("last", mark[-1])):
                found.setdefault((what, value), Counter())[good] += 1
    assert len(found) == 4 + 7 + 5
    for counts in found.values():
        assert max(counts.values()) / counts.total() < 0.30


# --- what can be won --------------------------------------------------------------------------------------------------


@every_probe
def test_colours_are_even_and_the_most_frequent_one_does_not_win(name: str) -> None:
    found = made(name, 400, 40)
    counts = Counter(good for sequence in found for good in goods(sequence))
    assert all(0.22 < counts[label] / counts.total() < 0.28 for label in probes.LABELS)
    majority = repeat = recall = 0
    for sequence in found:
        past: list[str] = []
        latest: dict[str, str] = {}
        for mark, good in zip(marks(sequence), goods(sequence), strict=True):
            majority += bool(past) and Counter(past).most_common(1)[0][0] == good
            repeat += past[-1:] == [good]
            recall += latest.get(mark) == good
            past.append(good)
            latest[mark] = good
    steps = 400 * 40
    assert majority / steps < 0.40
    assert repeat / steps < 0.28
    assert recall / steps > 0.55


def test_a_perfect_memory_of_recall_gets_what_the_docstring_says() -> None:
    for steps, best in ((40, 0.72), (12, 0.69)):
        new = len(set(marks(made("probe-recall", 1, steps)[0])))
        assert (new / 4 + steps - new) / steps == pytest.approx(best, abs=0.005)
        assert f"{best} over {steps}" in str(probes.__doc__)


# --- recall -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(selections)
def test_a_mark_of_recall_keeps_its_colour_and_new_ones_keep_coming(selection: Selection) -> None:
    for sequence in dataset("probe-recall").load(selection):
        assert all(len(found) == 1 for found in meanings(sequence, 0, selection.steps).values())
        shown = marks(sequence)
        for t, mark in enumerate(shown):
            assert (mark not in shown[:t]) == (t == 1 or t % 3 == 0)
        assert all(one != other for one, other in pairwise(shown))


def test_old_marks_of_recall_come_back_after_many_others() -> None:
    found = [marks(sequence) for sequence in made("probe-recall", 50, 40)]
    gaps = [
        t - max(i for i in range(t) if shown[i] == shown[t]) for shown in found for t in range(40) if t % 3 and t > 1
    ]
    assert max(gaps) > 20
    assert sum(gap > 5 for gap in gaps) > len(gaps) / 4


def test_a_new_mark_may_be_of_any_colour() -> None:
    # Not one that is left over: the goods before it say nothing.
    same = sum(len(set(goods(sequence))) == 1 for sequence in made("probe-recall", 2000, 2))
    assert 0.21 < same / 2000 < 0.29


# --- marks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_marks_can_be_spoken_told_apart_and_never_run_out(split: Split) -> None:
    words = list(islice(probes._words(split, random.Random("words")), 3000))
    assert len(set(words)) == 3000
    assert len({word[:2] for word in words[:35]}) == 35
    assert all(re.fullmatch("([b-df-hj-np-tv-z][aeiou]){2,4}[bfgkx]", word) for word in words)
    assert {len(word) for word in words[:1000]} == {5}
    assert {len(word) for word in words[1000:2000]} == {7}
    assert not [word for word in words if any(label in word for label in probes.LABELS)]


@pytest.mark.parametrize("name", ["probe-drift", "probe-noise"])
@pytest.mark.parametrize(("steps", "different"), [(1, 1), (8, 2), (12, 2), (18, 3), (36, 6), (400, 6)])
def test_few_marks_come_in_rounds(name: str, steps: int, different: int) -> None:
    for sequence in made(name, 5, steps):
        shown = marks(sequence)
        assert len(set(shown)) == different
        for start in range(0, steps - different + 1, different):
            assert len(set(shown[start : start + different])) == different
        if steps > 30:
            assert len({tuple(shown[start : start + 6]) for start in range(0, 36, 6)}) > 1


@pytest.mark.parametrize("name", ["probe-drift", "probe-noise"])
def test_even_colours_are_in_no_order(name: str) -> None:
    # Of six marks, with no good on more than two, the first two shown have one good in 2 of 15 cases.
    sequences = made(name, 400, 160)
    if name == "probe-drift":
        found = [[min(seen) for seen in meanings(sequence, 0, 80).values()] for sequence in sequences]
    else:
        found = [list(usual(sequence).values()) for sequence in sequences]
    assert all(sorted(Counter(drawn).values()) == [1, 1, 2, 2] for drawn in found)
    assert 0.08 < sum(drawn[0] == drawn[1] for drawn in found) / 400 < 0.19


# --- drift ------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(selections)
def test_every_mark_changes_at_half_time_and_only_then(selection: Selection) -> None:
    half = selection.steps // 2
    for sequence in dataset("probe-drift").load(selection):
        before, after = meanings(sequence, 0, half), meanings(sequence, half, selection.steps)
        assert all(len(found) == 1 for found in (*before.values(), *after.values()))
        assert not [mark for mark in before if before[mark] == after.get(mark)]


def test_all_marks_are_there_on_both_sides_of_the_change() -> None:
    for steps in (8, 12, 16, 40, 41):
        for sequence in made("probe-drift", 30, steps):
            before, after = meanings(sequence, 0, steps // 2), meanings(sequence, steps // 2, steps)
            assert before.keys() == after.keys() == set(marks(sequence))


def test_no_rule_tells_the_new_colour_from_the_old() -> None:
    changes: Counter[tuple[str, str]] = Counter()
    for sequence in made("probe-drift", 400, 40):
        before, after = meanings(sequence, 0, 20), meanings(sequence, 20, 40)
        changes.update((min(before[mark]), min(after[mark])) for mark in before)
    assert len(changes) == 12
    assert max(changes.values()) < 1.4 * min(changes.values())


# --- noise ------------------------------------------------------------------------------------------------------------


def test_exactly_one_outcome_in_five_is_wrong() -> None:
    places: Counter[int] = Counter()
    instead: Counter[str] = Counter()
    for sequence in made("probe-noise", 100, 100):
        wrong = wrong_steps(sequence)
        assert [t // 5 for t in wrong] == list(range(20))
        places.update(t % 5 for t in wrong)
        instead.update(goods(sequence)[t] for t in wrong)
    assert all(0.17 < places[place] / 2000 < 0.23 for place in range(5))
    assert all(0.21 < instead[label] / 2000 < 0.29 for label in probes.LABELS)


def test_the_same_outcomes_are_wrong_for_the_same_seed_alone() -> None:
    one, again, other = (wrong_steps(made("probe-noise", 1, 100, seed)[0]) for seed in (1, 1, 2))
    assert one == again != other


def test_who_knows_every_mark_is_right_four_times_in_five() -> None:
    right = steps = 0
    for long in made("probe-noise", 300, 120):
        truth = usual(long)
        # Of the sequence as runs have it: by default 12 steps, in which whole blocks of five do not end.
        for mark, good in list(zip(marks(long), goods(long), strict=True))[:12]:
            right += truth[mark] == good
            steps += 1
    assert right / steps == pytest.approx(0.8, abs=0.02)
