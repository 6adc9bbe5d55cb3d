"""What a server's reply or refusal means, in this package's terms."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from itertools import groupby
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
    "max_tokens": "length",
    "model_length": "length",
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
_MOST_TOKENS = 2**53
"""No count is as large: a figure beyond is no figure."""

_UNREACHABLE = {"ConnectError", "ConnectTimeout", "UnsupportedProtocol"}


class Reply(NamedTuple):
    """What a server answered, without the model's thinking; the thinking where its tokens are still to be counted."""

    completion: Completion
    uncounted: str


def read_reply(content: bytes, request: Request, where: str) -> Reply:
    r"""Read the body of a reply, of either prompt style, by what is needed of it: nothing else can spoil an answer.

    An unknown finish reason counts as ``length`` when the answer is as long as was allowed, else as ``stop``. Token
    figures that the server leaves out, or gives as no count, are 0; cached tokens are None then. Where the answer is
    empty and whole, what stands in the field for thinking is taken for it: so servers answer that take a text without
    thinking for thinking.

    Raises
    ------
    EngineError
        If there is no answer in it, or only a broken one.

    Examples
    --------
    >>> body = b'{"choices":[{"message":{"content":[{"type":"text","text":"rain"}]}}],"usage":{"prompt_tokens":"9"}}'
    >>> reply = read_reply(body, Request("predict", ()), "the server")
    >>> reply.completion.text, reply.completion.prompt_tokens
    ('rain', 9)
    """
    body = _decoded(content)
    choices = _dict(body).get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        sent = one_line(content.decode("utf-8", "replace"))
        raise EngineError(f"{where} sent no answer, but {sent or 'nothing'}")
    choice, usage = choices[0], _dict(_dict(body).get("usage"))
    completion_tokens = _count(usage.get("completion_tokens")) or 0
    full = completion_tokens >= request.sampling.max_tokens + request.sampling.thinking
    reason = str(choice.get("finish_reason")).casefold()
    finish_reason = _FINISH_REASONS.get(reason, "length" if full else "stop")
    if finish_reason == "error":
        raise EngineError(f"{where} broke off its answer ({reason})")
    said = _read_choice(choice)
    answer, thinking = said.answer, said.thinking
    if thinking and not answer.strip() and finish_reason == "stop":
        _, answer = split_thinking(thinking)
        thinking = ""
    if request.sampling.thinking:
        answer, finish_reason = cut_answer(answer, request.sampling.stop, finish_reason)
    counted = _count(_dict(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    completion = Completion(
        text=said.refusal or answer,
        finish_reason="content_filter" if said.refusal else finish_reason,
        prompt_tokens=_count(usage.get("prompt_tokens")) or 0,
        completion_tokens=completion_tokens,
        cached_tokens=_count(_dict(usage.get("prompt_tokens_details")).get("cached_tokens")),
        reasoning_tokens=counted or 0,
    )
    return Reply(completion, "" if counted else thinking)


class _Said(NamedTuple):
    answer: str
    thinking: str
    refusal: str


def _read_choice(choice: Mapping[str, Any]) -> _Said:
    message = _dict(choice.get("message"))
    content = message.get("content")
    written = _text(content) or _text(choice.get("text"))
    within, answer = split_thinking(written)
    fields = (message.get("reasoning_content"), message.get("reasoning"))
    apart = next((text for text in fields if isinstance(text, str) and text), "")
    thinking = filter(None, (apart, _text(content, "thinking"), within))
    return _Said(answer, "\n".join(thinking), _text(message.get("refusal")) or _text(content, "refusal"))


def _text(content: Any, kind: str = "text") -> str:
    """Read a text, or the blocks of one kind in a list of blocks: each a text, or an object that holds one."""
    if isinstance(content, str):
        return content if kind == "text" else ""
    blocks = content if isinstance(content, list) else [content]
    return "".join(_block(block, kind) for block in blocks)


def _block(block: Any, kind: str) -> str:
    if isinstance(block, str):
        return block if kind == "text" else ""
    fields = _dict(block)
    if str(fields.get("type", "text")).removeprefix("output_") != kind:
        return ""
    inner = fields.get(kind)
    if isinstance(inner, list):  # thinking in blocks of its own
        return "".join(_block(part, "text") for part in inner if not isinstance(_dict(part).get("text"), list))
    return inner if isinstance(inner, str) else ""


def _decoded(content: bytes) -> Any:
    """Decode JSON; also such as is not quite valid, with NaN or a broken character somewhere in it."""
    try:
        return msgspec.json.decode(content)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(content.decode("utf-8-sig", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    """Read a number of tokens, in whatever type it comes; None for what is no such number.

    >>> _count("100"), _count(100.0), _count(-1), _count("many"), _count(True)
    (100, 100, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if 0 <= number < _MOST_TOKENS and number.is_integer() else None


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

    def role(message: Message) -> Literal["user", "assistant"]:
        return "assistant" if message.role == "assistant" else "user"

    turns = groupby(messages, role)
    return tuple(Message(who, "\n\n".join(message.content for message in turn)) for who, turn in turns)


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
