"""Confusion matrices and per-label scores, held to scikit-learn's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.core.fields import Label, Ranked
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.metrics.confusion import confusion, label_scores, macro_f1, matrix
from tests.metrics.steps import step

OPTIONS = ("sun", "rain", "fog", "snow")
SKY = Label("sky", options=OPTIONS)

answers = st.lists(st.tuples(st.sampled_from(OPTIONS), st.sampled_from((*OPTIONS, None))), min_size=1, max_size=40)


def steps(pairs: list[tuple[str, str | None]]) -> list[StepRecord]:
    return [
        step(t=t, target={"sky": came}, prediction=None if said is None else {"sky": said})
        for t, (came, said) in enumerate(pairs)
    ]


@given(answers)
def test_scores_of_labels_are_scikit_learns(pairs: list[tuple[str, str | None]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    found = confusion(SKY, steps(pairs))
    assert found is not None
    scores = label_scores(found)
    came, said = [came for came, _ in pairs], [said or "nothing" for _, said in pairs]
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        came, said, labels=list(found.labels), zero_division=0
    )
    for place, row in enumerate(scores):
        assert row.support == support[place]
        assert row.precision == pytest.approx(precision[place]) if row.precision is not None else precision[place] == 0
        assert (row.recall is None) == (row.f1 is None) == (support[place] == 0)
        if row.support:
            assert row.recall == pytest.approx(recall[place])
            assert row.f1 == pytest.approx(f1[place])
    assert macro_f1(scores) == pytest.approx(sum(f1[support > 0]) / sum(support > 0))


@given(answers, st.integers(1, 4))
def test_no_step_is_lost_in_a_matrix(pairs: list[tuple[str, str | None]], most: int) -> None:
    found = confusion(SKY, steps(pairs))
    assert found is not None
    shown = matrix(found, most)
    assert sum(map(sum, shown.rows)) == len(pairs)
    assert shown.unanswered == any(said is None for _, said in pairs)
    assert len(shown.labels) + shown.others == len(found.labels)
    on_diagonal = sum(shown.rows[place][place] for place in range(len(shown.labels)))
    assert on_diagonal + shown.others_right == sum(came == said for came, said in pairs)


def test_labels_are_one_however_they_are_written_and_lists_count_by_their_first() -> None:
    found = confusion(SKY, steps([("sun", " SUN"), ("Rain", "rain")]))
    assert found is not None
    assert found.counts == {("sun", "sun"): 1, ("rain", "rain"): 1}
    ranked = Ranked("diagnoses", top=2)
    one = step(target={"diagnoses": ("gout", "flu")}, prediction={"diagnoses": ("Flu", "gout")})
    found = confusion(ranked, [one, step(target={"diagnoses": ("flu",)}, prediction={"diagnoses": ("flu",)})])
    assert found is not None
    assert found.counts == {("gout", "Flu"): 1, ("Flu", "Flu"): 1}


def test_without_an_outcome_there_is_none() -> None:
    assert confusion(SKY, [step(target=None), step(target={"high": 3.0})]) is None
