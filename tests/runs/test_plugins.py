"""What other packages bring is found by its name and used as ours is; what is broken is a line, and costs nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_as_rnn.core.errors import DatasetError, UsageError
from llm_as_rnn.core.plugins import Plugins
from tests.cli.commands import Ended, process

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "examples" / "plugin"
HERE = f"{ROOT / 'src'}{os.pathsep}{ROOT}"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the template as a user would, but without a network and beside what is installed."""
    pytest.importorskip("hatchling", reason="it builds the package: pip install '.[dev]'")
    folder = tmp_path_factory.mktemp("plugin")
    source, there = folder / "source", folder / "there"
    shutil.copytree(TEMPLATE, source)  # building leaves traces
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(there), str(source)], check=True, capture_output=True, timeout=120)
    return there


def with_path(folder: Path, *words: str) -> Ended:
    return process(*words, PYTHONPATH=f"{HERE}{os.pathsep}{folder}")


def test_the_template_is_listed(template: Path) -> None:
    told = json.loads(with_path(template, "doctor", "--json").stdout)
    brought = {(it["kind"], it["name"], it["package"]) for it in told["plugins"]}
    whose = "llm-as-rnn-tides 0.1.0"
    names = [
        ("dataset", "tides"),
        ("method", "last_few"),
        ("rule", "latest"),
        ("engine", "almanac"),
        ("score", "in_range"),
    ]
    assert brought == {(kind, name, whose) for kind, name in names}
    assert told["troubles"] == []
    listed = with_path(template, "data", "list").stdout
    assert "the height of the next tide" in listed


def test_a_run_uses_all_of_it(template: Path, tmp_path: Path) -> None:
    task = str(TEMPLATE / "tides.yaml")
    words = [
        "--model",
        "almanac:north-sea",
        "--methods",
        "last_few,recurrent:latest",
        "--sequences",
        "2",
        "--steps",
        "4",
    ]
    ran = with_path(template, "run", task, *words, "--out", str(tmp_path / "run"))
    assert ran.returncode == 0, ran.stderr
    scores = json.loads((tmp_path / "run" / "scores.json").read_bytes())
    methods = {row["method"]: row for row in scores["methods"]}
    assert {"last_few", "recurrent:latest"} <= set(methods)
    assert methods["last_few"]["scores"]["tide.in_range"]["value"] == 0.0
    steps = [json.loads(line) for line in (tmp_path / "run" / "steps.jsonl").read_text().splitlines()]
    assert any(step.get("update", {}).get("code") == "added" for step in steps)


@pytest.mark.long
def test_a_run_has_its_rule(template: Path, tmp_path: Path) -> None:
    task = str(TEMPLATE / "tides.yaml")
    chosen = with_path(
        *(template, "run", task, "--model", "almanac:north-sea", "--methods", "recurrent", "--rule", "latest"),
        *("--sequences", "1", "--steps", "2", "--out", str(tmp_path / "chosen")),
    )
    assert chosen.returncode == 0, chosen.stderr
    assert '"rule":"latest"' in (tmp_path / "chosen" / "run.json").read_text().replace(" ", "")


