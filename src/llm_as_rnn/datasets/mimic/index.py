"""A compact index of a MIMIC-IV folder: read once, kept for its owner alone, and cut from in an instant.

The big tables stream through. Of their rows only those remain that belong to a patient with enough admissions and that
were known within the first day of a stay; they are written in parts by patient, so that nothing has to be sorted.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from filelock import FileLock

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.files import OWNER_FILE, OWNER_FOLDER, make_private, sync
from llm_as_rnn.datasets.base import Split
from llm_as_rnn.datasets.mimic import tables
from llm_as_rnn.datasets.mimic.notes import SECTIONS, early_sections
from llm_as_rnn.datasets.mimic.tables import Progress

LAYOUT = 1
"""Changes with what an index holds, so that one of another version of this package is not read."""

CUT_OFF = timedelta(hours=24)
"""After the admission: what was charted later is not known yet."""

PARTS = 32
"""Patients are spread over so many parts by their number."""

HELD = 1_000_000
"""Rows that are kept in memory before they are written."""

DONE = "index.json"
"""Written last: a folder without it is no index."""

DRUG = "MAIN"
"""The kind of prescription that is the drug itself, not what it is dissolved in."""

col = pl.col


def known_early(events: pl.DataFrame, stays: pl.DataFrame, time: str, stored: str = "") -> pl.DataFrame:
    """Keep what was known before the cut-off of its stay: the only place that decides this, for every table.

    Parameters
    ----------
    events : DataFrame
        With ``subject_id``, ``hadm_id`` (may be missing), and times.
    stays : DataFrame
        With ``subject_id``, ``hadm_id``, ``since`` (when the stay began) and ``cutoff``; sorted by ``since``.
    time, stored : str
        The columns that say when it happened and, where there is one, when it became known. What has no time is
        dropped; what has no second one goes by the first.

    Returns
    -------
    DataFrame
        The events with the ``hadm_id`` of their stay. One without any belongs to the stay that had begun last.
    """
    found = events.filter(col("hadm_id").is_not_null()).join(
        stays.select("subject_id", "hadm_id", "since", "cutoff"), on=["subject_id", "hadm_id"], how="inner"
    )
    loose = events.filter(col("hadm_id").is_null() & col(time).is_not_null()).drop("hadm_id")
    if len(loose):
        begun = stays.select("subject_id", "since", "cutoff", "hadm_id")
        placed = loose.sort(time).join_asof(
            begun.with_columns(col("since").alias("began")),
            left_on=time,
            right_on="since",
            by="subject_id",
            strategy="backward",
            check_sortedness=False,
        )
        placed = placed.filter(col("hadm_id").is_not_null())
        found = pl.concat([found, placed.select([*found.columns[:-2], "began", "cutoff"]).rename({"began": "since"})])
    in_time = col(time) <= col("cutoff")
    if stored:
        in_time &= col(stored).is_null() | (col(stored) <= col("cutoff"))
    return found.filter(in_time).drop("since", "cutoff")


class Index:
    """An index that is there.

    Parameters
    ----------
    path : Path
        Its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def digest(self) -> str:
        """The fingerprint of the folder that it was made from."""
        return str(json.loads((self.path / DONE).read_text())["digest"])

    def patients(self, split: Split, least: int) -> list[int]:
        """List the patients of a part that have enough admissions, by number."""
        stays = pl.scan_parquet(self.path / "stays.parquet").filter(col("split") == split)
        enough = stays.group_by("subject_id").len().filter(col("len") >= least).sort("subject_id")
        return enough.collect()["subject_id"].to_list()

    def rows(self, name: str, patients: Iterable[int]) -> Iterator[dict[str, Any]]:
        """Give the rows of some patients."""
        wanted = set(patients)
        if name == "stays":
            files = [self.path / "stays.parquet"]
        else:
            places = sorted({patient % PARTS for patient in wanted})
            files = [file for place in places for file in sorted((self.path / name).glob(f"{place:02d}-*.parquet"))]
        for file in files:
            frame = pl.read_parquet(file).filter(col("subject_id").is_in(list(wanted)))
            yield from frame.iter_rows(named=True)

    def table(self, name: str) -> pl.DataFrame:
        """Read a small table whole."""
        return pl.read_parquet(self.path / f"{name}.parquet")


