"""MIMIC-IV end to end on a made-up folder: what x and y hold, that nothing leaks, and that every method runs on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import msgspec
import polars as pl
import pytest

from llm_as_rnn.catalogue import METHODS
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import DatasetError, SpecMismatchError
from llm_as_rnn.core.prompts import Prompts
from llm_as_rnn.core.records import Target
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.base import Dataset, Selection, Sequence, Split
from llm_as_rnn.datasets.mimic import MIMIC, from_folder
from llm_as_rnn.datasets.mimic import index as mimic_index
from llm_as_rnn.datasets.mimic.stays import MOST_DIAGNOSES, MOST_DRUGS, MOST_LABS, terms
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.leakage.check import examine
from llm_as_rnn.leakage.foresight import MIN_STEPS
from llm_as_rnn.runs.directory import RunDirectory, RunInfo
from llm_as_rnn.runs.execute import Options, execute
from tests.cli.commands import command
from tests.datasets.mimic_folder import COLUMNS, Rows, at, lab, made, write
from tests.helpers import run_options

TASK = load_task("mimic")
ADMITTED = datetime(2150, 1, 1, 8, 0)  # noqa: DTZ001 - as in the set
IDS = {"subject_id": 1, "hadm_id": 100}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("mimic"), made(60))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def mimic(folder: Path, cache: Path) -> Dataset:
    return from_folder(folder, cache=cache)


def named(target: Target | None) -> tuple[str, ...]:
    diagnoses = (target or {})["diagnoses"]
    assert isinstance(diagnoses, tuple | list)
    return tuple(diagnoses)


def all_of(source: Dataset, steps: int = 99) -> list[Sequence]:
    """Give every sequence of both parts."""
    found: list[Sequence] = []
    for split in get_args(Split):
        with pytest.raises(DatasetError) as refused:  # which says how many there are
            source.load(Selection(10**6, steps, 0, split))
        number = int(refused.value.message.split()[2])
        found += source.load(Selection(number, steps, 0, split))
    return found


# --- one patient, by hand -------------------------------------------------------------------------------------------


def one_patient(tmp_path: Path, change: Any = None) -> list[dict[str, Any]]:
    """Give x of a patient's stays: three bare ones, changed as wanted. The first began on January 1, 2150, at 8:00."""
    rows: Rows = {name: [] for name in COLUMNS}
    rows["hosp/d_icd_diagnoses"] = [{"icd_code": "I10 ", "icd_version": 10, "long_title": "Hypertension; essential"}]
    rows["hosp/d_labitems"] = [{"itemid": 1, "label": "Sodium", "fluid": "Blood"}]
    rows["hosp/patients"] = [{"subject_id": 1, "gender": "F", "anchor_age": 50, "anchor_year": 2150}]
    for number in range(3):
        ids = {**IDS, "hadm_id": 100 + number}
        times = {"admittime": f"215{number}-01-01 08:00:00", "dischtime": f"215{number}-01-04 20:00:00"}
        rows["hosp/admissions"].append({**ids, **times, "admission_type": "URGENT"})
        rows["hosp/diagnoses_icd"].append({**ids, "seq_num": 1, "icd_code": "I10  ", "icd_version": 10})
    if change:
        change(rows)
    source = from_folder(write(tmp_path / "one", rows), cache=tmp_path / "cache")
    (sequence,) = all_of(source)
    return [{**step.observation.fields, **(step.target or {})} for step in sequence.steps]


