"""The index of a MIMIC-IV folder: whole or not there, made again when the folder changes, and never late."""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.datasets.mimic import index as mimic_index
from llm_as_rnn.datasets.mimic import tables as mimic_tables
from llm_as_rnn.datasets.mimic.index import DONE, Index, known_early, open_index
from llm_as_rnn.datasets.mimic.tables import LABS, TABLES, fingerprint, stream
from tests.datasets.mimic_folder import COLUMNS, Rows, made, write


def silent(name: str, done: int, total: int) -> None:
    assert 0 <= done <= total


@pytest.fixture
def rows() -> Rows:
    return made(12)


@pytest.fixture
def folder(tmp_path: Path, rows: Rows) -> Path:
    return write(tmp_path / "mimic", rows)


def everything(index: Index) -> dict[str, list[dict[str, Any]]]:
    """Give all rows of an index in one order."""
    patients = [*index.patients("development", 2), *index.patients("held_out", 2)]
    names = ("stays", "diagnoses", "labs", "drugs", "services", "notes", "complaints")
    return {name: sorted(index.rows(name, patients), key=str) for name in names}


def test_the_generator_has_every_column_that_is_read() -> None:
    for table in TABLES:
        assert set(table.columns) <= set(COLUMNS[table.name].split(","))


# --- in time --------------------------------------------------------------------------------------------------------


def test_nothing_late_is_in_an_index(folder: Path, tmp_path: Path) -> None:
    found = everything(open_index(folder, tmp_path / "cache", silent))
    assert all(found.values())
    assert "LATE" not in str(found)


