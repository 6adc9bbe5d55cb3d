"""The fields of a request that an answer can do without, and which of them a server's refusal is about.

A part that can be left out has a name: that of its field (``seed``), ``strict``, ``schema.`` and a keyword of JSON
schema (``schema.pattern``), or `MANY`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from llm_as_rnn.core.calls import Request
from llm_as_rnn.engines.dialects import Dialect, answer_fields, without_keywords
from llm_as_rnn.engines.logprobs import LOGPROBS
from llm_as_rnn.engines.refusals import Refusal

SCHEMA = "schema."
KEYWORDS = ("pattern", "minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum")
"""What a schema says beyond its structure. Every answer is checked here as well, so none of it is needed."""
BOUND = "max_tokens"
"""Never left out: a server that does not take it gets ``max_completion_tokens``."""

_UNNAMED = (
    *(
        LOGPROBS,
        "seed",
        "top_p",
        "temperature",
        "stop",
        "structured_outputs",
        "guided_json",
        "guided_regex",
        "guided_choice",
    ),
    *("grammar", "json_schema", "regex", "cache_prompt"),
)
"""What is left out where a server does not say what it refuses, in this order, after what holds an answer to a form."""
MANY = f"{LOGPROBS}.many"
"""The chances of more alternatives than any server tells that tells chances: some tell no more (`LEGACY`)."""
ALL = "all"
"""Stands beside all parts together, once each was left out in vain."""
_WHOLE = re.compile(r"unsupported|not support|unavailable|unrecognized|unknown|extra", re.IGNORECASE)
_OF_SCHEMA = re.compile(r"schema|response_format|keyword|structured", re.IGNORECASE)

TOP, TOP_OF_TGI = f"top_{LOGPROBS}", "top_n_tokens"
"""What says how many alternatives, and what Text Generation Inference calls it when it refuses so many."""
ASKED: dict[Dialect, int] = {"llamacpp": 50}
"""Alternatives whose chances are asked for at each token; `USUAL` of servers that are not named."""
USUAL = 20
"""The most that OpenAI's own service tells, and vLLM by default."""
MOST_TOLD = 24_000
"""The most alternatives of a whole answer, at some 128 bytes each: a reply that is longer than 4 MiB is not read."""
LEGACY = 5
"""The most that it tells of a text that is to be gone on with, and others of any."""


def request_fields(request: Request, dialect: Dialect, refused: Collection[str]) -> dict[str, Any]:
    """Build the fields of a request beside model and messages, without the parts that are refused."""
    sampling, answer = request.sampling, request.answer
    keywords = {part.removeprefix(SCHEMA) for part in refused if part.startswith(SCHEMA)}
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        BOUND: sampling.max_tokens + sampling.thinking,
        "seed": sampling.seed,
        **without_keywords(answer_fields(dialect, request.style, answer), keywords),
        **({} if LOGPROBS in refused else _logprobs(dialect, request, LEGACY if MANY in refused else MOST_TOLD)),
    }
    if sampling.stop and not sampling.thinking:  # it would end the thinking too: see `cut_answer`
        fields["stop"] = list(sampling.stop)
    if dialect == "llamacpp":
        fields["cache_prompt"] = True  # not the default of older servers
    if BOUND in refused:
        fields["max_completion_tokens"] = fields[BOUND]
    if "strict" in refused and "response_format" in fields:
        fields["response_format"]["json_schema"].pop("strict")
    return {name: value for name, value in fields.items() if name not in refused}


def _logprobs(dialect: Dialect, request: Request, most: int) -> dict[str, Any]:
    """Build the fields that ask for the chances of tokens; none where nobody wants to know.

    The thoughts of a reasoning model may hold any option's name, and its chances at that place mean nothing.
    """
    most = min(most, MOST_TOLD // max(request.sampling.max_tokens, 1))
    if not request.answer.places or request.sampling.thinking or not most:
        return {}
    if request.style == "chat":
        return {LOGPROBS: True, TOP: min(most, ASKED.get(dialect, USUAL))}
    return {LOGPROBS: min(most, ASKED.get(dialect, LEGACY if dialect == "other" else USUAL))}


def parts(fields: Mapping[str, Any]) -> list[str]:
    """List the parts of a request that can be left out, in the order in which they are tried."""
    found: list[str] = []
    if "response_format" in fields:
        schema = fields["response_format"]["json_schema"]
        found += [f"{SCHEMA}{name}" for name in KEYWORDS if without_keywords(schema, {name}) != schema]
        found += ["strict"] if "strict" in schema else []
        found.append("response_format")
    many = fields.get(TOP, fields.get(LOGPROBS, 0)) > LEGACY
    return found + ([MANY] if many else []) + [name for name in _UNNAMED if name in fields]


def suspects(refusal: Refusal, fields: Mapping[str, Any], cleared: Collection[str], *, guess: bool) -> frozenset[str]:
    """Find what to leave out next.

    Parameters
    ----------
    refusal : Refusal
        What the server said to a request with these fields.
    fields : mapping
        As `request_fields` gave them.
    cleared : collection of str
        Parts that were left out in vain.
    guess : bool
        Whether to go on with parts that it does not name: one after the other, and at last all of them.

    Returns
    -------
    set of str
        Parts; empty if there is nothing to try any more.
    """
    there = parts(fields)
    explicit = named(refusal, fields)
    candidates = [{BOUND}] if BOUND in explicit else []
    candidates += [found for found in _likely(refusal, there) if refusal.of_fields or found <= explicit]
    if guess and refusal.of_fields:
        candidates += [_keywords(there), *({part} for part in there), *([{*there, ALL}] if len(there) > 1 else [])]
    return frozenset(next((found for found in candidates if not found <= set(cleared)), ()))


def named(refusal: Refusal, fields: Mapping[str, Any]) -> frozenset[str]:
    """Find the parts that a refusal names, as a word or apart; empty where it is not about parts at all."""
    if not refusal.may_name:
        return frozenset()
    words = _words(refusal)
    found = {part for part in parts(fields) if part.removeprefix(SCHEMA) in words}
    if BOUND in fields and words & {BOUND, "max_completion_tokens"} and not refusal.too_long:
        found.add(BOUND)
    return frozenset(found)


def _words(refusal: Refusal) -> set[str]:
    """Give the words of a refusal; what asks for the chances of tokens has several names, and is many or any."""
    words = {*re.findall(r"\w+", refusal.said), *refusal.blamed}
    if words & {LOGPROBS, TOP}:
        return words | {LOGPROBS, MANY}
    return words | {MANY} if TOP_OF_TGI in words else words


def _keywords(there: list[str]) -> set[str]:
    return {part for part in there if part.startswith(SCHEMA)}


def _likely(refusal: Refusal, there: list[str]) -> list[set[str]]:
    """List what a server complains of, the likeliest first."""
    said = refusal.said
    words = _words(refusal)
    listed = [{name} for name in refusal.blamed if name in there and name != "response_format"]
    keywords = [{part} for part in sorted(_keywords(there)) if part.removeprefix(SCHEMA) in words]
    spoken = [{name} for name in there if name in words and name != "response_format"]
    whole = [{"response_format"}] if "response_format" in there and "response_format" in words else []
    if whole and _WHOLE.search(said) and "schema" not in said.lower():
        return [*keywords, *whole]
    if not _OF_SCHEMA.search(said):
        return [*listed, *spoken, *keywords, *whole]
    whole = [{name} for name in ("strict", "response_format") if name in there]
    return [*listed, *keywords, *spoken, _keywords(there), *whole]
