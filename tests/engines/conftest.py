"""What tests of engines share: no key of the developer's own is used, and nothing waits."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLM_AS_RNN_MODELS", str(tmp_path / "models"))


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attempts follow each other at once."""
    monkeypatch.setattr("llm_as_rnn.engines.wire.FIRST_WAIT", 0.001)
    monkeypatch.setattr("llm_as_rnn.engines.sources.BACKOFF", 0.0)
