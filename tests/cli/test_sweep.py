"""A sweep from end to end: the paper's three domains and four methods, a model that is a script, and one table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn.cli.process import interrupts
from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import RequestRefusedError
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.engines.spending import Meter
from llm_as_rnn.report.tables import NONE
from llm_as_rnn.runs.directory import RunDirectory
from llm_as_rnn.runs.sweep import load_sweep
from tests.cli.commands import Ended, command
from tests.datasets.mimic_folder import made, write
from tests.docs.reader import sample

METHODS = ("zero_shot", "full_history", "memprompt", "recurrent")
SMALL = ("--sequences", "2", "--steps", "3")
MINE = """\
title: Mine
methods: [zero_shot]
runs:
  - {name: a, task: weather, sequences: 2, steps: 2}
  - {name: b, task: weather, sequences: 2, steps: 2, settings: {budget: 60}, delay: 1, split: development}
"""


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedEngine]:
    """Have every model be a script that answers what is asked for, and keep those that were made."""
    made_here: list[ScriptedEngine] = []

    def script(model: str, meter: Meter | None = None, **_server: Any) -> Engine:
        host = "192.0.2.9" if "elsewhere" in model else ""
        made_here.append(ScriptedEngine(answer, EngineInfo(model, "d", context_window=32_768, host=host)))
        return made_here[-1] if meter is None else meter.watch(made_here[-1])

    monkeypatch.setattr("llm_as_rnn.cli.running.resolve", script)
    monkeypatch.setattr("llm_as_rnn.cli.judge.resolve", script)
    return made_here


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mine(here: Path) -> str:
    (here / "mine.yaml").write_text(MINE)
    return "mine.yaml"


def answer(request: Request) -> str:
    """Answer as the schema asks; judges find every first answer right."""
    assert request.answer.schema is not None
    found = sample(request.answer.schema)
    return json.dumps(found | {name: "1" for name in ("primary", "any") if name in found})


def asked(engines: list[ScriptedEngine]) -> int:
    return sum(len(engine.requests) for engine in engines)


def table(page: Path, place: int = 0) -> Iterator[dict[str, str]]:
    """Read a table of a sweep's page: the first, or the one that holds all against the best."""
    part = page.read_text(encoding="utf-8").split("## Against the best")[place]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    head, _, *rows = (re.split(r"\s*(?<!\\)\|\s*", line)[1:-1] for line in lines)
    return (dict(zip(head, row, strict=True)) for row in rows)


def finished(*arguments: str, code: int = 0) -> Ended:
    ended = command("sweep", *arguments)
    assert ended.returncode == code, ended.stderr
    return ended


def test_the_papers_table_of_two_models(here: Path, engines: list[ScriptedEngine]) -> None:
    mimic = write(here / "mimic", made())
    models = ("-m", "openai:one", "-m", "llamacpp:two.gguf")
    finished("paper.yaml", *models, *SMALL, "--data", f"mimic={mimic}", "--judge", "openai:judge", "--out", "out")
    for model in ("openai-one", "llamacpp-two.gguf"):
        for name in ("mimic", "weather", "sp500"):
            info = RunDirectory(here / "out" / model / name).info()
            assert info.status == "finished"
            assert info.spec.methods[:4] == METHODS
            assert (info.spec.split, info.spec.sequences, info.spec.steps) == ("held_out", 2, 3)
            settings = info.spec.settings
            assert (settings.budget, settings.rule, settings.feedback) == (4096, "rewrite", "model")
            assert settings.preset.predict.temperature == 0.7
    rows = list(table(here / "out" / "sweep.md"))
    ours = [row for row in rows if row["model"] in ("openai:one", "llamacpp:two.gguf")]
    assert [row["method"] for row in ours] == [method for method in METHODS for _ in range(2)]
    assert all(re.match(r"\**[\d.]+\**( \[|$)", value) for row in ours for value in list(row.values())[2:])
    assert sum(row["method"] == "repeat_last" for row in rows) == 1, "references have no model: they stand there once"
    published = [row for row in rows if row["model"].endswith("(published)")]
    assert {row["sp500: change MSE"] for row in published} == {"3.821", "4.09", "\N{EN DASH}"}
    assert "0.6434" in {row["mimic: diagnoses judged acc@1"] for row in published}


