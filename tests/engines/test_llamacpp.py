"""The embedded engine: its file checks without a model, all else on the real default model."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec
import pytest

from llm_as_rnn.core.calls import AnswerFormat, Completion, Message, Place, Request, Sampling
from llm_as_rnn.core.chances import full
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, MissingExtraError, ModelError
from llm_as_rnn.core.task import load_task
from llm_as_rnn.engines import models
from llm_as_rnn.engines.llamacpp import LlamaCppEngine
from llm_as_rnn.engines.naming import DEFAULT_NAME
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine
from llm_as_rnn.recurrence.memory import Bounds, answer_format

T = TypeVar("T")

CONTEXT = 256
SKY = AnswerFormat("sky", gbnf='root ::= " "? ("sun" | "rain" | "fog")')
OBJECT = AnswerFormat(
    "weather",
    schema={
        "type": "object",
        "properties": {"sky": {"enum": ["sun", "rain"]}, "high": {"type": "integer"}},
        "required": ["sky", "high"],
        "additionalProperties": False,
    },
)


def line(text: str, **fields: Any) -> Request:
    fields = {"style": "completion", "sampling": Sampling(max_tokens=24, stop=("\n",)), **fields}
    return Request("predict", (Message("user", text),), **fields)


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[LlamaCppEngine]:
    entry = models.registered(DEFAULT_NAME)
    engine = LlamaCppEngine(path, entry=entry, **{"context": CONTEXT, "slots": 2, "threads": 1, **options})
    await engine.open()
    try:
        yield engine
    finally:
        await engine.close()


def on(path: Path, use: Callable[[LlamaCppEngine], Awaitable[T]], **options: Any) -> T:
    """Run something on an open engine."""

    async def run() -> T:
        async with opened(path, **options) as engine:
            return await use(engine)

    return asyncio.run(run())


def address(engine: LlamaCppEngine) -> str:
    return str(engine._server.listening_address)


class TestFiles:
    """Files that cannot be run are named before anything is loaded."""

    @pytest.mark.parametrize(("content", "said"), [(b"", "no GGUF file"), (b"PK\x03\x04" * 9, "no GGUF file")])
    def test_something_else(self, tmp_path: Path, content: bytes, said: str) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=said):
            asyncio.run(LlamaCppEngine(path).open())

    @pytest.mark.parametrize("name", ["gone.gguf", "."])
    def test_no_file(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ModelError, match=r"cannot be read: (No such file|it is a directory)"):
            asyncio.run(LlamaCppEngine(tmp_path / name).open())

    def test_llama_cpp_is_not_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(b"GGUF")
        monkeypatch.setitem(sys.modules, "xllamacpp", None)
        with pytest.raises(MissingExtraError, match=r"pip install 'llm-as-rnn\[llamacpp\]'"):
            asyncio.run(LlamaCppEngine(path).open())

    def test_a_header_and_nothing_behind_it(self, tmp_path: Path) -> None:
        pytest.importorskip("xllamacpp")
        path = tmp_path / "model.gguf"
        path.write_bytes(b"GGUF" + bytes(60))
        with pytest.raises(ModelError, match=r"cannot load .*model.gguf \(64 bytes\)"):
            asyncio.run(LlamaCppEngine(path).open())

    @pytest.mark.model
    def test_a_file_that_lacks_its_end(self, model_file: Path, tmp_path: Path) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(model_file.read_bytes()[:-1000])
        with pytest.raises(ModelError, match="cut short or damaged"):
            asyncio.run(LlamaCppEngine(path, context=64, slots=1).open())

    def test_a_small_model_gets_no_larger_window_than_it_has(self) -> None:
        entry = models.registered(DEFAULT_NAME)
        assert LlamaCppEngine(Path("x"), entry=entry).info.context_window == 4096
        assert LlamaCppEngine(Path("x"), context=64).info.context_window == 64

    def test_used_before_opening(self) -> None:
        with pytest.raises(EngineUnavailableError, match="not open"):
            asyncio.run(LlamaCppEngine(Path("x")).complete(line("sun ->")))


@pytest.mark.model
class TestModel:
    """What the real model does, whatever it says."""

    def test_what_it_is(self, model_file: Path) -> None:
        async def use(engine: LlamaCppEngine) -> None:
            info = engine.info
            assert (info.context_window, info.slots, info.tokenizer) == (1024, 3, "exact")
            assert info.digest == models.registered(DEFAULT_NAME).sha256
            assert info.model == f"llamacpp:{model_file}"

        on(model_file, use, context=1024, slots=3)

    def test_answers_are_held_to_their_format(self, model_file: Path) -> None:
        async def use(engine: LlamaCppEngine) -> None:
            hot = Sampling(temperature=1.5, max_tokens=60)
            for style in ("completion", "chat"):
                label = await engine.complete(line("sun -> rain\nrain ->", style=style, answer=SKY, sampling=hot))
                assert label.text.strip() in ("sun", "rain", "fog")
                values = await engine.complete(line("Give a JSON object.", style=style, answer=OBJECT, sampling=hot))
                if values.finish_reason == "stop":
                    assert json.loads(values.text).keys() == {"sky", "high"}
                else:
                    assert re.match(r'\{\s*"sky"', values.text)

        on(model_file, use)

    def test_the_grammar_of_a_large_memory_is_taken(self, model_file: Path) -> None:
        task = load_task("probe-recall")
        memory = answer_format(task, "line", Bounds.within(4096, len(task.memory)))

        async def use(engine: LlamaCppEngine) -> None:
            written = await engine.complete(line("A memory:", answer=memory, sampling=Sampling(max_tokens=24)))
            assert written.text.lstrip("\n").startswith(f"## {task.memory[0].name}\n- ")

        on(model_file, use)

    def test_limits_and_stops(self, model_file: Path) -> None:
        async def use(engine: LlamaCppEngine) -> None:
            cut = await engine.complete(line("Once upon a time", sampling=Sampling(max_tokens=3)))
            assert (cut.finish_reason, cut.completion_tokens) == ("length", 3)
            stopped = await engine.complete(line("1, 2, 3,", sampling=Sampling(max_tokens=50, stop=(",",))))
            assert stopped.finish_reason == "stop"
            assert "," not in stopped.text

        on(model_file, use)

    def test_a_prompt_that_was_read_before_is_not_read_again(self, model_file: Path) -> None:
        async def use(engine: LlamaCppEngine) -> None:
            common = "sky today -> sky tomorrow\n" + "rain -> rain\n" * 20
            first = await engine.complete(line(common + "sun ->", answer=SKY))
            second = await engine.complete(line(common + "fog ->", answer=SKY))
            assert first.cached_tokens is not None
            assert second.cached_tokens is not None
            assert second.cached_tokens > first.cached_tokens
            assert second.cached_tokens > 60

        on(model_file, use)

    @pytest.mark.parametrize("reuse", [0, 16])
    def test_what_moved_is_taken_from_the_cache_where_that_is_wanted(self, model_file: Path, reuse: int) -> None:
        async def use(engine: LlamaCppEngine) -> int:
            stays = "".join(f"rain on day {number} -> fog on the next\n" for number in range(6))
            await engine.complete(line(f"sun -> sun\nfog -> rain\n{stays}sun ->", answer=SKY))
            moved = await engine.complete(line(f"fog -> rain\n{stays}sun ->", answer=SKY))
            assert moved.cached_tokens is not None
            return moved.cached_tokens

        cached = on(model_file, use, slots=1, cache_reuse=reuse)
        assert cached > 50 if reuse else cached < 10

    def test_what_is_reused_is_remarked(self, model_file: Path) -> None:
        assert LlamaCppEngine(model_file).info.remarks == ()
        assert "where it moved, in stretches of 16 tokens" in LlamaCppEngine(model_file, cache_reuse=16).info.remarks[0]

    def test_the_same_seed_gives_the_same_answer(self, model_file: Path) -> None:
        async def use(engine: LlamaCppEngine) -> None:
            draws = [Sampling(temperature=1.0, max_tokens=12, seed=seed) for seed in (1, 1, 2)]
            texts = [(await engine.complete(line("Once upon a time", sampling=draw))).text for draw in draws]
            assert texts[0] == texts[1] != texts[2]

        on(model_file, use)

    def test_counts_are_exact(self, model_file: Path) -> None:
        async def use(engine: LlamaCppEngine) -> None:
            assert await engine.count_tokens("") == 0
            first, second = "sun, 12.5", "\nrain, 9.0"
            whole = await engine.count_tokens(first + second)
            assert whole == await engine.count_tokens(first) + await engine.count_tokens(second)
            asked = await engine.complete(line(first + second))
            assert asked.prompt_tokens == whole  # this model puts nothing before a text

        on(model_file, use)

    def test_a_prompt_that_does_not_fit_is_an_error(self, model_file: Path) -> None:
        async def use(engine: LlamaCppEngine) -> Completion:
            with pytest.raises(EngineError, match=r"^llama.cpp answered 400: .*exceeds") as caught:
                await engine.complete(line("rain " * (CONTEXT + 100)))
            assert not isinstance(caught.value, EngineUnavailableError)
            return await engine.complete(line("sun ->", answer=SKY))  # and it lives on

        assert on(model_file, use).text

    @pytest.mark.long
    def test_a_context_belongs_to_each_slot(self, model_file: Path) -> None:
        async def use(engine: LlamaCppEngine) -> list[Completion]:
            long = ("rain " * (CONTEXT - 60), "snow " * (CONTEXT - 60))
            return await asyncio.gather(*(engine.complete(line(text, answer=SKY)) for text in long))

        assert all(completion.prompt_tokens > CONTEXT - 100 for completion in on(model_file, use))

    def test_only_who_has_the_key_is_served(self, model_file: Path) -> None:
        async def use(engine: LlamaCppEngine) -> None:
            assert urlsplit(address(engine)).hostname == "127.0.0.1"
            async with httpx2.AsyncClient(base_url=address(engine), trust_env=False) as stranger:
                for path in ("/v1/completions", "/tokenize"):
                    reply = await stranger.post(path, json={"prompt": "a", "content": "a", "max_tokens": 1})
                    assert reply.status_code == 401
                for path in ("/props", "/slots", "/v1/models"):
                    assert (await stranger.get(path)).status_code in (401, 501)
                foreign = {"Origin": "http://evil.example"}
                reply = await stranger.get("/health", headers=foreign)
                assert reply.headers.get("access-control-allow-origin") not in ("*", foreign["Origin"])
                assert (await stranger.get("/")).status_code in (401, 404)  # no page

        on(model_file, use)

    def test_close_frees_the_port(self, model_file: Path) -> None:
        async def run() -> None:
            async with opened(model_file) as engine:
                at = urlsplit(address(engine))
                socket.create_connection((at.hostname or "", at.port or 0)).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((at.hostname or "", at.port or 0))
            with pytest.raises(EngineUnavailableError, match="not open"):
                await engine.complete(line("sun ->"))
            await engine.close()  # twice does no harm

        asyncio.run(run())

    def test_a_start_that_fails_leaves_nothing_behind(self, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        addresses: list[str] = []

        async def broken(engine: OpenAICompatibleEngine) -> None:
            addresses.append(engine.url)
            raise EngineUnavailableError("no")

        monkeypatch.setattr(OpenAICompatibleEngine, "open", broken)
        with pytest.raises(EngineUnavailableError, match="no"):
            asyncio.run(LlamaCppEngine(model_file, context=CONTEXT, slots=1, threads=1).open())
        at = urlsplit(addresses[0])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((at.hostname or "", at.port or 0))

    def test_two_engines_at_once(self, model_file: Path) -> None:
        async def run() -> None:
            async with opened(model_file, slots=1) as first, opened(model_file, slots=1) as second:
                assert address(first) != address(second)
                assert await first.count_tokens("a b") == await second.count_tokens("a b")

        asyncio.run(run())

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_forked_child_is_told_to_spawn(self, model_file: Path) -> None:
        async def use(engine: LlamaCppEngine) -> None:
            read, write = os.pipe()
            child = multiprocessing.get_context("fork").Process(target=in_child, args=(engine, write))
            child.start()
            os.close(write)
            patience = threading.Timer(20, child.kill)
            patience.start()
            with os.fdopen(read) as said:
                text = said.read()
            child.join()
            patience.cancel()
            assert child.exitcode == 0
            assert "forked process" in text
            assert "spawn" in text
            assert (await engine.complete(line("sun ->", answer=SKY))).text  # the parent's works on

        on(model_file, use)

    def test_it_writes_nothing_of_its_own(self, model_file: Path) -> None:
        script = (
            "import asyncio, sys; from pathlib import Path\n"
            "from llm_as_rnn.engines.llamacpp import LlamaCppEngine\n"
            "async def run():\n"
            "    engine = LlamaCppEngine(Path(sys.argv[1]), context=64, slots=1, threads=1)\n"
            "    await engine.open(); await engine.count_tokens('a'); await engine.close()\n"
            "asyncio.run(run())"
        )
        ended = subprocess.run([sys.executable, "-c", script, str(model_file)], capture_output=True, check=True)
        assert (ended.stdout, ended.stderr) == (b"", b"")


def in_child(engine: LlamaCppEngine, write: int) -> None:
    """Try to use the parent's engine, and let go of it."""

    async def run() -> str:
        try:
            await engine.complete(line("sun ->"))
        except EngineUnavailableError as error:
            return str(error)
        finally:
            await engine.close()
            engine._server = None  # as if nobody held it any more: to free it would wait for ever
        return "it answered"

    with os.fdopen(write, "w") as said:
        said.write(asyncio.run(run()))


@pytest.mark.model
def test_it_tells_how_likely_it_held_each_option(model_file: Path) -> None:
    options = ("sun", "rain", "fog")
    text = "rain, 3 -> rain\n\nsun, 20 -> sun\n\nsun, 21 -> sun\n\nfog, 5 ->"
    wanted = msgspec.structs.replace(SKY, places=(Place("sky", r"^\s*", options),))
    chat = msgspec.structs.replace(OBJECT, places=(Place("sky", r'"sky"\s*:\s*"', ("sun", "rain"), quoted=True),))
    asked = [
        line(text, answer=wanted),
        line(text, answer=SKY),
        line("Answer in JSON with sky and high.", answer=chat, style="chat", sampling=Sampling(max_tokens=48)),
    ]

    async def ask(engine: LlamaCppEngine) -> list[Completion]:
        return [await engine.complete(request) for request in asked]

    told, silent, object_ = on(model_file, ask)
    assert silent.chances == {}
    assert silent.text == told.text
    chances = full(options, told.chances["sky"])
    assert max(chances, key=lambda option: chances[option]) == told.text.strip()
    assert full(("sun", "rain"), object_.chances["sky"])[json.loads(object_.text)["sky"]] > 0.5
