"""What a server means that gives no answer: read once, from its status and body, and told apart.

There are three kinds: the server cannot answer now (`EngineBusyError`, worth waiting for), it refuses this request
(`RequestRefusedError`), or it will answer none (`EngineUnavailableError`). What fits none of them is the failure of one
call (`EngineError`). A status of success counts for nothing where the body is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from itertools import groupby
from typing import Any, Literal, NamedTuple

import msgspec

from llm_as_rnn.core.calls import Message
from llm_as_rnn.core.errors import EngineBusyError, EngineError, EngineUnavailableError, RequestRefusedError
from llm_as_rnn.engines.replies import one_line

FILTERED = b'{"choices":[{"finish_reason":"content_filter"}]}'
"""The reply of a server that filters a prompt with an error instead of an answer."""
READ = 20_000
"""Characters of an error that are looked at."""
COMPLAINTS, STEPS = 50, 10
"""Complaints of a list, and steps of the place of each, that are looked at: a list from outside may be long."""

_NOT_SERVED = "check the model's name, the prompt style, and that the address ends in /v1"
_SHORTEN = "the prompt is too long: truncate(500) in templates, --form line, larger --context, smaller --budget"
_LATER = {425, 429, 502, 503, 504, 529, *range(520, 528)}
"""The server, or what stands before it, cannot answer now; above 504 these are those of content networks."""
_AGAIN = _LATER | {408, 409, 500}
_BLAMING = {400, 422}
_OF_SERVER = {500, 501}
_NO_NAMES = {401, 402, 408, 409, 413, 425, 429}
"""What these are about is known: a word that is a field's name too says nothing."""
_NO_ACCESS = {401, 403}
_NO_ENDPOINT = {404, 405, 501}
_LENGTH_CODES = {"context_length_exceeded", "exceed_context_size_error"}
_FILTERS = {"content_filter", "content_policy_violation"}
_WORDS = ("message", "detail", "msg", "status_msg", "base_resp")
"""Where a server says what is wrong; the last holds MiniMax's code and words."""
_RESULTS = {"data", "tokens", "count", "version", "default_generation_settings"}
"""What tells that a body of success without an answer is that of another endpoint, and no error."""
_EMPTY_ACCOUNT = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_MEANINGS = (
    (
        402,
        re.compile(
            r"(?:insufficient|out of|no|exceed\w{0,4}|not enough).{0,20}(?:quota|credit|balance|funds)", re.IGNORECASE
        ),
    ),
    (429, re.compile(r"rate.?limit|too many requests|throttl|resource.?exhausted", re.IGNORECASE)),
    (
        503,
        re.compile(r"overload|unavailable|over capacity|at capacity|busy|loading|try again|time.?out", re.IGNORECASE),
    ),
    (401, re.compile(r"authenti|unauthori[sz]ed|api.?key", re.IGNORECASE)),
    (404, re.compile(r"not.?found|does not exist", re.IGNORECASE)),
    (400, re.compile(r"invalid.?request|bad.?request|validat|unsupported|not support", re.IGNORECASE)),
)
"""What the words of an error mean that brings no status of its own."""
_LOADING = re.compile(r"loading.{0,20}model|model.{0,80}(?:is|still|currently) loading|warming up", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context.?(?:length|size|window)|(?:prompt|input|request|sequence)\b.{0,40}(?:too long|too large|exceed)"
    r"|exceed.{0,40}(?:context|tokens)|maximum (?:input|model|sequence) length|max_model_len|^too long",
    re.IGNORECASE,
)
_MODERATED = re.compile(r"moderat|content.{0,20}(?:policy|filter)|flagged|safety", re.IGNORECASE)
_NO_TEMPLATE = re.compile(
    r"chat.template.{0,60}(?:not set|no longer allowed|missing|not found|must provide|not defined)"
    r"|(?:no|without a|does not have a|must provide a) chat.template",
    re.IGNORECASE,
)
_ROLES = re.compile(
    r"system (?:role|message)s?\b.{0,30}not (?:be )?support|roles? must alternate|only user.{0,30}roles", re.IGNORECASE
)
_OF_FIELDS = re.compile(
    r"grammar|schema|response_format|unsupported|not support|unrecognized|unknown (?:parameter|field|argument)"
    r"|extra inputs|unexpected keyword",
    re.IGNORECASE,
)