def test_what_is_published_is_what_the_paper_says() -> None:
    sweep = load_sweep("paper")
    found = {(one.run, one.metric, one.method, one.model): one.value for one in sweep.published}
    assert found == {
        ("mimic", "diagnoses.judged_acc@1", "recurrent", "Gemma-3-27B"): 0.6434,
        ("mimic", "diagnoses.judged_acc@1", "memprompt", "Gemma-3-27B"): 0.5175,
        ("mimic", "diagnoses.judged_acc@1", "recurrent", "Llama-3.2-3B"): 0.4545,
        ("mimic", "diagnoses.judged_acc@1", "full_history", "Llama-3.1-70B"): 0.4126,
        ("weather", "forecast.align", "recurrent", "best of its models"): 82.52,
        ("sp500", "change.mse", "recurrent", "GPT-oss-120B"): 3.821,
        ("sp500", "change.mse", "memprompt", "GPT-oss-120B"): 4.09,
        ("sp500", "change.mae", "recurrent", "best of its models"): 1.105,
    }
    assert "2601.13352" in sweep.source


def test_a_run_without_its_data_is_left_out_with_one_line(here: Path, engines: list[ScriptedEngine]) -> None:
    ended = finished("paper.yaml", "-m", "openai:one", *SMALL, "--out", "out")
    lines = [line for line in ended.stderr.splitlines() if line.startswith("mimic")]
    assert lines == ["mimic is left out: its data does not come with this package (bring it: --data mimic=PATH)"]
    page = (here / "out" / "sweep.md").read_text(encoding="utf-8")
    assert "- mimic was left out: its data does not come with this package" in page
    assert sorted(path.name for path in (here / "out" / "openai-one").iterdir()) == ["sp500", "weather"]
    assert json.loads((here / "out" / "sweep.json").read_bytes())["left_out"].keys() == {"mimic"}


def test_the_exit_code_says_so_where_nothing_can_be_run(here: Path, engines: list[ScriptedEngine]) -> None:
    ended = finished("paper.yaml", "--only", "mimic", "--out", "out", code=2)
    assert "nothing of this sweep can be run: its data is missing" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (here / "out").exists()
    assert not engines


def test_resumed_it_runs_what_is_missing_and_nothing_twice(
    mine: str, here: Path, engines: list[ScriptedEngine]
) -> None:
    finished(mine, "-m", "openai:one", "--only", "a", "--out", "out")
    journal = (here / "out/openai-one/a/steps.jsonl").read_bytes()
    before = asked(engines)
    ended = finished(mine, "-m", "openai:one", "-m", "openai:two", "--out", "out", "--resume")
    assert "it is finished already" in ended.stderr
    assert asked(engines) - before == 3 * 4, "run b of one, and both of two, of four steps each"
    assert (here / "out/openai-one/a/steps.jsonl").read_bytes() == journal
    before = asked(engines)
    finished(mine, "-m", "openai:one", "-m", "openai:two", "--out", "out", "--resume")
    assert asked(engines) == before
    rows = [row for row in table(here / "out/sweep.md") if row["method"] == "zero_shot"]
    assert [row["model"] for row in rows] == ["openai:one", "openai:two"]


def test_one_more_method_is_run_alone(mine: str, here: Path, engines: list[ScriptedEngine]) -> None:
    finished(mine, "-m", "openai:one", "--only", "a", "--out", "out")
    before = asked(engines)
    more = (mine, "-m", "openai:one", "--only", "a", "--out", "out", "--methods", "zero_shot,full_history", "--resume")
    finished(*more)
    assert asked(engines) - before == 4
    assert {"zero_shot", "full_history"} <= {row["method"] for row in table(here / "out/sweep.md")}
    assert "it is finished already" in finished(*more).stderr


