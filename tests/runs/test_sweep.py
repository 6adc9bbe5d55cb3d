"""Sweep files: what they may say, and that whatever is wrong in one is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from llm_as_rnn.core.errors import SweepError, UsageError
from llm_as_rnn.core.settings import PAPER_BUDGET
from llm_as_rnn.core.task import shipped_tasks
from llm_as_rnn.datasets.base import Selection
from llm_as_rnn.datasets.registry import DATASETS, dataset
from llm_as_rnn.runs.sweep import Wanted, load_sweep, plan, shipped_sweeps

ROOT = Path(__file__).parents[2]
GOOD = """\
title: Mine
methods: [zero_shot, recurrent]
settings: {budget: 99, sampling: paper}
runs:
  - name: a
    task: weather
    steps: 4
    metrics: [high.mae]
  - name: b
    task: probe-recall
    methods: [recurrent:cases]
    settings: {budget: 50}
published:
  - {run: a, metric: high.mae, method: recurrent, model: Big, value: 1.5, source: A book}
"""

BROKEN = [
    ("title: Mine", "titel: Mine", "line 1", "did you mean 'title'?"),
    ("steps: 4", "step: 4", "line 7", "did you mean 'steps'?"),
    ("value: 1.5", "valeu: 1.5", "line 14", "did you mean 'value'?"),
    ("value: 1.5", "value: high", "line 14", "Expected `float`"),
    ("title: Mine", "title: Mine\ntitle: Yours", "line 2", "'title' is there twice"),
    ("name: b", "name: a", "", "two of the runs have the same name"),
    ("name: b", "name: ../b", "", "a run cannot be called '../b'"),
    (
        "metrics: [high.mae]\n  - name: b",
        "seeds: [1, 2]\n  - name: a-seed1",
        "",
        "two of the runs would have the same folder",
    ),
    ("settings: {budget: 99", "seeds: [1, 1]\nsettings: {budget: 99", "", "seeds are whole numbers from 0 on"),
    ("settings: {budget: 99", "seeds: [1]\nsettings: {seed: 3, budget: 99", "", "leave one out"),
    (
        "settings: {budget: 99",
        "grid: {recurrent: {budget: []}}\nsettings: {budget: 99",
        "",
        "names no values for budget",
    ),
    (
        "settings: {budget: 99",
        "grid: {recurrent: {bugdet: [4]}}\nsettings: {budget: 99",
        "run a",
        "cannot have a bugdet",
    ),
    (
        "settings: {budget: 99",
        "grid: {nobody: {budget: [4]}}\nsettings: {budget: 99",
        "run a",
        "there is no method 'nobody",
    ),
    ("settings: {budget: 99", "grid: {recurrent: {seed: [4]}}\nsettings: {budget: 99", "run a", "cannot have a seed"),
    ("run: a", "run: c", "", "a published figure is of a run 'c'"),
    ("methods: [zero_shot, recurrent]\n", "", "", "methods are named neither by the sweep nor by each of its runs"),
    ("metrics: [high.mae]", "metrics: [high.mea]", "run a", "did you mean 'high.mae'?"),
    ("metric: high.mae", "metric: high.mea", "run a", "did you mean 'high.mae'?"),
    ("task: weather", "task: wether", "run a", "there is no task 'wether'"),
    ("recurrent:cases", "recurrent:case", "run b", "case"),
    ("budget: 50", "budgte: 50", "run b", "there is no setting 'budgte'"),
    ("budget: 99", "budget: 0", "run a", "budget must be at least 1, not 0"),
    ("runs:", "runs: [", "", "not valid YAML"),
]


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(("old", "new", "place", "said"), BROKEN)
def test_what_is_wrong_in_a_file_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, place: str, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(SweepError) as raised:
        load_sweep(written(tmp_path, GOOD.replace(old, new, 1)))
    assert place in str(raised.value)
    assert said in str(raised.value)
    assert "mine.yaml" in str(raised.value)


def test_a_runs_own_settings_stand_before_the_sweeps_and_a_users_before_both(tmp_path: Path) -> None:
    sweep = load_sweep(written(tmp_path, GOOD))
    a, b = plan(sweep, Wanted())
    assert a.options.settings == {"budget": 99, "sampling": "paper"}
    assert b.options.settings == {"budget": 50, "sampling": "paper"}
    assert (a.options.methods, b.options.methods) == (("zero_shot", "recurrent"), ("recurrent:cases",))
    assert (a.options.steps, b.options.steps) == (4, None)
    (b,) = plan(sweep, Wanted(only=("b",), settings={"budget": 7}, steps=2, methods=("zero_shot",)))
    assert b.options.settings == {"budget": 7, "sampling": "paper"}
    assert (b.options.methods, b.options.steps) == (("zero_shot",), 2)


def test_every_shipped_sweep_can_be_planned() -> None:
    for name in shipped_sweeps():
        assert [one.run for one in plan(load_sweep(name), Wanted())] == list(load_sweep(name).runs)
        assert load_sweep(f"{name}.yaml") == load_sweep(name)


def test_the_papers_settings_are_its_own() -> None:
    sweep = load_sweep("paper")
    assert sweep.methods == ("zero_shot", "full_history", "memprompt", "recurrent")
    assert sweep.settings["budget"] == PAPER_BUDGET
    assert (sweep.settings["rule"], sweep.settings["sampling"]) == ("rewrite", "paper")
    assert [run.task for run in sweep.runs] == ["mimic", "weather-text", "sp500"]


def test_a_file_of_ones_own_goes_before_a_shipped_one_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("paper.yaml").write_text(GOOD)
    assert load_sweep("paper.yaml").title == "Mine"


def test_data_that_is_brought_and_broken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        plan(load_sweep("paper"), Wanted(data={"mimic": tmp_path / "nowhere"}))


def test_a_package_that_is_missing_leaves_its_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "sp500", replace(DATASETS["sp500"], ready=lambda: "pip install arch"))
    (found,) = plan(load_sweep("paper"), Wanted(only=("sp500",)))
    assert found.missing == "its data is not here (pip install arch)"


@pytest.mark.skipif("finer" not in shipped_tasks(), reason="the tasks of others' streams are not here")
def test_the_sweep_of_results_is_of_held_out_parts_as_large_as_they_are() -> None:
    sweep = load_sweep(str(ROOT / "benchmarks" / "results.yaml"))
    names = "probe-recall probe-drift probe-noise weather weather-hourly pbc sp500 finer ddxplus banking77 intents"
    assert [run.name for run in sweep.runs] == [run.task for run in sweep.runs] == names.split()
    assert {run.split for run in sweep.runs} == {"held_out"}
    assert sweep.settings == {"seed": 0}
    sizes = {run.name: (run.sequences, run.steps) for run in sweep.runs}
    assert {name for name, size in sizes.items() if size != (6, 60)} == {"weather-hourly", "pbc", "ddxplus", "intents"}
    for planned in plan(sweep, Wanted(methods=("nearest_case",))):
        if planned.missing:
            continue
        source = dataset(planned.task.dataset)
        cut = source.load(Selection(planned.run.sequences or 0, planned.run.steps or 0, 0, "held_out"))
        assert len(cut) == planned.run.sequences
