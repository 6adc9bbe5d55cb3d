"""The tables of MIMIC-IV as PhysioNet lays them out: which columns are read, of what type, and how they stream.

Files are read in pieces that end between two records, so that memory does not grow with a file. Columns that are not
listed here are never read.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, NamedTuple, cast

import polars as pl

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.files import require_file

Progress = Callable[[str, int, int], None]
"""Is told a file's name, how many bytes of it are read, and how many it has."""

PIECE = 32 * 2**20
"""Bytes of text that are parsed at a time."""

LONGEST = 256 * 2**20
"""A record longer than this, in bytes, is none: a quote was not closed."""

EDGE = 2**16
"""Bytes at either end of a file that go into a folder's fingerprint."""

_WHOLE, _NUMBER, _TEXT, _TIME = pl.Int64(), pl.Float64(), pl.String(), pl.Datetime("us")
_TYPE_NAMES = {_WHOLE: "a whole number", _NUMBER: "a number", _TIME: "a time such as 2180-05-06 22:23:00"}


class Table(NamedTuple):
    """A file of the set: its name without ``.csv.gz``, the columns that are read, and whether it must be there."""

    name: str
    columns: Mapping[str, pl.DataType]
    needed: bool = True


ADMISSIONS = Table(
    "hosp/admissions",
    {
        "subject_id": _WHOLE,
        "hadm_id": _WHOLE,
        "admittime": _TIME,
        "dischtime": _TIME,
        "admission_type": _TEXT,
        "admission_location": _TEXT,
        "insurance": _TEXT,
        "edregtime": _TIME,
    },
)
PATIENTS = Table("hosp/patients", {"subject_id": _WHOLE, "gender": _TEXT, "anchor_age": _WHOLE, "anchor_year": _WHOLE})
DIAGNOSES = Table(
    "hosp/diagnoses_icd",
    {"subject_id": _WHOLE, "hadm_id": _WHOLE, "seq_num": _WHOLE, "icd_code": _TEXT, "icd_version": _WHOLE},
)
TITLES = Table("hosp/d_icd_diagnoses", {"icd_code": _TEXT, "icd_version": _WHOLE, "long_title": _TEXT})
LABS = Table(
    "hosp/labevents",
    {
        "subject_id": _WHOLE,
        "hadm_id": _WHOLE,
        "itemid": _WHOLE,
        "charttime": _TIME,
        "storetime": _TIME,
        "value": _TEXT,
        "valuenum": _NUMBER,
        "valueuom": _TEXT,
        "ref_range_lower": _NUMBER,
        "ref_range_upper": _NUMBER,
        "flag": _TEXT,
    },
)
LAB_ITEMS = Table("hosp/d_labitems", {"itemid": _WHOLE, "label": _TEXT, "fluid": _TEXT})
PRESCRIPTIONS = Table(
    "hosp/prescriptions",
    {"subject_id": _WHOLE, "hadm_id": _WHOLE, "starttime": _TIME, "drug_type": _TEXT, "drug": _TEXT, "route": _TEXT},
)
SERVICES = Table(
    "hosp/services", {"subject_id": _WHOLE, "hadm_id": _WHOLE, "transfertime": _TIME, "curr_service": _TEXT}
)
NOTES = Table(
    "note/discharge",
    {"subject_id": _WHOLE, "hadm_id": _WHOLE, "note_type": _TEXT, "note_seq": _WHOLE, "text": _TEXT},
    needed=False,
)
ED_STAYS = Table(
    "ed/edstays", {"subject_id": _WHOLE, "hadm_id": _WHOLE, "stay_id": _WHOLE, "intime": _TIME}, needed=False
)
TRIAGE = Table("ed/triage", {"stay_id": _WHOLE, "chiefcomplaint": _TEXT}, needed=False)

TABLES = (
    ADMISSIONS,
    PATIENTS,
    DIAGNOSES,
    TITLES,
    LABS,
    LAB_ITEMS,
    PRESCRIPTIONS,
    SERVICES,
    NOTES,
    ED_STAYS,
    TRIAGE,
)

CCSR = "DXCCSR*.csv"
"""Where a user has it, the table of CCSR categories: any file of this name in the folder (AHRQ's layout of v2024)."""


def ccsr_file(folder: Path) -> Path | None:
    """Find the user's CCSR table; the last by name, where there are several.

    Raises
    ------
    DatasetError
        If something else stands in its place.
    """
    path = max(folder.glob(CCSR), default=None)
    return path and _file(path)


def find(folder: Path, table: Table) -> Path | None:
    """Find a table's file, compressed or not.

    Raises
    ------
    DatasetError
        If a file that is needed is not there, or something else stands in its place.
    """
    for suffix in (".csv.gz", ".csv"):
        path = folder / f"{table.name}{suffix}"
        if path.exists():
            return _file(path)
    if table.needed:
        raise DatasetError(
            f"{folder / table.name}.csv.gz is missing", "name the folder that holds hosp/, as PhysioNet lays it out"
        )
    return None


