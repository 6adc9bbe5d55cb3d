"""What a server's reply means, in this package's terms."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.engines.thinking import split_thinking
from llm_as_rnn.errors import EngineError
from llm_as_rnn.records import Completion, Request

_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "abort": "error",
    "error": "error",
}


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Written(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Written | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Reply(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class Reply(NamedTuple):
    """What a server answered, without the model's thinking; the thinking where its tokens are still to be counted."""

    completion: Completion
    uncounted: str


def read_reply(content: bytes, request: Request, where: str) -> Reply:
    """Read the body of a reply, of either prompt style.

    An unknown finish reason counts as ``length`` when the answer is as long as was allowed, else as ``stop``. Token
    figures that the server leaves out are 0; cached tokens that it leaves out are None.

    Raises
    ------
    EngineError
        If there is no answer in it, or only a broken one.
    """
    try:
        reply = msgspec.json.decode(content, type=_Reply)
        choice = reply.choices[0]
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError) as error:
        said = one_line(content.decode("utf-8", "replace"))
        raise EngineError(f"{where} sent no answer, but {said or 'nothing'}") from error
    message = choice.message or _Message()
    usage = reply.usage or _Usage()
    completion_tokens = usage.completion_tokens or 0
    full = completion_tokens >= request.sampling.max_tokens + request.sampling.thinking
    finish_reason = _FINISH_REASONS.get(choice.finish_reason or "", "length" if full else "stop")
    if finish_reason == "error":
        raise EngineError(f"{where} broke off its answer ({choice.finish_reason})")
    thinking, text = split_thinking(message.content or choice.text or "")
    if request.sampling.thinking:
        text, finish_reason = cut_answer(text, request.sampling.stop, finish_reason)
    counted = usage.completion_tokens_details.reasoning_tokens if usage.completion_tokens_details else None
    completion = Completion(
        text=message.refusal or text,
        finish_reason="content_filter" if message.refusal else finish_reason,
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=completion_tokens,
        cached_tokens=usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None,
        reasoning_tokens=counted or 0,
    )
    apart = next((field for field in (message.reasoning_content, message.reasoning) if isinstance(field, str)), "")
    return Reply(completion, "" if counted else "\n".join(filter(None, (apart, thinking))))


def cut_answer(text: str, stop: tuple[str, ...], finish_reason: str) -> tuple[str, str]:
    r"""End an answer at the first stop text, as a server does that is told of it.

    A server that is told ends the thinking there as well: so it is not told, and the answer is cut here.

    >>> cut_answer("\nrain, 9.5\nsun", ("\n",), "length")
    ('rain, 9.5', 'stop')
    """
    if not stop:
        return text, finish_reason
    begun = text.lstrip("\n")
    ends = [place for place in map(begun.find, stop) if place >= 0]
    return (begun[: min(ends)], "stop") if ends else (begun, finish_reason)


def one_line(text: str, length: int = 200) -> str:
    """Make a short line of a text."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."
