"""Seattle's weather as sequences."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.datasets.weather import YEARS, load, read_days


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 1000), st.sampled_from(["development", "held_out"]))
def test_sequences_are_consecutive_days_of_their_part(sequences: int, steps: int, seed: int, split: str) -> None:
    found = load(Selection(sequences, steps, seed, split))  # type: ignore[arg-type]
    assert len(found) == sequences
    spans = []
    for sequence in found:
        first = date.fromisoformat(sequence.info.id)
        last = first + timedelta(days=steps)
        assert YEARS[split][0] <= first.year <= last.year <= YEARS[split][1]
        spans.append((first, last))
        assert [step.observation.t for step in sequence.steps] == list(range(steps))
        for today, tomorrow in pairwise(sequence.steps):
            assert today.target == {
                "sky": tomorrow.observation.fields["sky"],
                "high": tomorrow.observation.fields["high"],
            }
    assert all(one[1] < other[0] for one, other in pairwise(sorted(spans)))


def test_a_seed_repeats_its_choice_and_another_differs() -> None:
    assert load(Selection(4, 8, 1)) == load(Selection(4, 8, 1))
    assert load(Selection(4, 8, 1)) != load(Selection(4, 8, 2))


def test_too_many_sequences_are_refused_with_what_there_is() -> None:
    with pytest.raises(DatasetError, match="at most 23 sequences"):
        load(Selection(24, 30))


def test_steps_that_no_part_is_long_enough_for_are_refused_without_an_offer_of_no_sequence() -> None:
    with pytest.raises(DatasetError, match=r"too few for 1 sequences of 5000 steps \(ask for fewer steps\)"):
        load(Selection(1, 5000))


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "weather.csv"
    path.write_text(
        "date,precipitation,temp_max,temp_min,wind,weather\n2012/01/01,0,1,1,1,sun\n2012/01/02,x,1,1,1,sun\n"
    )
    with pytest.raises(DatasetError, match="line 3"):
        read_days(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_days(tmp_path / "none.csv")


def test_an_unknown_dataset_is_refused() -> None:
    with pytest.raises(DatasetError, match="weather"):
        dataset("wether")
