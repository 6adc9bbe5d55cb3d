"""How long the index of a large made-up MIMIC-IV folder takes, how much memory, and how quickly sequences are cut then.

    python benchmarks/mimic.py FOLDER --make     # where there is nothing yet, and 1 GB of room
    python benchmarks/mimic.py FOLDER

POLARS_MAX_THREADS=1 and taskset -c 0 give the figures of one core.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.mimic import from_folder

ADMISSIONS = 210_000
LABS = 8_000_000
DRUGS = 3_000_000
NOTES = 60_000
PIECE = 500_000
"""Rows that are made at a time."""

SECTIONS = (
    ("Allergies", 1),
    ("Chief Complaint", 1),
    ("History of Present Illness", 30),
    ("Past Medical History", 8),
    ("Social History", 1),
    ("Physical Exam", 20),
    ("Pertinent Results", 40),
    ("Brief Hospital Course", 50),
    ("Discharge Medications", 15),
    ("Discharge Diagnosis", 2),
    ("Discharge Instructions", 15),
)
SENTENCE = "The patient is a ___ year old with shortness of breath, and edema to the knees."


def make(folder: Path, rng: np.random.Generator) -> None:
    """Write all tables with the columns that the index needs, in the proportions of the real ones or above."""
    (folder / "hosp").mkdir(parents=True)
    (folder / "note").mkdir()
    subject = np.sort(rng.integers(10_000_000, 10_000_000 + ADMISSIONS // 3, ADMISSIONS))
    stay = 20_000_000 + rng.permutation(ADMISSIONS)
    begun = datetime(2130, 1, 1).timestamp() + rng.integers(0, 10 * 365 * 86400, ADMISSIONS)  # noqa: DTZ001
    stays = {"subject_id": subject, "hadm_id": stay, "at": begun}
    count = np.arange(ADMISSIONS)
    save(folder, "hosp/admissions", iter([admissions(stays)]))
    people = np.unique(subject)
    save(folder, "hosp/patients", iter([pl.DataFrame({"subject_id": people}).with_columns(
        gender=pl.lit("F"), anchor_age=pl.lit(60), anchor_year=pl.lit(2130))]))  # fmt: skip
    codes = pl.DataFrame({"icd_code": [f"{chr(65 + i // 1000)}{i % 1000:03}" for i in range(20_000)]})
    save(folder, "hosp/d_icd_diagnoses", iter([codes.with_columns(
        icd_version=pl.lit(10), long_title=pl.concat_str(pl.lit("Disorder of kind "), "icd_code"))]))  # fmt: skip
    coded = pl.DataFrame({"subject_id": np.repeat(subject, 11), "hadm_id": np.repeat(stay, 11)})
    drawn = codes["icd_code"].gather(rng.integers(0, 20_000, len(coded)))
    places = np.tile(np.arange(1, 12), ADMISSIONS)
    coded = coded.with_columns(seq_num=places, icd_code=drawn, icd_version=pl.lit(10))
    save(folder, "hosp/diagnoses_icd", iter([coded]))
    items = pl.DataFrame({"itemid": np.arange(50_000, 50_900)})
    save(folder, "hosp/d_labitems", iter([items.with_columns(label=pl.lit("Test"), fluid=pl.lit("Blood"))]))
    save(folder, "hosp/labevents", (labs(stays, rng) for _ in range(0, LABS, PIECE)))
    save(folder, "hosp/prescriptions", (drugs(stays, rng) for _ in range(0, DRUGS, PIECE)))
    moved = pl.DataFrame({"subject_id": subject, "hadm_id": stay, "transfertime": times(begun)})
    save(folder, "hosp/services", iter([moved.with_columns(curr_service=pl.lit("MED"))]))
    save(folder, "note/discharge", notes(stays, rng.choice(count, NOTES, replace=False)))


def admissions(stays: dict[str, np.ndarray]) -> pl.DataFrame:
    """Give the stays as a table."""
    ids = {name: stays[name] for name in ("subject_id", "hadm_id")}
    begun, left = times(stays["at"]), times(stays["at"] + 5 * 86400)
    return pl.DataFrame({**ids, "admittime": begun, "dischtime": left}).with_columns(
        admission_type=pl.lit("EW EMER."),
        admission_location=pl.lit("EMERGENCY ROOM"),
        insurance=pl.lit("Medicare"),
        edregtime=pl.lit(None),
    )


def labs(stays: dict[str, np.ndarray], rng: np.random.Generator) -> pl.DataFrame:
    """Give a piece of the results, a third of them of no stay."""
    ids, at = drawn(stays, rng)
    value = rng.uniform(1, 10, PIECE).round(1)
    return pl.DataFrame({
        "labevent_id": np.arange(PIECE), **ids, "specimen_id": np.arange(PIECE),
        "itemid": rng.integers(50_000, 50_900, PIECE),
        "charttime": times(at), "storetime": times(at + 3600), "value": value, "valuenum": value,
    }).with_columns(
        valueuom=pl.lit("mg/dL"), ref_range_lower=pl.lit(2.0), ref_range_upper=pl.lit(7.0),
        hadm_id=pl.when(pl.col("hadm_id") % 3 > 0).then("hadm_id"),
        flag=pl.when(pl.col("valuenum") > 7).then(pl.lit("abnormal")), priority=pl.lit("ROUTINE"),
        comments=pl.when(pl.col("valuenum") > 9).then(pl.lit('"high", as before')),
    )  # fmt: skip


def drugs(stays: dict[str, np.ndarray], rng: np.random.Generator) -> pl.DataFrame:
    """Give a piece of the prescriptions."""
    ids, at = drawn(stays, rng)
    names = pl.Series([f"Drug {number}" for number in range(3000)]).gather(rng.integers(0, 3000, PIECE))
    filler = {name: pl.lit("some text") for name in ("formulary_drug_cd", "gsn", "prod_strength", "form_rx")}
    return pl.DataFrame({**ids, "starttime": times(at), "drug": names}).with_columns(
        drug_type=pl.lit("MAIN"), route=pl.lit("IV"), **filler
    )


def drawn(stays: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draw stays, and a time in the first three days of each."""
    chosen = rng.integers(0, ADMISSIONS, PIECE)
    at = stays["at"][chosen] + rng.integers(0, 3 * 86400, PIECE)
    return {name: stays[name][chosen] for name in ("subject_id", "hadm_id")}, at


