"""What servers that speak the OpenAI protocol do differently: how they name themselves, count tokens, hold answers."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from llm_as_rnn.core.calls import AnswerFormat
from llm_as_rnn.core.records import Record, Style
from llm_as_rnn.engines.refusals import Refusal

Dialect = Literal["llamacpp", "vllm", "vllm_guided", "sglang", "other"]
"""Who answers. ``vllm_guided`` is vLLM before 0.11, which had other names for what holds an answer to a form."""


class Probe(NamedTuple):
    """What came back from an endpoint that is not needed: JSON, or None and why."""

    value: Any
    refusal: Refusal | None = None
    error: str = ""

    @property
    def why(self) -> str:
        """Why there is nothing, where it is worth telling: an endpoint that does not exist is not."""
        if self.refusal is None:
            return self.error
        return "" if self.refusal.no_endpoint else f"it answered {self.refusal.status}"


class Ask(Protocol):
    """Asks an endpoint that is not needed."""

    async def __call__(
        self,
        url: str,
        body: dict[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        awaited: bool = False,
    ) -> Probe:
        """GET a URL, or POST a body to it; ``awaited`` if it is worth waiting for while a model is being loaded."""
        ...


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
    listed : str
        The models that it lists, where this one is not among them.
    remarks : tuple of str
        What of this is worth telling, each as what follows its name.
    """

    dialect: Dialect = "other"
    root: str = ""
    window: int | None = None
    slots: int | None = None
    counts_tokens: bool = False
    digest: str = ""
    listed: str = ""
    remarks: tuple[str, ...] = ()


async def detect(ask: Ask, base: str, model: str, listing: Probe) -> Server:
    """Find out what serves ``model`` at ``base``; nothing that is missing, or refused, is held against it.

    Parameters
    ----------
    ask : callable
        Asks one of the server's endpoints.
    base : str
        Its address.
    model : str
        The model's name.
    listing : Probe
        What it said when it was asked for its models.
    """
    root = base.removesuffix("/v1")
    models = [entry for entry in _get(listing.value, "data", list, []) if isinstance(entry, dict)]
    names = [str(entry.get("id")) for entry in models]
    entry = next((entry for entry, name in zip(models, names, strict=True) if _is_same(name, model)), None)
    owner = _get(entry or (models[0] if models else None), "owned_by", str, "")
    remarks = []
    if listing.why:
        remarks.append(f"does not list its models: {listing.why}")
    if owner == "llamacpp":
        # It serves one model and takes any name for it; as a router it lists those that it serves.
        server = await _detect_llamacpp(ask, root, model, entry or models[0])
    else:
        server = await _detect_other(ask, root, model, owner, entry)
        if models and entry is None and not any(fnmatchcase(model, name) for name in names if "*" in name):
            remarks.append(f"does not list {model!r}; it lists {_nearest(model, names)}")
            server = replace(server, listed=_nearest(model, names))
    if not server.counts_tokens and server.dialect != "other":
        remarks.append("does not count tokens: counts are estimates, which err to the long side")
    return replace(server, remarks=(*remarks, *server.remarks))


def tokenize_body(dialect: Dialect, model: str, text: str) -> dict[str, Any]:
    """Build what the server's ``/tokenize`` takes."""
    if dialect == "llamacpp":
        return {"model": model, "content": text, "add_special": False}
    return {"model": model, "prompt": text, "add_special_tokens": False}


def tokenize_count(reply: Any) -> int | None:
    """Read the number of tokens off what ``/tokenize`` gave; None if it is not there."""
    count = _number(reply, "count", 0)
    tokens: list[Any] | None = _get(reply, "tokens", list, None)
    return count if count is not None or tokens is None else len(tokens)