def test_an_interrupted_sweep_says_how_to_go_on_and_goes_on(
    mine: str, here: Path, engines: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, calls = interrupts.run, iter([False, True])

    def interrupted(coroutine: Any) -> Any:
        if next(calls, False):
            coroutine.close()
            raise KeyboardInterrupt
        return run(coroutine)

    monkeypatch.setattr(interrupts, "run", interrupted)
    ended = finished(mine, "-m", "openai:one", "--out", "out", code=130)
    assert "llm-as-rnn sweep mine.yaml -m openai:one --out out --resume" in ended.stderr
    assert not (here / "out/sweep.md").exists()
    monkeypatch.undo()
    monkeypatch.chdir(here)
    monkeypatch.setattr(
        "llm_as_rnn.cli.running.resolve", lambda model, **_: ScriptedEngine(answer, EngineInfo(model, "d"))
    )
    finished(mine, "-m", "openai:one", "--out", "out", "--resume")
    assert (here / "out/sweep.md").exists()


def test_its_runs_are_ordinary_ones(mine: str, here: Path, engines: list[ScriptedEngine]) -> None:
    finished(mine, "-m", "openai:one", "--out", "out")
    info = RunDirectory(here / "out/openai-one/b").info()
    assert (info.spec.settings.budget, info.spec.delay, info.spec.split) == (60, 1, "development")
    assert command("report", "out/openai-one/a").returncode == 0
    spec = ("--methods", "zero_shot", "--sequences", "2", "--steps", "2", "--split", "held_out")
    before = asked(engines)
    again = command("run", "weather", "-m", "openai:one", *spec, "--out", "out/openai-one/a", "--resume")
    assert again.returncode == 0, again.stderr
    assert asked(engines) == before


def test_what_the_user_says_stands_before_the_sweep(mine: str, here: Path, engines: list[ScriptedEngine]) -> None:
    finished(mine, "-m", "openai:one", "--budget", "70", "--steps", "3", "--methods", "recurrent", "--out", "out")
    for name in ("a", "b"):
        spec = RunDirectory(here / "out/openai-one" / name).info().spec
        assert (spec.settings.budget, spec.steps, spec.methods[0]) == (70, 3, "recurrent")


def test_without_a_method_that_asks_one_no_model_is_made(mine: str, here: Path, engines: list[ScriptedEngine]) -> None:
    finished(mine, "--methods", "nearest_case", "-m", "openai:one", "-m", "openai:two", "--out", "out")
    assert not engines
    assert [path.name for path in (here / "out").iterdir() if path.is_dir()] == ["no-model"]


def test_a_model_elsewhere_is_refused_before_any_run(here: Path, engines: list[ScriptedEngine]) -> None:
    mimic = write(here / "mimic", made())
    words = ("paper", "-m", "openai:here", "-m", "openai:elsewhere", "--data", f"mimic={mimic}", "--out", "out")
    ended = finished(*words, *SMALL, code=2)
    assert "must not leave this machine" in ended.stderr
    assert not (here / "out").exists()
    assert asked(engines) == 0


def test_a_table_of_credentialed_data_is_for_its_owner(here: Path, engines: list[ScriptedEngine]) -> None:
    mimic = write(here / "mimic", made())
    finished("paper", "--only", "mimic", "-m", "openai:one", "--data", f"mimic={mimic}", *SMALL, "--out", "out")
    for name in ("sweep.md", "sweep.json"):
        assert (here / "out" / name).stat().st_mode & 0o077 == 0


def test_a_run_that_fails_is_said_and_the_others_go_on(mine: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(model: str, **_server: Any) -> ScriptedEngine:
        return ScriptedEngine(refuse if "broken" in model else answer, EngineInfo(model, "d"))

    monkeypatch.setattr("llm_as_rnn.cli.running.resolve", script)
    ended = finished(mine, "-m", "openai:broken", "-m", "openai:whole", "--out", "out", code=1)
    assert "openai-broken/a is not complete" in ended.stdout
    assert RunDirectory(here / "out/openai-whole/b").info().status == "finished"


@pytest.mark.long
def test_what_failed_is_asked_again_where_that_is_said(mine: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"now": refuse}
    monkeypatch.setattr(
        "llm_as_rnn.cli.running.resolve", lambda model, **_: ScriptedEngine(answers["now"], EngineInfo(model, "d"))
    )
    words = (mine, "-m", "openai:one", "--out", "out")
    finished(*words, code=1)
    answers["now"] = answer
    finished(*words, "--resume", code=1)
    ended = finished(*words, "--resume", "--retry-failed")
    assert ended.stderr.count("set aside and done anew") == 2
    assert (here / "out/openai-one/a/steps.before-retry-1.jsonl").exists()
    assert "it is finished already" in finished(*words, "--resume", "--retry-failed").stderr


def refuse(request: Request) -> str:
    raise RequestRefusedError("too hot")


WRONG = [
    (("nothing",), "there is no sweep 'nothing' (choose one of paper, or give a .yaml file)"),
    (("missing.yaml",), "sweep file missing.yaml does not exist"),
    (("paper", "--only", "wether"), "the sweep has no run 'wether' (did you mean 'weather'?)"),
    (("paper", "--data", "mimic"), "--data mimic names no run and its data (write --data NAME=PATH)"),
    (("paper", "--data", "mimik=x"), "the sweep has no run or task 'mimik' (did you mean 'mimic'?)"),
    (("paper", "--data", "mimic=nowhere"), "nowhere"),
    (("paper", "--methods", "zeroshot"), "there is no method 'zeroshot'"),
    (("paper", "--resume"), "--resume needs to know which run to go on with"),
    (("paper", "--budget", "0"), "budget must be at least 1"),
    (("paper", "-m", "openai:a/x", "-m", "openai:b/x"), "two models would be kept in the same folder"),
    (("paper", "--sequences", "0", "--only", "weather", "-m", "openai:a"), "sequences must be at least 1, not 0"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_one_line(
    arguments: tuple[str, ...], said: str, here: Path, engines: list[ScriptedEngine]
) -> None:
    out = () if "--resume" in arguments else ("--out", "out")
    ended = command("sweep", *arguments, *out)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (here / "out").exists()


def test_a_folder_with_something_in_it_is_not_taken(mine: str, here: Path, engines: list[ScriptedEngine]) -> None:
    (here / "out").mkdir()
    (here / "out" / "letter.txt").write_text("dear")
    ended = finished(mine, "-m", "openai:one", "--out", "out", code=2)
    assert "out is not empty (add --resume to go on with the sweep there, or choose another --out)" in ended.stderr


def test_a_sweep_with_other_settings_is_not_gone_on_with(mine: str, engines: list[ScriptedEngine]) -> None:
    finished(mine, "-m", "openai:one", "--out", "out")
    ended = finished(mine, "-m", "openai:one", "--steps", "3", "--out", "out", "--resume", code=2)
    assert "this run was begun with other settings: steps was 2, now 3" in ended.stderr


@pytest.mark.long
def test_a_sweep_that_has_spent_its_limit_stops_and_goes_on(
    mine: str, here: Path, engines: list[ScriptedEngine]
) -> None:
    finished(mine, "--out", "whole")
    calls = asked(engines)
    engines.clear()
    stopped = finished(mine, "--out", "cut", "--max-tokens", "200", code=1)
    assert "tokens were used, of 200 (--max-tokens)" in stopped.stderr
    assert "--out cut" in stopped.stderr
    first = asked(engines)
    assert 0 < first < calls
    assert not (here / "cut/llamacpp-smollm2-135m/b").exists(), "the next run is not begun"
    finished(mine, "--out", "cut", "--resume")
    assert asked(engines) == calls
    for name in ("a", "b"):
        whole, cut = (RunDirectory(here / out / "llamacpp-smollm2-135m" / name).records() for out in ("whole", "cut"))
        assert [(r.sequence, r.t, r.prediction) for r in whole] == [(r.sequence, r.t, r.prediction) for r in cut]


def test_a_judge_is_paid_for_as_well(here: Path, engines: list[ScriptedEngine]) -> None:
    (here / "prices.toml").write_text('["openai:a"]\nprompt = 1.0\ncompletion = 1.0\n')
    limited = ("--max-cost", "9", "--prices", "prices.toml")
    asking = ("paper.yaml", "--only", "weather", *SMALL, "-m", "openai:a", "--judge", "openai:b", "--out", "out")
    assert "nobody says what openai:b costs" in finished(*asking, *limited, code=2).stderr
    assert asked(engines) == 0


def test_what_a_run_leaves_nothing_for_is_not_judged(here: Path, engines: list[ScriptedEngine]) -> None:
    asking = ("paper.yaml", "--only", "weather", *SMALL, "-m", "openai:a", "--judge", "openai:b", "--out", "out")
    finished(*asking, "--max-tokens", "100", code=1)
    assert sum(len(engine.requests) for engine in engines if engine.info.model == "openai:b") == 0
    assert sum(len(engine.requests) for engine in engines if engine.info.model == "openai:a") > 0


def test_a_dry_run_makes_nothing(mine: str, here: Path, engines: list[ScriptedEngine]) -> None:
    told = finished(mine, "--out", "dry", "--dry-run", "--measure", "0")
    assert asked(engines) == 0
    assert not (here / "dry").exists()
    assert re.search(r"zero_shot +4 ", told.stdout)
    assert "in all: 8 calls" in told.stdout
    finished(mine, "--out", "dry", "--dry-run", "--measure", "1")
    assert asked(engines) == 2, "a step of one sequence of each run"


GRID = """\
title: Which budget?
methods: [zero_shot, recurrent]
grid: {recurrent: {budget: [60, 90], rule: [rewrite]}}
seeds: [0, 1]
runs:
  - {name: a, task: weather, sequences: 3, steps: 4, metrics: [high.mae]}
  - {name: b, task: weather, sequences: 2, steps: 2, metrics: [high.mae], seeds: [5]}
"""


TWO = """\
title: Which method?
methods: [zero_shot, full_history]
runs:
  - {name: a, task: weather, sequences: 4, steps: 4, metrics: [sky.accuracy, high.mae]}
  - {name: late, task: weather, sequences: 4, steps: 4, delay: 2, metrics: [sky.accuracy]}
  - name: b
    task: probe-recall
    sequences: 3
    steps: 6
    methods: [zero_shot, full_history, memprompt]
  - {name: c, task: weather, sequences: 2, steps: 2, metrics: [high.mae], methods: [memprompt]}
"""


@pytest.mark.long
def test_a_grid_is_one_table_of_its_cells_over_all_seeds(here: Path, engines: list[ScriptedEngine]) -> None:
    (here / "grid.yaml").write_text(GRID)
    models = ("-m", "openai:one", "-m", "openai:two")
    ended = finished("grid.yaml", *models, "--out", "out")
    assert sorted(path.name for path in (here / "out/openai-one").iterdir()) == ["a-seed0", "a-seed1", "b"]
    cells = ("zero_shot", "recurrent:budget=60:rule=rewrite", "recurrent:budget=90:rule=rewrite")
    runs = {seed: RunDirectory(here / f"out/openai-one/a-seed{seed}") for seed in (0, 1)}
    assert [runs[seed].info().spec.settings.seed for seed in (0, 1)] == [0, 1]
    assert runs[0].info().spec.methods[:3] == cells
    rows = [row for row in table(here / "out/sweep.md") if row["method"] in cells]
    assert [(row["method"], row["model"]) for row in rows] == [
        (method, model) for method in cells for model in ("openai:one", "openai:two")
    ]
    off = [step.scores["high.abs_error"] for run in runs.values() for step in run.records() if step.method == cells[1]]
    shown = next(row["a: high MAE"] for row in rows if row["method"] == cells[1])
    assert shown.strip("*").startswith(f"{sum(off) / len(off):.2f}"[:3])
    assert len(off) == 2 * 3 * 4

    compared = list(table(here / "out/sweep.md", 1))
    assert [row["method"] for row in compared][:2] == ["zero_shot, openai:one", "zero_shot, openai:two"]
    for column in ("a: high MAE", "b: high MAE"):
        assert [row[column] for row in compared].count("best") == 1
    told = json.loads((here / "out/sweep.json").read_text())
    assert {one["run"] for one in told["against_best"]} == {"a", "b"}
    assert all(one["difference"]["mean"] >= 0 for one in told["against_best"]), "no error is below that of the best"
    assert {one["seed"] for one in told["runs"]} == {0, 1, 5}

    page = (here / "out/sweep.html").read_text(encoding="utf-8")
    assert page.count('<svg class="chart') == 2
    assert all(cell in page for cell in (*cells, "Against the best", "the runs of 2 seeds together"))
    assert "sweep.html" in ended.stdout


def varied(request: Request) -> str:
    """Answer one thing to prompts of one length and another to others: methods come to different scores."""
    schema: dict[str, Any] = request.answer.schema or {}
    length = sum(len(message.content) for message in request.messages)
    options = {name: part["enum"] for name, part in schema.get("properties", {}).items() if "enum" in part}
    return json.dumps(sample(schema) | {name: each[length % len(each)] for name, each in options.items()})


def test_shares_of_right_answers_are_compared_over_all_runs_together(
    here: Path, engines: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.cli.test_sweep.answer", varied)
    (here / "two.yaml").write_text(TWO)
    finished("two.yaml", "--out", "out")
    compared = {row["method"]: row for row in table(here / "out/sweep.md", 1)}
    column = "together: accuracy"
    assert [row[column] for row in compared.values()].count("best") == 1
    assert compared["memprompt"][column] == NONE, "it is not in both runs"
    told = json.loads((here / "out/sweep.json").read_text())
    (found,) = (one for one in told["against_best"] if one["run"] == "together")
    scores = {(run["name"], one["method"]): one["scores"] for run in told["runs"] for one in run["methods"]}
    ours, best = found["method"], found["best"]["method"]

    def apart(run: str, score: str) -> tuple[float, int]:
        one, other = scores[run, ours][score], scores[run, best][score]
        return (one["value"] - other["value"]) * one["steps"], one["steps"]

    of_a, of_late, of_b = apart("a", "sky.accuracy"), apart("late", "sky.accuracy"), apart("b", "content.accuracy")
    days = (of_a[0] + of_late[0]) / (of_a[1] + of_late[1])
    assert found["difference"]["mean"] < 0
    assert found["difference"]["mean"] == pytest.approx((days + of_b[0] / of_b[1]) / 2)
    assert found["difference"]["sequences"] == 4 + 3, "the days of both runs are the same"
    assert found["difference"]["p_holm"] >= found["difference"]["p"]
    assert column in (here / "out/sweep.html").read_text(encoding="utf-8")


def test_a_users_seeds_and_methods_stand_before_the_grids(here: Path, engines: list[ScriptedEngine]) -> None:
    (here / "grid.yaml").write_text(GRID)
    finished("grid.yaml", "--only", "b", "--seeds", "3,4", "--methods", "recurrent:budget=70", "--out", "out")
    for seed in (3, 4):
        spec = RunDirectory(here / f"out/llamacpp-smollm2-135m/b-seed{seed}").info().spec
        assert (spec.methods[0], spec.settings.seed) == ("recurrent:budget=70", seed)
    finished("grid.yaml", "--only", "a", "--seed", "7", "--methods", "zero_shot", "--out", "one")
    assert RunDirectory(here / "one/llamacpp-smollm2-135m/a").info().spec.settings.seed == 7
    for words in ("0,x", "1,1", ""):
        refused = command("sweep", "grid.yaml", "--seeds", words, "--out", "none")
        assert refused.returncode == 2
        assert "are not several seeds" in refused.stderr


def test_its_figures_are_those_of_its_runs_also_where_another_coverage_was_asked_for(
    mine: str, here: Path, engines: list[ScriptedEngine]
) -> None:
    finished(mine, "--only", "a", "--coverage", "0.6", "--steps", "6", "--out", "out")
    told = json.loads((here / "out/sweep.json").read_text())["runs"][0]
    own = json.loads((here / "out" / told["folder"] / "scores.json").read_text())
    assert told["methods"] == own["methods"]
    assert any("interval_score" in one["trust"]["high"]["whole"] for one in own["methods"])
