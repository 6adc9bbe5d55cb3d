"""A folder as PhysioNet lays MIMIC-IV out, made up: all columns, missing values, duplicates, rows in no order.

Whatever must not reach x has a word in it that begins with LATE: what was charted or stored after the first day, and
every section of a note that tells how the stay went.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

Rows = dict[str, list[dict[str, Any]]]

COLUMNS: Mapping[str, str] = {
    "hosp/admissions": "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admit_provider_id,"
    "admission_location,discharge_location,insurance,language,marital_status,race,edregtime,edouttime,"
    "hospital_expire_flag",
    "hosp/patients": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    "hosp/diagnoses_icd": "subject_id,hadm_id,seq_num,icd_code,icd_version",
    "hosp/d_icd_diagnoses": "icd_code,icd_version,long_title",
    "hosp/labevents": "labevent_id,subject_id,hadm_id,specimen_id,itemid,order_provider_id,charttime,storetime,value,"
    "valuenum,valueuom,ref_range_lower,ref_range_upper,flag,priority,comments",
    "hosp/d_labitems": "itemid,label,fluid,category",
    "hosp/prescriptions": "subject_id,hadm_id,pharmacy_id,poe_id,poe_seq,order_provider_id,starttime,stoptime,"
    "drug_type,drug,formulary_drug_cd,gsn,ndc,prod_strength,form_rx,dose_val_rx,dose_unit_rx,form_val_disp,"
    "form_unit_disp,doses_per_24_hrs,route",
    "hosp/services": "subject_id,hadm_id,transfertime,prev_service,curr_service",
    "note/discharge": "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text",
    "ed/edstays": "subject_id,hadm_id,stay_id,intime,outtime,gender,race,arrival_transport,disposition",
    "ed/triage": "subject_id,stay_id,temperature,heartrate,resprate,o2sat,sbp,dbp,pain,acuity,chiefcomplaint",
}

TITLES = (
    ("I5033", 10, "Acute on chronic diastolic (congestive) heart failure"),
    ("I509", 10, "Heart failure, unspecified"),
    ("I10", 10, "Essential (primary) hypertension"),
    ("J189", 10, "Pneumonia, unspecified organism"),
    ("N179", 10, "Acute kidney failure, unspecified"),
    ("E119", 10, "Type 2 diabetes mellitus without complications"),
    ("A419", 10, "Sepsis, unspecified organism"),
    ("4280", 9, "Congestive heart failure, unspecified"),
    ("4019", 9, "Unspecified essential hypertension"),
    ("486", 9, "Pneumonia, organism unspecified"),
    ("5849", 9, "Acute kidney failure, unspecified"),
    ("25000", 9, "Diabetes mellitus without mention of complication, type II or unspecified type"),
    ("0389", 9, "Unspecified septicemia"),
    ("E8788", 9, "Other specified surgical operations; causing abnormal patient reaction"),
)

ITEMS = (
    (50971, "Potassium", "Blood", "mEq/L", 3.3, 5.1),
    (50912, "Creatinine", "Blood", "mg/dL", 0.4, 1.1),
    (51222, "Hemoglobin", "Blood", "g/dL", 12.0, None),
    (51493, "RBC", "Urine", "#/hpf", None, 2.0),
    (50889, "C-Reactive Protein", "Blood", None, None, None),
)

LATE_HEADINGS = (
    "Pertinent Results:",
    "PERTINENT  RESULTS :",
    "Brief Hospital Course:",
    "  BRIEF HOSPITAL   COURSE:",
    "Brief_Hospital_Course -",
    "# Hospital Course by Problem:",
    "Discharge Medications:",
    "MEDICATIONS ON DISCHARGE:",
    "Discharge Diagnosis:",
    "DISCHARGE DIAGNOSES",
    "D I S C H A R G E   D I A G N O S I S :",
    "discharge-diagnosis=",
    "Final Diagnosis:",
    "Primary Diagnoses:",
    "SECONDARY DIAGNOSIS:",
    "Discharge Condition:",
    "Discharge Disposition:",
    "Discharge Instructions:",
    "Discharge Labs:",
    "TRANSITIONAL ISSUES:",
    "ACTIVE ISSUES:",
    "Followup Instructions:",
)
"""Headings after which nothing may be read, some of them oddly written."""


def at(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def made(patients: int = 30, seed: int = 0) -> Rows:
    """Make the rows of every table, in no order and with rows that come twice."""
    rng = random.Random(seed)
    rows: Rows = {name: [] for name in COLUMNS}
    rows["hosp/d_icd_diagnoses"] = [
        {"icd_code": code.ljust(7), "icd_version": version, "long_title": title} for code, version, title in TITLES
    ]
    rows["hosp/d_labitems"] = [
        {"itemid": item, "label": label, "fluid": fluid, "category": "Chemistry"} for item, label, fluid, *_ in ITEMS
    ]
    for number in range(patients):
        add_patient(rows, rng, 10_000_032 + 7919 * number, rng.choice((1, 2, 3, 4, 6)))
    for table in rows.values():
        table.extend(dict(row) for row in rng.sample(table, len(table) // 20))
        rng.shuffle(table)
    return rows


def add_patient(rows: Rows, rng: random.Random, subject: int, stays: int) -> None:
    year = rng.randrange(2110, 2190)
    person = {"subject_id": subject, "gender": rng.choice("FM"), "anchor_age": rng.choice((18, 45, 60, 91))}
    person |= {"anchor_year": year, "anchor_year_group": "2011 - 2013", "dod": ""}
    rows["hosp/patients"].append(person)
    admitted = datetime(year, 3, 1, 22, 23) + timedelta(days=rng.randrange(200))  # noqa: DTZ001 - as in the set
    for number in range(stays):
        add_stay(rows, rng, subject, 20_000_000 + (subject - 10_000_000) * 10 + number, admitted)
        admitted += timedelta(days=rng.randrange(10, 400), minutes=rng.randrange(1440))


def add_stay(rows: Rows, rng: random.Random, subject: int, stay: int, admitted: datetime) -> None:
    left = admitted + timedelta(days=rng.randrange(2, 9))
    ids = {"subject_id": subject, "hadm_id": stay}
    ed = admitted - timedelta(hours=5) if rng.random() < 0.6 else None
    rows["hosp/admissions"].append(
        {
            **ids,
            "admittime": at(admitted),
            "dischtime": at(left),
            "admission_type": rng.choice(("EW EMER.", "URGENT", "ELECTIVE")),
            "admission_location": rng.choice(("EMERGENCY ROOM", "PHYSICIAN REFERRAL", "")),
            "discharge_location": "LATE home",
            "insurance": rng.choice(("Medicare", "Other", "")),
            "language": "ENGLISH",
            "race": "WHITE",
            "edregtime": at(ed) if ed else "",
            "edouttime": at(admitted) if ed else "",
            "hospital_expire_flag": 0,
        }
    )
    version = rng.choice((9, 10))
    codes = [code for code, edition, _ in TITLES if edition == version]
    for place, code in enumerate(rng.sample(codes, rng.randrange(1, 6)), 1):
        rows["hosp/diagnoses_icd"].append({**ids, "seq_num": place, "icd_code": code.ljust(7), "icd_version": version})
    add_labs(rows, rng, ids, admitted, ed)
    add_orders(rows, rng, ids, admitted)
    if ed:
        stay_id = stay + 10_000_000
        rows["ed/edstays"].append({**ids, "stay_id": stay_id, "intime": at(ed), "outtime": at(admitted)})
        rows["ed/triage"].append({"subject_id": subject, "stay_id": stay_id, "chiefcomplaint": "Dyspnea, Cough"})
    if rng.random() < 0.8:
        rows["note/discharge"].append(
            {**ids, "note_id": f"{subject}-DS-{stay % 100}", "note_type": "DS", "note_seq": 1, "text": note(rng)}
            | {"charttime": at(left), "storetime": at(left)}
        )
        rows["note/discharge"].append({**ids, "note_type": "AD", "note_seq": 2, "text": "Chief Complaint:\nLATE AD"})


def add_labs(rows: Rows, rng: random.Random, ids: dict[str, Any], admitted: datetime, ed: datetime | None) -> None:
    for item, _, _, unit, low, high in ITEMS:
        value = round(rng.uniform(0.1, 20), 1)
        hours = rng.choice((0.5, 3.0, 20.0))
        known = {"itemid": item, "valueuom": unit, "ref_range_lower": low, "ref_range_upper": high}
        number = {"value": value, "valuenum": value, "flag": rng.choice(("", "abnormal"))}
        rows["hosp/labevents"].append(lab(ids, admitted, hours, hours + 1, **known, **number))
        # Charted late, and stored late; the second one belongs to the stay by its time alone.
        late = {"value": "LATE 999", "flag": "abnormal", **known}
        rows["hosp/labevents"].append(lab(ids, admitted, 30.0, 31.0, **late))
        rows["hosp/labevents"].append(lab({**ids, "hadm_id": ""}, admitted, 23.0, 25.0, **late))
        rows["hosp/labevents"].append(lab({**ids, "hadm_id": ""}, admitted, 40.0, None, **late))
    if ed:
        rows["hosp/labevents"].append(
            lab({**ids, "hadm_id": ""}, ed, 1.0, None, itemid=50889, value="ED POSITIVE", flag="abnormal")
        )
    rows["hosp/labevents"].append(lab(ids, admitted, 2.0, 3.0, itemid=50889, value="___", flag="abnormal"))


def lab(ids: dict[str, Any], admitted: datetime, charted: float, stored: float | None, **row: Any) -> dict[str, Any]:
    """Give a result, charted and stored so many hours after the admission."""
    store = "" if stored is None else at(admitted + timedelta(hours=stored))
    comment = 'LATE "quoted",\nand on two lines'
    return {**ids, "charttime": at(admitted + timedelta(hours=charted)), "storetime": store, "comments": comment, **row}


def add_orders(rows: Rows, rng: random.Random, ids: dict[str, Any], admitted: datetime) -> None:
    for drug, route, hours, kind in (
        ("Furosemide", "IV", 2.0, "MAIN"),
        ("furosemide", "PO", 20.0, "MAIN"),
        ("Insulin", "", 23.9, "MAIN"),
        ("0.9% Sodium Chloride", "IV", 3.0, "BASE"),
        ("LATEcillin", "IV", 24.1, "MAIN"),
        ("LATE unknown", "IV", None, "MAIN"),
    ):
        start = "" if hours is None else at(admitted + timedelta(hours=hours))
        rows["hosp/prescriptions"].append({**ids, "starttime": start, "drug_type": kind, "drug": drug, "route": route})
    for hours, service in ((0.0, rng.choice(("MED", "SURG"))), (10.0, "CMED"), (50.0, "LATE")):
        rows["hosp/services"].append(
            {**ids, "transfertime": at(admitted + timedelta(hours=hours)), "curr_service": service}
        )


def note(rng: random.Random, heading: str = "") -> str:
    """Write a discharge summary with the set's headings; a late heading of choice stands within the history."""
    hidden = f"{heading}\nLATE secret of the stay\n" if heading else ""
    return (
        " \nName:  ___                     Unit No:   ___\n \n"
        "Admission Date:  ___              Discharge Date:   ___\n \nDate of Birth:  ___             Sex:   F\n \n"
        "Service: MEDICINE\n \nAllergies: \nPenicillins\n \nAttending: ___.\n \n"
        f"Chief Complaint:\n{rng.choice(('Dyspnea', 'abdominal pain'))}\n \n"
        "Major Surgical or Invasive Procedure:\nLATE paracentesis\n\n \n"
        'History of Present Illness:\n___ with "walking" pneumonia, \nwho was seen at ___.\n\n'
        f"{hidden} \nPast Medical History:\n1. Hypertension\n2. Cardiac: CAD\n \nSocial History:\n___\n"
        "Family History:\nNon-contributory\n \nPhysical Exam:\nLATE afebrile\n \nPertinent Results:\nLATE 140\n \n"
        "Brief Hospital Course:\nLATE course\n \nMedications on Admission:\nLATE aspirin\n \n"
        "Discharge Medications:\n1. LATE aspirin\n \nDischarge Disposition:\nLATE home\n \n"
        "Discharge Diagnosis:\nLATE diagnosis\n \nDischarge Condition:\nLATE stable\n \n"
        "Discharge Instructions:\nLATE words\nPast Medical History:\nLATE again\n \nFollowup Instructions:\n___\n"
    )


def write(folder: Path, rows: Rows, *, plain: tuple[str, ...] = ()) -> Path:
    """Write the tables, compressed but for those named, with what a row lacks left empty."""
    for name, columns in COLUMNS.items():
        path = folder / f"{name}.csv{'' if name in plain else '.gz'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        opener = open if name in plain else gzip.open
        with opener(path, "wt", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns.split(","), restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows[name])
    return folder
