"""The embedded engine: llama.cpp inside this process, spoken to over the loopback interface."""

from __future__ import annotations

import os
import secrets
import weakref
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo
from llm_as_rnn.core.errors import EngineUnavailableError, MissingExtraError, ModelError
from llm_as_rnn.core.files import require_file
from llm_as_rnn.engines.gguf import MAGIC, has_chat_template
from llm_as_rnn.engines.models import ModelEntry, digest
from llm_as_rnn.engines.openai_compatible import OpenAICompatibleEngine

DEFAULT_CONTEXT = 4096
REUSES = "what was read before is taken from the cache also where it moved, in stretches"
"""What is remarked of an engine that reuses its cache so, before how long these are."""

CACHE_MIB = 512
"""Host memory for prompts that no slot holds any more, in MiB; llama.cpp itself would take 8 GiB."""
SPINS = "1000"
"""How long llama.cpp's threads spin while they wait for each other (GNU OpenMP), as they do hundreds of times a token.

By default it is milliseconds, and where others use the same cores that costs nearly all the speed: 2 tokens a second,
and 17 with this (SmolLM2-135M on 2 cores beside 2 busy processes). On an idle machine both give 105.
"""


class LlamaCppEngine:
    """Runs a GGUF file with llama.cpp.

    Its server listens on the loopback interface alone, on a port that is free, and answers only to a key that is drawn
    at random when it opens.

    Parameters
    ----------
    path : Path
        The model file.
    model : str, optional
        The model string that names it; else ``llamacpp:`` and the path.
    entry : ModelEntry, optional
        What the registry knows of it.
    context : int, optional
        Tokens that one call may hold; else 4096, or the model's own window where that is smaller.
    slots : int
        Calls that it answers at the same time. Memory is taken for ``context`` tokens in each.
    threads : int, optional
        Else one for each processor.
    timeout : float
        Seconds for one call.

    Notes
    -----
    llama.cpp cannot be used across a fork: a forked child is told to use spawn instead. A child that calls
    ``sys.exit`` hangs in llama.cpp's own clean-up; those of `multiprocessing` end without it.
    """

    def __init__(
        self,
        path: Path,
        *,
        model: str = "",
        entry: ModelEntry | None = None,
        context: int | None = None,
        slots: int = 4,
        cache_reuse: int = 0,
        threads: int | None = None,
        timeout: float = 300.0,
    ) -> None:
        self.path = path
        window = min(DEFAULT_CONTEXT, entry.window) if entry else DEFAULT_CONTEXT
        self._info = EngineInfo(model or f"llamacpp:{path}", context_window=context or window, slots=slots, host="")
        self._known = entry is not None
        if entry:
            best = {name: getattr(entry, name) for name in ("form", "style", "budget", "echo")}
            self._info = replace(self._info, **best)
        self._cache_reuse = cache_reuse
        if cache_reuse:
            self._info = replace(self._info, remarks=(f"{REUSES} of {cache_reuse} tokens and more",))
        self._threads = threads or os.cpu_count() or 1
        self._timeout = timeout
        self._server: Any = None
        self._client: OpenAICompatibleEngine | None = None
        self._forked = False

    @property
    def info(self) -> EngineInfo:
        """What this engine is."""
        return self._info if self._client is None else self._client.info

    async def open(self) -> None:
        """Load the model.

        The event loop stands still meanwhile: llama.cpp's binding does not let other threads run while it loads.

        Raises
        ------
        MissingExtraError
            If llama.cpp is not installed.
        ModelError
            If the file is not a whole GGUF file that this llama.cpp can run.
        """
        self._check_file()
        self._suit_template()
        key = secrets.token_urlsafe(32)
        self._server = self._load(key)
        _LIVE.add(self)
        client = OpenAICompatibleEngine(
            self.path.name,
            base_url=f"{self._server.listening_address}/v1",
            api_key=key,
            timeout=self._timeout,
            max_retries=0,
            info=replace(self.info, digest=digest(self.path)),
        )
        client.where = "llama.cpp"  # not an address that is another one each time: messages go into the journal
        try:
            await client.open()
        except BaseException:
            self._server = None
            raise
        self._client = client

    async def complete(self, request: Request) -> Completion:
        """Answer a request."""
        return await self._usable().complete(request)

    async def count_tokens(self, text: str) -> int:
        """Count the tokens of a text."""
        return await self._usable().count_tokens(text)

    async def close(self) -> None:
        """Stop the server and give back the memory; calls that it is answering break."""
        self._info = self.info
        client, self._client = self._client, None
        if self._forked:
            return
        try:
            if client is not None:
                await client.close()
        finally:
            self._server = None

    def _usable(self) -> OpenAICompatibleEngine:
        if self._forked:
            raise EngineUnavailableError(
                "llama.cpp cannot be used in a forked process",
                "start processes with spawn: multiprocessing.get_context('spawn')",
            )
        if self._client is None:
            raise EngineUnavailableError(f"the engine {self.info.model} is not open")
        return self._client

    def _check_file(self) -> None:
        try:
            require_file(self.path)
            with self.path.open("rb") as file:
                magic = file.read(len(MAGIC))
        except OSError as error:
            raise ModelError(f"{self.path} cannot be read: {error.strerror}", "check the path") from error
        if magic != MAGIC:
            raise ModelError(f"{self.path} is no GGUF file", "llama.cpp runs models in that format only")

    def _suit_template(self) -> None:
        """Ask a model without a chat template in completion style; llama.cpp would lend it one that it never saw."""
        if not has_chat_template(self.path):
            form = self.info.form if self._known else "line"
            self._info = replace(self._info, chats=False, style="completion", form=form)

    def _load(self, key: str) -> Any:
        if "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
        try:
            import xllamacpp  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtraError("xllamacpp", "llamacpp") from error
        params = xllamacpp.CommonParams()
        params.model.path = str(self.path)
        params.n_parallel = self.info.slots
        params.n_ctx = self.info.context_window * self.info.slots
        params.kv_unified = False  # a context that slots share can run out, and takes every answer with it
        params.cache_ram_mib = CACHE_MIB
        params.n_cache_reuse = self._cache_reuse
        params.cpuparams.n_threads = self._threads
        params.cpuparams_batch.n_threads = self._threads
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.api_keys = [key]
        params.cors_origins = "null://nobody"  # a value has to be given; no page has this origin
        params.ui = False
        params.endpoint_slots = False  # it shows the prompts of others
        params.verbosity = 0
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            size = self.path.stat().st_size
            raise ModelError(
                f"llama.cpp cannot load {self.path} ({size} bytes)",
                "it is cut short or damaged, too new for this llama.cpp, or there is too little memory",
            ) from error


_LIVE: weakref.WeakSet[LlamaCppEngine] = weakref.WeakSet()
_LEFT_BEHIND: list[Any] = []
"""Servers of the parent, in a forked child: to free one there would wait forever for threads that were not copied."""


def _after_fork() -> None:
    for engine in _LIVE:
        engine._forked = True  # noqa: SLF001
        _LEFT_BEHIND.append(engine._server)  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
