"""A patient's admissions as a sequence: what of the index is shown as x and y of a stay, and how it is written."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from llm_as_rnn.core.errors import DatasetError
from llm_as_rnn.core.extras import Score
from llm_as_rnn.core.records import Observation, SequenceInfo
from llm_as_rnn.datasets.base import Selection, Sequence, Step
from llm_as_rnn.datasets.mimic.icd import Coding, Term, scores
from llm_as_rnn.datasets.mimic.index import Index, open_index
from llm_as_rnn.datasets.mimic.tables import ccsr_file
from llm_as_rnn.datasets.mimic.words import words

MOST_DIAGNOSES, MOST_LABS, MOST_DRUGS = 15, 24, 30
"""How much of a stay is shown; outcomes beyond their most are not counted either."""

OLDEST = 90
"""From this age on the set does not tell how old a patient is."""

UNKNOWN = "not recorded"

SECTIONS = ("present_illness", "past_history", "social_history", "family_history", "allergies")


@dataclass(frozen=True)
class Stay:
    """Everything that the index holds of one admission, by table."""

    row: Mapping[str, Any]
    tables: Mapping[str, list[dict[str, Any]]]


class Opened(NamedTuple):
    """What a folder's dataset is made of: how sequences are cut, what scores need, and the folder's fingerprint."""

    load: Callable[[Selection], list[Sequence]]
    scores: Callable[[], Mapping[str, Score]]
    digest: str


def opened(folder: Path, least: int, cache: Path) -> Opened:
    """Open a folder; parameters and errors are those of `from_folder`."""
    with _Bar() as bar:
        index = open_index(folder, cache, bar.show)
    items = {row["itemid"]: row for row in index.table("items").iter_rows(named=True)}
    return Opened(partial(_load, index, items, least), partial(_scores, index, folder), index.digest)


def _load(index: Index, items: Mapping[int, Mapping[str, Any]], least: int, selection: Selection) -> list[Sequence]:
    patients = index.patients(selection.split, least)
    if selection.sequences > len(patients):
        raise DatasetError(
            f"mimic has {len(patients)} {selection.split} patients with {least} admissions or more: too few for "
            f"{selection.sequences} sequences",
            f"ask for at most {len(patients)} sequences" if patients else "use a folder with more patients",
        )
    rng = random.Random(selection.seed)  # noqa: S311 - a repeatable choice, not a secret
    chosen = sorted(rng.sample(patients, selection.sequences))
    titles = {(row["icd_version"], row["icd_code"]): row["long_title"] for row in index.table("titles").to_dicts()}
    stays = _stays(index, chosen)
    return [_sequence(patient, stays[patient][: selection.steps], items, titles) for patient in chosen]


def _stays(index: Index, patients: list[int]) -> dict[int, list[Stay]]:
    """Gather all that the index holds of some patients: their stays in the order of time."""
    names = ("diagnoses", "labs", "drugs", "services", "notes", "complaints")
    found: dict[int, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: {name: [] for name in names})
    for name in names:
        for row in index.rows(name, patients):
            found[row["hadm_id"]][name].append(row)
    stays: dict[int, list[Stay]] = defaultdict(list)
    for row in sorted(index.rows("stays", patients), key=lambda row: (row["admittime"], row["hadm_id"])):
        stays[row["subject_id"]].append(Stay(row, found[row["hadm_id"]]))
    return stays


def _sequence(
    patient: int,
    stays: list[Stay],
    items: Mapping[int, Mapping[str, Any]],
    titles: Mapping[tuple[int, str], str],
) -> Sequence:
    left: datetime | None = None
    steps = []
    for t, stay in enumerate(stays):
        observation = Observation(str(patient), t, _fields(stay, left, items))
        steps.append(Step(observation, {"diagnoses": tuple(_diagnoses(stay.tables["diagnoses"], titles))}))
        left = stay.row["dischtime"]
    return Sequence(SequenceInfo(str(patient)), tuple(steps))


def _fields(stay: Stay, left: datetime | None, items: Mapping[int, Mapping[str, Any]]) -> dict[str, str]:
    """Write x: every value as it is shown, or that it is not recorded."""
    row, tables = stay.row, stay.tables
    note = min(tables["notes"], key=lambda row: row["note_seq"] or 0, default={})
    complaints = sorted(tables["complaints"], key=lambda row: row["intime"])
    complaint = complaints[0]["chiefcomplaint"] if complaints else note.get("chief_complaint")
    shown = {
        "age": _age(row["age"]),
        "sex": {"F": "female", "M": "male"}.get(row["gender"]),
        "admission_type": _lower(row["admission_type"]),
        "admission_location": _lower(row["admission_location"]),
        "insurance": row["insurance"],
        "since_last": f"{max((row['admittime'] - left).days, 0)} days" if left else None,
        "chief_complaint": complaint,
        **{name: note.get(name) for name in SECTIONS},
        "services": ", then ".join(_services(tables["services"])),
        "labs": "; ".join(_labs(tables["labs"], items)),
        "medications": "; ".join(_drugs(tables["drugs"])),
    }
    return {name: " ".join(value.split()) if value and value.strip() else UNKNOWN for name, value in shown.items()}


def _diagnoses(rows: list[dict[str, Any]], titles: Mapping[tuple[int, str], str]) -> Iterator[str]:
    """Give the titles of a stay's codes, the primary one first, each once."""
    ordered = sorted(rows, key=lambda row: (row["seq_num"], row["icd_version"], row["icd_code"]))
    named = (titles.get((row["icd_version"], row["icd_code"])) or _code_alone(row) for row in ordered)
    yield from list(dict.fromkeys(map(_title, named)))[:MOST_DIAGNOSES]