def notes(stays: dict[str, np.ndarray], chosen: np.ndarray) -> Iterator[pl.DataFrame]:
    """Give the summaries, in a dozen pieces."""
    text = "\n \n".join(f"{heading}:\n" + "\n".join([SENTENCE] * lines) for heading, lines in SECTIONS)
    for some in np.array_split(chosen, 12):
        ids = {name: stays[name][some] for name in ("subject_id", "hadm_id")}
        yield pl.DataFrame(ids).with_columns(note_type=pl.lit("DS"), note_seq=pl.lit(1), text=pl.lit(text))


def times(seconds: np.ndarray) -> pl.Series:
    """Give seconds as times."""
    return pl.from_epoch(pl.Series(seconds.astype(np.int64)), time_unit="s")


def save(folder: Path, name: str, frames: Iterator[pl.DataFrame]) -> None:
    """Write a table, compressed as it is made."""
    with gzip.open(folder / f"{name}.csv.gz", "wb", compresslevel=1) as file:
        for number, frame in enumerate(frames):
            text = frame.write_csv(include_header=not number, datetime_format="%Y-%m-%d %H:%M:%S")
            file.write(text.encode())


def measure(folder: Path) -> None:
    """Make the index twice, the second time it is there; cut sequences; tell the peak of memory."""
    cache = Path(tempfile.mkdtemp(prefix="mimic-index-"))
    try:
        for what in ("index", "open"):
            begun = time.perf_counter()
            source = from_folder(folder, cache=cache)
            print(f"{what}: {time.perf_counter() - begun:.1f} s")
        size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        print(f"size of the index: {size / 1e6:.0f} MB")
        for sequences in (8, 100):
            begun = time.perf_counter()
            source.load(Selection(sequences, 12))
            print(f"{sequences} sequences: {time.perf_counter() - begun:.2f} s")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
        print(f"peak memory: {peak:.0f} MiB")
    finally:
        shutil.rmtree(cache)


def main() -> None:
    """Make the folder, or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--make", action="store_true", help="Only make the folder: its own memory is not measured then."
    )
    options = parser.parse_args()
    if options.make:
        make(options.folder, np.random.default_rng(0))
    else:
        print(f"{ADMISSIONS:,} admissions, {LABS:,} results, {DRUGS:,} prescriptions, {NOTES:,} notes")
        measure(options.folder)


if __name__ == "__main__":
    main()
