"""Sections of a discharge summary: what tells how the stay went never comes through."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn.datasets.mimic.notes import LATE, MOST, SECTIONS, SHORT, early_sections
from tests.datasets.mimic_folder import LATE_HEADINGS, note


def test_the_history_is_taken_and_nothing_else() -> None:
    assert early_sections(note(random.Random(1))) == {
        "allergies": "Penicillins",
        "chief_complaint": "Dyspnea",
        "present_illness": '___ with "walking" pneumonia, who was seen at ___.',
        "past_history": "1. Hypertension 2. Cardiac: CAD",
        "family_history": "Non-contributory",
    }


@pytest.mark.parametrize("heading", LATE_HEADINGS)
def test_nothing_passes_a_late_heading_however_it_is_written(heading: str) -> None:
    found = early_sections(note(random.Random(1), heading))
    assert set(found) == {"allergies", "chief_complaint", "present_illness"}
    assert "LATE" not in str(found)


@given(
    st.sampled_from(LATE),
    st.sampled_from([" ", "  ", "\t", "_", "-"]),
    st.sampled_from([str.upper, str.title, str.lower]),
    st.sampled_from(["", " ", "# ", "1. ", "**", "=== "]),
    st.sampled_from([":", " :", ":\t", " - ", "="]),
    st.booleans(),
)
def test_every_late_heading_stops_in_every_spelling(
    phrase: str, gap: str, case: object, before: str, after: str, same_line: bool
) -> None:
    heading = before + case(phrase).replace(" ", gap) + after  # type: ignore[operator]
    text = f"HPI: a cough\n{heading}{' ' if same_line else chr(10)}LATE\nAllergies:\nLATE\n"
    assert early_sections(text) == {"present_illness": "a cough"}


@pytest.mark.parametrize("heading", ["DISCHARGE DIAGNOSIS:", "Brief Hospital Course:", "Final diagnoses -"])
def test_a_late_heading_within_a_line_cuts_it(heading: str) -> None:
    text = f"History of Present Illness:\nA long line of what he told us when he came to the ward today. {heading} LATE"
    assert "LATE" not in str(early_sections(text))


@pytest.mark.parametrize(
    "heading", ["Physical Exam:", "Medications on Admission:", "Imaging:", "Stress MIBI:", "Plan:"]
)
def test_any_other_heading_ends_a_section(heading: str) -> None:
    text = f"HPI:\na cough\n{heading}\nLATE\nFamily History:\nnone known\n"
    assert early_sections(text) == {"present_illness": "a cough", "family_history": "none known"}


@pytest.mark.parametrize(
    "heading",
    [
        "Brief ___ Course:",
        "Brief Hospital ___:",
        "___ Hospital Course:",
        "Discharge ___:",
        "___ Diagnosis:",
        "Pertinent ___:",
    ],
)
def test_a_late_heading_with_a_masked_word_stops_for_good(heading: str) -> None:
    text = f"Family History:\nnone\n{heading}\nLATE\nAllergies:\nLATE\n"
    assert early_sections(text) == {"family_history": "none"}


@pytest.mark.parametrize("heading", ["___:", "___ History:", "Physical ___:", "___ on Admission:"])
def test_a_masked_heading_that_could_be_several_ends_a_section(heading: str) -> None:
    text = f"Family History:\nnone\n{heading}\nSOME\nAllergies:\nnuts\n"
    assert early_sections(text) == {"family_history": "none", "allergies": "nuts"}


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("Past ___ History:", "past_history"),
        ("Past Medical ___:", "past_history"),
        ("History of ___ Illness:", "present_illness"),
        ("Social ___:", "social_history"),
        ("Chief ___:", "chief_complaint"),
    ],
)
def test_a_masked_heading_that_could_be_one_only_is_read(heading: str, field: str) -> None:
    assert early_sections(f"Allergies:\nnuts\n{heading}\nas told\nDr. ___: agrees\n") == {
        "allergies": "nuts",
        field: "as told Dr. ___: agrees",
    }


def test_prose_about_an_earlier_discharge_stays() -> None:
    text = "HPI:\nHe took none of his discharge medications since his last hospital stay, and came back.\n"
    assert early_sections(text)["present_illness"].endswith("came back.")


def test_sections_are_cut_at_a_word_and_the_first_of_a_name_counts() -> None:
    long = "word " * 2000
    found = early_sections(f"Allergies: {long}\nHPI: {long}\nPMH:\nold\nPast Medical History:\nother\n")
    assert len(found["allergies"]) <= SHORT
    assert len(found["present_illness"]) <= MOST["present_illness"]
    assert found["allergies"].endswith("word ...")
    assert found["past_history"] == "old"


@given(st.text(), st.sampled_from(sorted(SECTIONS)))
def test_any_text_is_read_without_an_error(text: str, name: str) -> None:
    for section in early_sections(f"{name}: {text}\n{text}").values():
        assert section == " ".join(section.split())


def test_a_long_text_without_line_ends_takes_no_time() -> None:
    assert early_sections("HPI: " + "discharge " * 20_000)
