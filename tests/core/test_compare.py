"""One comparison: what a verdict says of each kind of answer, and that all who compare say the same.

Ranked answers are tried at every caller: once they were right to some and wrong to others.
"""

from __future__ import annotations

import math
from typing import Any
from unicodedata import normalize

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.cases.case import came, case
from llm_as_rnn.core.errors import AnswerError
from llm_as_rnn.core.fields import Field, Label, Number, Ranked, Text, Verdict
from llm_as_rnn.core.figures import LARGEST
from llm_as_rnn.core.folding import chosen, clash, fold, leading
from llm_as_rnn.core.outcomes import facts, same_outcome, verdict
from llm_as_rnn.core.records import Observation, Prediction, SequenceInfo, Status, Value, Why
from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.metrics.scores import step_scores
from llm_as_rnn.recurrence import scorecard
from llm_as_rnn.recurrence.cell import Recurrent
from llm_as_rnn.recurrence.notes import credit, foretold
from llm_as_rnn.recurrence.policy import Past, error_of, why_not
from tests.core.stage import sky_task
from tests.helpers import bare, by_hand, good_answer, listening, make

SKY = Label("sky", options=("heavy rain", "caf\u00e9", "sun"))
HIGH = Number("high", low=-20, high=45, unit="degrees C")
CODES = Ranked("codes", top=5)
WORDS = Text("words")
FIELDS = (SKY, HIGH, CODES, WORDS)

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
VALUES: dict[type[Field], st.SearchStrategy[Any]] = {
    Label: st.sampled_from(SKY.options),
    Number: st.floats(allow_nan=False, allow_infinity=False),
    Ranked: st.lists(texts, min_size=1, max_size=5).map(tuple),
    Text: texts,
}


def values_of(field: Field) -> st.SearchStrategy[Any]:
    return VALUES[type(field)]


def of(*fields: Field) -> Task:
    return msgspec.structs.replace(sky_task(), answer=fields)


def compared(field: Field, answer: Value | None, outcome: Value | None) -> Verdict:
    found = field.compare(answer, outcome)
    assert found is not None
    return found


# ------------------------------------------------------------------------------------------------------------ folding


@given(texts)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(texts)
def test_case_blanks_and_unicode_form_count_for_nothing(text: str) -> None:
    assert fold(f"  {text}\t\n") == fold(text)
    for form in ("NFC", "NFD"):
        written: Any = form
        assert fold(normalize(written, text)) == fold(text)
    assert fold(text.casefold()) == fold(text) or normalize("NFD", text) != text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Maße", "MASSE", True),
        ("cafe\u0301", "Caf\u00c9", True),
        ("a\u00a0 b", "A B", True),
        ("\u03b1\u0345\u0301", "\u0391\u0301\u0345", True),  # its parts change case in another order than the whole
        ("ab", "a b", False),
        ("\uff41", "a", False),  # a full-width letter is another one
        ("a", "\u0430", False),  # and so is one that only looks like it
    ],
)
def test_what_folds_to_the_same(one: str, other: str, same: bool) -> None:
    assert (fold(one) == fold(other)) is same
    assert (clash((one, "else", other)) == (one, other)) is same


def test_what_is_written_exactly_comes_first_and_what_may_be_two_is_none() -> None:
    assert chosen("A", ("a", "A", "b")) == "A"
    assert chosen("B ", ("a", "A", "b")) == "b"
    assert chosen("A ", ("a", "A", "b")) is None


# -------------------------------------------------------------------------------------------------- what a verdict says


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.noun)
@given(data=st.data())
def test_a_value_is_right_for_itself_and_never_off(field: Field, data: st.DataObject) -> None:
    value = data.draw(values_of(field))
    found = compared(field, value, value)
    assert (found.right, found.error, found.answered) == (True, 0.0, True)
    assert found.off == (0.0 if isinstance(field, Number) else None)
    assert found.place == (1 if isinstance(field, Ranked) else None)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.noun)
