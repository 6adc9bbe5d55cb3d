"""One declaration of settings: what it takes to add one, what is refused, and that everybody has the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import llm_as_rnn
from llm_as_rnn.catalogue import resolve
from llm_as_rnn.cli.commands.judge import judge
from llm_as_rnn.cli.commands.predict import predict
from llm_as_rnn.cli.commands.run import run
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import UsageError
from llm_as_rnn.core.knobs import knobs, wanted
from llm_as_rnn.core.settings import BETWEEN_SEQUENCES, Settings
from llm_as_rnn.recurrence.rules import RULES, suited, traits
from llm_as_rnn.runs.defaults import JUDGED_BY
from llm_as_rnn.streams.learner import Learner
from llm_as_rnn.streams.settings import StreamSettings

ANEW = {"base_url", "context", "timeout", "patience", "prompts", "allow_remote_data"}
"""What is said of an engine and its data each time."""


def options(command: click.Command) -> set[str]:
    """Give the names by which a command's options are written."""
    written = {
        word for one in command.params if isinstance(one, click.Option) for word in (*one.opts, *one.secondary_opts)
    }
    return {word.removeprefix("--").replace("-", "_") for word in written}


def test_commands_have_the_same_settings_under_the_same_names() -> None:
    every = set(knobs(Settings))
    assert every | ANEW <= options(run)
    assert (every - set(BETWEEN_SEQUENCES)) | set(knobs(StreamSettings)) | ANEW <= options(predict)
    assert set(JUDGED_BY) | ANEW <= options(judge)


def test_the_library_has_them_too() -> None:
    with Learner("weather", method="repeat_last", seed=3, form="line", sampling="paper", policy="replay") as learner:
        assert {name: learner.choices[name] for name in ("seed", "form", "sampling", "policy")} == {
            "seed": 3, "form": "line", "sampling": "paper", "policy": "replay",
        }  # fmt: skip
        assert set(learner.choices) == set(knobs(Settings, StreamSettings))


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"budgets": 3}, r"there is no setting 'budgets' \(choose from form, style"),
        ({"budget": 0}, r"budget must be at least 1, not 0 \(correct --budget\)"),
        ({"budget": "64"}, r"budget must be a whole number, not '64'"),
        ({"budget": True}, r"budget must be a whole number, not True"),
        ({"watch": "yes"}, r"watch must be true or false, not 'yes'"),
        ({"form": "xml"}, r"form must be one of json, line, not 'xml'"),
        ({"sampling": "hot"}, r"sampling must be one of greedy, paper, not 'hot'"),
        ({"seed": -1}, r"seed must be at least 0, not -1"),
        ({"feedback": "mother"}, r"there is no feedback 'mother'"),
        ({"when": "never"}, r"there is no update policy 'never'"),
        ({"rule": "rote"}, r"there is no update rule 'rote' \(choose from rewrite"),
        ({"max_waiting": 5}, r"there is no setting 'max_waiting'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(named: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said}") as caught:
        resolve(named, EngineInfo("m"))
    assert "\n" not in str(caught.value)


def test_nothing_said_is_what_suits_the_model() -> None:
    small = EngineInfo("m", form="line", style="completion", budget=256, echo=3, context_window=4096)
    settings = resolve({}, small)
    assert settings == resolve(dict.fromkeys(knobs(Settings)), small)
    assert (settings.form, settings.style, settings.layout, settings.budget) == ("line", "completion", "separate", 256)
    assert (settings.rule, settings.echo, settings.window, settings.feedback) == ("cases", 3, 4096, "auto")
    large = resolve({"thinking": 1000}, EngineInfo("m", context_window=20_000))
    assert (large.form, large.layout, large.budget, large.rule, large.window) == (
        "json", "chained", 4096, "cases", 19_000,
    )  # fmt: skip


def test_what_is_decided_later_is_not_decided_yet() -> None:
    asked = wanted({"seed": 4}, Settings)
    assert {name for name, value in asked.items() if value is None} == {
        "form", "style", "layout", "budget", "feedback", "rule", "recall", "echo", "chances", "choose", "calibrate",
        "abstain_above", "abstain_wider", "hide_empty",
    }  # fmt: skip


def test_the_rule_that_suits_follows_from_traits() -> None:
    assert suited("auto", "model") == "cases"
    assert suited("auto", "judge+scorecard") == "cases"
    assert suited("auto", "judge") == "rewrite"
    assert [name for name in RULES if traits(name).wants_critic(told=False)] == ["rewrite", "delta"]
    assert [name for name in RULES if traits(name).wants_critic(told=True)] == ["rewrite"]
    assert [name for name in RULES if traits(name).notes_cases(told=True)] == ["delta", "cases", "hybrid", "append"]


class TestAdding:
    """A setting is added to a copy of the declaration, and to nothing else."""

    @pytest.fixture
    def copied(self, tmp_path: Path) -> dict[str, str]:
        source = tmp_path / "src" / "llm_as_rnn"
        shutil.copytree(Path(llm_as_rnn.__file__).parent, source, ignore=shutil.ignore_patterns("__pycache__"))
        declaration = source / "core" / "settings.py"
        before = "    thinking: Annotated[\n"
        assert before in declaration.read_text()
        declaration.write_text(
            declaration.read_text().replace(
                before, f'    mood: Annotated[int, knob("How merry it is.", least=1)] = 3\n{before}'
            )
        )
        return {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "COLUMNS": "100"}

    def test_it_is_on_the_command_line_in_the_library_and_in_run_json(
        self, copied: dict[str, str], tmp_path: Path
    ) -> None:
        def give(*words: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, *words]
            return subprocess.run(command, env=copied, cwd=tmp_path, capture_output=True, text=True, check=False)

        for command in ("run", "predict"):
            assert "--mood INTEGER" in give("-m", "llm_as_rnn", command, "--help").stdout
        begin = ["-m", "llm_as_rnn", "run", "weather", "--methods", "repeat_last", "--sequences", "1", "--steps", "2"]
        refused = give(*begin, "--mood", "0", "--out", "no")
        assert (refused.returncode, "mood must be at least 1, not 0" in refused.stderr) == (2, True)
        done = give(*begin, "--mood", "5", "--out", "merry")
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "merry" / "run.json").read_text())["spec"]["settings"]["mood"] == 5
        library = (
            "from llm_as_rnn import Learner\n"
            "learner = Learner('weather', method='repeat_last', mood=7)\n"
            "learner.save('kept.json')\n"
            "assert Learner.load('kept.json').choices['mood'] == 7\n"
            "print(learner.method, learner._settings.mood)\n"
        )
        said = give("-c", library)
        assert said.returncode == 0, said.stderr
        assert said.stdout.split()[-1] == "7"