def _code_alone(row: Mapping[str, Any]) -> str:
    return f"ICD-{row['icd_version']} code {row['icd_code']}"


def _title(text: str) -> str:
    """Tidy a title. A semicolon stands between titles in answers of one line."""
    return " ".join(text.replace(";", ",").split())


def _labs(rows: list[dict[str, Any]], items: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """Write the latest odd result of each test, by the test's name."""
    latest: dict[int, str] = {}
    for row in sorted(rows, key=lambda row: (row["charttime"], row["value"] or "", row["itemid"])):
        value = _value(row)
        if value:
            latest[row["itemid"]] = " ".join(part for part in (value, row["valueuom"], _range(row)) if part)
    named = ((_item(items.get(number, {})) or f"test {number}", result) for number, result in latest.items())
    return [f"{name} {result}" for name, result in sorted(named)][:MOST_LABS]


def _value(row: Mapping[str, Any]) -> str:
    text = (row["value"] or "").strip()
    if row["valuenum"] is not None:
        return f"{row['valuenum']:g}"
    return text if any(char.isalnum() for char in text) else ""  # ___ stands for what was taken out


def _range(row: Mapping[str, Any]) -> str:
    low, high = row["ref_range_lower"], row["ref_range_upper"]
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f"(normal: at most {high:g})" if low is None else f"(normal: at least {low:g})"
    return f"(normal: {low:g} to {high:g})"


def _item(item: Mapping[str, Any]) -> str:
    fluid = item.get("fluid")
    of = f" in {fluid.lower()}" if fluid and fluid != "Blood" else ""
    return f"{item['label'].strip()}{of}" if item.get("label") else ""


def _drugs(rows: list[dict[str, Any]]) -> list[str]:
    """Name each drug once, in the order in which they were begun."""
    ordered = sorted(rows, key=lambda row: (row["starttime"], row["drug"].casefold(), row["route"] or ""))
    shown: dict[str, str] = {}
    for row in ordered:
        route = f" ({row['route'].strip()})" if row["route"] and row["route"].strip() else ""
        shown.setdefault(row["drug"].strip().casefold(), f"{row['drug'].strip()}{route}")
    return list(shown.values())[:MOST_DRUGS]


def _services(rows: list[dict[str, Any]]) -> list[str]:
    codes = [row["curr_service"].strip() for row in sorted(rows, key=lambda row: row["transfertime"])]
    return list(dict.fromkeys(words().services.get(code, code) for code in codes))


def _age(age: int | None) -> str | None:
    if age is None:
        return None
    return f"{OLDEST} or older" if age >= OLDEST else str(age)


def _lower(text: str | None) -> str | None:
    return text.lower() if text else None


def _scores(index: Index, folder: Path) -> Mapping[str, Score]:
    return scores(Coding(terms(index, folder)))


def terms(index: Index, folder: Path) -> Iterator[Term]:
    """Give every title with its category: three characters; four of ICD-9's external causes, whose letter is extra."""
    groups = _ccsr(folder)
    for row in index.table("titles").iter_rows(named=True):
        version, code = row["icd_version"], row["icd_code"]
        size = 4 if version == 9 and code.startswith("E") else 3  # noqa: PLR2004 - the classification's own figures
        of = groups.get(code, ()) if version != 9 else ()  # noqa: PLR2004 - CCSR is of ICD-10 alone
        yield Term(f"ICD-{version}", code[:size], _title(row["long_title"]), of)


def _ccsr(folder: Path) -> dict[str, tuple[str, ...]]:
    """Read the user's CCSR table, whose names and cells stand in single quotes; empty without one."""
    path = ccsr_file(folder)
    if path is None:
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        names = [_bare(name) for name in next(rows, [])]
        places = [i for i, name in enumerate(names) if name.startswith("CCSR CATEGORY") and "DESC" not in name]
        if not places or "ICD-10-CM CODE" not in names:
            column = "ICD-10-CM CODE" if places else "CCSR CATEGORY 1"
            raise DatasetError(
                f"{path} has no column {column!r}", "use the DXCCSR table as AHRQ gives it, or remove it"
            )
        code = names.index("ICD-10-CM CODE")
        return {_bare(row[code]): tuple(_filled(row, places)) for row in rows if len(row) == len(names)}


def _filled(row: list[str], places: Iterable[int]) -> Iterator[str]:
    yield from (group for place in places if (group := _bare(row[place])))


def _bare(cell: str) -> str:
    return cell.strip().strip("'").strip().upper()


class _Bar:
    """A progress bar for people, one file at a time; nothing where there is no terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("indexing {task.description:<24}"), BarColumn(bar_width=24), DownloadColumn())
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, name: str, done: int, total: int) -> None:
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._bars[name], completed=done)