@given(data=st.data())
def test_right_holds_both_ways_and_errors_are_shares(field: Field, data: st.DataObject) -> None:
    one, other = data.draw(values_of(field)), data.draw(values_of(field))
    there, back = compared(field, one, other), compared(field, other, one)
    assert there.right is back.right
    assert 0 <= there.error <= 1
    assert there.error == 0 or not there.right
    assert there.right or there.error > 0 or isinstance(field, Text)
    assert there.right <= (not isinstance(field, Ranked) or there.among)


@given(VALUES[Number], VALUES[Number])
def test_numbers_are_off_with_a_sign_in_their_unit(one: float, other: float) -> None:
    there, back = compared(HIGH, one, other).off, compared(HIGH, other, one).off
    assert there is not None
    assert back is not None
    assert there == -back
    assert math.isfinite(there)
    assert (there > 0) == (one > other)


@pytest.mark.parametrize(
    ("answer", "outcome", "verdict"),
    [
        (9.0, 12.25, Verdict(right=False, error=0.05, off=-3.25)),
        (12.0, 8.75, Verdict(right=False, error=0.05, off=3.25)),
        (12.0, 12.04, Verdict(right=True, error=0.0, off=12.0 - 12.04)),  # as the field shows both
        (-0.04, 0.0, Verdict(right=True, error=0.0, off=-0.04)),  # and a 0 is a 0
        (45.0, 1e300, Verdict(right=False, error=1.0, off=45.0 - 1e300)),
        (1.7e308, -1.7e308, Verdict(right=False, error=1.0, off=LARGEST)),
        (None, 40.0, Verdict(right=False, error=1.0, answered=False, off=-60.0)),  # the farther end of the range
        (None, -15.0, Verdict(right=False, error=1.0, answered=False, off=60.0)),
        (math.nan, 40.0, Verdict(right=False, error=1.0, answered=False, off=-60.0)),
        ("mild", 40.0, Verdict(right=False, error=1.0, answered=False, off=-60.0)),
        (("9",), 40.0, Verdict(right=False, error=1.0, answered=False, off=-60.0)),
    ],
)
def test_numbers_by_hand(answer: Any, outcome: float, verdict: Verdict) -> None:
    assert compared(HIGH, answer, outcome) == verdict


@pytest.mark.parametrize(
    ("answer", "right", "place", "error"),
    [
        (("Gout", "flu"), True, 1, 0.0),
        (("gout  ",), True, 1, 0.0),
        (("asthma", "gout"), False, 1, 1 / 6),  # an outcome, but not the first one
        (("flu", "gout"), False, 2, 2 / 6),
        (("flu", "cold", "croup", "mumps", "ASTHMA"), False, 5, 5 / 6),
        (("a", "b", "c", "d", "e", "f", "gout"), False, 7, 7 / 8),  # longer than asked for now
        (("flu",), False, None, 1.0),
    ],
)
def test_ranked_answers_by_hand(answer: tuple[str, ...], right: bool, place: int | None, error: float) -> None:
    found = compared(CODES, answer, ("gout", "asthma"))
    assert found._replace(error=0.0) == Verdict(right, 0.0, place=place)
    assert found.error == pytest.approx(error)
    assert found.among is (place is not None)


def test_texts_and_labels_by_hand() -> None:
    assert compared(SKY, "HEAVY  rain", "heavy rain") == Verdict(right=True, error=0.0)
    assert compared(SKY, "cafe\u0301", "caf\u00e9") == Verdict(right=True, error=0.0)
    assert compared(SKY, "heavy", "heavy rain") == Verdict(right=False, error=1.0)
    assert compared(WORDS, "Rain  all day", "rain all DAY") == Verdict(right=True, error=0.0)
    assert compared(WORDS, "rain all", "rain today") == Verdict(right=False, error=0.5)
    assert compared(WORDS, "rain,sun", "rain, sun") == Verdict(
        right=False, error=0.0
    )  # no copy, but no word is missing


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.noun)
def test_what_is_missing_has_one_meaning(field: Field) -> None:
    outcomes: dict[type[Field], Value] = {Label: "sun", Number: 9.0, Ranked: ("a",), Text: "a"}
    outcome = outcomes[type(field)]
    missing = compared(field, None, outcome)
    assert (missing.right, missing.error, missing.answered, missing.place) == (False, 1.0, False, None)
    assert field.compare(outcome, None) is None
    assert field.compare(None, None) is None
    assert CODES.compare((), ("a",)) == compared(CODES, None, ("a",))
    assert CODES.compare(("a",), ()) is None
    assert HIGH.compare(9.0, math.nan) is None


