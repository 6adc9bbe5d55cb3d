"""``llm-as-rnn export`` and ``run --serve``: what they say, and how they end."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx2
import pytest

from llm_as_rnn.cli import page as page_module
from llm_as_rnn.cli.page import Page
from llm_as_rnn.runs.directory import RunDirectory
from tests.cli.commands import command

FEW = ("run", "weather", "--methods", "repeat_last,majority", "--sequences", "2", "--steps", "4")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "run"
    assert command(*FEW, "--out", str(folder)).returncode == 0
    return folder


def test_the_files_are_named_a_line_each(run: Path) -> None:
    done = command("export", str(run))
    assert (done.returncode, done.stderr) == (0, "")
    names = ["steps.csv", "calls.csv", "memories.csv", "messages.csv", "tables.json"]
    assert done.stdout.splitlines() == [str(run / "export/csv" / name) for name in names]
    assert all(Path(line).is_file() for line in done.stdout.splitlines())


def test_they_lie_where_they_are_wanted(run: Path, tmp_path: Path) -> None:
    done = command("export", str(run), "--to", "inspect", "--out", str(tmp_path / "logs"))
    assert done.returncode == 0
    assert {Path(line) for line in done.stdout.splitlines()} == set((tmp_path / "logs").iterdir())
    assert f"inspect view --log-dir {tmp_path / 'logs'}" in done.stderr


@pytest.mark.parametrize(("words", "said"), [(["--to", "excel"], "excel"), ([], "holds no run")])
def test_what_cannot_be_exported_is_refused_in_a_line(tmp_path: Path, words: list[str], said: str) -> None:
    done = command("export", str(tmp_path), *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_ends_with_a_summary_in_words(run: Path) -> None:
    said = command("report", str(run)).stdout
    assert "sky accuracy: " in said
    assert " is best with " in said


# --- run --serve ------------------------------------------------------------------------------------------------------


def test_a_run_says_where_its_page_is_and_ends_off_a_terminal(tmp_path: Path) -> None:
    done = command(*FEW, "--serve", "--out", str(tmp_path / "run"))
    assert done.returncode == 0
    assert f"{tmp_path / 'run'} is shown at http://127.0.0.1:" in done.stderr
    assert "Ctrl-C" not in done.stderr
    assert "is shown at" not in command(*FEW, "--out", str(tmp_path / "other")).stderr


def test_the_page_is_there_as_long_as_the_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_module, "say", said.append)
        with Page(RunDirectory(run), wanted=True) as page:
            page.show()
            page.show()
            (line,) = said
            url, _, key = line.partition(" is shown at ")[2].partition("/#key=")
            with httpx2.Client(base_url=url, trust_env=False, timeout=20) as ask:
                index = ask.get("/data/index", headers={"Authorization": f"Bearer {key}"}).json()
            assert index["steps"] == len(RunDirectory(run).records())
            page.stay()  # there is no terminal
    with httpx2.Client(base_url=url, trust_env=False, timeout=20) as ask, pytest.raises(httpx2.TransportError):
        ask.get("/")
    assert not [thread for thread in threading.enumerate() if thread.name == "page"]


def test_on_a_terminal_it_stays_until_it_is_told_to_end(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(page_module, "say", said.append)
    monkeypatch.setattr(page_module, "shows_live", lambda: True)
    with Page(RunDirectory(run), wanted=True) as page:
        page.show()
        thread = page._thread
        assert thread is not None

        def told(timeout: float | None = None) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(thread, "join", told)
            page.stay()
    assert said[-1] == "the page stays until Ctrl-C"


def test_no_page_is_made_where_none_is_wanted(run: Path) -> None:
    with Page(RunDirectory(run), wanted=False) as page:
        page.show()
        page.stay()
        assert page._server is None
