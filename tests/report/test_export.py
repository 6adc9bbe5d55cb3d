"""A run as files and frames for other programs: they hold what the journal holds, and say what it means."""

from __future__ import annotations

import csv
import json
import re
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_as_rnn import Run
from llm_as_rnn.core.calls import Call, Request
from llm_as_rnn.core.errors import MissingExtraError, RunError, UsageError
from llm_as_rnn.core.task import load_task
from llm_as_rnn.report.export import files, frames, inspection, tracking
from llm_as_rnn.report.export.columns import (
    CALL,
    COST,
    LEARNED,
    MEMORY,
    MESSAGE,
    PREDICTED,
    SCHEMA,
    STEP,
    WRITTEN,
    Seen,
    cached,
    field_columns,
    kind_of,
)
from llm_as_rnn.report.export.tables import NAMES, Tables
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.versions import versions
from tests.helpers import run_options
from tests.runs.test_execute import OPTIONS, answer, go

STEPS = (STEP, PREDICTED, LEARNED, COST, WRITTEN)

NASTY = 'a "quoted", one\nwith a line,\r\n=SUM(A1) \u2028 and a \\'


def nasty(request: Request) -> str:
    """Answer as usual, but write what tables can be broken by where it is read by people alone."""
    return f" {NASTY}" if request.role == "reflect" else answer(request)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "run"
    go(out, answerer=nasty)
    return out


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """Give a copy of the run that may be changed."""
    for path in folder.iterdir():
        if path.is_file():
            (tmp_path / "run").mkdir(exist_ok=True)
            (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "run"


def credentialed(folder: Path) -> Run:
    directory = RunDirectory(folder)
    directory.save(msgspec.structs.replace(directory.info(), credentialed=True))
    return Run(folder)


# --- rows -------------------------------------------------------------------------------------------------------------


def test_there_is_a_row_for_each_step_call_memory_and_message(folder: Path) -> None:
    run, directory = Run(folder), RunDirectory(folder)
    records = directory.records()
    assert len(run.steps("rows")) == len(records)
    assert len(run.calls("rows")) == sum(len(record.calls) for record in records) > 0
    changed = [event for events in versions(records).values() for event in events if event.changed]
    assert len(run.memories("rows")) == len(changed) > 3
    assert len(run.messages("rows")) == len(directory.prompts().messages)


def test_a_step_is_what_the_journal_says_of_it(folder: Path) -> None:
    rows = {(row["method"], row["sequence"], row["t"]): row for row in Run(folder).steps("rows")}
    for record in RunDirectory(folder).records():
        row = rows[record.method, record.sequence, record.t]
        assert {name: row[f"answer.{name}"] for name in ("sky", "high")} == record.prediction
        assert {name: row[f"outcome.{name}"] for name in ("sky", "high")} == record.target
        assert {name: row[f"score.{name}"] for name in record.scores} == record.scores
        assert {name: row[f"observation.{name}"] for name in record.observation} == record.observation
        assert (row["low.high"], row["high.high"]) == record.interval["high"]
        assert row["chance.sky"] == record.chance["sky"]
        assert row["prompt_tokens"] == sum(call.prompt_tokens for call in record.calls)
        assert row["memory_version"] == record.memory_version
        assert row["update"] == record.update.outcome


def test_calls_name_their_messages(folder: Path) -> None:
    known = {row["digest"]: row["content"] for row in Run(folder).messages("rows")}
    calls = Run(folder).calls("rows")
    assert all(call["messages"] and set(call["messages"]) <= set(known) for call in calls)
    steps = {(step["method"], step["sequence"], step["t"]): step["calls"] for step in Run(folder).steps("rows")}
    for name, count in steps.items():
        assert [one["call"] for one in calls if (one["method"], one["sequence"], one["t"]) == name] == [*range(count)]


def test_late_outcomes_and_lessons_are_there_too(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"task": "weather", "sequences": 3, "steps": 3, "budget": 60, "rule": "rewrite"}
    options = run_options(**asked, shared=60, methods=("recurrent",), delay=1)
    go(tmp_path / "run", options)
    memories = Run(tmp_path / "run").memories("rows")
    assert "shared-lessons" in {row["sequence"] for row in memories}
    firsts = [row for row in memories if row["version"] == 0 and row["sequence"] != "shared-lessons"]
    assert [row["t"] for row in firsts] == [None] * 3


def test_a_memory_that_stays_as_it_is_has_one_row(tmp_path: Path) -> None:
    def useless(request: Request) -> str:
        return "nothing of use" if request.role in ("update", "compress") else answer(request)

    go(tmp_path / "run", answerer=useless)
    memories = Run(tmp_path / "run").memories("rows")
    assert [(row["version"], row["t"]) for row in memories] == [(0, None)] * 3


def test_what_was_cached_is_not_made_up() -> None:
    one = Call("", role="predict", prompt_tokens=9, cached_tokens=4)
    other = Call("", role="predict", prompt_tokens=9)
    assert (cached([one, one]), cached([one, other]), cached([])) == (8, None, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.sampled_from("ab"), JSON), max_size=6))