def test_a_task_compares_the_fields_that_have_an_outcome() -> None:
    task = of(SKY, HIGH)
    assert set(task.compare({"sky": "sun", "high": 9.0}, {"high": 9.0})) == {"high"}
    assert task.compare({"sky": "sun"}, None) == task.compare(None, {}) == {}
    assert not task.compare(None, {"sky": "sun"})["sky"].answered


# -------------------------------------------------------------------------------------- ranked answers, at every caller


TASK = of(CODES)
CAME: dict[str, Value] = {"codes": ("gout", "asthma")}
FIRST: dict[str, Value] = {"codes": ("Gout", "flu")}
FURTHER: dict[str, Value] = {"codes": ("flu", "asthma")}
OTHER: dict[str, Value] = {"codes": ("asthma", "gout")}
NONE: dict[str, Value] = {"codes": ("flu", "cold")}
SEEN = Observation("s", 0, {"seen": "a red toe"})


def said(values: dict[str, Value]) -> Prediction:
    return Prediction(values, Status.OK, "")


@pytest.mark.parametrize(
    ("answer", "first", "among"), [(FIRST, 1, 1), (FURTHER, 0, 1), (OTHER, 0, 1), (NONE, 0, 0), (None, 0, 0)]
)
def test_scores_of_ranked_answers(answer: dict[str, Value] | None, first: int, among: int) -> None:
    assert step_scores(TASK, answer, CAME) == {"codes.acc@1": first, "codes.acc@5": among}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (FIRST, "right"),
        (FURTHER, "wrong at first but number 2 is right"),
        (OTHER, "right but not the first"),
        (NONE, "wrong"),
    ],
)
def test_the_facts_of_ranked_answers(answer: dict[str, Value], words: str) -> None:
    written = CODES.show(answer["codes"])
    assert facts(TASK, said(answer), CAME) == f"codes: gout; asthma; the answer was {written}, {words}"
    assert verdict(TASK, said(answer), CAME) == f"The answer was {written}: {words}."


@pytest.mark.parametrize("layout", ["chained", "separate"])
@pytest.mark.parametrize(
    ("name", "role"), [("recurrent:rewrite", "reflect"), ("recurrent:delta", "reflect"), ("memprompt", "summarise")]
)
def test_critic_and_memprompt_hear_that_a_ranked_answer_is_right(name: str, role: str, layout: str) -> None:
    method = make(name, TASK, form="json", feedback="model", layout=layout)
    answer, log = listening(lambda request: good_answer("json")(request) if request.role == role else "{}")
    by_hand(method.learn(method.start(SequenceInfo("s")), SEEN, said(FIRST), CAME), answer)
    prompt = next(request.prompt for request in log if request.role == role)
    assert "the answer was Gout; flu, right" in prompt or "The answer was Gout; flu: right." in prompt
    assert "wrong" not in prompt.partition("gout; asthma")[2].partition("\n")[0]


def test_the_scorecard_counts_ranked_answers_as_the_scores_do() -> None:
    card = scorecard.empty(TASK)
    for t, answer in enumerate((FIRST, FURTHER, OTHER, NONE, None)):
        card = scorecard.add(card, TASK, Observation("s", t, {"seen": "x"}), answer, CAME)
    assert (card["codes"].steps, card["codes"].answered, card["codes"].right) == (5, 4, 1)
    assert scorecard.to_text(card, TASK) == "codes: right 1 of 5; repeating the last would be right 4 of 4"


def test_policies_go_by_the_first_entry_and_by_how_late_the_hit_comes() -> None:
    errors = [error_of(TASK, answer, CAME) for answer in (FIRST, OTHER, FURTHER, NONE, None)]
    assert errors == pytest.approx([0, 1 / 6, 2 / 6, 1, 1])
    assert why_not("on_error", 0, Past(), errors[0]) == Why("on_error", "the answer was right")
    assert why_not("on_error", 0, Past(), errors[1]) is None