def test_a_bare_stay_says_what_is_not_recorded(tmp_path: Path) -> None:
    first, second, third = one_patient(tmp_path)
    assert set(first.values()) - {"not recorded"} == {"50", "female", "urgent", ("Hypertension, essential",)}
    assert [stay["age"] for stay in (first, second, third)] == ["50", "51", "52"]
    assert [stay["since_last"] for stay in (first, second, third)] == ["not recorded", "361 days", "361 days"]


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"valuenum": 120, "value": "120", "ref_range_lower": 133, "ref_range_upper": 145, "valueuom": "mEq/L"},
         "Sodium 120 mEq/L (normal: 133 to 145)"),
        ({"valuenum": 140, "value": "140", "ref_range_lower": 133, "ref_range_upper": 145}, "not recorded"),
        ({"valuenum": 140, "value": "140", "ref_range_lower": 133, "ref_range_upper": 145, "flag": "abnormal"},
         "Sodium 140 (normal: 133 to 145)"),
        ({"value": "POS", "flag": "abnormal "}, "Sodium POS"),
        ({"value": "___", "flag": "abnormal"}, "not recorded"),
        ({"value": "", "flag": "abnormal"}, "not recorded"),
        ({"valuenum": 9, "value": ">9.0", "ref_range_upper": 5}, "Sodium 9 (normal: at most 5)"),
        ({"valuenum": 9, "ref_range_lower": 10}, "Sodium 9 (normal: at least 10)"),
        ({"valuenum": 9, "itemid": 77, "flag": "abnormal"}, "test 77 9"),
    ],
)  # fmt: skip
def test_results_with_their_edge_cases(tmp_path: Path, row: dict[str, Any], shown: str) -> None:
    known = {"itemid": 1, **row}
    change = lambda rows: rows["hosp/labevents"].append(lab(IDS, ADMITTED, 2, 3, **known))  # noqa: E731
    assert one_patient(tmp_path, change)[0]["labs"] == shown


def test_the_latest_known_result_counts_and_a_later_one_does_not(tmp_path: Path) -> None:
    def change(rows: Rows) -> None:
        for hours, stored, value in ((20, 21, 3), (2, 3, 1), (23, 25, 8), (25, 26, 9)):
            rows["hosp/labevents"].append(lab(IDS, ADMITTED, hours, stored, itemid=1, valuenum=value, flag="abnormal"))

    assert one_patient(tmp_path, change)[0]["labs"] == "Sodium 3"


def test_long_lists_and_old_patients_are_cut(tmp_path: Path) -> None:
    def change(rows: Rows) -> None:
        rows["hosp/patients"][0]["anchor_age"] = 91
        for number in range(50):
            rows["hosp/d_icd_diagnoses"].append(
                {"icd_code": f"A{number:02}", "icd_version": 10, "long_title": f"t{number}"}
            )
            rows["hosp/diagnoses_icd"].append(
                {**IDS, "seq_num": 50 - number, "icd_code": f"A{number:02}", "icd_version": 10}
            )
            rows["hosp/labevents"].append(
                lab(IDS, ADMITTED, 1, 1, itemid=100 + number, valuenum=number, flag="abnormal")
            )
            drug = {"starttime": at(ADMITTED), "drug_type": "MAIN", "drug": f"drug {number}"}
            rows["hosp/prescriptions"].append({**IDS, **drug})

    first = one_patient(tmp_path, change)[0]
    assert first["age"] == "90 or older"
    assert len(first["diagnoses"]) == MOST_DIAGNOSES
    # Two codes are ranked first: the order of their codes decides.
    assert first["diagnoses"][:3] == ("t49", "Hypertension, essential", "t48")
    assert len(first["labs"].split("; ")) == MOST_LABS
    assert len(first["medications"].split("; ")) == MOST_DRUGS


def test_stays_without_codes_are_left_out_and_unknown_codes_are_shown(tmp_path: Path) -> None:
    def change(rows: Rows) -> None:
        times = {"admittime": "2150-06-01 08:00:00", "dischtime": "2150-06-04 20:00:00"}
        rows["hosp/admissions"].append({**IDS, "hadm_id": 500, **times})
        rows["hosp/diagnoses_icd"].append({**IDS, "seq_num": 2, "icd_code": "Z9999", "icd_version": 10})

    first, second, third = one_patient(tmp_path, change)
    assert first["diagnoses"] == ("Hypertension, essential", "ICD-10 code Z9999")
    assert second["since_last"] == third["since_last"] == "361 days"