@pytest.mark.long
def test_its_own_tests_pass(template: Path) -> None:
    """They are the shipped checks, over each thing that it brings."""
    alone = ["-c", os.devnull, "--rootdir", str(TEMPLATE), "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *alone, str(TEMPLATE / "tests")],
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{template}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


def test_a_learner_has_it_too(template: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from llm_as_rnn import Learner
ABOUT = {{"harbour": "Husum"}}
with Learner({str(TEMPLATE / "tides.yaml")!r}, method="recurrent:latest", model="almanac:channel", about=ABOUT) as it:
    p = it.predict_one({{"level": 3.0, "moon": "new"}})
    it.learn_one(p.id, {{"tide": 4.0}})
    print(it.memory)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{template}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Husum, 3.0 m, new moon -> 4.0" in done.stdout.replace("3 m", "3.0 m")


# --- what is broken -------------------------------------------------------------------------------------------------

BROKEN = """
[llm_as_rnn.datasets]
weather = wrecks:DATA
lost = wrecks:LOST
gone = nobodys:DATA
odd = wrecks:DATA
[llm_as_rnn.methods]
recurrent = wrecks:DATA
leaky = wrecks:DATA
[llm_as_rnn.rules]
cases = wrecks:DATA
auto = wrecks:DATA
loud = explosive:RULE
leaving = leaver:RULE
[llm_as_rnn.engines]
openai = wrecks:make
sinking = wrecks:sink
other = wrecks:other
[llm_as_rnn.scores]
facts = wrecks:DATA
flat = wrecks:DATA
a:b = wrecks:DATA
"""


@pytest.fixture
def wrecks(tmp_path: Path) -> Path:
    folder = tmp_path / "wrecks"
    info = folder / "wrecks-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrecks\nVersion: 2.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(BROKEN, encoding="utf-8")
    (folder / "wrecks.py").write_text(
        "DATA = 7\n"
        "def sink(name, options): raise ValueError('a hole\\nin the hull')\n"
        "def other(name, options):\n"
        "    from llm_as_rnn.engines.scripted import ScriptedEngine\n"
        "    return ScriptedEngine(lambda request: 'sun')\n",
        encoding="utf-8",
    )
    (folder / "explosive.py").write_text("1 / 0\n", encoding="utf-8")
    (folder / "leaver.py").write_text("import sys; sys.exit('bye')\n", encoding="utf-8")
    return folder


def test_each_wreck_is_one_line(wrecks: Path) -> None:
    done = with_path(wrecks, "doctor", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    lines = told["troubles"]
    assert all("\n" not in line and "wrecks 2.0" in line for line in lines)
    found = {line.split("'")[1]: line for line in lines}
    refused = {"weather", "recurrent", "cases", "auto", "openai", "facts", "a:b"}
    assert {name for name, line in found.items() if "is refused" in line} == refused
    assert set(found) == {*refused, "lost", "gone", "odd", "leaky", "loud", "leaving", "flat"}
    assert "ZeroDivisionError" in found["loud"]
    assert "SystemExit: bye" in found["leaving"]
    assert "it is no Dataset" in found["odd"]
    assert len(lines) == len(found)


def test_wrecks_cost_nothing_else(wrecks: Path, tmp_path: Path) -> None:
    plain, wrecked = process("data", "list"), with_path(wrecks, "data", "list")
    assert (wrecked.returncode, wrecked.stdout) == (0, plain.stdout)
    assert len(wrecked.stderr.splitlines()) == 4, wrecked.stderr
    script = tmp_path / "script.jsonl"
    script.write_text('{"role": "predict", "text": "rain, 9.5"}\n', encoding="utf-8")
    words = ["--methods", "zero_shot", "--sequences", "2", "--steps", "2", "--out", str(tmp_path / "run")]
    ran = with_path(wrecks, "run", "weather", "-m", f"scripted:{script}", *words)
    assert ran.returncode == 0, ran.stderr
    said = [line for line in ran.stderr.splitlines() if "wrecks" in line]
    assert said == ["the dataset 'weather' of wrecks 2.0 is refused: there is one of ours"]


def test_a_score_is_found_past_wrecks(wrecks: Path) -> None:
    """Whoever looks a score up goes through all datasets: those that are broken are left out."""
    code = "import llm_as_rnn.core.extras as e; print(e.offered('nobodys'), 'facts' in e.offers('text'))"
    done = subprocess.run(
        [sys.executable, "-c", f"import llm_as_rnn; {code}"],
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{wrecks}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "None True\n"), done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--methods", "leaky"), "(wrecks:DATA) cannot be used: it is neither a class nor a function"),
        (("--rule", "loud"), "the update rule 'loud' of wrecks 2.0 (explosive:RULE) cannot be had: ZeroDivisionError"),
        (("--methods", "recurrent:leaving"), "cannot be had: SystemExit: bye"),
        (("-m", "sinking:x"), "the engine of sinking:x cannot be made: ValueError: a hole in the hull"),
        (("-m", "other:x"), "the engine of other:x calls itself 'scripted:function'"),
    ],
)
def test_who_asks_for_a_wreck_gets_one_line(wrecks: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"role": "predict", "text": "rain, 9.5"}\n', encoding="utf-8")
    model = () if "-m" in words else ("-m", f"scripted:{script}")
    quick = ("--sequences", "2", "--steps", "2", "--out", str(tmp_path / "run"))
    done = with_path(wrecks, "run", "weather", *model, *quick, *words)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


# --- two packages, and a name of ours: who is told -------------------------------------------------------------------


OURS = "the method 'recurrent' of wrecks 2.0 is refused: there is one of ours"
TWO = "the method 'leaky' of wrecks 2.0 is refused: that of alpha 1.0 counts"


def package(folder: Path, name: str, points: str) -> Path:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    return folder


@pytest.fixture
def both(wrecks: Path) -> Path:
    """Give two packages with the same names, of which the one that comes first in the alphabet has what works."""
    package(wrecks, "alpha", "[llm_as_rnn.methods]\nleaky = alpha:Mine\n[llm_as_rnn.datasets]\nlost = alpha:DATA\n")
    (wrecks / "alpha.py").write_text(
        "from llm_as_rnn.baselines.references import RepeatLast\nDATA = 1\n"
        "class Mine(RepeatLast):\n    name = 'leaky'\n",
        encoding="utf-8",
    )
    return wrecks


SWEEP = """\
title: Two runs
runs:
  - {name: one, task: weather, sequences: 2, steps: 2}
  - {name: other, task: weather, sequences: 2, steps: 2}
methods: [zero_shot]
"""


def test_a_sweep_says_each_once(both: Path, tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(SWEEP, encoding="utf-8")
    (tmp_path / "script.jsonl").write_text('{"role": "predict", "text": "rain, 9.5"}\n', encoding="utf-8")
    words = ("-m", f"scripted:{tmp_path / 'script.jsonl'}", "--methods", "leaky,recurrent", "--dry-run")
    done = with_path(both, "sweep", str(tmp_path / "two.yaml"), *words, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "refused" in line]
    assert said == ["the dataset 'weather' of wrecks 2.0 is refused: there is one of ours", TWO, OURS]


def test_a_service_says_all_that_is_refused(both: Path) -> None:
    """Its sessions may ask for any method and rule."""
    done = with_path(both, "serve", "--database", "nothing://there")
    assert done.returncode == 2
    said = done.stderr.splitlines()
    assert {OURS, TWO} <= set(said)
    assert sum("is refused" in line for line in said) == 9


def test_a_pipe_says_it_when_it_begins_and_when_it_goes_on(both: Path, tmp_path: Path) -> None:
    words = ("predict", "weather", "--state", str(tmp_path / "s.json"), "--method", "leaky")
    for _ in range(2):
        done = with_path(both, *words)
        assert (done.returncode, done.stderr.splitlines()) == (0, [TWO]), done.stderr


def test_a_learner_warns_in_a_line(both: Path) -> None:
    code = "from llm_as_rnn import Learner; it = Learner('weather', method='leaky'); print(type(it).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{both}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "Learner\n", done.stderr
    assert f"RefusedPluginWarning: {TWO}" in done.stderr


def test_a_learner_that_asks_for_a_wreck_gets_one_line_too(wrecks: Path) -> None:
    for words, said in (
        ("method='leaky'", "cannot be used: it is neither a class nor a function"),
        ("rule='loud'", "cannot be had: ZeroDivisionError"),
        ("model='sinking:x'", "the engine of sinking:x cannot be made: ValueError: a hole in the hull"),
    ):
        code = (
            "import llm_as_rnn as it\n"
            f"try:\n    with it.Learner('weather', method='recurrent', {words}): pass\n"
            "except it.LlmAsRnnError as error: print(error)\n"
        ).replace("method='recurrent', method", "method")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{wrecks}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert said in done.stdout, (words, done.stdout, done.stderr)
        assert len(done.stdout.splitlines()) == 1


def test_a_package_whose_list_cannot_be_read_costs_nobody_anything(both: Path) -> None:
    package(both, "torn", "[llm_as_rnn.methods]\nno equals sign here\n")
    (both / "nameless-1.0.dist-info").mkdir()
    plain, listed = process("data", "list"), with_path(both, "data", "list")
    assert (listed.returncode, listed.stdout) == (0, plain.stdout), listed.stderr
    told = json.loads(with_path(both, "doctor", "--json").stdout)
    assert ("method", "leaky", "alpha 1.0") in {(it["kind"], it["name"], it["package"]) for it in told["plugins"]}


# --- the list itself ------------------------------------------------------------------------------------------------


class Point:
    """An entry point, as far as it is looked at."""

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value, self.dist = name, value, None


def plugins(monkeypatch: pytest.MonkeyPatch, *points: Point) -> Plugins[Any]:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    return Plugins(
        "thing", "things", lambda: ("ours",), lambda name, _: "too small" if name == "small" else "", DatasetError
    )


def test_the_first_of_two_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = plugins(monkeypatch, Point("pi", "math:pi"), Point("pi", "math:e"), Point("ours", "math:tau"))
    assert found.names() == ["pi"]
    assert found.get("pi") == pytest.approx(3.14159, abs=1e-4)
    assert found.get("ours") is None, "ours stays ours"
    assert [line.rpartition(": ")[2] for line in found.clashes()] == [
        "that of an unknown package counts",
        "there is one of ours",
    ]
    assert found.clashes("pi") == found.clashes()[:1]


def test_working_leaves_out_what_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    found = plugins(monkeypatch, Point("small", "math:pi"), Point("gone", "math:gone"), Point("tau", "math:tau"))
    assert len(list(found.working())) == 1
    assert len(found.troubles()) == 2
    with pytest.raises(UsageError, match="too small"):
        found.get("small")
    with pytest.raises(DatasetError, match="AttributeError"):
        found.get("gone")