def test_a_column_of_observations_holds_whatever_there_is(observations: list[dict[str, Any]]) -> None:
    seen = Seen()
    for observation in observations:
        seen.add(observation)
    columns = {column.name: column for column in seen.columns()}
    assert set(columns) == {f"observation.{name}" for observation in observations for name in observation}
    for observation in observations:
        for name, value in observation.items():
            kind = columns[f"observation.{name}"].kind
            if value is not None:
                assert kind in (kind_of(value), "json") or (kind, kind_of(value)) == ("float", "count")


def test_the_page_on_exports_has_every_column() -> None:
    page = (Path(__file__).parents[2] / "docs" / "exports.md").read_text(encoding="utf-8")
    fields = [column for field in load_task("weather").answer for column in field_columns(field)]
    of_fields = {f"{column.name.partition('.')[0]}.NAME" for column in fields}
    fixed = {column.name for table in (*STEPS, CALL, MEMORY, MESSAGE) for column in table}
    assert [name for name in fixed | of_fields if f"`{name}`" not in page] == []
    assert f"now {SCHEMA}:" in page


# --- files ------------------------------------------------------------------------------------------------------------


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_format_holds_the_same(folder: Path, tmp_path: Path) -> None:
    run = Run(folder)
    for kind in files.WRITERS:
        run.export(kind, tmp_path / kind)
    for name in NAMES:
        rows = getattr(run, name)("rows")
        lines = [json.loads(line) for line in (tmp_path / f"json/{name}.jsonl").read_text("utf-8").split("\n")[:-1]]
        assert lines == rows
        assert pl.read_parquet(tmp_path / f"parquet/{name}.parquet").equals(getattr(run, name)("polars"))
        table = read_csv(tmp_path / f"csv/{name}.csv")
        assert len(table) == len(rows)
        assert all(set(written) == set(row) for written, row in zip(table, rows, strict=True))


def test_a_cell_of_csv_can_be_read_back(folder: Path, tmp_path: Path) -> None:
    Run(folder).export("csv", tmp_path)
    kinds: dict[str, Callable[[str], Any]] = {
        "text": str, "float": float, "count": int, "flag": json.loads, "texts": json.loads, "json": json.loads
    }  # fmt: skip
    index = json.loads((tmp_path / files.INDEX).read_text())
    for name in NAMES:
        columns = {column["name"]: column["kind"] for column in index["tables"][name]["columns"]}
        for written, row in zip(read_csv(tmp_path / f"{name}.csv"), getattr(Run(folder), name)("rows"), strict=True):
            for column, kind in columns.items():
                cell = written[column]
                assert row[column] in (None, "") if cell == "" else kinds[kind](cell) == row[column]
    feedback = [row["feedback"] for row in read_csv(tmp_path / "steps.csv") if row["feedback"]]
    assert feedback
    texts = [row["text"] for row in read_csv(tmp_path / "calls.csv")]
    assert f" {NASTY}" in texts