def test_a_right_ranked_answer_is_not_learned_from_on_error() -> None:
    method = bare("recurrent", TASK, form="json", feedback="scorecard", rule="append", when="on_error")
    assert isinstance(method, Recurrent)
    state = method.start(SequenceInfo("s"))
    learned = [by_hand(method.learn(state, SEEN, said(answer), CAME), good_answer("json")) for answer in (FIRST, OTHER)]
    assert [one.update.outcome for one in learned] == ["skipped", "accepted"]
    assert [one.state.past.errors for one in learned] == [(0.0,), (pytest.approx(1 / 6),)]


@pytest.mark.parametrize(("outcome", "same"), [(FIRST, True), (OTHER, False), (FURTHER, False), (NONE, False)])
def test_a_case_is_in_line_with_an_outcome_of_the_same_first_entry(outcome: dict[str, Value], same: bool) -> None:
    item = case(TASK, SEEN, CAME, SequenceInfo("s"))
    assert came(TASK, item) == CAME
    assert same_outcome(TASK, CAME, outcome) is same
    assert foretold([item], TASK, "a red toe", outcome) == (same,)
    counted = credit({}, [item], TASK, "a red toe", outcome, right=same, now=0)[item]
    assert (counted.helped, counted.hurt) == (int(same), int(not same))


def test_the_shipped_ranked_task_says_everywhere_what_its_scores_say() -> None:
    mimic = load_task("mimic")
    answer: dict[str, Value] = {"diagnoses": ("sepsis", "Gout", "Asthma", "Flu", "Cold")}
    outcome: dict[str, Value] = {"diagnoses": ("Sepsis", "Acute kidney failure")}
    assert step_scores(mimic, answer, outcome)["diagnoses.acc@1"] == 1
    assert facts(mimic, said(answer), outcome).endswith(", right")
    assert error_of(mimic, answer, outcome) == 0
    assert same_outcome(mimic, answer, outcome)
    card = scorecard.add(scorecard.empty(mimic), mimic, SEEN, answer, outcome)
    assert card["diagnoses"].right == 1


# ------------------------------------------------------------------------------ other kinds, the same at every caller


@pytest.mark.parametrize(
    ("field", "answer", "outcome"),
    [
        (SKY, "CAFE\u0301", "caf\u00e9"),
        (HIGH, 12.0, 12.04),
        (HIGH, -0.04, 0.0),
        (WORDS, "Rain  all\tday", "rain all day"),
    ],
)
def test_what_is_right_is_so_to_all(field: Field, answer: Value, outcome: Value) -> None:
    task = of(field)
    values, target = {field.name: answer}, {field.name: outcome}
    assert facts(task, said(values), target).endswith(", right")
    assert verdict(task, said(values), target).endswith(": right.")
    assert error_of(task, values, target) == 0
    assert same_outcome(task, values, target)
    assert scorecard.add(scorecard.empty(task), task, SEEN, values, target)[field.name].right == 1
    scores = step_scores(task, values, target)
    assert scores.get(f"{field.name}.accuracy", 1) == scores.get(f"{field.name}.match", 1) == 1


def test_two_texts_teach_the_same_only_where_they_are_the_same() -> None:
    assert not same_outcome(of(WORDS), {"words": "rain,sun"}, {"words": "rain, sun"})
    assert not same_outcome(of(WORDS), {"words": "rain " * 40 + "sun"}, {"words": "rain " * 40 + "fog"})


def test_an_answer_of_another_kind_is_none_to_all() -> None:
    task, target = of(HIGH), {"high": 10.0}
    values: dict[str, Value] = {"high": "mild"}
    assert facts(task, said(values), target) == "high: 10.0 degrees C; there was no usable answer"
    assert verdict(task, said(values), target) == "There was no usable answer."
    assert error_of(task, values, target) == 1
    assert step_scores(task, values, target) == step_scores(task, None, target)
    tally = scorecard.add(scorecard.empty(task), task, SEEN, values, target)["high"]
    assert (tally.steps, tally.answered, tally.right, tally.abs_error) == (1, 0, 0, 0.0)


# ------------------------------------------------------------------------------------- answers and outcomes as options


