"""What a server's reply means, in this package's terms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from llm_as_rnn.core.calls import MOST_TEXT, Completion, Request
from llm_as_rnn.core.errors import EngineError
from llm_as_rnn.engines.logprobs import told_chances
from llm_as_rnn.engines.secrecy import Redactor
from llm_as_rnn.engines.thinking import split_thinking

_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "abort": "error",
    "error": "error",
}
_MOST_TOKENS = 2**53
"""No count is as large: a figure beyond is no figure."""
_MOST_BLOCKS = 10_000
"""So many blocks of a list are read: one for each token of a long answer, and more."""
_QUOTED = 20_000
"""Bytes that are looked at of a reply that is no answer."""
_NOTHING_SECRET = Redactor(())


class Reply(NamedTuple):
    """What a server answered, without the model's thinking; the thinking where its tokens are still to be counted."""

    completion: Completion
    uncounted: str


def read_reply(content: bytes, request: Request, where: str, hide: Redactor = _NOTHING_SECRET) -> Reply:
    r"""Read the body of a reply, of either prompt style, by what is needed of it: nothing else can spoil an answer.

    An unknown finish reason counts as ``length`` when the answer is as long as was allowed, else as ``stop``. Token
    figures that the server leaves out, or gives as no count, are 0; cached tokens are None then. Where the answer is
    empty and whole, what stands in the field for thinking is taken for it: so servers answer that take a text without
    thinking for thinking.

    Parameters
    ----------
    content : bytes
        The body.
    request : Request
        What was asked.
    where : str
        What messages call the server.
    hide : Redactor
        Takes secrets out of what is quoted, and out of the answer.

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
        sent = one_line(hide(content[:_QUOTED].decode("utf-8", "replace")))
        raise EngineError(f"{where} sent no answer, but {sent or 'nothing'}")
    choice, usage = choices[0], _dict(_dict(body).get("usage"))
    spent = _spent(usage)
    full = spent.written >= request.sampling.max_tokens + request.sampling.thinking
    reason = _str(choice.get("finish_reason")).casefold()
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
    completion = Completion(
        text=hide.answer((said.refusal or answer)[: 2 * MOST_TEXT]),  # more is never kept
        finish_reason="content_filter" if said.refusal else finish_reason,
        prompt_tokens=spent.read,
        completion_tokens=spent.written,
        cached_tokens=spent.cached,
        reasoning_tokens=spent.thought or 0,
        # Of a thoughtful answer they tell little: all but settled by the thoughts, which hold options' names as well.
        chances={} if thinking else told_chances(request, choice),
    )
    return Reply(completion, "" if spent.thought else thinking)


class _Spent(NamedTuple):
    """Tokens of a call: cached ones are among those that were read, thoughts among those that were written."""

    read: int
    written: int
    cached: int | None
    thought: int | None


def _spent(usage: Mapping[str, Any]) -> _Spent:
    """Read a reply's figures.

    Most servers count what their cache holds, and what was thought, along with the rest; some count it apart. More of
    it than of the whole can only be that.
    """
    read, written = (_count(usage.get(f"{of}_tokens")) or 0 for of in ("prompt", "completion"))
    cached = _count(_dict(usage.get("prompt_tokens_details")).get("cached_tokens"))
    thought = _count(_dict(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    return _Spent(_with(read, cached), _with(written, thought), cached, thought)


def _with(whole: int, part: int | None) -> int:
    return whole + part if part is not None and part > whole else whole


_THINKING = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
"""The fields in which servers give thinking apart; where there are several, they say the same."""
_TEXTS = ("text", "thinking", "summary", "content")
"""What the blocks of such a field call their text."""


class _Said(NamedTuple):
    answer: str
    thinking: str
    refusal: str


def _read_choice(choice: Mapping[str, Any]) -> _Said:
    message = _dict(choice.get("message"))
    content = message.get("content")
    written = _text(content) or _text(choice.get("text"))
    within, answer = split_thinking(written)
    apart = next(filter(None, (_thoughts(message.get(name)) for name in _THINKING)), "")
    thinking = filter(None, (apart, _text(content, "thinking"), within))
    return _Said(answer, "\n".join(thinking), _text(message.get("refusal")) or _text(content, "refusal"))


def _thoughts(value: Any) -> str:
    """Read what stands in a field for thinking: a text, or objects that hold one, whatever they call it."""
    if isinstance(value, str):
        return value
    blocks = value if isinstance(value, list) else [value]
    return "".join(_thought(block) for block in islice(blocks, _MOST_BLOCKS))


def _thought(block: Any) -> str:
    inner = next(filter(None, map(_dict(block).get, _TEXTS)), "")
    return _text(inner) if isinstance(inner, list) else _str(inner)


def _text(content: Any, kind: str = "text") -> str:
    """Read a text, or the blocks of one kind in a list of blocks: each a text, or an object that holds one."""
    if isinstance(content, str):
        return content if kind == "text" else ""
    blocks = content if isinstance(content, list) else [content]
    return "".join(_block(block, kind) for block in islice(blocks, _MOST_BLOCKS))


def _block(block: Any, kind: str) -> str:
    if isinstance(block, str):
        return block if kind == "text" else ""
    fields = _dict(block)
    if _str(fields.get("type", "text")).removeprefix("output_") != kind:
        return ""
    inner = fields.get(kind)
    if isinstance(inner, list):  # thinking in blocks of its own
        within = islice(inner, _MOST_BLOCKS)
        return "".join(_block(part, "text") for part in within if not isinstance(_dict(part).get("text"), list))
    return inner if isinstance(inner, str) else ""


def _decoded(content: bytes) -> Any:
    """Decode a JSON object; also one that is not quite valid, with NaN or a broken character somewhere in it."""
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):  # whatever else it is, there is no answer in it
        return None
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


def _str(value: Any) -> str:
    return value if isinstance(value, str) else ""


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


def one_line(text: str, length: int = 200) -> str:
    """Make a short line of a text."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."