def answer_fields(dialect: Dialect, style: Style, answer: AnswerFormat) -> dict[str, Any]:
    """Build the fields that hold an answer to its format, as far as the server can."""
    if answer.schema is None:
        return _text_fields(dialect, answer)
    if style == "chat":
        # What is not known to take lengths gets none: the strict mode of OpenAI's own service refuses such a schema.
        body = answer.schema if dialect != "other" else without_keywords(answer.schema, ("maxLength",))
        schema = {"name": answer.name, "schema": body, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    fields: dict[Dialect, dict[str, Any]] = {
        "llamacpp": {"json_schema": answer.schema},
        "vllm": {"structured_outputs": {"json": answer.schema}},
        "vllm_guided": {"guided_json": answer.schema},
        "sglang": {"json_schema": json.dumps(answer.schema)},
    }
    return fields.get(dialect, {})


def without_keywords(value: Any, names: Collection[str]) -> Any:
    """Give a copy of a schema, or of what holds one, without some of JSON schema's keywords.

    Examples
    --------
    >>> without_keywords({"pattern": {"type": "string", "pattern": "^a"}}, ["pattern"])
    {'pattern': {'type': 'string'}}
    """
    if isinstance(value, dict):
        return {
            key: without_keywords(part, names)
            for key, part in value.items()
            if key not in names or isinstance(part, dict)  # a property may have that name
        }
    return value


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


async def _detect_llamacpp(ask: Ask, root: str, model: str, entry: dict[str, Any]) -> Server:
    props = (await ask(f"{root}/props", query={"model": model}, awaited=True)).value
    defaults: dict[str, Any] = _get(props, "default_generation_settings", dict, {})
    return Server(
        "llamacpp",
        root,
        window=_number(defaults, "n_ctx", 1),
        slots=_number(props, "total_slots", 1),
        counts_tokens=await _counts_tokens(ask, "llamacpp", root, model),
        digest=_digest(entry, "id", "meta"),
    )


async def _detect_other(ask: Ask, root: str, model: str, owner: str, entry: dict[str, Any] | None) -> Server:
    dialect: Dialect = "other"
    if owner == "vllm":
        dialect = "vllm_guided" if await _older_vllm(ask, root) else "vllm"
    elif owner == "sglang":
        dialect = "sglang"
    return Server(
        dialect,
        root,
        window=next(filter(None, (_number(entry, name, 1) for name in _WINDOWS)), None),
        counts_tokens=dialect != "other" and await _counts_tokens(ask, dialect, root, model),
        digest=_digest(entry, "id", "owned_by", "root", "max_model_len"),
    )


async def _counts_tokens(ask: Ask, dialect: Dialect, root: str, model: str) -> bool:
    reply = await ask(f"{root}/tokenize", tokenize_body(dialect, model, "one two"))
    return bool(tokenize_count(reply.value))


async def _older_vllm(ask: Ask, root: str) -> bool:
    version = _get((await ask(f"{root}/version")).value, "version", str, "")
    try:
        major, minor = (int(part) for part in version.split(".")[:2])
    except ValueError:
        return False
    return (major, minor) < (0, 11)


def _is_same(name: str, model: str) -> bool:
    """Tell whether a listed name is the model's: some servers add a tag to names that have none."""
    return name in (model, f"{model}:latest") or model == f"{name}:latest"


def _nearest(model: str, names: list[str]) -> str:
    there = [" ".join(name[:80].split()) for name in names[:1000]]  # a list from outside may be of any length
    near = difflib.get_close_matches(model, there, n=len(there), cutoff=0.0)
    return ", ".join(near[:8]) + (", ..." if len(near) > 8 else "")  # noqa: PLR2004


def _digest(entry: Mapping[str, Any] | None, *names: str) -> str:
    if entry is None:
        return ""
    facts = {name: entry.get(name) for name in names}
    return "server:" + hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()


def _number(value: Any, name: str, least: int) -> int | None:
    """Read a whole number of what a server said; None for one below ``least``, which says nothing."""
    found = _get(value, name, int, None)
    return found if found is not None and not isinstance(found, bool) and found >= least else None


def _get(value: Any, name: str, kind: type[T], default: Any) -> Any:
    """Read a field of what a server said, which may be anything."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, kind) else default
