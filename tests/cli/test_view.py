"""``llm-as-rnn view``: it starts, shows a run, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from llm_as_rnn.runs.directory import RunDirectory
from tests.cli.commands import command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view") / "run"
    options = ("--methods", "repeat_last,majority", "--sequences", "1", "--steps", "5", "--out", str(folder))
    assert command("run", "weather", *options).returncode == 0
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_a_run_until_it_is_told_to_end(run: Path, number: signal.Signals) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    words = [sys.executable, "-m", "llm_as_rnn", "view", str(run), "--no-browser"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=os.environ) as it:
        try:
            assert it.stderr is not None
            said = next(line for line in it.stderr if "is shown at" in line)
            url, _, key = said.partition(" is shown at ")[2].partition(";")[0].partition("/#key=")
            with httpx2.Client(base_url=url, trust_env=False, timeout=20) as ask:
                assert ask.get("/").text.startswith("<!doctype html>")
                assert ask.get("/data/index").status_code == 401
                index = ask.get("/data/index", headers={"Authorization": f"Bearer {key}"}).json()
            assert index["steps"] == len(RunDirectory(run).records())
            it.send_signal(number)
            assert it.wait(20) == 0
        finally:
            it.kill()
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before


def test_the_browser_is_opened_unless_it_is_not_wanted(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_as_rnn.cli.view import view  # noqa: PLC0415 - as the command does

    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("llm_as_rnn.report.live.Server.serve", lambda server: server._http.server_close())
    assert view(run, 0, True) == view(run, 0, False) == 0
    (url,) = opened
    assert url.startswith("http://127.0.0.1:")


def test_what_is_no_run_is_refused_in_a_line(tmp_path: Path) -> None:
    done = command("view", str(tmp_path), "--no-browser")
    assert done.returncode == 2
    assert "holds no run" in done.stderr
    assert "Traceback" not in done.stderr
