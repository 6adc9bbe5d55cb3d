"""Bad input: one clear line, the right exit code, nothing half-written."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.commands import command, process
from tests.cli.test_kill import DEFAULT_STEPS, OPTIONS, lines, script
from tests.helpers import content


def test_help_and_version_answer() -> None:
    assert "weather --quick" in process("--help").stdout
    assert process("--version").stdout.startswith("llm-as-rnn, version ")
    assert "--resume" in process("run", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "llm-as-rnn models list "),
        (["run"], "llm-as-rnn run weather -m openai:MODEL --base-url"),
        (["predict"], '{"id": "a", "x": {"sky": "sun", ...}}'),
    ],
)
def test_examples_in_the_help_stand_on_lines_of_their_own(arguments: list[str], line: str) -> None:
    lines = command(*arguments, "--help").stdout.splitlines()
    assert [text for text in lines if text.strip().startswith(line)]
    assert not any("\\b" in text for text in lines)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "wether"], "there is no task 'wether'"),
        (["run", "mine.yaml"], "mine.yaml does not exist"),
        (["run", "broken.yaml"], "broken.yaml"),
        (["run", "weather", "-m", "llama"], "names no model"),
        (["run", "weather", "--methods", "repeat_last", "-m", "opnai:x"], "did you mean openai:x?"),
        (["sweep", "paper", "--methods", "repeat_last", "-m", "opnai:x"], "did you mean openai:x?"),
        (["run", "weather", "-m", "llamacpp:smollm3"], "smollm"),
        (["run", "weather", "-m", "llamacpp:./none.gguf"], "no file"),
        (["run", "weather", "-m", "llamacpp:./corrupt.gguf"], "corrupt.gguf"),
        (["run", "weather", "-m", "scripted:none.jsonl"], "none.jsonl"),
        (["run", "weather", "-m", "scripted:bad.jsonl"], "line 2"),
        (["run", "weather", "-m", "openai:m", "--base-url", "http://127.0.0.1:9/v1"], "http://127.0.0.1:9"),
        (["run", "weather", "-m", "MODEL", "--sequences", "0"], "sequences must be at least 1"),
        (["run", "weather", "-m", "MODEL", "--sequences", "many"], "many"),
        (["run", "weather", "-m", "MODEL", "--steps", "-3"], "steps must be at least 1"),
        (["run", "weather", "-m", "MODEL", "--sequences", "9999"], "at most"),
        (["run", "weather", "-m", "MODEL", "--budget", "0"], "budget"),
        (["run", "weather", "-m", "MODEL", "--budget", "3"], "first memory"),
        (["run", "weather", "-m", "MODEL", "--budget", "99999"], "context window"),
        (["run", "weather", "-m", "MODEL", "--concurrency", "0"], "concurrency"),
        (["run", "weather", "-m", "MODEL", "--seed", "-1"], "seed"),
        (["run", "weather", "-m", "MODEL", "--methods", "recurent"], "recurent"),
        (["run", "weather", "-m", "MODEL", "--methods", ""], "no method"),
        (["run", "weather", "-m", "MODEL", "--resume"], "--out"),
        (["run", "weather", "-m", "MODEL", "--prompts", "nowhere"], "nowhere"),
        (["run", "weather", "-m", "MODEL", "--out", "taken"], "not empty"),
        (["run", "weather", "-m", "MODEL", "--out", "bad.jsonl/run"], "bad.jsonl"),
        (["report", "nothing"], "holds no run"),
        (["report"], "DIR"),
        (["models", "show", "gpt-9"], "gpt-9"),
        (["models", "pull", "gpt-9"], "gpt-9"),
        (["data", "show", "wether"], "wether"),
        (["data", "show", "weather", "--steps", "0"], "steps"),
        (["rnu"], "rnu"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model = script(tmp_path)
    (tmp_path / "broken.yaml").write_text("name: [\n")
    (tmp_path / "corrupt.gguf").write_bytes(b"GGUF" + b"\0" * 64)
    (tmp_path / "bad.jsonl").write_text('{"role": "predict", "text": "x"}\n{"role": 1}\n')
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/thesis.tex").touch()
    before = sorted(path for path in tmp_path.rglob("*"))
    result = command(*[model if word == "MODEL" else word for word in arguments], LLM_AS_RNN_MODELS=str(tmp_path / "m"))
    assert result.returncode == 2, result.stderr
    assert says in result.stderr
    errors = [line for line in result.stderr.splitlines() if not line.startswith(("Usage:", "Try "))]
    assert len([line for line in errors if line.strip()]) == 1, result.stderr
    assert "Traceback" not in result.stderr
    left = sorted(path for path in tmp_path.rglob("*") if "m" not in path.relative_to(tmp_path).parts)
    assert left == before


def test_debug_shows_where_an_error_comes_from() -> None:
    assert "Traceback" in process("--debug", "run", "wether").stderr
    plain = process("run", "wether")
    assert (plain.returncode, len(plain.stderr.splitlines()), "Traceback" in plain.stderr) == (2, 1, False)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root can write")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    result = command("run", "weather", "-m", script(tmp_path), "--out", "/proc/run", *OPTIONS)
    assert result.returncode == 2
    assert "cannot be made" in result.stderr


def test_a_full_disk_keeps_whole_steps_and_resumes(tmp_path: Path) -> None:
    """A limit on file size stands in for a full disk: the same call fails in the same place."""
    out = tmp_path / "run"
    arguments = ["run", "weather", "-m", script(tmp_path), "--out", str(out), *OPTIONS]
    result = subprocess.run(
        [sys.executable, "-m", "llm_as_rnn", *arguments],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
    )
    assert result.returncode == 2, result.stderr
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    kept = lines(out / "steps.jsonl")
    assert kept > 0
    assert (out / "steps.jsonl").read_bytes().endswith(b"\n")
    assert command(*arguments, "--resume").returncode == 0
    assert lines(out / "steps.jsonl") == DEFAULT_STEPS


@pytest.mark.parametrize("stop", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_ctrl_c_leaves_a_run_that_resumes(tmp_path: Path, stop: signal.Signals) -> None:
    out = tmp_path / "run"
    arguments = ["run", "weather", "-m", script(tmp_path), "--out", str(out), *OPTIONS]
    process = subprocess.Popen(
        [sys.executable, "-m", "llm_as_rnn", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - tests may run with it ignored
    )
    while lines(out / "steps.jsonl") < 5:
        assert process.poll() is None
        time.sleep(0.0005)  # only looks; what it waits for is the journal
    process.send_signal(stop)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert command(*arguments, "--resume").returncode == 0
    assert lines(out / "steps.jsonl") == DEFAULT_STEPS


def test_a_background_job_of_a_script_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """Shells start them with Ctrl-C ignored."""
    out = tmp_path / "run"
    arguments = ["run", "weather", "-m", script(tmp_path), "--out", str(out), *OPTIONS]
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "llm_as_rnn", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    while lines(out / "steps.jsonl") < 5:
        assert process.poll() is None
        time.sleep(0.0005)  # only looks; what it waits for is the journal
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--resume" in errors


def test_a_resumed_run_with_other_settings_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["run", "weather", "-m", script(tmp_path), "--out", str(out), *OPTIONS]
    assert command(*arguments).returncode == 0
    again = command(*arguments)
    assert (again.returncode, "--resume" in again.stderr) == (2, True)
    other = command(*arguments, "--resume", "--layout", "chained")
    assert other.returncode == 2
    assert "layout was separate, now chained" in other.stderr
    report = command("report", str(out))
    assert report.returncode == 0
    assert "recurrent" in report.stdout
    assert (out / "report.html").exists()


def test_several_runs_are_compared(tmp_path: Path) -> None:
    model = script(tmp_path)
    for name, layout in (("a", "chained"), ("b", "separate")):
        arguments = ["--methods", "recurrent", "--layout", layout, "--out", str(tmp_path / name)]
        assert command("run", "weather", "-m", model, *OPTIONS, *arguments).returncode == 0
    result = command("report", str(tmp_path / "a"), str(tmp_path / "b"))
    assert result.returncode == 0, result.stderr
    compared = result.stdout.partition("compared")[2]
    assert "layout chained" in compared
    assert "layout separate" in compared
    assert "1 recurrent" in compared
    assert "2 recurrent" in compared
    assert "2 recurrent \N{MINUS SIGN} 1 recurrent" in compared
    assert "comparison: " in compared
    page = (tmp_path / "a" / "comparison.html").read_text(encoding="utf-8")
    assert "layout chained" in page
    elsewhere = command("report", str(tmp_path / "a"), str(tmp_path / "b"), "--page", str(tmp_path / "page.html"))
    assert elsewhere.returncode == 0
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page


def test_runs_of_other_data_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for name, seed in (("a", "0"), ("b", "1")):
        arguments = ["--methods", "repeat_last", "--seed", seed, "--sequences", "2", "--steps", "3"]
        assert command("run", "weather", *arguments, "--out", str(tmp_path / name)).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    result = command("report", str(tmp_path / "a"), str(tmp_path / "b"))
    assert (result.returncode, result.stdout) == (2, "")
    assert "is not on the data of" in result.stderr
    assert "they have no step in common" in result.stderr
    assert "--sequences and --steps: these are of --seed 0 and 1" in " ".join(result.stderr.split())
    assert len(result.stderr.strip().splitlines()) <= 2, "what is wrong, and what to do"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.long
def test_a_recorded_run_replays_without_its_model(tmp_path: Path) -> None:
    model = script(tmp_path)
    home = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    run = ["run", "weather", "-m", model, *OPTIONS]
    assert command(*run, "--cache", "record", "--out", str(tmp_path / "a"), **home).returncode == 0
    (tmp_path / "script.jsonl").unlink()
    again = command(*run, "--cache", "replay", "--out", str(tmp_path / "b"), **home)
    assert again.returncode == 0, again.stderr
    assert content(tmp_path / "a") == content(tmp_path / "b")
    other = command(*run, "--cache", "replay", "--seed", "1", "--out", str(tmp_path / "c"), **home)
    assert other.returncode in (1, 2)
    assert "recorded" in other.stderr
