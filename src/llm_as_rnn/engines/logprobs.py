"""The chances of tokens, as servers tell them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import UNSET

from llm_as_rnn.core.calls import Request
from llm_as_rnn.core.chances import Token, read_chances

MOST_TOKENS = 512
"""So many tokens of an answer are looked at; one that names an option is shorter."""
MOST_OTHERS = 64
"""So many alternatives of each."""
LOGPROBS = "logprobs"


def told_chances(request: Request, choice: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Read the chances of options off a reply's choice, in either of the two forms in which servers give them.

    Parameters
    ----------
    request : Request
        What was asked.
    choice : mapping
        The reply's choice, as it came: anything may be missing or of any type.

    Examples
    --------
    >>> from llm_as_rnn.core.calls import AnswerFormat, Place
    >>> asked = Request("predict", (), answer=AnswerFormat(places=(Place("sky", "^", ("sun", "fog")),)))
    >>> told_chances(asked, {"logprobs": {"tokens": ["sun"], "top_logprobs": [{"sun": -0.29, "fog": -1.39}]}})
    {'sky': {'sun': 0.7503, 'fog': 0.2497}}
    """
    places, told = request.answer.places, choice.get(LOGPROBS)
    if places is UNSET or not places or request.sampling.thinking or not isinstance(told, dict):
        return {}
    listed = _listed(told.get("content")) or _parallel(told)
    tokens = [token for token in islice(listed, MOST_TOKENS) if token is not None]
    return read_chances(places, tokens) if tokens else {}


def _listed(content: Any) -> list[Token | None]:
    """Read the form of chat completions: a list of objects."""
    entries = content[:MOST_TOKENS] if isinstance(content, list) else []
    found: list[Token | None] = []
    for entry in entries:
        one = _entry(entry)
        others = entry.get(f"top_{LOGPROBS}") if isinstance(entry, dict) else None
        listed = others[:MOST_OTHERS] if isinstance(others, list) else []
        found.append(one and Token(*one, _summed(filter(None, map(_entry, listed)))))
    return found


def _parallel(told: Mapping[str, Any]) -> list[Token | None]:
    """Read the form of text completions: lists of equal length.

    Some servers list the tokens' numbers in place of their texts, which may look as an option does.
    """
    texts, chances, others = (told.get(name) for name in ("tokens", f"token_{LOGPROBS}", f"top_{LOGPROBS}"))
    found: list[Token | None] = []
    texts = texts[:MOST_TOKENS] if isinstance(texts, list) else []
    for place, text in enumerate(texts if all(isinstance(text, str) for text in texts) else []):
        listed = _at(others, place)
        pairs = islice(listed.items(), MOST_OTHERS) if isinstance(listed, dict) else ()
        known = _summed((str(other).encode("utf-8", "replace"), _chance(value)) for other, value in pairs)
        said = text.encode("utf-8", "replace")
        found.append(Token(said, _chance(_at(chances, place)) or known.get(said, 0.0), known))
    return found


def _at(values: Any, place: int) -> Any:
    return values[place] if isinstance(values, list) and place < len(values) else None


def _entry(entry: Any) -> tuple[bytes, float] | None:
    if not isinstance(entry, dict):
        return None
    raw, text = entry.get("bytes"), entry.get("token")
    if isinstance(raw, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in raw):  # noqa: PLR2004
        return bytes(raw), _chance(entry.get("logprob"))
    return (text.encode("utf-8", "replace"), _chance(entry.get("logprob"))) if isinstance(text, str) else None


def _summed(pairs: Iterator[tuple[bytes, float]] | Any) -> dict[bytes, float]:
    chances: dict[bytes, float] = {}
    for text, chance in pairs:
        if chance > 0:
            chances[text] = chances.get(text, 0.0) + chance
    return chances


def _chance(logprob: Any) -> float:
    """Give a chance; 0 for what is none."""
    if isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return 0.0
    try:
        return math.exp(min(float(logprob), 0.0)) if not math.isnan(logprob) else 0.0
    except OverflowError:  # a whole number of hundreds of digits
        return 0.0
