"""The public names: a change here is a change for users."""

from __future__ import annotations

import subprocess
import sys

import pytest

import llm_as_rnn


def test_public_names_are_pinned_and_there() -> None:
    assert dir(llm_as_rnn) == [
        "AsyncClient", "AsyncLearner", "Client", "Learner", "LlmAsRnnError", "Run", "SharedEngine", "Task",
        "__version__", "load_task",
    ]  # fmt: skip
    for name in llm_as_rnn.__all__:
        assert getattr(llm_as_rnn, name) is not None


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="Lerner"):
        llm_as_rnn.Lerner  # noqa: B018


@pytest.mark.parametrize("module", ["httpx2", "xllamacpp", "jinja2", "numpy", "rich", "scipy", "yaml"])
def test_importing_the_package_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, llm_as_rnn, llm_as_rnn.cli.main; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("module", ["numpy", "scipy"])
@pytest.mark.parametrize("command", ["run", "predict", "report"])
def test_a_command_that_only_says_what_it_does_waits_for_no_statistics(command: str, module: str) -> None:
    code = f"import sys, llm_as_rnn.cli.{command}; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