def open_index(folder: Path, cache: Path, progress: Progress) -> Index:
    """Give the index of a folder; make it where there is none of the folder as it is now.

    It appears whole or not at all: it is made under another name, and renamed. Older ones of the same folder are
    removed. Everything is readable by its owner alone.

    Raises
    ------
    DatasetError
        If the folder is not as PhysioNet lays it out, or the index cannot be written.
    """
    tables.require_layout(folder)
    digest = tables.fingerprint(folder)
    path = cache / f"{digest}-{LAYOUT}"
    try:
        make_private(cache)
        with FileLock(cache / ".lock"):
            if not (path / DONE).is_file():
                _clear(cache, folder)
                _make(folder, path, digest, progress)
    except OSError as error:
        why = error.strerror or error
        raise DatasetError(f"the index {path} cannot be written: {why}", "make room there") from error
    return Index(path)


def _clear(cache: Path, folder: Path) -> None:
    """Remove what was left half made, and what was made from an earlier state of the folder."""
    for there in cache.iterdir():
        if not there.is_dir():
            continue
        done = there / DONE
        if not done.is_file() or json.loads(done.read_text())["folder"] == str(folder.resolve()):
            shutil.rmtree(there)


def _make(folder: Path, path: Path, digest: str, progress: Progress) -> None:
    building = Path(tempfile.mkdtemp(dir=path.parent, prefix=".building-"))  # for its owner alone, as mkdtemp makes it
    try:
        _Builder(folder, building, progress).build()
        (building / DONE).write_text(json.dumps({"folder": str(folder.resolve()), "digest": digest}))
        for file in building.rglob("*"):
            file.chmod(OWNER_FOLDER if file.is_dir() else OWNER_FILE)
            sync(file)
        sync(building)
        building.rename(path)
        sync(path.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


class _Builder:
    """Makes an index, table by table."""

    def __init__(self, folder: Path, out: Path, progress: Progress) -> None:
        self._folder = folder
        self._out = out
        self._read = partial(tables.read, folder, progress=progress)
        self._stream = partial(tables.stream, folder, progress=progress)
        self._stays = pl.DataFrame()

    def build(self) -> None:
        self._titles()
        self._items()
        stays = self._admissions()
        coded = self._diagnoses(stays)
        # A stay whose diagnoses were never coded has no outcome; what remains must still be a sequence.
        self._stays = _of_many(stays.filter(col("hadm_id").is_in(coded.implode())))
        if self._stays.is_empty():
            raise DatasetError(f"{self._folder}: no patient has two admissions with diagnoses", "use another folder")
        self._write(self._stays, "stays")
        self._keep("labs", self._stream(tables.LABS), self._labs)
        self._keep("drugs", self._stream(tables.PRESCRIPTIONS), self._drugs)
        self._keep("services", self._stream(tables.SERVICES), self._services)
        self._keep("notes", self._stream(tables.NOTES), self._notes)
        complaints = self._complaints()
        self._keep("complaints", [complaints] if len(complaints) else [], lambda frame: frame)

    def _write(self, frame: pl.DataFrame, name: str) -> None:
        frame.write_parquet(self._out / f"{name}.parquet")

    def _keep(self, name: str, pieces: Iterable[pl.DataFrame], keep: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        """Write what is kept of each piece, by patient, a few times a table."""
        (self._out / name).mkdir()
        held: list[pl.DataFrame] = []
        written = 0
        for piece in pieces:
            held.append(keep(piece))
            if sum(map(len, held)) >= HELD:
                self._flush(name, held, written)
                held, written = [], written + 1
        if held:
            self._flush(name, held, written)

    def _flush(self, name: str, held: list[pl.DataFrame], number: int) -> None:
        whole = pl.concat(held).with_columns((col("subject_id") % PARTS).alias("part"))
        for (part,), frame in whole.partition_by("part", as_dict=True, include_key=False).items():
            frame.write_parquet(self._out / name / f"{part:02d}-{number:04d}.parquet")

    # --- small tables -----------------------------------------------------------------------------------------------

    def _titles(self) -> None:
        titles = self._read(tables.TITLES).with_columns(col("icd_code").str.strip_chars())
        titles = titles.drop_nulls().sort("icd_version", "icd_code", "long_title")
        self._write(titles.unique(["icd_code", "icd_version"], keep="first", maintain_order=True), "titles")

    def _items(self) -> None:
        items = self._read(tables.LAB_ITEMS).drop_nulls("itemid").sort("itemid", "label", nulls_last=True)
        self._write(items.unique("itemid", keep="first", maintain_order=True), "items")

    def _admissions(self) -> pl.DataFrame:
        """Give the stays, with the patient's sex and age then, sorted by when they began."""
        stays = self._read(tables.ADMISSIONS).drop_nulls(["subject_id", "hadm_id", "admittime"])
        stays = stays.sort(stays.columns, nulls_last=True).unique("hadm_id", keep="first", maintain_order=True)
        people = self._read(tables.PATIENTS).unique("subject_id", keep="first", maintain_order=True)
        left = pl.when(col("dischtime") >= col("admittime")).then(col("dischtime"))  # a few stays end before they begin
        stays = (
            _of_many(stays)
            .join(people, on="subject_id", how="left")
            .with_columns(
                age=col("anchor_age") + col("admittime").dt.year() - col("anchor_year"),
                since=pl.min_horizontal("admittime", "edregtime"),
                cutoff=pl.min_horizontal(col("admittime") + CUT_OFF, left),
            )
        )
        people_split = {subject: _split(subject) for subject in stays["subject_id"].unique().to_list()}
        split = col("subject_id").replace_strict(people_split, return_dtype=pl.String()).alias("split")
        return stays.with_columns(split).drop("anchor_age", "anchor_year", "edregtime").sort("since", "hadm_id")

    def _complaints(self) -> pl.DataFrame:
        ed = known_early(self._read(tables.ED_STAYS).drop_nulls("hadm_id"), self._stays, "intime")
        words = self._read(tables.TRIAGE).drop_nulls().unique("stay_id", keep="first", maintain_order=True)
        return ed.join(words, on="stay_id", how="inner").select("subject_id", "hadm_id", "intime", "chiefcomplaint")

    # --- big tables -------------------------------------------------------------------------------------------------

    def _diagnoses(self, stays: pl.DataFrame) -> pl.Series:
        """Keep the outcomes; give the stays that have any."""
        known = stays.select("subject_id", "hadm_id")
        coded: list[pl.Series] = []

        def keep(piece: pl.DataFrame) -> pl.DataFrame:
            rows = piece.with_columns(col("icd_code").str.strip_chars()).drop_nulls()
            rows = rows.join(known, on=["subject_id", "hadm_id"], how="semi")
            coded.append(rows["hadm_id"].unique())
            return rows

        self._keep("diagnoses", self._stream(tables.DIAGNOSES), keep)
        return pl.concat(coded).unique() if coded else pl.Series(dtype=pl.Int64())

    def _mine(self, events: pl.DataFrame) -> pl.DataFrame:
        return events.join(self._stays.select("subject_id").unique(), on="subject_id", how="semi")

    def _labs(self, events: pl.DataFrame) -> pl.DataFrame:
        """Keep results that are flagged, or outside of the range that is given with them."""
        number = col("valuenum")
        outside = (number < col("ref_range_lower")) | (number > col("ref_range_upper"))
        flagged = col("flag").str.strip_chars().str.to_lowercase() == "abnormal"
        odd = events.filter(flagged.fill_null(value=False) | outside.fill_null(value=False))
        return known_early(self._mine(odd), self._stays, "charttime", "storetime").drop("storetime", "flag")

    def _drugs(self, events: pl.DataFrame) -> pl.DataFrame:
        named = events.filter((col("drug_type") == DRUG) & col("drug").is_not_null()).drop("drug_type")
        return known_early(self._mine(named), self._stays, "starttime")

    def _services(self, events: pl.DataFrame) -> pl.DataFrame:
        return known_early(self._mine(events.drop_nulls("curr_service")), self._stays, "transfertime")

    def _notes(self, notes: pl.DataFrame) -> pl.DataFrame:
        """Keep the early sections of summaries; addenda are written still later."""
        theirs = notes.join(self._stays.select("subject_id", "hadm_id"), on=["subject_id", "hadm_id"], how="semi")
        theirs = theirs.filter((col("note_type") == "DS") & col("text").is_not_null())
        rows = [
            {"subject_id": row["subject_id"], "hadm_id": row["hadm_id"], "note_seq": row["note_seq"], **sections}
            for row in theirs.iter_rows(named=True)
            if (sections := early_sections(row["text"]))
        ]
        numbers = dict.fromkeys(("subject_id", "hadm_id", "note_seq"), pl.Int64())
        return pl.DataFrame(rows, schema={**numbers, **dict.fromkeys(dict.fromkeys(SECTIONS.values()), pl.String())})


def _of_many(stays: pl.DataFrame) -> pl.DataFrame:
    """Keep the stays of patients who have at least two: one alone is no sequence."""
    return stays.filter(pl.len().over("subject_id") > 1)


def _split(subject: int) -> Split:
    """Put a patient into a part by a hash: even odds, the same with every seed and version of the set."""
    return "held_out" if hashlib.sha256(str(subject).encode()).digest()[0] & 1 else "development"
