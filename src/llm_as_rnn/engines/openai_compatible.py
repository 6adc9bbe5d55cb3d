"""An engine that asks any server which speaks the OpenAI protocol: OpenAI, vLLM, SGLang, llama.cpp and others.

It uses only what the releases 1.66 to 3 of the ``openai`` package have in common.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from llm_as_rnn.engines.base import EngineInfo
from llm_as_rnn.engines.dialects import Server, answer_fields, detect, tokenize_body, tokenize_count
from llm_as_rnn.engines.estimate import estimate_tokens
from llm_as_rnn.engines.places import is_here
from llm_as_rnn.engines.replies import (
    REFUSAL,
    Reply,
    connection_error,
    in_turns,
    read_reply,
    refusal_error,
    refused_field,
    refuses_roles,
    server_message,
)
from llm_as_rnn.errors import EngineError, EngineUnavailableError
from llm_as_rnn.records import Completion, Request, writable

if TYPE_CHECKING:
    import openai

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_WINDOW = 8192
DEFAULT_SLOTS = 4
COUNTS_KEPT = 1024
BACKOFF_ROOM = 10.0
"""Seconds a call may take over all its attempts' own, to wait between them."""

_MISSING_ENDPOINT = {404, 405, 501}
_BAD_REQUEST = {400, 422}


