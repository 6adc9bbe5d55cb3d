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
from llm_as_rnn.trust import means, votes
from llm_as_rnn.trust.advice import Advice, Belief, advise, after, at_first
from llm_as_rnn.trust.means import Means
from llm_as_rnn.trust.votes import Said, Votes, chance, least_share

SKY = Label("sky", options=("rain", "sun", "fog", "snow"))
HIGH = Number("high", low=-20, high=45)
CODES = Ranked("codes", top=3)
NOTE = Text("note")

Saying = Sequence[Said | Value | None]
"""What each adviser says: a bare value is an answer without chances."""

Stream = list[tuple[Saying, Value]]


def whole(saying: Saying) -> list[Said]:
    return [one if isinstance(one, Said) else Said(one) for one in saying]


def followed(field: Field, stream: Stream) -> tuple[list[Advice], Belief, list[Belief]]:
    """Go over a stream of what advisers say and what comes."""
    belief, answers, before = at_first(field, len(stream[0][0])), [], []
    for said, outcome in stream:
        before.append(belief)
        answers.append(advise(field, belief, whole(said)))
        belief = after(field, belief, whole(said), outcome)
    return answers, belief, before


def log_losses(stream: Stream, before: Sequence[Belief], expert: str) -> list[float]:
    losses = []
    for (said, outcome), belief in zip(stream, before, strict=True):
        assert isinstance(belief, Votes)
        losses.append(-math.log(chance(SKY, belief, whole(said), expert, outcome)))
    return losses


def own_loss(answers: Sequence[Advice], stream: Stream) -> float:
    return sum(-math.log(advice.chances[str(outcome)]) for advice, (_, outcome) in zip(answers, stream, strict=True))


skies = st.sampled_from(SKY.options)
spreads = st.lists(st.floats(0.001, 1), min_size=4, max_size=4).map(
    lambda shares: {option: share / sum(shares) for option, share in zip(SKY.options, shares, strict=True)}
)
answers_of_one = st.none() | skies | st.builds(Said, skies, spreads)
label_streams = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.tuples(st.lists(answers_of_one, min_size=n, max_size=n), skies), min_size=1, max_size=60)
)


def experts_of(stream: Stream) -> list[str]:
    """Name the experts that have something to say at every step."""
    size = len(stream[0][0])
    telling = [f"{n}*" for n in range(size) if all(isinstance(said[n], Said) for said, _ in stream)]
    return [*map(str, range(size)), *telling, votes.POOL]


def spoken(stream: Stream) -> Stream:
    """Leave out steps at which nobody has an answer."""
    return [(said, outcome) for said, outcome in stream if any(value is not None for value in said)]


numbers = st.floats(-20, 45)
number_streams = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.tuples(st.lists(st.none() | numbers, min_size=n, max_size=n), st.floats(-60, 90)), min_size=1, max_size=60
    )
)


@given(label_streams)
def test_chances_add_up_and_the_answer_is_the_likeliest(stream: Stream) -> None:
    for advice in followed(SKY, stream)[0]:
        assert sum(advice.believed) == pytest.approx(1)
        if advice.value is None:
            assert not advice.chances
            continue
        assert sum(advice.chances.values()) == pytest.approx(1)
        assert advice.chances[str(advice.value)] == pytest.approx(max(advice.chances.values()))


@given(label_streams)
def test_the_log_loss_is_within_its_bound_of_the_best_expert(stream: Stream) -> None:
    if stream := spoken(stream):
        answers, _, before = followed(SKY, stream)
        best = min(sum(log_losses(stream, before, expert)) for expert in experts_of(stream))
        assert own_loss(answers, stream) <= best + votes.excess(len(stream[0][0]), len(stream)) + 1e-9


@given(label_streams, st.integers(0, 59))
def test_the_same_holds_for_two_experts_one_after_the_other(stream: Stream, change: int) -> None:
    if stream := spoken(stream):
        answers, _, before = followed(SKY, stream)
        losses = [log_losses(stream, before, expert) for expert in experts_of(stream)]
        best = min(sum(a[:change]) + sum(b[change:]) for a in losses for b in losses)
        assert own_loss(answers, stream) <= best + votes.excess(len(stream[0][0]), len(stream), changes=1) + 1e-9


