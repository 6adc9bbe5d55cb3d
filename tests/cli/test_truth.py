"""What the command line says of a run is true: what was scored, who was asked, what failed, and whether it is over."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.metrics.table import tabulate
from llm_as_rnn.report.html import facts
from llm_as_rnn.report.tables import results
from llm_as_rnn.runs.directory import RunDirectory
from tests.cli.commands import command
from tests.cli.test_kill import OPTIONS, script
from tests.fake_server import FakeServer, refuse
from tests.helpers import content
from tests.metrics.steps import call, step

FEW = ["--sequences", "1", "--steps", "3"]
LINES = ["--budget", "60", "--form", "line", "--style", "completion"]


def cell(task: Task, records: list[StepRecord]) -> str:
    (row,) = results(task, summarise(task, records)).rows
    return row.cells[2].text


def test_the_table_says_how_many_steps_were_scored(weather: Task) -> None:
    sky, high = {"sky.accuracy": 1.0}, {"high.abs_error": 1.0, "high.sq_error": 1.0}
    target = {"sky": "rain", "high": 3.0}
    known = [step(t=t, target=target, scores={**sky, **high}, calls=(call(),)) for t in range(2)]
    assert cell(weather, [*known]) == "2/2"
    assert cell(weather, [*known, step(t=2, target=None)]) == "2/3"
    assert cell(weather, [*known, step(t=2, target={"sky": "sun"}, scores=sky)]) == "2\N{EN DASH}3/3"
    assert cell(weather, [step(target=None), step(t=1, target={})]) == "0/2"


@pytest.mark.parametrize("model", [[], ["-m", "llamacpp:smollm2-135m"], ["-m", "openai:m", "--base-url", "http://x"]])
def test_references_alone_load_no_model(tmp_path: Path, model: list[str]) -> None:
    out = tmp_path / "run"
    nowhere = {"LLM_AS_RNN_MODELS": str(tmp_path / "models"), "HTTPS_PROXY": "http://127.0.0.1:9"}
    arguments = ["run", "weather", *model, "--methods", "repeat_last,majority", "--out", str(out), *FEW]
    result = command(*arguments, **nowhere)
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "models").exists()
    assert "1 sequence of 3 steps, no model was asked\n" in result.stdout
    assert "memory of at most" not in result.stdout
    assert "tokenizer" not in result.stdout
    info = RunDirectory(out).info()
    shown = dict(facts(msgspec.to_builtins(info), tabulate(info.task, content(out))))
    assert shown["model"] == "none was asked"
    assert not {"memory budget", "update rule", "feedback", "sampling", "prompts"} & set(shown)
    assert command(*arguments, "--resume", "--budget", "5", **nowhere).returncode == 0, "a budget is of no account"
    assert command(*arguments, "--resume", "--seed", "1", **nowhere).returncode == 2


def test_a_method_that_is_none_is_found_before_a_model_is_fetched(tmp_path: Path) -> None:
    result = command("run", "weather", "--methods", "recurent", LLM_AS_RNN_MODELS=str(tmp_path / "m"))
    assert (result.returncode, "recurent" in result.stderr) == (2, True)
    assert not (tmp_path / "m").exists()


def test_one_sequence_has_no_interval_and_the_terminal_says_why(tmp_path: Path) -> None:
    for number, says in (("1", True), ("2", False)):
        arguments = ["--methods", "repeat_last", "--sequences", number, "--steps", "3", "--out", str(tmp_path / number)]
        said = command("run", "weather", *arguments).stdout
        assert ("one sequence with few known outcomes: no interval can be given" in said) is says
        assert ("in brackets: 95 % bootstrap intervals over sequences" in said) is not says


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (slice(None), ""),
        (slice(-3), "steps are missing in the journal, which was cut: "),
        (slice(1), "steps are missing in the journal, which was cut: it holds none"),
    ],
)
def test_a_journal_that_was_cut_at_whole_lines_is_noticed(tmp_path: Path, kept: slice, says: str) -> None:
    run = tmp_path / "run"
    options = ("--methods", "majority", "--sequences", "2", "--steps", "5", "--out", str(run))
    assert command("run", "weather", *options).returncode == 0
    journal = run / "steps.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[kept]))
    told = " ".join(command("report", str(run)).stdout.split())
    assert says in told
    assert ("steps are missing" in told) is bool(says)


def test_a_killed_run_is_not_called_running_and_a_running_one_is(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with FakeServer() as server:
        server.answer = lambda body: (
            str(server.released.wait()) if len(server.seen("completions")) > 3 else " rain, 9.5"
        )
        arguments = ["run", "weather", "-m", "openai:fake", "--base-url", server.url, "--out", str(out), *OPTIONS]
        process = subprocess.Popen(
            [sys.executable, "-m", "llm_as_rnn", *arguments], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        while not out.exists() or len(server.seen("completions")) <= 3:
            assert process.poll() is None
            time.sleep(0.0005)  # only looks; what it waits for is the call that hangs
        assert "it is running now" in command("report", str(out)).stdout
        process.kill()
        process.wait()
    before = (out / "run.json").read_bytes()
    said = command("report", str(out)).stdout
    assert "running" not in said
    assert "it was interrupted, and its command goes on with it" in said
    assert "running" not in (out / "report.html").read_text(encoding="utf-8").partition("<main>")[0]
    assert (out / "run.json").read_bytes() == before, "a report changes no run"
    assert RunDirectory(out).info().status == "running"
    assert RunDirectory(out).current().status == "interrupted"


def test_a_server_that_refuses_everything_is_no_success(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with FakeServer(answer=" rain, 9.5", faults=[refuse("the [/gpt] moon is full", times=10_000)]) as server:
        arguments = ["run", "weather", "-m", "openai:fake", "--base-url", server.url, "--out", str(out)]
        arguments += ["--methods", "zero_shot", *FEW, *LINES]
        result = command(*arguments)
        assert result.returncode == 1, result.stderr
        info = RunDirectory(out).info()
        assert info.status == "failed"
        assert "the [/gpt] moon is full" in result.stdout + result.stderr
        told = [*info.reasons, *info.failures.values()]
        assert any("the [/gpt] moon is full" in why for why in told)
        server.faults.clear()
        again = command(*arguments, "--resume", "--retry-failed")
        assert again.returncode == 0, again.stderr
        assert "steps set aside and done anew" in again.stderr
    assert RunDirectory(out).info().status == "finished"


def test_some_failures_are_named_with_what_asks_them_again(tmp_path: Path) -> None:
    model = Path(script(tmp_path).removeprefix("scripted:"))
    model.write_text("\n".join(line for line in model.read_text().splitlines() if '"summarise"' not in line))
    arguments = ["run", "weather", "-m", f"scripted:{model}", "--methods", "zero_shot,memprompt", *FEW, *LINES]
    result = command(*arguments, "--out", str(tmp_path / "run"))
    assert result.returncode == 0, result.stderr
    assert "calls failed, most often: the script script.jsonl has no answer for the role 'summarise'" in result.stdout
    assert f"--out {tmp_path / 'run'} --resume --retry-failed asks again where they did" in result.stderr
    refused = command(*arguments, "--out", str(tmp_path / "run"), "--retry-failed")
    assert (refused.returncode, "add --resume" in refused.stderr) == (2, True)


def test_what_was_noticed_of_an_engine_is_said(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = ["run", "weather", "-m", script(tmp_path), "--methods", "zero_shot", *FEW, *LINES, "--out", str(out)]
    assert command(*run).returncode == 0
    directory = RunDirectory(out)
    info = directory.info()
    known = msgspec.structs.replace(info.engine, left_out=("seed", "top_p"), remarks=("it cuts [red] prompts",))
    directory.save(msgspec.structs.replace(info, engine=known))
    said = command("report", str(out)).stdout
    assert "so they were left out: seed, top_p" in said
    assert "it cuts [red] prompts" in said


def test_todays_run_json_stays_readable(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert command("run", "weather", "--methods", "repeat_last", *FEW, "--out", str(out)).returncode == 0
    facts = msgspec.json.decode((out / "run.json").read_bytes())
    del facts["reasons"]
    (out / "run.json").write_bytes(msgspec.json.encode(facts))
    assert RunDirectory(out).info().reasons == {}


def test_a_judge_that_never_answers_is_no_success_and_is_asked_again(tmp_path: Path) -> None:
    out, judge = tmp_path / "run", tmp_path / "judge.jsonl"
    arguments = ["run", "weather-text", "-m", script(tmp_path), "--methods", "zero_shot", *FEW, *LINES]
    assert command(*arguments, "--out", str(out)).returncode == 0
    judge.write_text('{"role": "predict", "text": "no judge"}\n')
    result = command("judge", str(out), "--judge", f"scripted:{judge}")
    assert result.returncode == 1, result.stderr
    assert "calls failed, most often: the script judge.jsonl has no answer for the role 'judge'" in result.stderr
    at_once = command(*arguments, "--out", str(tmp_path / "other"), "--judge", f"scripted:{judge}")
    assert at_once.returncode == 1, at_once.stderr
    judge.write_bytes(msgspec.json.encode({"role": "judge", "text": '{"reason": "fine", "score": "80"}'}) + b"\n")
    again = command("judge", str(out), "--judge", f"scripted:{judge}")
    assert again.returncode == 0, again.stderr


def test_a_run_that_asked_no_model_is_not_judged_by_none(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert command("run", "weather-text", "--methods", "repeat_last", *FEW, "--out", str(out)).returncode == 0
    result = command("judge", str(out))
    assert (result.returncode, "asked no model" in result.stderr, "--judge" in result.stderr) == (2, True, True)
