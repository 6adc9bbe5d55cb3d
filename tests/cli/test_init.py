"""``llm-as-rnn init``: from a table to a run and a stream, with questions and without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_as_rnn.core.task import Task, load_task
from tests.cli.commands import Ended, command
from tests.cli.test_kill import script

TICKETS = "id,opened,text,queue,code\n" + "".join(
    f"T{number},0{number % 5 + 1}/03/2024,{word} {number},{queue},{queue[:1].upper()}{len(queue)}\n"
    for number, (word, queue) in enumerate([("refund of", "billing"), ("error", "technical")] * 8)
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder to work in, with a table."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "tickets.csv").write_text(TICKETS, "utf-8")
    monkeypatch.chdir(here)
    return here


def init(*arguments: str, typed: str = "") -> Ended:
    return command("init", *arguments, typed=typed)


def written(folder: Path, name: str = "tickets.yaml") -> Task:
    return load_task(str(folder / name))


def test_what_is_written_can_be_run_checked_and_predicted_with(folder: Path) -> None:
    ended = init("tickets.csv", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert "code" in ended.stdout
    assert "may be a leak" in ended.stdout
    assert "not sure: opened" in ended.stderr
    told = [line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("  llm-as-rnn")]
    assert [words[0] for words in told] == ["data", "run"]
    assert command(*told[0]).returncode == 0
    ran = command(*told[1], "-m", script(folder), "--methods", "zero_shot", "--out", "out")
    assert ran.returncode == 0, ran.stderr
    x = json.dumps({"x": {"text": "refund of 3"}})
    predicted = command("predict", "tickets.yaml", "--state", "s.json", "--method", "repeat_last", typed=x)
    assert json.loads(predicted.stdout)["prediction"]["queue"] in ("billing", "technical")


def test_a_file_that_is_not_there_is_named_before_a_terminal_that_is_not_there(folder: Path) -> None:
    ended = init("tikets.csv")
    assert (ended.returncode, ended.stderr) == (2, "error: data file tikets.csv does not exist (check the path)\n")
    assert not (folder / "tikets.yaml").exists()


def test_nothing_is_written_over_unless_it_is_said(folder: Path) -> None:
    (folder / "tickets.yaml").write_text("mine", "utf-8")
    ended = init("tickets.csv", "--yes")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "--force" in ended.stderr
    assert (folder / "tickets.yaml").read_text("utf-8") == "mine"
    assert init("tickets.csv", "--yes", "--force").returncode == 0
    assert written(folder).name == "tickets"


def test_where_nobody_can_be_asked_it_says_so(folder: Path) -> None:
    ended = init("tickets.csv", typed="\n" * 20)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "--yes" in ended.stderr
    assert not (folder / "tickets.yaml").exists()


def test_options_stand_before_the_proposal(folder: Path) -> None:
    words = ("--outcome", "code", "--order", "none", "--sequence", "none", "--leave-out", "queue", "--out", "my.yaml")
    assert init("tickets.csv", "--yes", *words).returncode == 0
    data = written(folder, "my.yaml").data
    assert isinstance(data, type(written(folder, "my.yaml").data))
    assert (data.outcome, data.order, data.sequence) == ({"code": "code"}, "", "")  # type: ignore[union-attr]
    assert data.fields == ("opened", "text")  # type: ignore[union-attr]


def shelves(folder: Path) -> None:
    """Write a table whose rows are told apart by two columns together."""
    rows = [
        f"2024-05-0{day},{shop},{product},{day * 3 % 7}" for day in range(1, 8) for shop in "NS" for product in "xy"
    ]
    (folder / "shelves.csv").write_text("\n".join(["day,shop,product,sold", *rows, ""]), "utf-8")


@pytest.mark.parametrize(
    ("words", "sequence"),
    [
        ((), ("shop", "product")),
        (("--sequence", "product", "--sequence", "shop"), ("product", "shop")),
        (("--sequence", "product,shop"), ("product", "shop")),
        (("--sequence", "shop"), "shop"),
        (("--sequence", "none"), ""),
        (("--sequence", ""), ""),
    ],
)
def test_several_columns_tell_sequences_apart(folder: Path, words: tuple[str, ...], sequence: object) -> None:
    shelves(folder)
    assert init("shelves.csv", "--yes", *words).returncode == 0
    assert written(folder, "shelves.yaml").data.sequence == sequence  # type: ignore[union-attr]


def test_a_run_takes_the_sequences_of_two_columns(folder: Path) -> None:
    shelves(folder)
    assert init("shelves.csv", "--yes").returncode == 0
    table = ("shelves.yaml", "--data", "shelves.csv")
    ran = command("run", *table, "--methods", "repeat_last", "--sequences", "1", "--steps", "3", "--out", "out")
    assert ran.returncode == 0, ran.stderr
    steps = [json.loads(line) for line in Path("out/steps.jsonl").read_text("utf-8").splitlines()]
    named = {step["sequence"] for step in steps if "sequence" in step}
    assert len(named) == 1
    assert named < {"N/x", "N/y", "S/x", "S/y"}


def test_a_part_of_several_that_is_not_there_is_named(folder: Path) -> None:
    shelves(folder)
    ended = init("shelves.csv", "--yes", "--sequence", "shop,prodct")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "did you mean 'product'?" in ended.stderr


@pytest.mark.parametrize(
    ("typed", "sequence"), [("", ("shop", "product")), ("product, shop", ("product", "shop")), ("none", "")]
)
def test_several_columns_are_typed_with_commas(
    folder: Path, monkeypatch: pytest.MonkeyPatch, typed: str, sequence: object
) -> None:
    shelves(folder)
    monkeypatch.setattr("llm_as_rnn.cli.init.can_ask", lambda: True)
    ended = init("shelves.csv", typed=f"sold\n\n{typed}\n1\n")
    assert ended.returncode == 0, ended.stderr
    assert "What tells sequences apart [shop, product]" in ended.stderr
    assert written(folder, "shelves.yaml").data.sequence == sequence  # type: ignore[union-attr]


def test_what_is_typed_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_as_rnn.cli.init.can_ask", lambda: True)
    # The format; an outcome that is not there, and one that is; order and sequence as proposed; the row; keep the leak.
    ended = init("tickets.csv", typed="%m/%d/%Y\nqeue\nqueue\n\n\n0\nn\n")
    assert ended.returncode == 0, ended.stderr
    assert "did you mean 'queue'?" in ended.stderr
    data = written(folder).data
    assert data.dates == "%m/%d/%Y"  # type: ignore[union-attr]
    assert data.fields == ("text", "code")  # type: ignore[union-attr]


def test_whoever_leaves_the_questions_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_as_rnn.cli.init.can_ask", lambda: True)
    assert init("tickets.csv", typed="").returncode == 130
    assert not (folder / "tickets.yaml").exists()


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        ("x,y\n1,a\n", (), "1 row: nothing can be learned"),
        ("x,y\n", (), "no rows"),
        ("", (), "empty"),
        (TICKETS, ("--outcome", "qeue"), "did you mean 'queue'?"),
        (TICKETS, ("--out", "task.txt"), ".yaml"),
        (TICKETS, ("--out", "no/such/folder/t.yaml"), "no/such/folder"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(folder: Path, text: str, words: tuple[str, ...], says: str) -> None:
    (folder / "tickets.csv").write_text(text, "utf-8")
    ended = init("tickets.csv", "--yes", *words)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    assert says in ended.stderr
