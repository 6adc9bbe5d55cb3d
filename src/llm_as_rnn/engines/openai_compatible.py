"""An engine that asks any server which speaks the OpenAI protocol: OpenAI, vLLM, SGLang, llama.cpp and others."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec.structs import replace

from llm_as_rnn.core.calls import Completion, Request
from llm_as_rnn.core.engine import EngineInfo, small_request
from llm_as_rnn.core.errors import EngineBusyError, EngineError, EngineUnavailableError, RequestRefusedError
from llm_as_rnn.core.records import Style
from llm_as_rnn.engines.cuts import CutWatch
from llm_as_rnn.engines.dialects import Probe, Server, detect, tokenize_body, tokenize_count
from llm_as_rnn.engines.estimate import estimate_tokens
from llm_as_rnn.engines.fields import ALL, named, parts, request_fields, suspects
from llm_as_rnn.engines.refusals import Refusal, failure, in_turns
from llm_as_rnn.engines.replies import Reply, one_line, read_reply
from llm_as_rnn.engines.secrecy import ESCAPED, address
from llm_as_rnn.engines.wire import Answer, Wire, beside

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_WINDOW = 8192
DEFAULT_SLOTS = 4
COUNTS_KEPT = 1024
BACKOFF_ROOM = 10.0
"""Seconds a call may take over all its attempts' own, to wait between them."""
GUESSES = 2
"""Requests for which it is tried in vain which unnamed field a server refuses; then it is left alone."""
PROBED = 10.0
"""Seconds that an endpoint may take that is not needed."""
GLANCES = 2
"""Times that such an endpoint is asked which does not answer: a window or a tokenizer that is not known is a guess."""
COUNTS_AWAITED = 10.0
"""Seconds for which a server that answers requests may fail to count tokens before that is given up."""
_NOT_NOW = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, 529}
"""Who answers so when asked for its models tells them later; a run that began without would not know its server."""

_log = logging.getLogger(__name__)