def test_the_test_above_would_see_what_is_late(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lax(events: pl.DataFrame, stays: pl.DataFrame, time: str, stored: str = "") -> pl.DataFrame:
        forever = stays.with_columns(cutoff=pl.col("cutoff") + pl.duration(days=3000))
        return known_early(events, forever, time, stored)

    monkeypatch.setattr(mimic_index, "known_early", lax)
    found = everything(open_index(folder, tmp_path / "cache", silent))
    for name in ("labs", "drugs", "services"):
        assert "LATE" in str(found[name])


@pytest.mark.parametrize(
    ("charted", "stored", "stay", "kept"),
    [
        ("2150-01-02 00:00:00", "2150-01-02 00:00:00", 7, True),  # exactly 24 hours
        ("2150-01-02 00:00:01", "2150-01-02 00:00:00", 7, False),
        ("2150-01-01 23:00:00", "2150-01-02 00:00:01", 7, False),
        ("2150-01-01 23:00:00", None, 7, True),
        (None, "2150-01-01 23:00:00", 7, False),
        ("2149-12-31 20:00:00", "2149-12-31 21:00:00", None, True),  # in the emergency room
        ("2149-12-31 18:59:59", "2149-12-31 21:00:00", None, False),  # before it
        ("2150-01-01 23:00:00", None, 8, False),  # a stay that is not there
        ("2150-06-01 06:00:00", None, None, True),
        ("2150-06-01 10:00:01", None, None, False),  # the second stay ended after ten hours
    ],
)
def test_the_cut_off(charted: str | None, stored: str | None, stay: int | None, kept: bool) -> None:
    def times(*texts: str | None) -> pl.Series:
        return pl.Series(texts, dtype=pl.String).str.to_datetime(time_unit="us")

    stays = pl.DataFrame({"subject_id": [1, 1], "hadm_id": [7, 9]}).with_columns(
        since=times("2149-12-31 19:00:00", "2150-06-01 00:00:00"),
        cutoff=times("2150-01-02 00:00:00", "2150-06-01 10:00:00"),
    )
    events = pl.DataFrame({"subject_id": [1], "hadm_id": [stay]}, schema={"subject_id": pl.Int64, "hadm_id": pl.Int64})
    events = events.with_columns(charttime=times(charted), storetime=times(stored))
    found = known_early(events, stays, "charttime", "storetime")
    assert len(found) == kept
    assert set(found.columns) == {"subject_id", "hadm_id", "charttime", "storetime"}
    assert all(stay in (7, 9) for stay in found["hadm_id"])


# --- whole, private, and of the folder as it is ---------------------------------------------------------------------


def test_an_index_is_made_once_and_for_its_owner_alone(folder: Path, tmp_path: Path) -> None:
    read: list[str] = []
    first = open_index(folder, tmp_path / "cache", lambda name, *_: read.append(name))
    assert set(read) == set(COLUMNS)
    read.clear()
    assert open_index(folder, tmp_path / "cache", lambda name, *_: read.append(name)).path == first.path
    assert read == []
    for path in [first.path.parent, first.path, *first.path.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_folder_that_changed_gets_a_new_index_and_the_old_one_goes(folder: Path, tmp_path: Path, rows: Rows) -> None:
    old = open_index(folder, tmp_path / "cache", silent)
    assert "Changed title" not in str(old.table("titles"))
    other = open_index(write(tmp_path / "other", made(8, seed=5)), tmp_path / "cache", silent)
    rows["hosp/d_icd_diagnoses"][0]["long_title"] = "Changed title"
    write(folder, rows)
    new = open_index(folder, tmp_path / "cache", silent)
    assert "Changed title" in new.table("titles")["long_title"].to_list()
    assert (old.path.exists(), other.path.exists()) == (False, True)


def test_a_change_in_the_middle_of_a_file_shows(folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mimic_tables, "EDGE", 64)
    before = fingerprint(folder)
    middle = rows["hosp/labevents"][len(rows["hosp/labevents"]) // 2]
    middle["valuenum"] = 7.25
    write(folder, rows)
    assert fingerprint(folder) != before


def test_a_killed_build_leaves_no_index(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    def killed(name: str, done: int, total: int) -> None:
        if name == "hosp/prescriptions":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_index(folder, cache, killed)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    # As a kill leaves it, that nothing can catch: half of an index under the name of a whole one, and a work folder.
    for name in (f"{fingerprint(folder)}-{mimic_index.LAYOUT}", ".building-x"):
        (cache / name).mkdir()
        (cache / name / "stays.parquet").write_bytes(b"half")
    index = open_index(folder, cache, silent)
    assert everything(index)["labs"]
    assert [path for path in cache.iterdir() if path.is_dir()] == [index.path]


def test_pieces_and_parts_do_not_change_what_is_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = everything(open_index(folder, tmp_path / "a", silent))
    monkeypatch.setattr(mimic_tables, "PIECE", 777)
    monkeypatch.setattr(mimic_index, "HELD", 10)
    assert everything(open_index(folder, tmp_path / "b", silent)) == whole


def test_a_file_that_is_not_compressed_is_read_as_well(folder: Path, tmp_path: Path, rows: Rows) -> None:
    packed = open_index(folder, tmp_path / "cache", silent)
    plain = open_index(write(tmp_path / "plain", rows, plain=tuple(COLUMNS)), tmp_path / "cache", silent)
    assert everything(plain) == everything(packed)


# --- what is broken -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [table for table in TABLES if table.needed], ids=lambda table: str(table.name))
def test_a_missing_file_is_named(folder: Path, tmp_path: Path, table: mimic_tables.Table) -> None:
    (folder / f"{table.name}.csv.gz").unlink()
    with pytest.raises(DatasetError, match=rf"{table.name}\.csv\.gz is missing"):
        open_index(folder, tmp_path / "cache", silent)


def test_notes_and_the_emergency_module_may_be_missing(folder: Path, tmp_path: Path) -> None:
    for name in ("note/discharge", "ed/edstays", "ed/triage"):
        (folder / f"{name}.csv.gz").unlink()
    found = everything(open_index(folder, tmp_path / "cache", silent))
    assert (found["notes"], found["complaints"]) == ([], [])
    assert found["labs"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))
def test_a_missing_column_is_named_with_its_file(folder: Path, tmp_path: Path, table: mimic_tables.Table) -> None:
    path = folder / f"{table.name}.csv.gz"
    name = list(table.columns)[-1]
    text = gzip.decompress(path.read_bytes()).decode()
    header, _, rest = text.partition("\n")
    path.write_bytes(gzip.compress(f"{header.replace(name, 'other')}\n{rest}".encode()))
    with pytest.raises(DatasetError, match=rf"{path.name} has no column '{name}'"):
        open_index(folder, tmp_path / "cache", silent)


@pytest.mark.parametrize(
    ("name", "column", "wrong"),
    [
        ("hosp/labevents", "valuenum", "high"),
        ("hosp/admissions", "admittime", "soon"),
        ("hosp/services", "hadm_id", "x1"),
    ],
)
def test_a_cell_of_the_wrong_type_is_named(tmp_path: Path, rows: Rows, name: str, column: str, wrong: str) -> None:
    rows[name][3][column] = wrong
    folder = write(tmp_path / "mimic", rows)
    with pytest.raises(DatasetError, match=rf"{name}.csv.gz, column '{column}': '{wrong}' is not"):
        open_index(folder, tmp_path / "cache", silent)


def _torn(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _no_gzip(content: bytes) -> bytes:
    return b"subject_id,hadm_id\n"


@pytest.mark.parametrize("spoil", [_torn, _no_gzip])
def test_a_file_that_was_not_downloaded_whole_is_named(
    folder: Path, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    path = folder / "hosp/labevents.csv.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"labevents\.csv\.gz is not a whole gzip file"):
        open_index(folder, tmp_path / "cache", silent)
    assert not list((tmp_path / "cache").glob("*/" + DONE))


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mimic_tables, "PIECE", 1000)
    monkeypatch.setattr(mimic_tables, "LONGEST", 5000)
    path = folder / "hosp/labevents.csv.gz"
    text = gzip.decompress(path.read_bytes()).replace(b"abnormal", b'"abnormal', 1).replace(b'""quoted""', b"")
    path.write_bytes(gzip.compress(text.replace(b'"LATE ,\nand on two lines"', b"")))
    with pytest.raises(DatasetError, match="never closed"):
        list(stream(folder, LABS, silent))


def test_a_folder_that_is_none_and_one_without_sequences(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        open_index(tmp_path / "none", tmp_path / "cache", silent)
    rows = made(3)
    rows["hosp/diagnoses_icd"] = []
    with pytest.raises(DatasetError, match="no patient has two admissions"):
        open_index(write(tmp_path / "mimic", rows), tmp_path / "cache", silent)


def test_the_index_says_what_it_is_of(folder: Path, tmp_path: Path) -> None:
    index = open_index(folder, tmp_path / "cache", silent)
    assert index.digest == fingerprint(folder)
    assert json.loads((index.path / DONE).read_text())["folder"] == str(folder.resolve())


def test_an_index_is_on_the_disk_before_it_has_its_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    index = open_index(folder, tmp_path / "cache", silent)
    there = [index.path, *index.path.rglob("*")]
    assert {path.stat().st_ino for path in there} <= set(synced)
    assert synced[-1] == (tmp_path / "cache").stat().st_ino
