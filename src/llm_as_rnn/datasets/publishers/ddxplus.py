"""DDXPlus in English: synthetic patients, the findings of a first interview, and what they have."""

from __future__ import annotations

import ast

from llm_as_rnn.datasets.base import Brought, Maker, Row
from llm_as_rnn.datasets.publishers.common import made_by_users, rows_of, scattered, wrong

COLUMNS = ("AGE", "SEX", "English Pathology", "English Evidences")
SEX = {"F": "female", "M": "male"}

OLDEST = 130

YES = "True"
"""How the answer to a question of yes and no is written; what is denied is not listed."""


def rows(files: tuple[Brought, ...], _: str) -> list[Row]:
    """Read a table of patients, which may stand by disease, in an order without meaning."""
    (file,) = files
    content = file.content
    if content.startswith(b","):
        # pandas wrote the numbers of the rows into a column without a name, which no table here may have.
        content = b"row" + content
    read = rows_of(Brought(file.path, content), COLUMNS, "DDXPlus with its findings in English")
    return scattered(_patient(file, row) for row in read)


def _patient(file: Brought, row: Row) -> Row:
    age, sex, disease, evidences = (str(row.cells[name]).strip() for name in COLUMNS)
    if not (age.isdecimal() and int(age) <= OLDEST):
        raise wrong(file, row.line, f"AGE is {age!r}, no number of years")
    if sex not in SEX:
        raise wrong(file, row.line, f"SEX is {sex!r}, neither F nor M")
    found = findings(evidences)
    if not found:
        raise wrong(file, row.line, "'English Evidences' is no mapping of questions to answers")
    return Row(row.line, {"patient": f"{age} years, {SEX[sex]}", "findings": found, "diagnosis": disease})


def findings(evidences: str) -> str:
    """Write answered questions as one text, or nothing if they are none: a question that was affirmed stands alone.

    >>> findings("{'Do you have a cough?': 'True', 'How intense is the pain?': '7'}")
    'Do you have a cough; How intense is the pain: 7'
    """
    try:
        answers = ast.literal_eval(evidences)  # text only: nothing of it is run
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # TypeError: a list for a question
        return ""
    if not isinstance(answers, dict):
        return ""
    told = ((str(question).strip().rstrip("?").strip(), str(answer).strip()) for question, answer in answers.items())
    return "; ".join(question if answer == YES else f"{question}: {answer}" for question, answer in told)


DDXPLUS = made_by_users(
    "ddxplus",
    title="What a patient has, by the findings of a first interview (DDXPlus)",
    source="DDXPlus (Fansi Tchango et al., NeurIPS 2022), in the English form of karishmagrana/NLP-Final-Project",
    licence="CC BY 4.0",
    predicts="a synthetic patient's diagnosis (49)",
    size="588 patients in the validation file",
    maker=Maker(("a .csv file with the columns 'English Pathology' and 'English Evidences'",), rows),
)
