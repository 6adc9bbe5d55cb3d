"""Visits of patients with primary biliary cholangitis: the sequential data of the Mayo Clinic's trial, 1974 to 1984.

x is one visit, with the days since the one before and until the next; y is oedema and serum bilirubin at that next
visit. A sequence is one patient. Patients belong to a part by a hash of their number, whatever the seed.

The numbers are from the trial's data as published with Therneau and Grambsch, "Modeling Survival Data" (2000), and
analysed in Murtaugh et al., "Primary biliary cirrhosis: prediction of short-term survival based on repeated patient
visits" (Hepatology 1994, 20, 126-134). docs/datasets.md says how the table ``data/pbc.csv`` was made.
"""

from __future__ import annotations

import csv
import itertools
import random
from functools import cache
from pathlib import Path

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.records import Observation, SequenceInfo, Value
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence, Split, Step
from llm_as_rnn.datasets.tables import part_of

FILE = Path(__file__).parent / "data" / "pbc.csv"

NOT_MEASURED = "not measured"
"""What is shown in place of a value that is not there."""

FEWEST_VISITS = 3
"""Patients with fewer visits are left out: a single step shows no learning."""

SIGNS = ("oedema", "ascites", "hepatomegaly", "spiders")
VALUES = (
    "stage",
    "bilirubin",
    "albumin",
    "alkaline_phosphatase",
    "ast",
    "cholesterol",
    "platelets",
    "prothrombin_time",
)

Visit = dict[str, str]
"""One row of the table: texts by column, empty where nothing was measured."""


def load(selection: Selection) -> list[Sequence]:
    """Choose patients by the seed, and take the first steps of each; shorter sequences are taken whole.

    Raises
    ------
    DatasetError
        If there are not enough patients.
    """
    patients = _parts()[selection.split]
    if selection.sequences > len(patients):
        raise DatasetError(
            f"pbc has {len(patients)} patients in {selection.split}: too few for {selection.sequences} sequences",
            f"use --sequences {len(patients)} or less",
        )
    rng = random.Random(selection.seed)  # noqa: S311 - a repeatable choice, not a secret
    chosen = sorted(rng.sample(range(len(patients)), selection.sequences))
    return [Sequence(patients[place].info, patients[place].steps[: selection.steps]) for place in chosen]


def read_visits(path: Path = FILE) -> dict[str, list[Visit]]:
    """Read the table: each patient's visits in order of time.

    Raises
    ------
    DatasetError
        If it cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}", "install llm-as-rnn again") from error
    visits: dict[str, list[Visit]] = {}
    for row in rows:
        visits.setdefault(row["patient"], []).append(row)
    return {patient: sorted(found, key=_day) for patient, found in visits.items()}


def sequence(patient: str, visits: list[Visit]) -> Sequence:
    """Make a sequence of a patient's visits; each one's outcome is the next visit's, so the last has no step."""
    first = visits[0]
    about = {"sex": first["sex"], "age": int(float(first["age"])), "arm": first["arm"]}
    name = f"patient-{patient}"
    before = itertools.chain([None], visits)
    triples = zip(before, visits, visits[1:], strict=False)
    return Sequence(SequenceInfo(name, about), tuple(_step(name, t, *triple) for t, triple in enumerate(triples)))


def _step(name: str, t: int, before: Visit | None, now: Visit, following: Visit) -> Step:
    fields = {
        "days_since": _day(now) - _day(before) if before else "first visit",
        **{sign: now[sign] or NOT_MEASURED for sign in SIGNS},
        **{value: _number(now[value]) if now[value] else NOT_MEASURED for value in VALUES},
        "days_until": _day(following) - _day(now),
    }
    outcome: dict[str, Value] = {"oedema": following["oedema"], "bilirubin": float(following["bilirubin"])}
    return Step(Observation(name, t, fields), outcome, f"day {_day(now)}")


def _day(visit: Visit) -> int:
    return int(visit["day"])


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() and "." not in text else number


@cache
def _parts() -> dict[Split, list[Sequence]]:
    parts: dict[Split, list[Sequence]] = {"development": [], "held_out": []}
    for patient, visits in read_visits().items():
        if len(visits) >= FEWEST_VISITS:
            found = sequence(patient, visits)
            parts[part_of(found.info.id)].append(found)
    return parts


PBC = Dataset(
    name="pbc",
    title="Visits of patients with primary biliary cholangitis",
    source="Mayo Clinic trial, 1974 to 1984 (Therneau and Grambsch 2000); shipped as a table",
    licence="published facts of a finished trial, without names; no licence needed",
    predicts="at the next visit: oedema (label) and bilirubin (mg/dl)",
    size="312 patients, 1,945 visits",
    load=load,
    ready=lambda: "" if FILE.is_file() else "its table is missing: install llm-as-rnn again",
    sequences=12,
    steps=15,
    quick_budget=256,
)