def _file(path: Path) -> Path:
    try:
        require_file(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}", "put the file there") from error
    return path


def require_layout(folder: Path) -> None:
    """Refuse a folder that lacks a file, or a file that lacks a column, before anything is read at length.

    Raises
    ------
    DatasetError
        Naming file and column.
    """
    if not folder.is_dir():
        raise DatasetError(f"data folder {folder} does not exist", "name the folder that holds hosp/")
    for table in TABLES:
        path = find(folder, table)
        if path is not None:
            with closing(_open(path)) as file:
                _check_header(path, _guarded(path, file.readline), table)


def fingerprint(folder: Path) -> str:
    """Tell one state of a folder from another without reading it all.

    Names, sizes, and the first and last 64 KiB of every file. A gzip file ends with a checksum of all that is in it,
    so that any change to its content shows; in a file that is not compressed, a change in its middle that keeps the
    size does not.
    """
    digest = hashlib.sha256()
    paths = [path for table in TABLES if (path := find(folder, table)) is not None]
    for path in [*paths, *filter(None, [ccsr_file(folder)])]:
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder)} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(EDGE))
            file.seek(max(0, size - EDGE))
            digest.update(file.read(EDGE))
    return digest.hexdigest()[:16]


def read(folder: Path, table: Table, progress: Progress) -> pl.DataFrame:
    """Read a small table whole; without rows where the file is not there."""
    frames = list(stream(folder, table, progress))
    return pl.concat(frames) if frames else pl.DataFrame(schema=dict(table.columns))


def stream(folder: Path, table: Table, progress: Progress) -> Iterator[pl.DataFrame]:
    """Read a table in pieces of about 32 MiB of text, in the file's order; none where the file is not there.

    Raises
    ------
    DatasetError
        If the file is broken; the message names file, column and what stands there.
    """
    path = find(folder, table)
    if path is None:
        return
    size = path.stat().st_size
    with path.open("rb") as raw, closing(_open(path, raw)) as file:
        header = _guarded(path, file.readline)
        _check_header(path, header, table)
        rest = b""
        while True:
            more = _guarded(path, lambda: file.read(PIECE))
            text = rest + more
            end = _last_end(text) if more else len(text)
            if len(text) - end > LONGEST:
                raise DatasetError(f"{path}: a quote in it is never closed", "download the file again")
            piece, rest = text[:end], text[end:]
            if piece.strip():
                yield _parse(path, header + piece, table)
            progress(table.name, raw.tell(), size)
            if not more:
                return


def _open(path: Path, raw: IO[bytes] | None = None) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(raw or path, "rb"))
    return raw or path.open("rb")


def _guarded(path: Path, reading: Callable[[], bytes]) -> bytes:
    try:
        return reading()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path} is not a whole gzip file", "download the file again") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}", "check the file") from error


def _check_header(path: Path, header: bytes, table: Table) -> None:
    names = next(csv.reader([header.decode("utf-8-sig", "replace").strip()]), [])
    missing = [name for name in table.columns if name not in names]
    if missing:
        raise DatasetError(f"{path} has no column {missing[0]!r}", "use MIMIC-IV v2.2 or v3.1 as PhysioNet gives it")


def _last_end(text: bytes) -> int:
    """Find where the last whole record ends: at a line's end outside of quotes."""
    inside = text.count(b'"') % 2
    end = len(text)
    while (place := text.rfind(b"\n", 0, end)) >= 0:
        inside ^= text.count(b'"', place, end) % 2
        if not inside:
            return place + 1
        end = place
    return 0


def _parse(path: Path, text: bytes, table: Table) -> pl.DataFrame:
    names = list(table.columns)
    try:
        frame = pl.read_csv(io.BytesIO(text), columns=names, schema_overrides=dict(table.columns))
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise _explained(path, text, table, error) from error
    return frame.select(names)


def _explained(path: Path, text: bytes, table: Table, error: Exception) -> DatasetError:
    """Say which column holds what it should not: the piece is read once more, as text."""
    try:
        frame = pl.read_csv(io.BytesIO(text), columns=list(table.columns), infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        why = str(error).splitlines()[0]
        return DatasetError(f"{path} cannot be read as CSV: {why}", "download the file again")
    for name, kind in table.columns.items():
        given = frame[name]
        read_as = given.str.to_datetime(strict=False) if kind == _TIME else given.cast(kind, strict=False)
        wrong = given.filter(given.is_not_null() & read_as.is_null())
        if len(wrong):
            return DatasetError(
                f"{path}, column {name!r}: {wrong[0]!r} is not {_TYPE_NAMES[kind]}", "download the file again"
            )
    return DatasetError(f"{path} does not have its columns' types", "download the file again")
