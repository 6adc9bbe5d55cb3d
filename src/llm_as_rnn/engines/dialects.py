"""What servers that speak the OpenAI protocol do differently: how they name themselves, count tokens, hold answers."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from llm_as_rnn.errors import EngineUnavailableError
from llm_as_rnn.records import AnswerFormat, Record, Style

Dialect = Literal["llamacpp", "vllm", "vllm_guided", "sglang", "other"]
"""Who answers. ``vllm_guided`` is vLLM before 0.11, which had other names for what holds an answer to a form."""

Ask = Callable[[str, dict[str, Any] | None], Awaitable[Any]]
"""GET a URL, or POST a body to it: the JSON that came back; None where the server has no such endpoint."""

T = TypeVar("T")

_WINDOWS = ("max_model_len", "context_length", "max_context_length", "context_window")
"""What servers call a model's window: vLLM and SGLang, and hosts that are none of these."""


class Server(Record, frozen=True):
    """What a server says of itself and of the model.

    Attributes
    ----------
    dialect : str
        Who it is.
    root : str
        Its address, without ``/v1``: its own endpoints stand there.
    window : int or None
        Tokens that a call may hold; None if it does not say.
    slots : int or None
        Calls that it answers at the same time; None if it does not say.
    counts_tokens : bool
        Whether it counts a text's tokens.
    digest : str
        SHA-256 over what it says of the model and what stays the same when it starts again.
    """

    dialect: Dialect = "other"
    root: str = ""
    window: int | None = None
    slots: int | None = None
    counts_tokens: bool = False
    digest: str = ""


async def detect(ask: Ask, base: str, model: str) -> Server:
    """Find out what serves ``model`` at ``base``.

    Raises
    ------
    EngineUnavailableError
        If the server lists its models and this one is not among them.
    """
    root = base.rstrip("/").removesuffix("/v1")
    listing = await ask(f"{base.rstrip('/')}/models", None)
    models = [entry for entry in _get(listing, "data", list, []) if isinstance(entry, dict)]
    owner = _get(models[0], "owned_by", str, "") if models else ""
    if owner == "llamacpp":
        # It serves one model and takes any name for it.
        return await _detect_llamacpp(ask, root, models[0])
    entry = next((entry for entry in models if entry.get("id") == model), None)
    if models and entry is None:
        raise _not_listed(model, [str(entry.get("id")) for entry in models], base)
    dialect: Dialect = "other"
    if owner == "vllm":
        dialect = "vllm_guided" if await _older_vllm(ask, root) else "vllm"
    elif owner == "sglang":
        dialect = "sglang"
    return Server(
        dialect,
        root,
        window=next(filter(None, (_get(entry, name, int, None) for name in _WINDOWS)), None),
        counts_tokens=dialect != "other" and await _counts_tokens(ask, dialect, root, model),
        digest=_digest(entry, "id", "owned_by", "root", "max_model_len"),
    )


def tokenize_body(dialect: Dialect, model: str, text: str) -> dict[str, Any]:
    """Build what the server's ``/tokenize`` takes."""
    if dialect == "llamacpp":
        return {"content": text, "add_special": False}
    return {"model": model, "prompt": text, "add_special_tokens": False}


def tokenize_count(reply: Any) -> int | None:
    """Read the number of tokens off what ``/tokenize`` gave; None if it is not there."""
    count: int | None = _get(reply, "count", int, None)
    tokens: list[Any] | None = _get(reply, "tokens", list, None)
    return count if count is not None or tokens is None else len(tokens)


def answer_fields(dialect: Dialect, style: Style, answer: AnswerFormat) -> dict[str, Any]:
    """Build the fields that hold an answer to its format, as far as the server can."""
    if answer.schema is None:
        return _text_fields(dialect, answer)
    if style == "chat":
        # What is not known to take lengths gets none: the strict mode of OpenAI's own service refuses such a schema.
        body = answer.schema if dialect != "other" else _without_lengths(answer.schema)
        schema = {"name": answer.name, "schema": body, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    fields: dict[Dialect, dict[str, Any]] = {
        "llamacpp": {"json_schema": answer.schema},
        "vllm": {"structured_outputs": {"json": answer.schema}},
        "vllm_guided": {"guided_json": answer.schema},
        "sglang": {"json_schema": json.dumps(answer.schema)},
    }
    return fields.get(dialect, {})


def _without_lengths(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: _without_lengths(value)
            for key, value in schema.items()
            if key != "maxLength" or isinstance(value, dict)  # a property may have that name
        }
    return schema


def _text_fields(dialect: Dialect, answer: AnswerFormat) -> dict[str, Any]:
    fields: dict[Dialect, dict[str, Any]] = {}
    if answer.gbnf:
        fields["llamacpp"] = {"grammar": answer.gbnf}
    # The regular expression before the choices: it allows the space before a label, where the choices are bare.
    if answer.regex:
        fields["vllm"] = {"structured_outputs": {"regex": answer.regex}}
        fields["vllm_guided"] = {"guided_regex": answer.regex}
        fields["sglang"] = {"regex": answer.regex}
    elif answer.choices:
        fields["vllm"] = {"structured_outputs": {"choice": list(answer.choices)}}
        fields["vllm_guided"] = {"guided_choice": list(answer.choices)}
    return fields.get(dialect, {})


async def _detect_llamacpp(ask: Ask, root: str, entry: dict[str, Any]) -> Server:
    props = await ask(f"{root}/props", None)
    defaults: dict[str, Any] = _get(props, "default_generation_settings", dict, {})
    return Server(
        "llamacpp",
        root,
        window=_get(defaults, "n_ctx", int, None),
        slots=_get(props, "total_slots", int, None),
        counts_tokens=await _counts_tokens(ask, "llamacpp", root, ""),
        digest=_digest(entry, "id", "meta"),
    )


async def _counts_tokens(ask: Ask, dialect: Dialect, root: str, model: str) -> bool:
    reply = await ask(f"{root}/tokenize", tokenize_body(dialect, model, "one two"))
    return bool(tokenize_count(reply))


async def _older_vllm(ask: Ask, root: str) -> bool:
    version = _get(await ask(f"{root}/version", None), "version", str, "")
    try:
        major, minor = (int(part) for part in version.split(".")[:2])
    except ValueError:
        return False
    return (major, minor) < (0, 11)


def _not_listed(model: str, there: list[str], base: str) -> EngineUnavailableError:
    near = difflib.get_close_matches(model, there, n=len(there), cutoff=0.0)
    names = ", ".join(near[:8]) + (", ..." if len(near) > 8 else "")  # noqa: PLR2004
    return EngineUnavailableError(f"the server at {base} has no model {model!r}", f"it has {names}")


def _digest(entry: Mapping[str, Any] | None, *names: str) -> str:
    if entry is None:
        return ""
    facts = {name: entry.get(name) for name in names}
    return "server:" + hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()


def _get(value: Any, name: str, kind: type[T], default: Any) -> Any:
    """Read a field of what a server said, which may be anything."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, kind) else default
