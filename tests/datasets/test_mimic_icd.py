"""Diagnoses compared by category: titles are looked up, other texts are placed, and nothing is right by accident."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.fields import Ranked, Text
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.mimic.icd import Coding, Term, scores
from llm_as_rnn.metrics.agreement import agree, agreement
from llm_as_rnn.metrics.extras import with_data
from llm_as_rnn.metrics.scores import field_metrics, step_scores
from tests.metrics.steps import step

TERMS = [
    Term("ICD-10", "I50", "Acute on chronic diastolic (congestive) heart failure", ("CIR019",)),
    Term("ICD-10", "I50", "Heart failure, unspecified", ("CIR019",)),
    Term("ICD-10", "I11", "Hypertensive heart disease with heart failure", ("CIR008", "CIR019")),
    Term("ICD-10", "I10", "Essential (primary) hypertension", ("CIR007",)),
    Term("ICD-10", "J18", "Pneumonia, unspecified organism", ("RSP002",)),
    Term("ICD-10", "N17", "Acute kidney failure, unspecified", ("GEN002",)),
    Term("ICD-10", "N18", "Chronic kidney disease, stage 3 (moderate)", ("GEN003",)),
    Term("ICD-10", "J44", "Chronic obstructive pulmonary disease, unspecified", ("RSP008",)),
    Term("ICD-9", "428", "Congestive heart failure, unspecified"),
    Term("ICD-9", "401", "Unspecified essential hypertension"),
    Term("ICD-9", "486", "Pneumonia, organism unspecified"),
    Term("ICD-9", "584", "Acute kidney failure, unspecified"),
]
CODING = Coding(TERMS)


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("Heart failure, unspecified", "I50"),
        ("  HEART  failure, Unspecified ", "I50"),
        ("acute on chronic diastolic heart failure", "I50"),
        ("CHF", "I50"),
        ("AKI", "N17"),
        ("acute renal failure", "N17"),
        ("acute kidney injury", "N17"),
        ("CKD stage 3", "N18"),
        ("COPD", "J44"),
        ("pneumonia", "J18"),
        ("essential hypertension", "I10"),
    ],
)
def test_texts_are_placed(text: str, category: str) -> None:
    ours = {key for key in CODING.answer(text, "icd") if key.startswith("ICD-10")}
    assert ours == {f"ICD-10 {category}"}


@pytest.mark.parametrize(
    "text", ["", "broken leg", "the patient is unwell", "unspecified", "I do not know.", "___", "disease"]
)
def test_what_fits_nothing_is_of_no_category(text: str) -> None:
    assert CODING.answer(text, "icd") == frozenset()


def test_a_title_of_one_edition_counts_for_an_outcome_of_the_other() -> None:
    there = CODING.scores("icd", 5, ("Congestive heart failure, unspecified",), ("Heart failure, unspecified",))
    assert there == {"icd.acc@1": 1.0, "icd.acc@5": 1.0}
    back = CODING.scores("icd", 5, ("Heart failure, unspecified",), ("Congestive heart failure, unspecified",))
    assert back == {"icd.acc@1": 1.0, "icd.acc@5": 1.0}


def test_an_outcome_stands_for_its_own_codes_alone() -> None:
    assert CODING.outcome("Heart failure, unspecified", "icd") == {"ICD-10 I50"}
    assert CODING.outcome("Acute kidney failure, unspecified", "icd") == {"ICD-10 N17", "ICD-9 584"}
    assert CODING.outcome("heart failure", "icd") == frozenset()


@pytest.mark.parametrize(
    ("answer", "outcome", "right"),
    [
        (("CHF", "AKI"), ("Heart failure, unspecified", "Pneumonia, unspecified organism"), (1.0, 1.0)),
        (("AKI", "CHF"), ("Heart failure, unspecified",), (0.0, 1.0)),
        (("CHF",), ("Pneumonia, unspecified organism", "Heart failure, unspecified"), (0.0, 1.0)),
        (("AKI",), ("Heart failure, unspecified",), (0.0, 0.0)),
        (None, ("Heart failure, unspecified",), (0.0, 0.0)),
        ((), ("Heart failure, unspecified",), (0.0, 0.0)),
        (("AKI", "a", "b", "c", "d", "CHF"), ("Heart failure, unspecified",), (0.0, 0.0)),
        (("CHF",), ("ICD-10 code Z99", "Heart failure, unspecified"), (None, 1.0)),
        (("CHF",), ("ICD-10 code Z99",), (None, None)),
    ],
)
def test_scores(answer: tuple[str, ...] | None, outcome: tuple[str, ...], right: tuple[float | None, ...]) -> None:
    found = CODING.scores("icd", 5, answer, outcome)
    assert (found.get("icd.acc@1"), found.get("icd.acc@5")) == right


def test_groups_are_wider_than_categories() -> None:
    answer, outcome = ("Hypertensive heart disease with heart failure",), ("Heart failure, unspecified",)
    assert CODING.scores("icd", 5, answer, outcome)["icd.acc@1"] == 0.0
    assert CODING.scores("ccsr", 5, answer, outcome)["ccsr.acc@1"] == 1.0
    assert CODING.scores("ccsr", 5, answer, ("Congestive heart failure, unspecified",)) == {}


@given(st.permutations(TERMS), st.text(max_size=60))
def test_the_order_of_titles_does_not_matter(terms: list[Term], text: str) -> None:
    for one in (text, "heart failure disease", "acute pneumonia", "kidney failure and chronic disease"):
        assert Coding(terms).answer(one, "icd") == CODING.answer(one, "icd")


def test_a_step_gets_the_scores_that_its_task_asks_for() -> None:
    task = load_task("mimic")
    record = msgspec.structs.replace(
        step(t=0),
        target={"diagnoses": ("Heart failure, unspecified",)},
        prediction={"diagnoses": ("CHF",)},
        scores={"x": 1.0},
    )
    assert with_data(task, scores(CODING), record).scores == {
        "x": 1.0,
        "diagnoses.icd.acc@1": 1.0,
        "diagnoses.icd.acc@5": 1.0,
    }
    unknown = msgspec.structs.replace(record, target=None)
    assert with_data(task, scores(CODING), unknown).scores == {"x": 1.0}
    # What a task lists beside them is exactly what is added, or is scored by the step alone.
    names = {metric.name for field in task.answer for metric in field_metrics(field) if not metric.judged}
    assert names == {
        *step_scores(task, record.prediction, record.target),
        *(name for name in with_data(task, scores(CODING), record).scores if name != "x"),
    }


def test_only_ranked_fields_have_categories() -> None:
    with pytest.raises(ValueError, match="metric icd: a text may ask for facts"):
        Text("sky", metrics=("icd",))
    assert [m.name for m in field_metrics(Ranked("d", top=1, metrics=("ccsr",)))] == [
        "d.acc@1",
        "d.ccsr.acc@1",
    ]


# --- agreement ------------------------------------------------------------------------------------------------------


def scored(**scores: float) -> StepRecord:
    return msgspec.structs.replace(step(t=0), scores=dict(scores))


def test_agreement_counts_steps_that_have_both_scores() -> None:
    records = [scored(a=1, b=1), scored(a=1, b=0), scored(a=0, b=0), scored(a=0, b=0), scored(a=1), scored(b=1)]
    found = agreement(records, "a", "b")
    assert found is not None
    assert (found.steps, found.share, found.kappa) == (4, 0.75, 0.5)
    assert (found.both, found.neither, found.first_only, found.second_only) == (1, 2, 1, 0)
    assert agreement(records, "a", "c") is None


def test_agreement_by_hand() -> None:
    # Cohen's kappa of the table 20, 5, 10, 15: (0.7 - 0.5) / 0.5.
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    found = agree(pairs)
    assert found is not None
    assert found.kappa == pytest.approx(0.4)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_agreement_is_the_same_both_ways_and_never_above_one(pairs: list[tuple[bool, bool]]) -> None:
    one, other = agree(pairs), agree([(b, a) for a, b in pairs])
    assert one is not None
    assert other is not None
    assert one.share == other.share
    if one.kappa is None:
        assert len({a for a, _ in pairs}) == 1 or len({b for _, b in pairs}) == 1
    else:
        assert other.kappa == pytest.approx(one.kappa)
        assert -1 <= one.kappa <= 1
        assert (one.kappa == pytest.approx(1)) == (one.share == 1)
