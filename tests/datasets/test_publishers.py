"""Publishers' files become tables that runs take: what is in them, what is refused, and what is said of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn.core.errors import DatasetError, UsageError
from llm_as_rnn.core.task import load_task
from llm_as_rnn.datasets.making import Made, make
from llm_as_rnn.datasets.registry import DATASETS, dataset
from llm_as_rnn.datasets.tables import read_table
from llm_as_rnn.runs.directory import RunDirectory
from tests.cli.commands import command
from tests.datasets import published
from tests.datasets.published import FILES, TAGS, finer_line, patient, question, table


def rows(made: Made) -> list[dict[str, Any]]:
    return [json.loads(line) for line in made.content.splitlines()]


def made(name: str, paths: list[Path], **options: Any) -> list[dict[str, Any]]:
    return rows(make(dataset(name), paths, **options))


# ------------------------------------------------------------------------------------------------- what becomes of them


def test_a_prompt_about_four_figures_becomes_a_row_for_each(tmp_path: Path) -> None:
    found = made("finer", published.finer(tmp_path))
    assert [row["t"] for row in found] == list(range(12))
    assert [row["tag"] for row in found] == list(TAGS) * 3
    # Fourteen words before the figure, eight after it, and nothing of the next question.
    before, after = (
        "the third quarter of last year the debt of the firm fell due in",
        "years , which is a little sooner than",
    )
    assert found[0] == {"t": 0, "text": f"{before} [0] {after}", "tag": "Goodwill"}


def test_a_figure_is_marked_where_it_stands_first_as_a_word(tmp_path: Path) -> None:
    line = finer_line(["34"], ["Goodwill"], 'Of 1,340 shares FIGURE % in one , FIGURE % in " another " .')
    (row,) = made("finer", published.finer(tmp_path, [line]))
    assert row["text"] == 'Of 1,340 shares [34] % in one , 34 % in "'
    line = finer_line(["2"], ["Goodwill"], 'It was " 2 "')
    (row,) = made("finer", published.finer(tmp_path, [line]))
    assert row["text"] == 'It was " [2] "'


def test_findings_are_written_as_answered_questions(tmp_path: Path) -> None:
    found = made("ddxplus", FILES["ddxplus"](tmp_path))
    by_age = {row["patient"]: row for row in found}
    assert (
        by_age["31 years, male"]["findings"] == "Do you have a cough; How intense is the pain: 1; Where is it:: nowhere"
    )
    assert by_age["30 years, female"]["diagnosis"] == "Anemia"


@pytest.mark.parametrize(("name", "column"), [("banking77", "intent"), ("ddxplus", "diagnosis")])
def test_what_stands_by_outcome_is_put_into_an_order_without_meaning(tmp_path: Path, name: str, column: str) -> None:
    paths = FILES[name](tmp_path)
    found = made(name, paths)
    assert found == made(name, paths)
    assert [row["t"] for row in found] == list(range(12))
    outcomes = [row[column] for row in found]
    assert outcomes not in (sorted(outcomes), sorted(outcomes, reverse=True))
    if name == "banking77":
        assert Counter(outcomes) == {"card_arrival": 7, "age_limit": 5}
        assert {row["text"] for row in found} == {f"Where is card {n}, please?" for n in range(12)}


def test_questions_are_filled_into_their_templates_and_nothing_of_these_is_run(tmp_path: Path) -> None:
    paths = published.intents(tmp_path)
    found = made("intents", paths)
    assert paths[1].exists()
    assert found[0] == {"sequence": "s000", "t": 0, "question": "< word0 > jaisa ?", "intent": "synonym"}
    assert found[31] == {"sequence": "s001", "t": 1, "question": "matlab < word31 > ?", "intent": "definition"}
    assert Counter(row["sequence"] for row in found) == {**{f"s00{n}": 30 for n in range(6)}, "s006": 20}


def test_another_language_and_another_length_may_be_asked_for(tmp_path: Path) -> None:
    paths = published.intents(tmp_path, [question(f"word{n}") for n in range(5)])
    found = made("intents", paths, language="pun", length=2)
    assert found[0]["question"] == "varga < word0 > ?"
    assert [(row["sequence"], row["t"]) for row in found] == [
        ("s000", 0), ("s000", 1), ("s001", 0), ("s001", 1), ("s002", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_run_takes_the_table(tmp_path: Path, name: str) -> None:
    out = tmp_path / "table.jsonl"
    ended = command("data", "make", name, *map(str, FILES[name](tmp_path)), "--out", str(out))
    assert ended.returncode == 0, ended.stderr
    size, hint = ended.stdout.splitlines()
    assert re.search(r": \d+ rows; development \d+ sequences?, \d+ steps, held_out \d+ sequences?, \d+ steps", size)
    run = hint.removeprefix("llm-as-rnn ").removesuffix(" runs on it").split()
    ended = command(*run, "--methods", "repeat_last", "--out", str(tmp_path / "run"), "--split", "held_out")
    assert ended.returncode == 0, ended.stderr
    records = RunDirectory(tmp_path / "run").records()
    assert {record.method for record in records} >= {"repeat_last", "majority", "nearest_case", "free_advice"}
    assert all(record.status.answered for record in records)
    assert command("data", "show", name, "--data", str(out)).returncode == 0


@pytest.mark.parametrize("name", FILES)
def test_columns_that_no_one_reads_and_rows_without_numbers_do_not_matter(tmp_path: Path, name: str) -> None:
    """A table that somebody else derived in the same form is taken as it stands."""
    kept = {"intents": {"sequence", "t"}}.get(name, set())
    own = [
        {key: value for key, value in row.items() if key != "t" or key in kept} | {"more": 1}
        for row in made(name, FILES[name](tmp_path))
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, own)), encoding="utf-8")
    found = read_table(path, load_task(name))
    steps = [step for part in found.splits.values() for sequence in part for step in sequence.steps]
    assert len(steps) == len(own)
    assert all("more" not in step.observation.fields and step.target for step in steps)


# ------------------------------------------------------------------------------------------------------ what is refused


def test_rows_whose_outcome_is_no_option_are_left_out_and_named(tmp_path: Path) -> None:
    lines = [finer_line(["1", "2"], ["Goodwill", "Badwill"]), finer_line(["3", "4"], ["Badwill", "Illwill"])]
    found = make(dataset("finer"), published.finer(tmp_path, lines))
    assert [row["tag"] for row in rows(found)] == ["Goodwill"]
    (notice,) = found.notices
    assert "3 rows are left out: tag 'Badwill' (2), 'Illwill' (1)" in notice
    assert "none of the 139 that task finer lists, first in line 1" in notice
    with pytest.raises(DatasetError, match=r"finer\.jsonl: tag 'Illwill' \(1\) is none of"):
        make(dataset("finer"), published.finer(tmp_path, [finer_line(["1"], ["Illwill"])]))


BROKEN: dict[str, tuple[str, bytes, str]] = {
    "another publisher's": ("finer", b'{"tokens": ["a"], "ner_tags": [0]}', r"is not FiNER as ACE .*'context', but 't"),
    "a list for a question": (
        "ddxplus",
        b'AGE,SEX,English Pathology,English Evidences\n30,F,Anemia,"{[1]: 2}"\n',
        r"line 2: 'English Evidences' is no mapping",
    ),
    "too few tags": ("finer", json.dumps(finer_line(["1", "2"], ["Goodwill"])).encode(), "line 1: .* 2 figures.* 1"),
    "no figure": ("finer", b'{"context": "Hello", "target": "Goodwill"}', "line 1: it asks for the tag of no figure"),
    "figure not there": (
        "finer", json.dumps(finer_line(["1"], ["Goodwill"], "none")).encode(), "line 1: the figure '1' does not stand",
    ),
    "no cell": ("finer", b'{"context": "Hello", "target": ""}', "line 1: the cell 'target' is empty"),
    "empty": ("finer", b" ", "is empty"),
    "broken line": ("finer", b'{"context": 1', "line 1"),
    "not UTF-8": ("banking77", b"text,category\na\xff,b\n", "line 2: not UTF-8"),
    "only names": ("banking77", b"text,category\n", "no rows"),
    "other columns": ("banking77", b"text,label\na,1\n", "Banking77 as PolyAI .*'category', but 'text', 'label'"),
    "codes only": ("ddxplus", b"AGE,SEX,PATHOLOGY,EVIDENCES\n1,F,GERD,['E_1']\n", "DDXPlus .* 'English Pathology'"),
    "no sex": ("ddxplus", b"AGE,SEX,English Pathology,English Evidences\n1,X,GERD,{}\n", "line 2: SEX is 'X'"),
    "no findings": ("ddxplus", b"AGE,SEX,English Pathology,English Evidences\n1,F,GERD,{}\n", "line 2: 'English Evid"),
    "findings that are code": (
        "ddxplus", b"AGE,SEX,English Pathology,English Evidences\n1,F,GERD,exit()\n", "line 2: 'English Evid",
    ),
    "deep findings": (
        "ddxplus", b"AGE,SEX,English Pathology,English Evidences\n1,F,GERD," + b"[" * 9000 + b"\n", "line 2: 'English",
    ),
}  # fmt: skip


@pytest.mark.parametrize("slip", BROKEN)
def test_a_file_that_is_not_the_publishers_gets_one_line(tmp_path: Path, slip: str) -> None:
    name, content, says = BROKEN[slip]
    path = tmp_path / f"file.{'jsonl' if name == 'finer' else 'csv'}"
    path.write_bytes(content)
    ended = command("data", "make", name, str(path), "--out", str(tmp_path / "out.jsonl"))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert re.search(says, line), line
    assert str(path) in line
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("line", "templates", "says"),
    [
        (question("a", "syn9"), published.TEMPLATES, "line 1: there is no template 'syn9'"),
        ({**question("a"), "template_id": ["syn0"]}, published.TEMPLATES, r"line 1: there is no template \['syn0'\]"),
        ({**question("a"), "type": ["syn"]}, published.TEMPLATES, r"intent \"\['syn'\]\" \(1\) is none of the 5"),
        ({**question("a"), "meta": {"x": 1}}, published.TEMPLATES, "line 1: 'meta' names no word"),
        ({"question": "a"}, published.TEMPLATES, "is not a task file of MemPrompt"),
        (question("a"), "templates = {", "cannot be read as a Python file"),
        (question("a"), "x\0", "cannot be read as a Python file"),
        (question("a"), "templates = {'hin': [1, {'template_id': 'syn0', 'question': 2}]}", "none of MemPrompt's"),
        (question("a", kind="rev"), published.TEMPLATES, r"intent 'rev' \(1\) is none of the 5"),
    ],
)
def test_a_task_file_and_templates_that_do_not_fit_get_one_line(
    tmp_path: Path, line: dict[str, Any], templates: str, says: str
) -> None:
    paths = published.intents(tmp_path, [line])
    paths[1].write_text(templates, encoding="utf-8")
    with pytest.raises(DatasetError, match=says) as caught:
        make(dataset("intents"), paths)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_language_that_has_no_templates_is_named_with_those_that_have(tmp_path: Path) -> None:
    tasks, templates = published.intents(tmp_path)
    moved = tasks.rename(tmp_path / "tasks.jsonl")
    with pytest.raises(DatasetError, match=r"name one of hin, pun with --language"):
        make(dataset("intents"), [moved, templates])
    assert made("intents", [moved, templates], language="hin")
    with pytest.raises(DatasetError, match="no templates for 'klingon'"):
        make(dataset("intents"), [moved, templates], language="klingon")


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("weather", {}, "weather is not made of files"),
        ("intents", {}, r"2 files, not 1 \(name a task file.*, then the templates"),
        ("finer", {"language": "hin"}, "one language"),
        ("finer", {"length": 5}, "--sequences and --steps of run"),
    ],
)
def test_what_a_dataset_does_not_take_is_refused(tmp_path: Path, name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make(dataset(name), published.finer(tmp_path), **options)
    with pytest.raises(UsageError, match="at least 1 step"):
        make(dataset("intents"), published.intents(tmp_path), length=0)


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (path,) = published.finer(tmp_path)
    before = path.read_bytes()
    ended = command("data", "make", "finer", str(path), "--out", str(path))
    assert (ended.returncode, path.read_bytes()) == (2, before)
    assert "is there already" in ended.stderr
    out = str(tmp_path / "out.jsonl")
    assert [command("data", "make", "finer", str(path), "--out", out).returncode for _ in range(2)] == [0, 0]
    ended = command("data", "make", "finer", str(path), "--out", str(tmp_path / "out.csv"))
    assert (ended.returncode, "ends in .jsonl" in ended.stderr) == (2, True)
    ended = command("data", "make", "finer", str(tmp_path / "gone.jsonl"))
    assert (ended.returncode, "gone.jsonl does not exist" in ended.stderr) == (2, True)


@pytest.mark.parametrize("name", FILES)
def test_without_a_table_the_command_that_makes_it_is_told(name: str) -> None:
    # Before a model is looked for, which is not there either.
    for words in (("run", name, "-m", "llamacpp:gone.gguf"), ("data", "show", name), ("data", "check", name)):
        ended = command(*words)
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert f"{name} is not shipped with this package" in line
        assert f"llm-as-rnn data make {name} FILE" in line
    assert f"llm-as-rnn data make {name} FILE" in dataset(name).ready()


def test_every_dataset_that_is_made_has_files_here() -> None:
    assert set(FILES) == {name for name, entry in DATASETS.items() if entry.maker}


def test_the_parts_of_a_table_of_patients_without_an_index_are_read_as_well(tmp_path: Path) -> None:
    plain = [{key: value for key, value in patient(n).items() if key} for n in range(4)]
    assert len(made("ddxplus", table(tmp_path, "plain.csv", plain))) == 4
