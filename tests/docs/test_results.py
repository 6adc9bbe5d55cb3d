"""The pages of results are made of tables of steps: those that are committed, and any that a sweep's runs give."""

from __future__ import annotations

import csv
import gzip
import importlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.steps import StepRecord
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.metrics.estimates import Interval
from llm_as_rnn.metrics.summary import MethodSummary, summarise
from llm_as_rnn.report.tables import Row
from llm_as_rnn.report.tables import results as results_of
from llm_as_rnn.runs.directory import RunDirectory
from tests.cli.commands import command
from tests.datasets.mimic_folder import made, write
from tests.docs.reader import sample
from tests.metrics.steps import step

ROOT = Path(__file__).parents[2]
SWEEP = """\
title: Small
methods: [zero_shot, recurrent, advised]
settings: {budget: 100}
runs:
  - {name: sky, task: weather, sequences: 3, steps: 6}
  - {name: words, task: weather-text, sequences: 2, steps: 4, methods: [zero_shot]}
  - {name: secret, task: mimic, sequences: 2, steps: 2, methods: [nearest_case]}
"""
SAID = "A forecast in words that stand nowhere else"


@pytest.fixture(name="results", scope="module")
def results_module() -> Any:
    return _script("results")


@pytest.fixture(name="overview", scope="module")
def overview_module() -> Any:
    return _script("overview")


@pytest.fixture(name="step_tables", scope="module")
def step_tables_module() -> Any:
    return _script("step_tables")


def _script(name: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module(name)


@pytest.fixture(name="sweep", scope="module")
def made_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a sweep with a model that is a script: every fourth of its forecasts cannot be read."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "small.yaml").write_text(SWEEP)
    write(folder / "mimic", made())
    asked = iter(range(10_000))

    def answer(request: Request) -> str:
        found = sample(request.answer.schema or {})
        if request.role == "predict" and (request.attempt or next(asked) % 4 == 0):
            return "no forecast"
        return json.dumps(found | ({"forecast": SAID} if "forecast" in found else {}))

    def script(model: str, **_server: Any) -> ScriptedEngine:
        return ScriptedEngine(answer, EngineInfo(model, "d"))

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("llm_as_rnn.cli.running.resolve", script)
        words = ("-m", "llamacpp:some/folder/small.gguf", "--data", "mimic=mimic", "--out", "out")
        ended = command("sweep", "small.yaml", *words)
    assert ended.returncode == 0, ended.stderr
    return folder / "out"


@pytest.fixture(name="pages")
def built_pages(results: Any, sweep: Path, tmp_path: Path) -> Path:
    list(results.collect(sweep, tmp_path))
    list(results.build(tmp_path))
    return tmp_path


def test_the_committed_pages_are_those_that_the_committed_tables_give(
    results: Any, overview: Any, tmp_path: Path
) -> None:
    committed = ROOT / "docs" / "results"
    shutil.copytree(committed / "steps", tmp_path / "steps")
    built = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in results.build(tmp_path)}
    assert {name: (committed / name).read_bytes() for name in built} == built
    generated = {page.name for page in committed.glob("*.md") if overview.MADE in page.read_text(encoding="utf-8")}
    assert generated == {name for name in built if name.endswith(".md")}, "a page has no table any more"


