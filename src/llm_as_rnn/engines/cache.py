"""A response cache: what a model once answered need not be asked again, and can be replayed without the model."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from llm_as_rnn.engines.base import Engine, EngineInfo
from llm_as_rnn.errors import EngineUnavailableError, UsageError
from llm_as_rnn.files import make_private, read_file, write_atomically
from llm_as_rnn.records import Completion, Record, Request

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

    Notes
    -----
    An entry is found by what decides an answer: the model string, the model's digest, and the request with its sampling
    and seed. What a call cost (tokens, seconds, retries) is kept with its answer, so that a replayed run reports what
    the recorded one did. Errors are never kept. An entry that cannot be read counts as missing. The cache holds what
    the model was shown, which may be anything: its folders and files are for their owner only.
    """

    def __init__(
        self, model: str, folder: Path, mode: Literal["record", "replay"], engine: Engine | None = None
    ) -> None:
        if mode == "record" and engine is None:
            raise UsageError("there is no engine whose answers could be recorded")
        self.folder = folder / f"{re.sub('[^A-Za-z0-9.]+', '-', model)[-60:]}-{_key(model)[:12]}"
        self.info = engine.info if engine else EngineInfo(model, host="")  # to replay sends nothing anywhere
        self._engine = engine if mode == "record" else None

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
            self.info = self._engine.info
            try:
                _write(path, self.info)
            except BaseException:
                await self._engine.close()
                raise
            return
        info = _read(path, EngineInfo)
        if info is None:
            raise EngineUnavailableError(f"nothing is recorded of {self.info.model} in {self.folder}", "record a run")
        self.info = replace(info, host="")

    async def complete(self, request: Request) -> Completion:
        """Give the answer that is kept; else ask for it, and keep it."""
        path = self._path(request)
        entry = _read(path, _Answer)
        if entry is not None and entry.request == request:
            return entry.completion
        completion = await self._ask(f"a {request.role!r} call").complete(request)
        if completion.finish_reason != "error":
            _write(path, _Answer(request, completion))
        return completion

    async def count_tokens(self, text: str) -> int:
        """Give the count that is kept; else ask for it, and keep it."""
        path = self._path(text)
        entry = _read(path, _Count)
        if entry is not None and entry.text == text:
            return entry.tokens
        tokens = await self._ask("a token count").count_tokens(text)
        _write(path, _Count(text, tokens))
        return tokens

    async def close(self) -> None:
        """Close the engine."""
        if self._engine is not None:
            await self._engine.close()

    def _path(self, what: Request | str) -> Path:
        key = _key([self.info.model, self.info.digest, what])
        return self.folder / key[:2] / f"{key[2:]}.json"

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