class OpenAICompatibleEngine:
    """Asks a server that speaks the OpenAI protocol.

    Parameters
    ----------
    model : str
        The model's name on the server.
    base_url : str, optional
        The server's address, with ``/v1``; else ``OPENAI_BASE_URL``, else OpenAI's own.
    api_key : str, optional
        Else ``OPENAI_API_KEY``; a server other than OpenAI's may need none.
    timeout : float
        Seconds for one attempt. A call as a whole may take that for each attempt, and a little for the waits between.
    max_retries : int
        Attempts after the first one, when the server is busy, breaks or hangs up.
    slots : int, optional
        Calls that it answers at the same time; else what it says, else 4.
    context : int, optional
        Tokens that one call may hold; else what it says, else 8192.
    info : EngineInfo, optional
        What is known of the model beforehand: its name in the run directory, and how it is best asked.

    Notes
    -----
    A server that refuses ``max_tokens`` gets ``max_completion_tokens`` from then on, and a field that it refuses and
    that an answer can do without (temperature, top_p, seed, stop, response_format) is left out from then on. A server
    whose chat template refuses a system role, or turns that do not alternate, gets messages merged from then on.

    No redirect is followed. A server on this machine is asked without any proxy, and only as long as its name stands
    for the loopback interface alone.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
        max_retries: int = 3,
        slots: int | None = None,
        context: int | None = None,
        info: EngineInfo | None = None,
    ) -> None:
        self.model = model
        self.url = (base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
        self.where = self.url  # as messages call it
        self.info = info or EngineInfo(f"openai:{model}", host=self._host or None)
        self._api_key = (api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
        self._timeout = timeout
        self._max_retries = max_retries
        self._slots = slots
        self._context = context
        self._refused: set[str] = set()
        self._in_turns = False
        self._server = Server()
        self._client: openai.AsyncOpenAI | None = None
        self._counts: OrderedDict[str, int] = OrderedDict()

    async def open(self) -> None:
        """Connect, and find out what the server is.

        Raises
        ------
        EngineUnavailableError
            If there is no server, no access, or no such model.
        """
        here = await asyncio.to_thread(is_here, self._host)
        self._client = self._connect(here=here)
        try:
            async with self._deadline():
                self._server = await detect(self._ask, self.url, self.model)
        except BaseException as error:
            await self.close()
            if isinstance(error, EngineError) and not isinstance(error, EngineUnavailableError):
                raise EngineUnavailableError(error.message, error.hint) from error
            raise
        self.info = replace(
            self.info,
            digest=self.info.digest or self._server.digest,
            context_window=self._context or self._server.window or DEFAULT_WINDOW,
            slots=self._slots or self._server.slots or DEFAULT_SLOTS,
            tokenizer="exact" if self._server.counts_tokens else "estimate",
        )

    async def complete(self, request: Request) -> Completion:
        """Answer a request."""
        started = time.monotonic()
        async with self._deadline():
            content, retries = await self._create(request)
        reply = read_reply(content, request, self.where)
        completion = await self._account(reply) if reply.uncounted else reply.completion
        return replace(completion, seconds=time.monotonic() - started, retries=retries)

    async def count_tokens(self, text: str) -> int:
        """Count the tokens of a text; `estimate_tokens` where the server does not."""
        if not self._server.counts_tokens:
            return estimate_tokens(text)
        if text in self._counts:
            self._counts.move_to_end(text)
            return self._counts[text]
        async with self._deadline():
            body = tokenize_body(self._server.dialect, self.model, writable(text))
            count = tokenize_count(await self._ask(f"{self._server.root}/tokenize", body))
        if count is None:
            raise EngineError(f"{self.where} no longer counts tokens")
        self._counts[text] = count
        if len(self._counts) > COUNTS_KEPT:
            self._counts.popitem(last=False)
        return count

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _account(self, reply: Reply) -> Completion:
        """Count thinking of which the server gave no figure."""
        completion = reply.completion
        try:
            tokens = await self.count_tokens(reply.uncounted)
        except EngineError:  # an answer is not lost over a figure
            tokens = estimate_tokens(reply.uncounted)
        most = completion.completion_tokens or tokens
        return replace(completion, reasoning_tokens=min(tokens, most))

    @property
    def _host(self) -> str:
        with suppress(ValueError):
            return urlsplit(self.url).hostname or ""
        return ""

    def _connect(self, *, here: bool) -> openai.AsyncOpenAI:
        import openai  # noqa: PLC0415  (it takes a second)

        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise EngineUnavailableError(f"{self.url!r} is no address of a server", "write http://HOST:PORT/v1")
        if not self._api_key and address.hostname == urlsplit(OPENAI_URL).hostname:
            raise EngineUnavailableError("there is no API key for api.openai.com", "set OPENAI_API_KEY")
        if not (self._api_key.isascii() and self._api_key.isprintable()):
            raise EngineUnavailableError("the API key holds characters that no key has", "check OPENAI_API_KEY")
        # Requests go to the server that was named and nowhere else: no redirect is followed. A proxy from the
        # environment stands between this machine and others, not between this machine and itself.
        client = (
            openai.DefaultAsyncHttpxClient(
                follow_redirects=False, trust_env=False, event_hooks={"request": [_require_still_here]}
            )
            if here
            else openai.DefaultAsyncHttpxClient(follow_redirects=False)
        )
        return openai.AsyncOpenAI(
            api_key=self._api_key or "none",
            base_url=self.url,
            timeout=self._timeout,
            max_retries=self._max_retries,
            http_client=client,
        )

    @property
    def _open(self) -> openai.AsyncOpenAI:
        if self._client is None:
            raise EngineUnavailableError(f"the engine {self.info.model} is not open")
        return self._client

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        """Limit a call as a whole: a server that sends a byte now and then never runs into an attempt's own limit."""
        seconds = self._timeout * (1 + self._max_retries) + BACKOFF_ROOM
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise EngineError(
                f"no answer from {self.where} within {seconds:g} s", "allow more time, or ask for less at once"
            ) from error

    async def _ask(self, url: str, body: dict[str, Any] | None) -> Any:
        """Use an endpoint that is not part of the protocol (see `dialects.Ask`)."""
        import openai  # noqa: PLC0415

        try:
            if body is None:
                return await self._open.get(url, cast_to=object)
            return await self._open.post(url, cast_to=object, body=body)
        except openai.APIStatusError as error:
            if error.status_code in _MISSING_ENDPOINT:
                return None
            raise self._failure(error) from error
        except openai.OpenAIError as error:
            raise self._failure(error) from error
        except ValueError as error:  # a body that is not JSON
            raise EngineError(f"{self.where} sent something that is not JSON") from error

    async def _create(self, request: Request) -> tuple[bytes, int]:
        """Send a request, again without a field that the server refuses; give the reply and the failed attempts."""
        import openai  # noqa: PLC0415

        failed = 0
        while True:
            fields, merged = self._fields(request), self._in_turns
            try:
                reply = await self._send(request, fields)
            except openai.APIStatusError as error:
                if error.code == "content_filter":
                    return REFUSAL, failed
                said = server_message(error.body, error.message)
                if request.style == "chat" and not merged and refuses_roles(error.status_code, said):
                    self._in_turns = True
                    failed += 1
                    continue
                refused = refused_field(said, fields) if error.status_code in _BAD_REQUEST else None
                if refused is None:
                    raise self._failure(error) from error
                self._refused.add(refused)
                failed += 1
            except openai.OpenAIError as error:
                raise self._failure(error) from error
            else:
                return reply.content, failed + int(reply.retries_taken)

    async def _send(self, request: Request, fields: dict[str, Any]) -> Any:
        # The fields travel as extra ones: of the package's own parameters only those are used that never change.
        if request.style == "completion":
            return await self._open.completions.with_raw_response.create(
                model=self.model, prompt=request.prompt, extra_body=fields
            )
        turns = in_turns(request.messages) if self._in_turns else request.messages
        messages: Any = [{"role": turn.role, "content": turn.content} for turn in turns]
        return await self._open.chat.completions.with_raw_response.create(
            model=self.model, messages=messages, extra_body=fields
        )

    def _fields(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        fields: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens + sampling.thinking,
            "seed": sampling.seed,
            **answer_fields(self._server.dialect, request.style, request.answer),
        }
        if sampling.stop and not sampling.thinking:  # it would end the thinking too: see `cut_answer`
            fields["stop"] = list(sampling.stop)
        if self._server.dialect == "llamacpp":
            fields["cache_prompt"] = True  # not the default of older servers
        if "max_tokens" in self._refused:
            fields["max_completion_tokens"] = fields["max_tokens"]
        return {name: value for name, value in fields.items() if name not in self._refused}

    def _failure(self, error: openai.OpenAIError) -> EngineError:
        """Say in one line what an error of the package means."""
        import openai  # noqa: PLC0415

        if isinstance(error, openai.APIStatusError):
            said = server_message(error.body, error.message)
            if error.code == "insufficient_quota":  # a 429 that does not pass
                return EngineUnavailableError(f"{self.where} gives no more: {said}", "look at the account")
            return refusal_error(error.status_code, said, self.where, self.model)
        if isinstance(error, openai.APITimeoutError) and type(error.__cause__).__name__ != "ConnectTimeout":
            return EngineError(f"no answer from {self.where} within {self._timeout:g} s", "allow more time")
        if isinstance(error.__cause__, EngineError):
            return error.__cause__
        return connection_error(error.__cause__ or error, self.where)


async def _require_still_here(request: Any) -> None:
    """Refuse a request to a name that stood for this machine when the engine was opened, and no longer does."""
    host = request.url.host
    if not await asyncio.to_thread(is_here, host):
        raise EngineUnavailableError(f"{host} no longer stands for this machine", "name 127.0.0.1 instead")
