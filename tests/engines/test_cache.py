"""The response cache: it records, replays, and never keeps an error."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from llm_as_rnn.core.calls import Completion, Message, Request, Sampling
from llm_as_rnn.core.engine import Engine, EngineInfo, Tokenizer
from llm_as_rnn.core.errors import EngineError, EngineUnavailableError, UsageError
from llm_as_rnn.engines.cache import CachedEngine, CacheMode
from llm_as_rnn.engines.resolve import resolve
from llm_as_rnn.engines.scripted import ScriptedEngine
from tests.fake_server import FakeServer

T = TypeVar("T")

INFO = EngineInfo("openai:m", digest="d1", context_window=99, slots=7, tokenizer="estimate")
SUN = Request("predict", (Message("user", "sun ->"),), Sampling(seed=1))


class Counting(ScriptedEngine):
    """A scripted engine that notes how often it counts, opens and closes."""

    def __init__(self, answer: Callable[[Request], Completion | str], info: EngineInfo = INFO) -> None:
        super().__init__(answer, info)
        self.counted: list[str] = []
        self.opened = self.closed = 0

    async def open(self) -> None:
        self.opened += 1

    async def count_tokens(self, text: str) -> int:
        self.counted.append(text)
        return await super().count_tokens(text)

    async def close(self) -> None:
        self.closed += 1


def echo(request: Request) -> Completion:
    return Completion(
        f"{request.messages[-1].content} {request.sampling.seed}", cached_tokens=3, seconds=1.5, retries=2
    )


def record(folder: Path, engine: Counting, *requests: Request) -> list[Completion]:
    async def run() -> list[Completion]:
        cached = CachedEngine("openai:m", folder, "record", engine)
        await cached.open()
        answers = [await cached.complete(request) for request in requests]
        await cached.close()
        return answers

    return asyncio.run(run())


def replayed(folder: Path, *requests: Request, model: str = "openai:m") -> list[Completion]:
    async def run() -> list[Completion]:
        cached = CachedEngine(model, folder, "replay")
        await cached.open()
        answers = [await cached.complete(request) for request in requests]
        await cached.close()
        return answers

    return asyncio.run(run())


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.json") if path.name != "info.json"]


def test_what_was_recorded_is_not_asked_again(tmp_path: Path) -> None:
    first, again = Counting(echo), Counting(echo)
    assert record(tmp_path, first, SUN, SUN) == record(tmp_path, again, SUN, SUN)
    assert (len(first.requests), len(again.requests)) == (1, 0)
    assert (again.opened, again.closed) == (1, 1)


def test_a_replay_needs_no_engine_and_tells_the_same(tmp_path: Path) -> None:
    answers = record(tmp_path, Counting(echo), SUN)
    assert replayed(tmp_path, SUN) == answers
    assert answers[0].seconds == 1.5  # what the call cost when it was made


def test_a_replay_knows_what_the_engine_was(tmp_path: Path) -> None:
    record(tmp_path, Counting(echo))
    cached = CachedEngine("openai:m", tmp_path, "replay")
    asyncio.run(cached.open())
    assert cached.info == replace(INFO, host="")  # nothing goes anywhere


def test_counts_are_kept_too(tmp_path: Path) -> None:
    async def run(cached: CachedEngine) -> int:
        await cached.open()
        return await cached.count_tokens("three short words")

    engine = Counting(echo)
    recorded = asyncio.run(run(CachedEngine("openai:m", tmp_path, "record", engine)))
    assert recorded == asyncio.run(run(CachedEngine("openai:m", tmp_path, "record", engine))) == 4
    assert recorded == asyncio.run(run(CachedEngine("openai:m", tmp_path, "replay")))
    assert engine.counted == ["three short words"]


def test_a_replay_that_misses_names_the_role(tmp_path: Path) -> None:
    record(tmp_path, Counting(echo))
    with pytest.raises(EngineUnavailableError, match=r"nothing is recorded for a 'predict' call") as caught:
        replayed(tmp_path, SUN)
    assert "record the run again" in str(caught.value)


def test_a_replay_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="nothing is recorded of openai:other"):
        replayed(tmp_path, SUN, model="openai:other")


@pytest.mark.parametrize(
    "other",
    [
        replace(SUN, role="update"),
        replace(SUN, attempt=1),
        replace(SUN, style="completion"),
        replace(SUN, messages=(Message("system", "sun ->"),)),
        replace(SUN, sampling=Sampling(seed=2)),
        replace(SUN, sampling=Sampling(seed=1, temperature=0.1)),
    ],
)
def test_every_part_of_a_request_counts(tmp_path: Path, other: Request) -> None:
    engine = Counting(echo)
    record(tmp_path, engine, SUN, other)
    assert engine.requests == [SUN, other]


def test_another_model_of_the_same_name_is_another_model(tmp_path: Path) -> None:
    record(tmp_path, Counting(echo), SUN)
    newer = Counting(echo, replace(INFO, digest="d2"))
    record(tmp_path, newer, SUN)
    assert newer.requests == [SUN]


def test_a_server_is_never_given_the_answers_of_another(tmp_path: Path) -> None:
    async def run(engine: Counting | None, endpoint: str) -> str:
        cached = CachedEngine("openai:m", tmp_path, "record" if engine else "replay", engine, endpoint=endpoint)
        await cached.open()
        return (await cached.complete(SUN)).text

    one, other = Counting(lambda request: "of A"), Counting(lambda request: "of B")
    assert asyncio.run(run(one, "http://a/v1")) == "of A"
    assert asyncio.run(run(other, "http://b/v1")) == "of B", "though model and digest are the same"
    assert [asyncio.run(run(None, f"http://{name}/v1")) for name in "ab"] == ["of A", "of B"]
    with pytest.raises(EngineUnavailableError, match="nothing is recorded of openai:m at http://c/v1"):
        asyncio.run(run(None, "http://c/v1"))


def test_two_servers_by_the_command_of_a_user(tmp_path: Path) -> None:
    async def run(engine: Engine) -> str:
        await engine.open()
        try:
            return (await engine.complete(SUN)).text
        finally:
            await engine.close()

    with FakeServer("openai", answer="of A") as one, FakeServer("openai", answer="of B") as other:
        modes: tuple[CacheMode, ...] = ("record", "replay")
        for mode in modes:
            for server, said in ((one, "of A"), (other, "of B")):
                engine = resolve("openai:fake", base_url=server.url, cache_mode=mode, cache_folder=tmp_path)
                assert asyncio.run(run(engine)) == said


def test_the_accounts_of_one_server_are_kept_apart_and_told_nowhere(tmp_path: Path) -> None:
    async def run(engine: Engine) -> str:
        await engine.open()
        try:
            return (await engine.complete(SUN)).text
        finally:
            await engine.close()

    with FakeServer("openai") as server:
        urls = [f"{server.url}?tenant=secretA", f"{server.url}?tenant=secretB", server.url]
        urls.append(server.url.replace("//", "//ann:secretC@"))
        modes: tuple[CacheMode, ...] = ("record", "replay")
        for mode in modes:
            for number, url in enumerate(urls):
                server.answer = f"of {number}"
                engine = resolve("openai:fake", base_url=url, cache_mode=mode, cache_folder=tmp_path)
                assert asyncio.run(run(engine)) == f"of {number}"
    assert len(list(tmp_path.iterdir())) == len(urls)
    kept = "".join(f"{path} {path.read_text() if path.is_file() else ''}" for path in tmp_path.rglob("*"))
    assert "secret" not in kept.replace(str(tmp_path), "")
    missing = resolve("openai:fake", base_url=urls[0] + "x", cache_mode="replay", cache_folder=tmp_path)
    with pytest.raises(EngineUnavailableError, match="with this login and query in") as caught:
        asyncio.run(missing.open())
    assert "secret" not in str(caught.value).replace(str(tmp_path), "")


def test_a_cache_of_a_server_without_login_and_query_stays_where_it_was(tmp_path: Path) -> None:
    engine = resolve("openai:m", base_url="http://a/v1", cache_mode="replay", cache_folder=tmp_path)
    assert isinstance(engine, CachedEngine)
    assert engine.folder.name.endswith(hashlib.sha256(b'["openai:m","http://a/v1"]').hexdigest()[:12])


def test_a_cache_of_a_model_that_is_here_stays_where_it_was(tmp_path: Path) -> None:
    folder = CachedEngine("llamacpp:smollm2-135m", tmp_path, "replay").folder
    assert folder.name == "llamacpp-smollm2-135m-" + hashlib.sha256(b'"llamacpp:smollm2-135m"').hexdigest()[:12]


def test_what_is_noticed_while_it_is_used_is_told(tmp_path: Path) -> None:
    engine = Counting(echo)
    cached = CachedEngine("openai:m", tmp_path, "record", engine)
    asyncio.run(cached.open())
    engine.info = replace(INFO, left_out=("seed",))
    assert cached.info.left_out == ("seed",)


def test_models_with_like_names_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = {CachedEngine(name, tmp_path, "replay").folder for name in ("a:x/y", "a:x-y", "a:x:y", "x" * 500)}
    assert len(folders) == 4
    assert all(folder.parent == tmp_path and len(folder.name) < 100 for folder in folders)


def test_errors_are_not_kept(tmp_path: Path) -> None:
    def broken(request: Request) -> Completion:
        raise EngineError("busy")

    with pytest.raises(EngineError, match="busy"):
        record(tmp_path, Counting(broken), SUN)
    record(tmp_path, Counting(lambda request: Completion("", "error", error="busy")), SUN)
    assert entries(tmp_path) == []


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_answers_that_are_of_no_use_are_kept(tmp_path: Path, reason: str) -> None:
    record(tmp_path, Counting(lambda request: Completion("x", reason)), SUN)
    assert replayed(tmp_path, SUN)[0].finish_reason == reason


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"request": 3}'])
def test_damaged_entries_are_missing_ones(tmp_path: Path, content: bytes) -> None:
    record(tmp_path, Counting(echo), SUN)
    (entry,) = entries(tmp_path)
    entry.write_bytes(content)
    with pytest.raises(EngineUnavailableError, match="nothing is recorded"):
        replayed(tmp_path, SUN)
    engine = Counting(echo)
    record(tmp_path, engine, SUN)
    assert engine.requests == [SUN]
    assert replayed(tmp_path, SUN)[0].text == "sun -> 1"


def test_an_entry_in_the_wrong_place_is_a_missing_one(tmp_path: Path) -> None:
    other = replace(SUN, attempt=1)
    record(tmp_path, Counting(echo), SUN)
    (mine,) = entries(tmp_path)
    record(tmp_path, Counting(echo), other)
    (others,) = [path for path in entries(tmp_path) if path != mine]
    mine.write_bytes(others.read_bytes())
    with pytest.raises(EngineUnavailableError, match="nothing is recorded"):
        replayed(tmp_path, SUN)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    engine = Counting(echo)
    with pytest.raises(UsageError, match=r"the cache .* cannot be written: Not a directory"):
        record(tmp_path / "file", engine)
    assert (engine.opened, engine.closed) == (1, 1)


def test_a_disk_that_fills_leaves_no_half_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    record(tmp_path, Counting(echo))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        record(tmp_path, Counting(echo), SUN)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["info.json"]


def test_recording_needs_an_engine(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no engine"):
        CachedEngine("openai:m", tmp_path, "record")


@pytest.mark.parametrize("kind", ["estimate", "lost"])
def test_an_estimate_is_replayed_and_never_taken_for_a_count(tmp_path: Path, kind: Tokenizer) -> None:
    """A server may fail to count tokens, or stop to, in one run and count them in the next."""
    tokens = 0

    class Fixed(Counting):
        async def count_tokens(self, text: str) -> int:
            return tokens

    async def counted(figure: int, text: str, tokenizer: Tokenizer) -> int:
        nonlocal tokens
        tokens = figure
        cached = CachedEngine("openai:m", tmp_path, "record", Fixed(echo, replace(INFO, tokenizer=tokenizer)))
        await cached.open()
        return await cached.count_tokens(text)

    async def replayed(text: str) -> int:
        cached = CachedEngine("openai:m", tmp_path, "replay")
        await cached.open()
        return await cached.count_tokens(text)

    assert asyncio.run(counted(5, "known", "exact")) == 5
    assert asyncio.run(counted(9, "known", kind)) == 5, "a count is one, whoever counts today"
    assert asyncio.run(counted(9, "new", kind)) == asyncio.run(replayed("new")) == 9
    assert asyncio.run(counted(6, "new", "exact")) == asyncio.run(replayed("new")) == 6


class Waiting(Counting):
    """Answers in another way each time, and not at once."""

    async def complete(self, request: Request) -> Completion:
        number = len(self.requests)
        self.requests.append(request)
        for _ in range(3 + number):
            await asyncio.sleep(0)
        return Completion(f"answer {number}")


@pytest.mark.parametrize("caches", [1, 2], ids=["one process", "two processes"])
def test_what_is_asked_twice_at_once_has_one_answer(tmp_path: Path, caches: int) -> None:
    async def run() -> tuple[set[str], int]:
        engine = Waiting(echo)
        cached = [CachedEngine("openai:m", tmp_path, "record", engine) for _ in range(caches)]
        for one in cached:
            await one.open()
        said = await asyncio.gather(*(cached[number % caches].complete(SUN) for number in range(4)))
        return {one.text for one in said}, len(engine.requests)

    said, times = asyncio.run(run())
    assert times == caches
    assert said == {one.text for one in replayed(tmp_path, SUN)} == {"answer 0"}


def test_who_waits_for_an_answer_asks_when_there_is_none(tmp_path: Path) -> None:
    class Failing(Waiting):
        async def complete(self, request: Request) -> Completion:
            completion = await super().complete(request)
            if completion.text == "answer 0":
                raise EngineError("it broke")
            return completion

    async def run() -> tuple[Any, Any]:
        cached = CachedEngine("openai:m", tmp_path, "record", Failing(echo))
        await cached.open()
        return await asyncio.gather(cached.complete(SUN), cached.complete(SUN), return_exceptions=True)

    broken, answered = asyncio.run(run())
    assert isinstance(broken, EngineError)
    assert answered.text == "answer 1"