def test_a_stay_that_ends_before_it_begins_and_one_without_an_end(tmp_path: Path) -> None:
    def change(rows: Rows) -> None:
        rows["hosp/admissions"][0]["dischtime"] = "2149-12-31 08:00:00"
        rows["hosp/admissions"][1]["dischtime"] = ""
        rows["hosp/labevents"].append(lab(IDS, ADMITTED, 2, 3, itemid=1, valuenum=5, flag="abnormal"))

    first, _, third = one_patient(tmp_path, change)
    assert first["labs"] == "Sodium 5"
    assert third["since_last"] == "not recorded"


# --- all patients ---------------------------------------------------------------------------------------------------


def test_sequences_are_patients_with_three_admissions_in_time_order(mimic: Dataset, folder: Path) -> None:
    sequences = all_of(mimic)
    stays = {row["subject_id"]: 0 for row in made(60)["hosp/patients"]}
    for subject, _ in {(row["subject_id"], row["hadm_id"]) for row in made(60)["hosp/admissions"]}:
        stays[subject] += 1
    assert {sequence.info.id: len(sequence.steps) for sequence in sequences} == {
        str(subject): number for subject, number in stays.items() if number >= 3
    }
    for sequence in sequences:
        assert [step.observation.t for step in sequence.steps] == list(range(len(sequence.steps)))
        ages = [
            int(step.observation.fields["age"]) for step in sequence.steps if step.observation.fields["age"].isdigit()
        ]
        assert ages == sorted(ages)
        for step in sequence.steps:
            outcome = named(step.target)
            assert len(set(outcome)) == len(outcome) >= 1


def test_a_memory_keeps_a_stay_in_short(mimic: Dataset) -> None:
    stays = [step for found in all_of(mimic) for step in found.steps]
    kept = [TASK.show(stay.observation, "case") for stay in stays]
    assert max(map(len, kept)) < 450
    assert max(len(TASK.show(stay.observation, "line")) for stay in stays) > 2 * max(map(len, kept))


def test_parts_do_not_share_a_patient_and_a_seed_repeats_its_choice(mimic: Dataset) -> None:
    parts = [{s.info.id for s in mimic.load(Selection(6, 9, 0, split))} for split in get_args(Split)]
    assert not parts[0] & parts[1]
    assert mimic.load(Selection(4, 3, 1)) == mimic.load(Selection(4, 3, 1))
    assert {s.info.id for s in mimic.load(Selection(4, 3, 1))} != {s.info.id for s in mimic.load(Selection(4, 3, 2))}
    assert all(len(sequence.steps) <= 2 for sequence in mimic.load(Selection(4, 2)))


def test_fewer_admissions_can_be_asked_for(mimic: Dataset, folder: Path, cache: Path) -> None:
    more = from_folder(folder, least=2, cache=cache)
    assert len(all_of(more)) > len(all_of(mimic))


def test_too_many_sequences_are_refused_with_what_there_is(mimic: Dataset) -> None:
    with pytest.raises(DatasetError, match="ask for at most"):
        mimic.load(Selection(1000, 3))


# --- leakage --------------------------------------------------------------------------------------------------------


def texts(sequences: Iterable[Sequence]) -> Iterator[str]:
    for sequence in sequences:
        for step in sequence.steps:
            yield str(step.observation.fields)
            yield TASK.show(step.observation, "json", sequence.info.about)


def test_nothing_late_reaches_x(mimic: Dataset) -> None:
    shown = " ".join(texts(all_of(mimic)))
    assert "LATE" not in shown
    for early in (
        "Furosemide (IV); Insulin",
        "ED POSITIVE",
        "Dyspnea, Cough",
        "walking",
        "normal:",
        "cardiac medicine",
    ):
        assert early in shown