def against_us(choose: Callable[[Belief, Saying], Value], said: Callable[[int], Saying], field: Field) -> Stream:
    """Let an adversary choose each outcome after it has seen what would be answered."""
    belief: Belief = at_first(field, len(said(0)))
    stream: Stream = []
    for t in range(400):
        outcome = choose(belief, said(t))
        stream.append((said(t), outcome))
        belief = after(field, belief, whole(said(t)), outcome)
    return stream


def test_an_adversary_who_sees_the_chances_cannot_break_the_bound() -> None:
    random = Random(3)
    drawn: list[Saying] = []
    for _ in range(400):
        shares = [random.random() for _ in SKY.options]
        chances = {option: share / sum(shares) for option, share in zip(SKY.options, shares, strict=True)}
        drawn.append([Said(random.choice(SKY.options), chances), *(random.choice(SKY.options) for _ in range(3))])

    def least_likely(belief: Belief, said: Saying) -> Value:
        chances = advise(SKY, belief, whole(said)).chances
        return min(chances, key=lambda text: chances[text])

    stream = against_us(least_likely, lambda t: drawn[t], SKY)
    answers, _, before = followed(SKY, stream)
    best = min(sum(log_losses(stream, before, expert)) for expert in experts_of(stream))
    assert own_loss(answers, stream) <= best + votes.excess(4, 400)


def test_evidence_of_two_adds_up_in_the_pool() -> None:
    """Two that are right with odds of two to one each, for reasons of their own, are surer together than either."""
    random = Random(5)
    stream: Stream = []
    for _ in range(400):
        outcome = random.choice(SKY.options)
        said = []
        for _ in range(2):
            named = outcome if random.random() < 0.55 else random.choice([o for o in SKY.options if o != outcome])
            said.append(Said(named, {named: 0.55}))
        stream.append((said, outcome))
    answers, belief, before = followed(SKY, stream)
    alone = min(sum(log_losses(stream, before, expert)) for expert in ("0", "1", "0*", "1*"))
    assert own_loss(answers, stream) < 0.9 * alone
    assert isinstance(belief, Votes)
    assert belief.weights[votes.POOL] > 0.5


def test_least_share_is_the_smallest_that_is_dealt() -> None:
    said = [Said("sun", {"sun": 0.5}), Said("rain", {"rain": 0.5})]
    belief = after(SKY, at_first(SKY, 2), said, "sun")
    assert isinstance(belief, Votes)
    assert len(belief.weights) == 5
    assert sum(belief.weights.values()) == pytest.approx(1)
    assert least_share(2) == 0.125


@given(number_streams)
def test_the_absolute_error_is_within_its_bound_of_every_adviser(stream: Stream) -> None:
    within(stream)


@pytest.mark.parametrize("seed", range(4))
def test_an_adversary_who_sees_the_answer_cannot_break_that_bound(seed: int) -> None:
    random = Random(seed)
    given_numbers: list[Saying] = [[random.uniform(-20, 45) for _ in range(3)] for _ in range(400)]

    def on_the_other_side(belief: Belief, said: Saying) -> Value:
        value = advise(HIGH, belief, whole(said)).value
        assert isinstance(value, float)
        return 45.0 if value < 12 else -20.0

    within(against_us(on_the_other_side, lambda t: given_numbers[t], HIGH))


def within(stream: Stream) -> None:
    answers, belief, _ = followed(HIGH, stream)
    assert isinstance(belief, Means)
    assert means.excess(belief) <= means.most_excess(HIGH, len(stream[0][0]), len(stream)) + 1e-6
    for adviser in range(len(stream[0][0])):
        excess = 0.0
        for advice, (said, outcome) in zip(answers, stream, strict=True):
            answer, value = advice.value, said[adviser]
            if isinstance(answer, float) and isinstance(value, float) and isinstance(outcome, float):
                excess += abs(answer - outcome) - abs(value - outcome)
        assert excess <= means.excess(belief) + 1e-6