class OpenAICompatibleEngine:
    """Asks a server that speaks the OpenAI protocol.

    Parameters
    ----------
    model : str
        The model's name on the server.
    base_url : str, optional
        The server's address, with ``/v1``; else ``OPENAI_BASE_URL``, else OpenAI's own. User and password in it are
        sent as Basic authentication, and shown nowhere.
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
        What is known of the model beforehand: its name in the run directory, how it is best asked, and what of a
        request its server is known to refuse.

    Notes
    -----
    Only the call for an answer decides whether a server can be used. What it says beside that (its models, its window,
    how it counts tokens) is used where it is there; `EngineInfo.remarks` says what is missing.

    A server that refuses ``max_tokens`` gets ``max_completion_tokens`` from then on. A part of a request that it
    refuses and that an answer can do without (see `fields`) is left out from then on, and listed in
    `EngineInfo.left_out`; where the server does not say what it refuses, that is found out by trying, and asked once
    more to be sure. A server whose
    chat template refuses a system role, or turns that do not alternate, gets messages merged from then on.
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
        self._api_key = (api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
        self._wire = Wire(chosen_url(base_url), self._api_key, timeout=timeout, retries=max_retries)
        self.url = self._wire.address.url
        self.info = info or EngineInfo(f"openai:{model}", host=self._wire.address.host or None)
        self._timeout = timeout
        self._seconds = timeout * (1 + max_retries) + BACKOFF_ROOM
        self._slots = slots
        self._context = context
        self._refused = set(self.info.left_out)
        self._accepted: set[tuple[str, ...]] = set()
        self._vain = 0
        self._in_turns = False
        self._server = Server()
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._uncounted: float | None = None
        self._style: Style = "chat"
        self._cuts = CutWatch(self._counted)

    @property
    def where(self) -> str:
        """What messages call the server."""
        return self._wire.where

    @where.setter
    def where(self, name: str) -> None:
        self._wire.where = name

    @property
    def said(self) -> Server:
        """What the server said of itself when it was opened last."""
        return self._server

    async def check(self) -> None:
        """Ask the server how it is, or else for its models, and not for long.

        Raises
        ------
        EngineError
            If it does not serve now.
        """
        for url in (f"{self._server.root or self.url.removesuffix('/v1')}/health", f"{self.url}/models"):
            answer = await self._glance(url)
            if isinstance(answer, Probe):
                raise EngineBusyError(f"{self.where} does not serve: {answer.error}", "it may serve later")
            if answer.refusal is None:
                return
            broken = self._failure(answer, answer.refusal)
            if isinstance(broken, EngineBusyError) or answer.refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise broken

    async def open(self) -> None:
        """Connect, and find out what the server is.

        Raises
        ------
        EngineBusyError
            If it is still loading its model, or too busy to list its models.
        EngineUnavailableError
            If there is no server.
        UsageError
            If the environment names a proxy, or certificates, that cannot be used.
        """
        self._check()
        await self._wire.open()
        try:
            server = await detect(self._probe, self.url, self.model, await self._listing())
            self._server = replace(server, listed=self._wire.hide(server.listed))
        except BaseException:
            await self.close()
            raise
        self.info = replace(
            self.info,
            digest=self.info.digest or self._server.digest,
            context_window=self._context or self._server.window or DEFAULT_WINDOW,
            slots=self._slots or self._server.slots or DEFAULT_SLOTS,
            tokenizer="exact" if self._server.counts_tokens else "estimate",
        )
        for remark in self._server.remarks:
            self._remark(f"{self.where} {self._wire.hide(remark)}")

    async def complete(self, request: Request) -> Completion:
        """Answer a request."""
        started = time.monotonic()
        self._style = request.style
        async with self._deadline():
            answer = await self._create(request)
        reply = await beside(answer.content, read_reply, answer.content, request, self.where, self._wire.hide)
        completion = await self._account(reply) if reply.uncounted else reply.completion
        read, exact = completion.prompt_tokens, self._server.counts_tokens
        if cut := await self._cuts.saw(request.prompt, read, exact=exact):
            self._remark(f"{self.where} cuts prompts: {cut}")
        # Where the server said something instead of the model, that is the reason why there is no text.
        error = answer.refusal.said if answer.refusal is not None and not completion.text else ""
        seconds = time.monotonic() - started
        return replace(completion, seconds=seconds, retries=answer.failed, error=one_line(error))

    async def count_tokens(self, text: str) -> int:
        """Count the tokens of a text; `estimate_tokens` where the server does not."""
        if not self._server.counts_tokens:
            return estimate_tokens(text)
        if text in self._counts:
            self._counts.move_to_end(text)
            return self._counts[text]
        count = await self._counted_for_long(text)
        if count is None:
            return self._estimated(text)
        self._counts[text] = count
        if len(self._counts) > COUNTS_KEPT:
            self._counts.popitem(last=False)
        return count

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    def _check(self) -> None:
        place = self._wire.address
        if place.scheme not in ("http", "https") or not place.host:
            hint = f"write http://HOST:PORT/v1{ESCAPED if '@' in self.url else ''}"
            raise EngineUnavailableError(f"{self.url!r} is no address of a server", hint)
        if not (self._api_key or place.login) and place.host == address(OPENAI_URL).host:
            raise EngineUnavailableError("there is no API key for api.openai.com", "set OPENAI_API_KEY")
        if not (self._api_key.isascii() and self._api_key.isprintable()):
            raise EngineUnavailableError("the API key holds characters that no key has", "check OPENAI_API_KEY")

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        """Limit a call as a whole: a server that sends a byte now and then never runs into an attempt's own limit."""
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError as error:
            raise EngineError(
                f"no answer from {self.where} within {self._seconds:g} s",
                "allow more time: --timeout, or ask for less at once",
            ) from error

    async def _probe(
        self,
        url: str,
        body: dict[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        awaited: bool = False,
    ) -> Probe:
        """Ask an endpoint that is not needed (see `dialects.Ask`): whatever goes wrong with it decides nothing.

        Raises
        ------
        EngineBusyError
            If it is awaited, and the model is still being loaded.
        EngineUnavailableError
            If there is no server at all.
        """
        answer = await self._glance(url, body, query)
        if isinstance(answer, Probe):
            return answer
        if awaited and answer.refusal is not None and answer.refusal.loading:
            raise self._failure(answer, answer.refusal)
        return Probe(await _decoded(answer), answer.refusal)

    async def _listing(self) -> Probe:
        """Ask for the server's models; a server that is too busy even for that is waited for."""
        answer = await self._glance(f"{self.url}/models")
        if isinstance(answer, Probe):
            return answer
        if answer.refusal is not None and (answer.refusal.loading or answer.refusal.status in _NOT_NOW):
            busy = self._failure(answer, answer.refusal)
            if isinstance(busy, EngineBusyError):
                raise busy
        return Probe(await _decoded(answer), answer.refusal)

    async def _glance(
        self, url: str, body: dict[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> Answer | Probe:
        """Ask, and not for long; give what is known instead where no answer came from a server that is there."""
        problem = ""
        for _ in range(GLANCES):
            try:
                async with asyncio.timeout(min(self._timeout, PROBED)):
                    return await self._wire.send(url, body, query=query, retries=0)
            except TimeoutError:
                problem = "it does not answer in time"
            except EngineError as error:
                if _lasts(error):
                    raise
                problem = error.message
        return Probe(None, error=problem)

    async def _create(self, request: Request) -> Answer:
        """Send a request, again without a part that the server refuses; give the answer, or what amounts to one."""
        failed = 0
        trial = _Trial()
        while True:
            known = frozenset(self._refused)
            fields, merged = self._fields(request, trial.held | trial.tried), self._in_turns
            answer = await self._send(request, fields, merged=merged)
            failed += answer.failed
            refusal = answer.refusal
            if refusal is None:
                self._leave_out(trial.tried if trial.sure else ())
                failed += await self._confirm(request, trial.unsure)
                return answer._replace(failed=failed)
            if refusal.instead is not None:
                return answer._replace(content=refusal.instead, failed=failed)
            failed += 1
            if refusal.of_roles and request.style == "chat" and not merged:
                self._in_turns = True
                continue
            if not (refusal.of_fields or named(refusal, fields)):
                raise self._failure(answer, refusal)
            if known != self._refused:  # another call has found something out meanwhile
                trial = _Trial(cleared=trial.cleared)
                continue
            self._leave_out(trial.judge(refusal, fields))
            fields = self._fields(request, trial.held)
            trial.go_on(refusal, fields, guess=self._may_guess(request))
            if not trial.tried:
                self._vain += 1
                raise self._failure(answer, refusal)

    async def _confirm(self, request: Request, unsure: Collection[str]) -> int:
        """Leave parts out from now on that no server named, if it refuses the request with them once more.

        Else what it refused had passed by itself. Gives the failed attempts.
        """
        if not unsure:
            self._accepted.add(self._shape(request))
            return 0
        fields = self._fields(request)
        try:
            answer = await self._send(request, fields, merged=self._in_turns)
        except EngineError:  # there is an answer: it is not lost over this
            return 1
        refusal = answer.refusal
        if refusal is not None and (refusal.of_fields or named(refusal, fields)):
            self._leave_out(unsure)
        elif refusal is not None:
            return answer.failed + 1
        self._accepted.add(self._shape(request))
        return answer.failed + (refusal is not None)

    async def _send(self, request: Request, fields: dict[str, Any], *, merged: bool) -> Answer:
        if request.style == "completion":
            body = {"model": self.model, "prompt": request.prompt, **fields}
            return await self._wire.send(f"{self.url}/completions", body)
        turns = in_turns(request.messages) if merged else request.messages
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        return await self._wire.send(
            f"{self.url}/chat/completions", {"model": self.model, "messages": messages, **fields}
        )

    def _fields(self, request: Request, without: Collection[str] = ()) -> dict[str, Any]:
        return request_fields(request, self._server.dialect, {*self._refused, *without})

    def _shape(self, request: Request) -> tuple[str, ...]:
        """Tell requests apart by what of them a server could refuse, whatever their content."""
        return (request.style, *parts(self._fields(request)))

    def _may_guess(self, request: Request) -> bool:
        """Tell whether it may be the form of a request that is refused: not if that was accepted before."""
        return self._vain < GUESSES and self._shape(request) not in self._accepted

    def _leave_out(self, names: Collection[str]) -> None:
        new = sorted(set(names) - self._refused - {ALL})
        if new:
            self._refused.update(new)
            self.info = replace(self.info, left_out=tuple(sorted(self._refused)))
            _log.warning("%s refuses %s: left out from now on", self.where, ", ".join(new))

    def _remark(self, remark: str) -> None:
        if remark not in self.info.remarks:
            self.info = replace(self.info, remarks=(*self.info.remarks, remark))
            _log.warning("%s", remark)

    def _failure(self, answer: Answer, refusal: Refusal) -> EngineError:
        listed = self._server.listed
        return failure(refusal, self.where, self.model, retry_after=answer.retry_after, listed=listed)

    async def _account(self, reply: Reply) -> Completion:
        """Count thinking of which the server gave no figure."""
        completion = reply.completion
        tokens = estimate_tokens(reply.uncounted)
        if self._server.counts_tokens:
            with suppress(EngineError):  # an answer is not lost over a figure
                tokens = await self._counted(reply.uncounted)
        most = completion.completion_tokens or tokens
        return replace(completion, reasoning_tokens=min(tokens, most))

    async def _counted_for_long(self, text: str) -> int | None:
        """Let the server count; None if it does not any more, or has failed to for long though it answers requests."""
        count = None
        try:
            count = await self._counted(text)
        except RequestRefusedError:
            return None
        except EngineError as error:
            self._uncounted = self._uncounted or time.monotonic()
            if _lasts(error) or time.monotonic() - self._uncounted < COUNTS_AWAITED or not await self._serves():
                raise
            with suppress(EngineError):  # it may just have come back
                count = await self._counted(text)
        self._uncounted = None
        return count

    async def _counted(self, text: str) -> int:
        """Let the server count.

        Raises
        ------
        RequestRefusedError
            If it does not count (any more).
        EngineError
            If it cannot now.
        """
        async with self._deadline():
            body = tokenize_body(self._server.dialect, self.model, text)
            answer = await self._wire.send(f"{self._server.root}/tokenize", body)
        if answer.refusal is not None:
            failure = self._failure(answer, answer.refusal)
            # No access to this endpoint, or to this model there, is no reason to stop: a request tells.
            raise RequestRefusedError(failure.message) if _lasts(failure) or answer.refusal.no_endpoint else failure
        count = tokenize_count(await _decoded(answer))
        if count is None:
            raise RequestRefusedError(f"{self.where} counts no tokens")
        return count

    async def _serves(self) -> bool:
        """Tell whether the server answers a request, whatever else it does not."""
        small = small_request(self._style)
        try:
            async with self._deadline():
                answer = await self._send(small, self._fields(small), merged=self._in_turns)
        except EngineError:
            return False
        refusal = answer.refusal
        return refusal is None or isinstance(self._failure(answer, refusal), RequestRefusedError)

    def _estimated(self, text: str) -> int:
        """Estimate from now on what a server no longer counts."""
        self._server = replace(self._server, counts_tokens=False)
        self.info = replace(self.info, tokenizer="lost")
        self._remark(f"{self.where} no longer counts tokens: counts are estimates, which err to the long side")
        return estimate_tokens(text)


class _Trial:
    """What is tried to find out which parts of one request are refused.

    Attributes
    ----------
    said : Refusal or None
        What the server said last.
    tried : set of str
        Parts that are left out for it.
    sure : bool
        Whether it named them.
    held : set of str
        Parts that stay left out though nobody named them: without them the server named others.
    cleared : set of str
        Parts that were left out in vain.
    """

    def __init__(self, cleared: Collection[str] = ()) -> None:
        self.said: Refusal | None = None
        self.tried: frozenset[str] = frozenset()
        self.sure = False
        self.held: set[str] = set()
        self.cleared: set[str] = set(cleared)

    @property
    def unsure(self) -> frozenset[str]:
        """Parts that were left out though nobody named them."""
        return frozenset(self.held if self.sure else {*self.held, *self.tried})

    def judge(self, refusal: Refusal, fields: Mapping[str, Any]) -> frozenset[str]:
        """Say which of the parts that were tried are to blame for sure, now that the server says something else."""
        tried, self.tried = self.tried, frozenset()
        if self.said is not None and refusal.key != self.said.key:
            if self.sure:
                return tried
            if named(refusal, fields):
                self.held |= tried
                return frozenset()
        self.cleared |= tried
        return frozenset()

    def go_on(self, refusal: Refusal, fields: Mapping[str, Any], *, guess: bool) -> None:
        """Choose what to leave out next; nothing if all was tried."""
        self.said = refusal
        self.tried = suspects(refusal, fields, self.cleared, guess=guess)
        # An error inside a server may hold any word, and pass.
        by_name = refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR and self.tried <= named(refusal, fields)
        self.sure = bool(self.tried) and by_name


def chosen_url(base_url: str | None) -> str:
    """Give the address that is asked: the one that was named, else ``OPENAI_BASE_URL``, else OpenAI's own."""
    return base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL


def _lasts(error: EngineError) -> bool:
    """Tell whether waiting changes nothing: there is no server, no access, or no such model."""
    return isinstance(error, EngineUnavailableError) and not isinstance(error, EngineBusyError)


async def _decoded(answer: Answer) -> Any:
    """Read an answer as JSON; None if it is a refusal, or no JSON."""
    if answer.refusal is not None:
        return None
    try:
        return await beside(answer.content, msgspec.json.decode, answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