def test_the_columns_are_described(folder: Path, tmp_path: Path) -> None:
    exported = Run(folder).export("csv", tmp_path)
    index = json.loads((tmp_path / files.INDEX).read_text())
    assert index["schema"] == SCHEMA
    assert str(tmp_path / files.INDEX) in exported.places
    for name in NAMES:
        table = index["tables"][name]
        with (tmp_path / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            header = next(csv.reader(file))
        assert [column["name"] for column in table["columns"]] == header
        assert len(set(header)) == len(header)
        assert all(re.fullmatch(r"[A-Z].* .*\.", column["about"]) for column in table["columns"])
        assert table["rows"] == len(read_csv(tmp_path / f"{name}.csv"))


def test_a_second_export_takes_the_place_of_the_first(copy: Path) -> None:
    first = Run(copy).export("csv")
    before = (copy / "export/csv/steps.csv").read_bytes()
    (copy / "export/csv/steps.csv").write_text("half")
    assert Run(copy).export("csv") == first
    assert (copy / "export/csv/steps.csv").read_bytes() == before


def test_a_run_with_exports_in_it_goes_on(copy: Path) -> None:
    Run(copy).export("csv")
    assert go(copy, OPTIONS, resume=True).status == "finished"


def test_an_export_that_breaks_off_leaves_what_was_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run(folder).export("csv", tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def breaks(value: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_cell", breaks)
    with pytest.raises(RunError, match="No space left"):
        Run(folder).export("csv", tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_is_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for to in ("csv", "inspect"):
        with pytest.raises(RunError, match="cannot be written"):
            Run(folder).export(to, tmp_path / "taken")


@pytest.mark.parametrize("to", ["csv", "json", "inspect", "mlflow"])
def test_no_file_of_a_run_is_overwritten(copy: Path, to: str, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    (tmp_path / "alias").symlink_to(copy)
    for folder in (copy, tmp_path / "alias"):
        with pytest.raises(UsageError, match="is the folder of a run"):
            Run(copy).export(to, folder)
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


def test_a_run_that_did_not_end_is_exported_as_far_as_it_came(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        go(tmp_path / "run", crash_after=5)
    for to in ("csv", "inspect"):
        assert (
            "the run is interrupted: what is here is as far as it has come" in Run(tmp_path / "run").export(to).remarks
        )
    assert len(read_csv(tmp_path / "run/export/csv/steps.csv")) == len(RunDirectory(tmp_path / "run").records()) > 0


def test_a_run_without_steps_has_tables_without_rows(copy: Path) -> None:
    RunDirectory(copy).journal.unlink()
    assert Run(copy).steps("polars").height == 0
    Run(copy).export("csv")
    assert read_csv(copy / "export/csv/steps.csv") == []
    assert Run(copy).export("inspect").places == ()
    assert "Run(" in repr(Run(copy))
    assert Run(copy)._repr_html_()


def test_what_is_no_way_is_refused_with_those_there_are(folder: Path) -> None:
    with pytest.raises(UsageError, match="csv, json, parquet, mlflow, inspect"):
        Run(folder).export("excel")


@pytest.mark.parametrize("to", ["csv", "json", "parquet", "inspect"])
def test_credentialed_data_is_for_its_owner_only_and_it_is_said(copy: Path, to: str) -> None:
    exported = credentialed(copy).export(to)
    assert any("must not be shared" in remark for remark in exported.remarks)
    for path in map(Path, exported.places):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((copy / "export" / to).stat().st_mode) == 0o700
    if to != "inspect":
        assert "must not be shared" in json.loads((copy / "export" / to / files.INDEX).read_text())["credentialed"]


# --- frames -----------------------------------------------------------------------------------------------------------


def test_frames_of_both_libraries_hold_the_rows(folder: Path) -> None:
    run = Run(folder)
    rows, of_polars, of_pandas = run.steps("rows"), run.steps("polars"), run.steps("pandas")
    assert list(of_polars.columns) == list(of_pandas.columns) == list(rows[0])
    assert of_polars["answer.high"].to_list() == [row["answer.high"] for row in rows]
    assert of_pandas["answer.high"].tolist() == [row["answer.high"] for row in rows]
    assert of_polars["memory_version"].null_count() == of_pandas["memory_version"].isna().sum() > 0
    assert of_polars.schema["notes"] == pl.List(pl.String)
    assert json.loads(of_polars["distribution.sky"].drop_nulls()[0])


@pytest.mark.parametrize(("there", "expected"), [(("pandas",), "pandas"), ((), "builtins")])
def test_without_polars_frames_are_of_pandas_and_else_rows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], expected: str
) -> None:
    monkeypatch.setattr(frames, "find_spec", lambda name: name in there or None)
    assert type(Run(folder).steps()).__module__.partition(".")[0] == expected


def test_the_library_that_is_missing_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("polars", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UsageError, match=f"package {name}, which is not installed"):
            Run(folder).steps(name)
    with pytest.raises(UsageError, match="no frames of 'arrow'"):
        Run(folder).steps("arrow")  # type: ignore[arg-type]


def test_runs_are_compared_with_runs(folder: Path, copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one"):
        Run(folder).compare()
    comparison = Run(folder).compare(Run(copy))
    assert repr(comparison) == f"Comparison({str(folder)!r}, {str(copy)!r})"
    assert "2 recurrent" in comparison._repr_html_()
    go(tmp_path / "other", run_options(task="probe-recall", sequences=1, steps=3, methods=("repeat_last",)))
    with pytest.raises(UsageError, match="different tasks"):
        Run(folder).compare(tmp_path / "other")


# --- Inspect ----------------------------------------------------------------------------------------------------------


def test_a_log_has_a_sample_for_each_step_of_its_method(folder: Path, tmp_path: Path) -> None:
    exported = Run(folder).export("inspect", tmp_path)
    records = RunDirectory(folder).records()
    assert len(exported.places) == len({record.method for record in records})
    (path,) = (path for path in exported.places if "weather-recurrent" in path)
    with zipfile.ZipFile(path) as log:
        header = json.loads(log.read("header.json"))
        summaries = json.loads(log.read("summaries.json"))
        samples = {one["id"]: json.loads(log.read(f"samples/{one['id']}_epoch_1.json")) for one in summaries}
    mine = [record for record in records if record.method == "recurrent"]
    assert set(samples) == {f"{record.sequence} {record.t}" for record in mine}
    assert (header["status"], header["eval"]["dataset"]["samples"]) == ("success", len(mine))
    for record in mine:
        sample = samples[f"{record.sequence} {record.t}"]
        assert [event["output"]["completion"] for event in sample["events"]] == [call.text for call in record.calls]
        assert sample["events"][0]["input"], "what the model was shown is there"
        assert sample["scores"]["sky accuracy"]["value"] == record.scores["sky.accuracy"]
        assert sample["metadata"]["memory_after"] == str(record.memory_after)


def test_an_observation_that_its_template_cannot_show_is_shown_by_its_fields(folder: Path) -> None:
    tables = Tables(RunDirectory(folder))
    step = msgspec.structs.replace(next(iter(tables.traces)), observation={"odd": 1})
    assert inspection._observed(tables.info.task, step, "line") == '{"odd":1}'


@pytest.mark.long
def test_inspect_reads_its_logs(folder: Path, tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log", reason="needs the package inspect_ai")
    run = Run(folder)
    scores = {summary.method: summary.scores for summary in run.scores}
    places = run.export("inspect", tmp_path).places
    assert {Path(found.name.removeprefix("file://")).name for found in log.list_eval_logs(str(tmp_path))} == {
        Path(place).name for place in places
    }
    for place in places:
        read = log.read_eval_log(place)
        method = read.eval.solver
        assert read.status == "success"
        assert len(read.samples) == len(log.read_eval_log_sample_summaries(place)) == 12
        found = {score.name: score.metrics["mean"].value for score in read.results.scores}
        assert found == {
            "sky accuracy": scores[method]["sky.accuracy"].value, "high MAE": scores[method]["high.mae"].value
        }  # fmt: skip


# --- MLflow -----------------------------------------------------------------------------------------------------------


def test_where_a_store_is(tmp_path: Path) -> None:
    place = tracking.place_of(str(tmp_path / "store"), credentialed=False)
    assert place.address == f"sqlite:///{tmp_path / 'store'}/mlflow.db"
    assert (tmp_path / "store").is_dir()
    with pytest.raises(UsageError, match="no address"):
        tracking.place_of("http://[x", credentialed=False)
    for address in ("http://tracking.example:5000", "sqlite:///x.db", "databricks"):
        assert tracking.place_of(address, credentialed=False) == (address, None)


@pytest.mark.parametrize(
    "address", ["http://192.0.2.9:5000", "databricks", "postgresql://u:p@192.0.2.9/db", "s3://b/x"]
)
def test_credentialed_data_is_tracked_on_this_machine_only(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must not leave this machine"):
        tracking.place_of(address, credentialed=True)
    for here in ("http://127.0.0.1:5000", str(tmp_path / "store")):
        tracking.place_of(here, credentialed=True)
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700


def test_without_mlflow_it_is_said_what_brings_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match=r"llm-as-rnn\[mlflow\]"):
        Run(folder).export("mlflow", tmp_path / "store")


@pytest.fixture
def mlflow() -> Any:
    return pytest.importorskip("mlflow", reason="needs the package mlflow-skinny")


def tracked(mlflow: Any, store: Path) -> tuple[Any, Any, dict[str, Any]]:
    """Give the client, the run and those beneath it by method."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{store}/mlflow.db")
    experiment = client.get_experiment_by_name("weather")
    found = client.search_runs([experiment.experiment_id])
    (run,) = (one for one in found if tracking.RUN in one.data.tags)
    beneath = {one.data.tags["llm_as_rnn.method"]: one for one in found if tracking.PARENT in one.data.tags}
    return client, run, beneath


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_the_run_with_one_beneath_for_each_method(mlflow: Any, folder: Path, tmp_path: Path) -> None:
    run = Run(folder)
    run.export("mlflow", tmp_path)
    client, whole, beneath = tracked(mlflow, tmp_path)
    assert whole.info.status == "FINISHED"
    assert whole.data.params["task"] == "weather"
    assert "scores.json" in {file.path for file in client.list_artifacts(whole.info.run_id)}
    assert set(beneath) == {summary.method for summary in run.scores}
    for summary in run.scores:
        metrics = beneath[summary.method].data.metrics
        assert metrics["sky.accuracy"] == pytest.approx(summary.scores["sky.accuracy"].value)
        curve = client.get_metric_history(beneath[summary.method].info.run_id, "sky.accuracy so far")
        assert [point.step for point in curve] == [0, 1, 2, 3]
    with pytest.raises(UsageError, match="has this run already"):
        run.export("mlflow", tmp_path)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_a_run_that_went_on_once(mlflow: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError):
        go(tmp_path / "run", crash_after=9)
    Run(tmp_path / "run").export("mlflow", tmp_path / "store")
    assert tracked(mlflow, tmp_path / "store")[1].info.status == "KILLED"
    go(tmp_path / "run", resume=True)
    Run(tmp_path / "run").export("mlflow", tmp_path / "store")
    assert tracked(mlflow, tmp_path / "store")[1].info.status == "FINISHED"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_mlflow_gets_no_file_of_credentialed_data(mlflow: Any, copy: Path, tmp_path: Path) -> None:
    exported = credentialed(copy).export("mlflow", tmp_path / "store")
    client, run, _ = tracked(mlflow, tmp_path / "store")
    assert client.list_artifacts(run.info.run_id) == []
    assert "MLflow has the run's settings and figures alone, no file of it" in exported.remarks