def plain(path: Path) -> str:
    """Read a table, or what lies beside it."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def test_a_page_follows_its_table(results: Any, pages: Path) -> None:
    before = {path.name: path.read_text(encoding="utf-8") for path in pages.glob("*.*")}
    assert {path.name for path in results.build(pages)} == set(before)
    assert {path.name: path.read_text(encoding="utf-8") for path in pages.glob("*.*")} == before
    table = pages / "steps" / "sky-small.csv.gz"
    with gzip.open(table, "rt", newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    for row in rows:
        if row[0] == "zero_shot" and row[head.index("status")] == "ok":
            row[head.index("sky answer")] = row[head.index("sky outcome")]
    with gzip.open(table, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])
    list(results.build(pages))
    changed = {name for name, text in before.items() if (pages / name).read_text(encoding="utf-8") != text}
    assert changed >= {"sky.md", "README.md", "sky-small-sky-accuracy.svg"}
    assert "words.md" not in changed


def test_a_table_scores_as_its_run_does(step_tables: Any, sweep: Path, pages: Path) -> None:
    origins = {origin.stream: origin for origin in step_tables.origins(pages / "steps")}
    for stream, folder in {"sky": "llamacpp-small.gguf/sky", "words": "llamacpp-small.gguf/words"}.items():
        directory = RunDirectory(sweep / folder)
        run = {one.method: one for one in summarise(directory.info().task, directory.records())}
        table = {one.method: one for one in step_tables.table(pages / "steps", origins[stream]).summaries}
        assert list(run) == list(table)
        for method, summary in run.items():
            kept = table[method]
            same = ("statuses", "failed", "calls", "prompt_tokens", "memory_tokens", "by_advice", "is_reference")
            assert [getattr(kept, name) for name in same] == [getattr(summary, name) for name in same]
            means = {name: score.value for name, score in summary.scores.items()}
            assert {name: score.value for name, score in kept.scores.items()} == pytest.approx(means, rel=1e-6)
            assert any(one.failed for one in run.values()), "failed answers have to stay failed"
            assert trust_of(kept) == trust_of(summary)
            assert kept.following == summary.following
        # Figures are kept with few digits, so it is what is shown that is equal, intervals and all.
        assert [one.cells[:3] for one in shown(stream, run)] == [one.cells[:3] for one in shown(stream, table)]


def trust_of(summary: MethodSummary) -> dict[str, list[float | None]]:
    """Give what a method's chances and intervals came to, with the digits that are shown."""
    return {
        name: [None if figure is None else round(figure, 3) for figure in (one.coverage, one.log_loss, one.brier)]
        for name, trust in (summary.trust or {}).items()
        for one in (trust.whole, trust.later)
    }


def shown(stream: str, summaries: Mapping[str, MethodSummary]) -> tuple[Row, ...]:
    """Give the rows of a table, with the scores and their intervals."""
    task = load_task("weather" if stream == "sky" else "weather-text")
    return results_of(task, list(summaries.values())).rows


def test_what_was_seen_and_texts_are_in_no_table(sweep: Path, pages: Path) -> None:
    assert any(SAID in str(record.prediction) for record in RunDirectory(sweep / "llamacpp-small.gguf/words").records())
    files = list((pages / "steps").iterdir())
    assert len(files) == 4
    for file in files:
        text = plain(file)
        assert SAID not in text
        assert "some/folder" not in text, "no folder of a machine's is named"
    head = plain(pages / "steps" / "words-small.csv.gz").splitlines()[0]
    assert "forecast.facts" in head
    assert "forecast answer" not in head


def test_credentialed_data_and_runs_that_are_not_done_are_left_out(results: Any, sweep: Path, tmp_path: Path) -> None:
    said = list(results.collect(sweep, tmp_path))
    assert [line for line in said if "no-model/secret" in line and "its data forbid showing it" in line]
    assert not list((tmp_path / "steps").glob("secret*"))
    copy = tmp_path / "copy"
    shutil.copytree(sweep, copy)
    directory = RunDirectory(copy / "llamacpp-small.gguf" / "sky")
    directory.save(msgspec.structs.replace(directory.info(), status="failed"))
    said = list(results.collect(copy, tmp_path / "again"))
    assert [line for line in said if line.endswith("sky: left out, it is failed")]
    assert not list((tmp_path / "again" / "steps").glob("sky*"))


def test_the_overview_has_every_stream_and_says_in_ten_sentences_what_one_may_believe(pages: Path) -> None:
    page = (pages / "README.md").read_text(encoding="utf-8")
    for stream in ("sky", "words"):
        assert f"| [{stream}]({stream}.md) | small | " in page
    numbered = [line for line in page.splitlines() if line[:1].isdigit()]
    assert len(numbered) == 10
    assert "advised" in numbered[1]
    assert "not to be told apart" in numbered[3], "what the model adds has its interval"


