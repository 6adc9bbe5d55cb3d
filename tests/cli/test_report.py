"""``llm-as-rnn report``: what a page holds of a run that is too long for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_as_rnn.cli.main import main
from tests.cli.commands import command
from tests.report.page import Page


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "run"
    few = ("--methods", "repeat_last", "--sequences", "5", "--steps", "4")
    assert command("run", "weather", *few, "--out", str(path)).returncode == 0
    return path


def report(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", *words])
    assert ended.value.code == 0


def shown(run: Path) -> tuple[list[str], str]:
    page = Page((run / "report.html").read_text())
    return [part["sequence"] for part in page.data["parts"]], page.text()


def test_what_is_left_out_of_a_page_is_said_with_the_command_that_shows_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(str(run))
    every, text = shown(run)
    assert len(every) == 5
    assert "Not all steps" not in text
    scores = (run / "scores.json").read_bytes()
    monkeypatch.setattr("llm_as_rnn.report.html.viewer", small)
    report(str(run))
    some, text = shown(run)
    assert some == [every[0]]
    assert "it has those of 1 of the run's 5 sequences" in text
    assert "report DIR --sequence NAME" in text
    report(str(run), "--sequence", every[3], "--sequence", every[1])
    named, text = shown(run)
    assert named == [every[1], every[3]]
    assert "it has those of 2 of the run's 5 sequences" in text
    assert (run / "scores.json").read_bytes() == scores, "all steps count, whatever the page holds"


def small(*given: object, **named: object) -> object:
    from llm_as_rnn.report.packing import viewer  # noqa: PLC0415 - the one in whose place this stands

    return viewer(*given, **named, room=10)  # type: ignore[arg-type]


def test_a_sequence_that_is_not_there_is_told_with_some_that_are(run: Path) -> None:
    every, _ = shown(run)
    before = (run / "report.html").read_bytes()
    ended = command("report", str(run), "--sequence", "nowhere")
    assert ended.returncode == 2
    assert "the run has no sequence 'nowhere'" in ended.stderr
    assert "name one of its 5" in ended.stderr
    assert every[0] in ended.stderr
    assert (run / "report.html").read_bytes() == before


def test_runs_of_other_methods_name_them_as_the_option_does(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    few = ("--methods", "linear,majority", "--sequences", "5", "--steps", "4")
    assert command("run", "weather", *few, "--out", str(other)).returncode == 0
    said = command("report", str(run), str(other), "--page", str(tmp_path / "page.html")).stdout
    assert "methods repeat_last," in said
    assert "methods linear,majority," in said
    assert "('" not in said