class Refusal(NamedTuple):
    """What a server says that gives no answer.

    Attributes
    ----------
    status : int
        The HTTP status; of an error that comes with a status of success, the one that it should have had, unless it is
        no JSON.
    said : str
        Its message.
    code : str
        Its code or type, in its own words.
    blamed : tuple of str
        The names of the parts of the request that it complains of, as far as it lists them.
    text : str or None
        What the model wrote, where the server threw it away because it is not what was asked for.
    """

    status: int
    said: str
    code: str = ""
    blamed: tuple[str, ...] = ()
    text: str | None = None

    @property
    def key(self) -> str:
        """The message without what differs from one time to the next."""
        return re.sub(r"[\w-]+", lambda found: "" if _is_passing(found[0]) else found[0], self.said.lower())

    @property
    def loading(self) -> bool:
        """Whether the model is still being loaded."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR and bool(_LOADING.search(self.said))

    @property
    def too_long(self) -> bool:
        """Whether the prompt is too long for the model."""
        if self.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return True
        return self._of_request and (self.code in _LENGTH_CODES or bool(_TOO_LONG.search(self.said)))

    @property
    def of_template(self) -> bool:
        """Whether there is no chat template, or it does not take these messages."""
        return self._of_request and bool(_NO_TEMPLATE.search(self.said) or _ROLES.search(self.said))

    @property
    def of_roles(self) -> bool:
        """Whether the chat template takes no system role, or only turns that alternate (as Gemma's does)."""
        return self._of_request and bool(_ROLES.search(self.said))

    @property
    def of_fields(self) -> bool:
        """Whether a field that an answer can do without may be to blame."""
        if self.too_long or self.of_template or self.loading:
            return False
        if self.status in _BLAMING:
            return not _MODERATED.search(self.said)
        return self.status in _OF_SERVER and bool(_OF_FIELDS.search(self.said))

    @property
    def may_name(self) -> bool:
        """Whether a part of the request that it names is likely what it refuses, whatever else it says.

        Not where it is about access, about the length by its very code, or about now.
        """
        if self.code in _LENGTH_CODES or self.empty_account or self.loading:
            return False
        of_client = HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR
        return (of_client and self.status not in _NO_NAMES) or self.status in _OF_SERVER

    @property
    def passing(self) -> bool:
        """Whether the same request may be answered in a moment."""
        if self.empty_account or self.of_template or self.of_fields:
            return False
        return self.status in _AGAIN or self.loading or self.garbled

    @property
    def empty_account(self) -> bool:
        """Whether there is nothing left to pay with: that does not pass."""
        return self.code in _EMPTY_ACCOUNT or self.status == HTTPStatus.PAYMENT_REQUIRED

    @property
    def no_endpoint(self) -> bool:
        """Whether there is nothing at this address."""
        return self.status in _NO_ENDPOINT

    @property
    def garbled(self) -> bool:
        """Whether it is no refusal in itself, but no JSON either: a page of a content network, or cut off."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def moved(self) -> bool:
        """Whether it points to another address."""
        return HTTPStatus.MULTIPLE_CHOICES <= self.status < HTTPStatus.BAD_REQUEST

    @property
    def instead(self) -> bytes | None:
        """The answer that it amounts to: that of a model that declined, or one that is not of the form asked for."""
        if self.code in _FILTERS or (self.status == HTTPStatus.FORBIDDEN and _MODERATED.search(self.said)):
            return FILTERED
        if self.text is None:
            return None
        return msgspec.json.encode({"choices": [{"message": {"content": self.text}, "finish_reason": "stop"}]})

    @property
    def _of_request(self) -> bool:
        return self.status in _BLAMING or self.status == HTTPStatus.INTERNAL_SERVER_ERROR


def read_refusal(status: int, content: bytes, hide: Callable[[str], str]) -> Refusal | None:
    """Read a reply as a refusal; None if it is an answer.

    Parameters
    ----------
    status : int
        Its HTTP status.
    content : bytes
        Its body.
    hide : callable
        Takes secrets out of a text.
    """
    success = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    if success and not _is_whole(content):
        return Refusal(status, hide(content[:READ].decode("utf-8", "replace")))
    if success and b'"choices"' in content and b'"error"' not in content and b'"base_resp"' not in content:
        return None
    try:
        body: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    if success and not _is_error(body):
        return None
    error = _error(body)
    said = _said(error) or content[: 4 * READ].decode("utf-8", "replace") or _phrase(status)
    code = next((value for name in ("code", "type") if isinstance(value := error.get(name), str)), "")
    wrote = error.get("failed_generation")
    unusable = code == "json_validate_failed"
    return Refusal(
        _meaning(error, f"{code} {said[:READ]}") if success else status,
        hide(said[:READ]),
        code,
        _blamed(error),
        (wrote if isinstance(wrote, str) else "") if unusable else None,
    )


def failure(
    refusal: Refusal, where: str, model: str, *, retry_after: float | None = None, listed: str = ""
) -> EngineError:
    """Say in one line what a refusal means for a call.

    Parameters
    ----------
    refusal : Refusal
        What the server said.
    where, model : str
        What messages call the server and the model.
    retry_after : float, optional
        Seconds after which it wants to be asked again.
    listed : str
        The models that it lists, for a hint, where it does not list this one.
    """
    lasting = _lasting(refusal, where, model, listed)
    if lasting is not None:
        return lasting
    if refusal.garbled:
        return EngineError(f"{where} sent no answer, but {one_line(refusal.said) or 'nothing'}")
    answered = f"{where} answered {refusal.status}: {one_line(refusal.said)}"
    if refusal.too_long:
        return RequestRefusedError(answered, _SHORTEN)
    if refusal.of_roles or refusal.of_fields:
        return RequestRefusedError(answered)
    if refusal.status in _LATER or refusal.loading:
        return EngineBusyError(answered, "it may answer later", retry_after=retry_after)
    of_request = HTTPStatus.BAD_REQUEST <= refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return RequestRefusedError(answered) if of_request and not refusal.passing else EngineError(answered)


def _lasting(refusal: Refusal, where: str, model: str, listed: str) -> EngineUnavailableError | None:
    """Say what a refusal means that every call would meet; None if another call may fare better."""
    said, message, hint = one_line(refusal.said), "", ""
    if refusal.moved:
        message = f"{where} answered {refusal.status}: it points to another address"
        hint = "requests go to the address that was named and nowhere else: name the one that it points to"
    elif refusal.empty_account:
        message, hint = f"{where} gives no more: {said}", "look at the account"
    elif refusal.of_template and not refusal.of_roles:
        message, hint = f"{model} has no chat template: {said}", "ask in completion style: --style completion"
    elif refusal.status in _NO_ACCESS:
        message, hint = f"{where} refuses access: {said}", "check the API key (OPENAI_API_KEY)"
    elif refusal.no_endpoint and not refusal.of_fields:
        message = f"{where} does not serve {model!r}: {said}"
        hint = f"it lists {listed}" if listed else _NOT_SERVED
    return EngineUnavailableError(message, hint) if message else None


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


def _is_passing(word: str) -> bool:
    """Tell whether a word is the name of one request or moment: numbers, and random letters with or without them."""
    return any(map(str.isdigit, word)) or bool(re.fullmatch(r"[0-9a-f]{6,}|[^\W_]{16,}", word))


def _is_whole(content: bytes) -> bool:
    """Tell whether a body can be JSON that came to its end, however odd inside."""
    content = content.removeprefix(b"\xef\xbb\xbf").strip()
    return content[:1] + content[-1:] in (b"{}", b"[]")


def _is_error(body: Any) -> bool:
    """Tell whether a body that came with a status of success is an error, and no answer or only a part of one."""
    if not isinstance(body, dict):
        return False
    if body.get("choices"):
        return _stands_beside(body) or _stands_beside(_first_choice(body))
    if body.get("error") or body.get("object") == "error":
        return True
    return not _RESULTS & body.keys() and any(body.get(name) for name in _WORDS)


def _stands_beside(place: dict[str, Any]) -> bool:
    """Tell whether an error stands there that says something: some servers send an empty one with every answer."""
    error = place.get("error")
    return any(error.values()) if isinstance(error, dict) else isinstance(error, str) and bool(error)


def _first_choice(body: dict[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _error(body: Any) -> dict[str, Any]:
    """Find the error in a body, as an object."""
    if not isinstance(body, dict):
        return {"message": body} if isinstance(body, str) else {}
    inner = body.get("error") or _first_choice(body).get("error") or body.get("base_resp")
    if isinstance(inner, dict):
        return inner
    return {**body, "message": inner} if isinstance(inner, str) else body


def _said(error: dict[str, Any]) -> str:
    message = next(filter(None, (error.get(name) for name in _WORDS)), None)
    if isinstance(message, list):  # a list of complaints, each with its place; what was sent is not told again
        complaints = [part for part in message[:COMPLAINTS] if isinstance(part, dict)]
        return "; ".join(f"{'.'.join(_place(part)) or 'body'}: {_short(part.get('msg'))}" for part in complaints)
    if message is not None:
        return message if isinstance(message, str) else msgspec.json.encode(message).decode()
    return ""


def _short(value: Any) -> str:
    return value[:READ] if isinstance(value, str) else ""


def _place(complaint: dict[str, Any]) -> list[str]:
    place = complaint.get("loc")
    steps = place[:STEPS] if isinstance(place, list) else []
    return [str(step) for step in steps if isinstance(step, str | int)]


def _blamed(error: dict[str, Any]) -> tuple[str, ...]:
    param, detail = error.get("param"), error.get("detail") or error.get("message")
    names = re.split(r"[.\[\]]+", param[:READ]) if isinstance(param, str) else []
    for complaint in detail[:COMPLAINTS] if isinstance(detail, list) else []:
        names += _place(complaint) if isinstance(complaint, dict) else []
    return tuple(name for name in names if name)


def _meaning(error: dict[str, Any], text: str) -> int:
    """Give the status that an error should have had that came with one of success."""
    for name in ("code", "status", "status_code"):
        value = error.get(name)
        number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 4 else value  # noqa: PLR2004
        if isinstance(number, int) and HTTPStatus.BAD_REQUEST <= number < 600:  # noqa: PLR2004
            return number
    return next((status for status, words in _MEANINGS if words.search(text)), int(HTTPStatus.INTERNAL_SERVER_ERROR))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "nothing"
