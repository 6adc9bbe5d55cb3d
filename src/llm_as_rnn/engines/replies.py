"""What a server's reply or refusal means, in this package's terms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal, NamedTuple

import msgspec

from llm_as_rnn.engines.thinking import split_thinking
from llm_as_rnn.errors import EngineError, EngineUnavailableError
from llm_as_rnn.records import Completion, Message, Request

REFUSAL = b'{"choices":[{"finish_reason":"content_filter"}]}'
"""The reply of a server that filters a prompt with an error instead of an answer."""

_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "abort": "error",
    "error": "error",
}
_NOT_NEEDED = ("temperature", "top_p", "seed", "stop", "response_format")
_UNSUPPORTED = re.compile(
    r"unsupported|not support|unavailable|unrecognized|extra inputs|extra_forbidden", re.IGNORECASE
)
_UNTOLD = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR)
_NO_TEMPLATE = re.compile(
    r"chat.template.{0,60}(?:not set|no longer allowed|missing|not found|must provide|not defined)"
    r"|(?:no|without a|does not have a|must provide a) chat.template",
    re.IGNORECASE,
)
_ROLES = re.compile(
    r"system (?:role|message)s?\b.{0,30}not (?:be )?support|roles? must alternate|only user.{0,30}roles", re.IGNORECASE
)
_UNREACHABLE = {"ConnectError", "ConnectTimeout", "UnsupportedProtocol"}


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


def refused_field(message: str, fields: Mapping[str, Any]) -> str | None:
    """Find the field that a server does not take and that an answer can do without.

    Parameters
    ----------
    message : str
        What the server said to a request.
    fields : mapping
        The fields of that request.

    Returns
    -------
    str or None
        The field's name; ``max_tokens`` if it wants ``max_completion_tokens`` instead; None if it complains of
        something else.
    """
    if not _UNSUPPORTED.search(message):
        return None
    if "max_completion_tokens" in message and "max_tokens" in fields:
        return "max_tokens"
    return next((name for name in _NOT_NEEDED if name in fields and re.search(rf"\b{name}\b", message)), None)


def refuses_roles(status: int, message: str) -> bool:
    """Tell whether a server's chat template takes no system role, or only turns that alternate (as Gemma's does)."""
    return status in _UNTOLD and bool(_ROLES.search(message))


def in_turns(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    r"""Put messages into the strictest form of a chat: user and assistant in turn, the user first, no system role.

    What the system says goes before what the user says next, in one turn.

    Examples
    --------
    >>> turns = in_turns((Message("system", "Weather."), Message("user", "sun ->")))
    >>> [(turn.role, turn.content) for turn in turns]
    [('user', 'Weather.\n\nsun ->')]
    """
    turns: list[Message] = []
    for message in messages:
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1].role == role:
            turns[-1] = Message(role, f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(Message(role, message.content))
    return tuple(turns)


def refusal_error(status: int, message: str, where: str, model: str) -> EngineError:
    """Say in one line what an HTTP status other than success means."""
    said = one_line(message)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        hint = "requests go to the address that was named and nowhere else: name the one that it points to"
        return EngineUnavailableError(f"{where} answered {status}: it points to another address", hint)
    if status in _UNTOLD and _NO_TEMPLATE.search(message):
        return EngineUnavailableError(
            f"{model} has no chat template: {said}", "ask in completion style: --style completion"
        )
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return EngineUnavailableError(f"{where} refuses access: {said}", "check the API key (OPENAI_API_KEY)")
    if status == HTTPStatus.NOT_FOUND:
        return EngineUnavailableError(
            f"{where} does not serve {model!r}: {said}",
            "check the model's name, the prompt style, and that the address ends in /v1",
        )
    return EngineError(f"{where} answered {status}: {said}")


def connection_error(cause: BaseException, where: str) -> EngineError:
    """Say in one line what a broken connection means."""
    if type(cause).__name__ in _UNREACHABLE:
        return EngineUnavailableError(f"there is no server at {where}", "start it, or check the address")
    return EngineError(f"the connection to {where} broke: {one_line(str(cause) or type(cause).__name__)}")


def server_message(body: object, default: str) -> str:
    """Find what a server says in the body of an error; ``default`` if it says nothing."""
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body
    return str(body) if body else default


def one_line(text: str, length: int = 200) -> str:
    """Make a short line of a text."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."