@pytest.mark.parametrize("written", [" Heavy   RAIN ", "heavy rain", "HEAVY\u00a0RAIN"])
def test_an_answer_and_an_outcome_are_read_as_the_option_that_they_are_but_for_case_and_blanks(written: str) -> None:
    assert SKY.read(written) == SKY.read_outcome(written) == "heavy rain"
    ranked = Ranked("codes", options=SKY.options, top=2)
    assert (
        ranked.read([written, "CAFE\u0301"])
        == ranked.read_outcome(f"{written};Cafe\u0301")
        == ("heavy rain", "caf\u00e9")
    )


@pytest.mark.parametrize("written", ["heavyrain", "rain", "\uff53un", "suns"])
def test_anything_else_is_no_option(written: str) -> None:
    with pytest.raises(AnswerError, match="sky must be one of"):
        SKY.read_outcome(written)


@pytest.mark.parametrize(
    "options", [("a", "A"), ("Masse", "Maße"), ("caf\u00e9", "cafe\u0301"), ("a b", "a  b"), ("a", "a")]
)
@pytest.mark.parametrize("kind", [Label, Ranked])
def test_options_that_fold_together_are_refused(options: tuple[str, str], kind: type[Label | Ranked]) -> None:
    with pytest.raises(ValueError, match="rename or drop one") as caught:
        kind("y", options=(*options, "else"))
    assert len(str(caught.value).splitlines()) == 1


separated = st.text(st.sampled_from("ab,;:-> "), max_size=6).map(str.strip).filter(bool)


@given(st.lists(separated, min_size=2, max_size=4), st.booleans(), st.booleans(), st.data())
def test_no_writer_emits_what_its_reader_cannot_read(
    options: list[str], followed: bool, listed: bool, data: st.DataObject
) -> None:
    also = (Label("z", options=("a", "b", "b, a")),) if followed else ()
    try:
        y = Ranked("y", options=tuple(options), top=2) if listed else Label("y", options=tuple(options))
        task = of(y, *also)
    except ValueError:
        return  # refused with the task
    two = st.lists(st.sampled_from(options), min_size=2, max_size=2, unique=True).map(tuple)
    values: dict[str, Value] = {"y": data.draw(two) if listed else data.draw(st.sampled_from(options))}
    for field in also:
        values[field.name] = data.draw(st.sampled_from(field.options))
    for spec in (task.spec("line"), task.spec("json")):
        assert spec.read(spec.show(values)) == spec.read_outcome(spec.show(values)) == values
    assert came(task, case(task, SEEN, values, SequenceInfo("s"))) == values


def test_an_option_with_the_separator_is_read_whole_where_its_end_can_be_told() -> None:
    spec = of(Label("sky", options=("so, so", "good")), HIGH).spec("line")
    assert spec.read("So,  so, 12.5") == {"sky": "so, so", "high": 12.5}
    assert spec.read("good, 12.5") == {"sky": "good", "high": 12.5}
    with pytest.raises(AnswerError, match="sky must be one of so, so, good, not 'so'"):
        spec.read("so, 12.5")
    with pytest.raises(AnswerError, match="high missing"):
        spec.read("so, so")


def test_a_long_line_is_looked_at_for_no_more_pieces_than_an_option_has(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr("llm_as_rnn.core.folding.chosen", lambda text, _: looked.append(text))
    assert leading("x," * 10_000, ("so, so", "good"), ",") is None
    assert looked == ["x,x", "x"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ((Label("y", options=("a", "a, b")), HIGH), "'a, b' of field 'y' holds a comma"),
        ((Ranked("y", options=("c", "a, b")), HIGH), "'a, b' of field 'y' holds a comma"),
        ((HIGH, Label("y", options=("a", "a, b"))), ""),  # what stands last takes the rest
        ((Label("y", options=("c", "a, b")), HIGH), ""),
    ],
)
def test_what_a_line_could_not_tell_the_end_of_is_refused_with_the_task(
    fields: tuple[Field, ...], problem: str
) -> None:
    if problem:
        with pytest.raises(ValueError, match=problem):
            of(*fields)
    else:
        assert of(*fields).answer == fields
