"""What all tests share: no network but the loopback, and the embedded model's file where a test asks for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from llm_as_rnn.core.task import Task, load_task
from llm_as_rnn.datasets.base import Selection, Sequence
from llm_as_rnn.datasets.registry import dataset
from llm_as_rnn.engines.naming import DEFAULT_NAME

HOUSE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("quick", HOUSE)
settings.register_profile("thorough", HOUSE, max_examples=200)
settings.load_profile("thorough" if os.environ.get("LLM_AS_RNN_THOROUGH") else "quick")

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def model_file() -> Path:
    """Give the default model's file, fetched and checked once; LLM_AS_RNN_TEST_MODEL names one that is there."""
    from llm_as_rnn.engines import models  # noqa: PLC0415 - only tests with a real model need it

    named = os.environ.get("LLM_AS_RNN_TEST_MODEL")
    return Path(named) if named else models.pull("smollm2-135m")


@pytest.fixture
def default_model(model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this test and the processes that it starts find the default model by its name, as users do."""
    from llm_as_rnn.engines import models  # noqa: PLC0415 - only tests with a real model need it

    folder = tmp_path / "models"
    folder.mkdir()
    (folder / models.registered(DEFAULT_NAME).file).symlink_to(model_file.resolve())
    monkeypatch.setenv(models.FOLDER_VARIABLE, str(folder))


@pytest.fixture(scope="session")
def weather() -> Task:
    return load_task("weather")


@pytest.fixture(scope="session")
def days() -> list[Sequence]:
    """Give two short sequences of real weather."""
    return dataset("weather").load(Selection(sequences=2, steps=5))
