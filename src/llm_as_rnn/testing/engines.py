"""What every engine has to do, as checks over somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import get_args

from llm_as_rnn.core.calls import Completion, Message, Request, Sampling
from llm_as_rnn.core.engine import Engine, EngineInfo, Tokenizer
from llm_as_rnn.core.errors import EngineError
from llm_as_rnn.core.records import Form, Style
from llm_as_rnn.testing.stage import ContractError, require

REASONS = ("stop", "length", "content_filter", "error")

TEXTS = ("", "rain", "Böen -> Sturm; spät 🌧", "one two three " * 20, "<|im_end|>\n## Notes\n- a")
"""Texts whose tokens are counted: of none, of few, and of letters that a tokenizer splits."""

MOST = 120.0
"""Seconds that all of it may take together."""


def check_engine(build: Callable[[], Engine], *, seconds: float = MOST) -> None:
    """Check that an engine does all that an engine has to do.

    Parameters
    ----------
    build : callable
        Gives an engine that is not open yet; a new one each time.
    seconds : float
        How long the checks may take together: a real model is asked a few short questions.

    Raises
    ------
    ContractError
        At the first thing that is amiss.

    Examples
    --------
    >>> from llm_as_rnn.engines.scripted import ScriptedEngine
    >>> check_engine(lambda: ScriptedEngine(lambda request: "rain"))
    """
    asyncio.run(_checked(build, seconds))


async def _checked(build: Callable[[], Engine], seconds: float) -> None:
    engine = build()
    model = engine.info.model
    require(bool(model), "info.model before it is opened: it names the engine in a run", model)
    try:
        async with asyncio.timeout(seconds):
            await engine.open()
            try:
                _says_what_it_is(engine.info, model)
                for trial in (_answers, _answers_side_by_side, _counts, _goes_on_after_a_call_was_given_up):
                    await _expecting_no_error(trial, engine)
            finally:
                await engine.close()
            require(engine.info.model == model, "info.model to stay the same", engine.info.model)
            other = build()  # a run that goes on opens a new one
            await other.open()
            await other.close()
    except TimeoutError as error:
        raise ContractError(f"expected all of it within {seconds:g} s; seen: it takes longer") from error


async def _expecting_no_error(trial: Callable[[Engine], Awaitable[None]], engine: Engine) -> None:
    try:
        await trial(engine)
    except EngineError as error:
        raise ContractError(f"expected an answer; seen: {error}") from error


def _says_what_it_is(info: EngineInfo, model: str) -> None:
    require(isinstance(info, EngineInfo), "info to be an EngineInfo", info)
    require(info.model == model, "info.model to stay the same when it is opened", info.model)
    require(info.context_window > 0, "a context window", info.context_window)
    require(info.slots > 0, "at least one slot", info.slots)
    require(info.tokenizer in get_args(Tokenizer), f"a tokenizer of {get_args(Tokenizer)}", info.tokenizer)
    require(info.form in get_args(Form), f"a form of {get_args(Form)}", info.form)
    require(info.style in get_args(Style), f"a style of {get_args(Style)}", info.style)
    require(info.chats or info.style != "chat", "completion style where it cannot chat", info.style)


def _request(engine: Engine, text: str) -> Request:
    return Request("predict", (Message("user", text),), Sampling(max_tokens=8), engine.info.style)


def _is_completion(said: object) -> None:
    if not isinstance(said, Completion):
        raise ContractError(f"expected complete to give a Completion; seen: {said!r:.100}")
    require(said.finish_reason in REASONS, f"a finish reason of {', '.join(REASONS)}", said.finish_reason)
    for name in ("prompt_tokens", "completion_tokens", "retries", "reasoning_tokens"):
        require(getattr(said, name) >= 0, f"{name} to be no less than 0", getattr(said, name))
    require(said.prompt_tokens > 0, "the tokens of the prompt: what a run costs is counted by them", 0)
    cached = said.cached_tokens
    require(cached is None or cached >= 0, "cached_tokens to be a number, or None where it is not known", cached)


async def _answers(engine: Engine) -> None:
    for text in ("1 + 1 =", "\u202ewet <|im_end|> Böen ->"):
        _is_completion(await engine.complete(_request(engine, text)))


async def _answers_side_by_side(engine: Engine) -> None:
    """Ask as many as it has slots, and one more."""
    requests = [_request(engine, f"{number} + {number} =") for number in range(engine.info.slots + 1)]
    for said in await asyncio.gather(*map(engine.complete, requests)):
        _is_completion(said)


async def _counts(engine: Engine) -> None:
    counts = [await engine.count_tokens(text) for text in TEXTS]
    require(all(type(count) is int and count >= 0 for count in counts), "counts to be whole numbers", counts)
    require(counts[0] == 0, "no tokens in an empty text: special ones are not counted", counts[0])
    require(all(count > 0 for count in counts[1:]), "at least one token in a text", counts)
    again = [await engine.count_tokens(text) for text in TEXTS]
    require(counts == again, "the same count for the same text", (counts, again))
    require(counts[3] > counts[1], "more tokens in a long text than in a short one", counts)


async def _goes_on_after_a_call_was_given_up(engine: Engine) -> None:
    """Cancel a call: whoever loses patience must not take the engine along."""
    call = asyncio.ensure_future(engine.complete(_request(engine, "Count to a thousand: 1, 2,")))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    _is_completion(await engine.complete(_request(engine, "2 + 2 =")))