def lately(stream: Stream, order: Sequence[int]) -> tuple[list[float], Means, int]:
    """Go over a stream whose outcomes come in an order of their own, each after its prediction.

    Returns
    -------
    list of float, Means, int
        The answers; what is known at the end; the most outcomes of others that came before a step's own.
    """
    belief, answers, made, came, late = at_first(HIGH, len(stream[0][0])), [], [0] * len(stream), 0, 0
    waiting = sorted(range(len(stream)), key=lambda t: (order[t], t))
    for t, (said, _) in enumerate(stream):
        value = advise(HIGH, belief, whole(said)).value
        answers.append(value if isinstance(value, float) else math.nan)
        made[t] = came
        while (waiting and waiting[0] <= t and order[waiting[0]] <= t) or (waiting and t == len(stream) - 1):
            due = waiting.pop(0)
            late = max(late, came - made[due])
            answer = None if math.isnan(answers[due]) else float(HIGH.show(answers[due]))
            belief = after(HIGH, belief, whole(stream[due][0]), stream[due][1], answer)
            came += 1
    assert isinstance(belief, Means)
    return answers, belief, late


def within_lately(stream: Stream, order: Sequence[int]) -> None:
    answers, belief, late = lately(stream, order)
    assert means.excess(belief) <= means.most_excess(HIGH, len(stream[0][0]), len(stream), late) + 1e-6
    for adviser in range(len(stream[0][0])):
        excess = 0.0
        for answer, (said, outcome) in zip(answers, stream, strict=True):
            value = said[adviser]
            if isinstance(value, float):
                excess += abs(answer - held(outcome)) - abs(value - held(outcome))
        # What is answered is rounded as it is shown.
        assert excess <= means.excess(belief) + 0.1 * len(stream) + 1e-6


def held(value: Value) -> float:
    assert isinstance(value, float)
    return min(max(value, HIGH.low), HIGH.high)


full_streams = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.tuples(st.lists(numbers, min_size=n, max_size=n), st.floats(-60, 90)), min_size=1, max_size=60
    )
)


@given(full_streams, st.data())
def test_the_bound_holds_with_outcomes_that_come_late_and_in_any_order(stream: Stream, data: st.DataObject) -> None:
    delays = data.draw(st.lists(st.integers(0, 60), min_size=len(stream), max_size=len(stream)))
    within_lately(stream, [t + delay for t, delay in enumerate(delays)])


