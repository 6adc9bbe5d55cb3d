"""A response cache: what a model once answered need not be asked again, and can be replayed without the model."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar
from weakref import WeakValueDictionary

import msgspec
from msgspec.structs import replace

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import Engine, EngineInfo
from llm_as_rnn.core.errors import EngineUnavailableError, UsageError
from llm_as_rnn.core.files import make_private, read_file, write_atomically
from llm_as_rnn.core.records import Record

CacheMode = Literal["off", "record", "replay"]
"""Ask always; ask what is not there yet, and keep it; or never ask."""

T = TypeVar("T")


class CachedEngine:
    """Keeps an engine's answers in a folder, and gives them again.

    Parameters
    ----------
    model : str
        The model string that names the engine.
    folder : Path
        Where the cache lies; each model has a folder of its own in it.
    mode : str
        ``record`` uses what is there, asks for the rest and keeps it. ``replay`` uses what is there, and nothing else.
    engine : Engine, optional
        Who is asked; not needed to replay.
    endpoint : str
        The address of the server that is asked, without any secrets; empty for a model that is here. What one server
        answered is never given for another, whatever it calls its model.
    account : str
        What tells apart who asks there, and what for (see `secrecy.account`); empty if the address says nothing of it.

    Notes
    -----
    An entry is found by what decides an answer: the model string, the server's address and account, what the server
    says of itself (the model's digest), and the request with its sampling and seed. What a call cost (tokens, seconds,
    retries) is kept with its answer, so that a replayed run reports what the recorded one did. Errors are never kept.
    What is asked twice at the same time, as by two methods whose first steps are alike, is asked once: with two answers
    a replay could give but one of them.
    An entry that cannot be read counts as missing. The cache holds what the model was shown, which may be anything: its
    folders and files are for their owner only.
    """

    def __init__(
        self,
        model: str,
        folder: Path,
        mode: Literal["record", "replay"],
        engine: Engine | None = None,
        *,
        endpoint: str = "",
        account: str = "",
    ) -> None:
        if mode == "record" and engine is None:
            raise UsageError("there is no engine whose answers could be recorded")
        self._endpoint = endpoint
        self._account = account
        self.folder = folder / f"{re.sub('[^A-Za-z0-9.]+', '-', model)[-60:]}-{_key(self._names(model))[:12]}"
        self._engine = engine if mode == "record" else None
        self._known = EngineInfo(model, host="")  # to replay sends nothing anywhere
        self._asking: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    @property
    def info(self) -> EngineInfo:
        """What the engine is, or was when it was recorded."""
        return self._engine.info if self._engine is not None else self._known

    async def open(self) -> None:
        """Open the engine, or read what is kept of it.

        Raises
        ------
        UsageError
            If the folder cannot be written.
        EngineUnavailableError
            If there is nothing to replay.
        """
        path = self.folder / "info.json"
        if self._engine is not None:
            await self._engine.open()
            try:
                _write(path, self.info)
            except BaseException:
                await self._engine.close()
                raise
            return
        info = _read(path, EngineInfo)
        if info is None:
            of = f"{self.info.model} at {self._endpoint}" if self._endpoint else self.info.model
            of += " with this login and query" if self._account else ""
            raise EngineUnavailableError(f"nothing is recorded of {of} in {self.folder}", "record a run")
        self._known = replace(info, host="")

    async def complete(self, request: Request) -> Completion:
        """Give the answer that is kept; else ask for it, and keep it."""
        path = self._path(request)

        def kept() -> Completion | None:
            entry = _read(path, _Answer)
            return entry.completion if entry is not None and entry.request == request else None

        if (known := kept()) is not None:
            return known
        async with self._alone(path):
            if (known := kept()) is not None:
                return known
            completion = await self._ask(f"a {request.role!r} call").complete(request)
            if completion.finish_reason == "error":
                return completion
            if (known := kept()) is not None:  # another process was first: what it got is what can be replayed
                return known
            _write(path, _Answer(request, completion))
            return completion

    async def count_tokens(self, text: str) -> int:
        """Give the count that is kept; else ask for it, and keep it."""
        counted, estimated = self._path(text), self._path(["estimate", text])
        # What was estimated while nobody counted is no count for who can ask for one.
        asks = self._engine is not None and self.info.tokenizer == "exact"
        for path in (counted,) if asks else (counted, estimated):
            entry = _read(path, _Count)
            if entry is not None and entry.text == text:
                return entry.tokens
        tokens = await self._ask("a token count").count_tokens(text)
        _write(counted if self.info.tokenizer == "exact" else estimated, _Count(text, tokens))
        return tokens

    async def close(self) -> None:
        """Close the engine."""
        if self._engine is not None:
            await self._engine.close()

    @asynccontextmanager
    async def _alone(self, path: Path) -> AsyncIterator[None]:
        """Let nobody else ask for the same meanwhile: who wants to waits, and finds the answer."""
        lock = self._asking.setdefault(path, asyncio.Lock())
        async with lock:
            yield

    def _path(self, what: Request | str | list[str]) -> Path:
        key = _key([self._names(self.info.model), self.info.digest, what])
        return self.folder / key[:2] / f"{key[2:]}.json"

    def _names(self, model: str) -> str | list[str]:
        names = [model, *filter(None, (self._endpoint, self._account))]
        return names if len(names) > 1 else model

    def _ask(self, what: str) -> Engine:
        if self._engine is None:
            raise EngineUnavailableError(f"nothing is recorded for {what}", "record the run again with these settings")
        return self._engine


class _Answer(Record, frozen=True):
    request: Request
    completion: Completion


class _Count(Record, frozen=True):
    text: str
    tokens: int


def _key(what: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(what, order="deterministic")).hexdigest()


def _read(path: Path, kind: type[T]) -> T | None:
    with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(read_file(path), type=kind)
    return None


def _write(path: Path, what: Record) -> None:
    """Write a file whole or not at all: another process may read it at any time."""
    try:
        make_private(path.parent)
        write_atomically(path, msgspec.json.encode(what), private=True)
    except OSError as error:
        raise UsageError(f"the cache {path.parent} cannot be written: {error.strerror}", "choose another") from error
