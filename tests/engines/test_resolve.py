"""Model strings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from llm_as_rnn.core.calls import Message, Request
from llm_as_rnn.core.errors import ModelError, UsageError
from llm_as_rnn.engines import resolve as resolve_module
from llm_as_rnn.engines.cache import CachedEngine
from llm_as_rnn.engines.llamacpp import LlamaCppEngine
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.engines.patience import PatientEngine
from llm_as_rnn.engines.resolve import resolve
from llm_as_rnn.engines.scripted import ScriptedEngine
from llm_as_rnn.engines.sources import Progress
from tests.fake_server import FakeServer

ASK = Request("predict", (Message("user", "sun ->"),))


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Give the names of the models that were pulled; nothing is."""
    names: list[str] = []

    def pull(name: str, progress: Progress | None) -> Path:
        names.append(name)
        return tmp_path / "pulled.gguf"

    monkeypatch.setattr(resolve_module, "pull", pull)
    return names


def test_a_registered_model(pulled: list[str], tmp_path: Path) -> None:
    engine = resolve("llamacpp:smollm2-135m", slots=2, context=512, cache_reuse=16)
    assert isinstance(engine, LlamaCppEngine)
    assert pulled == ["smollm2-135m"]
    assert engine.path == tmp_path / "pulled.gguf"
    assert engine.info.model == "llamacpp:smollm2-135m"
    assert (engine.info.form, engine.info.style, engine.info.budget) == ("line", "completion", 256)
    assert (engine.info.slots, engine.info.context_window) == (2, 512)
    assert "16 tokens" in engine.info.remarks[0]


def test_a_file(pulled: list[str], tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(b"GGUF")
    engine = resolve(f"llamacpp:{path}")
    assert isinstance(engine, LlamaCppEngine)
    assert engine.path == path
    assert engine.info.model == f"llamacpp:{path}"
    assert pulled == []


@pytest.mark.parametrize("name", ["gone.gguf", "some/where/model", "~/gone.gguf"])
def test_a_file_that_is_missing(name: str) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        resolve(f"llamacpp:{name}")


def test_a_model_on_a_server() -> None:
    with FakeServer("vllm", models=["org/m:v1"]) as server:
        engine = resolve("openai:org/m:v1", base_url=server.url, slots=6)
        assert isinstance(engine, PatientEngine)
        assert isinstance(engine.engine, OpenAICompatibleEngine)

        async def run() -> str:
            await engine.open()
            try:
                return (await engine.complete(ASK)).text
            finally:
                await engine.close()

        assert asyncio.run(run()) == "fine"
    assert engine.info.model == "openai:org/m:v1"
    assert (engine.info.slots, engine.info.context_window) == (6, 1024)


def test_a_script(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text('{"role": "predict", "text": "rain"}\n')
    engine = resolve(f"scripted:{path}")
    assert isinstance(engine, ScriptedEngine)
    assert asyncio.run(engine.complete(ASK)).text == "rain"


def test_a_cache_around_it(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text('{"role": "predict", "text": "rain"}\n')
    model = f"scripted:{path}"

    async def run(mode: str) -> str:
        engine = resolve(model, cache_mode=mode, cache_folder=tmp_path / "cache")  # type: ignore[arg-type]
        assert isinstance(engine, CachedEngine)
        await engine.open()
        return (await engine.complete(ASK)).text

    assert asyncio.run(run("record")) == "rain"
    path.unlink()
    assert asyncio.run(run("replay")) == "rain"  # the script is not needed any more


def test_a_replay_pulls_nothing(pulled: list[str], tmp_path: Path) -> None:
    resolve("llamacpp:smollm2-135m", cache_mode="replay", cache_folder=tmp_path)
    assert pulled == []


def test_a_cache_folder_alone_caches_nothing(pulled: list[str], tmp_path: Path) -> None:
    assert isinstance(resolve("llamacpp:smollm2-135m", cache_folder=tmp_path), LlamaCppEngine)


def test_a_cache_without_a_folder() -> None:
    with pytest.raises(UsageError, match="a cache needs a folder"):
        resolve("openai:m", cache_mode="record")


def test_an_address_for_a_model_that_is_here() -> None:
    with pytest.raises(ModelError, match="not on a server"):
        resolve("llamacpp:smollm2-135m", base_url="http://127.0.0.1:1/v1")


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("smollm2-135m", "did you mean llamacpp:smollm2-135m?"),
        ("llama-cpp:x", "did you mean llamacpp:x?"),
        ("open-ai:gpt-x", "did you mean openai:gpt-x?"),
        ("openai", "did you mean openai:...?"),
        ("openai:", "did you mean openai:...?"),
        ("my/model.gguf", "did you mean llamacpp:my/model.gguf?"),
        ("", "write llamacpp:NAME or llamacpp:FILE.gguf, openai:MODEL, scripted:FILE.jsonl"),
        ("zzz:zzz", "names no model (write "),
    ],
)
def test_strings_that_name_nothing(model: str, meant: str) -> None:
    with pytest.raises(ModelError) as caught:
        resolve(model)
    assert meant in str(caught.value)


def test_a_registered_name_that_is_misspelt() -> None:
    with pytest.raises(ModelError, match="there is smollm2-135m"):
        resolve("llamacpp:smollm-135m")


@pytest.mark.parametrize("model", ["openai:m", "scripted:answers.jsonl"])
def test_only_the_embedded_engine_is_told_how_to_use_its_cache(model: str) -> None:
    with pytest.raises(ModelError, match="keeps its cache itself"):
        resolve(model, cache_reuse=16)
