"""Charts as files of their own."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner
from markupsafe import Markup

from llm_as_rnn.cli.commands.report import report
from llm_as_rnn.core.errors import RunError
from llm_as_rnn.core.task import Task
from llm_as_rnn.metrics.summary import summarise
from llm_as_rnn.report.charts import Chart, score_charts, styles
from llm_as_rnn.report.pictures import picture, write_pictures
from tests.report.journal import weather_journal
from tests.runs.test_execute import OPTIONS, go

SVG = "{http://www.w3.org/2000/svg}"


def test_each_chart_is_a_file_that_stands_alone(tmp_path: Path, weather: Task) -> None:
    records = weather_journal()
    charts = score_charts(weather, records, styles(summarise(weather, records)))
    paths = write_pictures(tmp_path / "new" / "pictures", charts)
    assert len(set(paths)) == len(charts) > 1
    assert paths[0].name == "sky-accuracy-running-mean.svg"
    for path, chart in zip(paths, charts, strict=True):
        drawn = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - our own output
        style = drawn.findtext(f"{SVG}style") or ""
        used = {name for shape in drawn.iter() for name in shape.get("class", "").split() if name.startswith("series")}
        assert used
        assert all(f".{name} {{" in style and f"--{name}:" in style for name in used)
        assert drawn.findtext(f"{SVG}title") == f"{chart.title} ({chart.about})"
        assert len(drawn.findall(f"{SVG}svg/{SVG}g")) >= len(used)


def test_what_a_title_says_cannot_break_out() -> None:
    drawn = ET.fromstring(picture(Chart("</title><script>", "&", Markup("<svg/>"))))  # noqa: S314 - our own output
    assert drawn.findtext(f"{SVG}title") == "</title><script> (&)"
    assert drawn.find(f".//{SVG}script") is None


def test_pictures_of_data_that_must_not_leave_are_for_the_owner(tmp_path: Path) -> None:
    (path,) = write_pictures(tmp_path / "pictures", [Chart("A", "b", Markup("<svg/>"))], private=True)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("")
    with pytest.raises(RunError, match=r"pictures cannot be written to .*pictures"):
        write_pictures(tmp_path / "pictures", [Chart("A", "b", Markup("<svg/>"))])


def test_the_command_writes_them_beside_the_run(tmp_path: Path) -> None:
    go(tmp_path / "run", OPTIONS)
    result = CliRunner().invoke(report, ["--pictures", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    found = sorted(path.name for path in (tmp_path / "run/pictures").iterdir())
    assert set(found) >= {
        "sky-accuracy-running-mean.svg",
        "high-coverage-running.svg",
        "high-predicted-against-actual-majority.svg",
        "sky-reliability-majority.svg",
    }