@pytest.mark.parametrize("what", ["labs", "stored", "medications", "services", "note"])
def test_a_late_event_that_is_planted_in_an_index_is_seen(
    folder: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above fails when the cut-off is broken, for each kind of event."""
    known_early = mimic_index.known_early
    time = {"labs": "charttime", "stored": "charttime", "medications": "starttime", "services": "transfertime"}

    def lax(events: pl.DataFrame, stays: pl.DataFrame, when: str, stored: str = "") -> pl.DataFrame:
        if what == "stored":
            return known_early(events, stays, when)
        if time.get(what) == when:
            stays = stays.with_columns(cutoff=pl.col("cutoff") + pl.duration(days=2))
        return known_early(events, stays, when, stored)

    if what == "note":
        monkeypatch.setattr(mimic_index, "early_sections", lambda text: {"present_illness": text})
    monkeypatch.setattr(mimic_index, "known_early", lax)
    assert "LATE" in " ".join(texts(all_of(from_folder(folder, cache=tmp_path))))


def test_the_check_finds_a_discharge_diagnosis_that_is_planted_in_the_observations(mimic: Dataset) -> None:
    def told(sequence: Sequence) -> Sequence:
        steps = (
            msgspec.structs.replace(
                step,
                observation=msgspec.structs.replace(
                    step.observation,
                    fields={**step.observation.fields, "past_history": "; ".join(named(step.target))},
                ),
            )
            for step in sequence.steps
        )
        return Sequence(sequence.info, tuple(steps))

    report = examine(TASK, [told(sequence) for sequence in mimic.load(Selection(8, 4))], Prompts(), {})
    assert {(leak.kind, leak.field) for leak in report.leaks} == {("outcome_in_observation", "past_history")}


# --- runs -----------------------------------------------------------------------------------------------------------


class Quiet:
    """Hears nothing."""

    def begin(self, *_: Any) -> None: ...
    def step(self, record: StepRecord) -> None: ...
    def set_aside(self, steps: int) -> None: ...


def answer(request: Request) -> str:
    if request.role == "predict":
        return " CHF; high blood pressure; pneumonia; acute kidney injury; sepsis"
    if request.role in ("update", "compress"):
        return "## History\n- stays\n## Current status\n- heart\n## Considerations\n- none"
    return "summary: a stay"


INFO = EngineInfo("scripted:test", digest="d", form="line", style="completion", slots=2, host="")


def go(out: Path, options: Options, *, resume: bool = False) -> RunInfo:
    return asyncio.run(
        execute(options, ScriptedEngine(answer, INFO), RunDirectory(out), resume=resume, watcher=Quiet())
    )


def test_every_method_runs_and_is_scored_by_category(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = run_options("mimic", data=folder, methods=tuple(METHODS), sequences=4, steps=4, budget=200)
    info = go(tmp_path / "run", options)
    assert info.status == "finished"
    assert info.spec.data_digest == from_folder(folder).digest
    records = RunDirectory(tmp_path / "run").records()
    assert {record.method for record in records} == set(info.spec.methods)
    assert set(METHODS) < set(info.spec.methods)
    asked = [record for record in records if record.method in METHODS and record.method != "advised"]
    for name in ("diagnoses.icd.acc@1", "diagnoses.icd.acc@5"):
        assert {record.scores[name] for record in asked} <= {0.0, 1.0}
    for record in asked:
        first = named(record.target)[0]
        heart = "heart failure" in first
        assert record.scores["diagnoses.icd.acc@1"] == heart
        assert record.scores["diagnoses.acc@1"] == 0
    scores = msgspec.json.decode((tmp_path / "run/scores.json").read_bytes())["methods"]
    assert all("diagnoses.icd.acc@5" in row["scores"] for row in scores)
    assert "LATE" not in (tmp_path / "run/steps.jsonl").read_text()


def test_a_folder_that_changed_is_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = made(30)
    options = run_options("mimic", methods=("zero_shot",), data=write(tmp_path / "mimic", rows), sequences=2, steps=3)
    go(tmp_path / "run", options)
    go(tmp_path / "run", options, resume=True)
    rows["hosp/patients"][0]["anchor_age"] = 33
    write(tmp_path / "mimic", rows)
    with pytest.raises(SpecMismatchError, match="data_digest"):
        go(tmp_path / "run", options, resume=True)


def test_the_commands_work_on_a_folder_and_say_what_to_bring_without_one(folder: Path, tmp_path: Path) -> None:
    place = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    shown = command("data", "show", "mimic", "--data", str(folder), **place)
    assert (shown.returncode, " -> " in shown.stdout) == (0, True), shown.stderr
    for arguments in (("data", "check", "mimic"), ("run", "mimic", "-m", "scripted:none.jsonl")):
        without = command(*arguments, **place)
        assert without.returncode == 2
        assert without.stderr.count("\n") == 1
        assert "--data FOLDER" in without.stderr
    assert "--data FOLDER" in command("data", "list", COLUMNS="200").stdout
    broken = command("data", "check", "mimic", "--data", str(tmp_path), **place)
    assert (broken.returncode, broken.stderr.count("\n")) == (2, 1)
    assert "hosp/admissions.csv.gz is missing" in broken.stderr


def test_nothing_tells_an_outcome_early(mimic: Dataset) -> None:
    """All observations are compared with the outcomes; methods run over a few, whose template is the same for all."""
    data = list(mimic.load(Selection(8, 4)))
    report = examine(TASK, data, Prompts(), {})
    assert (report.leaks, report.steps >= MIN_STEPS) == ((), True)
    few = [msgspec.structs.replace(sequence, steps=sequence.steps[:2]) for sequence in data[:2]]
    assert examine(TASK, few, Prompts()).leaks == ()


@pytest.mark.long
def test_the_command_finds_mimic_clean(folder: Path, tmp_path: Path) -> None:
    checked = command("data", "check", "mimic", "--data", str(folder), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, "no leak found"), checked.stderr
    assert "too few" not in checked.stdout


def test_mimic_is_credentialed_and_its_folder_stays_so(mimic: Dataset) -> None:
    assert MIMIC.credentialed
    assert mimic.credentialed
    assert (MIMIC.ready() != "", mimic.ready()) == (True, "")


# --- categories -----------------------------------------------------------------------------------------------------


def test_codes_have_their_categories_and_the_users_ccsr_groups(tmp_path: Path) -> None:
    rows = made(12)
    folder = write(tmp_path / "mimic", rows)
    (folder / "DXCCSR_v2024-1.csv").write_text(
        "'ICD-10-CM CODE','ICD-10-CM CODE DESCRIPTION','Default CCSR CATEGORY IP','CCSR CATEGORY 1',"
        "'CCSR CATEGORY 1 DESCRIPTION','CCSR CATEGORY 2'\n"
        "'I5033','Acute on chronic, diastolic','CIR019','CIR019','Heart failure',' '\n".replace(
            "chronic, d", "chronic d"
        )
        + "'E119','Type 2','END002','END002','Diabetes','END003'\n"
    )
    cache = tmp_path / "cache"
    source = from_folder(folder, cache=cache)
    assert source.scores is not None
    assert set(source.scores()) == {extra.name for extra in source.extras}
    index = mimic_index.open_index(folder, cache, lambda *_: None)
    codes = {(term.edition, term.title): (term.category, term.groups) for term in terms(index, folder)}
    assert codes["ICD-10", "Acute on chronic diastolic (congestive) heart failure"] == ("I50", ("CIR019",))
    assert codes["ICD-10", "Type 2 diabetes mellitus without complications"] == ("E11", ("END002", "END003"))
    assert codes["ICD-9", "Acute kidney failure, unspecified"] == ("584", ())
    external = "Other specified surgical operations, causing abnormal patient reaction"
    assert codes["ICD-9", external] == ("E878", ())
    (folder / "DXCCSR_v2025-1.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match=r"DXCCSR_v2025-1\.csv has no column 'CCSR CATEGORY 1'"):
        source.scores()
