"""Text from servers, users, tasks, models and file names is text: it is never read as the terminal's markup."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.control import strip_control_codes
from rich.table import Table

from llm_as_rnn.cli.process import printable
from llm_as_rnn.cli.progress import PlainConsole
from tests.cli.commands import command
from tests.cli.test_kill import script

CLI = Path(__file__).parents[2] / "src/llm_as_rnn/cli"
TITLE = "[/gpt] [red]x :sun: [link=http://a]b"
TASK = f"""\
name: mine
title: "{TITLE}"
instructions: Predict.
observation: "{{{{ x }}}}"
line: "{{{{ x }}}}"
answer:
  - {{name: "y", kind: label, options: [good, bad], last: x}}
memory:
  - {{name: Notes, about: anything}}
data:
  sequence: patient
  order: visit
  outcome: {{y: next}}
  fields: [x]
"""
DATA = """\
patient,visit,x,next
[/a],1,[red]good[/nothing],bad
[/a],2,bad,good
[green]b,1,good,bad
"""


def written(text: object) -> str:
    console = PlainConsole(width=2000)
    console.file = io.StringIO()
    console.print(text, soft_wrap=isinstance(text, str))
    return console.file.getvalue()


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n\t"), max_size=40))
@example(TITLE)
@example("[/]")
@example("\x1b[31mred\x1b]0;title\x07")
@example("\\[red]")
def test_what_is_printed_is_what_was_said(text: str) -> None:
    assert written(text) == f"{printable(strip_control_codes(text))}\n"
    table = Table("heading", box=None)
    table.add_row(text)
    assert written(table).splitlines(keepends=False)[-1:] or not text.strip()
    assert "\x1b" not in written(text) + written(table)


def test_tables_do_not_read_it_either() -> None:
    table = Table(TITLE, box=None)
    table.add_row("[/gpt]")
    assert TITLE in written(table)
    assert "[/gpt]" in written(table)


def test_no_command_has_a_console_of_another_kind_or_markup_of_its_own() -> None:
    for path in CLI.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert not re.findall(r'"[^"\n]*\[/?(?:bold|dim|red|green|yellow|italic)\]', source), path.name
        assert not re.findall(r"(?<![A-Za-z])Console\(\)|(?<!Plain)Console\(width|from_markup", source), path.name
        columns = re.findall(r"TextColumn\((?:[^()]|\([^()]*\))*\)", source)
        assert all("markup=False" in column for column in columns), path.name
        assert not re.findall(r"\.status\((?!Text)", source), path.name


def test_a_run_with_such_names_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = script(tmp_path)
    (tmp_path / "[red]m[").mkdir()
    named = Path("[red]m[") / "x.jsonl"
    named.write_bytes(Path(model.removeprefix("scripted:")).read_bytes())
    Path("task.yaml").write_text(TASK)
    Path("[bold]data.csv").write_text(DATA)
    run = ["run", "task.yaml", "--data", "[bold]data.csv", "-m", f"scripted:{named}", "--budget", "60"]
    first = command(*run, "--out", "[green]out", "--methods", "zero_shot")
    assert first.returncode == 0, first.stderr
    assert f"{TITLE}: scripted:{named}" in first.stdout
    assert "report: [green]out/report.html" in first.stdout
    again = command("report", "[green]out", "[green]out")
    assert again.returncode == 0, again.stderr
    assert TITLE in again.stdout
    assert "2: [green]out" in again.stdout
    assert command("data", "check", "task.yaml", "--data", "[bold]data.csv").returncode in (0, 1)
    for arguments in (
        ["run", "[/gpt]"],
        ["report", "[/gpt]"],
        ["models", "show", "[/gpt]"],
        [*run, "--out", "task.yaml"],
    ):
        refused = command(*arguments)
        assert refused.returncode == 2, refused.stderr
        assert arguments[-1] in refused.stderr
