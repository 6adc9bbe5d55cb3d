"""Expert advice: what is answered, and the bounds that hold for any stream, also one that an adversary chose."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_as_rnn.core.fields import Field, Label, Number, Ranked, Text
from llm_as_rnn.core.records import Value
from llm_as_rnn.trust.advice import (
    Said,
    Standings,
    advise,
    after,
    at_first,
    believed,
    chance,
    label_bound,
    number_bound,
)

SKY = Label("sky", options=("rain", "sun", "fog", "snow"))
HIGH = Number("high", low=-20, high=45)
CODES = Ranked("codes", top=3)
NOTE = Text("note")

Stream = list[tuple[list[Said], Value]]


def followed(field: Field, stream: Stream) -> tuple[list[tuple[Said, dict[str, float]]], Standings, list[Standings]]:
    """Go over a stream of what advisers say and what comes."""
    standings, answers, before = at_first(len(stream[0][0])), [], []
    for said, outcome in stream:
        before.append(standings)
        answers.append(advise(field, standings, said))
        standings = after(field, standings, said, outcome)
    return answers, standings, before


def log_losses(stream: Stream, before: Sequence[Standings], adviser: int) -> list[float]:
    return [
        -math.log(chance(SKY, standings[adviser], said[adviser], outcome))
        for (said, outcome), standings in zip(stream, before, strict=True)
    ]


def own_loss(answers: Sequence[tuple[Said, dict[str, float]]], stream: Stream) -> float:
    return sum(-math.log(chances[str(outcome)]) for (_, chances), (_, outcome) in zip(answers, stream, strict=True))


skies = st.sampled_from(SKY.options)
label_streams = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.tuples(st.lists(st.none() | skies, min_size=n, max_size=n), skies), min_size=1, max_size=60)
)
numbers = st.floats(-20, 45)
number_streams = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.tuples(st.lists(st.none() | numbers, min_size=n, max_size=n), st.floats(-60, 90)), min_size=1, max_size=60
    )
)


@given(label_streams)
def test_chances_add_up_and_the_answer_is_the_likeliest(stream: Stream) -> None:
    for value, chances in followed(SKY, stream)[0]:
        if value is None:
            assert not chances
            continue
        assert sum(chances.values()) == pytest.approx(1)
        assert chances[str(value)] == pytest.approx(max(chances.values()))


@given(label_streams)
def test_the_log_loss_is_within_its_bound_of_the_best_adviser(stream: Stream) -> None:
    stream = [(said, outcome) for said, outcome in stream if any(value is not None for value in said)]
    if not stream:
        return
    answers, _, before = followed(SKY, stream)
    size = len(stream[0][0])
    best = min(sum(log_losses(stream, before, adviser)) for adviser in range(size))
    assert own_loss(answers, stream) <= best + label_bound(size, len(stream)) + 1e-9


@given(label_streams, st.integers(0, 59))
def test_the_same_holds_for_two_advisers_one_after_the_other(stream: Stream, change: int) -> None:
    stream = [(said, outcome) for said, outcome in stream if any(value is not None for value in said)]
    if not stream:
        return
    answers, _, before = followed(SKY, stream)
    size = len(stream[0][0])
    losses = [log_losses(stream, before, adviser) for adviser in range(size)]
    best = min(sum(a[:change]) + sum(b[change:]) for a in losses for b in losses)
    assert own_loss(answers, stream) <= best + label_bound(size, len(stream), changes=1) + 1e-9


def against_us(
    choose: Callable[[Standings, list[Said]], Value], said: Callable[[int], list[Said]], field: Field
) -> Stream:
    """Let an adversary choose each outcome after it has seen what would be answered."""
    standings, stream = at_first(len(said(0))), []
    for t in range(400):
        outcome = choose(standings, said(t))
        stream.append((said(t), outcome))
        standings = after(field, standings, said(t), outcome)
    return stream


def test_an_adversary_who_sees_the_chances_cannot_break_the_bound() -> None:
    random = Random(3)
    given_labels: list[list[Said]] = [[random.choice(SKY.options) for _ in range(4)] for _ in range(400)]

    def least_likely(standings: Standings, said: list[Said]) -> Value:
        chances = advise(SKY, standings, said)[1]
        return min(chances, key=lambda text: chances[text])

    stream = against_us(least_likely, lambda t: given_labels[t], SKY)
    answers, _, before = followed(SKY, stream)
    best = min(sum(log_losses(stream, before, adviser)) for adviser in range(4))
    assert own_loss(answers, stream) <= best + label_bound(4, 400)


@given(number_streams)
def test_the_absolute_error_is_within_its_bound_of_every_adviser(stream: Stream) -> None:
    within(stream)


@pytest.mark.parametrize("seed", range(4))
def test_an_adversary_who_sees_the_answer_cannot_break_that_bound(seed: int) -> None:
    random = Random(seed)
    given_numbers: list[list[Said]] = [[random.uniform(-20, 45) for _ in range(3)] for _ in range(400)]

    def on_the_other_side(standings: Standings, said: list[Said]) -> Value:
        value = advise(HIGH, standings, said)[0]
        assert isinstance(value, float)
        return 45.0 if value < 12 else -20.0

    within(against_us(on_the_other_side, lambda t: given_numbers[t], HIGH))


def within(stream: Stream) -> None:
    answers, standings, _ = followed(HIGH, stream)
    for adviser, most in enumerate(number_bound(HIGH, standings, len(stream))):
        excess = 0.0
        for (answer, _), (said, outcome) in zip(answers, stream, strict=True):
            value = said[adviser]
            if isinstance(answer, float) and isinstance(value, float) and isinstance(outcome, float):
                excess += abs(answer - outcome) - abs(value - outcome)
        assert excess <= most + 1e-6


def test_who_is_right_is_believed_and_who_was_right_can_come_back() -> None:
    early: Stream = [(["sun", "rain"], "sun")] * 40
    late: Stream = [(["sun", "rain"], "rain")] * 40
    _, standings, _ = followed(SKY, early)
    assert believed(SKY, standings)[0] > 0.95
    answers, standings, _ = followed(SKY, early + late)
    assert [value for value, _ in answers[:40]].count("sun") == 40
    assert [value for value, _ in answers[-25:]].count("rain") == 25
    assert believed(SKY, standings)[1] > 0.9


def test_a_number_comes_to_the_best_adviser() -> None:
    stream: Stream = [([10.0 + t % 3, 30.0, None], 10.0 + t % 3) for t in range(60)]
    answers, standings, _ = followed(HIGH, stream)
    assert isinstance(answers[-1][0], float)
    assert abs(answers[-1][0] - (10.0 + 59 % 3)) < 1
    assert believed(HIGH, standings)[0] > 0.95


@pytest.mark.parametrize(
    ("field", "said", "outcome", "answer"),
    [
        (CODES, [("gout", "flu"), ("Flu", "asthma", "gout")], ("flu",), ("gout", "flu", "asthma")),
        (NOTE, ["rain all day", "fog", "Rain  all day"], "fog", "rain all day"),
        (SKY, ["sun", None, "rain"], "rain", "sun"),
        (HIGH, [None, 3.0, 5.0], 4.0, 4.0),
    ],
)
def test_each_kind_of_field(field: Field, said: list[Said], outcome: Value, answer: Value) -> None:
    standings = at_first(len(said))
    assert advise(field, standings, said)[0] == answer
    for _ in range(30):
        standings = after(field, standings, said, outcome)
    assert msgspec.json.decode(msgspec.json.encode(standings), type=Standings) == standings
    assert sum(believed(field, standings)) == pytest.approx(1)
    value = advise(field, standings, said)[0]
    verdict = field.compare(value, outcome)
    assert verdict is not None
    assert verdict.error < 0.01


def test_nobody_has_an_answer() -> None:
    for field in (SKY, HIGH, CODES, NOTE):
        assert advise(field, at_first(2), [None, None]) == (None, {})
        outcome: Value = 3.0 if field is HIGH else "sun"
        assert after(field, at_first(2), [None, None], outcome)[0].places in ((), (0, 0), (0, 0, 0, 0))


def test_a_text_of_no_words_is_an_answer_if_nobody_has_another() -> None:
    assert advise(NOTE, at_first(3), [None, "", ""]) == ("", {})
    assert advise(NOTE, at_first(3), ["", "fog", None])[0] == "fog"
    assert sum(believed(NOTE, after(NOTE, at_first(3), ["", "", None], "rain"))) == pytest.approx(1)


@settings(max_examples=30)
@given(label_streams)
def test_all_that_is_kept_goes_through_json(stream: Stream) -> None:
    standings = followed(SKY, stream)[1]
    assert msgspec.json.decode(msgspec.json.encode(standings), type=Standings) == standings