@pytest.mark.parametrize("delay", [1, 10, 50, 100])
def test_what_a_late_answer_lost_is_counted_as_it_was_given(delay: int) -> None:
    one_is_right: Stream = [([-20.0, 45.0, 45.0], -20.0) for _ in range(400)]
    within_lately(one_is_right, [t + delay for t in range(400)])
    in_turns: Stream = [([-20.0, 45.0], -20.0 if t // (2 * delay) % 2 else 45.0) for t in range(400)]
    within_lately(in_turns, [t + delay for t in range(400)])


@pytest.mark.parametrize("field", [Number("x", low=0, high=4.9, decimals=0), Number("x", low=0, high=0.95, decimals=0)])
def test_how_answers_are_rounded_unlearns_nobody(field: Number) -> None:
    random, belief = Random(5), at_first(field, 3)
    for _ in range(500):
        came = random.uniform(field.low, field.high)
        said = [Said(came), *(Said(max(came - random.uniform(0, 0.4), field.low)) for _ in range(2))]
        value = advise(field, belief, said).value
        assert isinstance(value, float)
        belief = after(field, belief, said, came, field.answer_near(value))
    assert isinstance(belief, Means)
    assert advise(field, belief, said).believed[0] > 0.95
    assert means.excess(belief) <= means.most_excess(field, 3, 500)


def test_who_is_silent_has_no_weight_in_an_average() -> None:
    told = advise(HIGH, at_first(HIGH, 3), [Said(None), Said(7.0), Said(9.0)])
    assert (told.value, told.believed) == (8.0, [0.0, 0.5, 0.5])
    assert advise(HIGH, at_first(HIGH, 2), [Said(None), Said(None)]).believed == [0.5, 0.5]


def test_the_best_of_equals_is_soon_found_whatever_the_unit() -> None:
    random = Random(11)
    for scale in (1e-6, 1.0, 1e6):
        field = Number("x", low=-100 * scale, high=100 * scale)
        belief: Belief = at_first(field, 3)
        for _ in range(60):
            came = random.gauss(0, scale)
            saying = [Said(came + random.gauss(0, spread * scale)) for spread in (0.3, 2.0, 5.0)]
            belief = after(field, belief, saying, came)
        assert advise(field, belief, saying).believed[0] > 0.9


def test_who_is_right_is_believed_and_who_was_right_can_come_back() -> None:
    early: Stream = [(["sun", "rain"], "sun")] * 40
    late: Stream = [(["sun", "rain"], "rain")] * 40
    answers = followed(SKY, early)[0]
    assert answers[-1].believed[0] > 0.75
    answers = followed(SKY, early + late)[0]
    assert [advice.value for advice in answers[:40]].count("sun") == 40
    assert [advice.value for advice in answers[-20:]].count("rain") == 20
    assert answers[-1].believed[1] > 0.7


def test_a_number_comes_to_the_best_adviser() -> None:
    stream: Stream = [([10.0 + t % 3, 30.0, None], 10.0 + t % 3) for t in range(60)]
    last = followed(HIGH, stream)[0][-1]
    assert isinstance(last.value, float)
    assert abs(last.value - (10.0 + 59 % 3)) < 1
    assert last.believed[0] > 0.85


@pytest.mark.parametrize(
    ("field", "saying", "outcome", "answer"),
    [
        (CODES, [("gout", "flu"), ("Flu", "asthma", "gout")], ("flu",), ("gout", "flu", "asthma")),
        (NOTE, ["rain all day", "fog", "Rain  all day"], "fog", "rain all day"),
        (SKY, ["sun", None, "rain"], "rain", "sun"),
        (HIGH, [None, 3.0, 5.0], 4.0, 4.0),
    ],
)
def test_each_kind_of_field(field: Field, saying: Saying, outcome: Value, answer: Value) -> None:
    belief, said = at_first(field, len(saying)), whole(saying)
    assert advise(field, belief, said).value == answer
    for _ in range(30):
        belief = after(field, belief, said, outcome)
    assert msgspec.json.decode(msgspec.json.encode(belief), type=Belief) == belief
    advice = advise(field, belief, said)
    assert sum(advice.believed) == pytest.approx(1)
    verdict = field.compare(advice.value, outcome)
    assert verdict is not None
    assert verdict.error < 0.01


def test_nobody_has_an_answer() -> None:
    nobody = [Said(None), Said(None)]
    for field in (SKY, HIGH, CODES, NOTE):
        assert advise(field, at_first(field, 2), nobody) == (None, {}, [0.5, 0.5])
        outcome: Value = 3.0 if field is HIGH else "sun"
        belief = after(field, at_first(field, 2), nobody, outcome)
        if isinstance(belief, Votes):
            assert belief.places[0] in ((), (0, 0), (0, 0, 0, 0))


def test_a_text_of_no_words_is_an_answer_if_nobody_has_another() -> None:
    first = at_first(NOTE, 3)
    assert advise(NOTE, first, whole([None, "", ""])).value == ""
    assert advise(NOTE, first, whole(["", "fog", None])).value == "fog"
    belief = after(NOTE, first, whole(["", "", None]), "rain")
    assert sum(advise(NOTE, belief, whole(["fog", "", None])).believed) == pytest.approx(1)


@settings(max_examples=30)
@given(label_streams)
def test_all_that_is_kept_goes_through_json(stream: Stream) -> None:
    belief = followed(SKY, stream)[1]
    assert msgspec.json.decode(msgspec.json.encode(belief), type=Belief) == belief
