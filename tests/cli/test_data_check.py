"""``llm-as-rnn data check``: what it says, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import command

TASK = """
name: sales
title: Tomorrow's sales
instructions: Forecast tomorrow's sales from today's.
observation: "Sold {{ sold }} on a {{ weekday }}."
line: "{{ weekday }}: {{ sold }}"
answer:
  - {name: sales, kind: number, low: 0, high: 500, decimals: 0}
memory:
  - {name: Patterns, about: what follows what}
data:
  outcome: {sales: sales}
"""

WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def table(folder: Path, leak: bool, days: int = 60) -> list[str]:
    """Write a task and its data; give the arguments that name them."""
    sold = [100 + 37 * day % 91 for day in range(days + 1)]
    rows = ["weekday,sold,sales,forecast"]
    for day in range(days):
        forecast = sold[day + 1] if leak else sold[day] + 1
        rows.append(f"{WEEK[day % 7]},{sold[day]},{sold[day + 1]},{forecast}")
    (folder / "sales.csv").write_text("\n".join(rows) + "\n")
    (folder / "sales.yaml").write_text(TASK)
    return [str(folder / "sales.yaml"), "--data", str(folder / "sales.csv")]


@pytest.mark.long
def test_weather_is_clean() -> None:
    result = command("data", "check", "weather")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "no leak found"
    assert "96 steps" in result.stdout
    for word in ("zero_shot", "full_history", "memprompt", "recurrent", "json, chained", "line, separate"):
        assert word in result.stdout


def test_a_template_that_hides_a_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "recurrence").mkdir()
    (tmp_path / "recurrence/predict.j2").write_text("{{ observation.split(':')[0] }} ->")
    result = command("data", "check", *table(tmp_path, leak=False, days=8), "--prompts", str(tmp_path))
    assert result.returncode == 1, result.stderr
    (leak,) = [line for line in result.stdout.splitlines() if line.startswith("uneven_fields: ")]
    assert "recurrent, sequence" in leak
    assert "task.show" in result.stdout
    assert "no leak found" not in result.stdout


@pytest.mark.long
def test_a_column_that_holds_the_outcome_is_named(tmp_path: Path) -> None:
    clean = command("data", "check", *table(tmp_path, leak=False, days=8))
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert clean.stdout.splitlines()[-1] == "no leak found"
    for word in ("zero_shot", "full_history", "memprompt", "recurrent", "json, chained", "line, separate"):
        assert word in clean.stdout
    leaking = command("data", "check", *table(tmp_path, leak=True))
    assert leaking.returncode == 1, leaking.stderr
    (leak,) = [line for line in leaking.stdout.splitlines() if line.startswith("outcome_in_observation: ")]
    assert leak.startswith("outcome_in_observation: forecast: every method, sequence all, step 0")
    assert "drop the field" in leaking.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["wether"], "there is no task 'wether'"),
        (["weather", "--prompts", "nowhere"], "nowhere"),
        (["sales.yaml"], "--data"),
        (["sales.yaml", "--data", "none.csv"], "none.csv does not exist"),
        (["weather", "--data", "sales.csv"], "data section"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path, leak=False)
    result = command("data", "check", *arguments)
    assert result.returncode == 2, result.stdout
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