def test_what_no_interval_can_tell_is_counted_as_not_told_apart(overview: Any) -> None:
    ends = [Interval(0.1, 0.3), Interval(-0.1, 0.3), Interval(-0.3, -0.1), None]
    said = overview.tally(list(zip(ends, (True, False, False, False), strict=True)))
    assert said.startswith("by its interval better in 1, worse in 1, not to be told apart in 2 of 4; told from chance")
    assert said.endswith("better in 1, worse in 0")
    assert overview.tally([]) == "not measured"


def test_streams_are_compared_together_but_those_that_are_made_up(overview: Any, step_tables: Any, pages: Path) -> None:
    (sky,) = (one for one in step_tables.origins(pages / "steps") if one.stream == "sky")
    read = [step_tables.table(pages / "steps", sky)]
    for stream in ("other", "probe-sky"):
        read.append(read[0]._replace(origin=msgspec.structs.replace(sky, stream=stream)))
    lines = [overview.Line(part, metric) for part in read for metric in part.main_metrics]
    together = overview.all_streams(lines)
    measured = (overview.AGAINST_FREE, overview.ALONE_AGAINST_FREE, overview.MODEL_ADDS)
    assert set(together) == {("small", one, overview.ALL) for one in measured}
    found, alone = together["small", overview.MODEL_ADDS, overview.ALL], lines[0].compared(overview.MODEL_ADDS)
    assert (found.sequences, found.steps) == (2 * alone.sequences, 2 * alone.steps), "the probe is not in it"
    assert found.mean == pytest.approx(alone.mean)
    assert found.p_holm >= found.p
    said = overview.told_together(together, overview.MODEL_ADDS)
    assert said.startswith(" Together: ")
    assert f"({found.sequences} sequences of 2 streams)" in said, "a model may have been asked on few of them"
    assert not overview.told_together(together, overview.CARRIED_AGAINST_FREE)
    assert not overview.all_streams([line for line in lines if line.part.origin.stream != "other"]), (
        "one is not several"
    )


def test_chances_and_what_became_of_cases_are_kept(step_tables: Any, tmp_path: Path) -> None:
    chances = {"sky": {"sun": 0.71234, "rain": 0.2, "fog": 0.05, "snow": 0.03, "drizzle": 0.01}}
    one = step(
        target={"sky": "rain", "high": 9.5},
        prediction={"sky": "sun", "high": 12.0},
        distribution=chances,
        believed={"sky": {"a": 0.75, "b": 0.25}},
    )
    (back,) = kept(step_tables, tmp_path, [one])
    assert back.distribution == {"sky": {"sun": 0.7123, "rain": 0.2, "fog": 0.05, "snow": 0.03, "drizzle": 0.01}}
    assert back.believed == one.believed
    assert (back.prediction, back.target) == (one.prediction, one.target)
    assert back.scores == {"sky.accuracy": 0.0, "high.abs_error": 2.5, "high.sq_error": 6.25}


def test_large_numbers_and_their_intervals_are_kept_to_the_last_digit(step_tables: Any, tmp_path: Path) -> None:
    one = step(
        target={"high": 1735689600123.0},
        prediction={"sky": "sun", "high": 1735689600120.0},
        interval={"high": (1735689600118.0, 1735689600123.0)},
    )
    (back,) = kept(step_tables, tmp_path, [one])
    assert (back.prediction, back.target, back.interval) == (one.prediction, one.target, one.interval)


def test_a_step_without_an_outcome_has_none_in_its_table(step_tables: Any, tmp_path: Path) -> None:
    one = step(target=None, prediction={"sky": "sun", "high": 12.0})
    (back,) = kept(step_tables, tmp_path, [one])
    assert (back.target, back.scores) == (None, {})


def kept(step_tables: Any, folder: Path, steps: list[StepRecord]) -> list[StepRecord]:
    """Write a table and read it again."""
    origin = step_tables.Origin("sky", load_task("weather"), "llamacpp:small", "d", "held_out", 0, {}, {}, "2026-01-01")
    step_tables.write(folder, origin, steps)
    found: list[StepRecord] = step_tables.read(folder, origin)
    return found
